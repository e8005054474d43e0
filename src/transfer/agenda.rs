//! What has to be done before the next step: the weights' way to the device, targets, the start, changes of options. All
//! of it is recorded, in pieces of any size, and never in the middle of a step, whose memory it uses.

use std::ops::Range;
use std::sync::Arc;

use super::pace::{Allowance, Pace};
use super::planning::{Part, Passage, name};
use super::session::{Transfer, allocate};
use super::source::Source;
use crate::error::Result;
use crate::gpu::Lap;
use crate::graph::{Executable, Externals, Program};

/// Bytes that a GPU copies in a second from a texture or buffer of its own: what a slow one does.
const COPIED_A_SECOND: f64 = 10e9;

/// A program that runs between steps.
#[derive(Debug)]
pub(super) struct Runner {
    executable: Executable,
    pace: Pace,
    /// Bytes that it does not share.
    own_bytes: u64,
}

impl Runner {
    pub(super) fn allocated_bytes(&self) -> u64 {
        self.own_bytes
    }

    pub(super) fn program(&self) -> &Program {
        self.executable.program()
    }

    /// `slices` took `seconds`.
    pub(super) fn learn(&mut self, slices: Range<usize>, seconds: f64) {
        self.pace.learn(self.executable.program(), slices, seconds);
    }
}

/// A picture on its way to the device.
#[derive(Debug)]
pub(super) enum Taken {
    /// Of the right size, one word a pixel.
    Words(Vec<u8>),
    Texture(wgpu::Texture),
    Buffer(wgpu::Buffer),
}

impl Taken {
    /// `source` as it goes on the agenda; a picture was fitted before.
    pub(super) fn of(source: Source) -> Self {
        match source {
            Source::Picture(picture) => Self::Words(picture.to_rgba()),
            Source::Texture(texture) => Self::Texture(texture),
            Source::Buffer { buffer, .. } => Self::Buffer(buffer),
        }
    }
}

/// One thing to do.
#[derive(Debug)]
pub(super) enum Task {
    /// Weights to the device.
    Weights,
    /// A picture to the device, and what is made of it.
    Source(Part, Taken),
    /// A picture that is copied from the processor's memory, from byte `done` on.
    Words { part: Part, bytes: Vec<u8>, done: usize },
    /// A program from a slice on, and where its results go.
    Run { passage: Passage, slice: usize },
    /// Values of the step's program to their pieces, from byte `done` on.
    Write { to: &'static str, bytes: Vec<u8>, done: usize },
    /// The options that can change, as they are when this is recorded.
    Settings,
}

impl Task {
    /// All values of one of the step's tensors from outside.
    pub(super) fn write(to: &'static str, values: &[f32]) -> Self {
        Self::Write { to, bytes: bytemuck::cast_slice(values).to_vec(), done: 0 }
    }

    /// A program from its beginning.
    pub(super) fn run(passage: Passage) -> Self {
        Self::Run { passage, slice: 0 }
    }

    /// Whether a new picture for `part` makes this superfluous.
    fn serves(&self, part: Part) -> bool {
        match self {
            Self::Source(of, _) | Self::Words { part: of, .. } => *of == part,
            Self::Run { passage: Passage::Intake(of) | Passage::Target(of), .. } => *of == part,
            _ => false,
        }
    }
}

impl Transfer {
    /// A program on the device that shares the step's memory.
    pub(super) async fn runner(&self, passage: Passage, program: Program) -> Result<Runner> {
        let (gpu, pipelines) = (self.engine.gpu(), self.engine.pipelines());
        let mut externals = Externals::default();
        self.engine.reserve_weights(&program, &mut externals).await?;
        let mut shared = externals.allocated_bytes();
        for external in &program.externals {
            let buffer = match &external.name[..] {
                name::PIXELS => self.step.externals().get(external).cloned(),
                // The content's; that of a target is its own.
                name::PICTURE if passage == Passage::Start => self.picture_of(Part::Content),
                _ => None,
            };
            if let Some(buffer) = buffer {
                shared += buffer.size();
                externals.insert(external, buffer);
            }
        }
        allocate(&self.engine, &program, &mut externals).await?;
        let own_externals = externals.allocated_bytes() - shared;
        // A larger picture than at first gets memory of its own.
        let executable = if self.arenas.hold(&program) {
            Executable::sharing(gpu, pipelines, program, externals, &self.arenas).await?
        } else {
            Executable::new(gpu, pipelines, program, externals).await?
        };
        let own_bytes = executable.allocated_bytes() + own_externals;
        let pace = self.engine.pace(executable.program());
        Ok(Runner { executable, pace, own_bytes })
    }

