//! Executables whose buffers do not fit: all dispatches are bound together, and the error names the one at fault.

#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use common::gpu::{Shared, shared_gpu};
use impasto::graph::{Executable, Externals, Limits, Program, Role, Tape, plan};
use impasto::ops::Shape;
use impasto::ops::probe::Copy;
use impasto::wgpu::BufferUsages;
use pollster::block_on;

/// Three copies, each of a tensor from outside.
fn program() -> Program {
    let mut tape = Tape::new();
    for layer in ["first", "second", "third"] {
        let x = tape.external(format!("{layer}.x"), Shape::new(1, 8, 8), Role::Workspace);
        let copy = tape.record(Copy, &[x], layer).unwrap();
        tape.keep(copy);
    }
    plan(&tape, &Limits::of(&shared_gpu().gpu, u64::MAX)).unwrap()
}

/// Makes the executable; each external has the usage that `usage` says, and those without one no buffer.
fn executable(usage: impl Fn(&str) -> Option<BufferUsages>) -> impasto::Result<Executable> {
    let Shared { gpu, pipelines } = shared_gpu();
    let program = program();
    let mut externals = Externals::default();
    for external in &program.externals {
        if let Some(usage) = usage(&external.name) {
            let buffer = block_on(gpu.buffer(&external.name, external.bytes, usage)).unwrap();
            externals.insert(external, Arc::new(buffer));
        }
    }
    block_on(Executable::new(gpu, pipelines, program, externals))
}

#[test]
fn the_dispatch_that_cannot_be_bound_is_named() {
    let kernel = program().dispatches[0].kernel.name;
    // The third is wrong as well: the first of them is reported.
    let wrong = |name: &str| {
        let first = name.starts_with("first");
        Some(if first { BufferUsages::STORAGE } else { BufferUsages::COPY_DST })
    };
    let text = executable(wrong).unwrap_err().to_string();
    assert!(text.contains(&format!("binding impasto.{kernel}.second")), "{text}");
    // The driver's own words.
    assert!(text.contains("STORAGE"), "{text}");
    // The device goes on as before.
    let whole = executable(|_| Some(BufferUsages::STORAGE)).unwrap();
    assert_eq!(whole.program().dispatches.len(), 3);
}

#[test]
fn a_missing_buffer_is_named() {
    let given = |name: &str| (!name.starts_with("second")).then_some(BufferUsages::STORAGE);
    let text = executable(given).unwrap_err().to_string();
    assert!(text.contains("binding second.x") && text.contains("no buffer"), "{text}");
}
