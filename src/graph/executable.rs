//! A program with its buffers and bind groups, ready to be replayed.

use std::collections::HashMap;
use std::sync::Arc;

use super::plan::slice_stride;
use super::program::{External, Place, Program, UNUSED_BYTES};
use crate::error::Result;
use crate::gpu::{Access, BoundDispatch, Gpu, Kernel, Lap, Pipeline, Pipelines, Recorder, Slice, Timer};

/// Seconds of work in one submission while a program is timed: far below the time after which a driver resets the
/// device, and long enough to keep the GPU's clock frequency high.
const SUBMISSION_SECONDS: f64 = 0.05;

/// The buffers of [`Program::externals`].
#[derive(Clone, Debug, Default)]
pub struct Externals(HashMap<(String, usize, crate::ops::Form), Arc<wgpu::Buffer>>);

impl Externals {
    /// Binds a buffer.
    pub fn insert(&mut self, external: &External, buffer: Arc<wgpu::Buffer>) {
        self.0.insert((external.name.clone(), external.piece, external.form), buffer);
    }

    /// The buffer of an external tensor's piece.
    pub fn get(&self, external: &External) -> Option<&Arc<wgpu::Buffer>> {
        self.0.get(&(external.name.clone(), external.piece, external.form))
    }

    /// Those of them that `program` takes from outside too.
    pub fn of(&self, program: &Program) -> Self {
        let mut shared = Self::default();
        for external in &program.externals {
            if let Some(buffer) = self.get(external) {
                shared.insert(external, Arc::clone(buffer));
            }
        }
        shared
    }

    /// Whether there is a buffer for an external tensor's piece that is large enough.
    pub fn hold(&self, external: &External) -> bool {
        self.get(external).is_some_and(|buffer| buffer.size() >= external.bytes)
    }

    /// Bytes of all buffers.
    pub fn allocated_bytes(&self) -> u64 {
        self.0.values().map(|buffer| buffer.size()).sum()
    }

    /// The buffers of a tensor's pieces, in order, as they are (not arranged).
    pub fn pieces(&self, name: &str) -> Vec<Arc<wgpu::Buffer>> {
        let key = |piece| (name.to_owned(), piece, crate::ops::Form::PLAIN);
        (0..).map_while(|piece| self.0.get(&key(piece)).cloned()).collect()
    }
}

/// The memory that computed tensors live in, shared by programs that never run at the same time.
#[derive(Clone, Debug)]
pub struct Arenas(Vec<wgpu::Buffer>);

impl Arenas {
    /// Bytes of each buffer that `programs` can share: the largest of one lies in the largest of another.
    pub fn planned_bytes<'a>(programs: impl IntoIterator<Item = &'a Program>) -> Vec<u64> {
        let mut shared: Vec<u64> = Vec::new();
        for program in programs {
            for (index, arena) in by_size(program).into_iter().enumerate() {
                let bytes = program.arenas[arena].max(4);
                match shared.get_mut(index) {
                    Some(size) => *size = bytes.max(*size),
                    None => shared.push(bytes),
                }
            }
        }
        shared
    }

    /// Memory for one of `programs` at a time.
    ///
    /// # Errors
    /// [`crate::Error::Memory`] and [`crate::Error::Gpu`] from the driver.
    pub async fn new<'a>(gpu: &Gpu, programs: impl IntoIterator<Item = &'a Program>) -> Result<Self> {
        let mut buffers = Vec::new();
        for (index, bytes) in Self::planned_bytes(programs).into_iter().enumerate() {
            buffers.push(gpu.buffer(&format!("impasto.arena.{index}"), bytes, STORAGE).await?);
        }
        Ok(Self(buffers))
    }

    /// Whether the arenas are large enough for `program`.
    pub fn hold(&self, program: &Program) -> bool {
        let wanted = Self::planned_bytes([program]);
        wanted.len() <= self.0.len()
            && wanted.iter().zip(&self.0).all(|(bytes, arena)| *bytes <= arena.size())
    }

    /// Bytes of all buffers.
    pub fn bytes(&self) -> u64 {
        self.0.iter().map(wgpu::Buffer::size).sum()
    }

    /// The buffers in the order of the program's arenas; `None` where they are too small.
    fn of(&self, program: &Program) -> Option<Vec<wgpu::Buffer>> {
        let mut arenas = vec![None; program.arenas.len()];
        for (buffer, arena) in self.0.iter().zip(by_size(program)) {
            arenas[arena] = Some(buffer.clone());
        }
        self.hold(program).then(|| arenas.into_iter().flatten().collect())
    }
}

