//! What minimises: its nodes on the tape of a step, and the state that it keeps between steps.

use std::sync::Arc;

use super::options::{OptimiserKind, Options};
use crate::error::Result;
use crate::graph::{Phase, Role, Tape, TensorId};
use crate::ops::adam::{Adam, AdamAdvance, HYPER, STATE, hyper};
use crate::ops::l_bfgs;
use crate::ops::pool::Pool;
use crate::ops::preprocess::{ClampPixels, MEAN_SHAPE};
use crate::ops::pyramid::{AdamLevel, Descend, SCHEDULE, SCHEDULE_STATE, ScheduleAdvance, schedule};
use crate::ops::resize::{AddUpsampled, Filter, Resize};
use crate::ops::smooth::Smooth;
use crate::ops::{Shape, Wrap};

/// β₁, β₂ and ε of Adam.
const ADAM: [f32; 3] = [0.9, 0.999, 1e-8];
/// The same on a pyramid.
const PYRAMID_ADAM: [f32; 3] = [0.9, 0.99, 1e-8];

/// Names of Adam's tensors among a step's externals.
const ADAM_HYPER: &str = "adam.hyper";
const ADAM_STATE: &str = "adam.state";
const ADAM_M: &str = "adam.m";
const ADAM_V: &str = "adam.v";
/// Names of the moments on a pyramid's levels, from the pixels on.
const LEVELS: [[&str; 2]; 5] = [
    [ADAM_M, ADAM_V],
    ["adam.m.1", "adam.v.1"],
    ["adam.m.2", "adam.v.2"],
    ["adam.m.3", "adam.v.3"],
    ["adam.m.4", "adam.v.4"],
];
/// A level whose shorter side has fewer pixels is the coarsest.
const SHORTEST_SIDE: u32 = 8;
/// Names of the other tensors of a descent on a pyramid.
const SCHEDULE_HYPER: &str = "schedule.hyper";
const SCHEDULE_STEP: &str = "schedule.state";
const AVERAGE: &str = "average";
/// Names of the tensors of L-BFGS.
const L_BFGS_RATE: &str = "l-bfgs.rate";
const L_BFGS_S: &str = "l-bfgs.s";
const L_BFGS_Y: &str = "l-bfgs.y";
const L_BFGS_PRODUCTS: &str = "l-bfgs.products";
const L_BFGS_STATE: &str = "l-bfgs.state";
const L_BFGS_STEPS: &str = "l-bfgs.steps";
/// Name of the pixels (3, H, W) among the externals of every program that reads or makes them.
pub(super) const PIXELS: &str = "pixels";
/// Name of the colour that the network takes for zero, (1, 1, 3).
pub(super) const MEAN: &str = "mean";

/// A tensor that an optimiser keeps from step to step. It begins as zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StateTensor {
    /// Its name among a step's externals, and in a checkpoint.
    pub(super) name: &'static str,
    /// Its shape.
    pub(super) shape: Shape,
    /// What it counts as in the account of memory.
    role: Role,
}

/// Adam's m, v, and 1 − β₁ᵗ, 1 − β₂ᵗ and t.
fn adam_state(pixels: Shape) -> [StateTensor; 3] {
    [
        StateTensor { name: ADAM_M, shape: pixels, role: Role::Optimiser },
        StateTensor { name: ADAM_V, shape: pixels, role: Role::Optimiser },
        StateTensor { name: ADAM_STATE, shape: Shape::row(STATE), role: Role::Workspace },
    ]
}

