#!/usr/bin/env bash
# Checks that the library compiles for browsers (wasm32-unknown-unknown), without and with the feature webgpu, without
# warnings. Nothing is linked or run.
#
# usage: check-wasm.sh
#
# Takes the compiler's standard library for that target from rustup, which may have to download it. Where that is not
# possible, takes a compiler with its sources from Debian's packages, unpacked below target/ and not installed, which
# needs no root rights. Exit code 0: it compiles; 1: it does not; 3: the target cannot be had here, nothing was checked.
set -euo pipefail

if [ $# -gt 0 ]; then
  echo "usage: check-wasm.sh" >&2
  exit 2
fi
cd "$(dirname "${BASH_SOURCE[0]}")/.."
say() { printf 'check-wasm: %s\n' "$*"; }

if ! command -v cargo >/dev/null 2>&1; then PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin; fi
target=wasm32-unknown-unknown
build=${CARGO_TARGET_DIR:-target}
folder=$build/tools/rustc-$target
limit=()
if command -v timeout >/dev/null 2>&1; then limit=(timeout 300); fi
options=()

# ---- the compiler that is here

have_target() {
  local sysroot
  sysroot=$(rustc --print sysroot 2>/dev/null) && [ -d "$sysroot/lib/rustlib/$target/lib" ]
}

with_rustup() {
  command -v rustup >/dev/null 2>&1 || return 1
  say "adding the target $target with rustup"
  ${limit[@]+"${limit[@]}"} rustup --quiet target add "$target" </dev/null && have_target
}

# ---- Debian's compiler

# Packages that NAME depends on and whose names have the form PATTERN, a basic regular expression.
depends() { apt-cache depends "$1" 2>/dev/null | sed -n "s/^  Depends: \\($2\\)\$/\\1/p"; }

# Uses the compiler in the folder. It comes without this target's standard library, which is compiled from source; to a
# compiler of a release that is an unstable option.
use_unpacked() {
  LD_LIBRARY_PATH=$(echo "$folder"/usr/lib/*-linux-*)${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
  export LD_LIBRARY_PATH RUSTC=$folder/usr/bin/rustc RUSTC_BOOTSTRAP=1
  options=(-Zbuild-std=std,panic_abort)
  "$RUSTC" --version
}

# update_lists: has apt learn which packages there are, which takes root rights.
update_lists() {
  local sudo=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null 2>&1 || return 1
    sudo=(sudo -n)
  fi
  ${sudo[@]+"${sudo[@]}"} apt-get -qq update </dev/null >/dev/null 2>&1
}

with_debian() {
  command -v apt-get >/dev/null 2>&1 && command -v dpkg >/dev/null 2>&1 || return 1
  local packages archive standard llvm sources
  case $folder in /*) ;; *) folder=$PWD/$folder ;; esac
  if [ ! -d "$folder" ]; then
    if ! apt-cache show rustc-web >/dev/null 2>&1; then update_lists || true; fi
    standard=$(depends libstd-rust-web-dev 'libstd-rust-web-[0-9.]*')
    llvm=$(depends "${standard:-none}" 'libllvm[0-9]*')
    if [ -z "$standard" ] || [ -z "$llvm" ]; then return 1; fi
    packages=(rustc-web rust-web-src libstd-rust-web-dev "$standard" "$llvm")
    # And what the compiler's libraries need that is not installed.
    while read -r archive; do packages+=("$archive"); done < <(
      apt-get --simulate --no-install-recommends install "$llvm" 2>/dev/null |
        sed -n "s/^Inst \\([^ ]*\\) .*/\\1/p" | grep -vx "$llvm"
    )
    say "unpacking below ${folder%/*}: ${packages[*]}"
    rm -rf "$folder.part"
    mkdir -p "$folder.part/packages"
    (cd "$folder.part/packages" && ${limit[@]+"${limit[@]}"} apt-get -qq download "${packages[@]}" </dev/null 2>/dev/null) ||
      return 1
    for archive in "$folder.part/packages"/*.deb; do dpkg -x "$archive" "$folder.part" || return 1; done
    rm -r "$folder.part/packages"
    # Where the compiler looks for the sources of its standard library.
    sources=$(cd "$folder.part/usr/src" && echo rustc-*)
    mkdir -p "$folder.part/usr/lib/rustlib/src"
    ln -sfn "../../../src/$sources" "$folder.part/usr/lib/rustlib/src/rust"
    mv "$folder.part" "$folder"
  fi
  use_unpacked
}

if ! have_target && ! with_rustup && ! with_debian; then
  say "neither rustup nor apt-get has what $target needs: the library was NOT checked for browsers"
  exit 3
fi

# Warnings of the dependencies do not count.
export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS=-Dwarnings
check() {
  say "cargo check $*"
  cargo check ${options[@]+"${options[@]}"} --target-dir "$build/wasm" --target "$target" --locked --lib "$@"
}
check --no-default-features
check --no-default-features --features webgpu
say "the library compiles for $target"
