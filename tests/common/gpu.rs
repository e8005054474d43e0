//! Runs a case on the GPU as the library would, between sentinels.

use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock};

use impasto::cases::Case;
use impasto::gpu::{Gpu, Pipelines, Readback};
use impasto::graph::{Executable, Externals, Limits, Place, Program, Role, fuse, plan};
use impasto::ops::conv::{self, Method};
use impasto::ops::{Form, KernelChoice, Layout, Precision, Shape};
use impasto::wgpu;

/// What arenas hold before a program runs: a NaN that no computation makes.
pub(crate) const POISON: u32 = 0x7FC0_5EED;

/// What lies behind the inputs: another one, so that a kernel which copies it is found.
const POISON_BEHIND: u32 = 0x7FC0_BAD1;

/// Poisoned bytes that a kernel could reach behind each of its bindings.
const GUARD: u64 = 4096;

/// The device of this test program.
pub(crate) struct Shared {
    pub(crate) gpu: Gpu,
    pub(crate) pipelines: Pipelines,
}

/// The one device that all tests of this program share.
pub(crate) fn shared_gpu() -> &'static Shared {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    SHARED.get_or_init(|| {
        let gpu = pollster::block_on(Gpu::open(None)).expect("a GPU, or a software Vulkan driver");
        let summary = gpu.summary();
        println!("running on {} ({}, {})", summary.name, summary.backend, summary.driver);
        Shared { gpu, pipelines: Pipelines::default() }
    })
}

/// By which kernels a case is run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Way {
    pub(crate) choice: KernelChoice,
    /// Without any optional feature of the device.
    pub(crate) portable: bool,
    pub(crate) low_memory: bool,
    pub(crate) precision: Precision,
}

/// All ways: a method that cannot do a case, or not on this device, leaves it to the usual one.
pub(crate) fn ways() -> Vec<Way> {
    let usual = Way::default();
    let methods = Method::ALL.map(|method| Way { choice: KernelChoice::Method(method), ..usual });
    let low_memory = Way { choice: KernelChoice::Method(Method::WinogradTile), low_memory: true, ..usual };
    let half = methods[..3].iter().chain([&low_memory]).map(|way| Way { precision: Precision::F16, ..*way });
    let half: Vec<Way> = half.collect();
    [usual, Way { portable: true, ..usual }, low_memory].into_iter().chain(methods).chain(half).collect()
}

/// How a case is run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    pub(crate) way: Way,
    /// Largest binding in bytes; small ones force several pieces.
    pub(crate) max_binding_bytes: Option<u64>,
    /// Whether dispatches are cut into several slices, each in a pass of its own.
    pub(crate) slices: bool,
    /// Whether neighbouring ops are merged first.
    pub(crate) fuse: bool,
    /// Whether every binding reaches into a guard region behind it. Tensors then lie apart; without guards they
    /// lie where the plan puts them.
    pub(crate) guards: bool,
}

/// What a run left behind.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    /// The bits of the last step's main output.
    pub(crate) output: Vec<u32>,
    /// The words of its side outputs.
    pub(crate) sides: Vec<Vec<u32>>,
    /// The bits of every input.
    pub(crate) inputs: Vec<Vec<u32>>,
    /// Sentinels that were overwritten, in words.
    pub(crate) overruns: Vec<String>,
}

/// The limits of the shared device under `options`.
pub(crate) fn limits(options: &Options) -> Limits {
    let gpu = &shared_gpu().gpu;
    let mut limits = Limits::of(gpu, u64::MAX);
    let Way { choice, portable, low_memory, precision } = options.way;
    limits.capabilities.choice = choice;
    limits.capabilities.low_memory = low_memory;
    limits.capabilities.precision = precision;
    if portable {
        limits.capabilities.subgroups = None;
    }
    if let Some(bytes) = options.max_binding_bytes {
        limits.capabilities.max_binding_bytes = bytes;
    }
    // As tight as the device takes it, so that neighbours lie close.
    limits.alignment = gpu.limits().min_storage_buffer_offset_alignment.into();
    limits
}

/// Plans a case for the shared device.
pub(crate) fn planned(case: &Case, options: &Options) -> Program {
    let tape = case.record().expect("the case records").tape;
    let tape = if options.fuse { fuse(&tape) } else { tape };
    let mut limits = limits(options);
    let whole = plan(&tape, &limits).expect("the case can be planned");
    if !options.slices {
        return whole;
    }
    // The smallest dispatch in three slices or more, but no dispatch in more than about 300.
    let work = || whole.slices.iter().map(|slice| slice.work);
    let parallel = whole.slices.iter().filter(|slice| slice.end > 1).map(|slice| slice.work);
    let least = parallel.min().unwrap_or(1) / 3;
    limits.slice_work = least.max(work().max().unwrap_or(1) / 300);
    plan(&tape, &limits).expect("the case can be planned in slices")
}

