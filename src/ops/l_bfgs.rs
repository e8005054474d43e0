//! L-BFGS (Nocedal, Mathematics of Computation 35, 1980) without a line search, on the GPU alone: from the changes of the
//! pixels and of their gradient in the last steps it makes a step that knows how the cost bends.
//!
//! A pair is s, by how much a step changed the pixels, and y, by how much that changed their gradient. The *history* holds
//! pairs in slots, one more than it may have pairs: the *spare* slot holds the last step in the place of s and the gradient
//! before it in the place of y. Once the next gradient is there, [`Products`] makes all products with the new pair and that
//! gradient, [`Direction`] decides whether the pair counts and makes of the products the weight that every s and y has in
//! the step, and [`Step`] adds them up. Only these sums see whole vectors (Chen, Wang and Zhou, "Large-scale L-BFGS using
//! MapReduce", NIPS 2014), and which slot holds what is in a tensor, so that the program is the same for every step.
//!
//! What is done is what PyTorch's `LBFGS` does with one iteration a step and without a line search, but for three things,
//! all of which make it independent of the units of cost and pixels. The first step changes a pixel by the learning rate on
//! the average; PyTorch makes it a step of that sum over all pixels, which single precision cannot hold. A pair counts where
//! the cosine between s and y is above a millionth; PyTorch wants a product above 1e-10. Where no pair counts, a step
//! is like the first.

use super::{Capabilities, Common, Dispatch, Io, Layout, Lowered, Op, Operand, Shape, expect_shapes};
use crate::error::Result;
use crate::gpu::params;

params! {
    /// Uniforms of the first pass of the products: `channels` channels are in the pieces of the gradient and of the history,
    /// from channels `first` and `history_first` of these on. Of all `groups` groups this dispatch makes those from
    /// `first_group` on.
    ProductsParams {
        plane: u32,
        channels: u32,
        slots: u32,
        first: u32,
        history_first: u32,
        first_group: u32,
        groups: u32,
    }
}
params! {
    /// Uniforms of the second pass.
    ReduceParams { groups: u32 }
}
params! {
    /// Uniforms of the direction: `scale` is the number of elements.
    DirectionParams { slots: u32, scale: f32 }
}
params! {
    /// Uniforms of the step: as those of the products.
    StepParams { plane: u32, channels: u32, slots: u32, first: u32, history_first: u32 }
}

super::kernels! {
    folder: "l_bfgs";
    l_bfgs_products(ProductsParams) {
        workgroup: 64,
        bindings: [read state, read g, read s, read y, write partials],
        tile: [ELEMENTS = 8],
    }
    l_bfgs_products_reduce(ReduceParams) { workgroup: 64, bindings: [read partials, write totals] }
    l_bfgs_direction(DirectionParams) {
        workgroup: 128,
        bindings: [read hyper, read totals, write state, write products, write steps, write weights],
    }
    l_bfgs_step(StepParams) { workgroup: 64, bindings: [read weights, read g, write x, write s, write y] }
}

/// The most pairs that a history may have: [`Direction`] has a thread for each.
pub const MOST_PAIRS: u32 = 100;

/// Numbers in the `state` row: pairs that count, the spare slot, and 1 where there was a step before. All zero where there is
/// no history: what the slots hold is then not looked at.
pub const STATE: u32 = 3;

/// Slots of a history of this many pairs.
pub const fn slots(pairs: u32) -> u32 {
    pairs + 1
}

/// Shape of each half of a history, for pixels (C, H, W) in `slots` slots: (C, slots, H, W).
pub const fn history_shape(pixels: Shape, slots: u32) -> Shape {
    Shape::volume(pixels.c, slots, pixels.h, pixels.w)
}

/// Shape of the products between the pairs of a history: (1, 2·slots, slots). Row i has sᵢ·yⱼ for every slot j whose pair is
/// not older, row slots + i has yᵢ·yⱼ.
pub const fn products_shape(slots: u32) -> Shape {
    Shape::new(1, 2 * slots, slots)
}

/// Shape of what [`Products`] makes: (1, 1, 4·(slots + 1)).
pub const fn totals_shape(slots: u32) -> Shape {
    Shape::row(4 * (slots + 1))
}

/// Shape of what [`Direction`] makes: (1, 1, 2·slots + 3).
pub const fn weights_shape(slots: u32) -> Shape {
    Shape::row(2 * slots + 3)
}

/// Whether s and y are the halves of a history of pixels of the shape of g and x.
fn is_history(pixels: Shape, s: Shape, y: Shape) -> bool {
    s == y && pixels.d == 1 && s == history_shape(pixels, s.d) && fits_a_workgroup(s.d)
}

/// Whether a history has one pair at least and no more slots than [`Direction`] has threads.
fn fits_a_workgroup(slots: u32) -> bool {
    (2..=kernels::l_bfgs_direction.workgroup).contains(&slots)
}

/// What pieces of pixels and of a history have in common.
fn common(pixels: &Layout, history: &Layout) -> Vec<Common> {
    pixels.common(history, 0).collect()
}

/// The products that [`Direction`] needs. Inputs the state (1, 1, 3), the gradient g (C, H, W), and the history s, y
/// (C, slots, H, W). The new pair is (s, y) = (s_spare, g − y_spare), and counts as that of the spare slot. Output the row
/// (1, 1, 4·(slots + 1)): for every slot i sᵢ·y, sᵢ·g, yᵢ·y and yᵢ·g, then Σ|g|, g·g, s·s and 0. It changes nothing, so a step
/// may be dropped after it.
#[derive(Debug)]
pub struct Products;

