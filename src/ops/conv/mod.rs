//! Convolution 3×3, stride 1, zero padding 1, with bias; forward and backward with respect to the data (the
//! weights are frozen).
//!
//! Backward-data is itself a forward convolution with the flipped and transposed kernel, so the GEMM kernels
//! serve both directions and differ only in the [`super::Form`] of the weights and in the epilogue flags.

use std::sync::Arc;

use super::pool::{Pool, PoolKind};
use super::relu::{Relu, lower_mask, mask_shape, whole_mask};
use super::{Capabilities, Dispatch, Epilogue, Io, Lowered, Op, Operand, Rule, Shape, Wire, expect_shapes};
use crate::error::Result;
use crate::gpu::params;

mod arrange;
mod choose;
pub mod gemm;
mod pooled;
pub(crate) mod winograd;

pub use arrange::{arrange, arranged_elements};
use choose::Tiling;
pub use choose::{Algorithm, Choice, Choices, Direction, Layer, Method, choose};
pub use pooled::{ConvPool, ConvPoolBackward};
use winograd::Winograd;

params! {
    /// Uniforms of every convolution kernel. The input piece holds `in_count` channels from `in_first` on, of
    /// `in_total`; the output piece `out_count` from `out_first` on. Arranged weights have
    /// `out_padded` outputs.
    ConvParams {
        h: u32,
        w: u32,
        in_first: u32,
        in_count: u32,
        in_total: u32,
        out_first: u32,
        out_count: u32,
        out_total: u32,
        out_padded: u32,
        pixel_groups: u32,
        flags: u32,
    }
}

super::kernels! {
    folder: "conv";
    conv_forward_naive(ConvParams) { workgroup: 64, bindings: [read x, read w, read b, read gate, write y] }
    conv_forward_direct(ConvParams) {
        workgroup: 64,
        bindings: [read x, read w, read b, read gate, write y],
        tile: [CHANNELS = 3, PIXELS = 4],
    }
    conv_gemm_tile(ConvParams) {
        workgroup: 64,
        bindings: [read x, read w, read b, read gate, write y],
        tile: [BLOCK = 32, RUN = crate::ops::TILE],
    }
    conv_gemm_tile8(ConvParams) {
        workgroup: 64,
        bindings: [read x, read w, read b, read gate, write y],
        tile: [BLOCK = 64, RUN = crate::ops::TILE],
    }
    conv_gemm_subgroup(ConvParams) {
        workgroup: 32,
        subgroup: (8, 8),
        bindings: [read x, read w, read b, read gate, write y],
        tile: [PIXELS = 8, OUTPUTS = crate::ops::TILE],
    }
    conv_backward_naive(ConvParams) { workgroup: 64, bindings: [read dy, read w, read gate, write d_x] }
    conv_backward_direct(ConvParams) {
        workgroup: 64,
        bindings: [read dy, read w, read gate, write d_x],
        tile: [CHANNELS = 3, PIXELS = 4],
    }
}

/// Most input channels of a convolution that is done again rather than kept.
const PICTURE_CHANNELS: u32 = 3;

/// Elements of the weights of a convolution, (out, in, 3, 3) whatever their arrangement.
pub fn weights_shape(input_channels: u32, output_channels: u32) -> Shape {
    Shape::new(output_channels, input_channels, 9)
}

/// y = w ∗ x + b, with ReLU when merged. Inputs x (C_in, H, W), w (C_out, C_in, 9), b (1, 1, C_out); output
/// (C_out, H, W), and the ReLU's mask where asked for.
#[derive(Debug, Default)]
pub struct Conv {
    /// Whether ReLU follows in the same kernel.
    pub relu: bool,
    /// Whether the ReLU's mask is made, too.
    pub mask: bool,
}

impl Op for Conv {
    fn name(&self) -> &'static str {
        if self.relu { "conv_relu" } else { "conv" }
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.len() == 3
            && inputs[1] == weights_shape(inputs[0].c, inputs[1].c)
            && inputs[2] == Shape::row(inputs[1].c);
        expect_shapes(self.name(), fits, "x C×H×W, weights K×C×9, bias 1×1×K", inputs)?;
        Ok(Shape { c: inputs[1].c, ..inputs[0] })
    }

    fn backward(&self, input: usize, _shapes: &[Shape]) -> Option<Rule> {
        let op = ConvBackward { epilogue: Epilogue::default() };
        (input == 0 && !self.relu).then(|| Rule::new(op, [Wire::Upstream, Wire::Input(1)]))
    }

    fn side_outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        let y = Shape { c: inputs[1].c, ..inputs[0] };
        self.mask.then(|| mask_shape(y)).into_iter().collect()
    }

    fn fuse(&self, next: &dyn Op, _slot: usize) -> Option<Arc<dyn Op>> {
        if let (false, Some(relu)) = (self.relu, next.downcast::<Relu>()) {
            return Some(Arc::new(Self { relu: true, mask: relu.mask }));
        }
        // The merged op takes the mean.
        let is_pooled = self.relu && next.downcast::<Pool>().is_some_and(|pool| pool.kind == PoolKind::Mean);
        is_pooled.then(|| Arc::new(ConvPool { conv: Self { ..*self } }) as _)
    }

    /// From a picture's few channels: 0.2 % of a step's work at VGG's first layer, whose output has twenty times the
    /// bytes of its input.
    fn repeat(&self, inputs: &[Shape]) -> Option<Arc<dyn Op>> {
        (inputs[0].c <= PICTURE_CHANNELS).then(|| Arc::new(Self { mask: false, ..*self }) as _)
    }

    fn lower(&self, io: &Io<'_>, capabilities: &Capabilities) -> Result<Lowered> {
        let finish = Epilogue::BIAS | if self.relu { Epilogue::RELU } else { 0 };
        let layer = layer(Direction::Forward, io.inputs[0].shape.c, io.output().shape);
        let method = choose(layer, capabilities);
        let convolution = Some((layer, method));
        let Some(tiling) = Tiling::of(method, Direction::Forward) else {
            let mask = if self.mask { whole_mask(io)? } else { Operand::Unused };
            let operands = [Operand::input(2, 0), Operand::Unused, mask];
            return Ok(winograd(method, Direction::Forward, (io, 1, io.output().shape), finish, operands)
                .lower(capabilities));
        };
        let mut dispatches = pieces(io, |index, count, x_piece, y_piece, params| {
            let params = ConvParams {
                flags: Epilogue::default().flags(index, count) | if index + 1 == count { finish } else { 0 },
                ..params
            };
            let operands = vec![
                Operand::input(0, x_piece),
                Operand::Input { index: 1, piece: 0, form: tiling.form },
                Operand::input(2, 0),
                Operand::Unused,
                Operand::output(y_piece),
            ];
            tiling.dispatch(params, operands)
        });
        if self.mask {
            dispatches.extend(lower_mask(io)?);
        }
        Ok(Lowered { dispatches, convolution, ..Lowered::default() })
    }
}

