//! Guidance: how much each place of a layer counts in a statistic. L. A. Gatys et al., "Controlling Perceptual Factors in
//! Neural Style Transfer" (arXiv 1611.07865), section 4: the Gram matrix of activations times a guidance t is that of a
//! region. The squares of t have the mean 1, so that the matrix of a region compares with that of a whole picture.

use std::sync::Arc;

use super::{
    Capabilities, Epilogue, Io, Lowered, Op, Operand, Rule, Shape, Wire, elementwise, expect_shapes,
};
use crate::error::Result;
use crate::gpu::{Kernel, params};

params! {
    /// Uniforms of the kernels that look at one plane.
    PlaneParams { count: u32 }
}
params! {
    /// Uniforms of the weights that a map of the strength makes: all cells have the weight `scale`, or where that is 0 their own.
    StrengthParams { count: u32, scale: f32 }
}
params! {
    /// Uniforms of the kernels that look at every channel: channels of `plane` elements.
    GuideParams { count: u32, plane: u32 }
}
params! {
    /// Uniforms of the backward kernel: the piece begins at channel `out_first`.
    GuideBackwardParams { count: u32, h: u32, w: u32, out_first: u32, flags: u32 }
}

super::kernels! {
    folder: "guide";
    guide_brightness(PlaneParams) { workgroup: 64, bindings: [read x, write y] }
    guide_scale(PlaneParams) { workgroup: 64, bindings: [read x, read mean_square, write y] }
    guide_strength(StrengthParams) { workgroup: 64, bindings: [read x, read weights, write y] }
    guide_union(PlaneParams) { workgroup: 64, bindings: [read a, read b, write y] }
    guide_blend(GuideParams) { workgroup: 64, bindings: [read x, read base, read guidance, write y] }
    guide_forward(GuideParams) { workgroup: 64, bindings: [read x, read guidance, write y] }
    guide_backward(GuideBackwardParams) {
        workgroup: 64,
        bindings: [read dy, read guidance, read gate, write d_x],
    }
}

/// BT.709's weights of red, green and blue in the brightness of a pixel, in parts of 256.
pub const BRIGHTNESS: [u32; 3] = [54, 183, 19];

/// Whether it is (1, H, W).
fn is_plane(shape: Shape) -> bool {
    (shape.c, shape.d) == (1, 1)
}

/// Whether these are a tensor (C, H, W) of planes and a guidance (1, H, W) for it.
pub(super) fn fit(x: Shape, guidance: Shape) -> bool {
    x.d == 1 && guidance == Shape { c: 1, ..x }
}

/// A kernel of `flops` an element that makes a plane of planes and scalars, each in one piece.
fn lower_planes(kernel: &'static Kernel, io: &Io<'_>, flops: u64) -> Lowered {
    let params = |piece| PlaneParams { count: io.output().piece_elements(piece) };
    let inputs = 0..io.inputs.len();
    let operands = |piece| {
        inputs.clone().map(|input| Operand::input(input, 0)).chain([Operand::output(piece)]).collect()
    };
    let dispatches = elementwise(kernel, io.output(), flops, params, operands);
    Lowered { dispatches, ..Lowered::default() }
}

/// A kernel of `flops` an element that makes a tensor of tensors of its shape, and of a guidance, which is the last input.
fn lower_guided(kernel: &'static Kernel, io: &Io<'_>, flops: u64) -> Lowered {
    let y = io.output();
    let plane = y.shape.plane() as u32;
    let params = |piece| GuideParams { count: y.piece_elements(piece), plane };
    let tensors = 0..io.inputs.len() - 1;
    let operands = |piece| {
        let own = tensors.clone().map(|input| Operand::input(input, piece));
        own.chain([Operand::input(tensors.end, 0), Operand::output(piece)]).collect()
    };
    let dispatches = elementwise(kernel, y, flops, params, operands);
    Lowered { dispatches, ..Lowered::default() }
}

/// The brightness of a picture, 0 for black to 1 for white. Input an RGBA picture (1, H, W), one 32-bit word a pixel, red
/// in the lowest byte; output (1, H, W).
#[derive(Clone, Copy, Debug)]
pub struct Brightness;

impl Op for Brightness {
    fn name(&self) -> &'static str {
        "guide_brightness"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.len() == 1 && is_plane(inputs[0]);
        expect_shapes(self.name(), fits, "an RGBA picture 1×H×W", inputs)?;
        Ok(inputs[0])
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        Ok(lower_planes(&kernels::guide_brightness, io, 6))
    }
}

/// t = m/√s; 0 where s is 0. Inputs the brightness m (1, H, W) and the mean s of their squares (1, 1, 1), which is their Gram
/// matrix; output (1, H, W).
#[derive(Clone, Copy, Debug)]
pub struct Scale;

impl Op for Scale {
    fn name(&self) -> &'static str {
        "guide_scale"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.len() == 2 && is_plane(inputs[0]) && inputs[1] == Shape::SCALAR;
        expect_shapes(self.name(), fits, "a plane 1×H×W and a scalar", inputs)?;
        Ok(inputs[0])
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        Ok(lower_planes(&kernels::guide_scale, io, 2))
    }
}

