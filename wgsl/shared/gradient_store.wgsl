// The epilogue of a gradient: adds to what is there, and writes 0 where the gate is closed.
const ACCUMULATE: u32 = 1u;
const GATE: u32 = 8u;

fn store(at: u32, gradient: f32, open: bool) {
    var value = gradient;
    if ((params.flags & ACCUMULATE) != 0u) {
        value += d_x[at];
    }
    d_x[at] = select(0.0, value, open);
}
