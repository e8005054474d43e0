//! What is measured: the ops of the presets, each on its own, at their full size and on a plane small enough to
//! be checked against the twin.

use std::collections::BTreeSet;

use impasto::cases::{self, Case, Dimensions};
use impasto::gpu::Kernel;
use impasto::graph::{Limits, Node, Program, Role, Tape, fuse, plan};
use impasto::nn::{Network, PoolKind, vgg19};
use impasto::ops::preprocess::{MEAN_SHAPE, Postprocess, Preprocess};
use impasto::ops::{Algorithm, MethodRequest, Shape, VARIANTS};
use impasto::picture::Extent;
use impasto::transfer::{Options, Preset, look_up_tape, step_tape};

use crate::cli::Result;

/// The plane that a layer is checked on: odd before pooling, no multiple of a tile.
const CHECKED_PLANE: Extent = Extent::new(12, 9);

/// An op of the step, on tensors of its own.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    /// The op with its inputs at full size.
    pub(super) case: Case,
    /// The same on a small plane.
    pub(super) checked: Case,
    /// What its rows are labelled with.
    pub(super) label: Label,
}

/// The columns of a row that say what was measured.
#[derive(Clone, Debug)]
pub(super) struct Label {
    /// The op's name.
    pub(super) op: &'static str,
    /// The network's layer, if it belongs to one.
    pub(super) layer: Option<String>,
    /// Channels read, channels written, and the larger plane's height and width.
    pub(super) shape: [u32; 4],
}

impl Label {
    /// Layer, op and shape for people.
    pub(super) fn columns(&self) -> [String; 3] {
        let layer = self.layer.clone().unwrap_or_else(|| "–".to_owned());
        [layer, self.op.to_owned(), self.shape.map(|side| side.to_string()).join("×")]
    }

    /// What identifies the row of a kernel.
    pub(super) fn row(&self, kernel: &str) -> (String, &'static str, Option<String>, [u32; 4]) {
        (kernel.to_owned(), self.op, self.layer.clone(), self.shape)
    }
}

/// Whether `--filter` names this kernel, this layer, or both with a space between.
pub(super) fn is_wanted(filter: Option<&str>, kernel: &str, layer: Option<&str>) -> bool {
    filter.is_none_or(|filter| format!("{kernel} {}", layer.unwrap_or_default()).contains(filter))
}

/// One way to run a subject.
#[derive(Clone, Debug)]
pub(super) struct Trial {
    /// What is run.
    pub(super) subject: Subject,
    /// What its kernels are chosen by.
    pub(super) limits: Limits,
    /// The program at full size.
    pub(super) program: Program,
}

impl Trial {
    /// The kernels that run, each once.
    pub(super) fn kernels(&self) -> Vec<&'static Kernel> {
        kernels(&self.program)
    }
}

/// Every way in which this device can run an op; `naive`: plain loops as well.
fn variants(limits: &Limits, naive: bool) -> Vec<Limits> {
    let methods = VARIANTS.iter().flat_map(|variants| variants.methods.iter().copied());
    let methods = methods.filter(|method| naive || method.algorithm != Algorithm::Naive);
    let requests = [MethodRequest::Auto].into_iter().chain(methods.map(MethodRequest::Method));
    let mut variants: Vec<Limits> = requests
        .map(|request| {
            let mut limits = limits.clone();
            limits.capabilities.request = request;
            limits
        })
        .collect();
    // The kernels that other ops use without subgroups.
    let mut portable = limits.clone();
    portable.capabilities.subgroups = None;
    variants.push(portable);
    variants
}

/// Every way to run every op of the presets' steps for a picture of `size`, of what the usual one looks up, and of the
/// conversion of pixels.
pub(super) fn trials(size: Extent, limits: &Limits, naive: bool) -> Result<Vec<Trial>> {
    let [merged, separate] = subjects(size)?;
    let mut trials = Vec::new();
    for subject in merged {
        trials.extend(trials_of(subject, limits, naive)?);
    }
    // Ops that are merged away have kernels too.
    let known: BTreeSet<&str> = trials.iter().flat_map(Trial::kernels).map(|kernel| kernel.name).collect();
    for subject in separate {
        let of_subject = trials_of(subject, limits, naive)?;
        trials.extend(
            of_subject
                .into_iter()
                .filter(|trial| trial.kernels().iter().all(|kernel| !known.contains(kernel.name))),
        );
    }
    Ok(trials)
}

fn trials_of(subject: Subject, limits: &Limits, naive: bool) -> Result<Vec<Trial>> {
    let mut trials: Vec<Trial> = Vec::new();
    for limits in variants(limits, naive) {
        let program = program(&subject.case, &limits)?;
        let names = kernels(&program).iter().map(|kernel| kernel.name).collect::<Vec<_>>();
        let known = trials
            .iter()
            .any(|trial| trial.kernels().iter().map(|kernel| kernel.name).collect::<Vec<_>>() == names);
        if !known {
            trials.push(Trial { subject: subject.clone(), limits, program });
        }
    }
    Ok(trials)
}

/// A case as a program.
pub(super) fn program(case: &Case, limits: &Limits) -> Result<Program> {
    Ok(plan(&case.record()?.tape, limits)?)
}

