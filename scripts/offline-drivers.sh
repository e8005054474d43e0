#!/usr/bin/env bash
# Mesa's drivers for GPUs that are not here, unpacked in a folder: with stand-ins for the kernel's drivers (mesa-drm-shim),
# and with the C library that they were built for. Compiling is real, and running is not: no submission is ever seen to
# end.
#
# usage: offline-drivers.sh fetch [ARCHITECTURE]
#        offline-drivers.sh run CHIP COMMAND...
#   fetch   from the suite trixie-backports of the mirror of Debian that apt uses: 61 MB, 300 MB unpacked, below
#           target/tools. Needs no root rights, and changes nothing of the system. Silent when it was done before.
#           Exit code 3: it cannot be had here.
#   run     runs COMMAND as if there were this GPU and no other
#   CHIP    amdgpu:NAME         polaris10 vega10 vega20 raven renoir navi10 navi21 vangogh rembrandt navi31 navi33 phoenix
#                               strix1 gfx1201
#           nouveau:NUMBER      0x162 to 0x168 Turing, 0x172 to 0x177 Ampere
#           asahi               Apple's M1
#           freedreno:NUMBER    618 630 660 702 730 740 750 810 830
#           panfrost:NUMBER     7212 a867, with ARCHITECTURE arm64; as is
#           powervr
#
# Where ARCHITECTURE is not the machine's, set QEMU to an emulator of its programs, such as qemu-aarch64-static; COMMAND is
# then a program of that architecture.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
usage() {
  sed -n '6,7s/^# //p' "${BASH_SOURCE[0]}" >&2
  exit 2
}
say() { printf 'offline-drivers: %s\n' "$*" >&2; }
none() {
  say "$*"
  exit 3
}

folder_of() { printf '%s/tools/mesa-offline-%s' "$(realpath -m "${CARGO_TARGET_DIR:-target}")" "$1"; }
machine=$(dpkg --print-architecture 2>/dev/null) || machine=

fetch() {
  local architecture=${1:-$machine} folder mirror suite package apt
  if [ -z "$architecture" ] || ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg-deb >/dev/null 2>&1; then
    none "these are packages of Debian, and there is no apt-get here"
  fi
  folder=$(folder_of "$architecture")
  if [ -d "$folder" ]; then return 0; fi
  mirror=$(apt-get indextargets --format "\$(REPO_URI)" 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | sed -n 1p)
  if [ -z "$mirror" ]; then none "apt knows no mirror of Debian; run apt-get update"; fi
  say "unpacking Mesa's drivers for GPUs that are not here in $folder"
  rm -rf "$folder.part"
  mkdir -p "$folder.part"/{lists/partial,cache/archives/partial,root}
  for suite in trixie trixie-backports; do
    echo "deb [arch=$architecture signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main"
  done >"$folder.part/sources.list"
  # An empty status: everything that the packages need is fetched, the C library too.
  : >"$folder.part/status"
  apt=(apt-get -qq -o APT::Architecture="$architecture" -o APT::Architectures="$architecture"
    -o Dir::Etc::sourcelist="$folder.part/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o Dir::Etc::preferencesparts=/dev/null -o Dir::State="$folder.part" -o Dir::State::lists="$folder.part/lists"
    -o Dir::State::status="$folder.part/status" -o Dir::Cache="$folder.part/cache" -o APT::Sandbox::User=
    -o Debug::NoLocking=1 -o Acquire::Languages=none)
  "${apt[@]}" update </dev/null >&2 || none "apt-get cannot read the lists of $mirror"
  "${apt[@]}" install --yes --download-only --no-install-recommends -t trixie-backports \
    mesa-vulkan-drivers mesa-drm-shim libvulkan1 libgcc-s1 </dev/null >/dev/null || none "apt-get cannot fetch the packages"
  for package in "$folder.part"/cache/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$package" |
      tar -x -C "$folder.part/root" --exclude='./usr/share/doc' --exclude='./usr/share/locale'
  done
  ln -sfn usr/lib "$folder.part/root/lib"
  rm -rf "$folder.part/cache" "$folder.part/lists"
  mv "$folder.part" "$folder"
}

run() {
  local stand_in=${1%%:*} chip=${1#*:} architecture=$machine root libraries loader driver variable
  shift
  # The command would start itself anew to switch Mesa's layer off.
  local variables=(IMPASTO_CACHE= MESA_SHADER_CACHE_DISABLE=true VK_LOADER_LAYERS_DISABLE='~implicit~' NODEVICE_SELECT=1)
  case $stand_in in
    amdgpu) driver=radeon variables+=(AMDGPU_GPU_ID="$chip") ;;
    nouveau) driver=nouveau variables+=(NOUVEAU_CHIPSET="$chip") ;;
    asahi) driver=asahi ;;
    freedreno) driver=freedreno variables+=(FD_GPU_ID="$chip") ;;
    panfrost) driver=panfrost variables+=(PAN_GPU_ID="$chip" PAN_I_WANT_A_BROKEN_VULKAN_DRIVER=1) ;;
    powervr) driver=powervr_mesa ;;
    *) usage ;;
  esac
  if [ -n "${QEMU:-}" ]; then architecture=${QEMU##*qemu-} architecture=${architecture%-static}; fi
  if [ "$architecture" = aarch64 ]; then architecture=arm64; fi
  root=$(folder_of "$architecture")/root
  if [ ! -d "$root" ]; then
    say "there are no drivers in $root; run: scripts/offline-drivers.sh fetch $architecture"
    exit 1
  fi
  libraries=$(echo "$root"/usr/lib/*-linux-gnu)
  loader=$(echo "$libraries"/ld-linux-*.so.*)
  variable=$root/usr/share/vulkan/icd.d/${driver}_icd.json
  variables+=(VK_DRIVER_FILES="$variable" VK_ICD_FILENAMES="$variable")
  stand_in=$libraries/lib${stand_in}_noop_drm_shim.so
  if [ -n "${QEMU:-}" ]; then
    variables+=(LD_PRELOAD="$stand_in" LD_LIBRARY_PATH="$libraries")
    local set=()
    for variable in "${variables[@]}"; do set+=(-E "$variable"); done
    exec "$QEMU" -L "$root" "${set[@]}" "$@"
  fi
  # The program was linked for an older C library, which the newer one stands in for.
  exec env "${variables[@]}" "$loader" --library-path "$libraries" --preload "$stand_in" "$@"
}

case ${1:-} in
  fetch)
    [ $# -le 2 ] || usage
    shift
    fetch "$@"
    ;;
  run)
    [ $# -ge 3 ] || usage
    shift
    run "$@"
    ;;
  *) usage ;;
esac
