//! Weights of 3×3 convolutions in the arrangements that the kernels read. A shape is that of the plain weights: (out,
//! in, ky·kx).

use crate::ops::{Form, Layout, Shape};

/// Outputs that lie together in tiled weights.
pub(super) const RUN: u32 = 16;
const _: () = assert!(Layout::WHOLE_CHANNELS.is_multiple_of(RUN), "a piece begins with a run");

/// (out / 16, in, ky, kx, 16), padded to whole runs of 16 outputs with weight 0.
///
/// What a workgroup reads is one run of memory. Rows of all outputs, a power of two apart, would share so few cache
/// sets that nothing stays (a third slower at 512 channels on the software adapter).
pub const TILED: Form = Form {
    name: "tiled",
    words: |shape| tiled_words(shape.h, shape.c),
    arrange: |plain, shape| bits(&tiled(plain, shape, false)),
};

/// The flipped and transposed kernel in the arrangement of [`TILED`]: backward-data is a forward convolution with it.
pub const TILED_TRANSPOSED: Form = Form {
    name: "tiled-transposed",
    words: |shape| tiled_words(shape.c, shape.h),
    arrange: |plain, shape| bits(&tiled(plain, shape, true)),
};

/// Output channels of tiled weights: whole runs.
pub(super) fn padded(outputs: u32) -> u32 {
    outputs.next_multiple_of(RUN)
}

fn tiled_words(rows: u32, row: u32) -> u64 {
    9 * u64::from(rows) * u64::from(padded(row))
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn tiled(plain: &[f32], shape: Shape, transposed: bool) -> Vec<f32> {
    let (inputs, outputs, run) = (shape.h as usize, shape.c as usize, RUN as usize);
    let words = if transposed { tiled_words(shape.c, shape.h) } else { tiled_words(shape.h, shape.c) };
    let mut arranged = vec![0.0; words as usize];
    for (o, kernels) in plain.chunks_exact(9 * inputs).enumerate() {
        for (i, kernel) in kernels.chunks_exact(9).enumerate() {
            for (tap, weight) in kernel.iter().enumerate() {
                let (row, rows, column, tap) =
                    if transposed { (o, outputs, i, 8 - tap) } else { (i, inputs, o, tap) };
                arranged[((column / run * rows + row) * 9 + tap) * run + column % run] = *weight;
            }
        }
    }
    arranged
}
