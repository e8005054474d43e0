//! The planned program as plain data: it can be printed, serialised, checked and replayed.

use super::tape::{Kind, Role};
use crate::gpu::{Kernel, Slice};
use crate::ops::{Form, Method, MethodTable, Problem, Shape};

/// Bytes of each of the two buffers, one to read and one to write, that [`Place::Unused`] binds.
pub(super) const UNUSED_BYTES: u64 = 16;

/// Where a resource lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In an arena buffer.
    Arena {
        /// Which arena.
        arena: usize,
        /// Byte offset in it.
        offset: u64,
    },
    /// In a buffer from outside: index into [`Program::externals`].
    External(usize),
    /// Nowhere: the kernel does not use the binding.
    Unused,
}

/// A piece of a tensor, or an op's workspace.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Its bytes.
    pub bytes: u64,
    /// What it holds; `None` for what comes from outside.
    pub kind: Option<Kind>,
    /// Its place.
    pub place: Place,
    /// First and last dispatch that touch it.
    pub live: [usize; 2],
    /// The tensor's shape, or the piece's where it is cut.
    pub shape: Shape,
}

/// A piece of a tensor from outside, in one arrangement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct External {
    /// The name that the tape gave.
    pub name: String,
    /// Which piece.
    pub piece: usize,
    /// In which arrangement.
    pub form: Form,
    /// Shape of the tensor that the piece is of.
    pub shape: Shape,
    /// Bytes of the piece in this arrangement.
    pub bytes: u64,
    /// Its owner.
    pub role: Role,
}

/// A dispatch with everything decided.
#[derive(Clone, Debug)]
pub struct PlannedDispatch {
    /// The kernel.
    pub kernel: &'static Kernel,
    /// The op that it belongs to.
    pub op: &'static str,
    /// The layer that it belongs to.
    pub layer: String,
    /// What the op does and by which method, where there are several.
    pub choice: Option<(Problem, Method)>,
    /// Shapes of the op's inputs.
    pub inputs: Vec<Shape>,
    /// Shape of that output of the op which is written, or which this is a step towards.
    pub output: Shape,
    /// Its uniform block.
    pub params: Vec<u8>,
    /// One resource a storage binding: index into [`Program::resources`].
    pub bindings: Vec<usize>,
    /// Which of the bindings is the one written that `explain` shows.
    pub written: usize,
    /// Workgroups, in one line.
    pub workgroups: u32,
    /// Arithmetic: multiply and add count as two.
    pub flops: u64,
    /// Bytes of everything bound.
    pub bytes: u64,
}

/// Memory by use, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Bytes {
    /// Activations live at the arenas' peak.
    pub activations: u64,
    /// Gradients live at the arenas' peak.
    pub gradients: u64,
    /// Pixels and Adam's moments.
    pub optimiser: u64,
    /// The rest of the arenas, targets, parameters, readback and staging.
    pub workspace: u64,
    /// Weights and biases in all arrangements.
    pub weights: u64,
    /// The sum: what is allocated on the device.
    pub total: u64,
}

/// A flat list of dispatches with places in memory.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// The dispatches in order.
    pub dispatches: Vec<PlannedDispatch>,
    /// How many of them make the forward pass, to the costs.
    pub forward: usize,
    /// How many come before the optimiser's.
    pub update: usize,
    /// The dispatches cut by workgroup range.
    pub slices: Vec<Slice>,
    /// Everything that is bound.
    pub resources: Vec<Resource>,
    /// Everything that comes from outside.
    pub externals: Vec<External>,
    /// Bytes of each arena buffer.
    pub arenas: Vec<u64>,
    /// Resources of the kept tensors, in the order in which they were kept; one a piece.
    pub kept: Vec<Vec<usize>>,
    /// Bytes of uniform blocks.
    pub uniform_bytes: u64,
}

impl Program {
    /// Each problem that several methods can do, with the method that does it.
    pub fn methods(&self) -> MethodTable {
        MethodTable(self.dispatches.iter().filter_map(|dispatch| dispatch.choice).collect())
    }

    /// Slices of the forward pass.
    pub fn forward_slices(&self) -> usize {
        self.slices.partition_point(|slice| (slice.dispatch as usize) < self.forward)
    }

    /// Slices before the optimiser's.
    pub fn update_slices(&self) -> usize {
        self.slices.partition_point(|slice| (slice.dispatch as usize) < self.update)
    }

    /// Memory by use; `other` is what belongs to the program but is allocated elsewhere (readback,
    /// staging).
    pub fn bytes(&self, other: u64) -> Bytes {
        let outside = |role| self.externals.iter().filter(|e| e.role == role).map(|e| e.bytes).sum::<u64>();
        let (activations, gradients) = self.peak();
        let arenas: u64 = self.arenas.iter().sum();
        let optimiser = outside(Role::Optimiser);
        let weights = outside(Role::Weights);
        let beside_arenas = self.own_bytes() - arenas;
        let workspace = arenas - activations - gradients + outside(Role::Workspace) + beside_arenas + other;
        let total = activations + gradients + optimiser + workspace + weights;
        Bytes { activations, gradients, optimiser, workspace, weights, total }
    }

    /// Bytes that a program allocates for itself: all but its externals.
    pub fn own_bytes(&self) -> u64 {
        self.arenas.iter().sum::<u64>() + self.uniform_bytes + 2 * UNUSED_BYTES
    }

    /// Bytes of activations and of gradients at the dispatch where the arenas hold most.
    fn peak(&self) -> (u64, u64) {
        let live = |at: usize, kind: Kind| {
            let in_arena = self.resources.iter().filter(|r| matches!(r.place, Place::Arena { .. }));
            in_arena
                .filter(|r| r.kind == Some(kind) && r.live[0] <= at && at <= r.live[1])
                .map(|r| r.bytes)
                .sum::<u64>()
        };
        (0..self.dispatches.len())
            .map(|at| (live(at, Kind::Activation), live(at, Kind::Gradient), live(at, Kind::Scratch)))
            .max_by_key(|(activations, gradients, scratch)| activations + gradients + scratch)
            .map_or((0, 0), |(activations, gradients, _)| (activations, gradients))
    }

    /// All arithmetic of one step.
    pub fn flops(&self) -> u64 {
        self.dispatches.iter().map(|dispatch| dispatch.flops).sum()
    }
}
