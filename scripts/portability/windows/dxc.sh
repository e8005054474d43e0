#!/usr/bin/env bash
# Compiles the HLSL of every kernel with Microsoft's DXC under Wine.
#
# usage: dxc.sh
#
# The HLSL is what naga makes for wgpu's back end (examples/translate); the shader model is 6.0, the least that DXC
# knows. Writes target/portability/dx12-dxc.json. Exit code 0 when all compile.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
# shellcheck source=scripts/portability/common.sh
. scripts/portability/common.sh
need_cargo
scripts/portability/windows/tools.sh
folder=$root/hlsl
rm -rf "$folder"
cargo run --locked --quiet --example translate -- "$folder"
mapfile -t arguments < <(jq -r --arg folder "target/portability/hlsl" \
  '.[].hlsl | "cs_6_0", .entry_point, "\($folder)/\(.file)"' "$folder/manifest.json")
code=0
scripts/portability/windows/run.sh target/portability/windows/dxc/dxc.exe "${arguments[@]}" >"$folder/dxc.txt" || code=$?
# Only what is wrong is worth reading.
grep -v '^ok ' "$folder/dxc.txt" || true
# Lines end as on Windows. What DXC says of itself comes first.
tr -d '\r' <"$folder/dxc.txt" | jq -Rn --slurpfile kernels "$folder/manifest.json" --argjson code "$code" '
  [inputs] as $lines
  | ($lines[0] // "none") as $version
  | [$kernels[0][] | .hlsl.file as $file
     | {kernel: .name, variant: "cs_6_0", pass: ([$lines[] | select(startswith("ok ") and endswith("/" + $file))] | length == 1)}]
  | {adapter: $version, driver: "Wine", backend: "none", kernels: ., pass: ($code == 0 and length > 0 and all(.[]; .pass))}
' >"$root/dx12-dxc.json"
jq -r '"dxc: \([.kernels[] | select(.pass)] | length) of \(.kernels | length) kernels compile for shader model 6.0"' \
  "$root/dx12-dxc.json"
exit "$code"
