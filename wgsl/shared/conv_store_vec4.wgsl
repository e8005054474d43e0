// Four pixels of an output, APART apart. What lies after the last pixel is neither read nor written.
fn store(output: u32, pixel: u32, sum: vec4<f32>) {
    let plane = params.h * params.w;
    if (output >= params.out_count || pixel >= plane) {
        return;
    }
    let pixels = vec4(pixel) + vec4(0u, 1u, 2u, 3u) * APART;
    let inside = pixels < vec4(plane);
    let at = vec4(output * plane) + select(vec4(pixel), pixels, inside);
    var value = sum;
    if ((params.flags & ACCUMULATE) != 0u) {
        value += vec4(y[at.x], y[at.y], y[at.z], y[at.w]);
    }
    if ((params.flags & BIAS) != 0u) {
        value += b[params.out_first + output];
    }
    if ((params.flags & RELU) != 0u) {
        // Not max, which may make 0 of a NaN and hide it.
        value = select(value, vec4(0.0), value < vec4(0.0));
    }
    value = gated(value, output, select(vec4(pixel), pixels, inside));
    y[at.x] = value.x;
    if (inside.y) {
        y[at.y] = value.y;
    }
    if (inside.z) {
        y[at.z] = value.z;
    }
    if (inside.w) {
        y[at.w] = value.w;
    }
}
