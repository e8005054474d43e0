//! What the tape can hold: for every op its shape rule, its backward rule, its cost in FLOP, and how it
//! becomes dispatches of our kernels. One file an op; [`KERNELS`] lists every kernel.
//!
//! Low level: this module is public for experiments and tools. It is not designed for stability, and any release may
//! change it; programs that paint need [`MethodRequest`], [`MethodTable`] and [`Precision`] alone, for
//! [`crate::transfer::EngineOptions`].

use std::any::Any;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use crate::error::{Error, Remedy, Result};
use crate::gpu::{AdapterSummary, Kernel};

pub mod adam;
pub mod add;
pub mod choose;
pub mod conv;
mod declare;
mod epilogue;
pub mod gram;
pub mod guide;
mod kernel_list;
pub mod pool;
pub mod preprocess;
pub mod probe;
pub mod relu;
pub mod resample;
pub mod squared_error;
pub mod start;
pub mod texels;
pub mod total_variation;
pub mod weighted_sum;

pub use choose::{Algorithm, Direction, Method, MethodRequest, MethodTable, Problem, Variants};
pub(crate) use declare::kernels;
pub use epilogue::Epilogue;
pub use kernel_list::{KERNELS, kernels_digest};

/// The ops that can be done by several methods. What a file says of methods is looked up here.
pub static VARIANTS: [&Variants; 2] = [&conv::VARIANTS, &gram::VARIANTS];

/// A tensor's shape (C, D, H, W), f32, planar; a picture's planes have a depth D of 1. Matrices are (1, rows, columns),
/// scalars (1, 1, 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Channels.
    pub c: u32,
    /// Planes of a channel, one after the other.
    pub d: u32,
    /// Rows of a plane.
    pub h: u32,
    /// Columns.
    pub w: u32,
}

impl Shape {
    /// One number.
    pub const SCALAR: Self = Self::new(1, 1, 1);

    /// A shape (C, H, W).
    pub const fn new(c: u32, h: u32, w: u32) -> Self {
        Self::volume(c, 1, h, w)
    }

    /// A shape (C, D, H, W).
    pub const fn volume(c: u32, d: u32, h: u32, w: u32) -> Self {
        Self { c, d, h, w }
    }

    /// A row of `n` numbers: (1, 1, n).
    pub const fn row(n: u32) -> Self {
        Self::new(1, 1, n)
    }

    /// Rows of one channel, D·H: what kernels that do not look beyond a row take for its height.
    pub const fn rows(self) -> u32 {
        self.d * self.h
    }

    /// Elements of one channel.
    pub const fn plane(self) -> u64 {
        self.d as u64 * self.h as u64 * self.w as u64
    }

    /// All elements.
    pub const fn elements(self) -> u64 {
        self.c as u64 * self.plane()
    }

    /// Bytes as f32.
    pub const fn bytes(self) -> u64 {
        4 * self.elements()
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { c, d, h, w } = self;
        if *d == 1 { write!(f, "{c}×{h}×{w}") } else { write!(f, "{c}×{d}×{h}×{w}") }
    }
}

/// A tensor's shape with the channel groups that it is kept in: no group is larger than a binding may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The whole tensor.
    pub shape: Shape,
    /// Channel ranges of the pieces, in order.
    pub pieces: Vec<Range<u32>>,
}

impl Layout {
    /// Pieces that are smaller than their tensor hold whole multiples of this many channels, where that many fit: no
    /// register tile of a kernel is cut in two.
    pub const WHOLE_CHANNELS: u32 = 16;

    /// Cuts `shape` into the fewest channel groups of at most `max_bytes`.
    ///
    /// # Errors
    /// [`Error::Memory`] where one channel alone is larger.
    pub fn new(shape: Shape, max_bytes: u64) -> Result<Self> {
        let plane = 4 * shape.plane();
        let fits = u32::try_from(max_bytes / plane.max(1)).unwrap_or(u32::MAX);
        if fits == 0 {
            return Err(Error::Memory {
                what: format!("one channel of a tensor {shape}"),
                needed: plane,
                available: max_bytes,
                remedy: Remedy::SmallerSize(None),
            });
        }
        let cut = fits >= Self::WHOLE_CHANNELS && fits < shape.c;
        let group = if cut { fits - fits % Self::WHOLE_CHANNELS } else { fits };
        let pieces =
            (0..shape.c.div_ceil(group)).map(|i| i * group..((i + 1) * group).min(shape.c)).collect();
        Ok(Self { shape, pieces })
    }

