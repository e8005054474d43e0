//! Convolution weights in the arrangements that the kernels read.

use half::f16;

use super::winograd;
use crate::ops::{Form, TILE};

/// Output channels of the arranged weights: whole tiles.
pub(super) fn padded(outputs: u32) -> u32 {
    outputs.next_multiple_of(TILE)
}

/// Words of 32 bits of the weights in `form`.
pub fn arranged_elements(form: Form, input_channels: u32, output_channels: u32) -> u64 {
    let (rows, row) = match form {
        Form::Plain => (input_channels, output_channels),
        Form::Forward => (input_channels, padded(output_channels)),
        Form::Backward => (output_channels, padded(input_channels)),
        Form::Winograd => return winograd::weights_elements(input_channels, output_channels),
        Form::WinogradHalf => return winograd::weights_elements(input_channels, output_channels) / 2,
    };
    9 * u64::from(rows) * u64::from(row)
}

/// Arranges `plain` weights (out, in, ky, kx). Padding outputs have weight 0.
///
/// `Forward` and `Backward` are (out / 16, in, ky, kx, 16): what a workgroup reads is one run of memory. Rows of all
/// outputs, a power of two apart, would share so few cache sets that nothing stays (a third slower at 512
/// channels on the software adapter).
///
/// The result is the words of the buffer: bits of an f32 each, or of two f16, the first in the lower half.
pub fn arrange(form: Form, plain: &[f32], input_channels: u32, output_channels: u32) -> Vec<u32> {
    let transformed = || winograd::transform_weights(plain, input_channels, output_channels);
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect();
    match form {
        Form::Plain => bits(plain),
        Form::Winograd => bits(&transformed()),
        Form::WinogradHalf => halves(&transformed()),
        Form::Forward | Form::Backward => bits(&tiles(form, plain, input_channels, output_channels)),
    }
}

/// Pairs of numbers, each rounded to the nearest f16.
fn halves(values: &[f32]) -> Vec<u32> {
    let bits = |value: f32| u32::from(f16::from_f32(value).to_bits());
    values.chunks_exact(2).map(|pair| bits(pair[0]) | bits(pair[1]) << 16).collect()
}

fn tiles(form: Form, plain: &[f32], input_channels: u32, output_channels: u32) -> Vec<f32> {
    let (inputs, outputs, tile) = (input_channels as usize, output_channels as usize, TILE as usize);
    let mut arranged = vec![0.0; arranged_elements(form, input_channels, output_channels) as usize];
    for (o, kernels) in plain.chunks_exact(9 * inputs).enumerate() {
        for (i, kernel) in kernels.chunks_exact(9).enumerate() {
            for (tap, weight) in kernel.iter().enumerate() {
                let (row, rows, column, tap) = match form {
                    Form::Backward => (o, outputs, i, 8 - tap),
                    _ => (i, inputs, o, tap),
                };
                arranged[((column / tile * rows + row) * 9 + tap) * tile + column % tile] = *weight;
            }
        }
    }
    arranged
}
