#!/usr/bin/env bash
# Runs the Bevy scene in a window of a display without a screen, and sees that its canvas is being painted while the rest
# of the room stays as it is.
#
# usage: test.sh [FOLDER]
#
# Leaves three screenshots in FOLDER (default: target/shots): before the painting, early, later. Installs what is missing and
# says so: a Vulkan driver (see ensure-vulkan.sh), an X server without a screen, the libraries of a window, ImageMagick.
# Exit code 0: painted; 1: not, and the last line says what was seen instead.
set -euo pipefail

say() { printf 'bevy: %s\n' "$*"; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

if [ $# -gt 1 ]; then
  echo "usage: test.sh [FOLDER]" >&2
  exit 2
fi
cd "$(dirname "${BASH_SOURCE[0]}")"
shots=${1:-target/shots}
[ "$(uname -s)" = Linux ] || die "this check needs an X server; on other systems run the scene and look: cargo run --release"

../../scripts/ensure-vulkan.sh
# shellcheck source=scripts/driver-beside.sh
. ../../scripts/driver-beside.sh
use_driver_beside
# A shell that was open while Rust was installed does not know it yet.
if ! command -v cargo >/dev/null 2>&1; then PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin; fi
command -v cargo >/dev/null 2>&1 || die "cargo is needed; install Rust from https://rustup.rs and try again"

# ---- a display, and eyes

have_library() { { ldconfig -p 2>/dev/null || /sbin/ldconfig -p; } | grep "$1" >/dev/null; }
missing=()
need() {
  local package=$1
  shift
  "$@" >/dev/null 2>&1 || missing+=("$package")
}
need xvfb command -v Xvfb
need imagemagick command -v compare
# Loaded when a window opens, so that nothing else names them.
need libxkbcommon-x11-0 have_library 'libxkbcommon-x11\.so\.0'
need libx11-xcb1 have_library 'libX11-xcb\.so\.1'
need libxcursor1 have_library 'libXcursor\.so\.1'
need libxi6 have_library 'libXi\.so\.6'
if [ ${#missing[@]} -gt 0 ]; then
  command -v apt-get >/dev/null 2>&1 ||
    die "missing, by their names in Debian: ${missing[*]}; install them with this system's package manager"
  sudo=()
  if [ "$(id -u)" -ne 0 ]; then sudo=(sudo); fi
  say "installing with apt-get: ${missing[*]}"
  ${sudo[@]+"${sudo[@]}"} apt-get -qq update || say "apt-get update reports errors; going on"
  ${sudo[@]+"${sudo[@]}"} env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 \
    -o DPkg::Lock::Timeout=300 install --yes --no-install-recommends "${missing[@]}" >/dev/null
fi

# ---- the scene

# Bevy asks for the newest Rust when it is published, and compiles with older ones.
say "building the scene (Bevy takes half an hour on two cores the first time)"
cargo build --locked --ignore-rust-version
program=${CARGO_TARGET_DIR:-target}/debug/impasto-bevy
mkdir -p "$shots"

folder=$(mktemp -d)
server='' scene=''
finish() {
  if [ -n "$scene" ]; then kill "$scene" 2>/dev/null || true; fi
  if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; fi
  rm -rf "$folder"
}
trap finish EXIT

# The server chooses a free display, and tells which.
Xvfb -displayfd 3 -screen 0 800x600x24 -nolisten tcp 3>"$folder/display" 2>"$folder/server" &
server=$!
for _ in $(seq 100); do
  if [ -s "$folder/display" ]; then break; fi
  sleep 0.1
done
[ -s "$folder/display" ] || die "the X server does not start: $(cat "$folder/server")"
DISPLAY=:$(cat "$folder/display")
export DISPLAY

log=$folder/log
"$program" --still --size 64 --steps 1000 --budget 30 >"$log" 2>&1 &
scene=$!

# The window has the whole display. Camera and canvas stand still, so places on it are places in the room.
canvas=380x240+160+170 wall=760x60+20+10
shoot() { import -window root -depth 8 "$1" 2>/dev/null; }
# Mean brightness of a place, 0 to 65535.
brightness() { convert "$1" -crop "$2" +repage -colorspace Gray -format '%[fx:int(mean*65535)]' info:; }
# How far two screenshots are from each other in a place, 0 to 65535.
distance() {
  local from=$1 to=$2 place=$3 measured
  convert "$from" -crop "$place" +repage "$folder/from.png"
  convert "$to" -crop "$place" +repage "$folder/to.png"
  # compare exits with 1 where they differ.
  measured=$(compare -metric RMSE "$folder/from.png" "$folder/to.png" null: 2>&1 || true)
  printf '%.0f' "${measured%% *}"
}
patience=600
# wait_for WHAT COMMAND...: until COMMAND succeeds.
wait_for() {
  local what=$1 until=$((SECONDS + patience))
  shift
  until "$@"; do
    if ! kill -0 "$scene" 2>/dev/null; then
      tail -n 20 "$log" >&2
      die "the scene ended while waiting for $what"
    fi
    if [ "$SECONDS" -ge "$until" ]; then
      tail -n 20 "$log" >&2
      die "no $what within $patience s"
    fi
    sleep 0.2
  done
}

# Bevy's first frames have no lamp yet, and a wall of 11000.
is_lit() { shoot "$shots/before.png" && [ "$(brightness "$shots/before.png" "$wall")" -gt 20000 ]; }
has_taken() { grep -q "^before step $1:" "$log"; }

wait_for "frame with the lamp" is_lit
if has_taken 1; then die "a step was taken before the lamp was lit: there is nothing to compare it with"; fi
wait_for "second step" has_taken 2
shoot "$shots/early.png"
wait_for "tenth step" has_taken 10
shoot "$shots/later.png"
kill -0 "$scene" 2>/dev/null || die "the scene ended too early"
if grep -E "ERROR|panicked" "$log" >&2; then die "the scene reports errors"; fi

begun=$(distance "$shots/before.png" "$shots/early.png" "$canvas")
went_on=$(distance "$shots/early.png" "$shots/later.png" "$canvas")
aside=$(distance "$shots/before.png" "$shots/later.png" "$wall")
say "the canvas changed by $begun of 65535 when painting began and by $went_on after, the wall by $aside"
[ "$begun" -gt 2000 ] || die "the canvas did not change when painting began"
[ "$went_on" -gt 500 ] || die "the canvas did not change while it was painted"
[ "$aside" -lt 200 ] || die "the wall changed, so what the canvas shows proves nothing"
grep "^before step 1:\|^before step 10:" "$log"
say "painted; see $shots/before.png, early.png, later.png"
