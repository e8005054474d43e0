#!/usr/bin/env bash
# What AMD's compiler makes of every kernel, on GPUs that are not here: registers, spills, occupancy, instructions, and
# the time of a step that follows. Writes docs/gpu-stats.json and docs/gpu-stats.md.
#
# usage: gpu-stats.sh [--check] [CHIP...]
#   --check   write nothing; fail if docs/gpu-stats.json is not what this compiler makes
#   CHIP      as Mesa names them: polaris10 vega10 navi10 navi21 navi31 vangogh (the default), raven, gfx1150, ...
#             Chips that are named are printed; the files are only written and checked for all of the default.
#
# The program itself runs, with wgpu and Mesa's driver RADV; the kernel driver below is a stand-in that knows each chip
# and executes nothing. So compiling is real, and running is not: no submission is ever seen to end, so none is made.
# Installs what is missing with apt-get (see ensure-vulkan.sh --drm-shim). Fails if a kernel that would be chosen on one
# of the chips spills registers or keeps arrays in memory.
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

scripts/ensure-vulkan.sh --drm-shim
# A shell that was open while Rust was installed does not know it yet.
if ! command -v cargo >/dev/null 2>&1; then PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin; fi
if ! command -v cargo >/dev/null 2>&1; then
  echo "error: cargo is needed; install Rust from https://rustup.rs and try again" >&2
  exit 1
fi

icd=
for file in /usr/share/vulkan/icd.d/radeon_icd*.json; do
  if [ -e "$file" ]; then icd=$file; fi
done
if [ -z "$icd" ]; then
  echo "error: Mesa's driver for AMD (RADV) is missing; install mesa-vulkan-drivers" >&2
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

# on_chip CHIP COMMAND...: runs it as if there were this chip and no other adapter. No cache, so that everything is
# compiled and the statistics are printed.
on_chip() {
  local chip=$1
  shift
  env LD_PRELOAD=libamdgpu_noop_drm_shim.so AMDGPU_GPU_ID="$chip" VK_DRIVER_FILES="$icd" VK_ICD_FILENAMES="$icd" \
    IMPASTO_CACHE= RADV_DEBUG=asm,shaderstats,nocache MESA_SHADER_CACHE_DISABLE=true "$@"
}

for size in 400x300 1024x768; do "$stats" blank "$size" "$captures/$size.png"; done
for chip in "${chips[@]}"; do
  echo "gpu-stats: compiling for $chip"
  if ! on_chip "$chip" "$stats" compile >"$captures/$chip.txt" 2>&1; then
    tail -n 5 "$captures/$chip.txt" >&2
    echo "error: compiling for $chip failed; is it a chip that Mesa's shim knows?" >&2
    exit 1
  fi
  for size in 400x300 1024x768; do
    if ! on_chip "$chip" "$folder/impasto" explain "$captures/$size.png" "$captures/$size.png" --size "${size%x*}" \
      --plan "$captures/$chip-$size.json" >"$captures/log" 2>&1; then
      tail -n 5 "$captures/log" >&2
      echo "error: no plan of a step of $size for $chip" >&2
      exit 1
    fi
  done
done
if [ "$other" = yes ]; then
  "$stats" show "$captures"
else
  "$stats" report "$captures" ${check[@]+"${check[@]}"}
fi
