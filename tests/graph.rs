//! Differentiation, fusion and planning, each without a GPU: tapes are interpreted by the CPU twins, plans are
//! checked as the plain data that they are.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::HashMap;

use common::compare::{assert_canary, assert_close};
use common::interpret::{Values, interpret};
use common::random::Random;
use impasto::gpu::Access;
use impasto::graph::{
    Arenas, Bytes, Kind, Limits, Phase, Place, Program, Resource, Role, Tape, TensorId, differentiate, fuse,
    plan, rematerialise,
};
use impasto::nn::{PoolKind, vgg19};
use impasto::ops::adam::{Adam, AdamAdvance, HYPER, STATE};
use impasto::ops::add::{Accumulate, Add};
use impasto::ops::conv::methods::{DIRECT_SUBGROUP, GEMM_TILE, NAIVE, WINOGRAD_TILE};
use impasto::ops::conv::{Conv, ConvGeometry, Padding, PaddingMode};
use impasto::ops::covariance_cost::CovarianceCost;
use impasto::ops::gram::{Gram, Moments};
use impasto::ops::guide::{Blend, Guide};
use impasto::ops::match_cost::MatchCost;
use impasto::ops::mean_variance_cost::MeanVarianceCost;
use impasto::ops::nearest::Nearest;
use impasto::ops::normalise_gradient::{Normalised, WeightIndices};
use impasto::ops::pool::Pool;
use impasto::ops::relu::Relu;
use impasto::ops::squared_error::SquaredError;
use impasto::ops::store::Store;
use impasto::ops::wasserstein::WassersteinCost;
use impasto::ops::weighted_error::WeightedError;
use impasto::ops::weighted_sum::WeightedSum;
use impasto::ops::{Capabilities, DeviceClass, MethodRequest, Shape};

// ---- A small network with everything that a transfer has ----

struct Network {
    tape: Tape,
    values: Values,
    pixels: TensorId,
    total: TensorId,
    /// The outputs of convolutions, before their ReLUs.
    sums: Vec<TensorId>,
    seed: TensorId,
    random: Random,
    /// Of every convolution.
    geometry: ConvGeometry,
    /// Whether styles are compared under a mask.
    is_masked: bool,
}

impl Network {
    fn external(&mut self, name: &str, shape: Shape, role: Role) -> TensorId {
        let values = self.random.vec_f64(shape.elements() as usize);
        let tensor = self.tape.external(name, shape, role);
        self.values.insert(tensor, values);
        tensor
    }

    fn conv(&mut self, x: TensorId, outputs: u32, layer: &str) -> TensorId {
        let conv = Conv { geometry: self.geometry, ..Conv::default() };
        let shape = conv.geometry.weights_shape(self.tape.shape(x).c, outputs);
        let weights = self.external(&format!("{layer}.weight"), shape, Role::Weights);
        let bias = self.external(&format!("{layer}.bias"), Shape::row(outputs), Role::Weights);
        let sums = self.tape.record(conv, &[x, weights, bias], layer).unwrap();
        self.sums.push(sums);
        self.tape.record(Relu { mask: true }, &[sums], layer).unwrap()
    }

    fn style(&mut self, mut x: TensorId, layer: &str) -> TensorId {
        if self.is_masked {
            let plane = Shape { c: 1, ..self.tape.shape(x) };
            let guidance = self.external(&format!("{layer}.guidance"), plane, Role::Workspace);
            x = self.tape.record(Guide, &[x, guidance], layer).unwrap();
        }
        let gram = self.tape.record(Gram, &[x], layer).unwrap();
        let target = self.external(&format!("{layer}.style"), self.tape.shape(gram), Role::Workspace);
        self.tape.record(SquaredError::style_cost(), &[gram, target], layer).unwrap()
    }

    /// conv1, conv2, pool, conv3; style costs of conv2 and conv3, content cost of conv2.
    fn new(seed: u64, size: (u32, u32)) -> Self {
        Self::recorded(seed, size, false, false, ConvGeometry::SAME_3X3)
    }

    /// The same with a style cost of conv1, so that its output is read in the backward pass, too.
    fn with_first_style(seed: u64, size: (u32, u32)) -> Self {
        Self::recorded(seed, size, true, false, ConvGeometry::SAME_3X3)
    }

    /// The same as [`Self::with_first_style`] under a mask: the pixels over others, and style costs of guided activations.
    fn with_mask(seed: u64, size: (u32, u32)) -> Self {
        Self::recorded(seed, size, true, true, ConvGeometry::SAME_3X3)
    }

    /// The same as [`Self::with_first_style`] with other convolutions, which make their planes smaller.
    fn with_strides(seed: u64, size: (u32, u32)) -> Self {
        let padding =
            Padding { before: [0, 2, 1], after: [0, 1, 2], ..Padding::even(PaddingMode::Replicate, [0; 3]) };
        let geometry = ConvGeometry { stride: [1, 1, 2], padding, ..ConvGeometry::SAME_3X3 };
        Self::recorded(seed, size, true, false, geometry)
    }

    /// The same with the edge repeated in the forward pass.
    fn with_borders(seed: u64, size: (u32, u32)) -> Self {
        Self::recorded(seed, size, true, false, ConvGeometry::REPLICATED_3X3)
    }

    fn recorded(
        seed: u64,
        (height, width): (u32, u32),
        first_style: bool,
        is_masked: bool,
        geometry: ConvGeometry,
    ) -> Self {
        let shape = Shape::new(3, height, width);
        let mut net = Self { geometry, is_masked, ..Self::empty(seed, shape) };
        net.values.insert(net.seed, vec![1.0]);
        let mut seen = net.pixels;
        if is_masked {
            let content = net.external("content", shape, Role::Workspace);
            let coverage = net.external("coverage", Shape { c: 1, ..shape }, Role::Workspace);
            seen = net.tape.record(Blend, &[seen, content, coverage], "pixels").unwrap();
        }
        let conv1 = net.conv(seen, 4, "conv1");
        let style1 = first_style.then(|| net.style(conv1, "conv1"));
        let conv2 = net.conv(conv1, 5, "conv2");
        let style2 = net.style(conv2, "conv2");
        let target = net.external("conv2.content", net.tape.shape(conv2), Role::Workspace);
        let content = net.tape.record(SquaredError::content_cost(), &[conv2, target], "conv2").unwrap();
        let pool = net.tape.record(Pool::MEAN, &[conv2], "pool").unwrap();
        let conv3 = net.conv(pool, 6, "conv3");
        let style3 = net.style(conv3, "conv3");
        let weights = net.external("weights", Shape::row(5), Role::Workspace);
        let styles: Vec<TensorId> = [weights, style2, style3].into_iter().chain(style1).collect();
        let style = net.tape.record(WeightedSum { first: 0 }, &styles, "style").unwrap();
        net.total = net.tape.record(WeightedSum { first: 3 }, &[weights, content, style], "total").unwrap();
        for cost in [net.total, content, style] {
            net.tape.keep(cost);
        }
        net
    }

    fn differentiate(&mut self) -> TensorId {
        differentiate(&mut self.tape, self.total, &[self.pixels], self.seed).unwrap()[0]
    }

    /// Adam on the pixels, as a transfer has it.
    fn update(&mut self, gradient: TensorId) {
        let shape = self.tape.shape(self.pixels);
        let hyper = self.external("hyper", Shape::row(HYPER), Role::Workspace);
        let state = self.external("state", Shape::row(STATE), Role::Workspace);
        let m = self.external("m", shape, Role::Optimiser);
        let v = self.external("v", shape, Role::Optimiser);
        let state = self.tape.record_update(AdamAdvance, &[hyper, state], "pixels").unwrap();
        self.tape.record_update(Adam, &[hyper, state, gradient, self.pixels, m, v], "pixels").unwrap();
    }
}

// ---- Differentiation ----

/// Small enough that the third derivative does not show, large enough that rounding does not.
const STEP: f64 = 1e-5;