/// Runs a case: tape, plan, executable, submission, readback.
pub(crate) fn run(case: &Case, options: &Options) -> Run {
    // One at a time: a dispatch keeps the whole device busy anyway, and wgpu 30 panics now and then where one
    // thread waits while another submits (its pull request 9958).
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    pollster::block_on(run_async(case, options)).unwrap_or_else(|error| panic!("{}: {error}", case.name))
}

async fn run_async(case: &Case, options: &Options) -> impasto::Result<Run> {
    let Shared { gpu, pipelines } = shared_gpu();
    let mut program = planned(case, options);
    // The bytes that belong to each resource, before guards are put behind them.
    let owned: Vec<u64> = program.resources.iter().map(|resource| resource.bytes).collect();
    let guard = if options.guards { GUARD } else { 0 };
    if options.guards {
        set_apart(&mut program, limits(options).alignment);
    }

    let values = case.values();
    let limit = limits(options).capabilities.max_binding_bytes;
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
    let mut externals = Externals::default();
    let mut placed = Vec::new();
    for external in &program.externals {
        let index =
            (0..values.len()).find(|index| Case::input_name(*index) == external.name).expect("an input");
        let range = piece_words(external.shape, external.role, limit, external.piece);
        let mut words = match external.form {
            Form::Plain => values[index][range.clone()].to_vec(),
            form => {
                let plain: Vec<f32> = values[index].iter().map(|bits| f32::from_bits(*bits)).collect();
                conv::arrange(form, &plain, external.shape.h, external.shape.c)
            }
        };
        assert_eq!(
            4 * words.len() as u64,
            external.bytes,
            "bytes of {} as {:?}",
            external.name,
            external.form
        );
        let given = words.clone();
        words.resize(words.len() + guard as usize / 4, POISON_BEHIND);
        let buffer = Arc::new(gpu.buffer(&external.name, 4 * words.len() as u64, usage).await?);
        gpu.queue().write_buffer(&buffer, 0, bytemuck::cast_slice(&words));
        externals.insert(external, Arc::clone(&buffer));
        placed.push((index, range, external.form, given, buffer));
    }

    let executable = Executable::new(gpu, pipelines, program, externals).await?;
    for arena in executable.arenas() {
        gpu.queue().write_buffer(arena, 0, bytemuck::cast_slice(&vec![POISON; arena.size() as usize / 4]));
    }
    let slices = executable.program().slices.len();
    for _ in 0..case.repeats {
        let scope = gpu.device().push_error_scope(wgpu::ErrorFilter::Validation);
        let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        if options.slices {
            (0..slices).for_each(|slice| executable.record(&mut encoder, slice..slice + 1));
        } else {
            executable.record(&mut encoder, 0..slices);
        }
        gpu.queue().submit([encoder.finish()]);
        if let Some(error) = scope.pop().await {
            panic!("{}: {error}", case.name);
        }
    }

    let mut run = Run { output: Vec::new(), sides: Vec::new(), inputs: values, overruns: Vec::new() };
    let program = executable.program();
    let mut outputs = Vec::new();
    for (kept, resources) in program.kept.iter().enumerate() {
        let mut words = Vec::new();
        for ((buffer, offset, _), resource) in executable.kept(kept).into_iter().zip(resources) {
            words.extend(read(gpu, buffer, offset, owned[*resource]).await?);
        }
        outputs.push(words);
    }
    run.sides = outputs.split_off(1);
    run.output.append(&mut outputs[0]);
    for (index, range, form, given, buffer) in placed {
        let words = read(gpu, &buffer, 0, buffer.size()).await?;
        let (own, behind) = words.split_at(given.len());
        run.overruns.extend(damage(&format!("input {index} from {}", range.start), behind, POISON_BEHIND));
        match form {
            Form::Plain => run.inputs[index][range].copy_from_slice(own),
            _ => assert_eq!(own, given, "{}: arranged weights are never written", case.name),
        }
    }
    for (index, arena) in executable.arenas().iter().enumerate() {
        let mut words = read(gpu, arena, 0, arena.size()).await?;
        for (resource, bytes) in program.resources.iter().zip(&owned) {
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
fn set_apart(program: &mut Program, alignment: u64) {
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
fn piece_words(shape: Shape, role: Role, limit: u64, piece: usize) -> Range<usize> {
    let layout = match role {
        Role::Weights => Layout::whole(shape),
        _ => Layout::new(shape, limit).expect("planned before"),
    };
    let plane = shape.plane() as usize;
    let channels = &layout.pieces[piece];
    channels.start as usize * plane..channels.end as usize * plane
}

async fn read(gpu: &Gpu, buffer: &wgpu::Buffer, offset: u64, bytes: u64) -> impasto::Result<Vec<u32>> {
    let mut readback = Readback::new(gpu, bytes, 1).await?;
    let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    let ticket = readback.copy(&mut encoder, &[(buffer, offset, bytes)]);
    gpu.queue().submit([encoder.finish()]);
    let bytes = readback.read(gpu, ticket).await?;
    Ok(bytemuck::pod_collect_to_vec(&bytes))
}
