#!/usr/bin/env bash
# Makes sure that this machine can build and run impasto: a Vulkan loader, a Vulkan driver, a C linker.
#
# usage: ensure-vulkan.sh
#
# Silent when nothing is missing. Otherwise says what it installs, and installs it with the system's package manager.
# Without a GPU the software driver does all the work, and before Mesa 25 it is about thirty times slower. Where the system
# has an older one, or none and no root rights to install one, a newer one is unpacked beside it, in the user's cache (see
# driver-beside.sh): apt fetches its packages, from backports on Debian 12, and nothing of the system changes.
# macOS and Windows bring their own graphics interface (Metal, DirectX 12). Exit code 0: ready; 1: something is missing
# still, and the last lines say what to do.
set -euo pipefail

say() { printf 'ensure-vulkan: %s\n' "$*" >&2; }
die() {
  printf 'error: %s\n' "$1" >&2
  shift
  if [ $# -gt 0 ]; then printf '%s\n' "$@" >&2; fi
  exit 1
}

if [ $# -gt 0 ]; then
  echo "usage: ensure-vulkan.sh" >&2
  exit 2
fi

# Some containers start without it.
HOME=${HOME:-/root}

# shellcheck source=scripts/driver-beside.sh
. "$(dirname "${BASH_SOURCE[0]}")/driver-beside.sh"

# ---- what is there

have_linker() { command -v cc >/dev/null 2>&1; }

have_loader() {
  local ldconfig file
  if have_driver_beside && [ -e "$driver_beside/lib/libvulkan.so.1" ]; then return 0; fi
  for ldconfig in ldconfig /sbin/ldconfig /usr/sbin/ldconfig; do
    # Read to the end: a grep that stops early would break the pipe, and pipefail would call that a failure.
    if "$ldconfig" -p 2>/dev/null | grep 'libvulkan\.so\.1' >/dev/null; then return 0; fi
  done
  local IFS=:
  for file in ${LD_LIBRARY_PATH:-}; do
    if [ -e "$file/libvulkan.so.1" ]; then return 0; fi
  done
  for file in /usr/lib/libvulkan.so.1 /usr/lib64/libvulkan.so.1 /usr/local/lib/libvulkan.so.1 \
    /usr/lib/*-linux-*/libvulkan.so.1 /lib/*-linux-*/libvulkan.so.1 /run/opengl-driver/lib/libvulkan.so.1; do
    if [ -e "$file" ]; then return 0; fi
  done
  return 1
}

# The manifests of drivers that the loader reads, one on each line.
driver_manifests() {
  local folder file
  local IFS=:
  # The variables of the loader replace its folders.
  local named=${VK_DRIVER_FILES:-${VK_ICD_FILENAMES:-}}
  local -a files=()
  if [ -n "$named" ]; then
    for file in $named; do
      if [ -d "$file" ]; then files+=("$file"/*.json); else files+=("$file"); fi
    done
  else
    for folder in "${XDG_CONFIG_HOME:-$HOME/.config}" ${XDG_CONFIG_DIRS:-/etc/xdg} /etc /usr/local/etc \
      "${XDG_DATA_HOME:-$HOME/.local/share}" ${XDG_DATA_DIRS:-/usr/local/share:/usr/share} /usr/local/share /usr/share \
      /run/opengl-driver/share; do
      files+=("$folder"/vulkan/icd.d/*.json)
    done
  fi
  for file in ${files[@]+"${files[@]}"}; do
    if [ -e "$file" ]; then printf '%s\n' "$file"; fi
  done
}

# A driver that would find a device here: a software driver always does, a hardware driver where there is a GPU.
have_driver() {
  local file
  if ! have_gpu && have_driver_beside; then return 0; fi
  while read -r file; do
    case ${file##*/} in
      *lvp* | *lavapipe* | *swiftshader*) return 0 ;;
      *) if have_gpu; then return 0; fi ;;
    esac
  done < <(driver_manifests)
  return 1
}

# The version of the Mesa whose software driver the loader would take, such as 22.3.6; nothing where there is none.
software_mesa() {
  local manifest library folder
  while read -r manifest; do
    case ${manifest##*/} in *lvp* | *lavapipe*) ;; *) continue ;; esac
    library=$(sed -n 's/.*"library_path": *"\(.*\)".*/\1/p' "$manifest" | sed -n 1p)
    case $library in
      /*) ;;
      *)
        for folder in /usr/lib/*-linux-* /usr/lib64 /usr/lib; do
          if [ -e "$folder/${library##*/}" ]; then library=$folder/${library##*/} && break; fi
        done
        ;;
    esac
    # The text is part of the name that the driver gives itself.
    if [ -r "$library" ]; then
      grep -a -o 'Mesa [0-9][0-9]*\.[0-9][0-9.]*' "$library" | sed -n '1s/Mesa //p'
      return 0
    fi
  done < <(driver_manifests)
}