#[test]
fn the_gradient_of_a_network_is_that_of_finite_differences() {
    let same = [(1, (9, 7)), (2, (5, 8)), (3, (1, 1))].map(|(seed, size)| Network::new(seed, size));
    for mut net in same.into_iter().chain([Network::with_strides(4, (5, 9)), Network::with_mask(5, (6, 7))]) {
        let forward = net.tape.clone();
        let gradient = net.differentiate();
        let gradient = interpret(&net.tape, &net.values)[&gradient].clone();
        let signs = |values: &Values| -> Vec<bool> {
            net.sums.iter().flat_map(|sums| &values[sums]).map(|sum| *sum > 0.0).collect()
        };
        let at = |pixel: usize, step: f64| {
            let mut moved = net.values.clone();
            moved.get_mut(&net.pixels).unwrap()[pixel] += step;
            interpret(&forward, &moved)
        };
        let mut differences = Vec::new();
        for pixel in 0..gradient.len() {
            let (after, before) = (at(pixel, STEP), at(pixel, -STEP));
            // At a kink there is no derivative: another seed would have to be taken.
            assert_eq!(signs(&after), signs(&before), "no ReLU changes its mind around pixel {pixel}");
            differences.push((after[&net.total][0] - before[&net.total][0]) / (2.0 * STEP));
        }
        // The cost is of fourth degree in the pixels. The difference is off by step²/6 of the third derivative,
        // 2e-11 of it, and by the cost's rounding, 1e-16 of it over 2e-5. Both derivative and cost are within
        // some hundred times the gradient's largest element.
        let largest = gradient.iter().fold(0.0, |largest: f64, element| largest.max(element.abs()));
        assert!(largest > 0.0, "there is a gradient");
        let name = format!("gradient of {}", net.tape.shape(net.pixels));
        assert_close(&name, &gradient, &differences, 3e-9 * largest, 1e-8);
        assert_canary(&name, &gradient, &differences, 3e-9 * largest, 1e-8);
    }
}

/// seed·d`cost`/d`x` for each element of a tensor, computed or from outside, by central differences of the forward tape.
fn differences(forward: &Tape, net: &Network, cost: TensorId, x: TensorId) -> Vec<f64> {
    let mut values = net.values.clone();
    values.insert(x, interpret(forward, &values)[&x].clone());
    let seed = values[&net.seed][0];
    let at = |element: usize, step: f64| {
        let mut moved = values.clone();
        moved.get_mut(&x).unwrap()[element] += step;
        interpret(forward, &moved)[&cost][0]
    };
    (0..values[&x].len())
        .map(|element| seed * (at(element, STEP) - at(element, -STEP)) / (2.0 * STEP))
        .collect()
}

/// Compares what [`differentiate`] makes with central differences, before and after merging and repeating, and checks
/// the plans of all three.
#[track_caller]
fn check_gradients(name: &str, net: &mut Network, wrt: &[TensorId]) {
    let forward = net.tape.clone();
    let gradients = differentiate(&mut net.tape, net.total, wrt, net.seed).unwrap();
    assert_eq!(gradients.len(), wrt.len());
    gradients.iter().for_each(|gradient| net.tape.keep(*gradient));
    let fused = fuse(&net.tape);
    let repeated = rematerialise(&fused);
    let separate = interpret(&net.tape, &net.values);
    for tape in [&net.tape, &fused, &repeated] {
        let made = interpret(tape, &net.values);
        for gradient in &gradients {
            assert_eq!(made[gradient], separate[gradient], "{name}: {:?}", names(tape));
        }
        for limits in [1 << 20, 4 * 7 * 9].map(|bytes| limits(bytes, u64::MAX, MethodRequest::Auto)) {
            // Weights are whole, and larger than a channel.
            if let Ok(program) = plan(tape, &limits) {
                check_plan(name, &program, &limits);
            }
        }
    }
    for (gradient, tensor) in gradients.iter().zip(wrt) {
        let want = differences(&forward, net, net.total, *tensor);
        let largest = want.iter().fold(0.0, |largest: f64, element| largest.max(element.abs()));
        assert!(largest > 0.0, "{name}: there is a gradient");
        assert_close(name, &separate[gradient], &want, 1e-7 * largest, 1e-6);
        assert_canary(name, &separate[gradient], &want, 1e-7 * largest, 1e-6);
    }
}

impl Network {
    /// Pixels and nothing else; `total` is still to be recorded.
    fn empty(seed: u64, shape: Shape) -> Self {
        let mut tape = Tape::new();
        let pixels = tape.external("pixels", shape, Role::Optimiser);
        let one = tape.external("seed", Shape::SCALAR, Role::Workspace);
        let mut random = Random::new(seed);
        let values = HashMap::from([(pixels, random.vec_f64(shape.elements() as usize)), (one, vec![1.5])]);
        let geometry = ConvGeometry::SAME_3X3;
        Self {
            tape,
            values,
            pixels,
            total: pixels,
            sums: Vec::new(),
            seed: one,
            random,
            geometry,
            is_masked: false,
        }
    }

    fn sum(&mut self, a: TensorId, b: TensorId, layer: &str) -> TensorId {
        self.tape.record(Add, &[a, b], layer).unwrap()
    }

    /// x + conv(conv(x)).
    fn residual(&mut self, x: TensorId, layer: &str) -> TensorId {
        let channels = self.tape.shape(x).c;
        let inner = self.conv(x, 5, &format!("{layer}.a"));
        let branch = self.conv(inner, channels, &format!("{layer}.b"));
        self.sum(x, branch, layer)
    }

    /// The total: a content cost of `x`.
    fn cost(&mut self, x: TensorId) {
        let target = self.external("target", self.tape.shape(x), Role::Workspace);
        self.total = self.tape.record(SquaredError::content_cost(), &[x, target], "cost").unwrap();
    }
}

#[test]
fn the_gradient_of_residual_blocks_is_that_of_finite_differences() {
    let shape = Shape::new(3, 7, 9);
    let empty = |seed| Network::empty(seed, shape);

    // x is read by the convolution and by the sum.
    let mut net = empty(11);
    let y = net.residual(net.pixels, "block");
    net.cost(y);
    let pixels = net.pixels;
    check_gradients("one block", &mut net, &[pixels]);
    // The gradient of the branch is added to, and not what passed through: that is also the branch's.
    assert!(
        names(&net.tape).contains(&"accumulate")
            && names(&net.tape).iter().filter(|op| **op == "add").count() == 1
    );

    // The branch comes first among the inputs of the sum.
    let mut net = empty(12);
    let branch = net.conv(pixels, 3, "branch");
    let y = net.sum(branch, pixels, "block");
    net.cost(y);
    check_gradients("turned round", &mut net, &[pixels]);

    // Blocks after one another, and one within another, with a reader of what lies between.
    let mut net = empty(13);
    let first = net.residual(pixels, "first");
    let second = net.residual(first, "second");
    let style = net.style(first, "first");
    net.cost(second);
    let weights = net.external("weights", Shape::row(2), Role::Workspace);
    net.total = net.tape.record(WeightedSum { first: 0 }, &[weights, net.total, style], "total").unwrap();
    check_gradients("two blocks", &mut net, &[pixels, first, second]);
    let mut net = empty(14);
    let inner = net.residual(pixels, "inner");
    let last = net.conv(inner, 3, "last");
    let outer = net.sum(pixels, last, "outer");
    net.cost(outer);
    check_gradients("nested", &mut net, &[pixels, inner]);

    // A tensor with itself, and what comes of it with the tensor: no gradient that only passed through may be added to.
    let mut net = empty(15);
    let twice = net.sum(pixels, pixels, "twice");
    net.cost(twice);
    check_gradients("with itself", &mut net, &[pixels, twice]);
    let mut net = empty(16);
    let twice = net.sum(pixels, pixels, "twice");
    let thrice = net.sum(twice, pixels, "thrice");
    net.cost(thrice);
    check_gradients("three times", &mut net, &[pixels, twice, thrice]);
    assert_eq!(
        names(&net.tape),
        ["add", "add", "content_cost", "content_cost_backward", "add", "accumulate"]
    );
}

