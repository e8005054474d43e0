//! Timing an executable, by GPU timestamps and by the clock.

#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::time::Instant;

use common::gpu::shared_gpu;
use impasto::gpu::{Gpu, Pipelines};
use impasto::graph::{Executable, Externals, Limits, Phase, Role, Tape, plan};
use impasto::ops::Shape;
use impasto::ops::probe::{Copy, Peak};
use impasto::wgpu;
use pollster::block_on;

/// A short dispatch, and one of several slices with sixteen times the work of a slice.
fn executable(gpu: &Gpu, pipelines: &Pipelines) -> Executable {
    let mut tape = Tape::new();
    let x = tape.external("x", Shape::new(1, 64, 64), Role::Workspace);
    let factors = tape.external("factors", Shape::row(2), Role::Workspace);
    let copy = tape.record(Copy, &[x], "short").unwrap();
    let peak = Arc::new(Peak { chains: 8, vector: false, rounds: 256 });
    let peak = tape.push(peak, &[copy, factors], "long", Phase::Forward).unwrap();
    tape.keep(peak);
    let whole = plan(&tape, &Limits::of(gpu, u64::MAX)).unwrap();
    assert_eq!((whole.dispatches.len(), whole.slices.len()), (2, 2));
    let work = whole.slices[1].work / 16;
    let program = plan(&tape, &Limits::of(gpu, work)).unwrap();
    assert!(program.slices.len() > 10, "{:?}", program.slices);
    let mut externals = Externals::default();
    for external in &program.externals {
        let usage = wgpu::BufferUsages::STORAGE;
        let buffer = block_on(gpu.buffer(&external.name, external.bytes, usage)).unwrap();
        externals.insert(external, Arc::new(buffer));
    }
    block_on(Executable::new(gpu, pipelines, program, externals)).unwrap()
}

/// Seconds of each dispatch in each of five repeats, after one that warms up, and of all on the wall.
fn measured(gpu: &Gpu) -> (Vec<Vec<f64>>, f64) {
    let executable = executable(gpu, &Pipelines::default());
    block_on(executable.time(gpu, 1)).unwrap();
    let begin = Instant::now();
    let seconds = block_on(executable.time(gpu, 5)).unwrap();
    let wall = begin.elapsed().as_secs_f64();
    assert_eq!(seconds.iter().map(Vec::len).collect::<Vec<_>>(), [5, 5]);
    let sum: f64 = seconds.iter().flatten().sum();
    assert!(sum <= wall, "{sum} s of {wall} s");
    (seconds, wall)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
fn timestamps_of_a_long_dispatch_are_longer_than_of_a_short_one() {
    let gpu = &shared_gpu().gpu;
    if !gpu.has_timestamps() {
        println!("{} has no timestamps", gpu.summary().name);
    }
    let (seconds, _) = measured(gpu);
    let [short, long] = [0, 1].map(|dispatch| median(seconds[dispatch].clone()));
    println!("{short} s and {long} s");
    assert!(short > 0.0 && long > short, "{short} s and {long} s");
}

#[test]
fn a_device_without_timestamps_is_timed_by_the_clock() {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default())).unwrap();
    let (device, queue) = block_on(adapter.request_device(&wgpu::DeviceDescriptor::default())).unwrap();
    let gpu = Gpu::from_parts(device, queue);
    assert!(!gpu.has_timestamps());
    let (seconds, _) = measured(&gpu);
    assert!(seconds.iter().flatten().all(|seconds| *seconds > 0.0), "{seconds:?}");
}

#[test]
fn a_part_of_the_slices_estimates_the_whole() {
    let gpu = &shared_gpu().gpu;
    let executable = executable(gpu, &shared_gpu().pipelines);
    block_on(executable.time(gpu, 1)).unwrap();
    let whole = block_on(executable.estimate(gpu, f64::INFINITY)).unwrap();
    let begin = Instant::now();
    let part = block_on(executable.estimate(gpu, 0.0)).unwrap();
    println!("{whole:?} s, estimated as {part:?} s in {:?}", begin.elapsed());
    assert!((whole.len(), part.len()) == (2, 2) && whole.iter().chain(&part).all(|seconds| *seconds > 0.0));
    // One of sixteen slices, so that forgetting to count the others would show; machines under load are patient.
    assert!(part[1] > whole[1] / 8.0 && part[1] < whole[1] * 8.0, "{part:?} s for {whole:?} s");
}

#[test]
fn nothing_takes_no_time() {
    let gpu = &shared_gpu().gpu;
    let executable = executable(gpu, &shared_gpu().pipelines);
    assert_eq!(block_on(executable.time(gpu, 0)).unwrap(), vec![Vec::<f64>::new(); 2]);
}
