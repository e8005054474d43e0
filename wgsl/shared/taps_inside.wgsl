// The taps of a pixel that lie inside, one bit each.
fn taps_inside(pixel: u32) -> u32 {
    let row = pixel / params.w;
    let col = pixel % params.w;
    let columns = select(0u, 0x49u, col > 0u) | 0x92u | select(0u, 0x124u, col + 1u < params.w);
    let rows = select(0u, 0x7u, row > 0u) | 0x38u | select(0u, 0x1c0u, row + 1u < params.h);
    return select(0u, columns & rows, row < params.h);
}
