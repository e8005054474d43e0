const WRAP_Y: u32 = 512u;
const WRAP_X: u32 = 1024u;

// The taps of a pixel that lie inside, one bit each, and from bit TAPS on those that are not 0.
fn taps_inside(pixel: u32) -> u32 {
    let edge = (params.flags & EDGE) != 0u;
    let wrap_y = (params.flags & WRAP_Y) != 0u;
    let wrap_x = (params.flags & WRAP_X) != 0u;
    let row = pixel / params.w;
    let col = pixel % params.w;
    let columns = select(0u, 0x49u, col > 0u) | 0x92u | select(0u, 0x124u, col + 1u < params.w);
    let rows = select(0u, 0x7u, row > 0u) | 0x38u | select(0u, 0x1c0u, row + 1u < params.h);
    let counted = select(columns, 0x1ffu, edge || wrap_x) & select(rows, 0x1ffu, edge || wrap_y);
    return select(0u, (columns & rows) | (counted << TAPS), row < params.h);
}

// The place of a tap of a pixel; beyond the edges the nearest one inside, or where lines wrap the one at the other end; any
// place for what lies after the last pixel.
fn source_place(pixel: u32, inside: u32, tap: u32) -> u32 {
    // Of the middle column's taps only rows decide whether they lie inside, and of the middle row's only columns.
    let row_inside = ((inside >> (tap / 3u * 3u + 1u)) & 1u) != 0u;
    let col_inside = ((inside >> (tap % 3u + 3u)) & 1u) != 0u;
    let other_row = select(0u, (1u - tap / 3u) * (params.h - 1u) * params.w, (params.flags & WRAP_Y) != 0u);
    let other_col = select(0u, (1u - tap % 3u) * (params.w - 1u), (params.flags & WRAP_X) != 0u);
    let row_shift = select(other_row, (tap / 3u - 1u) * params.w, row_inside);
    let col_shift = select(other_col, tap % 3u - 1u, col_inside);
    return select(0u, pixel + row_shift + col_shift, inside != 0u);
}
