#!/usr/bin/env bash
# Builds impasto for Windows on Debian 12.
#
# usage: build.sh
#
# The result is target/portability/windows/bin/impasto.exe, with what it needs under Wine beside it (see tools.sh). Debian
# has a newer rustc with the sources of its library, which is built on the way; rustup's target x86_64-pc-windows-gnu
# would spare that. The compiler is unpacked beside, because installed it would take the place of the one that is here.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
# shellcheck source=scripts/portability/common.sh
. scripts/portability/common.sh
need_debian_12
need_cargo

target=x86_64-pc-windows-gnu
windows=$root/windows
rust=$root/rust
scripts/portability/windows/tools.sh
install gcc libc6-dev
unpack rust rustc-web rust-web-src libstd-rust-web-1.96 libstd-rust-web-dev libllvm22

# Not a debug build: with that wgpu has FXC optimise nothing.
say "building impasto.exe (five minutes the first time)"
LD_LIBRARY_PATH=$rust/usr/lib/x86_64-linux-gnu RUSTC=$rust/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_PROFILE_RELEASE_LTO=off \
  quietly cargo build --locked --release -Zbuild-std=std,panic_abort --target "$target" --target-dir "$windows" --bin impasto ||
  die "impasto does not build for Windows; the lines above say why"
ln -f "$windows/$target/release/impasto.exe" "$windows/bin/impasto.exe"