/// y = w/max(m, [`LEAST_BRIGHTNESS`])²: what the cells of a content cost weigh where the strength is not the same everywhere. Its
/// weight has the factor ((1 − s)/s)² for the strength s, so the odds s/(1 − s) are multiplied by the brightness m. Inputs m
/// (1, H, W) and the weights w (1, H, W), unless they are `even`; output (1, H, W).
#[derive(Clone, Copy, Debug)]
pub struct Strength {
    /// The weight of every cell, where all have the same.
    pub even: Option<f32>,
}

/// What black counts as in a map of the strength: the weight of the content is finite everywhere.
pub const LEAST_BRIGHTNESS: f32 = 0.1;

impl Op for Strength {
    fn name(&self) -> &'static str {
        "guide_strength"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let planes = if self.even.is_some() { 1 } else { 2 };
        let fits = inputs.len() == planes && is_plane(inputs[0]) && inputs.iter().all(|it| *it == inputs[0]);
        expect_shapes(self.name(), fits, "a plane 1×H×W, and one of weights unless they are even", inputs)?;
        Ok(inputs[0])
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let scale = self.even.unwrap_or(0.0);
        let params = |piece| StrengthParams { count: io.output().piece_elements(piece), scale };
        let weights = if self.even.is_some() { Operand::Unused } else { Operand::input(1, 0) };
        let operands = |piece| vec![Operand::input(0, 0), weights, Operand::output(piece)];
        let dispatches = elementwise(&kernels::guide_strength, io.output(), 3, params, operands);
        Ok(Lowered { dispatches, ..Lowered::default() })
    }
}

/// What two masks cover together: a + (1 − a)·b. Inputs (1, H, W) each, 0..1; output (1, H, W).
#[derive(Clone, Copy, Debug)]
pub struct Union;

impl Op for Union {
    fn name(&self) -> &'static str {
        "guide_union"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.len() == 2 && is_plane(inputs[0]) && inputs[0] == inputs[1];
        expect_shapes(self.name(), fits, "two planes 1×H×W", inputs)?;
        Ok(inputs[0])
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        Ok(lower_planes(&kernels::guide_union, io, 3))
    }
}

/// y = t·x + (1 − t)·base in every channel. Inputs x and base (C, H, W) and the coverage t (1, H, W), 0..1; a gradient reaches
/// x alone. Output (C, H, W).
#[derive(Clone, Copy, Debug)]
pub struct Blend;

impl Op for Blend {
    fn name(&self) -> &'static str {
        "guide_blend"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.len() == 3 && inputs[0] == inputs[1] && fit(inputs[0], inputs[2]);
        expect_shapes(self.name(), fits, "two tensors C×H×W and a coverage 1×H×W", inputs)?;
        Ok(inputs[0])
    }

    fn backward(&self, input: usize, _shapes: &[Shape]) -> Option<Rule> {
        let op = GuideBackward { epilogue: Epilogue::default() };
        (input == 0).then(|| Rule::new(op, [Wire::Upstream, Wire::Input(2)]))
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        Ok(lower_guided(&kernels::guide_blend, io, 4))
    }
}

/// y = t·x in every channel. Inputs x (C, H, W) and the guidance t (1, H, W), which no gradient reaches; output
/// (C, H, W).
#[derive(Clone, Copy, Debug)]
pub struct Guide;

impl Op for Guide {
    fn name(&self) -> &'static str {
        "guide"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.len() == 2 && fit(inputs[0], inputs[1]);
        expect_shapes(self.name(), fits, "a tensor C×H×W and a guidance 1×H×W", inputs)?;
        Ok(inputs[0])
    }

    fn backward(&self, input: usize, _shapes: &[Shape]) -> Option<Rule> {
        let op = GuideBackward { epilogue: Epilogue::default() };
        (input == 0).then(|| Rule::new(op, [Wire::Upstream, Wire::Input(1)]))
    }

    /// One product an element, where keeping it takes as much memory as the layer.
    fn repeat(&self, _inputs: &[Shape]) -> Option<Arc<dyn Op>> {
        Some(Arc::new(*self))
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        Ok(lower_guided(&kernels::guide_forward, io, 1))
    }
}

/// dx = t·dy in every channel. Inputs dy (C, H, W) and the guidance t (1, H, W), output (C, H, W).
#[derive(Clone, Copy, Debug)]
pub struct GuideBackward {
    /// Merged work.
    pub epilogue: Epilogue,
}

impl Op for GuideBackward {
    fn name(&self) -> &'static str {
        "guide_backward"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.len() >= 2 && fit(inputs[0], inputs[1]);
        expect_shapes(self.name(), fits, "a tensor C×H×W and a guidance 1×H×W", inputs)?;
        Ok(inputs[0])
    }

    fn fuse(&self, next: &dyn Op, slot: usize) -> Option<Arc<dyn Op>> {
        Some(Arc::new(Self { epilogue: self.epilogue.absorb(next, slot)? }))
    }

    fn in_place(&self) -> Option<usize> {
        self.epilogue.in_place(2)
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let dx = io.output();
        let gate = self.epilogue.gate_operand(2, io)?;
        let params = |piece: usize| GuideBackwardParams {
            count: dx.piece_elements(piece),
            h: dx.shape.h,
            w: dx.shape.w,
            out_first: dx.pieces[piece].start,
            flags: self.epilogue.flags(0, 1),
        };
        let operands =
            |piece| vec![Operand::input(0, piece), Operand::input(1, 0), gate, Operand::output(piece)];
        let dispatches = elementwise(&kernels::guide_backward, dx, 3, params, operands);
        Ok(Lowered { dispatches, ..Lowered::default() })
    }
}
