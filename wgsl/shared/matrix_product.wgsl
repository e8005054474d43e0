struct Params { size: u32, symmetric: u32, scale: f32, identity: f32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> a: array<f32>;
@group(0) @binding(3) var<storage, read> b: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

// Writes element (i, j), whose sum is this; nothing outside of y. Of a symmetric product, what is above the diagonal is
// also what is below it.
fn store(i: u32, j: u32, sum: f32) {
    let n = params.size;
    let symmetric = params.symmetric != 0u;
    if (max(i, j) >= n || (symmetric && i > j)) {
        return;
    }
    let value = params.scale * sum + select(0.0, params.identity, i == j);
    y[i * n + j] = value;
    if (symmetric) {
        y[j * n + i] = value;
    }
}
