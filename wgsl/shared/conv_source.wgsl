const WRAP_Y: u32 = 512u;
const WRAP_X: u32 = 1024u;

// The element of a line of `size` that is read at `place` − 1: beyond the ends the nearest one, or where the line wraps
// the one from the other end.
fn source(place: u32, size: u32, wraps: bool) -> u32 {
    let nearest = clamp(place, 1u, size) - 1u;
    let other = select(0u, size - 1u, place == 0u);
    return select(nearest, other, wraps && place != nearest + 1u);
}
