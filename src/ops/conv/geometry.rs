//! Which inputs an output of a convolution is made of, as a value.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::ops::{Shape, Wrap};

/// What stands where a convolution looks beyond the edge of its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PaddingMode {
    /// Zeros.
    #[default]
    Zero,
    /// The nearest element at the edge.
    Replicate,
    /// The nearest element at the edge, for which the gradient is taken as if zeros stood there: what would reach an
    /// element through its copies is dropped. So it is not the derivative where the kernel reaches over the edge, but
    /// the gradient's fast kernels, which are for zeros, serve as they are.
    ReplicateForward,
}

impl PaddingMode {
    /// Whether the nearest element at the edge is read.
    pub const fn is_replicated(self) -> bool {
        matches!(self, Self::Replicate | Self::ReplicateForward)
    }

    /// What the gradient takes it for.
    pub const fn of_gradient(self) -> Self {
        match self {
            Self::Zero | Self::ReplicateForward => Self::Zero,
            Self::Replicate => Self::Replicate,
        }
    }
}

/// How far beyond the edges a convolution looks; along depth, height and width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Padding {
    /// What stands there.
    pub mode: PaddingMode,
    /// Axes along which the elements from the other end stand there instead: the input is one period. The gradient is
    /// exact.
    // Written only where there is one, so that what was written before there were any has the same checksum.
    #[serde(default, skip_serializing_if = "is_unwrapped")]
    pub wrapped: [bool; 3],
    /// Elements before the first one.
    pub before: [u32; 3],
    /// Elements after the last one.
    pub after: [u32; 3],
}

fn is_unwrapped(axes: &[bool; 3]) -> bool {
    *axes == [false; 3]
}

impl Padding {
    /// No padding.
    pub const NONE: Self = Self::even(PaddingMode::Zero, [0; 3]);

    /// As much before as after.
    pub const fn even(mode: PaddingMode, sides: [u32; 3]) -> Self {
        Self { mode, wrapped: [false; 3], before: sides, after: sides }
    }

    /// As much before as after, of the elements from the other end along all axes.
    pub const fn circular(sides: [u32; 3]) -> Self {
        Self { wrapped: [true; 3], ..Self::even(PaddingMode::Zero, sides) }
    }
}

/// A convolution in one to three dimensions: each array is along depth, height and width, and an axis that does not
/// take part has a kernel of 1, a stride of 1 and no padding.
///
/// Output `o` of an axis is made of the inputs `o·stride + tap·dilation − before`, tap = 0 … kernel − 1. As in every
/// network library this is a correlation: the kernel is not flipped. The channels fall into `groups`: outputs of a
/// group are made of the inputs of the same group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ConvGeometry {
    /// Taps.
    pub kernel: [u32; 3],
    /// Inputs from one output to the next.
    pub stride: [u32; 3],
    /// What lies beyond the edges.
    pub padding: Padding,
    /// Inputs from one tap to the next.
    pub dilation: [u32; 3],
    /// Groups of channels: as many as there are channels for a depthwise convolution.
    pub groups: u32,
}

impl Default for ConvGeometry {
    fn default() -> Self {
        Self::SAME_3X3
    }
}

impl ConvGeometry {
    /// One tap: each output is made of the inputs at its own place.
    pub const POINTWISE: Self =
        Self { kernel: [1; 3], stride: [1; 3], padding: Padding::NONE, dilation: [1; 3], groups: 1 };

    /// 3×3 with zeros around, so that the output is as large as the input: VGG's only kind.
    pub const SAME_3X3: Self =
        Self { kernel: [1, 3, 3], padding: Padding::even(PaddingMode::Zero, [0, 1, 1]), ..Self::POINTWISE };

    /// [`ConvGeometry::SAME_3X3`] with the edge repeated instead of zeros in the forward pass, and its gradient.
    pub const REPLICATED_3X3: Self = Self::SAME_3X3.with_padding(PaddingMode::ReplicateForward);

    /// The same with something else beyond the edges.
    #[must_use]
    pub const fn with_padding(self, mode: PaddingMode) -> Self {
        Self { padding: Padding { mode, ..self.padding }, ..self }
    }

    /// The same with the elements from the other end beyond these edges of a plane.
    #[must_use]
    pub const fn with_wrap(self, wrap: Wrap) -> Self {
        Self { padding: Padding { wrapped: [false, wrap.y, wrap.x], ..self.padding }, ..self }
    }

    /// The geometry whose transpose is the gradient.
    pub const fn of_gradient(&self) -> Self {
        self.with_padding(self.padding.mode.of_gradient())
    }

    /// Whether it is [`ConvGeometry::SAME_3X3`] but for what stands beyond the edges.
    pub fn is_same_3x3(&self) -> bool {
        self.with_padding(PaddingMode::Zero).with_wrap(Wrap::NONE) == Self::SAME_3X3
    }

    /// Taps of a kernel.
    pub const fn taps(&self) -> u32 {
        let [d, h, w] = self.kernel;
        d * h * w
    }

    /// Shape of the weights between these channels: (outputs, inputs / groups, taps), the taps in the order depth,
    /// height, width. The bias is (1, 1, outputs).
    pub const fn weights_shape(&self, inputs: u32, outputs: u32) -> Shape {
        // No groups at all are refused by `output_shape`.
        let of_a_group = match inputs.checked_div(self.groups) {
            Some(channels) => channels,
            None => inputs,
        };
        Shape::new(outputs, of_a_group, self.taps())
    }

