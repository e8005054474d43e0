//! Pooling 2×2, stride 2, "SAME": sizes round up, cells outside are not counted. Of the cells a pool takes the mean or
//! the largest.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::relu::{expect_whole_mask, mask_shape, whole_mask};
use super::{
    Capabilities, Dispatch, Epilogue, Io, Layout, Lowered, Op, Operand, Rule, Shape, Wire, expect_shapes,
};
use crate::error::Result;
use crate::gpu::{Kernel, params};

params! {
    /// Uniforms of all kernels: h and w are x's, the channels are those that a piece of x and a piece of y
    /// have in common; each begins at its own channel of its piece, and x's masks at `gate_first`.
    PoolParams { channels: u32, h: u32, w: u32, x_first: u32, y_first: u32, gate_first: u32, flags: u32 }
}

super::kernels! {
    folder: "pool";
    pool_forward(PoolParams) { workgroup: 64, bindings: [read x, write y] }
    pool_backward(PoolParams) { workgroup: 64, bindings: [read dy, read gate, write d_x] }
    max_pool_forward(PoolParams) { workgroup: 64, bindings: [read x, write y, write winners] }
    max_pool_backward(PoolParams) { workgroup: 64, bindings: [read dy, read winners, read gate, write d_x] }
}

fn pooled(x: Shape) -> Shape {
    Shape::new(x.c, x.h.div_ceil(2), x.w.div_ceil(2))
}

/// What becomes of the cells of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PoolKind {
    /// Their mean.
    #[default]
    Mean,
    /// The largest; NaN where one of them is.
    Max,
}

impl PoolKind {
    /// All kinds with their names.
    pub const ALL: [(&'static str, Self); 2] = [("mean", Self::Mean), ("max", Self::Max)];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, it)| *it == self).map_or("", |(name, _)| name)
    }
}

/// Input x (C, H, W), output (C, ⌈H/2⌉, ⌈W/2⌉), and where asked for which cells won.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// What becomes of the cells.
    pub kind: PoolKind,
    /// Whether a max pool also writes which cell of each window won: its backward rule reads that. One bit for each
    /// element of x, as in a ReLU's mask (see [`mask_shape`]); of equal cells the first in row order wins. A mean has
    /// no winners.
    pub winners: bool,
}

impl Pool {
    /// The mean.
    pub const MEAN: Self = Self { kind: PoolKind::Mean, winners: false };

    /// A pool as it is recorded where a `gradient` will be wanted, or none.
    pub const fn recorded(kind: PoolKind, gradient: bool) -> Self {
        Self { kind, winners: gradient && matches!(kind, PoolKind::Max) }
    }
}

impl Op for Pool {
    fn name(&self) -> &'static str {
        match self.kind {
            PoolKind::Mean => "pool",
            PoolKind::Max => "max_pool",
        }
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        // Windows of one plane: those of a volume would be of three dimensions.
        let fits = inputs.len() == 1 && inputs[0].d == 1;
        expect_shapes(self.name(), fits, "one tensor C×H×W", inputs)?;
        Ok(pooled(inputs[0]))
    }

    fn side_outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        self.winners.then(|| mask_shape(inputs[0])).into_iter().collect()
    }

    fn backward(&self, _input: usize, shapes: &[Shape]) -> Option<Rule> {
        let op = PoolBackward { kind: self.kind, x: shapes[0], epilogue: Epilogue::default() };
        match self.kind {
            PoolKind::Mean => Some(Rule::new(op, [Wire::Upstream])),
            PoolKind::Max => self.winners.then(|| Rule::new(op, [Wire::Upstream, Wire::Output(1)])),
        }
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let x = &io.inputs[0];
        let (winners, flags) =
            if self.winners { (whole_mask(io, 1)?, Epilogue::MASK) } else { (Operand::Unused, 0) };
        let dispatches = common_channels(x, io.output())
            .map(|common| {
                let mut operands = vec![Operand::input(0, common.x), Operand::output(common.y)];
                let channels = u64::from(common.params.channels);
                let flops = 4 * channels * io.output().shape.plane();
                match self.kind {
                    PoolKind::Mean => {
                        let threads = channels * io.output().shape.plane();
                        common.dispatch(&kernels::pool_forward, x.shape, flags, operands, threads, flops)
                    }
                    PoolKind::Max => {
                        operands.push(winners);
                        let threads = channels * mask_shape(x.shape).plane();
                        common.dispatch(&kernels::max_pool_forward, x.shape, flags, operands, threads, flops)
                    }
                }
            })
            .collect();
        Ok(Lowered { dispatches, ..Lowered::default() })
    }
}

/// dx of [`Pool`]. Of a mean: dy divided by the number of cells that were averaged. Of a max: dy in the cell that won,
/// 0 in the others; a second input says which did. Input dy (C, ⌈H/2⌉, ⌈W/2⌉), output (C, H, W).
#[derive(Debug)]
pub struct PoolBackward {
    /// The kind of pool.
    pub kind: PoolKind,
    /// Shape of x.
    pub x: Shape,
    /// Merged work.
    pub epilogue: Epilogue,
}

impl PoolBackward {
    /// How many inputs are its own.
    pub(crate) const fn own(&self) -> usize {
        match self.kind {
            PoolKind::Mean => 1,
            PoolKind::Max => 2,
        }
    }
}

impl Op for PoolBackward {
    fn name(&self) -> &'static str {
        match self.kind {
            PoolKind::Mean => "pool_backward",
            PoolKind::Max => "max_pool_backward",
        }
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.first() == Some(&pooled(self.x));
        match self.kind {
            PoolKind::Mean => expect_shapes(self.name(), fits, "dy of the pooled shape", inputs)?,
            PoolKind::Max => {
                let fits = fits && inputs.get(1) == Some(&mask_shape(self.x));
                expect_shapes(self.name(), fits, "dy of the pooled shape and the winners of x's", inputs)?;
            }
        }
        Ok(self.x)
    }

    fn fuse(&self, next: &dyn Op, slot: usize) -> Option<Arc<dyn Op>> {
        let epilogue = self.epilogue.absorb(next, slot)?;
        Some(Arc::new(Self { epilogue, ..*self }))
    }

    fn in_place(&self) -> Option<usize> {
        self.epilogue.in_place(self.own())
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let gate = self.epilogue.gate_operand(self.own(), io)?;
        if self.kind == PoolKind::Max {
            expect_whole_mask(&io.inputs[1])?;
        }
        let dispatches = common_channels(io.output(), &io.inputs[0])
            .map(|common| {
                let dy = Operand::input(0, common.y);
                let dx = Operand::output(common.x);
                let (kernel, operands) = match self.kind {
                    PoolKind::Mean => (&kernels::pool_backward, vec![dy, gate, dx]),
                    PoolKind::Max => (&kernels::max_pool_backward, vec![dy, Operand::input(1, 0), gate, dx]),
                };
                let channels = u64::from(common.params.channels);
                let (threads, flops) = (channels * pooled(self.x).plane(), channels * self.x.plane());
                common.dispatch(kernel, self.x, self.epilogue.flags(0, 1), operands, threads, flops)
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
    x.common(y, 0).map(|common| {
        let params = PoolParams {
            channels: common.channels,
            h: 0,
            w: 0,
            x_first: common.first,
            y_first: common.other_first,
            gate_first: common.channel,
            flags: 0,
        };
        Common { x: common.piece, y: common.other, params }
    })
}