/// The program's arenas, the largest first.
fn by_size(program: &Program) -> Vec<usize> {
    let mut order: Vec<usize> = (0..program.arenas.len()).collect();
    order.sort_by_key(|arena| (std::cmp::Reverse(program.arenas[*arena]), *arena));
    order
}

/// How computed tensors are used.
const STORAGE: wgpu::BufferUsages =
    wgpu::BufferUsages::STORAGE.union(wgpu::BufferUsages::COPY_SRC).union(wgpu::BufferUsages::COPY_DST);

/// A program on a device. Replaying it allocates, compiles and binds nothing new.
#[derive(Debug)]
pub struct Executable {
    program: Program,
    recorder: Recorder,
    arenas: Vec<wgpu::Buffer>,
    externals: Externals,
    own_bytes: u64,
}

impl Executable {
    /// Allocates the arenas, compiles the kernels, writes the uniforms and makes the bind groups. Every
    /// external of the program must be in `externals`. Submits nothing.
    ///
    /// # Errors
    /// [`crate::Error::Memory`] and [`crate::Error::Gpu`] from the driver.
    pub async fn new(
        gpu: &Gpu,
        pipelines: &Pipelines,
        program: Program,
        externals: Externals,
    ) -> Result<Self> {
        let arenas = Arenas::new(gpu, [&program]).await?;
        let mut executable = Self::sharing(gpu, pipelines, program, externals, &arenas).await?;
        executable.own_bytes += arenas.bytes();
        Ok(executable)
    }

