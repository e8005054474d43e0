let h = (params.h + 3u) / 4u;
let w = (params.w + COLUMNS - 1u) / COLUMNS;
if (group >= slice.end || i >= params.channels * params.h * w) {
    return;
}
let block = i % w;
let line = i / w;
