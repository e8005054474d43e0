//! What has to be done before the next step: the weights' way to the device, targets, the start, changes of options. All
//! of it is recorded, in pieces of any size, and never in the middle of a step, whose memory it uses.

use std::collections::VecDeque;
use std::sync::Arc;

use super::engine::Engine;
use super::pace::Allowance;
use super::piece::Piece;
use super::planning::{ProgramId, ProgramKind, picture_name, texels_name};
use super::programs::Programs;
use super::source::Source;
use super::sources::SourceId;
use super::staging;
use crate::error::Result;
use crate::gpu::Lap;

/// Bytes that a GPU copies in a second from a texture or buffer of its own: what a slow one does.
const COPIED_BYTES_PER_SECOND: f64 = 10e9;

/// A picture on its way to the device.
#[derive(Debug)]
enum Upload {
    /// Of the right size, one word a pixel, copied from byte `done` on.
    Words {
        bytes: Vec<u8>,
        done: usize,
    },
    Texture(wgpu::Texture),
    Buffer(wgpu::Buffer),
}

/// One thing to do.
#[derive(Debug)]
enum Task {
    /// Weights to the device.
    Weights,
    /// A source's picture to the device.
    Upload(SourceId, Upload),
    /// A program from a slice on, and its results to where they belong.
    Run { program: ProgramKind, slice: usize },
    /// Values to the pieces of a tensor from outside, from byte `done` on.
    Write { to: String, bytes: Vec<u8>, done: usize },
}

impl Task {
    /// Whether a new picture for `source` makes this superfluous.
    fn serves(&self, source: SourceId) -> bool {
        match self {
            Self::Upload(of, _) => *of == source,
            Self::Run { program: ProgramKind::Intake(of), .. } => *of == source,
            Self::Weights | Self::Run { .. } | Self::Write { .. } => false,
        }
    }
}

/// A picture that a size begins with.
#[derive(Debug)]
pub(super) enum Arrival {
    /// It was fitted to the size before.
    New(Source),
    /// Its texels came to the device with an earlier size.
    Texels,
}

/// What a task is recorded with.
pub(super) struct Recording<'a, 'lap> {
    pub(super) engine: &'a Engine,
    pub(super) programs: &'a Programs,
    /// The number of the size that is painted.
    pub(super) scale: usize,
    pub(super) encoder: &'a mut wgpu::CommandEncoder,
    pub(super) allowance: &'a mut Allowance,
    pub(super) lap: &'a mut Lap<'lap, ProgramId>,
}

/// The tasks, in order.
#[derive(Debug, Default)]
pub(super) struct Agenda(VecDeque<Task>);

impl Agenda {
    /// What begins a transfer: the weights.
    pub(super) fn new() -> Self {
        Self(VecDeque::from([Task::Weights]))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the weights come next.
    pub(super) fn begins_with_weights(&self) -> bool {
        matches!(self.0.front(), Some(Task::Weights))
    }

    /// Puts a picture's way to the device on it, after the weights and values that it begins with, and before everything
    /// else. What an earlier picture of this source wanted is taken off.
    pub(super) fn take_source(&mut self, id: SourceId, arrival: Arrival) {
        self.0.retain(|task| !task.serves(id));
        // Programs share the step's arenas: what runs in front of one that has begun overwrites what it has made.
        for task in &mut self.0 {
            if let Task::Run { slice, .. } = task {
                *slice = 0;
            }
        }
        let upload = match arrival {
            Arrival::New(Source::Picture(picture)) => {
                Some(Upload::Words { bytes: picture.to_rgba(), done: 0 })
            }
            Arrival::New(Source::Texture(texture)) => Some(Upload::Texture(texture)),
            Arrival::New(Source::Buffer { buffer, .. }) => Some(Upload::Buffer(buffer)),
            Arrival::Texels => None,
        };
        let is_picture = matches!(upload, Some(Upload::Words { .. }));
        let upload = upload.map(|upload| Task::Upload(id, upload));
        let intake = (!is_picture).then_some(Task::Run { program: ProgramKind::Intake(id), slice: 0 });
        let needs_nothing = |task: &&Task| matches!(task, Task::Weights | Task::Write { .. });
        let at = self.0.iter().take_while(needs_nothing).count();
        for (index, task) in upload.into_iter().chain(intake).enumerate() {
            self.0.insert(at + index, task);
        }
    }

    /// Puts a program at the end; where it is on the list already, it is taken off there.
    pub(super) fn run(&mut self, program: ProgramKind) {
        self.0.retain(|task| !matches!(task, Task::Run { program: other, .. } if *other == program));
        self.0.push_back(Task::Run { program, slice: 0 });
    }

    /// Whether a program is on it.
    pub(super) fn has(&self, program: ProgramKind) -> bool {
        self.0.iter().any(|task| matches!(task, Task::Run { program: other, .. } if *other == program))
    }

    /// Puts programs in this order before all others but those that make pictures.
    pub(super) fn run_first(&mut self, programs: &[ProgramKind]) {
        self.0.retain(|task| !matches!(task, Task::Run { program, .. } if programs.contains(program)));
        let waits = |task: &Task| matches!(task, Task::Run { program, .. } if !matches!(program, ProgramKind::Intake(_)));
        let at = self.0.iter().take_while(|task| !waits(task)).count();
        for (index, program) in programs.iter().enumerate() {
            self.0.insert(at + index, Task::Run { program: *program, slice: 0 });
        }
    }

    /// Takes off what looks something up: it is known.
    pub(super) fn leave_out_look_ups(&mut self) {
        self.0.retain(|task| !matches!(task, Task::Run { program: ProgramKind::LookUp(_), .. }));
    }

    /// Puts values for one of the step's tensors from outside at the end. Values for the same one that were not recorded
    /// yet are dropped.
    pub(super) fn write(&mut self, to: &str, values: &[f32]) {
        self.0.retain(|task| !matches!(task, Task::Write { to: other, done: 0, .. } if other == to));
        let bytes = bytemuck::cast_slice(values).to_vec();
        self.0.push_back(Task::Write { to: to.to_owned(), bytes, done: 0 });
    }

    /// Whether values for one of the step's tensors from outside are on it.
    pub(super) fn writes(&self, to: &str) -> bool {
        self.0.iter().any(|task| matches!(task, Task::Write { to: other, .. } if other == to))
    }

    /// Records what is on it as far as allowance and staging memory have room, and returns whether all is.
    ///
    /// # Errors
    /// [`crate::Error::Weights`] from the file, [`crate::Error::Gpu`] where the device is lost.
    pub(super) fn record(&mut self, recording: &mut Recording<'_, '_>) -> Result<bool> {
        // A task stays until it is done, whatever goes wrong.
        while let Some(task) = self.0.front_mut() {
            if !recording.record(task)? {
                return Ok(false);
            }
            self.0.pop_front();
        }
        Ok(true)
    }
}

impl Recording<'_, '_> {
    /// Records one task as far as there is room, and returns whether it is done.
    fn record(&mut self, task: &mut Task) -> Result<bool> {
        match task {
            Task::Weights => {
                self.engine.weights_store().record(self.engine.gpu(), self.encoder, self.allowance)
            }
            Task::Upload(source, upload) => self.upload(*source, upload),
            Task::Run { program, slice } => Ok(self.run(*program, slice)),
            Task::Write { to, bytes, done } => self.write_pieces(to, bytes, done),
        }
    }

