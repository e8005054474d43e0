//! What this library makes of a program with wgpu, on the first adapter here.

use impasto::cases::Case;
use impasto::cases::run::{Planned, Run, run};
use impasto::gpu::{Gpu, Pipelines};
use impasto::ops::Capabilities;

/// An adapter to run programs on.
#[derive(Debug)]
pub(crate) struct Values {
    gpu: Gpu,
    pipelines: Pipelines,
    capabilities: Capabilities,
}

impl Values {
    pub(crate) fn new() -> Result<Self, String> {
        let gpu = pollster::block_on(Gpu::open(None)).map_err(|error| error.to_string())?;
        let capabilities = Capabilities::of(gpu.summary());
        println!("export_cases: values by wgpu on {} ({})", gpu.summary().name, gpu.summary().driver);
        Ok(Self { gpu, pipelines: Pipelines::default(), capabilities })
    }

    /// Runs a program; `None` where one of its kernels is not right here.
    pub(crate) fn of(
        &self,
        case: &Case,
        values: &[Vec<u32>],
        planned: &Planned,
    ) -> Result<Option<Run>, String> {
        let mut kernels = planned.program.dispatches.iter().map(|dispatch| dispatch.kernel);
        if !kernels.all(|kernel| self.capabilities.allows(kernel)) {
            return Ok(None);
        }
        let run = pollster::block_on(run(&self.gpu, &self.pipelines, case, values, planned.clone()));
        run.map(Some).map_err(|error| format!("{}: {error}", case.name))
    }
}
