#!/usr/bin/env bash
# The kernels on a second implementation of WebGPU: Dawn, which is Chrome's, from the npm package `webgpu`.
#
# usage: dawn.sh [REPORT.json]
#   REPORT.json   where the figures go; without it target/portability/dawn.json
#
# Every kernel must compile with Tint, Dawn's compiler, without a warning; and every case must give what its CPU twin
# says, whole, in slices and in pieces: first on a device with the adapter's limits and subgroups, then on one with
# WebGPU's default limits and no feature. dawn/README.md says how. Exit code 0 where all of it passes, else 1; the last
# line has the figures.
#
# Installs what is missing: a Vulkan driver (see ensure-vulkan.sh), Node with npm by the system's package manager, and the
# package under target/portability/dawn. Dawn takes the Vulkan driver that VK_DRIVER_FILES names, as others do.
set -euo pipefail

say() { printf 'dawn: %s\n' "$*"; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

if [ $# -gt 1 ] || [ "${1:-}" = -h ] || [ "${1:-}" = --help ]; then
  echo "usage: dawn.sh [REPORT.json]" >&2
  exit 2
fi
report=
if [ $# -eq 1 ]; then
  case $1 in
    /*) report=$1 ;;
    *) report=$PWD/$1 ;;
  esac
fi

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
scripts/ensure-vulkan.sh
# A shell that was open while Rust was installed does not know it yet.
if ! command -v cargo >/dev/null 2>&1; then PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin; fi
if ! command -v cargo >/dev/null 2>&1; then die "cargo is needed; install Rust from https://rustup.rs and try again"; fi

# ---- Node

if ! command -v node >/dev/null 2>&1 || ! command -v npm >/dev/null 2>&1; then
  sudo=()
  if [ "$(id -u)" -ne 0 ]; then sudo=(sudo); fi
  if command -v apt-get >/dev/null 2>&1; then
    say "installing with apt-get: nodejs npm"
    # The variable is set after sudo, which would not pass it on.
    install=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0)
    ${sudo[@]+"${sudo[@]}"} "${install[@]}" update </dev/null >&2 || say "apt-get update reports errors; going on"
    ${sudo[@]+"${sudo[@]}"} "${install[@]}" install --yes --no-install-recommends nodejs npm </dev/null >&2 ||
      die "apt-get cannot install nodejs and npm; install Node 18 or newer and try again"
  else
    die "node or npm is missing; install Node 18 or newer with the system's package manager and try again"
  fi
fi
if [ "$(node -p 'Number(process.versions.node.split(".")[0]) >= 18')" != true ]; then
  die "Node 18 or newer is needed, and this is $(node --version)"
fi

# ---- the package

folder=$PWD/target/portability/dawn
report=${report:-$folder.json}
mkdir -p "$folder"
cp scripts/portability/dawn/*.mjs scripts/portability/dawn/package.json "$folder/"

of_package() { node -p "JSON.parse(require('fs').readFileSync('$folder/package.json')).$1.webgpu"; }
version=$(of_package dependencies)
integrity=$(of_package integrity)
package=$folder/node_modules/webgpu
# Written last, so that it vouches for the rest.
seal=$package/integrity
if [ "$(cat "$seal" 2>/dev/null)" != "$integrity" ]; then
  say "fetching webgpu $version with npm"
  rm -rf "$package"
  mkdir -p "$package"
  (cd "$folder" && npm pack --silent "webgpu@$version" >/dev/null) ||
    die "npm cannot fetch webgpu $version; run \`npm pack webgpu@$version\` to see why"
  archive=$folder/webgpu-$version.tgz
  found=$(node -p "'sha512-' + require('crypto').createHash('sha512').update(require('fs').readFileSync('$archive'))\
.digest('base64')")
  if [ "$found" != "$integrity" ]; then
    die "webgpu $version is not what scripts/portability/dawn/package.json says: $found"
  fi
  platform=$(node -p "process.platform === 'darwin' ? 'darwin-universal' : process.platform + '-' + process.arch")
  # What its index.js loads, and nothing that npm would run or fetch besides.
  tar -xzf "$archive" -C "$package" --strip-components=1 package/index.js package/package.json \
    "package/dist/$platform" || die "webgpu $version has no build for $platform"
  rm "$archive"
  printf '%s\n' "$integrity" >"$seal"
fi

# ---- the programs, and their run

# Dawn warns of limits of textures and the like that have nothing to do with us.
subgroups=$(node "$folder/run.mjs" subgroups 2>"$folder/warnings") || {
  cat "$folder/warnings" >&2
  die "Dawn finds no adapter; the lines above say why"
}
cargo build --locked --example export_cases
arguments=()
# Two numbers.
if [ -n "$subgroups" ]; then read -r -a sizes <<<"$subgroups" && arguments=(--subgroups "${sizes[@]}"); fi
rm -rf "$folder/cases"
"${CARGO_TARGET_DIR:-target}/debug/examples/export_cases" "$folder/cases" ${arguments[@]+"${arguments[@]}"} --values
if ! node "$folder/run.mjs" "$folder/cases" "$report" 2>"$folder/warnings"; then
  cat "$folder/warnings" >&2
  exit 1
fi
# Some hundred megabytes, which a failure leaves for who looks into it.
rm -rf "$folder/cases"