    fn upload(&mut self, source: SourceId, upload: &mut Upload) -> Result<bool> {
        match upload {
            Upload::Words { bytes, done } => match self.tensor(&picture_name(source)).first() {
                Some(picture) => self.write(&picture.buffer, bytes, done),
                // Nothing reads it.
                None => Ok(true),
            },
            Upload::Texture(texture) => {
                let (width, height) = (texture.width(), texture.height());
                Ok(self.copy_texels(source, |encoder, texels| {
                    encoder.copy_texture_to_buffer(
                        texture.as_image_copy(),
                        wgpu::TexelCopyBufferInfo {
                            buffer: &texels.buffer,
                            layout: wgpu::TexelCopyBufferLayout {
                                offset: 0,
                                bytes_per_row: Some((texels.bytes / u64::from(height)) as u32),
                                rows_per_image: None,
                            },
                        },
                        wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
                    );
                }))
            }
            Upload::Buffer(buffer) => Ok(self.copy_texels(source, |encoder, texels| {
                encoder.copy_buffer_to_buffer(buffer, 0, &texels.buffer, 0, texels.bytes);
            })),
        }
    }

    /// Records a copy of a host's texels, where the allowance has room for it.
    fn copy_texels(
        &mut self,
        source: SourceId,
        copy: impl FnOnce(&mut wgpu::CommandEncoder, &Piece),
    ) -> bool {
        let Some(texels) = self.tensor(&texels_name(source)).into_iter().next() else { return true };
        let seconds = texels.bytes as f64 / COPIED_BYTES_PER_SECOND;
        if !self.allowance.allows(seconds) {
            return false;
        }
        self.allowance.spend(seconds);
        copy(self.encoder, &texels);
        true
    }

    /// Records slices of a program, and after the last one the copies of its results; returns whether that was.
    fn run(&mut self, kind: ProgramKind, slice: &mut usize) -> bool {
        let id = kind.at(self.scale);
        let Some(program) = self.programs.get(id) else { return true };
        let end = program.admit(*slice, self.allowance);
        if *slice < end {
            program.record(id, self.encoder, *slice..end, self.lap);
            *slice = end;
        }
        if end < program.slices() {
            return false;
        }
        for (kept, name) in program.results().iter().enumerate() {
            let to = self.tensor(name);
            for ((from, offset, bytes), to) in program.executable().kept(kept).into_iter().zip(to) {
                self.encoder.copy_buffer_to_buffer(from, offset, &to.buffer, 0, bytes);
            }
        }
        true
    }

    /// Records copies to the pieces of a tensor from outside; returns whether all is recorded.
    fn write_pieces(&mut self, to: &str, bytes: &[u8], done: &mut usize) -> Result<bool> {
        let mut first = 0;
        for piece in self.tensor(to) {
            let end = bytes.len().min(first + piece.bytes as usize);
            if *done < end {
                let mut within = *done - first;
                let all = self.write(&piece.buffer, &bytes[first..end], &mut within)?;
                *done = first + within;
                if !all {
                    return Ok(false);
                }
            }
            first = end;
        }
        Ok(true)
    }

    /// The pieces of a tensor from outside.
    fn tensor(&self, name: &str) -> Vec<Piece> {
        self.programs.tensor(self.scale, name)
    }

    fn write(&mut self, buffer: &Arc<wgpu::Buffer>, bytes: &[u8], done: &mut usize) -> Result<bool> {
        staging::write(self.engine.gpu(), self.encoder, buffer, bytes, done, self.allowance)
    }
}
