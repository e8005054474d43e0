//! Which convolution kernel does a layer, and how its threads cover the output.

use super::{
    CONV_BACKWARD_DIRECT, CONV_BACKWARD_NAIVE, CONV_FORWARD_DIRECT, CONV_FORWARD_NAIVE, CONV_FORWARD_SUBGROUP,
    CONV_FORWARD_TILE, ConvParams,
};
use crate::gpu::Kernel;
use crate::ops::{Capabilities, Dispatch, Form, KernelChoice, Operand};

/// Channels up to which a picture-like tensor takes the direct kernels, whose registers hold them all.
const DIRECT_CHANNELS: u32 = 3;

/// A kernel with the arrangement of weights that it reads and the shape of its tiles.
pub(super) struct Tiling {
    pub(super) kernel: &'static Kernel,
    pub(super) form: Form,
    /// Pixels of a row segment that one thread owns; 0: a workgroup owns `group_pixels` pixels in a line.
    thread_columns: u32,
    group_pixels: u32,
    /// Output channels of a thread (or of a workgroup that shares them).
    outputs: u32,
}

impl Tiling {
    /// The dispatch, with its number of workgroups.
    pub(super) fn dispatch(&self, params: ConvParams, operands: Vec<Operand>) -> Dispatch {
        let ConvParams { h, w, in_count, out_count, .. } = params;
        let pixel_groups = if self.thread_columns > 0 {
            (w.div_ceil(self.thread_columns) * h).div_ceil(self.kernel.workgroup)
        } else {
            (h * w).div_ceil(self.group_pixels)
        };
        let outputs = if self.outputs == 0 { 1 } else { out_count.div_ceil(self.outputs) };
        let flops = 18 * u64::from(in_count) * u64::from(out_count) * u64::from(h) * u64::from(w);
        let params = ConvParams { pixel_groups, ..params };
        Dispatch::new(self.kernel, params, operands, pixel_groups * outputs, flops)
    }
}

const NAIVE_FORWARD: Tiling =
    Tiling { kernel: &CONV_FORWARD_NAIVE, form: Form::Plain, thread_columns: 1, group_pixels: 0, outputs: 1 };
const NAIVE_BACKWARD: Tiling = Tiling { kernel: &CONV_BACKWARD_NAIVE, ..NAIVE_FORWARD };
const DIRECT_FORWARD: Tiling =
    Tiling { kernel: &CONV_FORWARD_DIRECT, form: Form::Plain, thread_columns: 4, group_pixels: 0, outputs: 0 };
const DIRECT_BACKWARD: Tiling = Tiling { kernel: &CONV_BACKWARD_DIRECT, ..DIRECT_FORWARD };

/// The kernel for a forward convolution from `channels` channels.
pub(super) fn forward(channels: u32, capabilities: &Capabilities) -> Tiling {
    match capabilities.choice {
        KernelChoice::Naive => NAIVE_FORWARD,
        _ if channels <= DIRECT_CHANNELS => DIRECT_FORWARD,
        _ => gemm(Form::Forward, capabilities),
    }
}

/// The kernel for a backward convolution to `channels` channels.
pub(super) fn backward(channels: u32, capabilities: &Capabilities) -> Tiling {
    match capabilities.choice {
        KernelChoice::Naive => NAIVE_BACKWARD,
        _ if channels <= DIRECT_CHANNELS => DIRECT_BACKWARD,
        _ => gemm(Form::Backward, capabilities),
    }
}

fn gemm(form: Form, capabilities: &Capabilities) -> Tiling {
    if capabilities.allows(&CONV_FORWARD_SUBGROUP) {
        Tiling { kernel: &CONV_FORWARD_SUBGROUP, form, thread_columns: 8, group_pixels: 0, outputs: 16 }
    } else {
        Tiling { kernel: &CONV_FORWARD_TILE, form, thread_columns: 0, group_pixels: 32, outputs: 32 }
    }
}
