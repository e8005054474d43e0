//! Times the cases that the tests check: `cargo bench --bench kernels [-- FILTER]`. Wall time of a submission and
//! the wait for it, so small cases show the driver's latency; compare runs of one machine only.
#![allow(missing_docs, clippy::unwrap_used)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use impasto::cases::run::{Planned, Prepared, RunOptions};
use impasto::cases::{self, Case};
use impasto::gpu::{Gpu, Pipelines};
use impasto::graph::Executable;
use impasto::wgpu;
use pollster::block_on;

fn planned(gpu: &Gpu, case: &Case) -> Planned {
    Planned::new(gpu, case, &RunOptions { fuse: true, ..RunOptions::default() }).unwrap()
}

fn prepared(gpu: &Gpu, pipelines: &Pipelines, case: &Case) -> Prepared {
    block_on(Prepared::new(gpu, pipelines, &case.values(), planned(gpu, case))).unwrap()
}

fn replay(gpu: &Gpu, executable: &Executable) {
    let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    executable.record(&mut encoder, 0..executable.program().slices.len());
    gpu.queue().submit([encoder.finish()]);
    gpu.device().poll(wgpu::PollType::wait_indefinitely()).unwrap();
}

fn kernels(criterion: &mut Criterion) {
    let gpu = block_on(Gpu::open(None)).unwrap();
    let pipelines = Pipelines::default();
    let mut group = criterion.benchmark_group("kernels");
    group.sample_size(10);
    for case in cases::all() {
        // Made when its turn comes: most runs filter.
        let mut made = None;
        // Criterion's "elements a second" are then FLOP a second.
        group.throughput(Throughput::Elements(planned(&gpu, &case).program.flops()));
        group.bench_function(&case.name, |bencher| {
            let prepared = made.get_or_insert_with(|| prepared(&gpu, &pipelines, &case));
            bencher.iter(|| replay(&gpu, prepared.executable()));
        });
    }
    group.finish();
}

criterion_group!(benches, kernels);
criterion_main!(benches);