# The first number of a version: 25 of 25.0.7.
is_fast() { [ "${1%%.*}" -ge 25 ] 2>/dev/null; }

# Whether the work would be done by a software driver that is slow or is not there.
wants_driver_beside() {
  if have_gpu || have_driver_beside || [ -n "${VK_DRIVER_FILES:-}${VK_ICD_FILENAMES:-}" ]; then return 1; fi
  local version
  version=$(software_mesa)
  if is_fast "$version"; then return 1; fi
  if [ -z "$version" ] && have_driver; then return 1; fi
}

# ---- systems where nothing is installed

case $(uname -s) in
  Linux) ;;
  Darwin)
    if ! xcode-select -p >/dev/null 2>&1; then
      die "a C linker is needed to build impasto; install Apple's command line tools:" "  xcode-select --install"
    fi
    exit 0
    ;;
  MINGW* | MSYS* | CYGWIN*) exit 0 ;;
  *)
    if have_linker && have_loader && have_driver; then exit 0; fi
    die "no Vulkan loader and driver, or no C linker, and no recipe for $(uname -s)" \
      "Install a Vulkan loader, Mesa's Vulkan drivers and a C compiler with the system's package manager."
    ;;
esac

# ---- Linux

# os-release gives ID and VERSION_CODENAME of the distribution.
# shellcheck source=/dev/null
distribution=$(. /etc/os-release 2>/dev/null && printf '%s %s' "${ID:-}" "${VERSION_CODENAME:-}") || distribution=

sudo=()
can_install=yes
if [ "$(id -u)" -ne 0 ]; then
  if command -v sudo >/dev/null 2>&1; then sudo=(sudo); else can_install=no; fi
fi

# as_root COMMAND...: runs it, or says what has to be run and gives up.
as_root() {
  if [ "$can_install" = no ]; then
    die "root rights are needed to install ${missing[*]}, and there is no sudo. As root, run:" "  $*"
  fi
  ${sudo[@]+"${sudo[@]}"} "$@" </dev/null >&2
}

# PCI vendors of the GPUs here, for package managers that have one package for each.
has_gpu_of() {
  local vendor
  for vendor in /sys/class/drm/renderD*/device/vendor; do
    if [ -r "$vendor" ] && [ "$(cat "$vendor")" = "$1" ]; then return 0; fi
  done
  return 1
}
amd=0x1002
intel=0x8086
nvidia=0x10de

# apt-get's hundreds of lines are shown only when it fails.
apt_get() {
  local output
  if ! output=$(as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 "$@" 2>&1); then
    printf '%s\n' "$output" >&2
    return 1
  fi
}
apt_install() { apt_get install --yes --no-install-recommends "$@"; }

# backports_source APT: the entry of Debian's own archive with the suite bookworm-backports in place of its suites: same
# mirror, same key, same options. Prints the name of a file of sources and its text, and nothing where APT, a command like
# apt-get, knows the suite already.
backports_source() {
  local suite=bookworm-backports entry file number text
  if "$1" indextargets --format "\$(RELEASE)" "Created-By: Packages" | grep -x "$suite" >/dev/null; then return 0; fi
  # apt names the entry as FILE:NUMBER; NUMBER counts lines in a .list and paragraphs in a .sources.
  entry=$("$1" indextargets --format "\$(SOURCESENTRY)" "Created-By: Packages" "Origin: Debian" "Label: Debian" \
    "Codename: bookworm" "Component: main" | sed -n 1p)
  if [ -z "$entry" ]; then
    say "apt knows no source of Debian bookworm"
    return 1
  fi
  file=${entry%:*}
  number=${entry##*:}
  case $file in
    *.sources)
      text=$(grep -v '^#' "$file" | awk -v want="$number" -v suite="$suite" '
        BEGIN { RS = "" }
        NR == want {
          print "Types: deb\nSuites: " suite "\nComponents: main"
          fields = split($0, line, "\n")
          for (i = 1; i <= fields; i++) {
            if (line[i] !~ /^[ \t]/) name = tolower(substr(line[i], 1, index(line[i], ":") - 1))
            if (name == "suites" || name == "types" || name == "components") continue
            print line[i]
          }
        }')
      ;;
    *)
      text=$(awk -v want="$number" -v suite="$suite" '
        NR == want {
          sub(/#.*/, "")
          # "deb [options] URI suite components": the options may hold spaces.
          options = ""
          if (match($0, /\[[^]]*\]/)) { options = substr($0, RSTART, RLENGTH) " "; sub(/\[[^]]*\]/, " ") }
          split($0, word)
          print "deb " options word[2] " " suite " main"
        }' "$file")
      ;;
  esac
  if [ -z "$text" ]; then
    say "cannot read the entry of Debian's archive in $file"
    return 1
  fi
  printf 'impasto-backports.%s\n# Added by impasto for a newer Mesa; remove the file to undo it.\n%s\n' "${file##*.}" "$text"
}