/// m and v of each level of a pyramid of at most `levels` over the pixels. A level has half the sides of the one before, rounded
/// up.
fn moments(pixels: Shape, levels: usize) -> Vec<[StateTensor; 2]> {
    let halved = |level: &Shape| {
        let is_last = level.h.min(level.w) < SHORTEST_SIDE;
        (!is_last).then(|| Shape::new(level.c, level.h.div_ceil(2), level.w.div_ceil(2)))
    };
    let shapes = std::iter::successors(Some(pixels), halved);
    let level = |(names, shape): ([&'static str; 2], Shape)| {
        names.map(|name| StateTensor { name, shape, role: Role::Optimiser })
    };
    LEVELS.into_iter().take(levels).zip(shapes).map(level).collect()
}

/// What a descent on a pyramid keeps beside the moments: 1 − β₁ᵗ, 1 − β₂ᵗ and t, the schedule's state, and the
/// average of the pixels.
fn descent_state(pixels: Shape) -> [StateTensor; 3] {
    [
        StateTensor { name: ADAM_STATE, shape: Shape::row(STATE), role: Role::Workspace },
        StateTensor { name: SCHEDULE_STEP, shape: Shape::row(SCHEDULE_STATE), role: Role::Workspace },
        StateTensor { name: AVERAGE, shape: pixels, role: Role::Optimiser },
    ]
}

/// What L-BFGS keeps with this many pairs: the halves of its history, their products, which slots are used, and the number of
/// steps.
fn l_bfgs_state(pixels: Shape, pairs: u32) -> [StateTensor; 5] {
    let slots = l_bfgs::slots(pairs);
    let half = l_bfgs::history_shape(pixels, slots);
    let products = l_bfgs::products_shape(slots);
    [
        StateTensor { name: L_BFGS_S, shape: half, role: Role::Optimiser },
        StateTensor { name: L_BFGS_Y, shape: half, role: Role::Optimiser },
        StateTensor { name: L_BFGS_STATE, shape: Shape::row(l_bfgs::STATE), role: Role::Workspace },
        StateTensor { name: L_BFGS_PRODUCTS, shape: products, role: Role::Workspace },
        StateTensor { name: L_BFGS_STEPS, shape: Shape::SCALAR, role: Role::Workspace },
    ]
}

/// A way to change the pixels by their gradient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Optimiser {
    /// Kingma and Ba, arXiv 1412.6980, with this learning rate in 8-bit levels.
    Adam { learning_rate: f32, wrap: Wrap },
    /// Adam on each of `levels` levels of a pyramid of the smoothed gradient, which is taken per pixel: see
    /// [`crate::ops::pyramid`]. One level has the gradient as it is. Step i of the n at a size has the rate rate·(1 − fade·i/n) in 8-bit levels; pixels stay
    /// within what a picture can show, and are averaged with a weight that falls by `decay` a step.
    Descent { rate: f32, fade: f32, decay: f32, levels: usize, wrap: Wrap },
    /// L-BFGS from at most this many pairs, without a line search: see [`crate::ops::l_bfgs`]. Its first step changes pixels by
    /// `rate` 8-bit levels on the average, the others are `rate` times what it finds.
    LBfgs { rate: f32, pairs: u32, wrap: Wrap },
}

impl Optimiser {
    /// The one that `options` ask for.
    pub(super) fn of(options: &Options) -> Self {
        let Options { learning_rate: rate, fade, averaging: decay, history, .. } = *options;
        let wrap = options.seamless.wrap();
        match options.optimiser {
            OptimiserKind::Adam => Self::Adam { learning_rate: rate, wrap },
            OptimiserKind::PyramidAdam => Self::Descent { rate, fade, decay, levels: LEVELS.len(), wrap },
            OptimiserKind::AveragedAdam => Self::Descent { rate, fade, decay, levels: 1, wrap },
            OptimiserKind::LBfgs => Self::LBfgs { rate, pairs: history, wrap },
        }
    }

    /// Where the pixels wrap.
    fn wrap(self) -> Wrap {
        match self {
            Self::Adam { wrap, .. } | Self::Descent { wrap, .. } | Self::LBfgs { wrap, .. } => wrap,
        }
    }

