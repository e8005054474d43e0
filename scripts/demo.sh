#!/usr/bin/env bash
# Paints the sample photograph in the style of the sample picture, with the embedded weights.
#
# usage: demo.sh [further options of impasto, such as --device NAME]
#
# Installs what is missing (see ensure-vulkan.sh), builds the release binary, paints. The last line names the result.
set -euo pipefail

content=assets/chelsea.png
style=assets/brush-strokes.png
result=impasto-demo.png
options=(--size 384 --strength 0.3)
# Older Mesa computes about thirty times slower on the CPU.
options_for_old_mesa=(--size 128 --steps 6 --strength 0.3)

cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/ensure-vulkan.sh
# A shell that was open while Rust was installed does not know it yet.
if ! command -v cargo >/dev/null 2>&1; then PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin; fi
if ! command -v cargo >/dev/null 2>&1; then
  echo "error: cargo is needed; install Rust from https://rustup.rs and try again" >&2
  exit 1
fi

echo "demo: building impasto (a few minutes the first time)"
cargo build --release --locked
if cargo run --release --locked --quiet -- devices | head -n 4 | grep -qE 'llvmpipe Mesa (1[0-9]|2[0-4])\.'; then
  echo "demo: Mesa's software driver is an old one here, so the painting is a small one; with Mesa 25 it would be larger"
  options=("${options_for_old_mesa[@]}")
fi
echo "demo: impasto $content $style -o $result ${options[*]}${*:+ $*}"
cargo run --release --locked --quiet -- "$content" "$style" -o "$result" "${options[@]}" "$@"
# Git Bash has -W for the name that Windows knows.
echo "demo: the painting is $(pwd -W 2>/dev/null || pwd)/$result"
