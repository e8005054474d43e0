// Whether the bit of the mask `gate` is set for an output and a pixel.
fn is_open(output: u32, pixel: u32) -> bool {
    let row = pixel / params.w;
    let col = pixel % params.w;
    let blocks_w = (params.w + 7u) / 8u;
    let line = (params.out_first + output) * ((params.h + 3u) / 4u) + row / 4u;
    return ((gate[line * blocks_w + col / 8u] >> (row % 4u * 8u + col % 8u)) & 1u) != 0u;
}

// The values of four pixels of an output, 0 where a gate takes part and is closed.
fn gated(value: vec4<f32>, output: u32, pixels: vec4<u32>) -> vec4<f32> {
    var kept = value;
    if ((params.flags & GATE) != 0u) {
        let open = vec4(
            is_open(output, pixels.x),
            is_open(output, pixels.y),
            is_open(output, pixels.z),
            is_open(output, pixels.w),
        );
        kept = select(vec4(0.0), value, open);
    }
    return kept;
}