#[test]
fn a_sum_of_costs_passes_the_seed_on_and_leaves_it_as_it_is() {
    let mut net = Network::empty(17, Shape::new(2, 3, 4));
    let pixels = net.pixels;
    net.cost(pixels);
    let first = net.total;
    net.cost(pixels);
    net.total = net.sum(first, net.total, "total");
    // Of a cost with itself: the gradient is twice the seed.
    net.total = net.sum(net.total, net.total, "total");
    let total = net.total;
    let forward = net.tape.clone();
    let gradients = differentiate(&mut net.tape, total, &[pixels, first, total], net.seed).unwrap();
    let made = interpret(&net.tape, &net.values);
    assert_eq!((&made[&net.seed], &made[&gradients[1]], gradients[2]), (&vec![1.5], &vec![3.0], net.seed));
    let want = differences(&forward, &net, total, pixels);
    assert_close("a sum of costs", &made[&gradients[0]], &want, 1e-9, 1e-7);
}

#[test]
fn gradients_to_several_tensors_are_those_of_finite_differences() {
    // Both inputs of a cost are computed, and the second also depends on the first's.
    let mut net = Network::empty(18, Shape::new(3, 7, 9));
    let pixels = net.pixels;
    let other = net.external("other", Shape::new(3, 7, 9), Role::Workspace);
    let a = net.conv(pixels, 3, "a");
    let both = net.sum(a, other, "both");
    let b = net.conv(both, 3, "b");
    net.total = net.tape.record(SquaredError::content_cost(), &[a, b], "cost").unwrap();
    check_gradients("computed targets", &mut net, &[other, pixels, a, b]);

    // A target from outside, alone: nothing is computed towards the pixels.
    let mut net = Network::empty(19, Shape::new(3, 7, 9));
    let y = net.conv(pixels, 3, "a");
    let target = net.external("target", Shape::new(3, 7, 9), Role::Workspace);
    net.total = net.tape.record(SquaredError::content_cost(), &[y, target], "cost").unwrap();
    let recorded = net.tape.nodes().len();
    check_gradients("a target", &mut net, &[target]);
    assert_eq!(names(&net.tape)[recorded..], ["content_cost_backward"]);

    // The same tensor on both sides, and no tensor at all.
    let mut net = Network::empty(20, Shape::new(3, 7, 9));
    let y = net.conv(pixels, 3, "a");
    net.total = net.tape.record(SquaredError::content_cost(), &[y, y], "cost").unwrap();
    let [to_pixels] = differentiate(&mut net.tape, net.total, &[pixels], net.seed).unwrap()[..] else {
        panic!()
    };
    assert!(interpret(&net.tape, &net.values)[&to_pixels].iter().all(|element| *element == 0.0));
    let recorded = net.tape.nodes().len();
    assert!(differentiate(&mut net.tape, net.total, &[], net.seed).unwrap().is_empty());
    assert_eq!(net.tape.nodes().len(), recorded);
}

/// Costs in which cells have weights: their gradients add to others and end with a gate.
#[test]
fn the_gradients_of_weighted_cells_are_those_of_finite_differences() {
    let mut net = Network::empty(22, Shape::new(3, 7, 9));
    let pixels = net.pixels;
    let a = net.conv(pixels, 4, "a");
    let b = net.conv(a, 5, "b");
    let cells = net.external("cells", Shape::new(1, 7, 9), Role::Workspace);
    let mut costs = vec![net.external("weights", Shape::row(4), Role::Workspace)];
    for (layer, x) in [("a", a), ("b", b)] {
        let shape = net.tape.shape(x);
        let target = net.external(&format!("{layer}.target"), shape, Role::Workspace);
        let centre = net.external(&format!("{layer}.centre"), Shape::row(shape.c), Role::Workspace);
        let inputs = [x, centre, target, cells];
        costs.push(net.tape.record(MatchCost, &inputs, layer).unwrap());
        costs.push(net.tape.record(WeightedError, &[x, target, cells], layer).unwrap());
    }
    net.total = net.tape.record(WeightedSum { first: 0 }, &costs, "total").unwrap();
    check_gradients("weighted cells", &mut net, &[pixels]);
    let fused = fuse(&net.tape);
    for name in ["accumulate", "relu_backward"] {
        assert!(!names(&fused).contains(&name), "{name} is merged: {:?}", names(&fused));
    }
}

/// Two costs of one layer, and what of the total each has; `normalised` says whether their gradients are made alike. Returns the
/// network, the layer and the two costs.
fn two_costs(normalised: bool) -> (Network, TensorId, [TensorId; 2]) {
    let mut net = Network::empty(23, Shape::new(3, 7, 9));
    let a = net.conv(net.pixels, 4, "a");
    let b = net.conv(a, 5, "b");
    let weights = net.external("weights", Shape::row(4), Role::Workspace);
    // Those of the terms, then those of the groups.
    net.values.insert(weights, vec![0.3, 20.0, 5.0, 0.01]);
    let seen = |net: &mut Network, term: u32| match normalised {
        true => {
            let weight = WeightIndices { term, group: 2 + term };
            net.tape.record(Normalised(weight), &[b, weights], "b").unwrap()
        }
        false => b,
    };
    let (first, second) = (seen(&mut net, 0), seen(&mut net, 1));
    let target = net.external("b.content", net.tape.shape(b), Role::Workspace);
    let content = net.tape.record(SquaredError::content_cost(), &[first, target], "b").unwrap();
    let style = net.style(second, "b");
    let groups = [content, style]
        .into_iter()
        .zip(0..)
        .map(|(cost, first)| net.tape.record(WeightedSum { first }, &[weights, cost], "group").unwrap());
    let groups: Vec<TensorId> = [weights].into_iter().chain(groups).collect();
    net.total = net.tape.record(WeightedSum { first: 2 }, &groups, "total").unwrap();
    net.values.insert(net.seed, vec![1.0]);
    if normalised {
        net.tape.keep(second);
    }
    net.tape.keep(net.total);
    (net, b, [content, style])
}

/// Each term's gradient at its layer is divided by its norm, and weighted after that; the forward pass is as without, and so is
/// what it keeps.
#[test]
fn a_normalised_gradient_has_the_norm_of_its_weight() {
    // Each cost's own gradient, without a weight.
    let own = [0, 1].map(|cost| {
        let (mut net, b, costs) = two_costs(false);
        let gradient = differentiate(&mut net.tape, costs[cost], &[b], net.seed).unwrap()[0];
        interpret(&net.tape, &net.values)[&gradient].clone()
    });
    let norms = own.each_ref().map(|gradient| gradient.iter().map(|g| g.abs()).sum::<f64>());
    assert!(norms[0] > 1e-3 && norms[1] > 1e-3, "{norms:?}");
    let weights = [0.3 * 5.0, 20.0 * 0.01];
    let part = |cost: usize, at: usize| weights[cost] * own[cost][at] / (norms[cost] + 1e-8);
    let expected: Vec<f64> = (0..own[0].len()).map(|at| part(0, at) + part(1, at)).collect();

    let (plain, ..) = two_costs(false);
    let (mut net, b, _) = two_costs(true);
    let recorded = net.tape.nodes().len();
    let gradients = differentiate(&mut net.tape, net.total, &[b, net.pixels], net.seed).unwrap();
    gradients.iter().for_each(|gradient| net.tape.keep(*gradient));
    assert_eq!(recorded, plain.tape.nodes().len() + 2);
    assert_eq!(names(&net.tape)[..recorded - 2], names(&plain.tape)[..], "the forward pass is as without");
    let separate = interpret(&net.tape, &net.values);
    assert_close("normalised gradients", &separate[&gradients[0]], &expected, 1e-15, 1e-12);
    assert_canary("normalised gradients", &separate[&gradients[0]], &expected, 1e-15, 1e-12);
    // Merged with its neighbours it is the same, and so are its plans: whole, in pieces, in slices.
    let fused = fuse(&net.tape);
    for tape in [&net.tape, &fused, &rematerialise(&fused)] {
        let made = interpret(tape, &net.values);
        for gradient in &gradients {
            assert_eq!(made[gradient], separate[gradient], "{:?}", names(tape));
        }
        for (bytes, slice_work) in [(1 << 20, u64::MAX), (4 * 7 * 9 * 5, 1000)] {
            let limits = limits(bytes, slice_work, MethodRequest::Auto);
            if let Ok(program) = plan(tape, &limits) {
                check_plan("normalised gradients", &program, &limits);
            }
        }
    }
    assert_eq!(names(&fused).iter().filter(|name| **name == "normalise_gradient").count(), 2);
    // One is added to the other where that is made, and gated.
    let (mut whole, ..) = two_costs(true);
    differentiate(&mut whole.tape, whole.total, &[whole.pixels], whole.seed).unwrap();
    let fused = fuse(&whole.tape);
    for name in ["accumulate", "relu_backward", "normalised"] {
        assert!(!names(&fused).contains(&name), "{name}: {:?}", names(&fused));
    }
}

