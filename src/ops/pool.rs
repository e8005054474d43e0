//! Average pooling 2×2, stride 2, "SAME": sizes round up, cells outside are not counted.

use std::sync::Arc;

use super::conv::{ConvBackward, ConvPoolBackward};
use super::{
    Capabilities, Dispatch, Epilogue, Io, Layout, Lowered, Op, Operand, Rule, Shape, Wire, expect_shapes,
};
use crate::error::Result;
use crate::gpu::{Kernel, params};

params! {
    /// Uniforms of both kernels: h and w are x's, the channels are those that a piece of x and a piece of y
    /// have in common; each begins at its own channel of its piece, and x's mask at `gate_first`.
    PoolParams { channels: u32, h: u32, w: u32, x_first: u32, y_first: u32, gate_first: u32, flags: u32 }
}

super::kernels! {
    folder: "pool";
    pool_forward(PoolParams) { workgroup: 64, bindings: [read x, write y] }
    pool_backward(PoolParams) { workgroup: 64, bindings: [read dy, read gate, write d_x] }
}

fn pooled(x: Shape) -> Shape {
    Shape::new(x.c, x.h.div_ceil(2), x.w.div_ceil(2))
}

/// Input (C, H, W), output (C, ⌈H/2⌉, ⌈W/2⌉).
#[derive(Debug)]
pub struct Pool;

impl Op for Pool {
    fn name(&self) -> &'static str {
        "pool"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        expect_shapes(self.name(), inputs.len() == 1, "one tensor", inputs)?;
        Ok(pooled(inputs[0]))
    }

    fn backward(&self, _input: usize, shapes: &[Shape]) -> Option<Rule> {
        Some(Rule::new(PoolBackward { x: shapes[0], epilogue: Epilogue::default() }, [Wire::Upstream]))
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let x = &io.inputs[0];
        let dispatches = common_channels(x, io.output())
            .map(|common| {
                let operands = vec![Operand::input(0, common.x), Operand::output(common.y)];
                let elements = u64::from(common.params.channels) * io.output().shape.plane();
                common.dispatch(&kernels::pool_forward, x.shape, 0, operands, elements, 4 * elements)
            })
            .collect();
        Ok(Lowered { dispatches, ..Lowered::default() })
    }
}

/// dx of [`Pool`]: dy divided by the number of cells that were averaged. Input dy (C, ⌈H/2⌉, ⌈W/2⌉), output
/// (C, H, W).
#[derive(Debug)]
pub struct PoolBackward {
    /// Shape of x.
    pub x: Shape,
    /// Merged work.
    pub epilogue: Epilogue,
}

impl Op for PoolBackward {
    fn name(&self) -> &'static str {
        "pool_backward"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        expect_shapes(
            self.name(),
            inputs.first() == Some(&pooled(self.x)),
            "dy of the pooled shape",
            inputs,
        )?;
        Ok(self.x)
    }

    fn fuse(&self, next: &dyn Op, slot: usize) -> Option<Arc<dyn Op>> {
        let behind_relu = self.epilogue == Epilogue { gate: true, ..Epilogue::default() };
        let conv = next.downcast::<ConvBackward>().filter(|_| behind_relu && slot == 0);
        if let Some(ConvBackward { epilogue }) = conv {
            return Some(Arc::new(ConvPoolBackward { pooled: self.x, epilogue: *epilogue }));
        }
        let epilogue = self.epilogue.absorb(next, slot)?;
        Some(Arc::new(Self { epilogue, ..*self }))
    }

    fn in_place(&self) -> Option<usize> {
        self.epilogue.in_place(1)
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let gate = self.epilogue.gate_operand(1, io)?;
        let dispatches = common_channels(io.output(), &io.inputs[0])
            .map(|common| {
                let operands = vec![Operand::input(0, common.y), gate, Operand::output(common.x)];
                let channels = u64::from(common.params.channels);
                let (threads, flops) = (channels * pooled(self.x).plane(), channels * self.x.plane());
                common.dispatch(
                    &kernels::pool_backward,
                    self.x,
                    self.epilogue.flags(0, 1),
                    operands,
                    threads,
                    flops,
                )
            })
            .collect();
        Ok(Lowered { dispatches, ..Lowered::default() })
    }
}

/// Channels that piece `x` of one tensor and piece `y` of another have in common. The groups differ, because
/// the pooled planes are smaller.
struct Common {
    x: usize,
    y: usize,
    params: PoolParams,
}

impl Common {
    fn dispatch(
        self,
        kernel: &'static Kernel,
        x: Shape,
        flags: u32,
        operands: Vec<Operand>,
        threads: u64,
        flops: u64,
    ) -> Dispatch {
        let params = PoolParams { h: x.h, w: x.w, flags, ..self.params };
        Dispatch::new(kernel, params, operands, threads.div_ceil(u64::from(kernel.workgroup)) as u32, flops)
    }
}

fn common_channels(x: &Layout, y: &Layout) -> impl Iterator<Item = Common> {
    x.pieces.iter().enumerate().flat_map(move |(xi, xr)| {
        y.pieces.iter().enumerate().filter_map(move |(yi, yr)| {
            let (first, end) = (xr.start.max(yr.start), xr.end.min(yr.end));
            let params = PoolParams {
                channels: end.checked_sub(first).filter(|channels| *channels > 0)?,
                h: 0,
                w: 0,
                x_first: first - xr.start,
                y_first: first - yr.start,
                gate_first: first,
                flags: 0,
            };
            Some(Common { x: xi, y: yi, params })
        })
    })
}
