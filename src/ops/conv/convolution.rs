//! Convolutions and their gradients as ops, alone and merged with a pool: what lies between the two is the
//! largest tensor of its block, and where Winograd does the convolution it never is in memory. The four stand in one file
//! because the plain ones become the merged ones, which are made of them.

use std::sync::Arc;

use super::geometry::ConvGeometry;
use super::methods;
use super::tiling::Summed;
use super::winograd::{Unpool, Winograd};
use crate::error::Result;
use crate::ops::pool::{Pool, PoolBackward, PoolKind};
use crate::ops::relu::{Relu, expect_whole_mask, lower_mask, mask_shape, whole_mask};
use crate::ops::{
    Algorithm, Capabilities, Direction, Epilogue, Io, Layout, Lowered, Op, Operand, Problem, Rule, Shape,
    Trial, Variants, Wire, Wrap, expect_shapes, unfit_shapes,
};

/// Convolutions and their gradients by several methods.
pub static VARIANTS: Variants = Variants {
    op: methods::OP,
    methods: &methods::METHODS,
    naive: methods::NAIVE,
    usual: methods::usual,
    fits: methods::fits,
    trial,
};

/// The op that is timed for a problem: forward with what a step merges into it.
fn trial(problem: &Problem) -> Trial {
    let &Problem { direction, inputs, outputs, d, h, w, geometry, .. } = problem;
    let geometry = geometry.unwrap_or_default();
    let x = |channels| Shape::volume(channels, d, h, w);
    match direction {
        Direction::Forward => Trial {
            op: Arc::new(Conv { geometry, relu: true, mask: true }),
            inputs: vec![x(inputs)],
            weights: vec![geometry.weights_shape(inputs, outputs), Shape::row(outputs)],
        },
        Direction::Backward => {
            let op = ConvBackward { geometry, x: x(outputs), epilogue: Epilogue::default() };
            // Where the geometry does not fit, planning the trial reports it.
            let dy = geometry.output_shape(op.name(), op.x, inputs).unwrap_or(x(inputs));
            Trial {
                op: Arc::new(op),
                inputs: vec![dy],
                weights: vec![geometry.weights_shape(outputs, inputs)],
            }
        }
    }
}

/// Flag bits for what lies beyond the edges of x.
fn edge_flags(geometry: &ConvGeometry) -> u32 {
    let edge = if geometry.padding.mode.is_replicated() { Epilogue::EDGE } else { 0 };
    let wraps = [Wrap::FLAG_D, Wrap::FLAG_Y, Wrap::FLAG_X].into_iter().zip(geometry.padding.wrapped);
    wraps.filter(|(_, wraps)| *wraps).fold(edge, |flags, (flag, _)| flags | flag)
}

/// Flag bits for the kind of a pool.
fn max_flag(kind: PoolKind) -> u32 {
    match kind {
        PoolKind::Mean => 0,
        PoolKind::Max => Epilogue::MAX,
    }
}

/// Maximum input channels of a convolution that is repeated in the backward pass rather than kept.
const PICTURE_CHANNELS: u32 = 3;

/// y = w ∗ x + b, with ReLU when merged. Inputs x (C_in, D, H, W), w (C_out, C_in / groups, taps), b (1, 1, C_out);
/// output (C_out, D', H', W'), and the ReLU's mask where asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Conv {
    /// Which inputs an output is made of.
    pub geometry: ConvGeometry,
    /// Whether ReLU follows in the same kernel.
    pub relu: bool,
    /// Whether the ReLU's mask is made, too.
    pub mask: bool,
}