/// A max pool behind a convolution and its ReLU: nothing may take the mean instead.
#[test]
fn a_max_pool_is_not_merged_as_a_mean() {
    for kind in [PoolKind::Mean, PoolKind::Max] {
        let mut net = Network::empty(21, Shape::new(3, 7, 9));
        let pixels = net.pixels;
        let a = net.conv(pixels, 4, "a");
        let pool = net.tape.record(Pool::recorded(kind, true), &[a], "pool").unwrap();
        let b = net.conv(pool, 2, "b");
        net.cost(b);
        net.tape.keep(net.total);
        check_gradients(&format!("{kind:?} pool"), &mut net, &[pixels]);
        let fused = fuse(&net.tape);
        let merged = |name| names(&fused).contains(&name);
        let largest = ["conv_relu_max_pool", "conv_max_pool_backward"].map(merged);
        assert_eq!(["conv_relu_pool", "conv_pool_backward"].map(merged), [kind == PoolKind::Mean; 2]);
        assert_eq!(largest, [kind == PoolKind::Max; 2]);
        assert!(!names(&fused).iter().any(|name| ["pool", "max_pool"].contains(name)), "pools are merged");
        assert_eq!(
            names(&fused).iter().filter(|name| **name == "relu_backward").count(),
            0,
            "gates are merged"
        );
    }
}

/// The moments of x (C, H, W), under a guidance where the layer is `b`.
fn moments(net: &mut Network, x: TensorId, layer: &str) -> TensorId {
    if layer != "b" {
        return net.tape.record(Moments, &[x], layer).unwrap();
    }
    let plane = Shape { c: 1, ..net.tape.shape(x) };
    let guidance = net.external("guidance", plane, Role::Workspace);
    let guided = net.tape.record(Guide, &[x, guidance], layer).unwrap();
    net.tape.record(Moments, &[guided, guidance], layer).unwrap()
}

/// The distance as a cost, with G and the rest from outside, the deeper one under a guidance.
#[test]
fn the_gradient_of_a_wasserstein_cost_is_that_of_finite_differences() {
    for size in [(7, 9), (1, 1), (2, 5)] {
        let mut net = Network::empty(22, Shape::new(3, size.0, size.1));
        let pixels = net.pixels;
        let a = net.conv(pixels, 4, "a");
        let wasserstein = |net: &mut Network, x: TensorId, layer: &str| {
            let channels = net.tape.shape(x).c;
            let moments = moments(net, x, layer);
            let shape = net.tape.shape(moments);
            let target = net.external(&format!("{layer}.target"), shape, Role::Workspace);
            // Not symmetric: the gradient is right for any G.
            let square = Shape::new(1, channels, channels);
            let g = net.external(&format!("{layer}.g"), square, Role::Workspace);
            let rest = net.external(&format!("{layer}.rest"), Shape::row(2), Role::Workspace);
            net.values.insert(rest, vec![0.75, 1.5]);
            net.tape.record(WassersteinCost, &[moments, target, g, rest], layer).unwrap()
        };
        let shallow = wasserstein(&mut net, a, "a");
        let b = net.conv(a, 3, "b");
        let deep = wasserstein(&mut net, b, "b");
        let weights = net.external("weights", Shape::row(2), Role::Workspace);
        net.total = net.tape.record(WeightedSum { first: 0 }, &[weights, shallow, deep], "total").unwrap();
        check_gradients(&format!("{size:?}"), &mut net, &[pixels, a]);
        let fused = fuse(&net.tape);
        assert!(names(&net.tape).contains(&"wasserstein_backward"));
        let left = ["accumulate", "relu_backward"].map(|name| names(&fused).contains(&name));
        // The gradient of a is kept, so its gate stays on its own.
        assert_eq!(left, [false, true], "{:?}", names(&fused));
    }
}

/// Costs of the moments of two layers, the deeper one under a guidance.
#[test]
fn the_gradients_of_covariance_and_mean_variance_costs_are_those_of_finite_differences() {
    for (size, of_covariance) in [((7, 9), true), ((2, 5), true), ((7, 9), false), ((3, 5), false)] {
        let mut net = Network::empty(28, Shape::new(3, size.0, size.1));
        let pixels = net.pixels;
        let a = net.conv(pixels, 4, "a");
        let cost = |net: &mut Network, x: TensorId, layer: &str| {
            let channels = net.tape.shape(x).c;
            let moments = moments(net, x, layer);
            if of_covariance {
                let square = Shape::new(1, channels, channels);
                let target = net.external(&format!("{layer}.target"), square, Role::Workspace);
                let norm = net.external(&format!("{layer}.norm"), Shape::SCALAR, Role::Workspace);
                net.values.insert(norm, vec![1.5]);
                net.tape.record(CovarianceCost, &[moments, target, norm], layer).unwrap()
            } else {
                let shape = net.tape.shape(moments);
                let target = net.external(&format!("{layer}.target"), shape, Role::Workspace);
                // Variances of at least 0.11.
                net.values.get_mut(&target).unwrap().iter_mut().for_each(|x| *x = 0.65 + 0.05 * *x);
                net.tape.record(MeanVarianceCost, &[moments, target], layer).unwrap()
            }
        };
        let shallow = cost(&mut net, a, "a");
        let b = net.conv(a, 3, "b");
        let deep = cost(&mut net, b, "b");
        let weights = net.external("weights", Shape::row(2), Role::Workspace);
        net.total = net.tape.record(WeightedSum { first: 0 }, &[weights, shallow, deep], "total").unwrap();
        check_gradients(&format!("{size:?}, {of_covariance}"), &mut net, &[pixels, a]);
        let left = ["accumulate", "relu_backward"].map(|name| names(&fuse(&net.tape)).contains(&name));
        // The gradient of a is kept, so its gate stays on its own.
        assert_eq!(left, [false, true]);
    }
}

#[test]
fn what_is_stored_is_read_afterwards_and_not_before() {
    let shape = Shape::new(3, 4, 5);
    let mut net = Network::empty(26, shape);
    let destination = net.external("destination", shape, Role::Workspace);
    let before = net.sum(net.pixels, destination, "before");
    let value = net.tape.record(Relu { mask: false }, &[net.pixels], "value").unwrap();
    let stored = net.tape.record(Store, &[value, destination], "store").unwrap();
    let after = net.sum(destination, net.pixels, "after");
    [before, after].into_iter().for_each(|tensor| net.tape.keep(tensor));
    for bytes in [1 << 20, 4 * 20] {
        let limits = limits(bytes, u64::MAX, MethodRequest::Auto);
        let program = plan(&net.tape, &limits).unwrap();
        check_plan("store", &program, &limits);
        let pieces = program.externals.iter().filter(|external| external.name == "destination").count();
        let writes: Vec<&str> = program
            .dispatches
            .iter()
            .filter(|dispatch| {
                let place = &program.resources[dispatch.bindings[dispatch.written]].place;
                matches!(place, Place::External(index) if program.externals[*index].name == "destination")
            })
            .map(|dispatch| dispatch.op)
            .collect();
        assert_eq!(writes, vec!["store"; pieces], "{bytes} bytes");
        let order: Vec<&str> = program.dispatches.iter().map(|dispatch| &dispatch.layer[..]).collect();
        assert!(
            order.is_sorted_by_key(|layer| ["before", "value", "store", "after"]
                .iter()
                .position(|l| l == layer))
        );
    }
    // A computed destination is gone.
    let twice = net.tape.record(Store, &[net.pixels, stored], "again").unwrap();
    net.tape.record(Pool::MEAN, &[twice], "again").unwrap();
    plan(&net.tape, &limits(1 << 20, u64::MAX, MethodRequest::Auto)).unwrap();
    net.tape.record(Store, &[net.pixels, value], "value").unwrap();
    net.tape.record(Pool::MEAN, &[value], "later").unwrap();
    assert!(plan(&net.tape, &limits(1 << 20, u64::MAX, MethodRequest::Auto)).is_err());
}