    /// The buffer of a part's 8-bit picture.
    fn picture_of(&self, part: Part) -> Option<Arc<wgpu::Buffer>> {
        let target = self.runners.get(&Passage::Target(part))?;
        target.executable.externals().pieces(name::PICTURE).into_iter().next()
    }

    /// Tells checkpoints what a part is.
    pub(super) fn name_source(&mut self, part: Part, source: &Source) {
        let picture = match source {
            Source::Picture(picture) => Some(picture),
            Source::Texture(_) | Source::Buffer { .. } => None,
        };
        let (width, height) = self.layouts[&part].size;
        let fitted = self.options.size.fit(width, height);
        match part {
            Part::Content => self.recipe.set_content(picture, fitted),
            Part::Style => self.recipe.set_style(picture, fitted),
        }
    }

    /// Puts another picture on the agenda, before everything but the weights, and takes off what the one before it
    /// wanted.
    pub(super) fn retake(&mut self, part: Part, source: Taken) {
        self.cancel(part);
        let at = self
            .agenda
            .iter()
            .position(|task| matches!(task, Task::Weights))
            .map_or(0, |weights| weights + 1);
        self.agenda.insert(at, Task::Source(part, source));
    }

    /// Takes off the agenda what a part's picture wanted.
    pub(super) fn cancel(&mut self, part: Part) {
        self.agenda.retain(|task| !task.serves(part));
    }

    /// Records what is on the agenda as far as allowance and staging memory have room, and returns whether all is.
    pub(super) fn record_agenda(
        &mut self,
        encoder: &mut wgpu::CommandEncoder,
        allowance: &mut Allowance,
        lap: &mut Lap<'_, Passage>,
    ) -> Result<bool> {
        while let Some(mut task) = self.agenda.pop_front() {
            let outcome = self.record_task(&mut task, encoder, allowance, lap);
            let Ok(Some(next)) = outcome else {
                // It stays on the agenda, whatever stood against it.
                self.agenda.push_front(task);
                return outcome.map(|_| false);
            };
            for task in next.into_iter().rev() {
                self.agenda.push_front(task);
            }
        }
        Ok(true)
    }

    /// Records one task as far as allowance and staging memory have room. Where it is done, returns what it wants done
    /// next.
    fn record_task(
        &self,
        task: &mut Task,
        encoder: &mut wgpu::CommandEncoder,
        allowance: &mut Allowance,
        lap: &mut Lap<'_, Passage>,
    ) -> Result<Option<Vec<Task>>> {
        let done = match task {
            Task::Weights => self.engine.record_weights(encoder, allowance)?,
            Task::Write { to, bytes, done } => self.write_pieces(encoder, to, bytes, done, allowance)?,
            Task::Words { part, bytes, done } => match self.picture_of(*part) {
                Some(picture) => self.engine.write(encoder, &picture, bytes, done, allowance)?,
                None => true,
            },
            Task::Run { passage, slice } => self.run_passage(encoder, *passage, slice, allowance, lap),
            Task::Settings => return Ok(Some(self.settings().into())),
            Task::Source(part, taken) => {
                let part = *part;
                let picture = match taken {
                    Taken::Words(bytes) => Task::Words { part, bytes: std::mem::take(bytes), done: 0 },
                    Taken::Texture(_) | Taken::Buffer(_) => {
                        if !self.take(encoder, part, taken, allowance) {
                            return Ok(None);
                        }
                        Task::run(Passage::Intake(part))
                    }
                };
                return Ok(Some(vec![picture, Task::run(Passage::Target(part))]));
            }
        };
        Ok(done.then(Vec::new))
    }