/// dx = flipped, transposed w ∗ dy. Inputs dy (C_out, H, W), w (C_out, C_in, 9); output (C_in, H, W).
#[derive(Debug)]
pub struct ConvBackward {
    /// Merged work.
    pub epilogue: Epilogue,
}

impl Op for ConvBackward {
    fn name(&self) -> &'static str {
        "conv_backward"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.len() >= 2 && inputs[1] == weights_shape(inputs[1].h, inputs[0].c);
        expect_shapes(self.name(), fits, "dy K×H×W and weights K×C×9", inputs)?;
        Ok(Shape { c: inputs[1].h, ..inputs[0] })
    }

    fn fuse(&self, next: &dyn Op, slot: usize) -> Option<Arc<dyn Op>> {
        Some(Arc::new(Self { epilogue: self.epilogue.absorb(next, slot)? }))
    }

    fn in_place(&self) -> Option<usize> {
        self.epilogue.in_place(2)
    }

    fn lower(&self, io: &Io<'_>, capabilities: &Capabilities) -> Result<Lowered> {
        let layer = layer(Direction::Backward, io.inputs[0].shape.c, io.output().shape);
        let method = choose(layer, capabilities);
        let convolution = Some((layer, method));
        let gate = self.epilogue.gate_operand(2, io)?;
        let Some(tiling) = Tiling::of(method, Direction::Backward) else {
            let operands = [Operand::Unused, gate, Operand::Unused];
            let flags = self.epilogue.flags(0, 1);
            return Ok(winograd(method, Direction::Backward, (io, 1, io.output().shape), flags, operands)
                .lower(capabilities));
        };
        let dispatches = pieces(io, |index, count, dy_piece, dx_piece, params| {
            let params = ConvParams { flags: self.epilogue.flags(index, count), ..params };
            let dy = Operand::input(0, dy_piece);
            let w = Operand::Input { index: 1, piece: 0, form: tiling.form };
            let dx = Operand::output(dx_piece);
            let operands = if tiling.kernel.bindings.len() == 5 {
                vec![dy, w, Operand::Unused, gate, dx]
            } else {
                vec![dy, w, gate, dx]
            };
            tiling.dispatch(params, operands)
        });
        Ok(Lowered { dispatches, convolution, ..Lowered::default() })
    }
}

/// What the choice of a method depends on: a convolution from `inputs` channels to `output`.
fn layer(direction: Direction, inputs: u32, output: Shape) -> Layer {
    Layer { direction, inputs, outputs: output.c, h: output.h, w: output.w }
}

/// A convolution by Winograd, with the input that the weights are and the plane of the convolution; `operands` are
/// bias, gate and mask.
fn winograd<'a>(
    method: Method,
    direction: Direction,
    (io, weights, plane): (&'a Io<'_>, usize, Shape),
    flags: u32,
    [bias, gate, mask]: [Operand; 3],
) -> Winograd<'a> {
    Winograd {
        method,
        x: &io.inputs[0],
        y: io.output(),
        unpool: None,
        weights: (io.inputs[weights].shape, weights),
        plane,
        direction,
        flags,
        bias,
        gate,
        mask,
    }
}

/// One dispatch for each output piece and each input piece: the first begins the sum, the others add to it.
fn pieces(
    io: &Io<'_>,
    dispatch: impl Fn(usize, usize, usize, usize, ConvParams) -> Dispatch,
) -> Vec<Dispatch> {
    let (x, y) = (&io.inputs[0], io.output());
    let mut dispatches = Vec::new();
    for (y_piece, out) in y.pieces.iter().enumerate() {
        for (x_piece, input) in x.pieces.iter().enumerate() {
            let params = ConvParams {
                h: y.shape.h,
                w: y.shape.w,
                in_first: input.start,
                in_count: input.end - input.start,
                in_total: x.shape.c,
                out_first: out.start,
                out_count: out.end - out.start,
                out_total: y.shape.c,
                out_padded: arrange::padded(y.shape.c),
                pixel_groups: 0,
                flags: 0,
            };
            dispatches.push(dispatch(x_piece, x.pieces.len(), x_piece, y_piece, params));
        }
    }
    dispatches
}
