//! Writes a tensor into the memory of another one: for what a program leaves in a tensor from outside between its other ops.

use super::{Capabilities, Io, Lowered, Op, Operand, Shape, elementwise, expect_shapes};
use crate::error::Result;
use crate::gpu::params;

params! {
    /// Uniforms of the kernel.
    StoreParams { count: u32 }
}

super::kernels! {
    folder: "store";
    store(StoreParams) { workgroup: 64, bindings: [read x, write y] }
}

/// The value in the place of the destination, to the bit. Inputs value and destination (C, H, W) of one shape. Nodes that read
/// a destination from outside before this one find what it held, those after it the value; a computed destination may not be
/// read any more. No gradient passes.
#[derive(Clone, Copy, Debug)]
pub struct Store;

impl Op for Store {
    fn name(&self) -> &'static str {
        "store"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.len() == 2 && inputs[0] == inputs[1];
        expect_shapes(self.name(), fits, "a value and a destination of one shape", inputs)?;
        Ok(inputs[1])
    }

    fn in_place(&self) -> Option<usize> {
        Some(1)
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let params = |piece| StoreParams { count: io.output().piece_elements(piece) };
        let operands = |piece| vec![Operand::input(0, piece), Operand::output(piece)];
        let dispatches = elementwise(&kernels::store, io.output(), 0, params, operands);
        Ok(Lowered { dispatches, ..Lowered::default() })
    }
}
