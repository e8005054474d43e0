#!/usr/bin/env bash
# Runs `impasto doctor`, every kernel and a small painting against known values, on platforms that this machine is not.
#
# usage: portability.sh [PLATFORM...]
#   dx12           the Windows build on wgpu's DirectX 12, under Wine, its shaders compiled by Microsoft's FXC;
#                  and the HLSL of every kernel compiled by Microsoft's DXC
#   wine-vulkan    the Windows build on Vulkan, under Wine
#   dawn           every kernel and every case on Dawn, Chromium's WebGPU
#   swiftshader    Chromium's software driver for Vulkan, and there a painting of 1024x768 in pieces and whole
#   lavapipe-22    Mesa's software driver of Debian 12
#   lavapipe-25    the same from Debian's backports
#   subgroups      subgroups of 4, 8 and 16 invocations
#   limits         a device with WebGPU's default limits and no optional feature, and a painting of 1024x768 on it
# Without an argument: all of them, which takes about an hour on two cores.
#
# Made for Debian 12. What is unpacked, built and written lies in target/portability; wine and other tools are installed
# with apt-get, and it says so. NAME.json there is the report of each run, NAME.log what it printed. docs/portability.md
# says what each proves. Exit code 0 when all that was asked for passes, 1 otherwise; one failure does not stop the others.
set -euo pipefail

platforms=(dx12 wine-vulkan dawn swiftshader lavapipe-22 lavapipe-25 subgroups limits)
cd "$(dirname "${BASH_SOURCE[0]}")/.."
asked=("$@")
for name in "$@"; do
  case " ${platforms[*]} " in
    *" $name "*) ;;
    *)
      echo "usage: portability.sh [${platforms[*]}]" >&2
      exit 2
      ;;
  esac
done
if [ ${#asked[@]} -eq 0 ]; then asked=("${platforms[@]}"); fi

# shellcheck source=scripts/portability/common.sh
. scripts/portability/common.sh
need_debian_12
need_cargo
scripts/ensure-vulkan.sh
install jq bsdextrautils
impasto=${CARGO_TARGET_DIR:-target}/debug/impasto
# Nothing that was measured elsewhere is to choose the kernels.
export IMPASTO_CACHE=
# The cache ignores some of the variables that change what is compiled.
export MESA_SHADER_CACHE_DISABLE=1

# One line for each run: name, what was expected of the adapter, seconds, exit code.
runs=$(mktemp)
trap 'rm -f "$runs"' EXIT

# record NAME EXPECTED COMMAND...: runs it, its output in NAME.log, and notes how it went. EXPECTED is a part of the
# adapter's name, its driver or its backend in the report: it shows that the right platform ran.
record() {
  local name=$1 expected=$2 begin=$SECONDS code=0
  shift 2
  say "$name: running"
  rm -f "$root/$name.json"
  "$@" </dev/null >"$root/$name.log" 2>&1 || code=$?
  printf '%s|%s|%s|%s\n' "$name" "$expected" $((SECONDS - begin)) "$code" >>"$runs"
  if [ "$code" -ne 0 ]; then
    tail -n 30 "$root/$name.log" >&2
    say "$name: failed; target/portability/$name.log says more"
  fi
  return "$code"
}

# From here on this Vulkan driver and no other. Each platform is run in a shell of its own.
use_driver() { export VK_DRIVER_FILES=$1 VK_ICD_FILENAMES=$1; }

# With an example, which has cargo build the dependencies as for the tests; after those, they are there.
build() {
  quietly cargo build --locked --bin impasto --example translate || die "impasto does not build; the lines above say why"
}

swiftshader() {
  unpack swiftshader chromium-common
  use_driver "$root/swiftshader/usr/lib/chromium/vk_swiftshader_icd.json"
  local failed=0
  record swiftshader SwiftShader "$impasto" doctor --json "$root/swiftshader.json" || failed=1
  install netpbm
  # Its bindings hold the largest tensors whole, where those of the other drivers do not. The first layers are the ones
  # that are in pieces, and with more it would take half an hour.
  record swiftshader-1024x768 SwiftShader scripts/portability/limits.sh "$impasto" swiftshader-1024x768 whole \
    --content-layer conv1_2 --style-layers conv1_1,conv1_2 --algorithm winograd || failed=1
  return "$failed"
}

lavapipe_22() {
  local folder=$root/lavapipe-22 driver
  unpack lavapipe-22 mesa-vulkan-drivers/bookworm
  driver=$folder/usr/lib/x86_64-linux-gnu/libvulkan_lvp.so
  jq --arg driver "$driver" '.ICD.library_path = $driver' "$folder"/usr/share/vulkan/icd.d/lvp_icd*.json >"$folder/icd.json"
  use_driver "$folder/icd.json"
  record lavapipe-22 "Mesa 22.3" "$impasto" doctor --json "$root/lavapipe-22.json"
}

lavapipe_25() {
  scripts/ensure-vulkan.sh
  use_driver "$(lavapipe)"
  record lavapipe-25 "Mesa 25." "$impasto" doctor --json "$root/lavapipe-25.json"
}

subgroups() {
  local failed=0 width
  scripts/ensure-vulkan.sh
  use_driver "$(lavapipe)"
  for width in 4 8 16; do
    record "subgroups-$width" "$((32 * width)) bits" env LP_NATIVE_VECTOR_WIDTH=$((32 * width)) \
      "$impasto" doctor --json "$root/subgroups-$width.json" || failed=1
  done
  return "$failed"
}

limits() {
  local failed=0
  scripts/ensure-vulkan.sh
  use_driver "$(lavapipe)"
  record limits llvmpipe "$impasto" doctor --portable --json "$root/limits.json" || failed=1
  install netpbm
  record limits-1024x768 llvmpipe scripts/portability/limits.sh "$impasto" || failed=1
  return "$failed"
}

dawn() {
  record dawn "" scripts/portability/dawn.sh "$root/dawn.json"
}

wine_vulkan() {
  scripts/portability/windows/build.sh
  record wine-vulkan vulkan scripts/portability/windows/run.sh target/portability/windows/bin/impasto.exe \
    doctor --device vulkan --json target/portability/wine-vulkan.json
}

dx12() {
  local failed=0
  scripts/portability/windows/build.sh
  record dx12 dx12 scripts/portability/windows/run.sh target/portability/windows/bin/impasto.exe \
    doctor --device dx12 --json target/portability/dx12.json || failed=1
  record dx12-dxc DXC scripts/portability/windows/dxc.sh || failed=1
  return "$failed"
}

run() {
  case $1 in
    dx12) dx12 ;;
    wine-vulkan) wine_vulkan ;;
    dawn) dawn ;;
    swiftshader) swiftshader ;;
    lavapipe-22) lavapipe_22 ;;
    lavapipe-25) lavapipe_25 ;;
    subgroups) subgroups ;;
    limits) limits ;;
  esac
}

