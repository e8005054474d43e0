#!/usr/bin/env bash
# Uses the studio as a person would, in a real window on a screen of its own, and looks at what it shows.
# shellcheck disable=SC2086 # Places are two words.
#
# usage: test.sh [FOLDER]     FOLDER: where the screenshots go; a temporary one otherwise
#
# Installs what is missing (a Vulkan driver, and with apt-get Xvfb, xdotool and ImageMagick), saying so, and builds the
# studio. On two cores with Mesa's software driver it takes a few minutes. Exit code 0: all held.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)

say() { printf 'studio-test: %s\n' "$*"; }
failures=0
passed=0
holds() {
  passed=$((passed + 1))
  say "ok: $*"
}
fails() {
  failures=$((failures + 1))
  say "FAILED: $*"
}

# ---- what is needed

# What X11 needs is loaded at run time.
"$root/scripts/ensure-vulkan.sh"
# shellcheck source=scripts/driver-beside.sh
. "$root/scripts/driver-beside.sh"
use_driver_beside
packages=()
need() { # COMMAND PACKAGE
  if ! command -v "$1" >/dev/null 2>&1; then packages+=("$2"); fi
}
need Xvfb xvfb
need xdotool xdotool
need import imagemagick
for library in libxkbcommon-x11.so.0 libxcursor.so.1 libXi.so.6 libX11-xcb.so.1; do
  if ! ldconfig -p | grep -i "$library" >/dev/null; then
    case $library in
      libxkbcommon*) packages+=(libxkbcommon-x11-0) ;;
      libxcursor*) packages+=(libxcursor1) ;;
      libXi*) packages+=(libxi6) ;;
      libX11-xcb*) packages+=(libx11-xcb1) ;;
    esac
  fi
