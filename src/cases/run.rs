//! Runs a case on a device as the library would, on poisoned outputs and between sentinels: for tests, benchmarks
//! and `impasto doctor` alike.

use std::ops::Range;
use std::sync::Arc;

use super::case::Case;
use super::tolerance::Tolerance;
use crate::error::{Error, Result};
use crate::gpu::{Gpu, Pipelines, Readback};
use crate::graph::{Executable, External, Externals, Limits, Place, Program, Role, fuse, plan};
use crate::ops::conv::methods::{WINOGRAD_SUBGROUP, WINOGRAD_TILE, WINOGRAD_TILE8};
use crate::ops::{Form, Layout, MethodRequest, Precision, Shape, VARIANTS, nearest};

/// What arenas hold before a program runs: a NaN that no computation makes.
pub const POISON: u32 = 0x7FC0_5EED;

/// What lies behind the inputs: another one, so that a kernel which copies it is found.
pub const POISON_BEHIND: u32 = 0x7FC0_BAD1;

/// Poisoned bytes that a kernel could reach behind each of its bindings.
pub const GUARD: u64 = 4096;

const USAGE: wgpu::BufferUsages =
    wgpu::BufferUsages::STORAGE.union(wgpu::BufferUsages::COPY_SRC).union(wgpu::BufferUsages::COPY_DST);

/// By which kernels a case is run.
#[derive(Clone, Copy, Debug, Default)]
pub struct KernelSelection {
    /// Which methods may do what can be done by several.
    pub request: MethodRequest,
    /// Without any optional feature of the device.
    pub portable: bool,
    /// With small workspaces, and weights that are transformed before each use.
    pub low_memory: bool,
    /// How the large operands of convolutions are stored.
    pub precision: Precision,
}

impl KernelSelection {
    /// Every selection that makes a difference somewhere: a method that cannot do a case, or not on this device, leaves
    /// it to the usual one.
    pub fn all() -> Vec<Self> {
        let usual = Self::default();
        let by = |method| Self { request: MethodRequest::Method(method), ..usual };
        let methods = VARIANTS.iter().flat_map(|variants| variants.methods).map(|method| by(*method));
        let low_memory = Self { low_memory: true, ..by(WINOGRAD_TILE) };
        let half = [WINOGRAD_TILE8, WINOGRAD_TILE, WINOGRAD_SUBGROUP, nearest::TILE, nearest::SUBGROUP];
        let half = half.map(by).into_iter().chain([low_memory]);
        let half = half.map(|selection| Self { precision: Precision::F16, ..selection });
        [usual, Self { portable: true, ..usual }, low_memory].into_iter().chain(methods).chain(half).collect()
    }

    /// How far from the twin a case may be that these kernels run.
    pub fn tolerance(self, case: &Case) -> Tolerance {
        match self.precision {
            Precision::F32 => case.tolerance,
            Precision::F16 => case.tolerance_in_half(),
        }
    }
}

/// How a case is run.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunOptions {
    /// By which kernels.
    pub kernels: KernelSelection,
    /// Largest binding in bytes; small ones force several pieces.
    pub max_binding_bytes: Option<u64>,
    /// Whether dispatches are cut into several slices, each in a pass of its own.
    pub slices: bool,
    /// Whether neighbouring ops are merged first.
    pub fuse: bool,
    /// Whether every binding reaches into a guard region behind it. Tensors then lie apart; without guards they
    /// lie where the plan puts them.
    pub guards: bool,
}

/// A case's program, and how it is to be run.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The program.
    pub program: Program,
    /// What it was planned by.
    pub limits: Limits,
    /// Whether each slice is a pass of its own.
    pub passes: bool,
    /// See [`RunOptions::guards`].
    pub guards: bool,
}

impl Planned {
    /// Plans a case for a device.
    ///
    /// # Errors
    /// [`Error::Memory`] where a limit is too small for it.
    pub fn new(gpu: &Gpu, case: &Case, options: &RunOptions) -> Result<Self> {
        let mut limits = Limits::of(gpu, u64::MAX);
        // As tight as the device takes it, so that neighbours lie close.
        limits.alignment = gpu.limits().min_storage_buffer_offset_alignment.into();
        Self::within(limits, case, options)
    }

    /// Plans a case within the limits of a device that need not be there.
    ///
    /// # Errors
    /// [`Error::Memory`] where a limit is too small for it.
    pub fn within(limits: Limits, case: &Case, options: &RunOptions) -> Result<Self> {
        let tape = case.record()?.tape;
        let tape = if options.fuse { fuse(&tape) } else { tape };
        let mut limits = narrowed(limits, options);
        let mut program = plan(&tape, &limits)?;
        if options.slices {
            // The smallest dispatch in three slices or more, but no dispatch in more than about 300.
            let work = || program.slices.iter().map(|slice| slice.work);
            let parallel = program.slices.iter().filter(|slice| slice.end > 1).map(|slice| slice.work);
            let least = parallel.min().unwrap_or(1) / 3;
            limits.slice_work = least.max(work().max().unwrap_or(1) / 300);
            program = plan(&tape, &limits)?;
        }
        Ok(Self { program, limits, passes: options.slices, guards: options.guards })
    }

