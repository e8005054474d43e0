#!/usr/bin/env bash
# Runs a Windows program under Wine, on Mesa's software driver.
#
# usage: run.sh PROGRAM.exe [ARGUMENT]...
#
# For example, once build.sh has run:
#   scripts/portability/windows/run.sh target/portability/windows/bin/impasto.exe devices
# Paths may be relative, or absolute in Linux's way while the working folder is not on another drive of Wine.
set -euo pipefail

if [ $# -eq 0 ]; then
  echo "usage: run.sh PROGRAM.exe [ARGUMENT]..." >&2
  exit 2
fi
here=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
# shellcheck source=scripts/portability/common.sh
. scripts/portability/common.sh
need_debian_12
install wine wine64 libvkd3d1 xvfb xauth
scripts/ensure-vulkan.sh

driver=$(lavapipe)
export WINEPREFIX=$root/wine WINEDEBUG=${WINEDEBUG:-fixme-all}
# Microsoft's compiler of shaders before Wine's; no browser and no .NET to be installed into a new prefix.
export WINEDLLOVERRIDES="d3dcompiler_47=n,b;mscoree=;mshtml="
export VK_DRIVER_FILES=$driver VK_ICD_FILENAMES=$driver
cd "$here"
# Wine opens a window for its devices, so there must be a display. Its server is ended before the display, which it would
# complain about.
# The inner shell expands them.
# shellcheck disable=SC2016
exec xvfb-run --auto-servernum --server-args="-screen 0 640x480x24 -nolisten tcp" \
  sh -c 'wine "$@"; code=$?; wineserver-stable -k; exit $code' wine "$@"