    /// Name of the tensor that the picture is made of: the pixels, or what they are averaged in.
    pub(super) fn shown(self) -> &'static str {
        match self {
            Self::Adam { .. } | Self::LBfgs { .. } => PIXELS,
            Self::Descent { .. } => AVERAGE,
        }
    }

    /// Names of the tensors that a start makes: the pixels, and what is shown of them.
    pub(super) fn pictures(self) -> Vec<&'static str> {
        let mut pictures = vec![PIXELS, self.shown()];
        pictures.dedup();
        pictures
    }

    /// Whether the picture is rounded to 8 bits. Otherwise it is truncated, as in the course.
    pub(super) fn rounds(self) -> bool {
        !matches!(self, Self::Adam { .. })
    }

    /// From one step that makes anew what others go on with to the next, within a size. What compares gradients wants them all
    /// of one cost, and so does what has a published program's steps.
    pub(super) fn refreshes_every(self) -> u32 {
        match self {
            Self::Descent { levels: 1, .. } | Self::LBfgs { .. } => 1,
            Self::Adam { .. } | Self::Descent { .. } => 2,
        }
    }

    /// What has to be forgotten when the cost becomes another one: the tensors' names with the values that they begin anew
    /// with. A difference of gradients of two costs says nothing of either.
    pub(super) fn forgotten(self) -> Vec<(&'static str, Vec<f32>)> {
        match self {
            Self::Adam { .. } | Self::Descent { .. } => Vec::new(),
            Self::LBfgs { .. } => vec![(L_BFGS_STATE, vec![0.0; l_bfgs::STATE as usize])],
        }
    }

    /// What each size after the first begins with, by the names of the tensors.
    pub(super) fn begin_scale(self) -> Vec<(&'static str, Vec<f32>)> {
        match self {
            Self::Adam { .. } => Vec::new(),
            Self::Descent { .. } => vec![(SCHEDULE_STEP, vec![0.0; SCHEDULE_STATE as usize])],
            Self::LBfgs { .. } => self.forgotten(),
        }
    }

    /// Records the way from the pixels and moments of the size `from` (3, H, W) to those of `to`, and keeps them. Returns
    /// their names, in the order in which they are kept. A level that did not exist begins like the last one that did.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where something does not fit.
    pub(super) fn record_enlarged(self, tape: &mut Tape, from: Shape, to: Shape) -> Result<Vec<String>> {
        let resized = |tape: &mut Tape, name: &str, from: Shape, to: Shape, filter: Filter| {
            let tensor = tape.external(name, from, Role::Optimiser);
            let resize = Resize { height: to.h, width: to.w, filter, wrap: self.wrap() };
            tape.record(resize, &[tensor], "pixels")
        };
        let larger = resized(tape, self.shown(), from, to, Filter::Bicubic)?;
        let mean = record_mean(tape);
        let pixels = tape.record(ClampPixels, &[larger, mean], "pixels")?;
        let mut results: Vec<(String, TensorId)> =
            self.pictures().into_iter().map(|name| (name.to_owned(), pixels)).collect();
        let levels = |pixels: Shape| match self {
            Self::Adam { .. } => moments(pixels, 1),
            Self::Descent { levels, .. } => moments(pixels, levels),
            Self::LBfgs { .. } => Vec::new(),
        };
        let (before, after) = (levels(from), levels(to));
        for (level, tensors) in after.into_iter().enumerate() {
            let Some(sources) = before.get(level).or(before.last()) else { break };
            for (tensor, source) in tensors.into_iter().zip(sources) {
                let made = resized(tape, source.name, source.shape, tensor.shape, Filter::Bilinear)?;
                results.push((tensor.name.to_owned(), made));
            }
        }
        results.iter().for_each(|(_, tensor)| tape.keep(*tensor));
        Ok(results.into_iter().map(|(name, _)| name).collect())
    }

    /// Its state for pixels of shape (3, H, W).
    pub(super) fn state(self, pixels: Shape) -> Vec<StateTensor> {
        match self {
            Self::Adam { .. } => adam_state(pixels).to_vec(),
            Self::Descent { levels, .. } => {
                moments(pixels, levels).into_iter().flatten().chain(descent_state(pixels)).collect()
            }
            Self::LBfgs { pairs, .. } => l_bfgs_state(pixels, pairs).to_vec(),
        }
    }

    /// The values that it reads at a size of this many `steps`, and that can change from step to step, by the names of their
    /// tensors.
    pub(super) fn settings(self, steps: u32) -> Vec<(&'static str, Vec<f32>)> {
        match self {
            Self::Adam { learning_rate, .. } => vec![(ADAM_HYPER, hyper(learning_rate, ADAM).to_vec())],
            Self::Descent { rate, fade, decay, .. } => vec![
                (ADAM_HYPER, hyper(rate, PYRAMID_ADAM).to_vec()),
                (SCHEDULE_HYPER, schedule(rate, fade, steps.max(1), decay).to_vec()),
            ],
            Self::LBfgs { rate, .. } => vec![(L_BFGS_RATE, vec![rate])],
        }
    }

    /// Records one update of `pixels` (3, H, W) by their `gradient`, in place.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where the two do not fit.
    pub(super) fn record(self, tape: &mut Tape, pixels: TensorId, gradient: TensorId) -> Result<()> {
        match self {
            Self::Adam { .. } => {
                let hyper = tape.external(ADAM_HYPER, Shape::row(HYPER), Role::Workspace);
                let [m, v, state] = adam_state(tape.shape(pixels))
                    .map(|tensor| tape.external(tensor.name, tensor.shape, tensor.role));
                let state = tape.record_update(AdamAdvance, &[hyper, state], "pixels")?;
                tape.record_update(Adam, &[hyper, state, gradient, pixels, m, v], "pixels")?;
                Ok(())
            }
            Self::Descent { levels, wrap, .. } => record_descent(tape, pixels, gradient, levels, wrap),
            Self::LBfgs { pairs, .. } => record_l_bfgs(tape, pixels, gradient, pairs),
        }
    }

    /// How many steps a state has had, of whose tensors `tensor` gives the numbers by name.
    pub(super) fn steps<'a>(self, tensor: impl FnOnce(&str) -> Option<&'a [f32]>) -> Option<u32> {
        match self {
            Self::Adam { .. } | Self::Descent { .. } => tensor(ADAM_STATE)?.get(2).map(|t| *t as u32),
            Self::LBfgs { .. } => tensor(L_BFGS_STEPS)?.first().map(|steps| *steps as u32),
        }
    }
}

