//! Every kernel against its CPU twin, on whatever adapter there is: whole, in pieces, in slices, and both, with
//! every choice of kernels.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::ops::Range;
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use common::compare::{Comparison, assert_canary, assert_within};
use common::gpu::{KernelSelection, Run, RunOptions, planned, run, run_on, shared_gpu};
use impasto::cases::compare::compare_run;
use impasto::cases::examine::{is_of, runnable};
use impasto::cases::run::Planned;
use impasto::cases::{
    self, Case, CaseData, Elements, Expected, FAMILIES, Family, Fill, Input, Step, Tolerance,
};
use impasto::gpu::{Binding, Kernel, Params};
use impasto::graph::{Limits, Role};
use impasto::ops::conv::{Conv, ConvPool, ConvPoolBackward};
use impasto::ops::gram::Gram;
use impasto::ops::pool::{Pool, PoolBackward, PoolKind};
use impasto::ops::relu::Relu;
use impasto::ops::resample::Resample;
use impasto::ops::texels::{DecodeTexels, EncodeTexels, TexelFormat};
use impasto::ops::{
    Capabilities, Dispatch, Epilogue, Io, KERNELS, Layout, Lowered, Op, Operand, Precision, Shape,
};
use impasto::picture::Picture;
use impasto::reference::{self, relu_mask};

fn named(name: &str) -> &'static Kernel {
    KERNELS.iter().find(|kernel| kernel.name == name).unwrap()
}

/// Whether slices of pieces are run, too, and merged pools in pieces by every kernel: twice two things that are each checked alone.
const EVERYTHING: bool = cfg!(feature = "slow-tests");

/// Whether kernels store in single precision and have their usual memory. How the others cut tensors and ranges is the same.
fn is_plain(kernels: KernelSelection) -> bool {
    kernels.precision == Precision::F32 && !kernels.low_memory
}

/// Runs every case of a family by every selection of kernels, and prints for each kernel the largest share of the
/// allowed error.
fn check_family(family: &Family) {
    let mut shares: BTreeMap<&str, Comparison> = BTreeMap::new();
    let (family, cases) = (family.name, family.cases());
    assert!(!cases.is_empty(), "{family} has no cases");
    for case in &cases {
        let data = CaseData::of(case);
        let mut done: Vec<Vec<&str>> = Vec::new();
        for kernels in KernelSelection::all() {
            let options = RunOptions { kernels, guards: true, ..RunOptions::default() };
            let names = planned(case, &options).kernels();
            // Where a choice changes nothing, its program has been run before.
            if done.contains(&names) {
                continue;
            }
            done.push(names.clone());
            let name = format!("{} by {}", case.name, names.join(" + "));
            let run = |options: &RunOptions| run_on(case, &data.values, options);
            let mut check = |name: &str, run: &Run| {
                let comparison = compare_run(name, case, kernels.tolerance(case), &data, run);
                assert!(comparison.passes(), "{comparison}");
                // The GEMM kernels of the forward convolution do the backward one too.
                let own = names.iter().copied().find(|name| is_of(named(name), family));
                let kernel = own.unwrap_or(names[names.len() - 1]);
                let worst = shares.entry(kernel).or_insert_with(|| comparison.clone());
                *worst = worst.clone().or_worse(comparison);
            };
            let whole = run(&options);
            check(&name, &whole);
            // A second run, and in slices. Without guards, so that places in the arenas are those of the plan.
            let sliced = run(&RunOptions { slices: true, guards: false, ..options });
            assert!(sliced.overruns.is_empty(), "{name}, in slices: {}", sliced.overruns.join("; "));
            assert!(sliced == whole, "{name}: slices, or a second run, make a difference");
            if let Some(limit) = case.binding_limit() {
                let options = RunOptions { max_binding_bytes: Some(limit), ..options };
                let name = format!("{name}, in pieces");
                let pieces = run(&options);
                check(&name, &pieces);
                if !is_plain(kernels) || !EVERYTHING {
                    continue;
                }
                let sliced = run(&RunOptions { slices: true, guards: false, ..options });
                assert!(sliced.overruns.is_empty(), "{name} and slices: {}", sliced.overruns.join("; "));
                assert!(sliced == pieces, "{name}: slices make a difference");
            }
        }
    }
    for (kernel, comparison) in shares {
        println!(
            "{family}, {kernel}: {:.1} % of the allowed error, {}",
            100.0 * comparison.worst_share,
            comparison.name
        );
    }
}

