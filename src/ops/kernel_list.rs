//! The list of all kernels.

use super::{
    adam, add, centre, colour, conv, covariance_cost, energy, gram, guide, histogram, l_bfgs, match_cost,
    matrix, mean_variance_cost, nearest, normalise_gradient, pool, preprocess, probe, pyramid, relu,
    resample, resize, smooth, squared_error, start, store, texels, total_variation, unit, wasserstein,
    weighted_error, weighted_sum,
};
use crate::gpu::Kernel;

/// What each op declares, in the order of [`KERNELS`].
const DECLARED: &[&[&Kernel]] = &[
    preprocess::kernels::ALL,
    texels::kernels::ALL,
    resample::kernels::ALL,
    colour::kernels::ALL,
    histogram::kernels::ALL,
    start::kernels::ALL,
    store::kernels::ALL,
    conv::tiling::kernels::ALL,
    conv::gemm::kernels::ALL,
    conv::winograd::kernels::ALL,
    relu::kernels::ALL,
    add::kernels::ALL,
    pool::kernels::ALL,
    gram::kernels::ALL,
    matrix::kernels::ALL,
    wasserstein::kernels::ALL,
    covariance_cost::kernels::ALL,
    mean_variance_cost::kernels::ALL,
    guide::kernels::ALL,
    squared_error::kernels::ALL,
    total_variation::kernels::ALL,
    unit::kernels::ALL,
    centre::kernels::ALL,
    nearest::kernels::ALL,
    energy::kernels::ALL,
    match_cost::kernels::ALL,
    weighted_error::kernels::ALL,
    weighted_sum::kernels::ALL,
    normalise_gradient::kernels::ALL,
    adam::kernels::ALL,
    l_bfgs::kernels::ALL,
    smooth::kernels::ALL,
    resize::kernels::ALL,
    pyramid::kernels::ALL,
    probe::kernels::ALL,
];

/// Every kernel. A test compares each with its WGSL file, and every file with this list.
pub const KERNELS: &[&Kernel] = &joined::<{ count() }>();

const fn count() -> usize {
    let (mut count, mut list) = (0, 0);
    while list < DECLARED.len() {
        count += DECLARED[list].len();
        list += 1;
    }
    count
}

const fn joined<const N: usize>() -> [&'static Kernel; N] {
    let mut all = [DECLARED[0][0]; N];
    let (mut at, mut list) = (0, 0);
    while list < DECLARED.len() {
        let mut i = 0;
        while i < DECLARED[list].len() {
            all[at] = DECLARED[list][i];
            at += 1;
            i += 1;
        }
        list += 1;
    }
    all
}

/// SHA-256 of all that is compiled, in hexadecimal digits: results and times of one set of kernels need not be valid
/// for another.
pub fn kernels_digest() -> String {
    let texts: Vec<String> = KERNELS
        .iter()
        .map(|kernel| format!("{} {}\n{}", kernel.name, kernel.workgroup, kernel.text()))
        .collect();
    crate::tensors::digest(texts.iter().map(String::as_bytes))
}
