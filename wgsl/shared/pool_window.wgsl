// The window of element i of the pooled tensor: its first cell in x, and whether there is one to the right and below.
let h = (params.h + 1u) / 2u;
let w = (params.w + 1u) / 2u;
if (group >= slice.end || i >= params.channels * h * w) {
    return;
}
let col = 2u * (i % w);
let row = 2u * (i / w % h);
let channel = i / (w * h);
let corner = ((params.x_first + channel) * params.h + row) * params.w + col;
let right = col + 1u < params.w;
let below = row + 1u < params.h;
