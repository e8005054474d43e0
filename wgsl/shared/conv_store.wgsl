fn store(output: u32, at: u32, sum: f32, open: bool) {
    var value = sum;
    if ((params.flags & ACCUMULATE) != 0u) {
        value += y[at];
    }
    if ((params.flags & BIAS) != 0u) {
        value += b[params.out_first + output];
    }
    if ((params.flags & RELU) != 0u) {
        // Not max, which may make 0 of a NaN and hide it.
        value = select(value, 0.0, value < 0.0);
    }
    y[at] = select(0.0, value, open);
}