    /// Shape of the output with `outputs` channels for the input `x`.
    ///
    /// # Errors
    /// [`Error::Shape`] for `op` where a number that must be positive is 0, where the groups do not divide the
    /// channels, and where the kernel is larger than the padded input.
    pub fn output_shape(&self, op: &'static str, x: Shape, outputs: u32) -> Result<Shape> {
        let refuse = |expected: String, found: String| Err(Error::Shape { op, expected, found });
        let [kernel, stride, dilation] = [self.kernel, self.stride, self.dilation];
        if [kernel, stride, dilation].iter().flatten().chain([&self.groups]).any(|number| *number == 0) {
            let found = format!("{kernel:?}, {stride:?}, {dilation:?}, {}", self.groups);
            return refuse("a positive kernel, stride, dilation and number of groups".into(), found);
        }
        if !x.c.is_multiple_of(self.groups) || !outputs.is_multiple_of(self.groups) {
            let expected = format!("channels that {} groups divide", self.groups);
            return refuse(expected, format!("{} and {outputs}", x.c));
        }
        let mut sides = [0; 3];
        for (axis, (name, size)) in [("depth", x.d), ("height", x.h), ("width", x.w)].into_iter().enumerate()
        {
            let [before, after] = [self.padding.before[axis], self.padding.after[axis]];
            let padded = u64::from(size) + u64::from(before) + u64::from(after);
            let extent = u64::from(dilation[axis]) * u64::from(kernel[axis] - 1) + 1;
            if size == 0 || padded < extent || padded > u64::from(u32::MAX / 2) {
                let expected =
                    format!("a {name} in which {extent} fit, with its padding of {before} and {after}");
                return refuse(expected, size.to_string());
            }
            sides[axis] = ((padded - extent) / u64::from(stride[axis]) + 1) as u32;
        }
        let [d, h, w] = sides;
        Ok(Shape::volume(outputs, d, h, w))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn output(geometry: ConvGeometry, x: Shape) -> Shape {
        geometry.output_shape("conv", x, x.c).unwrap()
    }

    #[test]
    fn sizes_are_those_of_the_network_libraries() {
        let x = Shape::new(4, 7, 10);
        assert_eq!(output(ConvGeometry::SAME_3X3, x), x);
        assert_eq!(output(ConvGeometry::POINTWISE, x), x);
        let strided = ConvGeometry { stride: [1, 2, 2], ..ConvGeometry::SAME_3X3 };
        assert_eq!(output(strided, x), Shape::new(4, 4, 5));
        let even = ConvGeometry { kernel: [1, 2, 2], ..ConvGeometry::POINTWISE };
        assert_eq!(output(even, x), Shape::new(4, 6, 9));
        let dilated = ConvGeometry { dilation: [1, 2, 3], ..ConvGeometry::SAME_3X3 };
        assert_eq!(output(dilated, x), Shape::new(4, 5, 6));
        let after = Padding { after: [0, 1, 1], ..Padding::NONE };
        assert_eq!(output(ConvGeometry { padding: after, ..even }, x), x);
        let solid = ConvGeometry { kernel: [3; 3], stride: [2, 1, 1], ..ConvGeometry::POINTWISE };
        assert_eq!(output(solid, Shape::volume(1, 6, 5, 4)), Shape::volume(1, 2, 3, 2));
        assert_eq!(ConvGeometry { groups: 2, ..even }.weights_shape(4, 6), Shape::new(6, 2, 4));
    }

    #[test]
    fn the_gradient_leaves_out_what_was_repeated_forward_only() {
        let same = ConvGeometry::SAME_3X3;
        assert_eq!(ConvGeometry::REPLICATED_3X3.of_gradient(), same);
        for mode in [PaddingMode::Zero, PaddingMode::Replicate] {
            assert_eq!(same.with_padding(mode).of_gradient(), same.with_padding(mode));
            assert!(same.with_padding(mode).is_same_3x3());
        }
        // What comes from the other end has its gradient there.
        let along_rows = Wrap { y: false, x: true };
        let wrapped = ConvGeometry::REPLICATED_3X3.with_wrap(along_rows);
        assert_eq!(wrapped.of_gradient(), same.with_wrap(along_rows));
        assert!(wrapped.is_same_3x3());
        assert!(ConvGeometry::REPLICATED_3X3.is_same_3x3() && !ConvGeometry::POINTWISE.is_same_3x3());
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_reason() {
        let refused = |geometry: ConvGeometry, x: Shape, outputs: u32| {
            geometry.output_shape("conv", x, outputs).unwrap_err().to_string()
        };
        let same = ConvGeometry::SAME_3X3;
        let x = Shape::new(4, 7, 10);
        let text = refused(ConvGeometry { kernel: [1, 3, 13], ..same }, x, 4);
        assert!(text.contains("a width in which 13 fit, with its padding of 1 and 1"), "{text}");
        let text = refused(ConvGeometry { groups: 3, ..same }, x, 6);
        assert!(text.contains("channels that 3 groups divide") && text.contains("4 and 6"), "{text}");
        for zero in [
            ConvGeometry { kernel: [0, 3, 3], ..same },
            ConvGeometry { stride: [1, 0, 1], ..same },
            ConvGeometry { dilation: [1, 1, 0], ..same },
            ConvGeometry { groups: 0, ..same },
        ] {
            assert!(refused(zero, x, 4).contains("positive"), "{zero:?}");
        }
        assert!(refused(same, Shape::new(4, 0, 3), 4).contains("height"));
        assert!(refused(same, Shape::new(4, 3, u32::MAX), 4).contains("width"));
    }
}
