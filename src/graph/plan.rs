//! Assigns every tensor a place from its lifetime, and cuts dispatches into slices.

use std::collections::{BTreeSet, HashMap};

use super::program::{External, Place, PlannedDispatch, Program, Resource};
use super::tape::{Kind, Node, Origin, Phase, Role, Tape, TensorId};
use crate::error::{Error, Remedy, Result};
use crate::gpu::{Access, Gpu, Slice};
use crate::ops::{Capabilities, Form, Io, Layout, Operand, Shape};

/// What bounds a plan.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Which kernels may be taken, and how large a binding may be.
    pub capabilities: Capabilities,
    /// Largest buffer in bytes.
    pub max_buffer_bytes: u64,
    /// Memory that a whole transfer may take, where it is known.
    pub memory_bytes: Option<u64>,
    /// Alignment of a binding's offset in bytes.
    pub alignment: u64,
    /// Alignment of a uniform block's offset in bytes.
    pub uniform_alignment: u64,
    /// Largest work of one slice: see [`Slice::work`].
    pub slice_work: u64,
    /// Whether the device has timestamps. Reading them takes some memory.
    pub timestamps: bool,
    /// Bytes of the arenas that are there already, for programs that run at other times, the largest first: what lies
    /// within them takes no memory.
    pub arenas: Vec<u64>,
}

impl Limits {
    /// Bounds for a device with WebGPU's default limits and no optional feature: [`Capabilities::webgpu`], buffers of
    /// 256 MiB, offsets aligned to 256 bytes, no bound on memory, one slice for each dispatch, no timestamps.
    pub fn webgpu() -> Self {
        Self {
            capabilities: Capabilities::webgpu(),
            max_buffer_bytes: 256 << 20,
            memory_bytes: None,
            alignment: 256,
            uniform_alignment: 256,
            slice_work: u64::MAX,
            timestamps: false,
            arenas: Vec::new(),
        }
    }

    /// What bounds a plan on this device, in slices of at most `slice_work`.
    pub fn of(gpu: &Gpu, slice_work: u64) -> Self {
        let limits = gpu.limits();
        Self {
            capabilities: Capabilities::of(gpu.summary()),
            max_buffer_bytes: limits.max_buffer_size,
            memory_bytes: None,
            // Whole cache lines, also where the device would take less.
            alignment: u64::from(limits.min_storage_buffer_offset_alignment).max(256),
            uniform_alignment: u64::from(limits.min_uniform_buffer_offset_alignment),
            slice_work,
            timestamps: gpu.has_timestamps(),
            arenas: Vec::new(),
        }
    }
}

/// Work of moving one byte, in FLOP. A dispatch that mostly moves data is sliced by its bytes: on the adapters that
/// need slices, moving a byte takes about as long as ten operations.
const WORK_PER_BYTE: u64 = 10;

/// Plans a tape: lowers every node, finds lifetimes, places tensors, cuts slices.
///
/// # Errors
/// [`Error::Memory`] where a single tensor is too large for the device; [`Error::Shape`] where a node
/// overwrites a tensor that is still needed.
pub fn plan(tape: &Tape, limits: &Limits) -> Result<Program> {
    let mut planner = Planner::new(tape, limits)?;
    for (index, node) in tape.nodes.iter().enumerate() {
        planner.lower(index, node)?;
    }
    planner.finish()
}

/// What a resource holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    Piece(TensorId, usize, Form),
    Scratch { node: usize, index: usize },
    Unused,
}

struct Planner<'a> {
    tape: &'a Tape,
    limits: &'a Limits,
    layouts: Vec<Layout>,
    /// The tensor whose memory a tensor lives in: itself, unless an op works in place.
    storage: Vec<TensorId>,
    kinds: Vec<Kind>,
    indices: HashMap<Key, usize>,
    program: Program,
}

impl<'a> Planner<'a> {
    fn new(tape: &'a Tape, limits: &'a Limits) -> Result<Self> {
        let layout = |tensor: &super::tape::Tensor| match tensor.origin {
            Origin::External { role: Role::Weights, .. } => Ok(Layout::whole(tensor.shape)),
            _ => Layout::new(tensor.shape, limits.capabilities.max_binding_bytes),
        };
        let layouts = tape.tensors.iter().map(layout).collect::<Result<Vec<_>>>()?;
        let mut storage: Vec<TensorId> = (0..tape.tensors.len()).map(TensorId).collect();
        let mut kinds = vec![Kind::Activation; tape.tensors.len()];
        for (index, node) in tape.nodes.iter().enumerate() {
            for output in &node.outputs {
                kinds[output.0] = node.kind;
            }
            if let Some(overwritten) = node.op.in_place() {
                let overwritten = node.inputs[overwritten];
                let external = matches!(tape.tensors[overwritten.0].origin, Origin::External { .. });
                let read_later =
                    tape.nodes[index + 1..].iter().any(|later| later.inputs.contains(&overwritten))
                        || tape.kept.contains(&overwritten);
                // One dispatch may not bind a buffer both to read and to write.
                let read_beside = node.inputs.iter().filter(|input| **input == overwritten).count() > 1;
                if read_beside || (read_later && !external) {
                    return Err(Error::Shape {
                        op: node.op.name(),
                        expected: "an input in place that no other node reads now or later".into(),
                        found: format!("one that is, at {}", node.layer),
                    });
                }
                storage[node.output().0] = storage[overwritten.0];
            }
        }
        Ok(Self {
            tape,
            limits,
            layouts,
            storage,
            kinds,
            indices: HashMap::new(),
            program: Program::default(),
        })
    }

