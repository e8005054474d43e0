//! Creates and drops engines and transfers for hundreds of rounds, in every order and in the middle of everything, and
//! shows that nothing is left behind:
//!
//! ```sh
//! cargo run --release --features counters --example soak [-- ROUNDS]
//! ```
//!
//! Most rounds work on one device, as in a host; every fifth opens one of its own, and some of these destroy it under the
//! work. After each round wgpu's own counters must say that the device has as many buffers, bind groups, layouts,
//! pipelines, shader modules and bytes as before the first. The memory of the process, read after each round, may
//! not grow by more than [`MOST_KIB_A_ROUND`], as a line through all rounds but the first [`WARM_UP`] tells.
//!
//! Takes 500 rounds unless told otherwise: on the software driver some minutes, most of them in its compiler.

use std::future::Future;
use std::pin::pin;
use std::process::ExitCode;
use std::task::{Context, Poll, Waker};

use impasto::gpu::Gpu;
use impasto::picture::Picture;
use impasto::transfer::{Engine, EngineOptions, Init, Options, Preset, Transfer, WeightedLayer};
use impasto::wgpu;
use pollster::block_on;
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// Rounds in which the driver's and the allocator's caches fill.
const WARM_UP: usize = 200;
/// Less than a transfer's smallest sets of buffers: the pixels alone, with Adam's moments, take 27 KiB, a device several
/// MiB. What is smaller than the drift of the allocator, up to ten KiB a round up or down, is left to wgpu's counters.
const MOST_KIB_A_ROUND: f64 = 16.0;
/// A device of its own, which other rounds do not know, in every round of this number.
const OWN_DEVICE: usize = 5;

/// What is done with an engine in a round.
#[derive(Clone, Copy, Debug)]
enum Round {
    /// Two steps, the picture, the pixels.
    Whole,
    /// A step is dropped under way, and its transfer at once.
    StepDropped,
    /// A step is dropped under way, and another one taken.
    StepTakenAgain,
    /// The preparation is dropped under way.
    PreparationDropped,
    /// A picture is dropped under way, with the engine gone before.
    PictureDropped,
    /// Two transfers at a time, the older one goes first.
    TwoTransfers,
    /// The device is destroyed while a step is under way; only in rounds with a device of their own.
    DeviceDestroyed,
}

const ON_ANY_DEVICE: [Round; 6] = [
    Round::Whole,
    Round::StepDropped,
    Round::StepTakenAgain,
    Round::PreparationDropped,
    Round::PictureDropped,
    Round::TwoTransfers,
];

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let rounds = match std::env::args().nth(1).map(|rounds| rounds.parse()) {
        None => 500,
        Some(Ok(rounds)) if rounds > WARM_UP + 1 => rounds,
        Some(_) => {
            eprintln!("usage: soak [ROUNDS], at least {}", WARM_UP + 2);
            return ExitCode::from(2);
        }
    };
    match soak(rounds) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether memory stays where it is.
fn soak(rounds: usize) -> Result<bool, Failure> {
    let begin = std::time::Instant::now();
    let host = block_on(Gpu::open(None))?;
    let fresh = Left::on(host.device(), host.queue());
    if fresh.0.iter().all(|(_, count)| *count == 0) {
        return Err("wgpu counts nothing: run it with --features counters".into());
    }
    {
        let gpu = Gpu::from_parts(host.device().clone(), host.queue().clone());
        let engine = Engine::builder(gpu).options(options()).build()?;
        let _held = block_on(prepare(&engine))?;
        if Left::on(host.device(), host.queue()) == fresh {
            return Err("wgpu's counters do not see a transfer that is still there".into());
        }
    }
    println!("{} rounds on {} ({})", rounds, host.summary().name, host.summary().driver);
    println!("a fresh device has {fresh}");
    let mut process = Process::new()?;
    let mut memory = Vec::with_capacity(rounds);
    for number in 0..rounds {
        let own = number % OWN_DEVICE == OWN_DEVICE - 1;
        let kind = match number / OWN_DEVICE {
            fifth if own && fifth % 3 == 2 => Round::DeviceDestroyed,
            // Both counts go round, so that every kind comes with every number of polls, on both sorts of device.
            fifth => ON_ANY_DEVICE[(number + fifth) % ON_ANY_DEVICE.len()],
        };
        // From at once to where a step has long come to its end.
        let polls = [0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 400][number % 11];
        let (device, queue) = if own {
            let gpu = block_on(Gpu::open(None))?;
            let (device, queue) = (gpu.device().clone(), gpu.queue().clone());
            play(kind, polls, Engine::builder(gpu).options(options()).build()?)?;
            (device, queue)
        } else {
            let gpu = Gpu::from_parts(host.device().clone(), host.queue().clone());
            play(kind, polls, Engine::builder(gpu).options(options()).build()?)?;
            (host.device().clone(), host.queue().clone())
        };
        let left = Left::on(&device, &queue);
        let destroyed = matches!(kind, Round::DeviceDestroyed);
        if left != fresh && !destroyed {
            return Err(format!("round {number}, {kind:?}, {polls} polls: left are {left}").into());
        }
        drop((device, queue));
        let (kib, threads) = process.read()?;
        memory.push(kib);
        if (number + 1) % 50 == 0 {
            println!("round {:4}: {kib:.0} KiB resident, {threads} threads", number + 1);
        }
    }
    let slope = slope(&memory[WARM_UP..]);
    println!("after every round the device had {fresh}");
    println!(
        "memory over the last {} rounds: {slope:+.2} KiB a round, at most {MOST_KIB_A_ROUND} are allowed; {:.0} s in all",
        rounds - WARM_UP,
        begin.elapsed().as_secs_f64()
    );
    Ok(slope <= MOST_KIB_A_ROUND)
}