/// Runs the cases of all families, or of those whose names contain what `IMPASTO_TEST_FAMILY` says. A family that fails
/// does not keep the others from being run.
#[test]
fn every_kernel_agrees_with_its_twin() {
    let wanted = std::env::var("IMPASTO_TEST_FAMILY").unwrap_or_default();
    let families: Vec<&Family> =
        FAMILIES.iter().copied().filter(|family| family.name.contains(&wanted)).collect();
    assert!(!families.is_empty(), "no family's name contains {wanted:?}");
    // The device does one case at a time. The twins, which run on the processor, need not wait for each other.
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(family) = families.get(next.fetch_add(1, Ordering::Relaxed)) {
            if catch_unwind(|| check_family(family)).is_err() {
                failed.lock().unwrap().push(family.name);
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "wrong or not run, as reported above: {}", failed.join(", "));
}

/// Where subgroups have 8 lanes, for which every kernel is right; this device may have others.
#[test]
fn every_kernel_is_run_by_a_case_of_its_family() {
    let gpu = &shared_gpu().gpu;
    let mut limits = Limits::of(gpu, u64::MAX);
    limits.capabilities.subgroups = Some((8, 8));
    let mut run = Vec::new();
    for case in cases::all() {
        for kernels in KernelSelection::all() {
            let options = RunOptions { kernels, ..RunOptions::default() };
            let names = Planned::within(limits.clone(), &case, &options).unwrap().kernels();
            run.extend(names.into_iter().filter(|name| is_of(named(name), case.family)));
        }
    }
    let runnable = runnable(gpu, &cases::all());
    for kernel in KERNELS {
        assert!(run.contains(&kernel.name), "{}: no case runs it", kernel.name);
        if !runnable.contains(kernel.name) {
            let subgroups = gpu.summary().subgroups;
            println!("{} is not run here: it is for other subgroups than {subgroups:?}", kernel.name);
        }
    }
}

/// Channel ranges of a tensor's pieces.
type Pieces = Vec<Range<u32>>;

/// An input of a case and the output, one of which at least is cut.
struct Cut {
    family: &'static str,
    input: Pieces,
    output: Pieces,
}

impl Cut {
    fn is_on_both_sides_and_different(&self) -> bool {
        let (input, output) = (self.input.len(), self.output.len());
        input > 1 && output > 1 && input != output
    }

    /// Whether a piece ends within a register tile of 16 channels.
    fn divides_a_tile(&self) -> bool {
        let divides = |pieces: &Pieces| pieces.len() > 1 && !pieces[0].end.is_multiple_of(16);
        divides(&self.input) || divides(&self.output)
    }
}

#[test]
fn dispatches_are_sliced_and_tensors_are_cut_where_it_is_hard() {
    let mut cuts = Vec::new();
    // Families with a tensor of several channels: others cannot be cut within a register tile.
    let mut of_several_channels = BTreeSet::new();
    for case in cases::all() {
        let sliced = planned(&case, &RunOptions { slices: true, ..RunOptions::default() }).program;
        let parallel = sliced.dispatches.iter().any(|dispatch| dispatch.workgroups > 1);
        assert_eq!(sliced.slices.len() > sliced.dispatches.len(), parallel, "{}: slices", case.name);
        let output = sliced.dispatches[sliced.dispatches.len() - 1].output;
        let inputs: Vec<Shape> =
            case.inputs.iter().filter(|input| input.role != Role::Weights).map(|input| input.shape).collect();
        if inputs.iter().chain([&output]).any(|shape| shape.c > 1) {
            of_several_channels.insert(case.family);
        }
        let Some(limit) = case.binding_limit() else { continue };
        let pieces = |shape: Shape| Layout::new(shape, limit).unwrap().pieces;
        let cut = |input| Cut { family: case.family, input: pieces(input), output: pieces(output) };
        cuts.extend(inputs.into_iter().map(cut).filter(|cut| cut.input.len() > 1 || cut.output.len() > 1));
    }
    let of = |family: &'static str| cuts.iter().filter(move |cut| cut.family == family);
    let pools = ["pool_forward", "pool_backward", "max_pool_forward", "max_pool_backward"];
    for family in ["conv_forward", "conv_backward"].into_iter().chain(pools) {
        let both = of(family).any(Cut::is_on_both_sides_and_different);
        assert!(both, "{family}: no case has several pieces on both sides, of different numbers");
    }
    for family in of_several_channels {
        assert!(of(family).any(Cut::divides_a_tile), "{family}: no piece ends within a register tile");
    }
}

/// What a case says of its values and its comparison, for people to read where two differ.
#[derive(Debug, PartialEq)]
struct Summary {
    family: &'static str,
    /// Of each input its shape, its role, and the kind of its values.
    inputs: Vec<(Shape, Role, String)>,
    atol: f64,
    rtol: f64,
    reads: Vec<usize>,
}

impl Summary {
    fn of(case: &Case) -> Self {
        let kind = |fill: &Fill| format!("{fill:?}").split('(').next().unwrap().to_owned();
        let Tolerance { atol, rtol, .. } = case.tolerance;
        Self {
            family: case.family,
            inputs: case.inputs.iter().map(|input| (input.shape, input.role, kind(&input.fill))).collect(),
            atol,
            rtol,
            reads: case.steps[0].inputs.clone(),
        }
    }
}

#[test]
fn the_case_of_an_op_is_like_those_of_its_family() {
    let mut found = BTreeSet::new();
    for case in cases::all().iter().filter(|case| case.steps.len() == 1 && case.repeats == 1) {
        let shapes: Vec<Shape> = case.inputs.iter().map(|input| input.shape).collect();
        let made = cases::case_of(&case.steps[0].op, &shapes);
        assert_eq!(Summary::of(&made), Summary::of(case), "{}", case.name);
        found.insert(case.family);
    }
    for family in FAMILIES {
        assert!(found.contains(family.name), "{} has no case of one op that runs once", family.name);
    }
}

#[test]
fn some_dispatches_are_longer_than_a_dimension_may_be() {
    let mut long = Vec::new();
    for case in cases::all() {
        for kernels in KernelSelection::all() {
            let program = planned(&case, &RunOptions { kernels, ..RunOptions::default() }).program;
            let many = program.dispatches.iter().filter(|dispatch| dispatch.workgroups > 65535);
            long.extend(many.map(|dispatch| dispatch.kernel.name));
        }
    }
    for kernel in [
        "relu_forward",
        "accumulate",
        "add",
        "start",
        "preprocess",
        "decode_texels",
        "encode_texels",
        "resample_vertical",
        "mix",
        "smooth",
        "resize_bilinear",
        "adam_level",
        "descend",
        "conv_forward_naive",
        "gram_backward_naive",
    ] {
        assert!(long.contains(&kernel), "{kernel} in more than 65535 workgroups");
    }
}

#[test]
fn every_family_has_a_canary() {
    for family in FAMILIES {
        let case = family.cases().into_iter().nth(1).expect("a second case, larger than the first");
        let Tolerance { atol, rtol, .. } = case.tolerance;
        let expected = Expected::of(&case);
        let run = run(&case, &RunOptions::default());
        let output = cases::elements_of(&case).numbers(&run.output);
        assert_canary(&case.name, &output, &expected.output, atol, rtol);
        for (side, want) in run.sides.iter().zip(&expected.sides) {
            assert_canary(&format!("{}, side output", case.name), side, want, 0.0, 0.0);
        }
    }
}

#[test]
fn merged_and_separate_ops_agree_to_the_last_bit() {
    // A convolution and its ReLU: merging must not change the order of any sum, nor the geometry.
    for name in ["conv_forward 17×13×11 to 5", "conv_forward 5×23×19 to 7, stride 2"] {
        let mut case = cases::all().into_iter().find(|case| case.name == name).unwrap();
        case.steps.push(Step { op: Arc::new(Relu { mask: true }), inputs: vec![case.inputs.len()] });
        for kernels in selections(&case) {
            let separate = RunOptions { kernels, ..RunOptions::default() };
            let merged = RunOptions { fuse: true, ..separate };
            let dispatches = |options: &RunOptions| planned(&case, options).program.dispatches;
            assert_eq!(dispatches(&separate).iter().filter(|dispatch| dispatch.op == "relu").count(), 2);
            assert!(dispatches(&merged).iter().all(|dispatch| dispatch.op == "conv_relu"));
            assert!(run(&case, &separate) == run(&case, &merged), "{name}, {kernels:?}");
        }
    }
}

/// A style that is compared by its moments has the Gram matrix that one without has, by every method.
#[test]
fn moments_begin_with_the_gram_matrix_to_the_last_bit() {
    let case = cases::all().into_iter().find(|case| case.name == "gram_forward 17×9×31, moments").unwrap();
    let mut alone = case.clone();
    alone.steps[0].op = Arc::new(Gram);
    for kernels in KernelSelection::all() {
        for max_binding_bytes in [None, case.binding_limit()] {
            let options = RunOptions { kernels, max_binding_bytes, ..RunOptions::default() };
            let values = case.values();
            let (moments, gram) = (run_on(&case, &values, &options), run_on(&alone, &values, &options));
            assert!(moments.output[..17 * 17] == gram.output, "{options:?}");
        }
    }
}

#[test]
fn a_merged_pool_agrees_to_the_last_bit() {
    let mut kinds = Vec::new();
    for merged in cases::all() {
        let Some(&ConvPool { conv, pool: Pool { kind, .. } }) = merged.steps[0].op.downcast() else {
            continue;
        };
        kinds.push(kind);
        let masked = Conv { mask: true, ..conv };
        let of = |conv, pool| {
            let mut case = merged.clone();
            case.steps[0].op = Arc::new(ConvPool { conv, pool });
            case
        };
        let mut alone = merged.clone();
        alone.steps[0].op = Arc::new(masked);
        let mut separate = alone.clone();
        let pool = Pool::recorded(kind, true);
        separate.steps.push(Step { op: Arc::new(pool), inputs: vec![merged.inputs.len()] });
        for (kernels, limit) in in_pieces_too(&merged) {
            let options = RunOptions { kernels, max_binding_bytes: limit, ..RunOptions::default() };
            let name = format!("{}, {kernels:?}, {limit:?} bytes", merged.name);
            let first = planned(&separate, &RunOptions { fuse: true, ..options }).program.dispatches[0].op;
            assert_eq!(first, if kind == PoolKind::Max { "conv_relu_max_pool" } else { "conv_relu_pool" });
            let run = |case: &Case| run(case, &options);
            let separate = run(&separate);
            let mask = run(&alone).sides;
            assert!(run(&merged).output == separate.output, "{name}");
            let both = run(&of(masked, pool));
            assert!(both.output == separate.output, "{name}: masks change the output");
            assert!(both.sides == [mask, separate.sides].concat(), "{name}: other masks");
            if pool.winners && limit.is_none() {
                // Those of the pool that nobody asked for.
                let one = run(&of(conv, pool));
                assert!(one.output == both.output && one.sides == both.sides[1..], "{name}: other winners");
            }
        }
    }
    assert!(kinds.contains(&PoolKind::Mean) && kinds.contains(&PoolKind::Max));
}

/// The selections of kernels that differ for a case: most methods are another op's, and the usual one is one of them.
fn selections(case: &Case) -> Vec<KernelSelection> {
    let mut known = Vec::new();
    let is_new = |kernels: &KernelSelection| {
        let names = planned(case, &RunOptions { kernels: *kernels, ..RunOptions::default() }).kernels();
        let key = (names, kernels.precision, kernels.low_memory);
        let is_new = !known.contains(&key);
        known.push(key);
        is_new
    };
    KernelSelection::all().into_iter().filter(is_new).collect()
}

/// The same, with tensors whole and in pieces.
fn in_pieces_too(case: &Case) -> Vec<(KernelSelection, Option<u64>)> {
    let selections = selections(case);
    let whole = selections.iter().map(|kernels| (*kernels, None));
    let every = if EVERYTHING { 1 } else { 3 };
    let pieces = selections.iter().filter(|kernels| is_plain(**kernels)).step_by(every);
    let pieces = pieces.filter_map(|kernels| Some((*kernels, Some(case.binding_limit()?))));
    whole.chain(pieces).collect()
}

#[test]
fn the_gradient_of_a_merged_pool_agrees_to_the_last_bit() {
    let mut kinds = Vec::new();
    for merged in cases::all() {
        let last = merged.steps.len() - 1;
        let Some(&ConvPoolBackward { pooled: x, kind, conv }) = merged.steps[last].op.downcast() else {
            continue;
        };
        kinds.push(kind);
        let mut separate = merged.clone();
        // The pool and its gate read what comes before the weights. What it makes stands behind the inputs, before
        // what the other steps make.
        let reads = separate.steps[last].inputs.clone();
        let (of_pool, rest) = reads.split_at(if kind == PoolKind::Max { 3 } else { 2 });
        let first = separate.inputs.len();
        let moved = |wire: &usize| if *wire < first { *wire } else { *wire + 1 };
        let inputs = [first].into_iter().chain(rest.iter().map(moved)).collect();
        separate.steps[last] = Step { op: Arc::new(conv), inputs };
        let epilogue = Epilogue { gate: true, ..Epilogue::default() };
        let pool = PoolBackward { kind, x, epilogue };
        separate.steps.insert(0, Step { op: Arc::new(pool), inputs: of_pool.to_vec() });
        let want = ["conv_pool_backward", "conv_max_pool_backward"][usize::from(kind == PoolKind::Max)];
        for (kernels, limit) in in_pieces_too(&merged) {
            let options = RunOptions { kernels, max_binding_bytes: limit, ..RunOptions::default() };
            let fused = planned(&separate, &RunOptions { fuse: true, ..options }).program.dispatches;
            assert!(fused.iter().any(|dispatch| dispatch.op == want), "{}", merged.name);
            let run = |case: &Case| run(case, &options).output;
            assert!(run(&merged) == run(&separate), "{}, {kernels:?}, {limit:?} bytes", merged.name);
        }
    }
    assert!(kinds.contains(&PoolKind::Mean) && kinds.contains(&PoolKind::Max));
}

/// A comparison takes no NaN, so these have a test of their own: wherever in its window it stands, a NaN wins.
#[test]
fn a_max_pool_does_not_hide_a_nan() {
    let shape = Shape::new(2, 5, 7);
    let mut case =
        cases::all().into_iter().find(|case| case.name == "max_pool_forward 3×5×7, winners").unwrap();
    assert_eq!(case.steps[0].op.downcast(), Some(&Pool { kind: PoolKind::Max, winners: true }));
    case.inputs = vec![Input { shape, role: Role::Workspace, fill: Fill::Between(-1.0, 1.0) }];
    let mut values = case.values();
    // Each cell of a window, the last window of an odd size, two in one window, of either sign, beside infinity.
    for at in [0, 3, 13, 19, 34, 35, 36, 51] {
        values[0][at] = 0x7FC0_0001;
    }
    for at in [0, 36] {
        values[0][at] |= 0x8000_0000;
    }
    for at in [1, 12] {
        values[0][at] = f32::INFINITY.to_bits();
    }
    let x: Vec<f32> = values[0].iter().map(|bits| f32::from_bits(*bits)).collect();
    let (y, winners) = reference::max_pool_forward(&x, (2, 5, 7));
    assert_eq!(y.iter().filter(|y| y.is_nan()).count(), 7, "{y:?}");
    let run = run_on(&case, &values, &RunOptions::default());
    let nan = |bits: &u32| f32::from_bits(*bits).is_nan();
    let want: Vec<u32> = y.iter().map(|y| y.to_bits()).collect();
    assert!(run.output.iter().zip(&want).all(|(got, want)| got == want || (nan(got) && nan(want))));
    assert!(run.sides == [winners]);
}

#[test]
fn a_merged_max_pool_does_not_hide_a_nan() {
    let name = "conv_forward 4×23×19 to 17, edge repeated, relu, max pool";
    let mut merged = cases::all().into_iter().find(|case| case.name == name).unwrap();
    let conv = Conv { mask: true, ..merged.steps[0].op.downcast::<ConvPool>().unwrap().conv };
    let pool = Pool::recorded(PoolKind::Max, true);
    merged.steps[0].op = Arc::new(ConvPool { conv, pool });
    let mut separate = merged.clone();
    separate.steps[0].op = Arc::new(conv);
    separate.steps.push(Step { op: Arc::new(pool), inputs: vec![merged.inputs.len()] });
    let mut values = merged.values();
    // In the middle of the first channel and in the corner of the last.
    let last = values[0].len() - 1;
    values[0][9 * 19 + 8] = 0x7FC0_0001;
    values[0][last] = 0xFFC0_0001;
    for kernels in KernelSelection::all() {
        let options = RunOptions { kernels, ..RunOptions::default() };
        let [merged, separate] = [&merged, &separate].map(|case| run_on(case, &values, &options));
        let bits = |run: &Run| -> Vec<Option<u32>> {
            run.output.iter().map(|bits| (!f32::from_bits(*bits).is_nan()).then_some(*bits)).collect()
        };
        // Halves are held below their largest number, which makes a number of a NaN.
        let is_seen = bits(&merged).contains(&None);
        assert!(is_seen || kernels.precision == Precision::F16, "{kernels:?}: a NaN is seen");
        assert!(bits(&merged) == bits(&separate), "{kernels:?}");
        assert!(merged.sides[1..] == separate.sides, "{kernels:?}: other winners");
    }
}

/// The twin's sums round otherwise, so its mask may differ where a sum is nearly 0: the kernels' mask must be that of
/// the kernels' own output.
#[test]
fn the_mask_of_a_convolution_is_that_of_its_output() {
    let cases: Vec<Case> = cases::all().into_iter().filter(|case| case.family == "conv_forward").collect();
    for mut case in cases {
        let op = &case.steps[0].op;
        let pooled = op.downcast::<ConvPool>().map(|pooled| pooled.conv);
        let conv = pooled.or(op.downcast::<Conv>().copied()).unwrap();
        case.steps[0].op = Arc::new(Conv { relu: true, mask: true, ..conv });
        let shape = case.record().map(|recorded| recorded.tape.shape(recorded.output)).unwrap();
        let size = (shape.c as usize, shape.rows() as usize, shape.w as usize);
        for (kernels, limit) in in_pieces_too(&case) {
            let options =
                RunOptions { kernels, max_binding_bytes: limit, guards: true, ..RunOptions::default() };
            let run = run(&case, &options);
            let name = format!("{}, {kernels:?}, {limit:?} bytes", case.name);
            assert!(run.overruns.is_empty(), "{name}: {}", run.overruns.join("; "));
            let y: Vec<f32> = run.output.iter().map(|bits| f32::from_bits(*bits)).collect();
            let open = y.iter().filter(|y| **y > 0.0).count();
            assert!(y.len() < 100 || (y.len() / 4..y.len() * 3 / 4).contains(&open), "{name}: {open} bits");
            assert!(run.sides == [relu_mask(&y, size)], "{name}: another mask");
        }
    }
}

/// What the command does with a file, and what a host's texture goes through, give the same picture.
#[test]
fn resampled_pictures_are_those_of_the_image_crate() {
    let (mut worst, mut different, mut all) = (0, 0, 0);
    for case in cases::all().into_iter().filter(|case| case.family == "resample") {
        let values = case.values();
        let resample = *case.steps[0].op.downcast::<Resample>().unwrap();
        let Shape { h, w, .. } = case.inputs[0].shape;
        // The kernel reads no alpha.
        let rgb = values[0].iter().flat_map(|word| word.to_le_bytes().into_iter().take(3)).collect();
        let picture = Picture::from_rgb(w, h, rgb).unwrap();
        let want = picture.resized(resample.width, resample.height).to_rgba();
        let run = run_on(&case, &values, &RunOptions::default());
        let got = run.output.iter().flat_map(|word| word.to_le_bytes());
        let far = got.zip(&want).map(|(got, want)| got.abs_diff(*want));
        let far: Vec<u8> = far.collect();
        assert_eq!(far.len(), want.len(), "{}", case.name);
        let most = far.iter().copied().max().unwrap();
        assert!(most <= 1, "{}: {most} levels from the image crate's", case.name);
        (worst, all) = (most.max(worst), all + far.len());
        different += far.iter().filter(|levels| **levels > 0).count();
    }
    println!("at most {worst} levels from the image crate's, {different} of {all} bytes differ");
    assert!(different < all / 100, "{different} of {all} bytes differ: places or weights are wrong");
}

/// What is behind a row, and what a texel holds that is no colour, does not matter: every half there is.
#[test]
fn every_half_is_decoded() {
    let name = "decode_texels 61×67 Rgba16Float in rows of 192";
    let mut case = cases::all().into_iter().find(|case| case.name == name).unwrap();
    // Both halves of each word through all bits, alpha 1.
    let (height, width) = (64, 1024);
    case.inputs[0].shape = Shape::new(1, height, 2 * width);
    case.steps[0].op = Arc::new(DecodeTexels { format: TexelFormat::Rgba16Float, width });
    let words = (0..height * width).flat_map(|bits| [bits | (bits ^ 0xffff) << 16, bits | 0x3c00 << 16]);
    let run = run_on(&case, &[words.clone().collect()], &RunOptions::default());
    let words: Vec<f64> = words.map(f64::from).collect();
    let twin = cases::twin(&*case.steps[0].op, &[&words], &[case.inputs[0].shape]);
    let (got, want) = (Elements::Bytes.numbers(&run.output), twin.exact.unwrap());
    assert_within("every half", &got, &want, case.tolerance);
    assert_canary("every half", &got, &want, case.tolerance.atol, case.tolerance.rtol);
}

/// And every byte is encoded to the half that is the nearest, whatever this device makes of powers.
#[test]
fn every_byte_is_encoded_to_the_nearest_half() {
    let name = "encode_texels 61×67 Rgba16Float in rows of 192";
    let mut case = cases::all().into_iter().find(|case| case.name == name).unwrap();
    case.inputs[0].shape = Shape::new(1, 16, 16);
    case.steps[0].op = Arc::new(EncodeTexels { format: TexelFormat::Rgba16Float, pitch: 64 });
    let words = (0..=255_u32).map(|byte| byte | (255 - byte) << 8 | (byte ^ 0x5a) << 16 | byte << 24);
    let run = run_on(&case, &[words.clone().collect()], &RunOptions::default());
    let words: Vec<f64> = words.map(f64::from).collect();
    let twin = cases::twin(&*case.steps[0].op, &[&words], &[case.inputs[0].shape]);
    let want: Vec<u32> = twin.output.iter().map(|word| *word as u32).collect();
    assert_eq!(run.output, want);
}

#[test]
fn ops_of_textures_refuse_what_does_not_fit() {
    let refused =
        |op: &dyn Op, shape: Shape| matches!(op.output_shape(&[shape]), Err(impasto::Error::Shape { .. }));
    for (format, words) in [(TexelFormat::Rgba8, 1), (TexelFormat::Rgba16Float, 2)] {
        let decode = DecodeTexels { format, width: 7 };
        let encode = EncodeTexels { format, pitch: 7 * words };
        assert_eq!(decode.output_shape(&[Shape::new(1, 5, 7 * words)]).unwrap(), Shape::new(1, 5, 7));
        assert_eq!(encode.output_shape(&[Shape::new(1, 5, 7)]).unwrap(), Shape::new(1, 5, 7 * words));
        assert!(refused(&decode, Shape::new(1, 5, 7 * words - 1)), "a row that is too short");
        assert!(refused(&encode, Shape::new(1, 5, 8)), "a row that is too long");
        assert!(refused(&decode, Shape::new(3, 5, 64)) && refused(&encode, Shape::new(3, 5, 7)), "planes");
        assert!(refused(&decode, Shape::new(1, 0, 64)) && refused(&encode, Shape::new(1, 0, 7)), "no row");
        assert!(refused(&DecodeTexels { format, width: 0 }, Shape::new(1, 5, 64)), "no texel");
        // Of which 2³¹ have 2³² words.
        assert!(refused(&DecodeTexels { format, width: u32::MAX }, Shape::new(1, 5, 64)));
    }
    let resample = Resample { height: 3, width: 4 };
    assert!(refused(&resample, Shape::new(3, 5, 7)) && refused(&resample, Shape::new(1, 0, 7)));
    assert!(refused(&Resample { height: 0, width: 4 }, Shape::new(1, 5, 7)), "nothing");
    assert!(refused(&Resample { height: 1, width: u32::MAX }, Shape::new(1, 5, 7)), "more than f32 counts");
    // What lies between the passes has as many columns as the input and as many rows as the output.
    let case = cases::case_of(
        &(Arc::new(Resample { height: 1000, width: 1 }) as Arc<dyn Op>),
        &[Shape::new(1, 1, 1000)],
    );
    let limit = RunOptions { max_binding_bytes: Some(999 * 4000), ..RunOptions::default() };
    let planned = Planned::new(&shared_gpu().gpu, &case, &limit);
    assert!(matches!(planned, Err(impasto::Error::Memory { .. })));
}

// ---- The sentinels themselves ----

/// y[i] = x[i + reach] for i in 0..count: right with count = n and reach = 0, wrong on purpose otherwise.
#[derive(Clone, Copy, Debug)]
struct Wrong {
    count: u32,
    reach: u32,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct WrongParams {
    count: u32,
    reach: u32,
}

impl Params for WrongParams {
    const FIELDS: &'static [&'static str] = &["count", "reach"];
}

static WRONG: Kernel = Kernel {
    edits: &[],
    name: "wrong",
    file: "wrong/wrong.wgsl",
    source: "
        override WORKGROUP: u32 = 64u;
        override FOLD: u32 = 32768u;
        struct Slice { first: u32, end: u32 }
        @group(0) @binding(0) var<uniform> slice: Slice;
        struct Params { count: u32, reach: u32 }
        @group(0) @binding(1) var<uniform> params: Params;
        @group(0) @binding(2) var<storage, read> x: array<f32>;
        @group(0) @binding(3) var<storage, read_write> y: array<f32>;
        @compute @workgroup_size(WORKGROUP)
        fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
            let i = (slice.first + group.y * FOLD + group.x) * WORKGROUP + lane;
            if (i < params.count) { y[i] = x[i + params.reach]; }
        }",
    params: WrongParams::FIELDS,
    bindings: &[Binding::read("x"), Binding::write("y")],
    workgroup: 64,
    tile: &[],
    subgroup: None,
};