    fn lower(&mut self, index: usize, node: &Node) -> Result<()> {
        let inputs: Vec<Layout> = node.inputs.iter().map(|input| self.layouts[input.0].clone()).collect();
        let outputs: Vec<Layout> = node.outputs.iter().map(|output| self.layouts[output.0].clone()).collect();
        let lowered = node.op.lower(&Io { inputs: &inputs, outputs: &outputs }, &self.limits.capabilities)?;
        let shapes: Vec<Shape> = inputs.iter().map(|layout| layout.shape).collect();
        for dispatch in lowered.dispatches {
            let at = self.program.dispatches.len();
            let mut bindings = Vec::with_capacity(dispatch.operands.len());
            for operand in &dispatch.operands {
                let resource = match *operand {
                    Operand::Input { index, piece, form } => {
                        self.piece(node.inputs[index], piece, form, at)?
                    }
                    Operand::Output { index, piece } => {
                        self.piece(node.outputs[index], piece, Form::PLAIN, at)?
                    }
                    Operand::Scratch { index: scratch } => {
                        let shape = Shape::row(lowered.scratch[scratch] as u32);
                        self.resource(
                            Key::Scratch { node: index, index: scratch },
                            shape,
                            Some(Kind::Scratch),
                            at,
                        )
                    }
                    Operand::Unused => self.resource(Key::Unused, Shape::SCALAR, None, at),
                };
                bindings.push(resource);
            }
            let bytes = bindings.iter().map(|resource| self.program.resources[*resource].bytes).sum();
            let writes = |binding: &crate::gpu::Binding| binding.access == Access::ReadWrite;
            let written = dispatch.kernel.bindings.iter().position(writes).unwrap_or(0);
            let made = match dispatch.operands.get(written) {
                Some(Operand::Output { index, .. }) => *index,
                _ => 0,
            };
            self.program.dispatches.push(PlannedDispatch {
                kernel: dispatch.kernel,
                op: node.op.name(),
                layer: node.layer.clone(),
                choice: lowered.choice,
                inputs: shapes.clone(),
                output: outputs[made].shape,
                params: dispatch.params,
                bindings,
                written,
                workgroups: dispatch.workgroups,
                flops: dispatch.flops,
                bytes,
            });
        }
        if node.phase == Phase::Forward {
            self.program.forward = self.program.dispatches.len();
        }
        if node.phase != Phase::Update {
            self.program.update = self.program.dispatches.len();
        }
        Ok(())
    }

    /// The resource of a tensor's piece, touched by dispatch `at`.
    fn piece(&mut self, tensor: TensorId, piece: usize, form: Form, at: usize) -> Result<usize> {
        let storage = self.storage[tensor.0];
        let key = Key::Piece(storage, piece, form);
        let shape = self.layouts[storage.0].piece_shape(piece);
        let Origin::External { name, role } = &self.tape.tensors[storage.0].origin else {
            return Ok(self.resource(key, shape, Some(self.kinds[storage.0]), at));
        };
        let index = self.resource(key, shape, None, at);
        if self.program.resources[index].place == Place::Unused {
            let whole = self.layouts[storage.0].shape;
            // Arranged tensors are in one piece, and may be padded.
            let bytes = if form == Form::PLAIN { shape.bytes() } else { 4 * (form.words)(whole) };
            if bytes > self.limits.capabilities.max_binding_bytes {
                return Err(Error::Memory {
                    what: name.clone(),
                    needed: bytes,
                    available: self.limits.capabilities.max_binding_bytes,
                    remedy: "use an adapter with larger bindings".into(),
                });
            }
            let external = External { name: name.clone(), piece, form, shape: whole, bytes, role: *role };
            self.program.resources[index].bytes = bytes;
            self.program.resources[index].place = Place::External(self.program.externals.len());
            self.program.externals.push(external);
        }
        Ok(index)
    }

