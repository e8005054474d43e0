# shellcheck shell=bash
# What the scripts of this folder share; they source it from the root of the repository.

# Everything that is unpacked, built and written. Absolute, because Wine and Vulkan's loader get paths in it.
root=$PWD/target/portability
mkdir -p "$root"
# shellcheck source=scripts/driver-beside.sh
. scripts/driver-beside.sh

say() { printf 'portability: %s\n' "$*" >&2; }
die() {
  printf 'error: %s\n' "$1" >&2
  shift
  if [ $# -gt 0 ]; then printf '%s\n' "$@" >&2; fi
  exit 1
}

need_debian_12() {
  local distribution
  # os-release gives ID and VERSION_CODENAME of the distribution.
  # shellcheck source=/dev/null
  distribution=$(. /etc/os-release 2>/dev/null && printf '%s %s' "${ID:-}" "${VERSION_CODENAME:-}") || distribution=
  if [ "$distribution $(uname -m)" != "debian bookworm x86_64" ]; then
    die "this is made for Debian 12 on x86-64, whose packages it takes; here is ${distribution:-another system} on $(uname -m)" \
      "Run it in a container of Debian 12, such as debian:bookworm."
  fi
}

need_cargo() {
  # A shell that was open while Rust was installed does not know it yet.
  if ! command -v cargo >/dev/null 2>&1; then PATH=$PATH:${CARGO_HOME:-${HOME:-/root}/.cargo}/bin; fi
  if ! command -v cargo >/dev/null 2>&1; then
    die "cargo is needed; install Rust from https://rustup.rs and try again"
  fi
}

# quietly COMMAND...: its output is shown only when it fails.
quietly() {
  local output
  if ! output=$("$@" </dev/null 2>&1); then
    printf '%s\n' "$output" | tail -n 40 >&2
    return 1
  fi
}

# as_root COMMAND...
as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    quietly env DEBIAN_FRONTEND=noninteractive "$@"
  elif command -v sudo >/dev/null 2>&1; then
    quietly sudo env DEBIAN_FRONTEND=noninteractive "$@"
  else
    die "root rights are needed, and there is no sudo. As root, run:" "  $*"
  fi
}

# The lists of packages, once in a run of portability.sh.
refresh_packages() {
  if [ -n "${IMPASTO_PACKAGES_FRESH:-}" ]; then return 0; fi
  as_root apt-get -qq update || say "apt-get update reports errors; going on"
  export IMPASTO_PACKAGES_FRESH=1
}

# install PACKAGE...: into the system, what is not there yet.
install() {
  local package missing=()
  for package in "$@"; do
    if ! dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -x 'install ok installed' >/dev/null; then
      missing+=("$package")
    fi
  done
  if [ ${#missing[@]} -eq 0 ]; then return 0; fi
  say "installing with apt-get: ${missing[*]}"
  refresh_packages
  as_root apt-get -qq -o Dpkg::Use-Pty=0 install --yes --no-install-recommends "${missing[@]}" ||
    die "apt-get could not install ${missing[*]}; the lines above say why"
}

# unpack FOLDER PACKAGE...: what is in Debian's packages, under target/portability/FOLDER. Nothing is installed.
unpack() {
  local folder=$root/$1 done_file=$root/$1/.unpacked packages package
  shift
  if [ -e "$done_file" ] && [ "$(cat "$done_file")" = "$*" ]; then return 0; fi
  say "unpacking under ${folder#"$PWD"/}: $*"
  refresh_packages
  packages=$root/packages
  rm -rf "$folder" "$packages"
  mkdir -p "$folder" "$packages"
  # The download needs no rights; apt's own user could not write here.
  (cd "$packages" && quietly apt-get -qq -o APT::Sandbox::User="$(id -un)" download "$@") ||
    die "apt-get could not download $*; the lines above say why"
  for package in "$packages"/*.deb; do quietly dpkg -x "$package" "$folder"; done
  rm -rf "$packages"
  printf '%s\n' "$*" >"$done_file"
}

# The software driver of Mesa that is used: the one beside the system's, or the system's.
lavapipe() {
  local file
  if have_driver_beside; then
    printf '%s' "$driver_beside/icd.json"
    return 0
  fi
  for file in /usr/share/vulkan/icd.d/lvp_icd*.json; do
    if [ -e "$file" ]; then
      printf '%s' "$file"
      return 0
    fi
  done
  die "Mesa's software driver is missing; install mesa-vulkan-drivers"
}