done
if [ ${#packages[@]} -gt 0 ]; then
  if ! command -v apt-get >/dev/null 2>&1; then
    echo "error: this test needs ${packages[*]} (Debian's names); install them and try again" >&2
    exit 1
  fi
  sudo=()
  if [ "$(id -u)" -ne 0 ]; then sudo=(sudo); fi
  say "installing with apt-get: ${packages[*]}"
  ${sudo[@]+"${sudo[@]}"} apt-get -qq update </dev/null
  ${sudo[@]+"${sudo[@]}"} env DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends \
    "${packages[@]}" </dev/null >/dev/null
fi

if ! command -v cargo >/dev/null 2>&1; then PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin; fi
say "building the studio (minutes the first time)"
cargo build --locked --quiet --manifest-path "$here/Cargo.toml"
target=$(cargo metadata --locked --no-deps --format-version 1 --manifest-path "$here/Cargo.toml" |
  sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
studio=$target/debug/studio

# ---- a screen, and the program on it

folder=$(mktemp -d)
shots=${1:-$folder/screenshots}
mkdir -p "$shots"
screen_process=
studio_process=
finish() {
  if [ -n "$studio_process" ]; then kill "$studio_process" 2>/dev/null || true; fi
  if [ -n "$screen_process" ]; then kill "$screen_process" 2>/dev/null || true; fi
  if [ "$shots" = "$folder/screenshots" ] && [ "$failures" -gt 0 ]; then
    say "the screenshots stay in $shots"
  else
    rm -rf "$folder"
  fi
}
trap finish EXIT

# It takes the first number that is free, and writes it.
Xvfb -displayfd 3 -screen 0 1280x840x24 -nolisten tcp 3>"$folder/display" >"$folder/screen.log" 2>&1 &
screen_process=$!
for _ in $(seq 100); do
  if [ -s "$folder/display" ]; then break; fi
  sleep 0.1
done
DISPLAY=:$(cat "$folder/display")
export DISPLAY WINIT_X11_SCALE_FACTOR=1
# Neither the files of an earlier run nor the keys of somebody's desktop.
unset WAYLAND_DISPLAY DBUS_SESSION_BUS_ADDRESS

window=
start_studio() {
  "$studio" "$@" >"$folder/studio.log" 2>&1 &
  studio_process=$!
  window=
  for _ in $(seq 300); do
    window=$(xdotool search --onlyvisible --pid "$studio_process" --name 'impasto studio' 2>/dev/null | head -n 1) || true
    if [ -n "$window" ]; then
      # Without a window manager nobody gives it the keyboard.
      xdotool windowfocus --sync "$window" 2>/dev/null || true
      return 0
    fi
    alive || return 1
    sleep 0.2
  done
  return 1
}

alive() { kill -0 "$studio_process" 2>/dev/null; }

stop_studio() {
  kill "$studio_process" 2>/dev/null || true
  wait "$studio_process" 2>/dev/null || true
  studio_process=
}

# Places in the window of 1280×840 points. They are those of the layout in src; a change there is one here.
start_button="450 813"
pause_button="592 813"
save_button="732 813"
size_box="298 322"
style_weight="196 666"
style_weight_lower="150 666"
canvas=820x540+420+40
style_weight_box=50x26+276+653
message=860x50+392+10
start_text=120x24+392+801
pause_text=120x24+532+801

# A slow program takes long for a frame, and looks at the mouse once in each: it must find the mouse in its place before
# the click and after. A button that is held for longer than 0.8 s is not clicked.
click() { # X Y [SECONDS]
  local pause=${3:-1}
  xdotool mousemove --window "$window" "$1" "$2"
  sleep "$pause"
  xdotool click 1
  sleep "$pause"
  # Away again, so that no tooltip lies over anything.
  xdotool mousemove --window "$window" 640 836
  sleep "$pause"
}

# Clicks, waiting ever longer around it, until something happens in a region.
press() { # X Y REGION
  local pause
  for pause in 1 3 6; do
    shot before-click
    click "$1" "$2" "$pause"
    if wait_for_change before-click after-click "$3" 10; then return 0; fi
    say "a click within $pause s at $1 $2 has done nothing"
  done
  return 1
}

shot() { import -window "$window" "$shots/$1.png"; }

# How far two screenshots differ in a region, 0 to 1.
difference() { # SHOT SHOT REGION
  convert "$shots/$1.png" -crop "$3" +repage "$folder/a.png"
  convert "$shots/$2.png" -crop "$3" +repage "$folder/b.png"
  { compare -metric RMSE "$folder/a.png" "$folder/b.png" null: 2>&1 || true; } | sed 's/.*(\(.*\)).*/\1/'
}

is_more() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a > b) }'; }

# Waits until the region is not as it is in SHOT; leaves the last look as NAME.
wait_for_change() { # SHOT NAME REGION SECONDS
  local until=$((SECONDS + $4))
  while [ $SECONDS -lt $until ]; do
    alive || return 1
    shot "$2"
    if is_more "$(difference "$1" "$2" "$3")" 0..003; then return 0; fi
    sleep 1
  done
  return 1
}

# Waits until the region stays as it is for three seconds.
wait_for_rest() { # NAME REGION SECONDS
  local until=$((SECONDS + $3))
  while [ $SECONDS -lt $until ]; do
    alive || return 1
    shot "$1"
    sleep 3
    shot "$1-later"
    if ! is_more "$(difference "$1" "$1-later" "$2")" 0.0005; then return 0; fi
  done
  return 1
}

# The share of a screenshot's region that has the colour of a failure's message, in percent.
failure_colour() { # SHOT
  convert "$shots/$1.png" -crop "$message" +repage -fuzz 6% -fill white -opaque 'rgb(63,40,40)' \
    -fill black +opaque white -format '%[fx:100*mean]' info:
}

# ---- a painting, from the first click to the file

cp "$root/assets/chelsea.png" "$root/assets/brush-strokes.png" "$folder"
if ! start_studio "$folder/chelsea.png" "$folder/brush-strokes.png"; then
  fails "a window opens"
  cat "$folder/studio.log"
  exit 1
fi
holds "a window opens"
sleep 5
shot 1-pictures

# A small painting: this may be a software driver.
click $size_box
xdotool key ctrl+a
xdotool type --delay 200 160
xdotool key Return
sleep 1
shot 2-size

press $start_button "$start_text" || true
if wait_for_change 2-size 3-painting "$canvas" 300; then
  holds "a click on “Start painting” paints"
else
  fails "a click on “Start painting” paints"
fi

press $pause_button "$pause_text" || true
if wait_for_rest 4-paused "$canvas" 60; then holds "“Pause” rests the painting"; else fails "“Pause” rests the painting"; fi

press $pause_button "$pause_text" || true
if wait_for_change 4-paused 5-continued "$canvas" 120; then
  holds "“Continue” goes on"
else
  fails "“Continue” goes on"
fi

# A weight, while it paints.
xdotool mousemove --window "$window" $style_weight
sleep 3
xdotool mousedown 1
sleep 3
xdotool mousemove --window "$window" $style_weight_lower
sleep 3
xdotool mouseup 1
sleep 3
xdotool mousemove --window "$window" 640 836
sleep 3
shot 6-weight
if is_more "$(difference 5-continued 6-weight "$style_weight_box")" 0.01; then
  holds "the slider changes the style weight"
else
  fails "the slider changes the style weight"
fi
if wait_for_change 6-weight 7-after-weight "$canvas" 120; then
  holds "it paints on with the new weight"
else
  fails "it paints on with the new weight"
fi

press $pause_button "$pause_text" || true
wait_for_rest 8-before-saving "$canvas" 60 || fails "the painting rests before it is saved"
press $save_button "$canvas" || true
shot 9-save
xdotool key Return
saved="$folder/chelsea in brush-strokes.png"
for _ in $(seq 60); do
  if [ -s "$saved" ]; then break; fi
  sleep 0.5
done
sleep 1
shot 10-saved
if [ "$(identify -format '%m %wx%h' "$saved" 2>/dev/null)" = "PNG 160x106" ]; then
  holds "“Save” writes a PNG of the painting's size"
  # What is on the canvas and what is in the file are one picture.
  convert "$shots/8-before-saving.png" -crop 864x573+394+20 +repage -resize '160x106!' "$folder/shown.png"
  apart=$({ compare -metric RMSE "$folder/shown.png" "$saved" null: 2>&1 || true; } | sed 's/.*(\(.*\)).*/\1/')
  convert "$folder/chelsea.png" -resize '160x106!' "$folder/photograph.png"
  from_start=$({ compare -metric RMSE "$folder/photograph.png" "$saved" null: 2>&1 || true; } | sed 's/.*(\(.*\)).*/\1/')
  if is_more 0.06 "$apart" && is_more "$from_start" "$apart"; then
    holds "the file is what the canvas shows (apart $apart; from the photograph $from_start)"
  else
    fails "the file is what the canvas shows (apart $apart; from the photograph $from_start)"
  fi
  cp "$saved" "$shots/painting.png"
else
  fails "“Save” writes a PNG of the painting's size"
fi
if alive; then holds "the program is still there"; else fails "the program is still there"; fi
if [ -s "$folder/studio.log" ]; then
  say "the program wrote:"
  cat "$folder/studio.log"
fi
stop_studio

# ---- a file that is no picture

echo "This is a letter." >"$folder/letter.png"
if start_studio "$folder/letter.png" "$folder/brush-strokes.png"; then
  sleep 4
  shot 11-letter
  share=$(failure_colour 11-letter)
  if alive && is_more "$share" 20; then
    holds "a file that is no picture is told in the window"
  else
    fails "a file that is no picture is told in the window (message: $share %)"
  fi
  stop_studio
else
  fails "a window opens with a file that is no picture"
fi

echo "$passed passed, $failures failed"
[ "$failures" -eq 0 ]