    /// Records copies to the pieces of one of the step's tensors from outside; returns whether all is recorded.
    fn write_pieces(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        to: &str,
        bytes: &[u8],
        done: &mut usize,
        allowance: &mut Allowance,
    ) -> Result<bool> {
        let mut first = 0;
        for piece in self.step.externals().pieces(to) {
            let end = bytes.len().min(first + piece.size() as usize);
            if *done < end {
                let mut within = *done - first;
                let all = self.engine.write(encoder, &piece, &bytes[first..end], &mut within, allowance)?;
                *done = first + within;
                if !all {
                    return Ok(false);
                }
            }
            first = end;
        }
        Ok(true)
    }

    /// Records the copy of a host's texture or buffer, where the allowance has room for it.
    fn take(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        part: Part,
        taken: &Taken,
        allowance: &mut Allowance,
    ) -> bool {
        let Some(intake) = self.runners.get(&Passage::Intake(part)) else { return true };
        let Some(texels) = intake.executable.externals().pieces(name::TEXELS).into_iter().next() else {
            return true;
        };
        let seconds = texels.size() as f64 / COPIED_A_SECOND;
        if !allowance.allows(seconds) {
            return false;
        }
        allowance.spend(seconds);
        let (width, height) = self.layouts[&part].size;
        match taken {
            Taken::Texture(texture) => encoder.copy_texture_to_buffer(
                texture.as_image_copy(),
                wgpu::TexelCopyBufferInfo {
                    buffer: &texels,
                    layout: wgpu::TexelCopyBufferLayout {
                        offset: 0,
                        bytes_per_row: Some((texels.size() / u64::from(height)) as u32),
                        rows_per_image: None,
                    },
                },
                wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
            ),
            Taken::Buffer(buffer) => encoder.copy_buffer_to_buffer(buffer, 0, &texels, 0, texels.size()),
            Taken::Words(_) => {}
        }
        true
    }

    /// Records slices of a passage, and behind the last one where its results go; returns whether that was.
    fn run_passage(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        passage: Passage,
        slice: &mut usize,
        allowance: &mut Allowance,
        lap: &mut Lap<'_, Passage>,
    ) -> bool {
        let Some(Runner { executable, pace, .. }) = self.runners.get(&passage) else { return true };
        let slices = executable.program().slices.len();
        let end = pace.end(executable.program(), *slice..slices, allowance);
        if *slice < end {
            executable.record_timed(encoder, *slice..end, lap, passage);
            *slice = end;
        }
        if end < slices {
            return false;
        }
        let step = self.step.externals();
        let destinations: Vec<Vec<Arc<wgpu::Buffer>>> = match passage {
            Passage::Intake(part) => vec![self.picture_of(part).into_iter().collect()],
            Passage::Target(Part::Content) => vec![step.pieces(name::CONTENT_TARGET)],
            Passage::Target(Part::Style) => {
                self.style_layers.iter().map(|layer| step.pieces(&name::style_target(layer))).collect()
            }
            Passage::Start => vec![step.pieces(name::PIXELS)],
            Passage::Step => Vec::new(),
        };
        for (kept, destination) in destinations.iter().enumerate() {
            for ((from, offset, bytes), to) in executable.kept(kept).into_iter().zip(destination) {
                encoder.copy_buffer_to_buffer(from, offset, to, 0, bytes);
            }
        }
        true
    }
}
