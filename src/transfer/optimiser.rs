//! What minimises: its nodes on the tape of a step, and the state that it keeps between steps.

use super::options::{OptimiserKind, Options};
use crate::error::Result;
use crate::graph::{Role, Tape, TensorId};
use crate::ops::adam::{Adam, AdamAdvance, HYPER, STATE, hyper};
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

/// m and v of each level of a pyramid over the pixels. A level has half the sides of the one before, rounded up.
fn moments(pixels: Shape) -> Vec<[StateTensor; 2]> {
    let halved = |level: &Shape| {
        let is_last = level.h.min(level.w) < SHORTEST_SIDE;
        (!is_last).then(|| Shape::new(level.c, level.h.div_ceil(2), level.w.div_ceil(2)))
    };
    let shapes = std::iter::successors(Some(pixels), halved);
    let level = |(names, shape): ([&'static str; 2], Shape)| {
        names.map(|name| StateTensor { name, shape, role: Role::Optimiser })
    };
    LEVELS.into_iter().zip(shapes).map(level).collect()
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

/// A way to change the pixels by their gradient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Optimiser {
    /// Kingma and Ba, arXiv 1412.6980, with this learning rate in 8-bit levels.
    Adam { learning_rate: f32, wrap: Wrap },
    /// Adam on every level of a pyramid of the smoothed gradient, which is taken per pixel: see
    /// [`crate::ops::pyramid`]. Step i of `steps` has the rate rate·(1 − fade·i/steps) in 8-bit levels; pixels stay
    /// within what a picture can show, and are averaged with a weight that falls by `decay` a step.
    PyramidAdam { rate: f32, fade: f32, steps: u32, decay: f32, wrap: Wrap },
}

impl Optimiser {
    /// The one that `options` ask for.
    pub(super) fn of(options: &Options) -> Self {
        let Options { learning_rate, fade, averaging, steps, .. } = *options;
        match options.optimiser {
            OptimiserKind::Adam => Self::Adam { learning_rate, wrap: options.seamless.wrap() },
            OptimiserKind::PyramidAdam => {
                let wrap = options.seamless.wrap();
                Self::PyramidAdam { rate: learning_rate, fade, steps: steps.max(1), decay: averaging, wrap }
            }
        }
    }

    /// Where the pixels wrap.
    fn wrap(self) -> Wrap {
        match self {
            Self::Adam { wrap, .. } | Self::PyramidAdam { wrap, .. } => wrap,
        }
    }

    /// Name of the tensor that the picture is made of: the pixels, or what they are averaged in.
    pub(super) fn shown(self) -> &'static str {
        match self {
            Self::Adam { .. } => PIXELS,
            Self::PyramidAdam { .. } => AVERAGE,
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
        matches!(self, Self::PyramidAdam { .. })
    }

    /// What each size after the first begins with, by the names of the tensors.
    pub(super) fn begin_scale(self) -> Vec<(&'static str, Vec<f32>)> {
        match self {
            Self::Adam { .. } => Vec::new(),
            Self::PyramidAdam { .. } => vec![(SCHEDULE_STEP, vec![0.0; SCHEDULE_STATE as usize])],
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
        let mean = tape.external(MEAN, MEAN_SHAPE, Role::Workspace);
        let pixels = tape.record(ClampPixels, &[larger, mean], "pixels")?;
        let mut results: Vec<(String, TensorId)> =
            self.pictures().into_iter().map(|name| (name.to_owned(), pixels)).collect();
        let levels = |pixels: Shape| match self {
            Self::Adam { .. } => moments(pixels).into_iter().take(1).collect(),
            Self::PyramidAdam { .. } => moments(pixels),
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
            Self::PyramidAdam { .. } => {
                moments(pixels).into_iter().flatten().chain(descent_state(pixels)).collect()
            }
        }
    }

    /// The values that it reads and that can change from step to step, by the names of their tensors.
    pub(super) fn settings(self) -> Vec<(&'static str, Vec<f32>)> {
        match self {
            Self::Adam { learning_rate, .. } => vec![(ADAM_HYPER, hyper(learning_rate, ADAM).to_vec())],
            Self::PyramidAdam { rate, fade, steps, decay, .. } => vec![
                (ADAM_HYPER, hyper(rate, PYRAMID_ADAM).to_vec()),
                (SCHEDULE_HYPER, schedule(rate, fade, steps, decay).to_vec()),
            ],
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
            Self::PyramidAdam { wrap, .. } => record_pyramid(tape, pixels, gradient, wrap),
        }
    }

    /// How many steps a state has had, of whose tensors `tensor` gives the numbers by name.
    pub(super) fn steps<'a>(self, tensor: impl FnOnce(&str) -> Option<&'a [f32]>) -> Option<u32> {
        match self {
            Self::Adam { .. } | Self::PyramidAdam { .. } => tensor(ADAM_STATE)?.get(2).map(|t| *t as u32),
        }
    }
}

/// One update by [`Optimiser::PyramidAdam`].
fn record_pyramid(tape: &mut Tape, pixels: TensorId, gradient: TensorId, wrap: Wrap) -> Result<()> {
    let shape = tape.shape(pixels);
    let hyper = tape.external(ADAM_HYPER, Shape::row(HYPER), Role::Workspace);
    let schedule = tape.external(SCHEDULE_HYPER, Shape::row(SCHEDULE), Role::Workspace);
    let mean = tape.external(MEAN, MEAN_SHAPE, Role::Workspace);
    let mut own = |tensor: StateTensor| tape.external(tensor.name, tensor.shape, tensor.role);
    let moments: Vec<[TensorId; 2]> = moments(shape).into_iter().map(|level| level.map(&mut own)).collect();
    let [state, step, average] = descent_state(shape).map(own);
    let state = tape.record_update(AdamAdvance, &[hyper, state], "pixels")?;
    let step = tape.record_update(ScheduleAdvance, &[schedule, step], "pixels")?;
    // Costs are means over pixels: times their number, a gradient does not depend on the size, and moments go over
    // from one size to another.
    let smooth = Smooth { scale: shape.plane() as f32, wrap };
    let mut gradients = vec![tape.record_update(smooth, &[gradient], "pixels")?];
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
        Optimiser::PyramidAdam { rate: 3.0, fade: 0.8, steps: 4, decay: 0.9, wrap: Wrap::NONE };

    fn sides(pixels: Shape) -> Vec<(u32, u32)> {
        moments(pixels).iter().map(|[m, _]| (m.shape.h, m.shape.w)).collect()
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
            let (tape, ..) = recorded(shape);
            let program = plan(&tape, &Limits::webgpu()).unwrap();
            let mut found: Vec<(&str, Shape)> =
                program.externals.iter().map(|external| (&*external.name, external.shape)).collect();
            let state = PYRAMID.state(shape);
            assert_eq!(state.len(), 2 * levels + 3);
            let mut wanted: Vec<(&str, Shape)> =
                state.iter().map(|tensor| (tensor.name, tensor.shape)).collect();
            let row = |numbers: usize| Shape::row(numbers as u32);
            wanted.extend(PYRAMID.settings().iter().map(|(name, values)| (*name, row(values.len()))));
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
    fn recorded(shape: Shape) -> (Tape, TensorId, TensorId) {
        let mut tape = Tape::new();
        let pixels = tape.external("pixels", shape, Role::Optimiser);
        let gradient = tape.external("gradient", shape, Role::Workspace);
        PYRAMID.record(&mut tape, pixels, gradient).unwrap();
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
        let (tape, pixels, gradient) = recorded(shape);
        let wide = |values: &[f32]| values.iter().map(|value| f64::from(*value)).collect::<Vec<f64>>();
        let node = |name: &str| tape.nodes().iter().find(|node| node.op.name() == name).unwrap();
        let settings: HashMap<&str, Vec<f32>> = PYRAMID.settings().into_iter().collect();
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
}