impl Op for Conv {
    fn name(&self) -> &'static str {
        if self.relu { "conv_relu" } else { "conv" }
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let rule = "x C×H×W, weights K×(C/groups)×taps, bias 1×1×K";
        let &[x, weights, bias] = inputs else {
            return Err(unfit_shapes(self.name(), rule, inputs));
        };
        let y = self.geometry.output_shape(self.name(), x, weights.c)?;
        let fits = weights == self.geometry.weights_shape(x.c, weights.c) && bias == Shape::row(weights.c);
        expect_shapes(self.name(), fits, rule, inputs)?;
        Ok(y)
    }

    fn backward(&self, input: usize, shapes: &[Shape]) -> Option<Rule> {
        let reaches = input == 0 && !self.relu;
        let x = *shapes.first().filter(|_| reaches)?;
        let op = ConvBackward { geometry: self.geometry.of_gradient(), x, epilogue: Epilogue::default() };
        Some(Rule::new(op, [Wire::Upstream, Wire::Input(1)]))
    }

    fn side_outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        let y = self.output_shape(inputs).ok().filter(|_| self.mask);
        y.map(mask_shape).into_iter().collect()
    }

    fn fuse(&self, next: &dyn Op, _slot: usize) -> Option<Arc<dyn Op>> {
        if let (false, Some(relu)) = (self.relu, next.downcast::<Relu>()) {
            return Some(Arc::new(Self { relu: true, mask: relu.mask, ..*self }));
        }
        let pool = *next.downcast::<Pool>().filter(|_| self.relu)?;
        Some(Arc::new(ConvPool { conv: *self, pool }))
    }

    /// From a picture's few channels: 0.2 % of a step's work at VGG's first layer, whose output has twenty times the
    /// bytes of its input.
    fn repeat(&self, inputs: &[Shape]) -> Option<Arc<dyn Op>> {
        (inputs[0].c <= PICTURE_CHANNELS).then(|| Arc::new(Self { mask: false, ..*self }) as _)
    }

    fn lower(&self, io: &Io<'_>, capabilities: &Capabilities) -> Result<Lowered> {
        let finish = Epilogue::BIAS | if self.relu { Epilogue::RELU } else { 0 };
        let (x, y) = (&io.inputs[0], io.output());
        let problem = methods::problem(&self.geometry, Direction::Forward, x.shape, y.shape.c);
        let method = VARIANTS.choose(&problem, capabilities);
        let choice = Some((problem, method));
        let Some(tiling) = methods::tiling(method, &problem) else {
            let winograd = Winograd {
                products: methods::products_kernel(method, Direction::Forward, capabilities.precision),
                direction: Direction::Forward,
                x,
                unpool: None,
                y,
                weights: 1,
                weights_shape: io.inputs[1].shape,
                plane: y.shape,
                input_flags: edge_flags(&self.geometry),
                flags: finish,
                bias: Operand::input(2, 0),
                gate: Operand::Unused,
                mask: if self.mask { whole_mask(io, 1)? } else { Operand::Unused },
                winners: Operand::Unused,
            };
            return Ok(Lowered { choice, ..winograd.lower(capabilities) });
        };
        let sum =
            Summed { io, geometry: &self.geometry, x, y, bias: Operand::input(2, 0), gate: Operand::Unused };
        let mut dispatches = tiling.dispatches(&sum, |index, count| {
            let end = if index + 1 == count { finish } else { 0 };
            edge_flags(&self.geometry) | Epilogue::default().flags(index, count) | end
        });
        if self.mask {
            dispatches.extend(lower_mask(io)?);
        }
        Ok(Lowered { dispatches, choice, ..Lowered::default() })
    }
}

/// dx = the transpose of [`Conv`] applied to dy, with what the padding's mode has for the gradient. Inputs dy (C_out, D', H', W'), w (C_out, C_in / groups, taps); output
/// (C_in, D, H, W).
#[derive(Clone, Copy, Debug)]
pub struct ConvBackward {
    /// The convolution's.
    pub geometry: ConvGeometry,
    /// Shape of x: where the stride is not 1, several have an output of the shape of dy.
    pub x: Shape,
    /// Merged work.
    pub epilogue: Epilogue,
}

