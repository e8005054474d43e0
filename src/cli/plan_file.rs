//! `--plan`: the program of a step for machines.

use std::path::Path;

use impasto::gpu::Slice;
use impasto::graph::{Bytes, Place, PlannedDispatch, Program, Resource};
use impasto::ops::Shape;
use impasto::transfer::{Plan, StepPlan};

use super::args::RunArguments;
use super::job::Job;
use super::{Failure, Result, output};

/// The file.
#[derive(serde::Serialize)]
struct PlanFile<'a> {
    width: u32,
    height: u32,
    convolutions: Convolutions<'a>,
    dispatches: Vec<DispatchEntry<'a>>,
    bytes: Bytes,
}

/// The request, and how the methods for the convolutions were chosen.
#[derive(serde::Serialize)]
struct Convolutions<'a> {
    algorithm: &'a str,
    low_memory: bool,
    chosen: &'static str,
}

/// `method` is null for ops that have only one. Shapes are [c, h, w]; `buffer`, `offset` and `live` (the first and the
/// last dispatch that touch it) are those of the tensor that the dispatch writes.
#[derive(serde::Serialize)]
struct DispatchEntry<'a> {
    index: usize,
    kernel: &'static str,
    method: Option<&'static str>,
    op: &'static str,
    layer: &'a str,
    inputs: Vec<[u32; 3]>,
    output: [u32; 3],
    flops: u64,
    bytes: u64,
    buffer: String,
    offset: u64,
    live: [usize; 2],
    workgroups: [u32; 3],
}

/// Writes the plan of a job to `path`.
pub(super) fn write(path: &Path, job: &Job, arguments: &RunArguments) -> Result<()> {
    let Plan { step: StepPlan { program, size }, bytes, .. } = &job.plan;
    let convolutions = Convolutions {
        algorithm: arguments.algorithm(),
        low_memory: arguments.low_memory(),
        chosen: job.method_source.name(),
    };
    let dispatches = program.dispatches.iter().enumerate();
    let dispatches = dispatches.map(|(index, dispatch)| entry(program, index, dispatch)).collect();
    let file = PlanFile { width: size.0, height: size.1, convolutions, dispatches, bytes: *bytes };
    let mut json = serde_json::to_vec(&file).map_err(|error| Failure::Failed(format!("--plan: {error}")))?;
    json.push(b'\n');
    output::write(path, &json)
}

fn entry<'a>(program: &Program, index: usize, dispatch: &'a PlannedDispatch) -> DispatchEntry<'a> {
    let written = written(program, dispatch);
    let (buffer, offset) = place(program, written);
    let sides = |shape: &Shape| [shape.c, shape.h, shape.w];
    DispatchEntry {
        index,
        kernel: dispatch.kernel.name,
        method: dispatch.choice.map(|(_, method)| method.name),
        op: dispatch.op,
        layer: &dispatch.layer,
        inputs: dispatch.inputs.iter().map(sides).collect(),
        output: sides(&dispatch.output),
        flops: dispatch.flops,
        bytes: dispatch.bytes,
        buffer,
        offset,
        live: written.live,
        workgroups: Slice::fold(dispatch.workgroups),
    }
}

/// What a dispatch writes.
pub(super) fn written<'a>(program: &'a Program, dispatch: &PlannedDispatch) -> &'a Resource {
    &program.resources[dispatch.bindings[dispatch.written]]
}

/// The buffer that a resource lies in, and its offset in bytes.
pub(super) fn place(program: &Program, resource: &Resource) -> (String, u64) {
    match resource.place {
        Place::Arena { arena, offset } => (format!("arena.{arena}"), offset),
        Place::External(index) => {
            let external = &program.externals[index];
            // Every piece of a tensor from outside has a buffer of its own.
            let piece = if external.piece == 0 { String::new() } else { format!("[{}]", external.piece) };
            (format!("{}{piece}", external.name), 0)
        }
        Place::Unused => ("unused".to_owned(), 0),
    }
}
