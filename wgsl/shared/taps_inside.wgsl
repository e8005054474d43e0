// The taps of a pixel that lie inside, one bit each.
fn taps_inside(pixel: u32) -> u32 {
    let row = pixel / params.w;
    let col = pixel % params.w;
    let columns = select(0u, 0x49u, col > 0u) | 0x92u | select(0u, 0x124u, col + 1u < params.w);
    let rows = select(0u, 0x7u, row > 0u) | 0x38u | select(0u, 0x1c0u, row + 1u < params.h);
    return select(0u, columns & rows, row < params.h);
}

// The place of a tap of a pixel, or the nearest one inside; any place for what lies after the last pixel.
fn nearest_place(pixel: u32, inside: u32, tap: u32) -> u32 {
    // Of the middle column's taps only rows decide whether they lie inside, and of the middle row's only columns.
    let row_inside = ((inside >> (tap / 3u * 3u + 1u)) & 1u) != 0u;
    let col_inside = ((inside >> (tap % 3u + 3u)) & 1u) != 0u;
    let row_shift = select(0u, (tap / 3u - 1u) * params.w, row_inside);
    let col_shift = select(0u, tap % 3u - 1u, col_inside);
    return select(0u, pixel + row_shift + col_shift, inside != 0u);
}
