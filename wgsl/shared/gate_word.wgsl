// The word of the mask `gate` at place `block` of output channel `output`; all its bits are set where no gate takes
// part.
fn gate_word(output: u32, block: u32) -> u32 {
    var word = 0xffffffffu;
    if ((params.flags & GATE) != 0u) {
        let blocks = (params.h + 3u) / 4u * ((params.w + 7u) / 8u);
        word = gate[(params.out_first + output) * blocks + block];
    }
    return word;
}
