//! Convolution in one to three dimensions, of any geometry.

use super::{Real, expect_len};
use crate::ops::conv::{ConvGeometry, PaddingMode};

/// Neighbouring outputs of an axis for which one tap reads neighbouring inputs.
struct Run {
    output: usize,
    input: usize,
    len: usize,
}

/// An axis of a convolution.
struct Axis {
    /// Outputs.
    len: usize,
    /// For each tap what it reads. What lies beyond the edges and is zero adds nothing, so it is left out.
    taps: Vec<Vec<Run>>,
}

impl Axis {
    /// Axis number `axis` of a convolution whose input has `size` elements along it.
    fn new(geometry: &ConvGeometry, axis: usize, size: usize) -> Self {
        let [kernel, stride, dilation, before, after] = [
            geometry.kernel,
            geometry.stride,
            geometry.dilation,
            geometry.padding.before,
            geometry.padding.after,
        ]
        .map(|of_axes| of_axes[axis] as usize);
        let len = (before + size + after - dilation * (kernel - 1) - 1) / stride + 1;
        let read = |output: usize, tap: usize| {
            let place = (output * stride + tap * dilation) as isize - before as isize;
            let input = match geometry.padding.mode {
                _ if geometry.padding.wrapped[axis] => place.rem_euclid(size as isize),
                PaddingMode::Zero => place,
                PaddingMode::Replicate | PaddingMode::ReplicateForward => place.clamp(0, size as isize - 1),
            };
            usize::try_from(input).ok().filter(|input| *input < size)
        };
        let runs = |tap: usize| {
            let mut runs: Vec<Run> = Vec::new();
            for (output, input) in (0..len).filter_map(|output| Some((output, read(output, tap)?))) {
                match runs.last_mut() {
                    Some(run) if (run.output + run.len, run.input + run.len) == (output, input) => {
                        run.len += 1
                    }
                    _ => runs.push(Run { output, input, len: 1 }),
                }
            }
            runs
        };
        Self { len, taps: (0..kernel).map(runs).collect() }
    }

    /// For a tap every output with the input that it reads.
    fn pairs(&self, tap: usize) -> impl Iterator<Item = (usize, usize)> {
        self.taps[tap].iter().flat_map(|run| (0..run.len).map(|i| (run.output + i, run.input + i)))
    }
}

/// A convolution's sizes.
struct Convolution {
    axes: [Axis; 3],
    /// Height and width of the input.
    input: [usize; 2],
    /// Elements of a channel of the input, of one of the output, and of one kernel.
    planes: [usize; 3],
    /// Channels of a group: inputs and outputs.
    group: [usize; 2],
}

impl Convolution {
    fn new(
        geometry: &ConvGeometry,
        (c_in, depth, height, width): (usize, usize, usize, usize),
        c_out: usize,
    ) -> Self {
        let axes = [(0, depth), (1, height), (2, width)].map(|(axis, size)| Axis::new(geometry, axis, size));
        let made = axes.iter().map(|axis| axis.len).product();
        let taps = axes.iter().map(|axis| axis.taps.len()).product();
        let groups = geometry.groups as usize;
        Self {
            axes,
            input: [height, width],
            planes: [depth * height * width, made, taps],
            group: [c_in / groups, c_out / groups],
        }
    }

    /// Calls `visit` for the products of one input and one output channel: the tap's number, and the first element of
    /// the output and of the input of a run, with its length.
    ///
    /// The taps are outside and the columns innermost, so that the innermost loop is one weight times a row: the tests
    /// compare whole layers with this twin and wait for it.
    fn products(&self, mut visit: impl FnMut(usize, usize, usize, usize)) {
        let [depths, rows, columns] = &self.axes;
        let [height, width] = self.input;
        let mut tap = 0;
        for kd in 0..depths.taps.len() {
            for kh in 0..rows.taps.len() {
                for kw in 0..columns.taps.len() {
                    for (out_depth, in_depth) in depths.pairs(kd) {
                        for (out_row, in_row) in rows.pairs(kh) {
                            let to = (out_depth * rows.len + out_row) * columns.len;
                            let from = (in_depth * height + in_row) * width;
                            for run in &columns.taps[kw] {
                                visit(tap, to + run.output, from + run.input, run.len);
                            }
                        }
                    }
                    tap += 1;
                }
            }
        }
    }
}

/// Convolves `x` (C_in, D, H, W) with `w` (C_out, C_in / groups, taps) and adds the bias `b` (C_out). Returns y (C_out,
/// D', H', W').
///
/// As in every network library this is a correlation: the kernel is not flipped.
pub fn conv_forward<T: Real>(
    x: &[T],
    w: &[T],
    b: &[T],
    geometry: &ConvGeometry,
    size: (usize, usize, usize, usize),
    c_out: usize,
) -> Vec<T> {
    let conv = Convolution::new(geometry, size, c_out);
    let [x_plane, y_plane, taps] = conv.planes;
    let [inputs, outputs] = conv.group;
    expect_len("x", x, size.0 * x_plane);
    expect_len("w", w, c_out * inputs * taps);
    expect_len("b", b, c_out);
    let mut y = Vec::with_capacity(c_out * y_plane);
    for out in 0..c_out {
        let start = y.len();
        y.resize(start + y_plane, b[out]);
        let y = &mut y[start..];
        for input in 0..inputs {
            let x = &x[(out / outputs * inputs + input) * x_plane..][..x_plane];
            let kernel = &w[(out * inputs + input) * taps..][..taps];
            conv.products(|tap, output, input, len| {
                for (to, &from) in y[output..][..len].iter_mut().zip(&x[input..][..len]) {
                    *to += kernel[tap] * from;
                }
            });
        }
    }
    y
}

/// The gradient with respect to the input of [`conv_forward`], from `dy` (C_out, D', H', W') and `w` (C_out, C_in /
/// groups, taps); the size is that of the forward input. Returns dx (C_in, D, H, W). The weights are frozen, so they
/// have no gradient.
///
/// Every product of the forward pass is visited again with the roles of input and output exchanged, but for those of
/// copies that the padding's mode leaves out of the gradient.
pub fn conv_backward<T: Real>(
    dy: &[T],
    w: &[T],
    geometry: &ConvGeometry,
    size: (usize, usize, usize, usize),
    c_out: usize,
) -> Vec<T> {
    let conv = Convolution::new(&geometry.of_gradient(), size, c_out);
    let [x_plane, y_plane, taps] = conv.planes;
    let [inputs, outputs] = conv.group;
    expect_len("dy", dy, c_out * y_plane);
    expect_len("w", w, c_out * inputs * taps);
    let mut dx = vec![T::zero(); size.0 * x_plane];
    for channel in 0..size.0 {
        let dx = &mut dx[channel * x_plane..][..x_plane];
        let (group, input) = (channel / inputs, channel % inputs);
        for out in group * outputs..(group + 1) * outputs {
            let dy = &dy[out * y_plane..][..y_plane];
            let kernel = &w[(out * inputs + input) * taps..][..taps];
            conv.products(|tap, output, input, len| {
                for (to, &from) in dx[input..][..len].iter_mut().zip(&dy[output..][..len]) {
                    *to += kernel[tap] * from;
                }
            });
        }
    }
    dx
}