impl Op for ConvBackward {
    fn name(&self) -> &'static str {
        "conv_backward"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let rule = "dy K×H'×W' of the output's shape and weights K×(C/groups)×taps";
        let &[dy, weights, ..] = inputs else {
            return Err(unfit_shapes(self.name(), rule, inputs));
        };
        let fits = dy == self.geometry.output_shape(self.name(), self.x, dy.c)?
            && weights == self.geometry.weights_shape(self.x.c, dy.c);
        expect_shapes(self.name(), fits, rule, inputs)?;
        Ok(self.x)
    }

    fn fuse(&self, next: &dyn Op, slot: usize) -> Option<Arc<dyn Op>> {
        Some(Arc::new(Self { epilogue: self.epilogue.absorb(next, slot)?, ..*self }))
    }

    fn fuse_after(&self, previous: &dyn Op, slot: usize) -> Option<Arc<dyn Op>> {
        let pool = previous.downcast::<PoolBackward>().filter(|_| slot == 0)?;
        let is_gated = pool.epilogue == Epilogue { gate: true, ..Epilogue::default() };
        // The merged op is for a pool after a convolution with its ReLU.
        is_gated.then(|| Arc::new(ConvPoolBackward { pooled: pool.x, kind: pool.kind, conv: *self }) as _)
    }

    fn in_place(&self) -> Option<usize> {
        self.epilogue.in_place(2)
    }

    fn lower(&self, io: &Io<'_>, capabilities: &Capabilities) -> Result<Lowered> {
        let (dy, dx) = (&io.inputs[0], io.output());
        let problem = methods::problem(&self.geometry, Direction::Backward, dx.shape, dy.shape.c);
        let method = VARIANTS.choose(&problem, capabilities);
        let choice = Some((problem, method));
        let gate = self.epilogue.gate_operand(2, io)?;
        let Some(tiling) = methods::tiling(method, &problem) else {
            let winograd = Winograd {
                products: methods::products_kernel(method, Direction::Backward, capabilities.precision),
                direction: Direction::Backward,
                x: dy,
                unpool: None,
                y: dx,
                weights: 1,
                weights_shape: io.inputs[1].shape,
                plane: dx.shape,
                input_flags: edge_flags(&self.geometry.of_gradient()),
                flags: self.epilogue.flags(0, 1),
                bias: Operand::Unused,
                gate,
                mask: Operand::Unused,
                winners: Operand::Unused,
            };
            return Ok(Lowered { choice, ..winograd.lower(capabilities) });
        };
        let geometry = &self.geometry.of_gradient();
        let sum = Summed { io, geometry, x: dx, y: dy, bias: Operand::Unused, gate };
        let dispatches =
            tiling.dispatches(&sum, |index, count| edge_flags(geometry) | self.epilogue.flags(index, count));
        Ok(Lowered { dispatches, choice, ..Lowered::default() })
    }
}

/// y = pool(relu(w ∗ x + b)). Inputs as those of [`Conv`], whose output is (C_out, H, W); output (C_out, ⌈H/2⌉, ⌈W/2⌉),
/// and where asked for the ReLU's mask, then the winners of a max pool.
#[derive(Debug)]
pub struct ConvPool {
    /// The convolution, with its ReLU.
    pub conv: Conv,
    /// The pool.
    pub pool: Pool,
}

impl Op for ConvPool {
    fn name(&self) -> &'static str {
        match self.pool.kind {
            PoolKind::Mean => "conv_relu_pool",
            PoolKind::Max => "conv_relu_max_pool",
        }
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        self.pool.output_shape(&[self.conv.output_shape(inputs)?])
    }

    fn side_outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        let y = self.conv.output_shape(inputs).ok();
        let winners = y.map(|y| self.pool.side_outputs(&[y])).unwrap_or_default();
        [self.conv.side_outputs(inputs), winners].concat()
    }

    fn lower(&self, io: &Io<'_>, capabilities: &Capabilities) -> Result<Lowered> {
        let shapes: Vec<Shape> = io.inputs.iter().map(|input| input.shape).collect();
        let y = self.conv.output_shape(&shapes)?;
        let problem = methods::problem(&self.conv.geometry, Direction::Forward, shapes[0], y.c);
        let method = VARIANTS.choose(&problem, capabilities);
        let sides = usize::from(self.conv.mask);
        if method.algorithm == Algorithm::Winograd {
            let winograd = Winograd {
                products: methods::products_kernel(method, Direction::Forward, capabilities.precision),
                direction: Direction::Forward,
                x: &io.inputs[0],
                unpool: None,
                y: io.output(),
                weights: 1,
                weights_shape: shapes[1],
                plane: y,
                input_flags: edge_flags(&self.conv.geometry),
                flags: Epilogue::BIAS | Epilogue::RELU | Epilogue::POOL | max_flag(self.pool.kind),
                bias: Operand::input(2, 0),
                gate: Operand::Unused,
                mask: if self.conv.mask { whole_mask(io, 1)? } else { Operand::Unused },
                winners: if self.pool.winners { whole_mask(io, 1 + sides)? } else { Operand::Unused },
            };
            return Ok(Lowered { choice: Some((problem, method)), ..winograd.lower(capabilities) });
        }
        let between = [Layout::new(y, capabilities.max_binding_bytes)?];
        let (masks, winners) = io.outputs[1..].split_at(sides);
        let outputs = [&between, masks].concat();
        let conv = self.conv.lower(&Io { inputs: io.inputs, outputs: &outputs }, capabilities)?;
        let outputs = [&io.outputs[..1], winners].concat();
        let pool = self.pool.lower(&Io { inputs: &between, outputs: &outputs }, capabilities)?;
        Ok(conv.then(pool, &between[0], io.inputs.len(), sides))
    }
}

