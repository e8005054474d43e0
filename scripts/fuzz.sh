#!/usr/bin/env bash
# Fuzzes the parsers, from the corpus that is kept, and says what came of it.
#
# usage: fuzz.sh [--keep] [TARGET… [RUNS]]
#        fuzz.sh --add TARGET FILE…
#   TARGET   picture, weights, checkpoint, choices or text; all without one
#   RUNS     inputs for each target; 1000000 without it
#   --keep   take what is new into the corpus that is kept, as few and as small inputs as cover the same
#   --add    take these files into the corpus that is kept, under their names, and run nothing
#
# Installs cargo-fuzz if it is missing. Works with a stable compiler. What is kept is fuzz/corpus/TARGET.tar.gz; it is
# unpacked to fuzz/work/TARGET.kept/. What is found meanwhile lies in fuzz/work/TARGET/, inputs that fail in
# fuzz/artifacts/. fuzz/README.md has bounds and figures.
set -euo pipefail
called=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD

all=(picture weights checkpoint choices text)

# unpack TARGET: what is kept for it, into fuzz/work/TARGET.kept.
unpack() {
  rm -rf "fuzz/work/$1.kept"
  mkdir -p "fuzz/work/$1.kept"
  tar -xzf "fuzz/corpus/$1.tar.gz" -C "fuzz/work/$1.kept"
}

# pack TARGET FOLDER: keeps the files of the folder. The archive depends on nothing but their names and contents.
pack() {
  # Only GNU's tar writes it so; where it is not the system's, it is called gtar.
  local tar=tar
  if command -v gtar >/dev/null 2>&1; then tar=gtar; fi
  if ! "$tar" --version 2>/dev/null | grep GNU >/dev/null; then
    echo "error: GNU tar is needed to pack the corpus; the files are in $2" >&2
    exit 1
  fi
  (
    shopt -s nullglob
    export LC_ALL=C
    cd "$2"
    "$tar" --format=ustar --owner=0 --group=0 --numeric-owner --mtime=@0 --mode=0644 -cf - -- * | gzip -9n
  ) >"fuzz/work/$1.tar.gz"
  mv "fuzz/work/$1.tar.gz" "fuzz/corpus/$1.tar.gz"
  echo "fuzz: $1 keeps $(find "$2" -type f | wc -l) inputs"
}

if [ "${1:-}" = --add ]; then
  if [ $# -lt 3 ] || [ ! -e "fuzz/corpus/$2.tar.gz" ]; then
    echo "usage: fuzz.sh --add TARGET FILE…" >&2
    exit 2
  fi
  unpack "$2"
  # Relative paths count from the folder in which the script was called.
  (cd "$called" && cp -- "${@:3}" "$root/fuzz/work/$2.kept/")
  pack "$2" "fuzz/work/$2.kept"
  exit
fi

targets=()
runs=1000000
keep=no
for argument in "$@"; do
  case $argument in
    --keep) keep=yes ;;
    picture | weights | checkpoint | choices | text) targets+=("$argument") ;;
    *[!0-9]* | '')
      echo "usage: fuzz.sh [--keep] [${all[*]}] [RUNS]" >&2
      exit 2
      ;;
    *) runs=$argument ;;
  esac
done
if [ ${#targets[@]} -eq 0 ]; then targets=("${all[@]}"); fi

if ! command -v cargo >/dev/null 2>&1; then PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin; fi
if ! cargo fuzz --version >/dev/null 2>&1; then
  echo "fuzz: installing cargo-fuzz"
  cargo install cargo-fuzz --locked
fi
# The sanitizer and the coverage are unstable options of the compiler, which a stable one has too.
export RUSTC_BOOTSTRAP=1

# The longest inputs, in bytes: long enough for every part of a file, short enough for many per second.
longest() {
  case $1 in
    picture) echo 2048 ;;
    weights) echo 8192 ;;
    checkpoint) echo 4096 ;;
    choices) echo 1024 ;;
    text) echo 64 ;;
  esac
}

# AddressSanitizer looks where other people's `unsafe` is reached, and makes the others ten times slower.
build() {
  case $1 in
    picture) echo "-O --sanitizer address" ;;
    *) echo "-O --sanitizer none --target-dir target/plain" ;;
  esac
}

for target in "${targets[@]}"; do
  read -ra how <<<"$(build "$target")"
  kept=work/$target.kept
  work=work/$target
  mkdir -p "fuzz/$work" "fuzz/artifacts/$target"
  unpack "$target"
  # The targets themselves bound what a parser may hold; this bounds one allocation that none of them asks for.
  options=(-max_len="$(longest "$target")" -timeout=60 -malloc_limit_mb=400 -rss_limit_mb=2048 -print_final_stats=1)
  if [ -f "fuzz/$target.dict" ]; then options+=(-dict="$target.dict"); fi
  echo "fuzz: == $target: $runs inputs"
  # From the folder of the fuzzers, where the paths above lie.
  (cd fuzz && cargo fuzz run "${how[@]}" "$target" "$work" "$kept" -- "${options[@]}" -runs="$runs")
  if [ "$keep" = yes ]; then
    merged=fuzz/work/$target.merged
    rm -rf "$merged"
    mkdir -p "$merged"
    # Few and small inputs that together reach what all do. How often a place is reached does not count here: that
    # would keep ten times as many.
    (cd fuzz && cargo fuzz run "${how[@]}" "$target" "work/$target.merged" "$kept" "$work" -- \
      -set_cover_merge=1 -use_counters=0 "${options[@]}")
    pack "$target" "$merged"
  fi
done