#[test]
fn the_seed_scales_the_gradient() {
    let mut net = Network::new(4, (4, 5));
    let gradient = net.differentiate();
    let plain = interpret(&net.tape, &net.values)[&gradient].clone();
    net.values.insert(net.seed, vec![-4.0]);
    let scaled = interpret(&net.tape, &net.values)[&gradient].clone();
    // Powers of two and signs do not round.
    assert_eq!(scaled, plain.iter().map(|element| -4.0 * element).collect::<Vec<_>>());
}

#[test]
fn nothing_is_computed_for_tensors_that_do_not_lead_to_the_pixels() {
    let mut net = Network::new(5, (4, 5));
    let target = net.external("other", Shape::new(3, 4, 5), Role::Workspace);
    let beside = net.tape.record(SquaredError::content_cost(), &[target, target], "beside").unwrap();
    let recorded = net.tape.nodes().len();
    net.differentiate();
    let backward = &net.tape.nodes()[recorded..];
    assert!(backward.iter().all(|node| node.phase == Phase::Backward));
    assert!(backward.iter().all(|node| node.layer != "beside" && !node.inputs.contains(&beside)));
}

#[test]
fn what_cannot_be_differentiated_is_refused() {
    let mut tape = Tape::new();
    let x = tape.external("x", Shape::new(1, 2, 2), Role::Workspace);
    let unused = tape.external("unused", Shape::new(1, 2, 2), Role::Workspace);
    let seed = tape.external("seed", Shape::SCALAR, Role::Workspace);
    let y = tape.record(Relu { mask: true }, &[x], "layer").unwrap();
    let cost = tape.record(SquaredError::content_cost(), &[y, unused], "layer").unwrap();
    let refused =
        |tape: &mut Tape, cost, wrt| differentiate(tape, cost, &[x, wrt], seed).unwrap_err().to_string();
    assert!(refused(&mut tape, y, x).contains("scalar"));
    let stranger = tape.external("stranger", Shape::SCALAR, Role::Workspace);
    let said = refused(&mut tape, cost, stranger);
    assert!(said.contains("depends") && said.contains("stranger"), "{said}");
    // No op makes the gradient of a convolution's weights or bias yet.
    for name in ["w", "b"] {
        let mut tape = tape.clone();
        let weights = tape.external("w", ConvGeometry::SAME_3X3.weights_shape(1, 1), Role::Weights);
        let bias = tape.external("b", Shape::SCALAR, Role::Weights);
        let sums = tape.record(Conv::default(), &[y, weights, bias], "conv1").unwrap();
        let cost = tape.record(SquaredError::content_cost(), &[sums, unused], "cost").unwrap();
        let said = refused(&mut tape, cost, if name == "w" { weights } else { bias });
        let named = said.contains("conv at conv1") && said.contains(&format!("none for {name}"));
        assert!(said.contains("backward rule") && named, "{said}");
    }
    // A ReLU without a mask and a max pool without its winners were not recorded for a gradient, and merged ops come
    // after differentiation.
    let pool = Pool { kind: PoolKind::Max, winners: false };
    let pooled = tape.record(pool, &[x], "layer").unwrap();
    let target = tape.external("target", Shape::SCALAR, Role::Workspace);
    let pooled_cost = tape.record(SquaredError::content_cost(), &[pooled, target], "layer").unwrap();
    assert!(refused(&mut tape, pooled_cost, x).contains("max_pool at layer"));
    let plain = tape.record(Relu { mask: false }, &[x], "layer").unwrap();
    let cost = tape.record(SquaredError::content_cost(), &[plain, unused], "layer").unwrap();
    assert!(refused(&mut tape, cost, x).contains("backward rule"));
    let merged = fuse(&{
        let mut tape = Tape::new();
        let x = tape.external("x", Shape::new(1, 2, 2), Role::Workspace);
        let weights = tape.external("w", ConvGeometry::SAME_3X3.weights_shape(1, 1), Role::Weights);
        let bias = tape.external("b", Shape::SCALAR, Role::Weights);
        let sums = tape.record(Conv::default(), &[x, weights, bias], "conv").unwrap();
        tape.record(Relu { mask: false }, &[sums], "conv").unwrap();
        tape
    });
    assert_eq!(merged.nodes()[0].op.name(), "conv_relu");
    assert!(merged.nodes()[0].op.backward(0, &[]).is_none());
}

// ---- Fusion ----

fn names(tape: &Tape) -> Vec<&'static str> {
    tape.nodes().iter().map(|node| node.op.name()).collect()
}

#[test]
fn a_fused_tape_computes_the_same() {
    let same = [(1, (9, 7)), (6, (1, 1)), (7, (4, 6))].map(|(seed, size)| Network::new(seed, size));
    // Merged ops must keep the geometry.
    let strided = Network::with_strides(8, (9, 21));
    let replicated = Network::with_borders(10, (7, 6));
    for mut net in same.into_iter().chain([strided, replicated, Network::with_mask(9, (5, 8))]) {
        let gradient = net.differentiate();
        net.tape.keep(gradient);
        let fused = fuse(&net.tape);
        // Every ReLU, every gate and every sum of gradients has a neighbour that takes it over.
        for merged in ["relu", "relu_backward", "accumulate", "conv"] {
            assert!(names(&net.tape).contains(&merged), "there is a {merged}");
            assert!(!names(&fused).contains(&merged), "{merged} is merged: {:?}", names(&fused));
        }
        let (separate, merged) = (interpret(&net.tape, &net.values), interpret(&fused, &net.values));
        // The same operations in the same order: the same bits.
        assert_eq!(separate[&gradient], merged[&gradient]);
        assert_eq!(separate[&net.total], merged[&net.total]);
        // Nothing is left to merge.
        assert_eq!(names(&fuse(&fused)), names(&fused));
    }
}

#[test]
fn what_somebody_else_needs_is_not_fused_away() {
    let mut tape = Tape::new();
    let x = tape.external("x", Shape::new(1, 2, 2), Role::Workspace);
    let weights = tape.external("w", ConvGeometry::SAME_3X3.weights_shape(1, 1), Role::Weights);
    let bias = tape.external("b", Shape::SCALAR, Role::Weights);
    let sums = tape.record(Conv::default(), &[x, weights, bias], "conv").unwrap();
    let y = tape.record(Relu { mask: false }, &[sums], "conv").unwrap();
    assert_eq!(names(&fuse(&tape)), ["conv_relu"]);
    let mut kept = tape.clone();
    kept.keep(sums);
    assert_eq!(names(&fuse(&kept)), ["conv", "relu"]);
    let mut read = tape.clone();
    read.record(Pool::MEAN, &[sums], "pool").unwrap();
    assert_eq!(names(&fuse(&read)), ["conv", "relu", "pool"]);
    let mut twice = tape;
    twice.keep(y);
    assert_eq!(names(&fuse(&twice)), ["conv_relu"]);
}

// ---- Repeating instead of keeping ----

