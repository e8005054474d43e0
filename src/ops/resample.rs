//! 8-bit pictures to another size, as `image` makes it of them for
//! [`Picture::resized`](crate::picture::Picture::resized).

use super::{Capabilities, Dispatch, Io, Lowered, Op, Operand, Shape, expect_shapes};
use crate::error::{Error, Remedy, Result};
use crate::gpu::{Kernel, params};

params! {
    /// Uniforms of both kernels: what is read has (h, w) pixels, of which `size` rows, or columns, are made; `ratio`
    /// is the rows (columns) before by those after.
    ResampleParams { h: u32, w: u32, size: u32, ratio: f32 }
}

super::kernels! {
    folder: "resample";
    resample_vertical(ResampleParams) {
        workgroup: 64,
        bindings: [read x, write red, write green, write blue],
    }
    resample_horizontal(ResampleParams) {
        workgroup: 64,
        bindings: [read red, read green, read blue, write y],
    }
}

/// An RGBA picture (1, H, W) stretched to (1, height, width) with a Lanczos window of 3, on the 8-bit sRGB values as
/// they are: each side for itself, the rows first. Alpha becomes 255.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resample {
    /// Rows afterwards.
    pub height: u32,
    /// Columns afterwards.
    pub width: u32,
}

impl Resample {
    /// The longest side: every place up to it has a number in f32, and a half between it and the next.
    const LONGEST_SIDE: u32 = 1 << 22;

    /// Operations for a pixel that is read, nearly all of them for its weight.
    const FLOPS: u64 = 48;

    /// The side before by the side after.
    fn ratio(before: u32, after: u32) -> f32 {
        before as f32 / after as f32
    }

    /// Pixels that one pixel of the output is made of, in one direction.
    fn taps(before: u32, after: u32) -> u64 {
        u64::from(before).min((6 * u64::from(before)).div_ceil(after.into()).max(6) + 1)
    }
}

impl Op for Resample {
    fn name(&self) -> &'static str {
        "resample"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let size = |side: u32| (1..=Self::LONGEST_SIDE).contains(&side);
        let fits = inputs.len() == 1
            && (inputs[0].c, inputs[0].d) == (1, 1)
            && [inputs[0].h, inputs[0].w, self.height, self.width].into_iter().all(size);
        let rule = format!(
            "an RGBA picture 1×H×W, to be {}×{}, with sides of 1 to {}",
            self.height,
            self.width,
            Self::LONGEST_SIDE
        );
        expect_shapes(self.name(), fits, &rule, inputs)?;
        Ok(Shape::new(1, self.height, self.width))
    }

    fn lower(&self, io: &Io<'_>, capabilities: &Capabilities) -> Result<Lowered> {
        let (x, y) = (io.inputs[0].shape, io.output().shape);
        // One plane of what lies between the two passes.
        let between = Shape::new(1, y.h, x.w);
        if between.bytes() > capabilities.max_binding_bytes {
            return Err(Error::Memory {
                what: format!("a picture of {}×{} on its way to {}×{}", x.h, x.w, y.h, y.w),
                needed: between.bytes(),
                available: capabilities.max_binding_bytes,
                remedy: Remedy::SmallerSize(None),
            });
        }
        let planes = [0, 1, 2].map(|index| Operand::Scratch { index });
        let dispatch = |kernel: &'static Kernel, params, operands, made: Shape, taps: u64| {
            let groups = made.plane().div_ceil(kernel.workgroup.into()) as u32;
            Dispatch::new(kernel, params, operands, groups, Self::FLOPS * taps * made.plane())
        };
        let rows = ResampleParams { h: x.h, w: x.w, size: y.h, ratio: Self::ratio(x.h, y.h) };
        let columns = ResampleParams { h: y.h, w: x.w, size: y.w, ratio: Self::ratio(x.w, y.w) };
        let dispatches = vec![
            dispatch(
                &kernels::resample_vertical,
                rows,
                [&[Operand::input(0, 0)], &planes[..]].concat(),
                between,
                Self::taps(x.h, y.h),
            ),
            dispatch(
                &kernels::resample_horizontal,
                columns,
                [&planes[..], &[Operand::output(0)]].concat(),
                y,
                Self::taps(x.w, y.w),
            ),
        ];
        Ok(Lowered { scratch: vec![between.elements(); 3], dispatches, ..Lowered::default() })
    }
}
