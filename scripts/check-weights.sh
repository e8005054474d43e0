#!/usr/bin/env bash
# Whole-size files of VGG-19 in every format that is read, made by the programs that they come from: the costs of a picture
# must be those with the weights in the program, by each of them and by what `impasto weights convert` makes of it.
#
# usage: check-weights.sh [PYTHON]
#   PYTHON   a Python with numpy and safetensors, and with torch, scipy and h5py for their files; python3 without it
#
# Files of what is not installed are not checked, which is said. Takes 3 GB of disk for a while.
set -euo pipefail

python=${1:-${IMPASTO_PYTHON:-python3}}
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if ! "$python" -c "import numpy, safetensors" 2>/dev/null; then
  echo "check-weights: $python has no numpy and safetensors: whole-size weights are NOT checked"
  exit
fi
cargo build --locked
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export IMPASTO_CACHE=

# costs OUT [WEIGHTS]: those of the fixtures in the preset of the course, before the first step.
costs() {
  target/debug/impasto tests/fixtures/content-97x75.png tests/fixtures/style-90x64.png -o "$folder/out.png" --quiet \
    --preset course --steps 0 --algorithm direct --trace "$1" ${2:+--weights "$2"}
}

costs "$folder/wanted.jsonl"
names=$("$python" scripts/make_weights.py "$folder")
for name in $names; do
  target/debug/impasto weights inspect "$folder/$name" | sed -n '2,7p'
  costs "$folder/found.jsonl" "$folder/$name"
  target/debug/impasto weights convert "$folder/$name" "$folder/converted"
  costs "$folder/converted.jsonl" "$folder/converted"
  "$python" - "$name" "$folder"/{wanted,found,converted}.jsonl <<'END'
import json, sys
name, wanted, *others = sys.argv[1:]
wanted = json.loads(open(wanted).readline())
for file in others:
    found = json.loads(open(file).readline())
    for key in ("total", "content", "style"):
        error = abs(found[key] / wanted[key] - 1)
        # torchvision's mean is not Caffe's: 123.675, 116.28, 103.53.
        assert error < (2e-2 if name.startswith("torchvision") else 1e-6), (name, file, key, found[key], wanted[key])
print(f"check-weights: {name} is the same network")
END
  rm "$folder/$name"
done
