//! The library's runner of cases on the one device of a test program.

use std::sync::{Mutex, OnceLock};

use impasto::cases::Case;
use impasto::cases::run::{self, Planned};
pub(crate) use impasto::cases::run::{KernelSelection, POISON, Run, RunOptions};
use impasto::gpu::{Gpu, Pipelines};

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

/// Plans a case for the shared device.
#[track_caller]
pub(crate) fn planned(case: &Case, options: &RunOptions) -> Planned {
    Planned::new(&shared_gpu().gpu, case, options).unwrap_or_else(|error| panic!("{}: {error}", case.name))
}

/// Runs a case on the values that it says.
#[track_caller]
pub(crate) fn run(case: &Case, options: &RunOptions) -> Run {
    run_on(case, &case.values(), options)
}

/// Runs a case on `values`, the bits of its inputs.
#[track_caller]
pub(crate) fn run_on(case: &Case, values: &[Vec<u32>], options: &RunOptions) -> Run {
    // One at a time: a dispatch keeps the whole device busy anyway, and wgpu 30 panics now and then where one
    // thread waits while another submits (its pull request 9958).
    static TURN: Mutex<()> = Mutex::new(());
    let planned = planned(case, options);
    let Shared { gpu, pipelines } = shared_gpu();
    let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let ran = run::run(gpu, pipelines, case, values, planned);
    pollster::block_on(ran).unwrap_or_else(|error| panic!("{}: {error}", case.name))
}
