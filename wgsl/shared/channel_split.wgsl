// The cell of thread i and the channels that it adds up.
let i = group * WORKGROUP + lane;
if (group >= slice.end || i >= params.cells * params.splits) {
    return;
}
let cell = i % params.cells;
let begin = i / params.cells * params.split_channels;
let end = min(begin + params.split_channels, params.channels);