case " ${asked[*]} " in
  " dawn ") ;;
  *)
    say "building impasto"
    build
    ;;
esac
refresh_packages
for name in "${asked[@]}"; do
  # Not as a condition, which would switch `set -e` off in it.
  set +e
  (
    set -e
    run "$name"
  )
  code=$?
  set -e
  # What fails before it runs has no line of its own.
  if [ "$code" -ne 0 ] && ! cut -d '|' -f 1 "$runs" | grep -E "^$name(-|\$)" >/dev/null; then
    printf '%s||0|%s\n' "$name" "$code" >>"$runs"
  fi
done

# Shares are of the error that is allowed. What the golden run starts from is made on the CPU, and not counted. A report that
# is of another adapter than was meant fails.
failed=0
table="platform|adapter|driver|pass|worst kernel|golden|seconds"
while IFS='|' read -r name expected seconds code; do
  report=$root/$name.json
  if ! row=$(jq -er --arg name "$name" --arg expected "$expected" --arg seconds "$seconds" --arg code "$code" '
    def worst: map(numbers) | if length == 0 then "-" else "\(max * 1000 | round / 10) %" end;
    def shares: [.. | objects | .share?];
    (.pass == true and $code == "0"
      and ("\(.adapter) \(.driver) \(.backend)" | ascii_downcase | contains($expected | ascii_downcase))) as $pass
    | [$name, .adapter, .driver, (if $pass then "yes" else "NO" end),
       ([.kernels, .devices] | shares | worst), (.golden // {} | map_values(del(.start)) | shares | worst), $seconds]
    | join("|")' "$report" 2>/dev/null); then
    row="$name|-|-|NO|-|-|$seconds"
  fi
  case $row in *"|NO|"*) failed=1 ;; esac
  table+=$'\n'$row
done <"$runs"
echo
column -t -s '|' <<<"$table"
if [ "$failed" -eq 0 ]; then
  echo "portability: all of ${asked[*]} passed in $SECONDS s"
else
  echo "portability: FAILED; the reports and what was printed are in target/portability"
fi
exit "$failed"