impl Op for Products {
    fn name(&self) -> &'static str {
        "l_bfgs_products"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.len() == 4
            && inputs[0] == Shape::row(STATE)
            && is_history(inputs[1], inputs[2], inputs[3]);
        let rule = "the state 1×1×3, a gradient C×H×W, and s, y C×slots×H×W of 2 to 128 slots";
        expect_shapes(self.name(), fits, rule, inputs)?;
        Ok(totals_shape(inputs[2].d))
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let [_, g, s, _] = io.inputs else { return Ok(Lowered::default()) };
        let kernel = &kernels::l_bfgs_products;
        let (plane, slots) = (g.shape.plane() as u32, s.shape.d);
        let of_a_group = kernel.workgroup * kernel.tile("ELEMENTS");
        let parts = common(g, s);
        let groups_of = |part: &Common| (part.channels * plane).div_ceil(of_a_group);
        let groups = parts.iter().map(groups_of).sum();
        let (mut dispatches, mut first_group) = (Vec::new(), 0);
        for part in &parts {
            let params = ProductsParams {
                plane,
                channels: part.channels,
                slots,
                first: part.first,
                history_first: part.other_first,
                first_group,
                groups,
            };
            let operands = vec![
                Operand::input(0, 0),
                Operand::input(1, part.piece),
                Operand::input(2, part.other),
                Operand::input(3, part.other),
                Operand::Scratch { index: 0 },
            ];
            let flops = 8 * u64::from(slots + 1) * u64::from(part.channels * plane);
            dispatches.push(Dispatch::new(kernel, params, operands, groups_of(part), flops));
            first_group += groups_of(part);
        }
        let sums = 4 * u64::from(slots + 1) * u64::from(groups);
        dispatches.push(Dispatch::new(
            &kernels::l_bfgs_products_reduce,
            ReduceParams { groups },
            vec![Operand::Scratch { index: 0 }, Operand::output(0)],
            slots + 1,
            sums,
        ));
        Ok(Lowered { scratch: vec![sums], dispatches, ..Lowered::default() })
    }
}

/// The weights of a step. Inputs the learning rate (1, 1, 1), what [`Products`] makes, the state (1, 1, 3), the products
/// between the pairs (1, 2·slots, slots), the number of steps so far (1, 1, 1); the last three are updated in place. Output
/// (1, 1, 2·slots + 3): the weights of s for every slot, those of y, that of the gradient, then the slot that was spare and the
/// one that is. The new pair counts where s·y > 1e-6·|s|·|y|. The step is against the gradient, by the learning rate on the
/// average of all elements, where no pair counts, or where rounding has made a step that does not go down: then the history
/// begins anew.
#[derive(Debug)]
pub struct Direction {
    /// Elements of the pixels.
    pub elements: u64,
}

impl Op for Direction {
    fn name(&self) -> &'static str {
        "l_bfgs_direction"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let slots = inputs.get(3).map_or(0, |products| products.w);
        let own =
            [Shape::SCALAR, totals_shape(slots), Shape::row(STATE), products_shape(slots), Shape::SCALAR];
        let rule = "a learning rate, totals 1×1×4(slots+1), the state 1×1×3, products 1×2slots×slots of 2 to 128 slots, and \
                    a number of steps";
        expect_shapes(self.name(), inputs == own && fits_a_workgroup(slots), rule, inputs)?;
        Ok(weights_shape(slots))
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let slots = io.inputs[3].shape.w;
        let params = DirectionParams { slots, scale: self.elements as f32 };
        let operands = (0..5).map(|input| Operand::input(input, 0)).chain([Operand::output(0)]).collect();
        let flops = 8 * u64::from(slots) * u64::from(slots);
        let dispatch = Dispatch::new(&kernels::l_bfgs_direction, params, operands, 1, flops);
        Ok(Lowered { dispatches: vec![dispatch], ..Lowered::default() })
    }
}

/// The step. Inputs the weights (1, 1, 2·slots + 3), the gradient g and the pixels x (C, H, W), and the history s, y
/// (C, slots, H, W); x, s and y are updated in place, and x is the output. Where the weights say so, the pair of the slot that
/// was spare is kept: y = g − y. The spare slot takes what is added to x, and g.
#[derive(Debug)]
pub struct Step;

impl Op for Step {
    fn name(&self) -> &'static str {
        "l_bfgs_step"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.len() == 5
            && inputs[1] == inputs[2]
            && is_history(inputs[1], inputs[3], inputs[4])
            && inputs[0] == weights_shape(inputs[3].d);
        let rule =
            "weights 1×1×(2slots+3), g and x C×H×W of one shape, and s, y C×slots×H×W of 2 to 128 slots";
        expect_shapes(self.name(), fits, rule, inputs)?;
        Ok(inputs[2])
    }

    fn in_place(&self) -> Option<usize> {
        Some(2)
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let [_, g, _, s, _] = io.inputs else { return Ok(Lowered::default()) };
        let kernel = &kernels::l_bfgs_step;
        let (plane, slots) = (g.shape.plane() as u32, s.shape.d);
        let dispatch = |part: Common| {
            let params = StepParams {
                plane,
                channels: part.channels,
                slots,
                first: part.first,
                history_first: part.other_first,
            };
            let operands = vec![
                Operand::input(0, 0),
                Operand::input(1, part.piece),
                Operand::output(part.piece),
                Operand::input(3, part.other),
                Operand::input(4, part.other),
            ];
            let elements = part.channels * plane;
            let flops = 4 * u64::from(slots) * u64::from(elements);
            Dispatch::new(kernel, params, operands, elements.div_ceil(kernel.workgroup), flops)
        };
        let dispatches = common(g, s).into_iter().map(dispatch).collect();
        Ok(Lowered { dispatches, ..Lowered::default() })
    }
}
