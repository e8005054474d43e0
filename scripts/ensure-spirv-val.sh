#!/usr/bin/env bash
# Makes sure that spirv-val is here, with which tests/shaders.rs validates what Vulkan drivers get to see of the kernels.
#
# usage: ensure-spirv-val.sh
#
# Silent when it is. Otherwise installs the package spirv-tools with the system's package manager, and says so. Exit code
# 0: ready; 1: it cannot be had here, and the last lines say what to do.
set -euo pipefail

say() { printf 'ensure-spirv-val: %s\n' "$*" >&2; }

if [ $# -gt 0 ]; then
  echo "usage: ensure-spirv-val.sh" >&2
  exit 2
fi

have_spirv_val() { command -v spirv-val >/dev/null 2>&1; }
if have_spirv_val; then exit 0; fi

package=spirv-tools
installer=
for candidate in apt-get dnf pacman zypper apk brew; do
  if command -v "$candidate" >/dev/null 2>&1; then
    installer=$candidate
    break
  fi
done

# Homebrew refuses to be run as root; the others need it.
sudo=()
if [ -n "$installer" ] && [ "$installer" != brew ] && [ "$(id -u)" -ne 0 ]; then
  if command -v sudo >/dev/null 2>&1; then
    sudo=(sudo)
  else
    say "root rights are needed to install $package with $installer, and there is no sudo"
    exit 1
  fi
fi

# What a package manager prints is shown only when it fails.
run() {
  local output
  if ! output=$(${sudo[@]+"${sudo[@]}"} "$@" 2>&1 </dev/null); then
    printf '%s\n' "$output" >&2
    return 1
  fi
}

install() {
  case $installer in
    apt-get)
      run env DEBIAN_FRONTEND=noninteractive apt-get -qq update || say "apt-get update reports errors; going on"
      run env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 install --yes \
        --no-install-recommends "$package"
      ;;
    dnf) run dnf install --assumeyes --setopt=install_weak_deps=False "$package" ;;
    pacman) run pacman -S --needed --noconfirm "$package" ;;
    zypper) run zypper --non-interactive install --no-recommends "$package" ;;
    apk) run apk add "$package" ;;
    brew) run brew install --quiet "$package" ;;
  esac
}

if [ -n "$installer" ]; then
  say "installing with $installer: $package"
  install || say "$installer failed"
fi
if have_spirv_val; then
  say "ready"
  exit 0
fi
say "spirv-val is not here and could not be installed; it is part of the package $package and of the Vulkan SDK"
exit 1
