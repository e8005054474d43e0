//! The list of all families, and what is looked up in it.

use std::sync::Arc;

use super::case::{Case, Recorded, Step};
use super::elements::Elements;
use super::family::{Dimensions, Family, OwnCase, merged};
use super::twin::Twin;
use super::{
    adam, add, centre, colour, conv, covariance_cost, energy, gram, guide, histogram, l_bfgs, match_cost,
    matrix, mean_variance_cost, nearest, normalise_gradient, pool, preprocess, probe, pyramid, relu,
    resample, resize, smooth, squared_error, start, store, texels, total_variation, unit, wasserstein,
    weighted_error, weighted_sum,
};
use crate::error::Result;
use crate::ops::{Op, Shape};

/// Every family, in the order in which cases are run.
pub static FAMILIES: &[&Family] = &[
    &conv::FORWARD,
    &conv::BACKWARD,
    &relu::FORWARD,
    &relu::BACKWARD,
    &add::ACCUMULATE,
    &add::ADD,
    &add::MIX,
    &pool::FORWARD,
    &pool::BACKWARD,
    &pool::MAX_FORWARD,
    &pool::MAX_BACKWARD,
    &gram::FORWARD,
    &gram::BACKWARD,
    &gram::MEAN,
    &matrix::PRODUCT,
    &matrix::AFFINE,
    &matrix::SYMMETRISE,
    &matrix::NORM,
    &matrix::SCALE,
    &matrix::COVARIANCE,
    &wasserstein::FORWARD,
    &wasserstein::BACKWARD,
    &wasserstein::REST,
    &covariance_cost::FORWARD,
    &covariance_cost::BACKWARD,
    &mean_variance_cost::FORWARD,
    &mean_variance_cost::BACKWARD,
    &guide::BRIGHTNESS,
    &guide::SCALE,
    &guide::STRENGTH,
    &guide::UNION,
    &guide::BLEND,
    &guide::FORWARD,
    &guide::BACKWARD,
    &squared_error::FORWARD,
    &squared_error::BACKWARD,
    &total_variation::FORWARD,
    &total_variation::BACKWARD,
    &unit::UNIT,
    &centre::FORWARD,
    &unit::STACK,
    &nearest::NEAREST,
    &nearest::GATHER,
    &nearest::EXPAND_BLOCKS,
    &energy::ENERGY,
    &energy::SHARE,
    &match_cost::FORWARD,
    &match_cost::BACKWARD,
    &weighted_error::FORWARD,
    &weighted_error::BACKWARD,
    &weighted_error::CELL_WEIGHTS,
    &weighted_sum::FORWARD,
    &weighted_sum::BACKWARD,
    &normalise_gradient::NORMALISE,
    &adam::ADVANCE,
    &adam::STEP,
    &l_bfgs::PRODUCTS,
    &l_bfgs::DIRECTION,
    &l_bfgs::STEP,
    &smooth::FORWARD,
    &resize::FORWARD,
    &pyramid::SCHEDULE_ADVANCE,
    &pyramid::LEVEL,
    &pyramid::DESCEND,
    &start::FORWARD,
    &store::FORWARD,
    &preprocess::PREPROCESS,
    &preprocess::POSTPROCESS,
    &preprocess::CLAMP_PIXELS,
    &texels::DECODE,
    &texels::ENCODE,
    &resample::FORWARD,
    &colour::GREY,
    &colour::TRANSPORT,
    &colour::TRANSFORM,
    &colour::REPLACE,
    &histogram::MATCH,
    &histogram::APPLY,
    &probe::PEAK,
    &probe::COPY,
];

/// Every case.
pub fn all() -> Vec<Case> {
    FAMILIES.iter().flat_map(|family| family.cases()).collect()
}

/// Runs an op, fused or not, by its CPU twin in f64. Pictures and masks are words, each as a number.
///
/// # Panics
/// Where the op is of no family, or the inputs do not fit it.
pub fn twin(op: &dyn Op, inputs: &[&[f64]], shapes: &[Shape]) -> Twin {
    let twin = FAMILIES.iter().find_map(|family| (family.twin)(op, inputs, shapes));
    let mut twin = twin.unwrap_or_else(|| panic!("{} has no twin in src/cases", op.name()));
    twin.updated.extend(op.in_place().map(|input| (input, twin.output.clone())));
    twin
}

/// A case of `op` on inputs of `shapes`, with the values and the tolerance of its family: for checking a kernel on the
/// shapes of a network. The name holds only what sets the values.
///
/// # Panics
/// Where the op is of no family.
pub fn case_of(op: &Arc<dyn Op>, shapes: &[Shape]) -> Case {
    let own = FAMILIES.iter().find_map(|family| Some((family.name, (family.of)(&**op, shapes)?)));
    let (family, OwnCase { inputs, epilogue, tolerance }) =
        own.unwrap_or_else(|| panic!("{} has no family in src/cases", op.name()));
    let dx = op.output_shape(shapes).expect("shapes that fit");
    let (inputs, tolerance) = merged(inputs, epilogue, dx, tolerance);
    let steps = vec![Step { op: Arc::clone(op), inputs: (0..inputs.len()).collect() }];
    let sizes: Vec<String> = shapes.iter().map(Shape::to_string).collect();
    let name = format!("{family} {}", sizes.join(", "));
    Case { name, family, inputs, steps, repeats: 1, pieces: 1, tolerance }
}

/// What the words of a case's main output are.
pub fn elements_of(case: &Case) -> Elements {
    let last = family_of(case).zip(case.steps.last());
    last.map_or(Elements::Floats, |(family, step)| (family.elements)(&*step.op))
}

/// How large a case's last op is, from the shapes of what that reads.
///
/// # Errors
/// [`crate::Error::Shape`] where the case is mistaken.
pub fn dimensions_of(case: &Case) -> Result<Dimensions> {
    let Recorded { tape, output, .. } = case.record()?;
    let inputs = tape.nodes().last().map_or(&[][..], |node| &node.inputs);
    let inputs: Vec<Shape> = inputs.iter().map(|input| tape.shape(*input)).collect();
    let dimensions = family_of(case).map_or(Dimensions::of_largest as _, |family| family.dimensions);
    Ok(dimensions(&inputs, tape.shape(output)))
}

/// The family of a case; `None` where its name is on no list.
fn family_of(case: &Case) -> Option<&'static Family> {
    FAMILIES.iter().copied().find(|family| family.name == case.family)
}