/// dx of [`ConvPool`] without the ReLU's mask of x: the transpose of the convolution applied to gate(unpool(dy)).
/// Inputs dy (C_out, ⌈H/2⌉, ⌈W/2⌉), for a max pool its winners, the mask of the pool's input, and the weights as
/// [`ConvBackward`] reads them; output that of [`ConvBackward`].
#[derive(Debug)]
pub struct ConvPoolBackward {
    /// Shape of what was pooled.
    pub pooled: Shape,
    /// What the pool took of its cells.
    pub kind: PoolKind,
    /// The gradient of the convolution, with the merged work.
    pub conv: ConvBackward,
}

impl ConvPoolBackward {
    fn unpool(&self) -> PoolBackward {
        let epilogue = Epilogue { gate: true, ..Epilogue::default() };
        PoolBackward { kind: self.kind, x: self.pooled, epilogue }
    }

    /// The input that is the weights: behind those of the pool and its gate. It is the last of its own.
    fn weights(&self) -> usize {
        self.unpool().own() + 1
    }
}

impl Op for ConvPoolBackward {
    fn name(&self) -> &'static str {
        match self.kind {
            PoolKind::Mean => "conv_pool_backward",
            PoolKind::Max => "conv_max_pool_backward",
        }
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let (of_pool, rest) = inputs.split_at(self.weights().min(inputs.len()));
        let dy = self.unpool().output_shape(of_pool)?;
        self.conv.output_shape(&[&[dy], rest].concat())
    }

    fn fuse(&self, next: &dyn Op, slot: usize) -> Option<Arc<dyn Op>> {
        let epilogue = self.conv.epilogue.absorb(next, slot)?;
        Some(Arc::new(Self { conv: ConvBackward { epilogue, ..self.conv }, ..*self }))
    }

    fn in_place(&self) -> Option<usize> {
        self.conv.epilogue.in_place(self.weights() + 1)
    }

    fn lower(&self, io: &Io<'_>, capabilities: &Capabilities) -> Result<Lowered> {
        let problem =
            methods::problem(&self.conv.geometry, Direction::Backward, io.output().shape, self.pooled.c);
        let method = VARIANTS.choose(&problem, capabilities);
        let weights = self.weights();
        // The transform that spreads a pool's gradient reads words of masks, which do not wrap.
        let wraps = self.conv.geometry.padding.wrapped.contains(&true);
        if method.algorithm == Algorithm::Winograd && !wraps {
            io.inputs[1..weights].iter().try_for_each(expect_whole_mask)?;
            // Of a mean there are no winners.
            let winners = if self.kind == PoolKind::Max { Operand::input(1, 0) } else { Operand::Unused };
            let winograd = Winograd {
                products: methods::products_kernel(method, Direction::Backward, capabilities.precision),
                direction: Direction::Backward,
                x: &io.inputs[0],
                unpool: Some(Unpool { gate: Operand::input(weights - 1, 0), winners }),
                y: io.output(),
                weights,
                weights_shape: io.inputs[weights].shape,
                plane: io.output().shape,
                input_flags: max_flag(self.kind),
                flags: self.conv.epilogue.flags(0, 1),
                bias: Operand::Unused,
                gate: self.conv.epilogue.gate_operand(weights + 1, io)?,
                mask: Operand::Unused,
                winners: Operand::Unused,
            };
            return Ok(Lowered { choice: Some((problem, method)), ..winograd.lower(capabilities) });
        }
        let between = Layout::new(self.pooled, capabilities.max_binding_bytes)?;
        let own = std::slice::from_ref(&between);
        let unpool =
            self.unpool().lower(&Io { inputs: &io.inputs[..weights], outputs: own }, capabilities)?;
        let inputs: Vec<Layout> = own.iter().chain(&io.inputs[weights..]).cloned().collect();
        let conv = self.conv.lower(&Io { inputs: &inputs, outputs: io.outputs }, capabilities)?;
        Ok(unpool.then(conv, &between, weights, 0))
    }
}
