//! Planes at another size, by half-pixel centres as PyTorch's `interpolate` has them with `align_corners=False` and
//! without antialiasing: for tensors in the middle of a computation. What a picture in 8 bits is fitted by is
//! [`Resample`](super::resample::Resample).

use super::{Capabilities, Common, Dispatch, Epilogue, Io, Lowered, Op, Operand, Shape, Wrap, expect_shapes};
use crate::error::Result;
use crate::gpu::{Kernel, params};

params! {
    /// Uniforms of both kernels: x's rows and columns, y's, and the channels that a piece of each have in common; each
    /// begins at its own channel of its piece.
    ResizeParams {
        channels: u32,
        x_h: u32,
        x_w: u32,
        h: u32,
        w: u32,
        x_first: u32,
        y_first: u32,
        flags: u32,
    }
}

super::kernels! {
    folder: "resize";
    resize_bilinear(ResizeParams) { workgroup: 64, bindings: [read x, write y] }
    resize_bicubic(ResizeParams) { workgroup: 64, bindings: [read x, write y] }
}

/// The longest side: places are counted in halves of the other side's cells, and their numbers are to fit 32 bits.
const LONGEST_SIDE: u32 = 1 << 15;

/// How an element is made of its neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Filter {
    /// Of the two nearest in each direction, in proportion. Where a side shrinks, what lies between is left out.
    Bilinear,
    /// Of the four nearest in each direction, by R. Keys, "Cubic convolution interpolation for digital image
    /// processing" (IEEE ASSP 29, 1981), with a = −0.75. Goes beyond the range of its input beside edges.
    Bicubic,
}

impl Filter {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bilinear => "bilinear",
            Self::Bicubic => "bicubic",
        }
    }

    fn kernel(self) -> &'static Kernel {
        match self {
            Self::Bilinear => &kernels::resize_bilinear,
            Self::Bicubic => &kernels::resize_bicubic,
        }
    }

    /// Operations for an element.
    const fn flops(self) -> u64 {
        match self {
            Self::Bilinear => 12,
            Self::Bicubic => 60,
        }
    }
}

/// Whether kernels can count the places of a tensor's planes.
fn is_countable(shape: Shape) -> bool {
    shape.d == 1 && [shape.h, shape.w].into_iter().all(|side| (1..=LONGEST_SIDE).contains(&side))
}

/// Makes `y`, channels of planes (H, W) as in `to`, of those that input `x` has in common with it.
fn dispatch(
    filter: Filter,
    (x, from): (usize, Shape),
    (y, to): (Operand, Shape),
    common: &Common,
    flags: u32,
) -> Dispatch {
    let kernel = filter.kernel();
    let params = ResizeParams {
        channels: common.channels,
        x_h: from.h,
        x_w: from.w,
        h: to.h,
        w: to.w,
        x_first: common.first,
        y_first: common.other_first,
        flags,
    };
    let elements = u64::from(params.channels) * to.plane();
    let groups = elements.div_ceil(kernel.workgroup.into()) as u32;
    let operands = vec![Operand::input(x, common.piece), y];
    Dispatch::new(kernel, params, operands, groups, filter.flops() * elements)
}

/// Makes the main output of input `x` by `filter`, or with [`Epilogue::ACCUMULATE`] adds to it.
fn lower(filter: Filter, x: usize, io: &Io<'_>, flags: u32) -> Lowered {
    let (from, to) = (&io.inputs[x], io.output());
    let dispatch = |common: Common| {
        let y = (Operand::output(common.other), to.shape);
        dispatch(filter, (x, from.shape), y, &common, flags)
    };
    Lowered { dispatches: from.common(to, 0).map(dispatch).collect(), ..Lowered::default() }
}

/// x (C, H, W) stretched to (C, height, width), each side by itself, smaller, larger or as it is: row y of the output
/// lies at (y + ½)·H/height − ½ of the input, columns alike, and beyond the border is the border. No gradient flows
/// through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resize {
    /// Rows afterwards.
    pub height: u32,
    /// Columns afterwards.
    pub width: u32,
    /// How an element is made.
    pub filter: Filter,
    /// Where beyond the border is the other end instead.
    pub wrap: Wrap,
}

impl Resize {
    /// Makes the plane (height, width) `y` of a channel of input `x`.
    pub(super) fn channel(&self, x: usize, channel: u32, io: &Io<'_>, y: Operand) -> Option<Dispatch> {
        let layout = &io.inputs[x];
        let piece = layout.pieces.iter().position(|channels| channels.contains(&channel))?;
        let first = channel - layout.pieces[piece].start;
        let common = Common { piece, other: 0, channels: 1, channel, first, other_first: 0 };
        let to = Shape::new(1, self.height, self.width);
        Some(dispatch(self.filter, (x, layout.shape), (y, to), &common, self.wrap.flags()))
    }
}

impl Op for Resize {
    fn name(&self) -> &'static str {
        "resize"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let to = |x: Shape| Shape::new(x.c, self.height, self.width);
        let fits = inputs.len() == 1 && is_countable(inputs[0]) && is_countable(to(inputs[0]));
        let rule = format!(
            "one tensor C×H×W, to be C×{}×{}, with sides of 1 to {LONGEST_SIDE}",
            self.height, self.width
        );
        expect_shapes(self.name(), fits, &rule, inputs)?;
        Ok(to(inputs[0]))
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        Ok(lower(self.filter, 0, io, self.wrap.flags()))
    }
}

/// Adds the next coarser level of a pyramid: y + x at y's size, bilinear, in y's place. Inputs y (C, H, W) and x
/// (C, ⌈H/2⌉, ⌈W/2⌉). No other node may read y now or later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AddUpsampled {
    /// Where beyond the border is the other end instead.
    pub wrap: Wrap,
}

impl Op for AddUpsampled {
    fn name(&self) -> &'static str {
        "add_upsampled"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let coarser = |y: Shape| Shape::new(y.c, y.h.div_ceil(2), y.w.div_ceil(2));
        let fits = inputs.len() == 2 && is_countable(inputs[0]) && inputs[1] == coarser(inputs[0]);
        let rule = format!("y C×H×W with sides of 1 to {LONGEST_SIDE} and x C×⌈H/2⌉×⌈W/2⌉");
        expect_shapes(self.name(), fits, &rule, inputs)?;
        Ok(inputs[0])
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        Ok(lower(Filter::Bilinear, 1, io, Epilogue::ACCUMULATE | self.wrap.flags()))
    }
}