impl Op for Wrong {
    fn name(&self) -> &'static str {
        "wrong"
    }

    fn output_shape(&self, inputs: &[Shape]) -> impasto::Result<Shape> {
        Ok(inputs[0])
    }

    fn lower(&self, _io: &Io<'_>, _capabilities: &Capabilities) -> impasto::Result<Lowered> {
        let params = WrongParams { count: self.count, reach: self.reach };
        let dispatch = Dispatch::new(&WRONG, params, vec![Operand::input(0, 0), Operand::output(0)], 4, 0);
        Ok(Lowered { dispatches: vec![dispatch], ..Lowered::default() })
    }
}

#[test]
fn sentinels_catch_what_they_should() {
    let shape = Shape::new(3, 5, 7);
    let run = |count, reach| {
        let case = Case {
            name: "wrong".into(),
            family: "wrong",
            inputs: vec![Input { shape, role: Role::Workspace, fill: Fill::Between(-1.0, 1.0) }],
            steps: vec![Step { op: Arc::new(Wrong { count, reach }), inputs: vec![0] }],
            repeats: 1,
            pieces: 1,
            tolerance: Tolerance { atol: 0.0, rtol: 0.0, reason: "a copy" },
        };
        let run = run(&case, &RunOptions { guards: true, ..RunOptions::default() });
        let finite = run.output.iter().all(|bits| f32::from_bits(*bits).is_finite());
        (finite, run.overruns.len())
    };
    assert_eq!(run(105, 0), (true, 0), "nothing is wrong");
    assert_eq!(run(104, 0), (false, 0), "an element that is not written stays poison");
    assert_eq!(run(106, 0), (true, 1), "an element too many is found in the guard");
    assert_eq!(run(105, 1), (false, 0), "an element read from behind the input is poison");
}
