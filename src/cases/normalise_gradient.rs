//! Cases of gradients divided by their norm.

use super::case::Case;
use super::common::{ACCUMULATE, BOTH, GATE, MANY, NONE, SIZES};
use super::elements::Elements;
use super::family::{Dimensions, Family, OwnCase};
use super::input::{Fill, Input, input, signed};
use super::tolerance::Tolerance;
use super::twin::finish;
use crate::ops::Shape;
use crate::ops::normalise_gradient::{NormaliseGradient, WeightIndices};
use crate::reference;

pub(super) static NORMALISE: Family = Family {
    name: "normalise_gradient",
    list,
    twin: |op, inputs, shapes| {
        let NormaliseGradient { weight, epilogue } = *op.downcast()?;
        let weight = inputs[1][weight.term as usize] * inputs[1][weight.group as usize];
        let dx = reference::normalise_gradient(inputs[0], weight);
        Some(finish(dx, epilogue, &inputs[2..], shapes[0]))
    },
    of: |op, shapes| {
        let NormaliseGradient { epilogue, .. } = *op.downcast()?;
        let own = vec![signed(shapes[0]), weights(shapes[1].w)];
        Some(OwnCase::new(own, tolerance(shapes[0])).ending_in(epilogue))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

/// Weights as users have them: far apart.
fn weights(count: u32) -> Input {
    input(Shape::row(count), Fill::Between(0.01, 100.0))
}

fn tolerance(dy: Shape) -> Tolerance {
    // At most 265 elements a thread, then 256 partials a lane and a tree; then a product, a sum, a division and a product.
    Tolerance::positive_sum(100 + dy.elements() / 2048)
}

fn list() -> Vec<Case> {
    let epilogues = [NONE, ACCUMULATE, BOTH, GATE, BOTH, ACCUMULATE, NONE];
    let cases = SIZES.into_iter().chain([MANY]).zip(epilogues).zip(0..).map(|((x, epilogue), term)| {
        let op = NormaliseGradient { weight: WeightIndices { term, group: 8 }, epilogue };
        NORMALISE.backward(x.to_string(), op, epilogue, vec![signed(x), weights(9)], x, tolerance(x))
    });
    // A gradient that is 0, and a term without weight.
    let (x, of_two) = (SIZES[1], WeightIndices { term: 0, group: 1 });
    let zeros = |shape| input(shape, Fill::Between(0.0, 0.0));
    let edges = [("no gradient", zeros(x), weights(2)), ("no weight", signed(x), zeros(Shape::row(2)))];
    let edges = edges.map(|(what, dy, weights)| {
        let op = NormaliseGradient { weight: of_two, epilogue: ACCUMULATE };
        NORMALISE.backward(what.to_owned(), op, ACCUMULATE, vec![dy, weights], x, tolerance(x))
    });
    cases.chain(edges).collect()
}