/// Positions of the nodes that make a convolution from the pixels.
fn first_layers(tape: &Tape, pixels: TensorId) -> Vec<usize> {
    let nodes = tape.nodes().iter().enumerate();
    nodes.filter(|(_, node)| node.op.name() == "conv_relu" && node.inputs[0] == pixels).map(|n| n.0).collect()
}

#[test]
fn a_tape_that_repeats_its_first_layer_computes_the_same() {
    let same = [(1, (9, 7)), (8, (4, 6))].map(|(seed, size)| Network::with_first_style(seed, size));
    let others = [Network::with_strides(2, (9, 21)), Network::with_borders(3, (6, 7))];
    for mut net in same.into_iter().chain(others) {
        let gradient = net.differentiate();
        net.tape.keep(gradient);
        net.update(gradient);
        let fused = fuse(&net.tape);
        let repeated = rematerialise(&fused);
        let [first, again] = first_layers(&repeated, net.pixels)[..] else { panic!("twice") };
        assert_eq!(first_layers(&fused, net.pixels), [first]);
        let (first, next) = (&repeated.nodes()[first], &repeated.nodes()[again + 1]);
        let again = &repeated.nodes()[again];
        assert_eq!((first.phase, first.kind, first.outputs.len()), (Phase::Forward, Kind::Activation, 2));
        assert_eq!((again.phase, again.kind, again.outputs.len()), (Phase::Backward, Kind::Activation, 1));
        assert!(next.inputs.contains(&again.output()), "just before it is read");
        let late = repeated.nodes().iter().filter(|node| node.phase > Phase::Forward);
        assert!(late.flat_map(|node| &node.inputs).all(|input| *input != first.output()), "free by then");
        let (kept, made) = (interpret(&fused, &net.values), interpret(&repeated, &net.values));
        assert_eq!(kept[&gradient], made[&gradient]);
        assert_eq!(kept[&net.total], made[&net.total]);
        // Nothing is left to repeat.
        assert_eq!(names(&rematerialise(&repeated)), names(&repeated));
    }
}

/// What the product with a guidance reads is repeated too: nothing of the first layer is kept.
#[test]
fn a_masked_tape_repeats_products_and_its_first_layer() {
    let mut net = Network::with_mask(3, (9, 7));
    let gradient = net.differentiate();
    net.tape.keep(gradient);
    let fused = fuse(&net.tape);
    let repeated = rematerialise(&fused);
    let count = |tape: &Tape, name| names(tape).into_iter().filter(|found| *found == name).count();
    assert_eq!([count(&fused, "guide"), count(&repeated, "guide")], [3, 6]);
    assert_eq!(repeated.nodes().len(), fused.nodes().len() + 4);
    let first = repeated.nodes().iter().find(|node| node.layer == "conv1").unwrap().output();
    let late = repeated.nodes().iter().filter(|node| node.phase > Phase::Forward);
    assert!(late.flat_map(|node| &node.inputs).all(|input| *input != first), "free by then");
    let (kept, made) = (interpret(&fused, &net.values), interpret(&repeated, &net.values));
    assert_eq!(kept[&gradient], made[&gradient]);
    assert_eq!(kept[&net.total], made[&net.total]);
    assert_eq!(names(&rematerialise(&repeated)), names(&repeated));
}

#[test]
fn only_what_it_pays_to_repeat_is_repeated() {
    // The first layer has no cost: nobody reads its output in the backward pass.
    let mut net = Network::new(1, (9, 7));
    net.differentiate();
    let fused = fuse(&net.tape);
    assert_eq!(names(&rematerialise(&fused)), names(&fused));
    // Its output is kept anyway.
    let mut net = Network::with_first_style(1, (9, 7));
    net.differentiate();
    let mut fused = fuse(&net.tape);
    assert_eq!(rematerialise(&fused).nodes().len(), fused.nodes().len() + 1);
    fused.keep(fused.nodes()[first_layers(&fused, net.pixels)[0]].output());
    assert_eq!(names(&rematerialise(&fused)), names(&fused));
    // Its input is overwritten first: the pixels change before the backward pass.
    let mut net = Network::with_first_style(1, (9, 7));
    let change = net.external("change", net.tape.shape(net.pixels), Role::Workspace);
    net.tape.record(Accumulate, &[net.pixels, change], "early").unwrap();
    net.differentiate();
    let fused = fuse(&net.tape);
    assert_eq!(names(&rematerialise(&fused)), names(&fused));
}

// ---- Plans ----

const ALIGNMENT: u64 = 256;

fn limits(max_binding_bytes: u64, slice_work: u64, request: MethodRequest) -> Limits {
    Limits {
        capabilities: Capabilities {
            max_binding_bytes,
            subgroups: Some((8, 8)),
            class: DeviceClass::Software,
            request,
            ..Capabilities::webgpu()
        },
        max_buffer_bytes: 2 << 30,
        alignment: ALIGNMENT,
        uniform_alignment: ALIGNMENT,
        slice_work,
        ..Limits::webgpu()
    }
}

/// VGG-19 to conv5_1 with the costs of a transfer and Adam.
fn transfer(size: (u32, u32)) -> Tape {
    let mut tape = Tape::new();
    let shape = Shape::new(3, size.0, size.1);
    let pixels = tape.external("pixels", shape, Role::Optimiser);
    let mut costs = Vec::new();
    let network = vgg19(PoolKind::Mean);
    let deepest = network.index_of("conv5_1").unwrap();
    network
        .record(&mut tape, pixels, deepest, true, |tape, layer, activations| {
            if layer == "conv4_2" {
                let target = tape.external("content", tape.shape(activations), Role::Workspace);
                costs.push(tape.record(SquaredError::content_cost(), &[activations, target], layer)?);
            }
            if layer.ends_with("_1") {
                let gram = tape.record(Gram, &[activations], layer)?;
                let target = tape.external(format!("style.{layer}"), tape.shape(gram), Role::Workspace);
                costs.push(tape.record(SquaredError::style_cost(), &[gram, target], layer)?);
            }
            Ok(())
        })
        .unwrap();
    let weights = tape.external("weights", Shape::row(costs.len() as u32), Role::Workspace);
    costs.insert(0, weights);
    let total = tape.record(WeightedSum { first: 0 }, &costs, "total").unwrap();
    tape.keep(total);
    let seed = tape.external("seed", Shape::SCALAR, Role::Workspace);
    let gradient = differentiate(&mut tape, total, &[pixels], seed).unwrap()[0];
    let hyper = tape.external("hyper", Shape::row(HYPER), Role::Workspace);
    let state = tape.external("state", Shape::row(STATE), Role::Workspace);
    let m = tape.external("m", shape, Role::Optimiser);
    let v = tape.external("v", shape, Role::Optimiser);
    let state = tape.record_update(AdamAdvance, &[hyper, state], "pixels").unwrap();
    tape.record_update(Adam, &[hyper, state, gradient, pixels, m, v], "pixels").unwrap();
    tape
}

/// Everything that must hold for any plan.
#[track_caller]
fn check_plan(name: &str, program: &Program, limits: &Limits) {
    check_places(name, program, limits);
    check_bindings(name, program);
    check_slices(name, program, limits);
    let last = program.dispatches.len() - 1;
    for resource in program.kept.iter().flatten() {
        assert_eq!(program.resources[*resource].live[1], last, "{name}: a kept tensor lives to the end");
    }
    check_account(name, program);
}

