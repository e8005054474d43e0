#!/usr/bin/env bash
# Runs all tests, as many test programs at a time as there are processors.
#
# usage: run-tests.sh [OPTION OF CARGO]...
#   such as --features slow-tests
#
# `cargo test` runs one test program after the other, and much of the time they wait for the device or for the only test
# that is left. Each program is run by `cargo test --test NAME` here, so it is given what it always is. Its output is printed
# when it ends. All are run, whatever fails; exit code 1: one failed, and the last line names it.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# The longest, which are begun first.
longest="kernels cli golden"

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
say() { printf 'run-tests: %s\n' "$*"; }

say "building"
cargo test --locked "$@" --no-run 2>&1 | tee "$logs/build"
# Cargo names what it has built: of tests/ that whose features are all there.
sed -n 's|^ *Executable tests/\([a-z0-9_]*\)\(/main\)\{0,1\}\.rs (.*|\1|p' "$logs/build" >"$logs/found"
sed -n 's|^ *Executable unittests examples/\([a-z0-9_]*\)\(/main\)\{0,1\}\.rs (.*|\1|p' "$logs/build" >"$logs/examples"
if [ ! -s "$logs/found" ]; then
  say "cargo names no test program; have its messages changed?"
  exit 1
fi

# run_one NAME OPTION...: a program of tests/, or "units" or "documentation".
run_one() {
  local name=$1 target example started=$SECONDS verdict=passed
  shift
  case $name in
    units)
      target=(--lib --bins)
      # Those that have tests; others are built alone.
      while read -r example; do target+=(--example "$example"); done <"$logs/examples"
      ;;
    documentation) target=(--doc) ;;
    *) target=(--test "$name") ;;
  esac
  if ! cargo test --locked "$@" "${target[@]}" >"$logs/$name.log" 2>&1; then
    verdict=FAILED
    echo "$name" >>"$logs/failed"
  fi
  printf 'run-tests: %s %s, %s s\n' "$name" "$verdict" "$((SECONDS - started))" >>"$logs/$name.log"
  # In one piece, though others print too.
  cat "$logs/$name.log"
}
export -f run_one
export logs

{
  for name in $longest; do grep -x "$name" "$logs/found" || true; done
  grep -vx -e "${longest// /$'\n'}" "$logs/found" || true
  printf '%s\n' units documentation
} | xargs -P "$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)" -I '{}' bash -c 'run_one "$@"' run-tests '{}' "$@"

if [ -e "$logs/failed" ]; then
  say "FAILED: $(sort "$logs/failed" | tr '\n' ' ')"
  exit 1
fi
say "all $(grep -c . "$logs/found") programs of tests/ passed, and the units and the documentation"
