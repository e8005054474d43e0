//! The tensors that a case reads, and their values.

use super::random::Random;
use crate::graph::Role;
use crate::ops::Shape;
use crate::ops::relu::mask_shape;
use crate::reference;

/// A tensor from outside.
#[derive(Clone, Debug)]
pub struct Input {
    /// Its shape.
    pub shape: Shape,
    /// Whose it is; weights are never cut into pieces.
    pub role: Role,
    /// Its values.
    pub fill: Fill,
}

/// Which values an input has.
#[derive(Clone, Debug)]
pub enum Fill {
    /// Random in low..high.
    Between(f32, f32),
    /// Random words: the mask of a ReLU whose output has this shape.
    Mask(Shape),
    /// The winners of a max pool of random values of this shape.
    Winners(Shape),
    /// Random RGBA pixels, one word each.
    Rgba,
    /// Random halves, two a word: most in 0..1 as a linear light is, the others any, negative, infinite and NaN among
    /// them.
    Halves,
    /// Random such that, after the mean (R, G, B) is added, none is so near a whole number that rounding could
    /// change its integer part; some lie below 0 and some above 255.
    Pixels([f32; 3]),
    /// Random multiples of 1/16 in −1..1: sums of up to 65536 products of two of these do not round, in whatever order.
    Sixteenths,
    /// Random whole numbers below this one.
    Below(u32),
    /// These, in order.
    Given(Vec<f32>),
}

impl Input {
    pub(super) fn values(&self, random: &mut Random) -> Vec<u32> {
        let len = self.shape.elements() as usize;
        let floats = |mut next: Box<dyn FnMut(usize) -> f64 + '_>| {
            (0..len).map(|i| (next(i) as f32).to_bits()).collect()
        };
        match &self.fill {
            Fill::Between(low, high) => {
                let (low, high) = (f64::from(*low), f64::from(*high));
                floats(Box::new(|_| random.uniform(low, high)))
            }
            Fill::Mask(y) => {
                let (c, h, w) = (y.c as usize, y.rows() as usize, y.w as usize);
                reference::relu_mask(&random.vec_f64(c * h * w), (c, h, w))
            }
            Fill::Winners(x) => {
                let (c, h, w) = (x.c as usize, x.h as usize, x.w as usize);
                reference::max_pool_forward(&random.vec_f64(c * h * w), (c, h, w)).1
            }
            Fill::Rgba => (0..len).map(|_| (random.bits() >> 32) as u32).collect(),
            Fill::Halves => {
                // From 2⁻⁸ on, which is 17 of 255 when encoded, and the same number between any two powers of 2.
                let unit = |random: &mut Random| 0x1c00 + random.bits() as u32 % (0x3c01 - 0x1c00);
                let any = |random: &mut Random| random.bits() as u32 & 0xffff;
                let half =
                    |random: &mut Random| if random.index(8) == 0 { any(random) } else { unit(random) };
                (0..len).map(|_| half(random) | half(random) << 16).collect()
            }
            Fill::Pixels(mean) => {
                let plane = self.shape.plane() as usize;
                floats(Box::new(|i| {
                    let whole = (random.bits() % 300) as f64 - 20.0;
                    whole + random.uniform(0.1, 0.9) - f64::from(mean[i / plane])
                }))
            }
            Fill::Sixteenths => floats(Box::new(|_| random.index(33) as f64 / 16.0 - 1.0)),
            Fill::Below(end) => floats(Box::new(|_| random.index(*end as usize) as f64)),
            Fill::Given(values) => {
                assert_eq!(values.len(), len, "given values");
                values.iter().map(|value| value.to_bits()).collect()
            }
        }
    }

    /// Bits as the numbers that they mean.
    pub(super) fn widen(&self, bits: &[u32]) -> Vec<f64> {
        match self.fill {
            Fill::Rgba | Fill::Halves | Fill::Mask(_) | Fill::Winners(_) => {
                bits.iter().map(|word| f64::from(*word)).collect()
            }
            _ => bits.iter().map(|bits| f64::from(f32::from_bits(*bits))).collect(),
        }
    }
}

pub(super) fn input(shape: Shape, fill: Fill) -> Input {
    Input { shape, role: Role::Workspace, fill }
}

pub(super) fn signed(shape: Shape) -> Input {
    input(shape, Fill::Between(-1.0, 1.0))
}

/// The mask of a ReLU whose output has shape `y`.
pub(super) fn mask(y: Shape) -> Input {
    input(mask_shape(y), Fill::Mask(y))
}

/// The winners of a max pool whose input has shape `x`.
pub(super) fn winners(x: Shape) -> Input {
    input(mask_shape(x), Fill::Winners(x))
}

pub(super) fn weights(shape: Shape) -> Input {
    Input { role: Role::Weights, ..signed(shape) }
}

pub(super) fn all_signed(shapes: &[Shape]) -> Vec<Input> {
    shapes.iter().map(|shape| signed(*shape)).collect()
}