    /// The same with arenas that other programs use, too, and that are not counted as its own. A run of another program
    /// overwrites their contents.
    ///
    /// # Errors
    /// [`crate::Error::Memory`] where the arenas are too small, and as [`Executable::new`].
    pub async fn sharing(
        gpu: &Gpu,
        pipelines: &Pipelines,
        program: Program,
        externals: Externals,
        shared: &Arenas,
    ) -> Result<Self> {
        let Some(arenas) = shared.of(&program) else {
            return Err(crate::Error::Memory {
                what: "a program in another one's memory".into(),
                needed: program.arenas.iter().sum(),
                available: shared.bytes(),
                remedy: "give it arenas that were made for it, too".into(),
            });
        };
        // One dispatch may not bind a buffer both to read and to write.
        let unread = gpu.buffer("impasto.unread", UNUSED_BYTES, STORAGE).await?;
        let unwritten = gpu.buffer("impasto.unwritten", UNUSED_BYTES, STORAGE).await?;
        let uniforms = Uniforms::new(gpu, &program).await?;
        let kernels: Vec<_> = program.dispatches.iter().map(|dispatch| dispatch.kernel).collect();
        let pipelines = pipelines.get_all(gpu, &kernels).await?;
        let mut labels = Vec::with_capacity(program.dispatches.len());
        let mut bindings = Vec::with_capacity(program.dispatches.len());
        for (index, dispatch) in program.dispatches.iter().enumerate() {
            let mut entries = uniforms.entries(index);
            for (binding, resource) in dispatch.bindings.iter().enumerate() {
                let resource = &program.resources[*resource];
                let (buffer, offset) = match &resource.place {
                    Place::Arena { arena, offset } => (&arenas[*arena], *offset),
                    Place::External(external) => {
                        let external = &program.externals[*external];
                        let buffer = externals.get(external).ok_or_else(|| crate::Error::Gpu {
                            what: format!("binding {}", external.name),
                            reason: "the program was given no buffer for it".into(),
                            remedy: "insert every external of the program".into(),
                        })?;
                        (&**buffer, 0)
                    }
                    Place::Unused => match dispatch.kernel.bindings[binding].access {
                        Access::Read => (&unread, 0),
                        Access::ReadWrite => (&unwritten, 0),
                    },
                };
                let size = std::num::NonZeroU64::new(resource.bytes);
                entries.push(wgpu::BindGroupEntry {
                    binding: Kernel::FIRST_STORAGE_BINDING + binding as u32,
                    resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset, size }),
                });
            }
            labels.push(format!("impasto.{}.{}", dispatch.kernel.name, dispatch.layer));
            bindings.push(entries);
        }
        let bind_groups = bind(gpu, &labels, &pipelines, &bindings).await?;
        let bound = labels
            .into_iter()
            .zip(pipelines)
            .zip(bind_groups)
            .map(|((label, pipeline), bind_group)| BoundDispatch { label, pipeline, bind_group })
            .collect();
        let recorder = Recorder::new(bound, program.slices.clone(), uniforms.slice_stride as u32);
        let own = [&unread, &unwritten, &uniforms.blocks, &uniforms.slices];
        let own_bytes = own.into_iter().map(wgpu::Buffer::size).sum();
        Ok(Self { program, recorder, arenas, externals, own_bytes })
    }

    /// The program.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Bytes of the buffers that were really created for this program alone: [`Program::own_bytes`], counted again,
    /// without the arenas where they are shared.
    pub fn allocated_bytes(&self) -> u64 {
        self.own_bytes
    }

    /// The arena buffers, for tests that look at what no tensor covers.
    #[doc(hidden)]
    pub fn arenas(&self) -> &[wgpu::Buffer] {
        &self.arenas
    }

    /// The buffers from outside.
    pub fn externals(&self) -> &Externals {
        &self.externals
    }

    /// Records slices; see [`Recorder::record`].
    pub fn record(&self, encoder: &mut wgpu::CommandEncoder, slices: std::ops::Range<usize>) {
        self.recorder.record(encoder, slices);
    }

    /// The same, timed by `lap` as far as that has room; `program` identifies this program.
    pub(crate) fn record_timed<T: Copy>(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        slices: std::ops::Range<usize>,
        lap: &mut Lap<'_, T>,
        program: T,
    ) {
        let mut start = slices.start;
        while start < slices.end && lap.times() {
            // One pass for each dispatch, because kernels differ tenfold.
            let dispatch = self.program.slices[start].dispatch;
            let run = self.program.slices[start..slices.end].iter();
            let end = start + run.take_while(|slice| slice.dispatch == dispatch).count();
            self.recorder.record_pass(encoder, start..end, lap.time(program, start..end));
            start = end;
        }
        if start < slices.end {
            self.recorder.record(encoder, start..slices.end);
        }
    }

    /// Runs the program `repeats` times and returns for every dispatch its seconds in each repeat: by GPU
    /// timestamps where the device has them, otherwise by wall-clock time, which includes a submission and the wait
    /// for it (see [`Timer::time`]). What the program updates in place is updated. The first repeat may include work
    /// that the driver defers, such as compilation. Submissions are kept short.
    ///
    /// The future polls the device, and outside a browser it sleeps up to 300 µs in each `poll` that finds the GPU not ready:
    /// a thread of an async executor is blocked for that long.
    ///
    /// # Errors
    /// [`crate::Error::Gpu`] where the device is lost or refuses a dispatch.
    pub async fn time(&self, gpu: &Gpu, repeats: usize) -> Result<Vec<Vec<f64>>> {
        let slices = &self.program.slices;
        let mut seconds = vec![vec![0.0; repeats]; self.program.dispatches.len()];
        let mut timer = Timer::new(gpu).await?;
        // Share of a submission for each slice: an estimate from its work in the first repeat, then its measured time.
        let largest = slices.iter().map(|slice| slice.work).max().unwrap_or(1).max(1);
        let mut shares: Vec<f64> = slices.iter().map(|slice| slice.work as f64 / largest as f64).collect();
        let mut start = 0;
        while start < repeats * slices.len() {
            let mut full = 0.0;
            let batch: Vec<usize> = (start..repeats * slices.len())
                .map(|run| run % slices.len())
                .take(Timer::MAX_SLICES)
                .take_while(|slice| {
                    let first = full == 0.0;
                    full += shares[*slice].max(f64::MIN_POSITIVE);
                    first || full <= 1.0
                })
                .collect();
            let took = timer.time(gpu, &self.recorder, &batch).await?;
            for (run, (slice, took)) in (start..).zip(batch.iter().zip(took)) {
                seconds[slices[*slice].dispatch as usize][run / slices.len()] += took;
                shares[*slice] = took / SUBMISSION_SECONDS;
            }
            start += batch.len();
        }
        Ok(seconds)
    }

    /// Estimates the seconds of each dispatch in little more than `budget` seconds for each: of a long dispatch only
    /// the first slices are run, and the time of the others is extrapolated from their work. The program's results are
    /// not valid afterwards. See [`Executable::time`] for clocks, waiting and errors.
    ///
    /// # Errors
    /// [`crate::Error::Gpu`] where the device is lost or refuses a dispatch.
    pub async fn estimate(&self, gpu: &Gpu, budget: f64) -> Result<Vec<f64>> {
        let mut timer = Timer::new(gpu).await?;
        let slices = &self.program.slices;
        let mut estimates = vec![0.0; self.program.dispatches.len()];
        let mut start = 0;
        for own in slices.chunk_by(|a, b| a.dispatch == b.dispatch) {
            let (mut took, mut done) = (0.0, 0);
            while done < own.len() && (done == 0 || took < budget) {
                took += timer.time(gpu, &self.recorder, &[start + done]).await?.iter().sum::<f64>();
                done += 1;
            }
            let work = |slices: &[Slice]| slices.iter().map(|slice| slice.work as f64).sum::<f64>();
            let share = if done == own.len() { 1.0 } else { work(&own[..done]) / work(own) };
            estimates[own[0].dispatch as usize] = took / share;
            start += own.len();
        }
        Ok(estimates)
    }

    /// Buffer, offset and bytes of everything that is kept, in order.
    pub(crate) fn all_kept(&self) -> Vec<(&wgpu::Buffer, u64, u64)> {
        (0..self.program.kept.len()).flat_map(|kept| self.kept(kept)).collect()
    }

    /// Buffer, offset and bytes of a kept tensor's pieces, `kept` counting in the order of [`super::Tape::keep`].
    pub fn kept(&self, kept: usize) -> Vec<(&wgpu::Buffer, u64, u64)> {
        self.program.kept[kept]
            .iter()
            .filter_map(|resource| {
                let resource = &self.program.resources[*resource];
                match &resource.place {
                    Place::Arena { arena, offset } => Some((&self.arenas[*arena], *offset, resource.bytes)),
                    Place::External(external) => {
                        let buffer = self.externals.get(&self.program.externals[*external])?;
                        Some((&**buffer, 0, resource.bytes))
                    }
                    Place::Unused => None,
                }
            })
            .collect()
    }
}