    /// A layout in one piece.
    pub fn whole(shape: Shape) -> Self {
        Self { shape, pieces: std::iter::once(0..shape.c).collect() }
    }

    /// Shape of one piece.
    pub fn piece_shape(&self, piece: usize) -> Shape {
        let range = &self.pieces[piece];
        Shape { c: range.end - range.start, ..self.shape }
    }

    /// Elements of one piece, as kernels count.
    pub fn piece_elements(&self, piece: usize) -> u32 {
        self.piece_shape(piece).elements() as u32
    }
}

/// The arrangement in which a kernel reads a constant. The op that owns the kernel makes it. All other code sees a name
/// with two functions; forms with the same name are equal.
#[derive(Clone, Copy)]
pub struct Form {
    /// Its name, which no other form has.
    pub name: &'static str,
    /// Words of 32 bits that a tensor of a shape takes in it.
    pub words: fn(Shape) -> u64,
    /// The words of a tensor with these values and this shape.
    pub arrange: fn(&[f32], Shape) -> Vec<u32>,
}

impl Form {
    /// As the tensor is: the bits of its numbers.
    pub const PLAIN: Self = Self {
        name: "plain",
        words: Shape::elements,
        arrange: |values, _| values.iter().map(|value| value.to_bits()).collect(),
    };
}

impl PartialEq for Form {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Form {}

impl PartialOrd for Form {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Form {
    fn cmp(&self, other: &Self) -> Ordering {
        self.name.cmp(other.name)
    }
}

impl Hash for Form {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Where a kernel's storage binding points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// A piece of the op's input number `index`.
    Input {
        /// Which input.
        index: usize,
        /// Which piece of it.
        piece: usize,
        /// In which arrangement.
        form: Form,
    },
    /// A piece of the op's output number `index`; number 0 is the main one.
    Output {
        /// Which output.
        index: usize,
        /// Which piece of it.
        piece: usize,
    },
    /// The op's own workspace number `index`.
    Scratch {
        /// Which workspace.
        index: usize,
    },
    /// Nothing: the kernel does not use the binding.
    Unused,
}

impl Operand {
    /// An input's piece as it is.
    pub const fn input(index: usize, piece: usize) -> Self {
        Self::Input { index, piece, form: Form::PLAIN }
    }

    /// The main output's piece.
    pub const fn output(piece: usize) -> Self {
        Self::Output { index: 0, piece }
    }
}

/// One dispatch of a kernel, before anything is placed in memory.
#[derive(Clone, Debug)]
pub struct Dispatch {
    /// The kernel.
    pub kernel: &'static Kernel,
    /// Its uniform block.
    pub params: Vec<u8>,
    /// One operand a storage binding, in binding order.
    pub operands: Vec<Operand>,
    /// Workgroups, in one line.
    pub workgroups: u32,
    /// Arithmetic: multiply and add count as two.
    pub flops: u64,
}

impl Dispatch {
    /// A dispatch; `params` is the kernel's own block.
    pub fn new<P: crate::gpu::Params>(
        kernel: &'static Kernel,
        params: P,
        operands: Vec<Operand>,
        workgroups: u32,
        flops: u64,
    ) -> Self {
        debug_assert_eq!(kernel.params, P::FIELDS, "{}", kernel.name);
        debug_assert_eq!(kernel.bindings.len(), operands.len(), "{}", kernel.name);
        Self { kernel, params: bytemuck::bytes_of(&params).to_vec(), operands, workgroups, flops }
    }
}

/// An op as dispatches, with the workspace that they share.
#[derive(Clone, Debug, Default)]
pub struct Lowered {
    /// Elements (f32) of each workspace.
    pub scratch: Vec<u64>,
    /// The dispatches in order.
    pub dispatches: Vec<Dispatch>,
    /// What was to be done and by which method it is, where there are several.
    pub choice: Option<(Problem, Method)>,
}

/// Layouts around one op while it is lowered.
#[derive(Debug)]
pub struct Io<'a> {
    /// Of the inputs.
    pub inputs: &'a [Layout],
    /// Of the outputs: the main one, then those of [`Op::side_outputs`].
    pub outputs: &'a [Layout],
}

impl Io<'_> {
    /// The main output's layout.
    pub fn output(&self) -> &Layout {
        &self.outputs[0]
    }
}