    /// Names of the kernels that the program runs, each once where it follows itself, in order.
    pub fn kernels(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.program.dispatches.iter().map(|dispatch| dispatch.kernel.name).collect();
        names.dedup();
        names
    }
}

/// The limits of a device under `options`.
fn narrowed(mut limits: Limits, options: &RunOptions) -> Limits {
    let KernelSelection { request, portable, low_memory, precision } = options.kernels;
    limits.capabilities.request = request;
    limits.capabilities.low_memory = low_memory;
    limits.capabilities.precision = precision;
    if portable {
        limits.capabilities.subgroups = None;
    }
    if let Some(bytes) = options.max_binding_bytes {
        limits.capabilities.max_binding_bytes = bytes;
    }
    limits
}

/// What a run left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The bits of the last step's main output.
    pub output: Vec<u32>,
    /// The words of its side outputs.
    pub sides: Vec<Vec<u32>>,
    /// The bits of every input.
    pub inputs: Vec<Vec<u32>>,
    /// Sentinels that were overwritten, in words.
    pub overruns: Vec<String>,
}

/// Runs a case on `values`, the bits of its inputs, as often as it says.
///
/// # Errors
/// [`Error::Memory`] and [`Error::Gpu`] from the device, with the driver's own text.
pub async fn run(
    gpu: &Gpu,
    pipelines: &Pipelines,
    case: &Case,
    values: &[Vec<u32>],
    planned: Planned,
) -> Result<Run> {
    let prepared = Prepared::new(gpu, pipelines, values, planned).await?;
    for _ in 0..case.repeats {
        prepared.submit(gpu, &case.name).await?;
    }
    let run = prepared.read(gpu, values).await?;
    gpu.check(&format!("running {}", case.name))?;
    Ok(run)
}

/// A case on the device: inputs in place, everything else poisoned.
#[derive(Debug)]
pub struct Prepared {
    executable: Executable,
    /// Bytes that belong to each resource, without the guards behind them.
    owned: Vec<u64>,
    placed: Vec<Placed>,
    passes: bool,
}

/// A piece of an input on the device.
#[derive(Debug)]
struct Placed {
    input: usize,
    /// Its words within the input.
    range: Range<usize>,
    form: Form,
    /// What was written there, without the guard.
    given: Vec<u32>,
    buffer: Arc<wgpu::Buffer>,
}

impl Prepared {
    /// Allocates, compiles and uploads what a case needs to run.
    ///
    /// # Errors
    /// [`Error::Memory`] and [`Error::Gpu`] from the device.
    pub async fn new(
        gpu: &Gpu,
        pipelines: &Pipelines,
        values: &[Vec<u32>],
        planned: Planned,
    ) -> Result<Self> {
        let Planned { mut program, limits, passes, guards } = planned;
        let owned = program.resources.iter().map(|resource| resource.bytes).collect();
        let guard = if guards { GUARD } else { 0 };
        if guards {
            set_apart(&mut program, limits.alignment);
        }
        let mut externals = Externals::default();
        let mut placed = Vec::new();
        for external in &program.externals {
            let Given { input, range, words: given } = given(external, values, &limits)?;
            let mut words = given.clone();
            words.resize(words.len() + guard as usize / 4, POISON_BEHIND);
            let buffer = Arc::new(gpu.buffer(&external.name, 4 * words.len() as u64, USAGE).await?);
            gpu.write(&buffer, 0, bytemuck::cast_slice(&words)).await?;
            externals.insert(external, Arc::clone(&buffer));
            placed.push(Placed { input, range, form: external.form, given, buffer });
        }
        let executable = Executable::new(gpu, pipelines, program, externals).await?;
        for arena in executable.arenas() {
            let poison = vec![POISON; arena.size() as usize / 4];
            gpu.write(arena, 0, bytemuck::cast_slice(&poison)).await?;
        }
        Ok(Self { executable, owned, placed, passes })
    }

    /// The program with its buffers.
    pub fn executable(&self) -> &Executable {
        &self.executable
    }

    /// Runs the program once more; does not wait for it. `what` is the case's name.
    ///
    /// # Errors
    /// [`Error::Gpu`] where the device refuses it.
    pub async fn submit(&self, gpu: &Gpu, what: &str) -> Result<()> {
        let scope = gpu.device().push_error_scope(wgpu::ErrorFilter::Validation);
        let mut encoder = gpu.encoder("impasto");
        let slices = self.executable.program().slices.len();
        if self.passes {
            (0..slices).for_each(|slice| self.executable.record(&mut encoder, slice..slice + 1));
        } else {
            self.executable.record(&mut encoder, 0..slices);
        }
        gpu.queue().submit([encoder.finish()]);
        match scope.pop().await {
            Some(error) => Err(gpu.fault(&format!("running {what}"), error.to_string())),
            None => Ok(()),
        }
    }

