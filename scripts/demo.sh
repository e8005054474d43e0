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
options=(
  --init content --size 384 --steps 80 --learning-rate 4
  --content-layer conv3_2 --style-layers conv1_1=0.5,conv2_1=0.5,conv3_1=1,conv4_1=0.01
)

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
echo "demo: impasto $content $style -o $result ${options[*]}${*:+ $*}"
cargo run --release --locked --quiet -- "$content" "$style" -o "$result" "${options[@]}" "$@"
# Git Bash has -W for the name that Windows knows.
echo "demo: the painting is $(pwd -W 2>/dev/null || pwd)/$result"