/// What is usually fast on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceClass {
    /// GPUs that can give a thread more than a hundred registers: AMD's, and NVIDIA's.
    ManyRegisters,
    /// Any other GPU.
    Portable,
    /// A processor.
    Software,
}

impl DeviceClass {
    const AMD: u32 = 0x1002;
    const NVIDIA: u32 = 0x10DE;

    fn of(adapter: &AdapterSummary) -> Self {
        match adapter.vendor {
            _ if adapter.is_software() => Self::Software,
            Self::AMD | Self::NVIDIA => Self::ManyRegisters,
            _ => Self::Portable,
        }
    }
}

/// In what numbers the large operands of convolutions are stored. Sums, and everything else, are f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// Half precision for what Winograd's products read: transformed weights, and transformed activations in the
    /// forward direction. Gradients are of unknown size and stay f32, and so does every convolution that another
    /// method does. Needs no feature of the device.
    F16,
}

impl Precision {
    /// All precisions with their names.
    pub const ALL: [(&'static str, Self); 2] = [("f32", Self::F32), ("f16", Self::F16)];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, it)| *it == self).map_or("", |(name, _)| name)
    }
}

/// What lowering must know of the device, and of what was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Capabilities {
    /// Largest storage binding in bytes.
    pub max_binding_bytes: u64,
    /// Smallest and largest subgroup, where subgroups can be used.
    pub subgroups: Option<(u32, u32)>,
    /// What is usually fast.
    pub class: DeviceClass,
    /// Which methods may be taken.
    pub request: MethodRequest,
    /// The methods that were measured to be the fastest.
    pub methods: Arc<MethodTable>,
    /// Whether to take time rather than memory: transformed weights are made anew before each use, workspaces are
    /// small, and the method for an op is the usual one, whatever was measured.
    pub low_memory: bool,
    /// How the large operands of convolutions are stored.
    pub precision: Precision,
}

impl Capabilities {
    /// Largest binding in bytes for which every index, and every sum of two indices, fits into 32 bits.
    const COUNTABLE_BYTES: u64 = 2 << 30;

    /// A device with WebGPU's default limits and no optional feature: bindings of 128 MiB, no subgroups, any GPU, with
    /// the usual methods.
    pub fn webgpu() -> Self {
        Self {
            max_binding_bytes: 128 << 20,
            subgroups: None,
            class: DeviceClass::Portable,
            request: MethodRequest::Auto,
            methods: Arc::default(),
            low_memory: false,
            precision: Precision::F32,
        }
    }

    /// What an adapter can do.
    pub fn of(adapter: &AdapterSummary) -> Self {
        Self {
            // Kernels count elements in 32 bits; Metal would bind more than they can count.
            max_binding_bytes: adapter.max_binding_bytes.min(Self::COUNTABLE_BYTES),
            subgroups: adapter.subgroups,
            class: DeviceClass::of(adapter),
            ..Self::webgpu()
        }
    }

    /// Whether `kernel` is right on this device.
    pub fn allows(&self, kernel: &Kernel) -> bool {
        match (kernel.subgroup, self.subgroups) {
            (None, _) => true,
            (Some((smallest, largest)), Some((min, max))) => min >= smallest && max <= largest,
            (Some(_), None) => false,
        }
    }
}

/// Where the input of a backward op comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// The gradient with respect to the forward op's output.
    Upstream,
    /// The forward op's input of this number.
    Input(usize),
    /// The forward op's output of this number; number 0 is the main one.
    Output(usize),
}

/// A backward rule: what the gradient with respect to one input is.
#[derive(Debug)]
pub enum Rule {
    /// What an op makes.
    Op {
        /// The op.
        op: Arc<dyn Op>,
        /// Its inputs.
        inputs: Vec<Wire>,
    },
    /// The gradient with respect to the output, as it is.
    Upstream,
}

impl Rule {
    /// What `op` makes of `inputs`.
    pub fn new(op: impl Op, inputs: impl Into<Vec<Wire>>) -> Self {
        Self::Op { op: Arc::new(op), inputs: inputs.into() }
    }
}

