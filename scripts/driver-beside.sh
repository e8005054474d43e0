# shellcheck shell=bash
# Mesa's software driver beside the system's: in the user's cache, where ensure-vulkan.sh unpacks it and where `impasto`
# finds it (src/cli/software_driver.rs). Source this, then call use_driver_beside before programs that use Vulkan and are
# not the command, such as tests.

# Empty where there is no cache.
driver_beside=
if [ -n "${XDG_CACHE_HOME:-${HOME:-}}" ]; then driver_beside=${XDG_CACHE_HOME:-$HOME/.cache}/impasto/mesa; fi

have_gpu() {
  local node
  for node in /dev/dri/renderD* /dev/nvidia0 /dev/dxg; do
    if [ -e "$node" ]; then return 0; fi
  done
  return 1
}

have_driver_beside() { [ -n "$driver_beside" ] && [ -e "$driver_beside/icd.json" ]; }

# Without a GPU, and where no driver is named yet.
use_driver_beside() {
  if have_gpu || ! have_driver_beside || [ -n "${VK_DRIVER_FILES:-}${VK_ICD_FILENAMES:-}" ]; then return 0; fi
  # Loaders older than 1.3.207 know only the second name.
  export VK_DRIVER_FILES=$driver_beside/icd.json VK_ICD_FILENAMES=$driver_beside/icd.json
  export LD_LIBRARY_PATH=$driver_beside/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
}