/// The bind groups of a program's dispatches, each given by its label, its pipeline and its entries.
///
/// # Errors
/// [`crate::Error::Gpu`] with the label of the first dispatch that cannot be bound.
async fn bind(
    gpu: &Gpu,
    labels: &[String],
    pipelines: &[Arc<Pipeline>],
    entries: &[Vec<wgpu::BindGroupEntry<'_>>],
) -> Result<Vec<wgpu::BindGroup>> {
    let one = |index: usize| {
        gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(&labels[index]),
            layout: pipelines[index].layout(),
            entries: &entries[index],
        })
    };
    // One error scope for all, because each wait for one is a turn of a browser's event loop.
    let scope = gpu.device().push_error_scope(wgpu::ErrorFilter::Validation);
    let bind_groups = (0..labels.len()).map(one).collect();
    let Some(error) = scope.pop().await else { return Ok(bind_groups) };
    // The error does not name the dispatch: binding each alone finds it.
    for (index, label) in labels.iter().enumerate() {
        let scope = gpu.device().push_error_scope(wgpu::ErrorFilter::Validation);
        drop(one(index));
        if let Some(error) = scope.pop().await {
            return Err(gpu.fault(&format!("binding {label}"), error.to_string()));
        }
    }
    Err(gpu.fault("binding a program's buffers", error.to_string()))
}

/// All uniform blocks of a program in one buffer, and the slice table in another: written once.
struct Uniforms {
    blocks: wgpu::Buffer,
    offsets: Vec<(u64, u64)>,
    slices: wgpu::Buffer,
    slice_stride: u64,
}

impl Uniforms {
    async fn new(gpu: &Gpu, program: &Program) -> Result<Self> {
        let alignment = u64::from(gpu.limits().min_uniform_buffer_offset_alignment);
        let usage = wgpu::BufferUsages::UNIFORM;
        let mut bytes = Vec::new();
        let mut offsets = Vec::with_capacity(program.dispatches.len());
        for dispatch in &program.dispatches {
            let size = dispatch.kernel.params_bytes();
            offsets.push((bytes.len() as u64, size));
            bytes.extend_from_slice(&dispatch.params);
            let end = offsets[offsets.len() - 1].0 + size;
            bytes.resize(end.next_multiple_of(alignment) as usize, 0);
        }
        let blocks = gpu.buffer_with("impasto.params", &bytes, usage).await?;
        let slice_stride = slice_stride(alignment);
        let mut table = vec![0_u8; program.slices.len() * slice_stride as usize];
        for (entry, slice) in table.chunks_exact_mut(slice_stride as usize).zip(&program.slices) {
            entry[..4].copy_from_slice(&slice.first.to_le_bytes());
            entry[4..8].copy_from_slice(&slice.end.to_le_bytes());
        }
        let slices = gpu.buffer_with("impasto.slices", &table, usage).await?;
        Ok(Self { blocks, offsets, slices, slice_stride })
    }

    /// Entries for the slice table and the uniform block of a dispatch.
    fn entries(&self, dispatch: usize) -> Vec<wgpu::BindGroupEntry<'_>> {
        let (offset, size) = self.offsets[dispatch];
        let uniform = |binding, buffer, offset, size| wgpu::BindGroupEntry {
            binding,
            resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer,
                offset,
                size: std::num::NonZeroU64::new(size),
            }),
        };
        vec![uniform(0, &self.slices, 0, 16), uniform(1, &self.blocks, offset, size)]
    }
}