/// An operation on tensors.
pub trait Op: fmt::Debug + Any + Send + Sync {
    /// Its name in plans, such as `conv` or `gram_backward`.
    fn name(&self) -> &'static str;

    /// The main output's shape.
    ///
    /// # Errors
    /// [`Error::Shape`] where the inputs do not fit.
    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape>;

    /// Shapes of what it makes beside the main output, such as a ReLU's mask. No gradient flows through these.
    fn side_outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        let _ = inputs;
        Vec::new()
    }

    /// How to compute the gradient with respect to `input`; `None` where none flows there, or the op was not recorded
    /// for it.
    fn backward(&self, input: usize, shapes: &[Shape]) -> Option<Rule> {
        let _ = (input, shapes);
        None
    }

    /// The op that does this and then `next`, which reads this op's output as its input `slot`. The merged
    /// op reads this op's inputs, then the others of `next` in order. `None` where there is no such op.
    fn fuse(&self, next: &dyn Op, slot: usize) -> Option<Arc<dyn Op>> {
        let _ = (next, slot);
        None
    }

    /// The same from the other side: the op that does `previous` and then this one, which reads the output of
    /// `previous` as its input `slot`. For pairs of which only this op knows the other; asked where
    /// [`Op::fuse`] of `previous` answers `None`.
    fn fuse_after(&self, previous: &dyn Op, slot: usize) -> Option<Arc<dyn Op>> {
        let _ = (previous, slot);
        None
    }

    /// The op that makes the main output once more from the same inputs, to the same bits and without the side
    /// outputs, where that is cheaper than to keep it. `None` elsewhere.
    fn repeat(&self, inputs: &[Shape]) -> Option<Arc<dyn Op>> {
        let _ = inputs;
        None
    }

    /// The input whose memory the main output takes over.
    fn in_place(&self) -> Option<usize> {
        None
    }

    /// The dispatches.
    ///
    /// # Errors
    /// [`Error::Memory`] where a limit is too small.
    fn lower(&self, io: &Io<'_>, capabilities: &Capabilities) -> Result<Lowered>;
}

impl dyn Op {
    /// This op as a `T`, if it is one.
    pub fn downcast<T: Op>(&self) -> Option<&T> {
        let any: &dyn Any = self;
        any.downcast_ref()
    }
}

/// An [`Error::Shape`] for `op` unless `fits`.
pub(crate) fn expect_shapes(op: &'static str, fits: bool, rule: &str, inputs: &[Shape]) -> Result<()> {
    if fits { Ok(()) } else { Err(unfit_shapes(op, rule, inputs)) }
}

/// The [`Error::Shape`] of `op` for `inputs` that do not keep to its `rule`.
pub(crate) fn unfit_shapes(op: &'static str, rule: &str, inputs: &[Shape]) -> Error {
    let found = inputs.iter().map(Shape::to_string).collect::<Vec<_>>().join(", ");
    Error::Shape { op, expected: rule.to_owned(), found }
}

/// Kernels whose threads each handle one element: one dispatch a piece of the output.
pub(crate) fn elementwise<P: crate::gpu::Params>(
    kernel: &'static Kernel,
    layout: &Layout,
    flops_per_element: u64,
    params: impl Fn(usize) -> P,
    operands: impl Fn(usize) -> Vec<Operand>,
) -> Vec<Dispatch> {
    piecewise(kernel, layout, flops_per_element, Shape::elements, params, operands)
}

/// One dispatch a piece of `layout`, with as many threads as `threads` says for the piece's shape.
pub(crate) fn piecewise<P: crate::gpu::Params>(
    kernel: &'static Kernel,
    layout: &Layout,
    flops_per_element: u64,
    threads: impl Fn(Shape) -> u64,
    params: impl Fn(usize) -> P,
    operands: impl Fn(usize) -> Vec<Operand>,
) -> Vec<Dispatch> {
    (0..layout.pieces.len())
        .map(|piece| {
            let shape = layout.piece_shape(piece);
            let groups = threads(shape).div_ceil(u64::from(kernel.workgroup)) as u32;
            Dispatch::new(
                kernel,
                params(piece),
                operands(piece),
                groups,
                flops_per_element * shape.elements(),
            )
        })
        .collect()
}