/// Small slices, so that a step has many places to be dropped at.
fn options() -> EngineOptions {
    EngineOptions::default().with(|options| options.slice_work = Some(200_000))
}

fn picture(width: u32, height: u32) -> impasto::Result<Picture> {
    Picture::from_rgb(width, height, (0..width * height * 3).map(|i| (i * 37 % 256) as u8).collect())
}

async fn prepare(engine: &Engine) -> impasto::Result<Transfer> {
    let options = Options::preset(Preset::Course).with(|options| {
        options.content_layers[0].name = "conv2_1".into();
        options.style_layers = vec![WeightedLayer { name: "conv1_1".into(), weight: 1.0 }];
        options.init = Init::Content;
    });
    Transfer::prepare(engine, (&picture(32, 24)?, &picture(20, 28)?), &options).await
}

/// Polls a future so often, or to its end, and drops it.
fn poll<T>(future: impl Future<Output = T>, polls: u32) -> Option<T> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..polls {
        if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
            return Some(result);
        }
    }
    None
}

fn play(kind: Round, polls: u32, engine: Engine) -> Result<(), Failure> {
    match kind {
        Round::Whole => {
            let mut transfer = block_on(prepare(&engine))?;
            for _ in 0..2 {
                block_on(transfer.step())?;
            }
            block_on(transfer.picture())?;
            block_on(transfer.pixels())?;
        }
        Round::StepDropped => {
            let mut transfer = block_on(prepare(&engine))?;
            poll(transfer.step(), polls).transpose()?;
        }
        Round::StepTakenAgain => {
            let mut transfer = block_on(prepare(&engine))?;
            for _ in 0..3 {
                poll(transfer.step(), polls).transpose()?;
            }
            block_on(transfer.step())?;
        }
        Round::PreparationDropped => {
            poll(prepare(&engine), polls).transpose()?;
        }
        Round::PictureDropped => {
            let mut transfer = block_on(prepare(&engine))?;
            drop(engine);
            poll(transfer.picture(), polls).transpose()?;
        }
        Round::TwoTransfers => {
            let mut older = block_on(prepare(&engine))?;
            let mut newer = block_on(prepare(&engine.clone()))?;
            poll(older.step(), polls).transpose()?;
            drop(older);
            block_on(newer.step())?;
        }
        Round::DeviceDestroyed => {
            let mut transfer = block_on(prepare(&engine))?;
            let mut step = pin!(transfer.step());
            let mut context = Context::from_waker(Waker::noop());
            let mut done = false;
            for _ in 0..polls {
                done = done || step.as_mut().poll(&mut context).is_ready();
            }
            engine.gpu().device().destroy();
            // An error, or the costs where the step was through: it must come to an end.
            if !done {
                let _ = block_on(step);
            }
        }
    }
    Ok(())
}

/// How many objects a device has.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Left([(&'static str, isize); 8]);

impl Left {
    /// Counts when everything submitted has come to its end.
    fn on(device: &wgpu::Device, queue: &wgpu::Queue) -> Self {
        // With this go the staging buffers of what was written and never submitted.
        queue.submit([]);
        // Of a destroyed device there is nothing to wait for.
        let _ = device.poll(wgpu::PollType::wait_indefinitely());
        let counters = device.get_internal_counters().hal;
        Self([
            ("buffers", counters.buffers.read()),
            ("bind groups", counters.bind_groups.read()),
            ("bind group layouts", counters.bind_group_layouts.read()),
            ("pipeline layouts", counters.pipeline_layouts.read()),
            ("compute pipelines", counters.compute_pipelines.read()),
            ("shader modules", counters.shader_modules.read()),
            ("query sets", counters.query_sets.read()),
            ("bytes of buffers", counters.buffer_memory.read()),
        ])
    }
}

impl std::fmt::Display for Left {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts: Vec<String> = self.0.iter().map(|(what, count)| format!("{count} {what}")).collect();
        f.write_str(&parts.join(", "))
    }
}

/// This process, as the system sees it.
struct Process {
    system: System,
    pid: Pid,
}

impl Process {
    fn new() -> Result<Self, Failure> {
        Ok(Self { system: System::new(), pid: sysinfo::get_current_pid()? })
    }

    /// KiB of resident memory, and threads where the system tells.
    fn read(&mut self) -> Result<(f64, usize), Failure> {
        let kind = ProcessRefreshKind::nothing().with_memory().with_tasks();
        self.system.refresh_processes_specifics(ProcessesToUpdate::Some(&[self.pid]), true, kind);
        let process = self.system.process(self.pid).ok_or("the system does not know this process")?;
        let threads = process.tasks().map_or(0, |tasks| tasks.len());
        Ok((process.memory() as f64 / 1024.0, threads))
    }
}

/// The slope of the line that is nearest to `values`, in the middle of squares, for each step from one to the next.
fn slope(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let middle = (count - 1.0) / 2.0;
    let mean = values.iter().sum::<f64>() / count;
    let (mut along, mut squares) = (0.0, 0.0);
    for (index, value) in values.iter().enumerate() {
        let distance = index as f64 - middle;
        along += distance * (value - mean);
        squares += distance * distance;
    }
    along / squares
}
