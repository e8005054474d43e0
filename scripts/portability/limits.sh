#!/usr/bin/env bash
# Paints two steps of 1024x768 with no more of the adapter than WebGPU promises everywhere, and again with all of it, and
# compares costs and pictures. At this size the largest tensors are 192 MiB and bindings 128, so they lie in pieces.
#
# usage: limits.sh [IMPASTO [NAME whole|any [OPTION]...]]
#   IMPASTO   the program; target/debug/impasto where none is named
#   NAME      of the report; limits-1024x768 where none is named
#   whole     only an adapter will do whose bindings hold the largest tensors whole, so that pieces are held against none
#   OPTION    for both paintings, such as shallow layers for a slow adapter
#
# Writes target/portability/NAME.json and the two paintings beside it. Exit code 0 when they agree.
set -euo pipefail

impasto=${1:-${CARGO_TARGET_DIR:-target}/debug/impasto}
report=${2:-limits-1024x768}
wanted=${3:-any}
options=("${@:4}")
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=scripts/portability/common.sh
. scripts/portability/common.sh
need_debian_12
install jq netpbm

folder=$root/$report
steps=2
# What single precision may cost in two steps, as in the golden run.
cost_tolerance=2e-4
# Adam's first steps move a pixel by the learning rate, whichever sign a gradient of almost nothing has; so single pixels
# may differ by some levels, and the mean is compared.
mean_tolerance=0.05
mkdir -p "$folder"
scaled() { pngtopnm "$1" 2>/dev/null | pamscale -xsize 1024 -ysize 768 | pnmtopng 2>/dev/null >"$2"; }
scaled assets/chelsea.png "$folder/content.png"
scaled assets/brush-strokes.png "$folder/style.png"

# paint NAME [OPTION]...
paint() {
  local name=$1
  shift
  rm -f "$folder/$name.jsonl" "$folder/$name.png"
  "$impasto" "$folder/content.png" "$folder/style.png" -o "$folder/$name.png" --size 1024 --steps "$steps" \
    --init content --noise-ratio 0.2 --trace "$folder/$name.jsonl" --plan "$folder/$name.json" \
    ${options[@]+"${options[@]}"} "$@"
}
paint portable --portable
paint full

for name in portable full; do pngtopnm "$folder/$name.png" >"$folder/$name.ppm"; done
# summary KIND: of how much the levels of the two pictures differ.
summary() { pamarith -difference "$folder/portable.ppm" "$folder/full.ppm" | pamsumm "-$1" -brief; }
mean=$(summary mean)
largest=$(summary max)
rm -f "$folder"/*.ppm

"$impasto" devices | sed -n 's/^0: \(.*\) (default)$/\1/p' >"$folder/adapter"
jq -n --slurpfile portable "$folder/portable.jsonl" --slurpfile full "$folder/full.jsonl" --rawfile adapter "$folder/adapter" \
  --slurpfile portable_plan "$folder/portable.json" --slurpfile full_plan "$folder/full.json" --arg wanted "$wanted" \
  --argjson steps "$steps" --argjson mean "$mean" --argjson largest "$largest" \
  --argjson cost_tolerance "$cost_tolerance" --argjson mean_tolerance "$mean_tolerance" '
  def off: (.[0] - .[1]) / .[1] | fabs;
  # Each pair of pieces has its sums of the first Gram matrix made by itself: one dispatch where there are no pieces, and
  # one more that adds them up.
  def gram: [.dispatches[] | select(.layer == "conv1_1" and (.kernel | startswith("gram_forward")))] | length - 1;
  ([range($steps + 1) as $step | "total", "content", "style" | [$portable[$step][.], $full[$step][.]] | off] | max) as $cost
  | {adapter: ($adapter | rtrimstr("\n")), driver: "two steps of 1024x768", backend: "vulkan",
     gram_dispatches: {portable: ($portable_plan[0] | gram), full: ($full_plan[0] | gram)},
     largest_cost_difference: $cost, mean_level_difference: $mean, largest_level_difference: $largest,
     golden: {cost: {share: ($cost / $cost_tolerance)}, picture: {share: ($mean / $mean_tolerance)}},
     pass: (($portable | length) == $steps + 1 and ($full | length) == $steps + 1
       and ($portable_plan[0] | gram) > 1 and ($wanted != "whole" or ($full_plan[0] | gram) == 1)
       and $cost <= $cost_tolerance and $mean <= $mean_tolerance)}
' >"$root/$report.json"
cat "$root/$report.json"
jq -e .pass "$root/$report.json" >/dev/null