fn check_places(name: &str, program: &Program, limits: &Limits) {
    let mut arenas: Vec<Vec<(u64, u64, &Resource)>> = vec![Vec::new(); program.arenas.len()];
    for (index, resource) in program.resources.iter().enumerate() {
        assert!(
            resource.bytes <= limits.capabilities.max_binding_bytes,
            "{name}: {resource:?} is too large to bind"
        );
        let touching = program.dispatches.iter().enumerate().filter(|(_, d)| d.bindings.contains(&index));
        let touching: Vec<usize> = touching.map(|(at, _)| at).collect();
        assert_eq!(resource.live[0], touching[0], "{name}: life begins at the first touch");
        assert!(resource.live[1] >= *touching.last().unwrap(), "{name}: {resource:?} dies too early");
        match resource.place {
            Place::Arena { arena, offset } => {
                assert!(resource.kind.is_some(), "{name}: what lies in an arena is computed");
                assert_eq!(offset % limits.alignment, 0, "{name}: {resource:?} is not aligned");
                assert!(
                    offset + resource.bytes <= program.arenas[arena],
                    "{name}: {resource:?} leaves its arena"
                );
                arenas[arena].push((offset, offset + resource.bytes, resource));
            }
            Place::External(external) => {
                assert_eq!(program.externals[external].bytes, resource.bytes, "{name}: {resource:?}");
            }
            Place::Unused => assert_eq!((resource.bytes, resource.kind), (4, None), "{name}"),
        }
    }
    for (arena, members) in arenas.iter().enumerate() {
        assert!(program.arenas[arena] <= limits.max_buffer_bytes, "{name}: arena {arena} is too large");
        for (index, (start, end, resource)) in members.iter().enumerate() {
            for (other_start, other_end, other) in &members[..index] {
                let meet = resource.live[0] <= other.live[1] && other.live[0] <= resource.live[1];
                let overlap = start < other_end && other_start < end;
                assert!(!(meet && overlap), "{name}: {resource:?} and {other:?} share memory");
            }
        }
    }
}

fn check_bindings(name: &str, program: &Program) {
    for dispatch in &program.dispatches {
        let name = format!("{name}: {} at {}", dispatch.kernel.name, dispatch.layer);
        assert_eq!(dispatch.bindings.len(), dispatch.kernel.bindings.len(), "{name}: one resource a binding");
        assert_eq!(dispatch.params.len(), 4 * dispatch.kernel.params.len(), "{name}: the uniform block");
        assert!(
            dispatch.workgroups > 0 && dispatch.workgroups.div_ceil(32768) <= 65535,
            "{name}: workgroups"
        );
        assert_eq!(dispatch.kernel.bindings[dispatch.written].access, Access::ReadWrite, "{name}");
        let written = &program.resources[dispatch.bindings[dispatch.written]];
        assert_ne!(written.place, Place::Unused, "{name}: what is written goes somewhere");
        // A buffer is an arena or an external; which bytes of it are bound for what.
        let mut bound: Vec<(Place, std::ops::Range<u64>, Access)> = Vec::new();
        for (resource, binding) in dispatch.bindings.iter().zip(dispatch.kernel.bindings) {
            let resource = &program.resources[*resource];
            let (buffer, start) = match resource.place {
                Place::Arena { arena, offset } => (Place::Arena { arena, offset: 0 }, offset),
                Place::External(_) => (resource.place.clone(), 0),
                Place::Unused => continue,
            };
            let range = start..start + resource.bytes;
            for (other, other_range, access) in &bound {
                assert!(
                    *other != buffer || *access == binding.access,
                    "{name}: one buffer is read and written"
                );
                let overlap = range.start < other_range.end && other_range.start < range.end;
                let written = binding.access == Access::ReadWrite;
                assert!(
                    *other != buffer || !overlap || !written,
                    "{name}: two bindings write the same bytes"
                );
            }
            bound.push((buffer, range, binding.access));
        }
    }
}

fn check_slices(name: &str, program: &Program, limits: &Limits) {
    let mut slices = program.slices.iter().peekable();
    for (index, dispatch) in program.dispatches.iter().enumerate() {
        let mut covered = 0;
        while let Some(slice) = slices.next_if(|slice| slice.dispatch as usize == index) {
            assert_eq!(slice.first, covered, "{name}: slices of {index} follow each other");
            assert!(slice.end > slice.first, "{name}: no slice is empty");
            let small = slice.work <= limits.slice_work || slice.end == slice.first + 1;
            assert!(small, "{name}: {slice:?} exceeds {}", limits.slice_work);
            covered = slice.end;
        }
        assert_eq!(covered, dispatch.workgroups, "{name}: slices cover dispatch {index}");
    }
    assert!(slices.next().is_none(), "{name}: slices are in the order of their dispatches");
    let forward = program.forward_slices();
    assert!(
        program.slices[..forward].iter().all(|slice| (slice.dispatch as usize) < program.forward),
        "{name}"
    );
    assert!(
        program.slices[forward..].iter().all(|slice| slice.dispatch as usize >= program.forward),
        "{name}"
    );
}

fn check_account(name: &str, program: &Program) {
    let other = 12345;
    let bytes = program.bytes(other);
    let parts = bytes.activations + bytes.gradients + bytes.optimiser + bytes.workspace + bytes.weights;
    assert_eq!(bytes.total, parts, "{name}: the parts are the whole");
    let externals: u64 = program.externals.iter().map(|external| external.bytes).sum();
    assert_eq!(
        bytes.total,
        program.own_bytes() + externals + other,
        "{name}: the whole is what is allocated"
    );
    let arenas: u64 = program.arenas.iter().sum();
    assert!(bytes.activations + bytes.gradients <= arenas, "{name}: what lives lies in the arenas");
    // What lives at once must fit: no plan can be smaller.
    let live = |at: usize| {
        let computed =
            program.resources.iter().filter(|r| r.kind.is_some() && r.live[0] <= at && at <= r.live[1]);
        computed.map(|resource| resource.bytes).sum::<u64>()
    };
    let peak = (0..program.dispatches.len()).map(live).max().unwrap();
    assert!(arenas >= peak, "{name}: the arenas hold the peak");
    assert!(bytes.activations + bytes.gradients <= peak, "{name}");
}

const CHOICES: [MethodRequest; 5] = [
    MethodRequest::Auto,
    MethodRequest::Method(WINOGRAD_TILE),
    MethodRequest::Method(GEMM_TILE),
    MethodRequest::Method(DIRECT_SUBGROUP),
    MethodRequest::Method(NAIVE),
];

#[test]
fn plans_of_a_small_network_hold() {
    let mut net = Network::new(1, (75, 91));
    let gradient = net.differentiate();
    net.update(gradient);
    let plane = 4 * 75 * 91;
    // All in one piece; channels in groups of two, of one.
    for (binding, channels) in [(128 << 20, 5), (2 * plane + 1, 2), (plane, 1)] {
        for slice_work in [u64::MAX, 1 << 20, 1] {
            for choice in CHOICES {
                for tape in [&net.tape, &fuse(&net.tape)] {
                    let limits = limits(binding, slice_work, choice);
                    let program = plan(tape, &limits).unwrap();
                    let name = format!(
                        "{binding} bytes, work {slice_work}, {choice:?}, {} nodes",
                        tape.nodes().len()
                    );
                    check_plan(&name, &program, &limits);
                    assert_eq!(
                        program.slices.len() > program.dispatches.len(),
                        slice_work < u64::MAX,
                        "{name}"
                    );
                    let whole = |resource: &&Resource| (resource.shape.h, resource.shape.w) == (75, 91);
                    let widest =
                        program.resources.iter().filter(whole).map(|resource| resource.shape.c).max();
                    assert_eq!(widest.unwrap(), channels, "{name}: channels of a piece");
                }
            }
        }
    }
}

#[test]
fn plans_of_a_transfer_hold() {
    for (size, binding) in
        [((300, 400), 128 << 20), ((75, 97), 128 << 20), ((768, 1024), 128 << 20), ((301, 399), 11 << 20)]
    {
        let tape = transfer(size);
        let fused = fuse(&tape);
        let repeated = rematerialise(&fused);
        let mut own = Vec::new();
        for tape in [&tape, &fused, &repeated] {
            let limits = limits(binding, 1 << 32, MethodRequest::Auto);
            let program = plan(tape, &limits).unwrap();
            check_plan(
                &format!("{size:?}, {binding} bytes, {} nodes", tape.nodes().len()),
                &program,
                &limits,
            );
            own.push(program.own_bytes());
            let bytes = program.bytes(0);
            println!(
                "{size:?}: {} nodes, arenas {:?} MiB",
                tape.nodes().len(),
                program.arenas.iter().map(|a| a >> 20).collect::<Vec<_>>()
            );
            println!("  {bytes:?}");
        }
        assert!(own[1] < own[0], "fusion saves memory: {own:?}");
        assert!(own[2] < own[1], "and so does repeating: {own:?}");
    }
}

