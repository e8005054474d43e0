#!/usr/bin/env bash
# What drivers' compilers make of every kernel, on GPUs that are not here: registers, spills, occupancy, instructions, and on
# AMD's the time of a step that follows. Writes docs/gpu-stats.json and docs/gpu-stats.md.
#
# usage: gpu-stats.sh [--check] [CHIP...]
#   --check   write nothing; fail if docs/gpu-stats.json is not what these compilers make
#   CHIP      as scripts/offline-drivers.sh names them: amdgpu:navi31 nouveau:0x172 asahi freedreno:730 ...
#             Chips that are named are printed; the files are only written and checked for all of the default.
#
# Mesa's drivers compile, with stand-ins for the kernel's drivers below them that know each chip and execute nothing. So
# compiling is real, and running is not: no submission is ever seen to end, so none is made. The drivers are unpacked below
# target/ (see offline-drivers.sh): nothing is installed, and no root rights are needed. Fails if a kernel that would be
# chosen on one of the chips spills registers or keeps arrays in memory; on chips with many registers if any does.
# Exit code 3: the drivers cannot be had here, nothing was compiled.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
check=()
chips=()
for argument in "$@"; do
  case $argument in
    --check) check=(--check) ;;
    -*)
      echo "usage: gpu-stats.sh [--check] [CHIP...]" >&2
      exit 2
      ;;
    *) chips+=("$argument") ;;
  esac
done

scripts/ensure-vulkan.sh
scripts/offline-drivers.sh fetch
# A shell that was open while Rust was installed does not know it yet.
if ! command -v cargo >/dev/null 2>&1; then PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin; fi
if ! command -v cargo >/dev/null 2>&1; then
  echo "error: cargo is needed; install Rust from https://rustup.rs and try again" >&2
  exit 1
fi

# The profile of the tests: continuous integration has built most of it then.
cargo build --locked --bin impasto --example gpu_stats
folder=${CARGO_TARGET_DIR:-target}/debug
stats=$folder/examples/gpu_stats
captures=$(mktemp -d)
trap 'rm -rf "$captures"' EXIT

other=no
if [ ${#chips[@]} -eq 0 ]; then
  mapfile -t chips < <("$stats" chips)
else
  other=yes
fi

# on_chip CHIP COMMAND...: its output is shown only when it fails.
on_chip() {
  if ! scripts/offline-drivers.sh run "$@" >"$captures/log" 2>&1; then
    tail -n 5 "$captures/log" >&2
    echo "error: nothing was compiled for $1; is it a chip that Mesa's stand-in knows?" >&2
    exit 1
  fi
}

for size in 400x300 1024x768; do "$stats" blank "$size" "$captures/$size.png"; done
for chip in "${chips[@]}"; do
  echo "gpu-stats: compiling for $chip"
  on_chip "$chip" "$stats" compile "$captures/$chip.chip"
  # Only for AMD's chips is a time predicted.
  case $chip in amdgpu:*) ;; *) continue ;; esac
  for size in 400x300 1024x768; do
    on_chip "$chip" "$folder/impasto" explain "$captures/$size.png" "$captures/$size.png" --size "${size%x*}" \
      --plan "$captures/$chip-$size.json"
  done
done
if [ "$other" = yes ]; then
  "$stats" show "$captures"
else
  "$stats" report "$captures" ${check[@]+"${check[@]}"}
fi
