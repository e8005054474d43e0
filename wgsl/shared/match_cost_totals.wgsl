const EPSILON: f32 = 1e-6;

// Σ (x − c)² and Σ (x − c)·target over all channels of a cell.
fn totals(cell: u32) -> vec2<f32> {
    var total = vec2(0.0);
    for (var split = 0u; split < params.splits; split++) {
        total += sums[split * params.cells + cell];
    }
    return total;
}
