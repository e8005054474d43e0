#!/usr/bin/env bash
# Builds impasto for Windows on Debian 12, and lays what it needs under Wine beside it.
#
# usage: build.sh
#
# The result is target/portability/windows/bin/impasto.exe. rustup's own target x86_64-pc-windows-gnu would do as well,
# but Debian has everything: a newer rustc with the sources of its library, which is built on the way. That compiler is
# unpacked beside, because installed it would take the place of the one that is here. Beside the program lie a small DLL
# that Wine 8 lacks and Microsoft's compiler of shaders d3dcompiler_47.dll (FXC), from the npm package `webgpu`; Wine's own
# cannot compile what wgpu gives it. Microsoft's DXC must not lie there: with it wgpu asks for shader model 6, which Wine
# has not, and finds no adapter.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
# shellcheck source=scripts/portability/common.sh
. scripts/portability/common.sh
need_debian_12
need_cargo
install jq

target=x86_64-pc-windows-gnu
sources=scripts/portability/windows
windows=$root/windows
bin=$windows/bin
rust=$root/rust
# The version that runs on Dawn too.
npm_package=webgpu@$(jq -r .dependencies.webgpu scripts/portability/dawn/package.json)
integrity=$(jq -r .integrity.webgpu scripts/portability/dawn/package.json)

install gcc-mingw-w64-x86-64 libc6-dev gcc openssl
unpack rust rustc-web rust-web-src libstd-rust-web-1.96 libstd-rust-web-dev libllvm22
mkdir -p "$bin"

say "building impasto.exe (five minutes the first time)"
LD_LIBRARY_PATH=$rust/usr/lib/x86_64-linux-gnu RUSTC=$rust/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_PROFILE_RELEASE_LTO=off \
  quietly cargo build --locked --release -Zbuild-std=std,panic_abort --target "$target" --target-dir "$windows" --bin impasto ||
  die "impasto does not build for Windows; the lines above say why"
ln -f "$windows/$target/release/impasto.exe" "$bin/impasto.exe"

gcc=x86_64-w64-mingw32-gcc
"$gcc" -std=c11 -Wall -Wextra -Werror -O1 -shared -o "$bin/bcryptprimitives.dll" "$sources/bcryptprimitives.c" -ladvapi32
mkdir -p "$windows/dxc"
"$gcc" -std=c11 -Wall -Wextra -Werror -O1 -o "$windows/dxc/dxc.exe" "$sources/dxc.c"

if [ ! -e "$windows/microsoft/$npm_package" ]; then
  if ! command -v npm >/dev/null 2>&1; then install npm; fi
  say "fetching Microsoft's compilers of shaders from the npm package $npm_package"
  rm -rf "$windows/microsoft"
  mkdir -p "$windows/microsoft"
  (
    cd "$windows/microsoft"
    quietly npm pack "$npm_package" || die "npm could not fetch $npm_package; the lines above say why"
    found=sha512-$(openssl dgst -sha512 -binary webgpu-*.tgz | base64 --wrap 0)
    if [ "$found" != "$integrity" ]; then
      die "$npm_package is not what scripts/portability/dawn/package.json says: $found"
    fi
    tar -xzf webgpu-*.tgz --strip-components=3 package/dist/win32-x64
    rm webgpu-*.tgz
    touch "$npm_package"
  )
fi
ln -f "$windows/microsoft/d3dcompiler_47.dll" "$bin/d3dcompiler_47.dll"
ln -f "$windows/microsoft/dxcompiler.dll" "$windows/dxc/dxcompiler.dll"