    /// Waits, and reads what the runs so far left behind; `values` are what they began with.
    ///
    /// # Errors
    /// [`Error::Gpu`] where the device is lost.
    pub async fn read(&self, gpu: &Gpu, values: &[Vec<u32>]) -> Result<Run> {
        let mut run =
            Run { output: Vec::new(), sides: Vec::new(), inputs: values.to_vec(), overruns: Vec::new() };
        let program = self.executable.program();
        for (kept, resources) in program.kept.iter().enumerate() {
            let mut words = Vec::new();
            for ((buffer, offset, _), resource) in self.executable.kept(kept).into_iter().zip(resources) {
                words.extend(read(gpu, buffer, offset, self.owned[*resource]).await?);
            }
            if kept == 0 { run.output = words } else { run.sides.push(words) }
        }
        for Placed { input, range, form, given, buffer } in &self.placed {
            let words = read(gpu, buffer, 0, buffer.size()).await?;
            let (own, behind) = words.split_at(given.len());
            let place = format!("input {input} from {}", range.start);
            run.overruns.extend(damage(&place, behind, POISON_BEHIND));
            if *form == Form::PLAIN {
                run.inputs[*input][range.clone()].copy_from_slice(own);
            } else if own != given {
                run.overruns.push(format!("{place}: arranged weights were written to"));
            }
        }
        for (index, arena) in self.executable.arenas().iter().enumerate() {
            let mut words = read(gpu, arena, 0, arena.size()).await?;
            for (resource, bytes) in program.resources.iter().zip(&self.owned) {
                if let Place::Arena { arena, offset } = resource.place
                    && arena == index
                {
                    words[offset as usize / 4..][..*bytes as usize / 4].fill(POISON);
                }
            }
            run.overruns.extend(damage(&format!("arena {index}"), &words, POISON));
        }
        Ok(run)
    }
}

/// What an external buffer of a case's program begins with.
#[derive(Clone, Debug)]
pub struct Given {
    /// Of which input it is a piece.
    pub input: usize,
    /// The piece's words within the input.
    pub range: Range<usize>,
    /// The words in the buffer: those, or what they are arranged to.
    pub words: Vec<u32>,
}

/// What `external` begins with in a program that was planned within `limits`; `values` are the bits of the inputs.
///
/// # Errors
/// [`Error::Gpu`] where there is no input of its name.
pub fn given(external: &External, values: &[Vec<u32>], limits: &Limits) -> Result<Given> {
    let input = (0..values.len()).find(|index| Case::input_name(*index) == external.name);
    let input = input.ok_or_else(|| Error::Gpu {
        what: format!("running a case with the tensor {}", external.name),
        reason: "there are no values for it".into(),
        remedy: "give the case an input of that name".into(),
    })?;
    let limit = limits.capabilities.max_binding_bytes;
    let range = piece_words(external.shape, external.role, limit, external.piece)?;
    // Plain words need not be numbers.
    let words = if external.form == Form::PLAIN {
        values[input][range.clone()].to_vec()
    } else {
        let plain: Vec<f32> = values[input].iter().map(|bits| f32::from_bits(*bits)).collect();
        (external.form.arrange)(&plain, external.shape)
    };
    assert_eq!(4 * words.len() as u64, external.bytes, "bytes of {external:?}");
    Ok(Given { input, range, words })
}

/// Which words are not `poison` any more.
fn damage(place: &str, words: &[u32], poison: u32) -> Option<String> {
    let first = words.iter().position(|word| *word != poison)?;
    let count = words.iter().filter(|word| **word != poison).count();
    Some(format!(
        "{place}: {count} words overwritten where nothing lies, first word {first} of {}",
        words.len()
    ))
}

/// Gives every resource a place of its own with a guard behind it that its bindings reach.
pub fn set_apart(program: &mut Program, alignment: u64) {
    program.arenas.fill(0);
    for resource in &mut program.resources {
        match &mut resource.place {
            Place::Arena { arena, offset } => {
                *offset = program.arenas[*arena];
                resource.bytes += GUARD;
                program.arenas[*arena] = (*offset + resource.bytes).next_multiple_of(alignment);
            }
            Place::External(_) => resource.bytes += GUARD,
            Place::Unused => {}
        }
    }
}

/// The words of a piece within its tensor.
fn piece_words(shape: Shape, role: Role, limit: u64, piece: usize) -> Result<Range<usize>> {
    let layout = match role {
        Role::Weights => Layout::whole(shape),
        _ => Layout::new(shape, limit)?,
    };
    let plane = shape.plane() as usize;
    let channels = &layout.pieces[piece];
    Ok(channels.start as usize * plane..channels.end as usize * plane)
}

async fn read(gpu: &Gpu, buffer: &wgpu::Buffer, offset: u64, bytes: u64) -> Result<Vec<u32>> {
    let mut readback = Readback::new(gpu, bytes, 1).await?;
    let mut encoder = gpu.encoder("impasto");
    let ticket = readback.copy(&mut encoder, &[(buffer, offset, bytes)]);
    gpu.queue().submit([encoder.finish()]);
    Ok(bytemuck::pod_collect_to_vec(&readback.read(gpu, ticket).await?))
}