    fn resource(&mut self, key: Key, shape: Shape, kind: Option<Kind>, at: usize) -> usize {
        let resources = &mut self.program.resources;
        let index = *self.indices.entry(key).or_insert_with(|| {
            resources.push(Resource {
                bytes: shape.bytes(),
                kind,
                place: Place::Unused,
                live: [at, at],
                shape,
            });
            resources.len() - 1
        });
        resources[index].live[1] = at;
        index
    }

    fn finish(mut self) -> Result<Program> {
        let end = self.program.dispatches.len().saturating_sub(1);
        for kept in self.tape.kept.clone() {
            let pieces = 0..self.layouts[kept.0].pieces.len();
            let resources =
                pieces.map(|piece| self.piece(kept, piece, Form::PLAIN, end)).collect::<Result<Vec<_>>>()?;
            self.program.kept.push(resources);
        }
        place(&mut self.program, self.limits)?;
        slice(&mut self.program, self.limits);
        Ok(self.program)
    }
}

/// Times that a placement is tried anew, with what had no room before those that it had none beside.
const ATTEMPTS: usize = 8;

/// Places every resource in several ways, and keeps the placement that takes the least memory beside the arenas that are
/// there. One way avoids the conflicts of each dispatch. Another also keeps the inputs of an op apart from its outputs, even
/// if no dispatch binds both: an op that packs large tensors into one arena leaves no room there for those of the next op.
/// What has no room in the arenas that are there is placed first in the next attempt.
fn place(program: &mut Program, limits: &Limits) -> Result<()> {
    let ops = program.dispatches.chunk_by(|a, b| (a.op, &a.layer) == (b.op, &b.layer));
    let conflicts = find_conflicts(program, program.dispatches.chunks(1));
    let mut wider_conflicts = conflicts.clone();
    let tensor = |index: &usize| program.resources[*index].kind != Some(Kind::Scratch);
    for (index, others) in find_conflicts(program, ops).iter().enumerate().filter(|(index, _)| tensor(index))
    {
        wider_conflicts[index].extend(others.iter().filter(|other| tensor(other)));
    }
    // The largest first, as those that are there: programs share them so.
    let growth = |program: &Program| {
        let mut arenas = program.arenas.clone();
        arenas.sort_unstable_by_key(|bytes| std::cmp::Reverse(*bytes));
        let there = limits.arenas.iter().copied().chain(std::iter::repeat(0));
        let beyond: u64 = arenas.iter().zip(there).map(|(bytes, there)| bytes.saturating_sub(there)).sum();
        (beyond, arenas.iter().sum::<u64>())
    };
    let mut by_size: Vec<usize> =
        (0..program.resources.len()).filter(|index| program.resources[*index].kind.is_some()).collect();
    by_size.sort_by_key(|index| (std::cmp::Reverse(program.resources[*index].bytes), *index));
    let mut placements = Vec::new();
    for conflicts in [conflicts, wider_conflicts] {
        let mut order = by_size.clone();
        for _ in 0..ATTEMPTS {
            let (placed, without_room) = match place_apart(program, &conflicts, &order, limits) {
                Ok(placement) => placement,
                Err(error) if placements.is_empty() => return Err(error),
                Err(_) => break,
            };
            placements.push(placed);
            if limits.arenas.is_empty() || without_room.is_empty() {
                break;
            }
            order.sort_by_key(|index| !without_room.contains(index));
        }
    }
    if let Some(least) = placements.into_iter().min_by_key(growth) {
        *program = least;
    }
    Ok(())
}

