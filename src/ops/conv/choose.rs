//! Which convolution kernel does a layer, and how its threads cover the output.

use super::{
    CONV_BACKWARD_DIRECT, CONV_BACKWARD_NAIVE, CONV_FORWARD_DIRECT, CONV_FORWARD_NAIVE,
    CONV_FORWARD_SUBGROUP, CONV_FORWARD_TILE, ConvParams,
};
use crate::gpu::Kernel;
use crate::ops::{Capabilities, Dispatch, Form, KernelChoice, Operand};

/// A kernel with the arrangement of weights that it reads and the way in which it covers the output.
pub(super) struct Tiling {
    pub(super) kernel: &'static Kernel,
    pub(super) form: Form,
    cover: Cover,
}

/// What one workgroup makes.
enum Cover {
    /// A pixel a thread, one output channel.
    Elements,
    /// A segment of a row a thread, all output channels.
    Segments,
    /// A segment of a row a thread, a tile of output channels.
    SegmentTiles,
    /// A block of pixels in a line × a block of output channels.
    Blocks,
}

impl Tiling {
    /// The dispatch, with its number of workgroups.
    pub(super) fn dispatch(&self, params: ConvParams, operands: Vec<Operand>) -> Dispatch {
        let ConvParams { h, w, in_count, out_count, .. } = params;
        let kernel = self.kernel;
        let segments = || w.div_ceil(kernel.tile("PIXELS")) * h;
        let (pixel_groups, output_groups) = match self.cover {
            Cover::Elements => ((h * w).div_ceil(kernel.workgroup), out_count),
            Cover::Segments => (segments().div_ceil(kernel.workgroup), 1),
            Cover::SegmentTiles => {
                (segments().div_ceil(kernel.workgroup), out_count.div_ceil(kernel.tile("OUTPUTS")))
            }
            Cover::Blocks => {
                ((h * w).div_ceil(kernel.tile("BLOCK")), out_count.div_ceil(kernel.tile("BLOCK")))
            }
        };
        let flops = 18 * u64::from(in_count) * u64::from(out_count) * u64::from(h) * u64::from(w);
        let params = ConvParams { pixel_groups, ..params };
        Dispatch::new(kernel, params, operands, pixel_groups * output_groups, flops)
    }
}

/// The kernel for a forward convolution from `channels` channels.
pub(super) fn forward(channels: u32, capabilities: &Capabilities) -> Tiling {
    choose(&CONV_FORWARD_NAIVE, &CONV_FORWARD_DIRECT, Form::Forward, channels, capabilities)
}

/// The kernel for a backward convolution to `channels` channels.
pub(super) fn backward(channels: u32, capabilities: &Capabilities) -> Tiling {
    choose(&CONV_BACKWARD_NAIVE, &CONV_BACKWARD_DIRECT, Form::Backward, channels, capabilities)
}

fn choose(
    naive: &'static Kernel,
    direct: &'static Kernel,
    form: Form,
    channels: u32,
    capabilities: &Capabilities,
) -> Tiling {
    if capabilities.choice == KernelChoice::Naive {
        Tiling { kernel: naive, form: Form::Plain, cover: Cover::Elements }
    } else if channels <= direct.tile("CHANNELS") {
        Tiling { kernel: direct, form: Form::Plain, cover: Cover::Segments }
    } else if capabilities.allows(&CONV_FORWARD_SUBGROUP) {
        Tiling { kernel: &CONV_FORWARD_SUBGROUP, form, cover: Cover::SegmentTiles }
    } else {
        Tiling { kernel: &CONV_FORWARD_TILE, form, cover: Cover::Blocks }
    }
}