/// One update by [`Optimiser::LBfgs`] from at most `pairs` pairs.
fn record_l_bfgs(tape: &mut Tape, pixels: TensorId, gradient: TensorId, pairs: u32) -> Result<()> {
    let rate = tape.external(L_BFGS_RATE, Shape::SCALAR, Role::Workspace);
    let shape = tape.shape(pixels);
    let [s, y, state, products, steps] =
        l_bfgs_state(shape, pairs).map(|tensor| tape.external(tensor.name, tensor.shape, tensor.role));
    // The products change nothing, so that a host's frame may end before the update.
    let inputs = [state, gradient, s, y];
    let totals = tape.push(Arc::new(l_bfgs::Products), &inputs, "pixels", Phase::Backward)?;
    let direction = l_bfgs::Direction { elements: shape.elements() };
    let weights = tape.record_update(direction, &[rate, totals, state, products, steps], "pixels")?;
    tape.record_update(l_bfgs::Step, &[weights, gradient, pixels, s, y], "pixels")?;
    Ok(())
}

/// Records where the network's mean (1, 1, 3) lies.
pub(super) fn record_mean(tape: &mut Tape) -> TensorId {
    tape.external(MEAN, MEAN_SHAPE, Role::Workspace)
}

/// One update by [`Optimiser::Descent`].
fn record_descent(
    tape: &mut Tape,
    pixels: TensorId,
    gradient: TensorId,
    levels: usize,
    wrap: Wrap,
) -> Result<()> {
    let shape = tape.shape(pixels);
    let hyper = tape.external(ADAM_HYPER, Shape::row(HYPER), Role::Workspace);
    let schedule = tape.external(SCHEDULE_HYPER, Shape::row(SCHEDULE), Role::Workspace);
    let mean = record_mean(tape);
    let mut own = |tensor: StateTensor| tape.external(tensor.name, tensor.shape, tensor.role);
    let moments: Vec<[TensorId; 2]> =
        moments(shape, levels).into_iter().map(|level| level.map(&mut own)).collect();
    let [state, step, average] = descent_state(shape).map(own);
    let state = tape.record_update(AdamAdvance, &[hyper, state], "pixels")?;
    let step = tape.record_update(ScheduleAdvance, &[schedule, step], "pixels")?;
    let mut gradients = vec![match levels {
        1 => gradient,
        _ => {
            // Costs are means over pixels: times their number, a gradient does not depend on the size, and moments go over
            // from one size to another.
            let smooth = Smooth { scale: shape.plane() as f32, wrap };
            tape.record_update(smooth, &[gradient], "pixels")?
        }
    }];
    for level in 1..moments.len() {
        gradients.push(tape.record_update(Pool::MEAN, &[gradients[level - 1]], "pixels")?);
    }
    // From the coarsest level.
    let mut change = None;
    for (&gradient, [m, v]) in gradients.iter().zip(moments).rev() {
        let own = tape.record_update(AdamLevel, &[hyper, state, gradient, m, v], "pixels")?;
        change = Some(match change {
            Some(coarser) => tape.record_update(AddUpsampled { wrap }, &[own, coarser], "pixels")?,
            None => own,
        });
    }
    let change = change.unwrap_or(gradients[0]);
    tape.record_update(Descend, &[step, mean, change, pixels, average], "pixels")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::HashMap;

    use super::*;
    use crate::cases::{Random, twin};
    use crate::graph::{Limits, plan};
    use crate::ops::resize::Filter;
    use crate::reference;

    const PYRAMID: Optimiser =
        Optimiser::Descent { rate: 3.0, fade: 0.8, decay: 0.9, levels: 5, wrap: Wrap::NONE };
    /// Steps of a size.
    const STEPS: u32 = 4;

    fn sides(pixels: Shape) -> Vec<(u32, u32)> {
        moments(pixels, LEVELS.len()).iter().map(|[m, _]| (m.shape.h, m.shape.w)).collect()
    }

    #[test]
    fn levels_are_halved_until_a_side_is_short() {
        let of = |h, w| sides(Shape::new(3, h, w));
        assert_eq!(of(97, 75), [(97, 75), (49, 38), (25, 19), (13, 10), (7, 5)]);
        assert_eq!(of(53, 69), [(53, 69), (27, 35), (14, 18), (7, 9)]);
        assert_eq!(of(1024, 2000).len(), 5);
        assert_eq!(of(8, 8), [(8, 8), (4, 4)]);
        assert_eq!(of(7, 100), [(7, 100)]);
        assert_eq!(of(1, 1), [(1, 1)]);
    }

    #[test]
    fn every_state_tensor_is_an_external_of_the_step() {
        for (h, w, levels) in [(97, 75, 5), (53, 69, 4), (8, 9, 2), (5, 7, 1)] {
            let shape = Shape::new(3, h, w);
            let (tape, ..) = recorded(PYRAMID, shape);
            let program = plan(&tape, &Limits::webgpu()).unwrap();
            let mut found: Vec<(&str, Shape)> =
                program.externals.iter().map(|external| (&*external.name, external.shape)).collect();
            let state = PYRAMID.state(shape);
            assert_eq!(state.len(), 2 * levels + 3);
            let mut wanted: Vec<(&str, Shape)> =
                state.iter().map(|tensor| (tensor.name, tensor.shape)).collect();
            let row = |numbers: usize| Shape::row(numbers as u32);
            wanted.extend(PYRAMID.settings(STEPS).iter().map(|(name, values)| (*name, row(values.len()))));
            wanted.extend([("pixels", shape), ("gradient", shape), ("mean", MEAN_SHAPE)]);
            for list in [&mut found, &mut wanted] {
                list.sort_by_key(|(name, _)| *name);
            }
            assert_eq!(found, wanted);
            // Steps are Adam's t.
            let t = [0.5, 0.25, 17.0];
            assert_eq!(PYRAMID.steps(|name| (name == ADAM_STATE).then_some(&t[..])), Some(17));
            assert_eq!(PYRAMID.steps(|_| None), None);
        }
    }

    /// The tape of a step, the pixels and the gradient.
    fn recorded(optimiser: Optimiser, shape: Shape) -> (Tape, TensorId, TensorId) {
        let mut tape = Tape::new();
        let pixels = tape.external("pixels", shape, Role::Optimiser);
        let gradient = tape.external("gradient", shape, Role::Workspace);
        optimiser.record(&mut tape, pixels, gradient).unwrap();
        (tape, pixels, gradient)
    }

    /// Runs a tape by the twins. What an op overwrites has its new value afterwards, as on a device.
    fn run(tape: &Tape, values: &mut HashMap<TensorId, Vec<f64>>) {
        let mut homes: HashMap<TensorId, TensorId> = HashMap::new();
        for node in tape.nodes() {
            let inputs: Vec<TensorId> =
                node.inputs.iter().map(|input| homes.get(input).copied().unwrap_or(*input)).collect();
            let shapes: Vec<Shape> = inputs.iter().map(|input| tape.shape(*input)).collect();
            let read: Vec<Vec<f64>> = inputs.iter().map(|input| values[input].clone()).collect();
            let read: Vec<&[f64]> = read.iter().map(|values| &values[..]).collect();
            let result = twin(&*node.op, &read, &shapes);
            if let Some(input) = node.op.in_place() {
                homes.insert(node.output(), inputs[input]);
            }
            for (input, updated) in result.updated {
                values.insert(inputs[input], updated);
            }
            values.insert(node.output(), result.output);
        }
    }

    /// Three steps on gradients that have nothing to do with each other, against the same written out.
    #[test]
    fn steps_are_those_of_adam_on_every_level() {
        let (channels, height, width) = (3, 37, 29);
        let size = (channels, height, width);
        let shape = Shape::new(3, 37, 29);
        assert_eq!(sides(shape), [(37, 29), (19, 15), (10, 8), (5, 4)]);
        let (tape, pixels, gradient) = recorded(PYRAMID, shape);
        let wide = |values: &[f32]| values.iter().map(|value| f64::from(*value)).collect::<Vec<f64>>();
        let node = |name: &str| tape.nodes().iter().find(|node| node.op.name() == name).unwrap();
        let settings: HashMap<&str, Vec<f32>> = PYRAMID.settings(STEPS).into_iter().collect();
        let mean = [123.68, 116.779, 103.939];
        let mut random = Random::new(11);
        let mut x: Vec<f64> = random.vec_f64(3 * 37 * 29).iter().map(|x| 125.0 * x).collect();
        // What is not said begins as zeros.
        let reads = tape.nodes().iter().flat_map(|node| &node.inputs);
        let mut values: HashMap<TensorId, Vec<f64>> =
            reads.map(|id| (*id, vec![0.0; tape.shape(*id).elements() as usize])).collect();
        let descend = node("descend").inputs.clone();
        let average = descend[4];
        values.insert(pixels, x.clone());
        values.insert(descend[1], mean.to_vec());
        values.insert(node("adam_advance").inputs[0], wide(&settings[ADAM_HYPER]));
        values.insert(node("schedule_advance").inputs[0], wide(&settings[SCHEDULE_HYPER]));
        let sizes = [(37, 29), (19, 15), (10, 8), (5, 4)];
        let mut m = sizes.map(|(h, w)| vec![0.0; 3 * h * w]);
        let mut v = m.clone();
        let mut sum = vec![0.0; x.len()];
        let mut weight = 0.0;
        for step in 0..3 {
            let g: Vec<f64> = random.vec_f64(x.len()).iter().map(|g| 1e-6 * g).collect();
            values.insert(gradient, g.clone());
            run(&tape, &mut values);

            let (beta1, beta2, epsilon) = (f64::from(0.9_f32), f64::from(0.99_f32), f64::from(1e-8_f32));
            let t = step + 1;
            let correction = (1.0 - beta2.powi(t)).sqrt() / (1.0 - beta1.powi(t));
            let per_pixel: Vec<f64> = g.iter().map(|g| g * (height * width) as f64).collect();
            let mut g = reference::smooth(&per_pixel, size, 1.0, Wrap::NONE);
            let mut changes = Vec::new();
            for (level, (h, w)) in sizes.into_iter().enumerate() {
                if level > 0 {
                    let (finer_h, finer_w) = sizes[level - 1];
                    g = reference::pool_forward(&g, (channels, finer_h, finer_w));
                }
                assert_eq!(g.len(), channels * h * w);
                let mut change = Vec::new();
                for ((m, v), g) in m[level].iter_mut().zip(&mut v[level]).zip(&g) {
                    *m = beta1 * *m + (1.0 - beta1) * g;
                    *v = beta2 * *v + (1.0 - beta2) * g * g;
                    change.push(correction * *m / (v.sqrt() + epsilon));
                }
                changes.push(change);
            }
            let mut change = changes.pop().unwrap();
            for level in (0..3).rev() {
                let (h, w) = sizes[level + 1];
                let larger =
                    reference::resize(&change, (channels, h, w), sizes[level], Filter::Bilinear, Wrap::NONE);
                change = larger.iter().zip(&changes[level]).map(|(larger, own)| larger + own).collect();
            }
            let rate = 3.0 * (1.0 - f64::from(0.8_f32) * f64::from(step) / 4.0);
            let decay = f64::from(0.9_f32);
            for (i, x) in x.iter_mut().enumerate() {
                let mean = mean[i / (height * width)];
                *x = (*x - rate * change[i]).clamp(-mean, 255.0 - mean);
            }
            sum.iter_mut().zip(&x).for_each(|(sum, x)| *sum = decay * *sum + (1.0 - decay) * x);
            weight = decay * weight + (1.0 - decay);
            let far = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            let divided: Vec<f64> = sum.iter().map(|sum| sum / weight).collect();
            // 1 − β is rounded to f32 in one and not in the other, and where clamped, so is 255 − mean.
            assert!(far(&values[&pixels], &x) < 1e-5, "{}", far(&values[&pixels], &x));
            assert!(far(&values[&average], &divided) < 1e-5, "{}", far(&values[&average], &divided));
            assert!(x.iter().any(|x| *x == -103.939), "some pixels are clamped");
        }
    }

    /// `LBFGS` of PyTorch with one iteration a step and without a line search, on plain vectors: torch/optim/lbfgs.py.
    #[derive(Default)]
    struct Torch {
        steps: usize,
        direction: Vec<f64>,
        length: f64,
        gradient: Vec<f64>,
        /// (y, s, 1/y·s), the oldest first.
        pairs: Vec<(Vec<f64>, Vec<f64>, f64)>,
        scaling: f64,
        refused: usize,
    }

    fn dot(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    fn add(to: &mut [f64], factor: f64, other: &[f64]) {
        to.iter_mut().zip(other).for_each(|(to, other)| *to += factor * other);
    }

    impl Torch {
        fn step(&mut self, x: &mut [f64], gradient: &[f64], rate: f64, history: usize) {
            self.steps += 1;
            let mut q: Vec<f64> = gradient.iter().map(|g| -g).collect();
            if self.steps == 1 {
                self.scaling = 1.0;
                self.length = rate * f64::min(1.0, 1.0 / gradient.iter().map(|g| g.abs()).sum::<f64>());
            } else {
                let y: Vec<f64> =
                    gradient.iter().zip(&self.gradient).map(|(now, before)| now - before).collect();
                let s: Vec<f64> = self.direction.iter().map(|d| self.length * d).collect();
                let product = dot(&y, &s);
                if product > 1e-10 {
                    if self.pairs.len() == history {
                        self.pairs.remove(0);
                    }
                    self.scaling = product / dot(&y, &y);
                    self.pairs.push((y, s, 1.0 / product));
                } else {
                    self.refused += 1;
                }
                let mut alphas = Vec::new();
                for (y, s, inverse) in self.pairs.iter().rev() {
                    let alpha = dot(s, &q) * inverse;
                    add(&mut q, -alpha, y);
                    alphas.push(alpha);
                }
                q.iter_mut().for_each(|q| *q *= self.scaling);
                for ((y, s, inverse), alpha) in self.pairs.iter().zip(alphas.into_iter().rev()) {
                    let beta = dot(y, &q) * inverse;
                    add(&mut q, alpha - beta, s);
                }
                self.length = rate;
            }
            self.direction = q;
            self.gradient = gradient.to_vec();
            add(x, self.length, &self.direction);
        }
    }

    /// A cost that bends differently in all directions and whose axes are not those of the pixels.
    fn parabola(x: &[f64]) -> Vec<f64> {
        let count = x.len();
        let bend = |i: usize| 1e-3 * (1.0 + (i % 17) as f64);
        let turned = |x: &[f64], back: bool| -> Vec<f64> {
            let sign = if back { -1.0 } else { 1.0 };
            let pair = |i: usize| x[(i ^ 1).min(count - 1)];
            (0..count).map(|i| 0.8 * x[i] + sign * if i % 2 == 0 { 0.6 } else { -0.6 } * pair(i)).collect()
        };
        let scaled: Vec<f64> = turned(x, false).iter().enumerate().map(|(i, x)| bend(i) * x).collect();
        turned(&scaled, true)
    }

    /// The gradient of Σ 100·(b − a²)² + (1 − a)² over neighbours a, b in tens of levels, times a thousandth.
    fn rosenbrock(x: &[f64]) -> Vec<f64> {
        let x: Vec<f64> = x.iter().map(|x| 0.1 * x).collect();
        let mut g = vec![0.0; x.len()];
        for i in 0..x.len() - 1 {
            let off = x[i + 1] - x[i] * x[i];
            g[i] += -400.0 * off * x[i] - 2.0 * (1.0 - x[i]);
            g[i + 1] += 200.0 * off;
        }
        g.iter().map(|g| 1e-3 * g).collect()
    }

    /// Steps on several costs against PyTorch's, which counts pixels in units of their number so that both first steps are
    /// alike; the gradient of some steps is such that their pair does not count.
    #[test]
    fn steps_are_those_of_pytorch() {
        let shape = Shape::new(3, 7, 9);
        let count = shape.elements() as usize;
        let unit = count as f64;
        type Gradient = fn(&[f64]) -> Vec<f64>;
        let costs: [(&str, Gradient, u32, f32, f64); 4] = [
            ("a parabola", parabola, 10, 1.0, 100.0),
            ("a parabola, full history", parabola, 3, 1.0, 100.0),
            ("a valley", rosenbrock, 4, 0.5, 9.0),
            ("a history of one", rosenbrock, 1, 0.25, 9.0),
        ];
        for (name, cost, pairs, rate, extent) in costs {
            let optimiser = Optimiser::LBfgs { rate, pairs, wrap: Wrap::NONE };
            let (tape, pixels, gradient) = recorded(optimiser, shape);
            let mut random = Random::new(5);
            let start: Vec<f64> = random.vec_f64(count).iter().map(|x| extent * x).collect();
            let reads = tape.nodes().iter().flat_map(|node| &node.inputs);
            let mut values: HashMap<TensorId, Vec<f64>> =
                reads.map(|id| (*id, vec![0.0; tape.shape(*id).elements() as usize])).collect();
            values.insert(pixels, start.clone());
            let direction = tape.nodes().iter().find(|node| node.op.name() == "l_bfgs_direction").unwrap();
            values.insert(direction.inputs[0], vec![f64::from(rate)]);
            let mut torch = Torch::default();
            let mut x = start;
            for step in 0..10 {
                let mut g = cost(&x);
                if step == 5 || step == 8 {
                    // As if the cost had bent the other way.
                    let change: Vec<f64> = torch.direction.iter().map(|d| -1e-4 * d * unit).collect();
                    g = torch.gradient.iter().map(|g| g / unit).collect();
                    add(&mut g, 1.0, &change);
                }
                values.insert(gradient, g.clone());
                run(&tape, &mut values);
                let in_units: Vec<f64> = g.iter().map(|g| g * unit).collect();
                let mut u: Vec<f64> = x.iter().map(|x| x / unit).collect();
                torch.step(&mut u, &in_units, f64::from(rate), pairs as usize);
                x = u.iter().map(|u| u * unit).collect();
                let largest = x.iter().fold(1.0_f64, |largest, x| largest.max(x.abs()));
                let far = values[&pixels].iter().zip(&x).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                assert!(far < 1e-6 * largest, "{name}, step {step}: {far} of {largest}");
            }
            assert_eq!(torch.refused, 2, "{name}");
            assert_eq!(torch.pairs.len(), 7.min(pairs as usize), "{name}");
            let state = optimiser.state(shape);
            let number = |name: &str| state.iter().position(|tensor| tensor.name == name).unwrap();
            assert_eq!(number(L_BFGS_STEPS), 4);
            assert_eq!(values[&direction.inputs[2]][0], f64::from(7.min(pairs)));
            assert_eq!(values[&direction.inputs[4]], [10.0]);
        }
    }

    /// What the planner finds from outside is what is kept, with the settings.
    #[test]
    fn the_history_is_of_the_step() {
        let (shape, optimiser) =
            (Shape::new(3, 8, 9), Optimiser::LBfgs { rate: 1.0, pairs: 5, wrap: Wrap::NONE });
        let program = plan(&recorded(optimiser, shape).0, &Limits::webgpu()).unwrap();
        let mut found: Vec<(&str, Shape)> =
            program.externals.iter().map(|external| (&*external.name, external.shape)).collect();
        let mut wanted: Vec<(&str, Shape)> =
            optimiser.state(shape).iter().map(|tensor| (tensor.name, tensor.shape)).collect();
        wanted.extend([("pixels", shape), ("gradient", shape), (L_BFGS_RATE, Shape::SCALAR)]);
        for list in [&mut found, &mut wanted] {
            list.sort_by_key(|(name, _)| *name);
        }
        assert_eq!(found, wanted);
        assert_eq!(optimiser.steps(|name| (name == L_BFGS_STEPS).then_some(&[12.0][..])), Some(12));
        // The products may be made in a frame before that of the step.
        let update: Vec<&str> = program.dispatches[program.update..].iter().map(|it| it.op).collect();
        assert_eq!(update, ["l_bfgs_direction", "l_bfgs_step"]);
    }
}