/// `program` with an arena and an offset for every computed resource, in this order: each at the lowest offset of the arena
/// that grows least beyond the bytes that are there, and of those the one of which the program then takes the least more. A
/// dispatch may not bind one buffer both to read and to write, so resources in conflict lie in different arenas. Returned with
/// those that had no room.
fn place_apart(
    program: &Program,
    conflicts: &[Vec<usize>],
    order: &[usize],
    limits: &Limits,
) -> Result<(Program, BTreeSet<usize>)> {
    let mut program = Program { arenas: vec![0; limits.arenas.len()], ..program.clone() };
    let mut arenas: Vec<Vec<usize>> = vec![Vec::new(); limits.arenas.len()];
    let mut without_room = BTreeSet::new();
    for index in order.iter().copied() {
        let resource = &program.resources[index];
        if resource.bytes > limits.max_buffer_bytes {
            return Err(Error::Memory {
                what: format!("a tensor {}", resource.shape),
                needed: resource.bytes,
                available: limits.max_buffer_bytes,
                remedy: Remedy::SmallerSize(None),
            });
        }
        let candidates = arenas.iter().enumerate().filter_map(|(arena, members)| {
            if members.iter().any(|member| conflicts[index].contains(member)) {
                return None;
            }
            let offset = lowest_offset(&program, members, index, limits.alignment);
            let size = (offset + resource.bytes).max(program.arenas[arena]);
            let growth = size - program.arenas[arena];
            let there = limits.arenas.get(arena).copied().unwrap_or(0);
            let growth_beyond = size.saturating_sub(program.arenas[arena].max(there));
            (size <= limits.max_buffer_bytes).then_some((growth_beyond, growth, arena, offset))
        });
        // A new arena costs the whole resource; it is taken where no other does.
        let (growth_beyond, arena, offset) = match candidates.min() {
            Some((growth_beyond, _, arena, offset)) => (growth_beyond, arena, offset),
            None => {
                arenas.push(Vec::new());
                program.arenas.push(0);
                (resource.bytes, arenas.len() - 1, 0)
            }
        };
        if growth_beyond > 0 {
            without_room.insert(index);
        }
        arenas[arena].push(index);
        let end = (offset + program.resources[index].bytes).next_multiple_of(limits.alignment);
        program.arenas[arena] = program.arenas[arena].max(end.min(limits.max_buffer_bytes));
        program.resources[index].place = Place::Arena { arena, offset };
    }
    // Arenas that were there and in which nothing lies are none of the program's.
    let used: Vec<usize> = (0..arenas.len()).filter(|arena| !arenas[*arena].is_empty()).collect();
    program.arenas = used.iter().map(|arena| program.arenas[*arena]).collect();
    for (number, arena) in used.into_iter().enumerate() {
        for index in &arenas[arena] {
            if let Place::Arena { arena, .. } = &mut program.resources[*index].place {
                *arena = number;
            }
        }
    }
    Ok((program, without_room))
}

/// For each resource those that may not share its buffer, because a group of dispatches reads one and writes the other.
fn find_conflicts<'a>(
    program: &Program,
    groups: impl Iterator<Item = &'a [PlannedDispatch]>,
) -> Vec<Vec<usize>> {
    let mut conflicts = vec![Vec::new(); program.resources.len()];
    for group in groups {
        let bound = |access: Access| {
            let pairs =
                group.iter().flat_map(|dispatch| dispatch.bindings.iter().zip(dispatch.kernel.bindings));
            let bound = pairs.filter(move |(_, binding)| binding.access == access);
            bound.map(|(resource, _)| *resource).collect::<BTreeSet<usize>>()
        };
        let (read, written) = (bound(Access::Read), bound(Access::ReadWrite));
        for a in &read {
            for b in written.iter().filter(|b| *b != a) {
                conflicts[*a].push(*b);
                conflicts[*b].push(*a);
            }
        }
    }
    // A pair can conflict in many dispatches.
    for others in &mut conflicts {
        others.sort_unstable();
        others.dedup();
    }
    conflicts
}

/// The lowest aligned offset at which `index` overlaps no member that lives at the same time.
fn lowest_offset(program: &Program, members: &[usize], index: usize, alignment: u64) -> u64 {
    let resource = &program.resources[index];
    let mut taken: Vec<(u64, u64)> = members
        .iter()
        .map(|member| &program.resources[*member])
        .filter(|other| other.live[0] <= resource.live[1] && resource.live[0] <= other.live[1])
        .filter_map(|other| match other.place {
            Place::Arena { offset, .. } => Some((offset, offset + other.bytes)),
            _ => None,
        })
        .collect();
    taken.sort_unstable();
    let mut offset = 0;
    for (start, end) in taken {
        if offset + resource.bytes <= start {
            break;
        }
        offset = offset.max(end.next_multiple_of(alignment));
    }
    offset
}

/// Cuts every dispatch into slices of at most `slice_work`, but of one workgroup at least.
fn slice(program: &mut Program, limits: &Limits) {
    for (index, dispatch) in program.dispatches.iter().enumerate() {
        let work = dispatch.flops.max(WORK_PER_BYTE * dispatch.bytes);
        let groups = u64::from(dispatch.workgroups.max(1));
        let step = (limits.slice_work.saturating_mul(groups) / work.max(1)).clamp(1, groups) as u32;
        let mut first = 0;
        while first < dispatch.workgroups {
            let end = dispatch.workgroups.min(first + step);
            // In 128 bits: a convolution of a large picture has 10¹² FLOP in 10⁷ workgroups.
            let share = (u128::from(work) * u128::from(end - first) / u128::from(groups)) as u64;
            program.slices.push(Slice { dispatch: index as u32, first, end, work: share });
            first = end;
        }
    }
    let blocks: u64 = program
        .dispatches
        .iter()
        .map(|d| d.kernel.params_bytes().next_multiple_of(limits.uniform_alignment))
        .sum();
    program.uniform_bytes = blocks + program.slices.len() as u64 * slice_stride(limits.uniform_alignment);
}

/// Distance in bytes between two entries of the slice table.
pub(super) fn slice_stride(uniform_alignment: u64) -> u64 {
    16_u64.next_multiple_of(uniform_alignment)
}