# ---- a driver beside the system's

# apt-get with lists, sources and packages of its own under $beside: no rights are needed, and the system's stay as they are.
apt_beside() {
  local output
  if ! output=$(apt-get -qq -o Dir::State="$beside/state" -o Dir::State::status=/var/lib/dpkg/status \
    -o Dir::Cache="$beside/cache" -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$beside/sources" \
    -o Debug::NoLocking=true -o APT::Sandbox::User="$(id -un)" "$@" 2>&1 </dev/null); then
    printf '%s\n' "$output" >&2
    return 1
  fi
  printf '%s\n' "$output"
}

# Unpacks Mesa's software driver with what it needs and the system does not have. Fails where apt has no recent one; that
# is noted, and asked again after a week.
unpack_driver_beside() {
  local beside file source packages libraries version target=()
  command -v apt-get >/dev/null 2>&1 && command -v dpkg-deb >/dev/null 2>&1 && [ -n "$driver_beside" ] || return 1
  if [ -n "$(find "$driver_beside.none" -mtime -7 2>/dev/null)" ]; then return 1; fi
  mkdir -p "${driver_beside%/*}" 2>/dev/null || return 1
  beside=$(mktemp -d "${driver_beside%/*}/mesa.XXXXXX") || return 1
  # Whatever ends this, nothing half done is left.
  # shellcheck disable=SC2064
  trap "rm -rf '$beside'" EXIT
  mkdir -p "$beside"/state/lists/partial "$beside"/cache/archives/partial "$beside"/sources "$beside"/debs "$beside"/root \
    "$beside"/mesa/lib
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
    if [ -r "$file" ]; then cp "$file" "$beside/sources/"; fi
  done
  say "fetching a newer software driver, to be unpacked beside the system's in $driver_beside"
  apt_beside update >/dev/null || return 1
  if [ "$distribution" = "debian bookworm" ]; then
    source=$(backports_source apt_beside) || return 1
    if [ -n "$source" ]; then
      printf '%s\n' "${source#*$'\n'}" >"$beside/sources/${source%%$'\n'*}"
      apt_beside update >/dev/null || return 1
    fi
    target=(--target-release bookworm-backports)
  fi
  # What would be installed, as NAME=VERSION; the system's own newer packages are not asked for.
  packages=$(apt_beside --simulate --no-install-recommends ${target[@]+"${target[@]}"} install mesa-vulkan-drivers libvulkan1 |
    sed -n 's/^Inst \([^ ]*\) .*(\([^ ]*\) .*/\1=\2/p') || return 1
  version=$(printf '%s\n' "$packages" | sed -n 's/^mesa-vulkan-drivers=\([0-9]*:\)*//p')
  if ! is_fast "$version"; then
    say "the distribution has no newer one"
    : >"$driver_beside.none"
    return 1
  fi
  # apt-get downloads to the working folder.
  # shellcheck disable=SC2086
  (cd "$beside/debs" && apt_beside download $packages) >/dev/null || return 1
  for file in "$beside"/debs/*.deb; do dpkg-deb -x "$file" "$beside/root" || return 1; done
  # The C library is the system's: another one cannot be loaded beside it.
  libraries=$(find "$beside/root" \( -name '*.so' -o -name '*.so.*' \) -path '*/lib/*' -not -path '*/dri/*' \
    -not -name 'libc.so*' -not -name 'ld-linux*' -not -name 'libm.so*' -not -name 'libvulkan_[!l]*' -not -path '*/gconv/*')
  while read -r file; do mv "$file" "$beside/mesa/lib/"; done <<<"$libraries"
  file=$(find "$beside/root" -name 'lvp_icd*.json' | sed -n 1p)
  [ -n "$file" ] && [ -e "$beside/mesa/lib/libvulkan_lvp.so" ] || return 1
  if LD_LIBRARY_PATH=$beside/mesa/lib ldd "$beside/mesa/lib/libvulkan_lvp.so" 2>&1 | grep 'not found' >&2; then
    say "the newer driver does not fit this system"
    return 1
  fi
  sed "s|\(\"library_path\": *\"\).*\"|\1$driver_beside/lib/libvulkan_lvp.so\"|" "$file" >"$beside/mesa/icd.json"
  rm -rf "$driver_beside"
  mv "$beside/mesa" "$driver_beside"
  say "Mesa $version is ready there"
}

with_apt() {
  local packages=()
  if ! have_loader; then packages+=(libvulkan1); fi
  if ! have_driver; then packages+=(mesa-vulkan-drivers); fi
  if ! have_linker; then packages+=(gcc libc6-dev); fi
  if [ ${#packages[@]} -eq 0 ]; then return 0; fi
  if [ "$can_install" = no ]; then
    as_root "apt-get update && apt-get install --yes --no-install-recommends ${packages[*]}"
  fi
  say "installing with apt-get: ${packages[*]}"
  apt_get update || say "apt-get update reports errors; going on"
  apt_install "${packages[@]}"
}

with_dnf() {
  local packages=(vulkan-loader mesa-vulkan-drivers)
  if ! have_linker; then packages+=(gcc glibc-devel); fi
  say "installing with dnf: ${packages[*]}"
  as_root dnf install --assumeyes --setopt=install_weak_deps=False "${packages[@]}"
}

with_pacman() {
  local packages=(vulkan-icd-loader vulkan-swrast)
  if has_gpu_of $amd; then packages+=(vulkan-radeon); fi
  if has_gpu_of $intel; then packages+=(vulkan-intel); fi
  if ! have_linker; then packages+=(gcc); fi
  say "installing with pacman: ${packages[*]}"
  # Without -y: a refreshed list with an old system is a partial upgrade, which Arch does not support.
  as_root pacman -S --needed --noconfirm "${packages[@]}" ||
    die "pacman could not install them; bring the system up to date and try again:" "  pacman -Syu ${packages[*]}"
}

with_zypper() {
  local packages=(libvulkan1 libvulkan_lvp)
  if has_gpu_of $amd; then packages+=(libvulkan_radeon); fi
  if has_gpu_of $intel; then packages+=(libvulkan_intel); fi
  if ! have_linker; then packages+=(gcc glibc-devel); fi
  say "installing with zypper: ${packages[*]}"
  as_root zypper --non-interactive install --no-recommends "${packages[@]}"
}

with_apk() {
  local packages=(vulkan-loader mesa-vulkan-swrast)
  if has_gpu_of $amd; then packages+=(mesa-vulkan-ati); fi
  if has_gpu_of $intel; then packages+=(mesa-vulkan-intel); fi
  if ! have_linker; then packages+=(gcc musl-dev); fi
  say "installing with apk: ${packages[*]}"
  as_root apk add "${packages[@]}"
}

# A recent driver from the distribution comes with the package manager, where there are the rights for it.
distribution_has_a_recent_mesa() {
  [ "$can_install" = yes ] && [ "$distribution" != "debian bookworm" ] && [ -z "$(software_mesa)" ]
}
if wants_driver_beside && ! distribution_has_a_recent_mesa; then
  unpack_driver_beside || say "going on without a newer software driver"
fi

missing=()
if ! have_loader; then missing+=("the Vulkan loader"); fi
if ! have_driver; then missing+=("a Vulkan driver"); fi
if ! have_linker; then missing+=("a C linker"); fi
if [ ${#missing[@]} -eq 0 ]; then exit 0; fi
if [ ${#missing[@]} -gt 0 ]; then
  # Joined with commas.
  list=$(printf ', %s' "${missing[@]}")
  missing=("${list:2}")
  say "missing: ${missing[*]}"
else
  missing=("a newer Mesa")
fi

installer=
for candidate in apt-get dnf pacman zypper apk; do
  if command -v "$candidate" >/dev/null 2>&1; then
    installer=$candidate
    break
  fi
done
case $installer in
  apt-get) with_apt || say "apt-get failed" ;;
  dnf) with_dnf || say "dnf failed" ;;
  pacman) with_pacman || say "pacman failed" ;;
  zypper) with_zypper || say "zypper failed" ;;
  apk) with_apk || say "apk failed" ;;
  *)
    die "missing: ${missing[*]}, and none of apt-get, dnf, pacman, zypper, apk is here to install it" \
      "Install a Vulkan loader, Mesa's Vulkan drivers and a C compiler, then try again."
    ;;
esac

if has_gpu_of $nvidia && [ ! -e /dev/nvidia0 ]; then
  say "there is an NVIDIA GPU without NVIDIA's driver; install that driver to use it"
fi
still_missing() { die "$1 is still missing; the lines above say what the package manager refused"; }
have_linker || still_missing "a C linker (cc)"
have_loader || still_missing "the Vulkan loader (libvulkan.so.1)"
have_driver || still_missing "a Vulkan driver for this machine"
say "ready"
