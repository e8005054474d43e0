// The place of element k of the pixels in slot 0 of the history, counted as in the pieces at hand.
fn history_place(k: u32) -> u32 {
    return (params.history_first + k / params.plane) * params.slots * params.plane + k % params.plane;
}