fn kernels(program: &Program) -> Vec<&'static Kernel> {
    let mut kernels: Vec<&'static Kernel> = Vec::new();
    for dispatch in &program.dispatches {
        if kernels.iter().all(|kernel| kernel.name != dispatch.kernel.name) {
            kernels.push(dispatch.kernel);
        }
    }
    kernels
}

/// The tapes whose ops are measured: as they run, and the steps before anything is merged.
struct Tapes {
    merged: Vec<Tape>,
    separate: Vec<Tape>,
}

impl Tapes {
    /// Of every preset's step, of what the usual one looks up, and of the conversion of pixels.
    fn new(network: &Network, size: Extent) -> Result<Self> {
        let presets = Preset::ALL.iter().map(|(_, preset)| Options::preset(*preset));
        let steps = presets.map(|options| step_tape(network, &options, size.sides()));
        let separate = steps.collect::<impasto::Result<Vec<_>>>()?;
        let look_up = look_up_tape(network, &Options::default(), size.sides())?;
        let mut pictures = Tape::new();
        let mean = pictures.external("mean", MEAN_SHAPE, Role::Workspace);
        let picture = pictures.external("picture", Shape::new(1, size.height, size.width), Role::Workspace);
        let pixels = pictures.record(Preprocess, &[picture, mean], "picture")?;
        pictures.record(Postprocess { rounded: false }, &[pixels, mean], "picture")?;
        let merged = separate.iter().map(fuse).chain([fuse(&look_up), pictures]).collect();
        Ok(Self { merged, separate })
    }

    /// Each op once, of the merged tapes and of the others, with the one that is like it in `small`.
    fn subjects(&self, network: &Network, small: &[Self]) -> Result<[Vec<Subject>; 2]> {
        let of = |which: fn(&Self) -> &[Tape]| -> Result<Vec<Subject>> {
            let mut subjects = Vec::new();
            let mut known = BTreeSet::new();
            for (index, tape) in which(self).iter().enumerate() {
                for node in tape.nodes() {
                    let shapes = input_shapes(tape, node);
                    if known.insert(format!("{} {:?} {shapes:?}", node.layer, node.op)) {
                        let small = &which(&small[block(&node.layer) as usize - 1])[index];
                        subjects.extend(subject(network, (&shapes, node), small)?);
                    }
                }
            }
            Ok(subjects)
        };
        Ok([of(|tapes| &tapes.merged)?, of(|tapes| &tapes.separate)?])
    }
}

/// The subjects of the ops as they run, and as they are before merging.
fn subjects(size: Extent) -> Result<[Vec<Subject>; 2]> {
    let network = vgg19(PoolKind::Mean);
    let full = Tapes::new(&network, size)?;
    // The same ops on pictures whose planes are the small one from one block on: the planes of block n are
    // 2ⁿ⁻¹ times smaller than the picture.
    let blocks = network.layers().iter().map(|layer| block(layer.name())).max().unwrap_or(1);
    let Extent { width, height } = CHECKED_PLANE;
    let small =
        (0..blocks).map(|halvings| Tapes::new(&network, Extent::new(width << halvings, height << halvings)));
    full.subjects(&network, &small.collect::<Result<Vec<_>>>()?)
}

/// The block of `conv3_2` or `pool3` is 3; what belongs to no layer is like the first.
fn block(layer: &str) -> u32 {
    layer.chars().find_map(|digit| digit.to_digit(10)).unwrap_or(1)
}

fn input_shapes(tape: &Tape, node: &Node) -> Vec<Shape> {
    node.inputs.iter().map(|input| tape.shape(*input)).collect()
}

/// The op of a node that reads these shapes, and the first that is like it on a tape of small pictures: by name, and not by
/// number, because small pyramids have fewer levels. None where there is no such op there: only in large pictures are blocks
/// of cells looked up, which are pooled before.
fn subject(network: &Network, (shapes, node): (&[Shape], &Node), small: &Tape) -> Result<Option<Subject>> {
    let is_like = |other: &&Node| (other.op.name(), &other.layer) == (node.op.name(), &node.layer);
    let Some(like) = small.nodes().iter().find(is_like) else { return Ok(None) };
    let case = cases::case_of(&node.op, shapes);
    let checked = cases::case_of(&like.op, &input_shapes(small, like));
    let in_network = network.layers().iter().any(|layer| layer.name() == node.layer);
    let Dimensions { read, written, plane } = cases::dimensions_of(&case)?;
    let label = Label {
        op: node.op.name(),
        layer: in_network.then(|| node.layer.clone()),
        shape: [read, written, plane.height, plane.width],
    };
    Ok(Some(Subject { case, checked, label }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Large pictures are looked up in blocks, on the grid of the later layer, so that nothing is resized for it.
    #[test]
    fn large_pictures_have_the_ops_of_small_ones() {
        let ops = |width, height| {
            let subjects = subjects(Extent::new(width, height)).unwrap();
            let ops = subjects.iter().flatten().map(|subject| subject.label.op);
            ops.collect::<BTreeSet<_>>()
        };
        let mut small = ops(64, 48);
        assert!(small.contains("matrix_product") && small.contains("nearest"), "{small:?}");
        assert!(small.remove("resize"));
        assert_eq!(ops(1024, 768), small);
    }
}
