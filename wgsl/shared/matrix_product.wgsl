struct Params { size: u32, scale: f32, identity: f32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> a: array<f32>;
@group(0) @binding(3) var<storage, read> b: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

// Writes element (i, j), whose sum is this; nothing outside of y.
fn store(i: u32, j: u32, sum: f32) {
    if (i < params.size && j < params.size) {
        y[i * params.size + j] = params.scale * sum + select(0.0, params.identity, i == j);
    }
}
