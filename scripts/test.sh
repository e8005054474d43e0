#!/usr/bin/env bash
# All checks of the project: format, lints, tests, documentation, dependencies.
#
# usage: test.sh [--slow]
#   --slow   also the checks that take minutes on a software adapter (feature slow-tests)
#
# Installs what is missing (see ensure-vulkan.sh, ensure-spirv-val.sh, deny.sh; rustfmt and clippy through rustup). Stops at
# the first stage that fails.
set -euo pipefail

features=()
for argument in "$@"; do
  case $argument in
    --slow) features=(--features slow-tests) ;;
    *)
      echo "usage: test.sh [--slow]" >&2
      exit 2
      ;;
  esac
done

cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/ensure-vulkan.sh
# shellcheck source=scripts/driver-beside.sh
. scripts/driver-beside.sh
use_driver_beside
if ! scripts/ensure-spirv-val.sh; then
  echo "test: going on without spirv-val: the kernels' SPIR-V is NOT validated"
  export IMPASTO_WITHOUT_SPIRV_VAL=1
fi
# A shell that was open while Rust was installed does not know it yet.
if ! command -v cargo >/dev/null 2>&1; then PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin; fi
if ! command -v cargo >/dev/null 2>&1; then
  echo "error: cargo is needed; install Rust from https://rustup.rs and try again" >&2
  exit 1
fi

for tool in fmt clippy; do
  if cargo "$tool" --version >/dev/null 2>&1; then continue; fi
  component=$tool
  if [ "$tool" = fmt ]; then component=rustfmt; fi
  if ! command -v rustup >/dev/null 2>&1; then
    echo "error: cargo $tool is missing; install $component with the package manager that installed Rust" >&2
    exit 1
  fi
  echo "test: installing $component with rustup"
  rustup component add "$component"
done

stages=0
current=
started=0
# The last line says what became of it all, whatever ends the script.
summary() {
  local code=$?
  if [ "$code" -eq 0 ]; then
    echo "test: all $stages stages passed in $SECONDS s"
  elif [ -n "$current" ]; then
    echo "test: FAILED in stage \"$current\" after $((SECONDS - started)) s; $stages stages passed before it"
  fi
}
trap summary EXIT

stage() {
  current=$1
  started=$SECONDS
  shift
  echo "test: == $current: $*"
  "$@"
  echo "test: == $current: passed, $((SECONDS - started)) s"
  stages=$((stages + 1))
}

stage format cargo fmt --check
# With slow-tests, so that the slow tests are linted too where they do not run.
stage clippy cargo clippy --all-targets --features slow-tests --locked -- -D warnings
stage "clippy without embedded weights" cargo clippy --lib --bins --no-default-features --features cli --locked -- -D warnings
stage "clippy without default features" cargo clippy --all-targets --no-default-features --locked -- -D warnings
stage tests scripts/run-tests.sh ${features[@]+"${features[@]}"}
if [ ${#features[@]} -gt 0 ]; then
  statistics=0
  scripts/gpu-stats.sh --check || statistics=$?
  case $statistics in
    0) stages=$((stages + 1)) ;;
    # tests/gpu_stats.rs has still seen that the figures in docs/ are those of the kernels.
    3) echo "test: no drivers of other GPUs here: the kernels were not compiled for them" ;;
    *) exit 1 ;;
  esac
  # A host with packages of its own; Bevy's takes too long to build.
  stage "clippy of the studio" env CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}" \
    cargo clippy --manifest-path examples/studio/Cargo.toml --locked -- -D warnings
  random=0
  scripts/random_pictures.py || random=$?
  case $random in
    0) stages=$((stages + 1)) ;;
    2) echo "test: a program is missing: random pictures were NOT compared with other decoders" ;;
    *) exit 1 ;;
  esac
fi
stage documentation env RUSTDOCFLAGS=-Dwarnings cargo doc --no-deps --locked
stage dependencies scripts/deny.sh
