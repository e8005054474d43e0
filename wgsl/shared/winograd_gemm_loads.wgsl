// The variants with operands in f16 load otherwise: src/ops/conv/gemm.rs.
fn load_weights(at: u32) -> vec4<f32> {
    return u[at];
}

fn load_values(at: u32) -> vec4<f32> {
    return v[at];
}
