#!/usr/bin/env bash
# Fuzzes the parsers, from the corpus that is kept, and says what came of it.
#
# usage: fuzz.sh [--keep] [TARGET… [RUNS]]
#   TARGET   picture, weights, checkpoint, choices or text; all without one
#   RUNS     inputs for each target; 1000000 without it
#   --keep   take what is new into the corpus that is kept, as few and as small inputs as cover the same
#
# Installs cargo-fuzz if it is missing. Works with a stable compiler. What is found meanwhile lies in fuzz/work/, inputs
# that fail in fuzz/artifacts/. fuzz/README.md has bounds and figures.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

all=(picture weights checkpoint choices text)
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

# The longest inputs, in bytes: long enough for every part of a file, short enough for many a second.
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
  kept=corpus/$target
  work=work/$target
  mkdir -p "fuzz/$kept" "fuzz/$work" "fuzz/artifacts/$target"
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
    rm -rf "fuzz/$kept"
    mv "$merged" "fuzz/$kept"
    echo "fuzz: $target keeps $(find "fuzz/$kept" -type f | wc -l) inputs"
  fi
done
