//! Convolution weights in the arrangements that the kernels read.

use crate::ops::Form;

/// Outputs that a row of weights is padded to: the widest register tile.
const TILE: u32 = 32;

/// Length of a row of weights for `outputs` output channels.
pub(super) fn stride(outputs: u32) -> u32 {
    outputs.next_multiple_of(TILE)
}

/// Elements of the weights in `form`.
pub fn arranged_elements(form: Form, input_channels: u32, output_channels: u32) -> u64 {
    let (rows, row) = match form {
        Form::Plain => (input_channels, output_channels),
        Form::Forward => (input_channels, stride(output_channels)),
        Form::Backward => (output_channels, stride(input_channels)),
    };
    9 * u64::from(rows) * u64::from(row)
}

/// Arranges `plain` weights (out, in, ky, kx). Padding outputs have weight 0.
pub fn arrange(form: Form, plain: &[f32], input_channels: u32, output_channels: u32) -> Vec<f32> {
    if form == Form::Plain {
        return plain.to_vec();
    }
    let (inputs, outputs) = (input_channels as usize, output_channels as usize);
    let mut arranged = vec![0.0; arranged_elements(form, input_channels, output_channels) as usize];
    let (forward_row, backward_row) = (stride(output_channels) as usize, stride(input_channels) as usize);
    for (o, kernels) in plain.chunks_exact(9 * inputs).enumerate() {
        for (i, kernel) in kernels.chunks_exact(9).enumerate() {
            for (tap, weight) in kernel.iter().enumerate() {
                let at = match form {
                    Form::Backward => ((8 - tap) * outputs + o) * backward_row + i,
                    _ => (tap * inputs + i) * forward_row + o,
                };
                arranged[at] = *weight;
            }
        }
    }
    arranged
}