/// Programs that run at other times lie in the arenas of a step as far as they fit, and in what they leave of each arena.
#[test]
fn a_program_lies_in_the_arenas_of_another() {
    let program_of = |size, limits: &Limits| plan(&rematerialise(&fuse(&transfer(size))), limits).unwrap();
    let limits = limits(128 << 20, 1 << 32, MethodRequest::Auto);
    let step = program_of((301, 399), &limits);
    let arenas = Arenas::planned_bytes([&step]);
    for (size, fits) in [((75, 97), true), ((301, 399), true), ((399, 301), true), ((420, 560), false)] {
        let limits = Limits { arenas: arenas.clone(), ..limits.clone() };
        let program = program_of(size, &limits);
        check_plan(&format!("{size:?} in {arenas:?}"), &program, &limits);
        assert!(program.arenas.iter().all(|bytes| *bytes > 0), "{:?}", program.arenas);
        let shared = Arenas::planned_bytes([&step, &program]);
        assert_eq!(shared == arenas, fits, "{size:?}: {shared:?} for {arenas:?}");
        let grown = shared.iter().sum::<u64>() - arenas.iter().sum::<u64>();
        let larger = program.arenas.iter().sum::<u64>().saturating_sub(arenas.iter().sum());
        assert!(grown <= larger + (larger >> 3), "{size:?}: {grown} bytes more for {larger}");
    }
}

/// What a step takes beside its weights, as it is planned for the software adapter.
#[test]
fn a_transfer_takes_as_little_memory_as_it_should() {
    for (size, allowed) in [((300, 400), 120), ((768, 1024), 530)] {
        let tape = rematerialise(&fuse(&transfer(size)));
        let limits = limits(128 << 20, 1 << 32, MethodRequest::Auto);
        let program = plan(&tape, &limits).unwrap();
        let Bytes { weights, total, .. } = program.bytes(0);
        let mib = (total - weights) >> 20;
        println!("{size:?}: {mib} MiB of {allowed}");
        assert!(mib <= allowed, "{size:?}: {mib} MiB");
    }
}

#[test]
fn planning_twice_gives_the_same_plan() {
    let tape = fuse(&transfer((75, 97)));
    let limits = limits(2 << 20, 1 << 30, MethodRequest::Auto);
    // Hashed maps iterate in another order each time: nothing of the plan may depend on it. The weights in their
    // arrangements are larger than such a small binding, so a smaller network is taken.
    assert!(plan(&tape, &limits).is_err(), "weights are not cut");
    let mut net = Network::new(1, (31, 37));
    let gradient = net.differentiate();
    net.update(gradient);
    let limits = Limits {
        capabilities: Capabilities { max_binding_bytes: 3 * 4 * 31 * 37, ..limits.capabilities },
        ..limits
    };
    let plans: Vec<String> =
        (0..3).map(|_| format!("{:?}", plan(&fuse(&net.tape), &limits).unwrap())).collect();
    assert_eq!(plans[0], plans[1]);
    assert_eq!(plans[0], plans[2]);
}

#[test]
fn what_is_still_needed_is_not_overwritten() {
    let shape = Shape::new(2, 3, 4);
    let limits = limits(1 << 20, u64::MAX, MethodRequest::Auto);
    // y = relu(x); sum = y + x in the place of y.
    let recorded = || {
        let mut tape = Tape::new();
        let x = tape.external("x", shape, Role::Workspace);
        let y = tape.record(Relu { mask: false }, &[x], "layer").unwrap();
        let sum = tape.record(Accumulate, &[y, x], "layer").unwrap();
        tape.keep(sum);
        (tape, x, y, sum)
    };
    let (tape, _, _, sum) = recorded();
    let program = plan(&tape, &limits).unwrap();
    check_plan("accumulate", &program, &limits);
    assert_eq!(tape.shape(sum), shape);
    assert_eq!(program.arenas.len(), 1, "the sum lies where its first term was");

    let refused = |tape: &Tape| plan(tape, &limits).unwrap_err().to_string();
    let (mut tape, _, y, _) = recorded();
    tape.record(Pool::MEAN, &[y], "later").unwrap();
    assert!(refused(&tape).contains("later"), "read later");
    let (mut tape, _, y, _) = recorded();
    tape.keep(y);
    assert!(refused(&tape).contains("later"), "kept");
    let (mut tape, _, _, _) = recorded();
    let z = tape.record(Pool::MEAN, &[sum], "other").unwrap();
    tape.record(Accumulate, &[z, z], "other").unwrap();
    assert!(refused(&tape).contains("in place"), "read beside");
}

#[test]
fn limits_that_are_too_small_are_named() {
    let mut tape = Tape::new();
    let x = tape.external("x", Shape::new(2, 100, 100), Role::Workspace);
    let y = tape.record(Relu { mask: false }, &[x], "layer").unwrap();
    tape.keep(y);
    let error = plan(&tape, &limits(39_999, u64::MAX, MethodRequest::Auto)).unwrap_err().to_string();
    assert!(
        error.contains("40000") && error.contains("39999") && error.contains("a smaller size"),
        "{error}"
    );
    let small = Limits { max_buffer_bytes: 79_999, ..limits(1 << 20, u64::MAX, MethodRequest::Auto) };
    let error = plan(&tape, &small).unwrap_err().to_string();
    assert!(error.contains("80000") && error.contains("79999"), "{error}");
    // A mask is not cut: 64 channels of one pixel have 64 words.
    let mut masked = Tape::new();
    let x = masked.external("x", Shape::new(64, 1, 1), Role::Workspace);
    let y = masked.record(Relu { mask: true }, &[x], "layer").unwrap();
    masked.keep(y);
    plan(&masked, &limits(256, u64::MAX, MethodRequest::Auto)).unwrap();
    let error = plan(&masked, &limits(255, u64::MAX, MethodRequest::Auto)).unwrap_err().to_string();
    assert!(error.contains("mask") && error.contains("256") && error.contains("a smaller size"), "{error}");
    // Nor are features that are looked up, or what is looked among: 64 channels of two cells are 512 bytes.
    for (cells, others) in [(2, 1), (1, 2)] {
        let mut found = Tape::new();
        let q = found.external("q", Shape::new(64, 1, cells), Role::Workspace);
        let s = found.external("s", Shape::new(64, others, 1), Role::Workspace);
        let y = found.record(Nearest, &[q, s], "layer").unwrap();
        found.keep(y);
        plan(&found, &limits(512, u64::MAX, MethodRequest::Auto)).unwrap();
        let error = plan(&found, &limits(511, u64::MAX, MethodRequest::Auto)).unwrap_err().to_string();
        assert!(
            error.contains("compared") && error.contains("512") && error.contains("a smaller size"),
            "{error}"
        );
    }
    // Several small buffers do where one large is not to be had.
    let pieces = Limits { max_buffer_bytes: 50_000, ..limits(50_000, u64::MAX, MethodRequest::Auto) };
    let program = plan(&tape, &pieces).unwrap();
    check_plan("small buffers", &program, &pieces);
    assert_eq!(program.arenas.len(), 2);
}

#[test]
fn kinds_follow_the_phases() {
    let mut net = Network::new(1, (9, 7));
    let gradient = net.differentiate();
    net.update(gradient);
    let program = plan(&fuse(&net.tape), &limits(1 << 20, u64::MAX, MethodRequest::Auto)).unwrap();
    for (index, resource) in program.resources.iter().enumerate() {
        let Some(kind) = resource.kind else { continue };
        let forward = resource.live[0] < program.forward;
        match kind {
            Kind::Activation => assert!(forward, "{index}: {resource:?}"),
            Kind::Gradient => assert!(!forward, "{index}: {resource:?}"),
            Kind::Scratch => assert_eq!(resource.live[1] - resource.live[0], 1, "{index}: a sum's partials"),
        }
    }
}
