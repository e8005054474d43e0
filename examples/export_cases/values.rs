//! What this library makes of a program with wgpu, on the first adapter here.

use std::collections::HashMap;
use std::sync::Arc;

use impasto::cases::Case;
use impasto::gpu::{Gpu, Pipelines, Readback};
use impasto::graph::{Executable, Externals, Program};
use impasto::ops::Capabilities;
use impasto::wgpu;

use crate::files::{POISON, POISON_BEHIND};
use crate::programs::Planned;

/// An adapter to run programs on.
#[derive(Debug)]
pub(crate) struct Values {
    gpu: Gpu,
    pipelines: Pipelines,
    capabilities: Capabilities,
}

/// The words of a program's buffers after it ran, by their names.
#[derive(Debug)]
pub(crate) struct Made(HashMap<String, Vec<u32>>);

impl Made {
    /// Some words of a buffer; none where there is no such buffer.
    pub(crate) fn part(&self, buffer: &str, offset: u64, bytes: u64) -> &[u32] {
        let words = self.0.get(buffer).map(Vec::as_slice).unwrap_or_default();
        words.get(offset as usize / 4..(offset + bytes) as usize / 4).unwrap_or_default()
    }
}

impl Values {
    pub(crate) fn new() -> Result<Self, String> {
        let gpu = pollster::block_on(Gpu::open(None)).map_err(|error| error.to_string())?;
        let capabilities = Capabilities::of(gpu.summary());
        println!("export_cases: values by wgpu on {} ({})", gpu.summary().name, gpu.summary().driver);
        Ok(Self { gpu, pipelines: Pipelines::default(), capabilities })
    }

    /// Whether every kernel of a program is right here too.
    pub(crate) fn allow(&self, program: &Program) -> bool {
        program.dispatches.iter().all(|dispatch| self.capabilities.allows(dispatch.kernel))
    }

    /// Runs a program on inputs `given` by `crate::files::given`, between the same poison as on the other side.
    pub(crate) fn run(
        &self,
        case: &Case,
        planned: &Planned,
        given: &[(usize, Vec<u32>)],
    ) -> Result<Made, String> {
        let made = pollster::block_on(self.run_async(case.repeats, planned, given));
        made.map_err(|error| format!("{}, {}: {error}", case.name, planned.name))
    }

    async fn run_async(
        &self,
        repeats: u32,
        planned: &Planned,
        given: &[(usize, Vec<u32>)],
    ) -> impasto::Result<Made> {
        let gpu = &self.gpu;
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let mut externals = Externals::default();
        let mut buffers = Vec::new();
        for (external, (_, words)) in planned.program.externals.iter().zip(given) {
            let mut words = words.clone();
            words.resize(words.len() + planned.guard as usize / 4, POISON_BEHIND);
            let buffer = Arc::new(gpu.buffer(&external.name, 4 * words.len() as u64, usage).await?);
            gpu.queue().write_buffer(&buffer, 0, bytemuck::cast_slice(&words));
            externals.insert(external, Arc::clone(&buffer));
            buffers.push(buffer);
        }
        let executable = Executable::new(gpu, &self.pipelines, planned.program.clone(), externals).await?;
        for arena in executable.arenas() {
            let poison = vec![POISON; arena.size() as usize / 4];
            gpu.queue().write_buffer(arena, 0, bytemuck::cast_slice(&poison));
        }
        for _ in 0..repeats {
            let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            executable.record(&mut encoder, 0..executable.program().slices.len());
            gpu.queue().submit([encoder.finish()]);
        }
        let mut made = HashMap::new();
        for (index, buffer) in buffers.iter().enumerate() {
            made.insert(format!("external.{index}"), read(gpu, buffer).await?);
        }
        for (index, arena) in executable.arenas().iter().enumerate() {
            made.insert(format!("arena.{index}"), read(gpu, arena).await?);
        }
        Ok(Made(made))
    }
}

async fn read(gpu: &Gpu, buffer: &wgpu::Buffer) -> impasto::Result<Vec<u32>> {
    let mut readback = Readback::new(gpu, buffer.size(), 1).await?;
    let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    let ticket = readback.copy(&mut encoder, &[(buffer, 0, buffer.size())]);
    gpu.queue().submit([encoder.finish()]);
    Ok(bytemuck::pod_collect_to_vec(&readback.read(gpu, ticket).await?))
}
