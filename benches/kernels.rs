//! Times the cases that the tests check: `cargo bench --bench kernels [-- FILTER]`. Wall time of a submission and
//! the wait for it, so small cases show the driver's latency; compare runs of one machine only.
#![allow(missing_docs, clippy::unwrap_used)]

use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use impasto::cases::{self, Case};
use impasto::gpu::{Gpu, Pipelines};
use impasto::graph::{Executable, Externals, Limits, Program, fuse, plan};
use impasto::ops::{Form, conv};
use impasto::wgpu;
use pollster::block_on;

fn planned(gpu: &Gpu, case: &Case) -> Program {
    let limits = Limits::of(gpu, u64::MAX);
    plan(&fuse(&case.record().unwrap().tape), &limits).unwrap()
}

fn executable(gpu: &Gpu, pipelines: &Pipelines, case: &Case) -> Executable {
    let program = planned(gpu, case);
    let values = case.values();
    let mut externals = Externals::default();
    for external in &program.externals {
        let index = (0..values.len()).find(|index| Case::input_name(*index) == external.name).unwrap();
        let words = &values[index];
        let arranged = match external.form {
            Form::Plain => words.clone(),
            form => conv::arrange(form, bytemuck::cast_slice(words), external.shape.h, external.shape.c),
        };
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
        let buffer = block_on(gpu.buffer(&external.name, external.bytes, usage)).unwrap();
        gpu.queue().write_buffer(&buffer, 0, bytemuck::cast_slice(&arranged));
        externals.insert(external, Arc::new(buffer));
    }
    block_on(Executable::new(gpu, pipelines, program, externals)).unwrap()
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
        group.throughput(Throughput::Elements(planned(&gpu, &case).flops()));
        group.bench_function(&case.name, |bencher| {
            let executable = made.get_or_insert_with(|| executable(&gpu, &pipelines, &case));
            bencher.iter(|| replay(&gpu, executable));
        });
    }
    group.finish();
}

criterion_group!(benches, kernels);
criterion_main!(benches);
