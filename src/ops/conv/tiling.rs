//! The kernels that do a convolution in one go, and how their threads cover the output.

use super::arrange;
use super::geometry::{ConvGeometry, PaddingMode};
use crate::gpu::{Kernel, params};
use crate::ops::{Dispatch, Form, Io, Layout, Operand};

params! {
    /// Uniforms of the 3×3 kernels. The input piece holds `in_count` channels from `in_first` on, of
    /// `in_total`; the output piece `out_count` from `out_first` on. Arranged weights have
    /// `out_padded` outputs.
    ConvParams {
        h: u32,
        w: u32,
        in_first: u32,
        in_count: u32,
        in_total: u32,
        out_first: u32,
        out_count: u32,
        out_total: u32,
        out_padded: u32,
        pixel_groups: u32,
        flags: u32,
    }
}
params! {
    /// Uniforms of the kernels for every geometry: `x_*` are the sides of the convolution's input and `y_*` those of
    /// its output, in both directions; `before_*` and `after_*` the padding. The pieces are as in [`ConvParams`].
    ConvGeneralParams {
        x_d: u32,
        x_h: u32,
        x_w: u32,
        y_d: u32,
        y_h: u32,
        y_w: u32,
        kernel_d: u32,
        kernel_h: u32,
        kernel_w: u32,
        stride_d: u32,
        stride_h: u32,
        stride_w: u32,
        before_d: u32,
        before_h: u32,
        before_w: u32,
        after_d: u32,
        after_h: u32,
        after_w: u32,
        dilation_d: u32,
        dilation_h: u32,
        dilation_w: u32,
        padding: u32,
        groups: u32,
        in_first: u32,
        in_count: u32,
        in_total: u32,
        out_first: u32,
        out_count: u32,
        out_total: u32,
        pixel_groups: u32,
        flags: u32,
    }
}

crate::ops::kernels! {
    folder: "conv";
    conv_forward_naive(ConvParams) { workgroup: 64, bindings: [read x, read w, read b, read gate, write y] }
    conv_forward_general(ConvGeneralParams) { workgroup: 64, bindings: [read x, read w, read b, write y] }
    conv_forward_direct(ConvParams) {
        workgroup: 64,
        bindings: [read x, read w, read b, read gate, write y],
        tile: [CHANNELS = 3, PIXELS = 4],
    }
    conv_gemm_tile(ConvParams) {
        workgroup: 64,
        bindings: [read x, read w, read b, read gate, write y],
        tile: [BLOCK = 32, RUN = arrange::RUN],
    }
    conv_gemm_tile8(ConvParams) {
        workgroup: 64,
        bindings: [read x, read w, read b, read gate, write y],
        tile: [BLOCK = 64, RUN = arrange::RUN],
    }
    conv_gemm_subgroup(ConvParams) {
        workgroup: 32,
        subgroup: (8, 8),
        bindings: [read x, read w, read b, read gate, write y],
        tile: [PIXELS = 8, OUTPUTS = arrange::RUN],
    }
    conv_backward_naive(ConvParams) { workgroup: 64, bindings: [read dy, read w, read gate, write d_x] }
    conv_backward_general(ConvGeneralParams) {
        workgroup: 64,
        bindings: [read dy, read w, read gate, write d_x],
    }
    conv_backward_direct(ConvParams) {
        workgroup: 64,
        bindings: [read dy, read w, read gate, write d_x],
        tile: [CHANNELS = 3, PIXELS = 4],
    }
}

/// What one workgroup makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cover {
    /// A pixel a thread, one output channel.
    Elements,
    /// The same, by one of the kernels for every geometry.
    General,
    /// A segment of a row a thread, all output channels.
    Segments,
    /// A segment of a row a thread, a tile of output channels.
    SegmentTiles,
    /// A block of pixels in a line × a block of output channels.
    Blocks,
}

/// A kernel that does a convolution in one dispatch, with the arrangement of weights that it reads.
pub(super) struct Tiling {
    pub(super) kernel: &'static Kernel,
    pub(super) form: Form,
    pub(super) cover: Cover,
}

/// A convolution, or the gradient of one, to be dispatched. Input 0 is read, input 1 are the weights, output 0 is made.
pub(super) struct Summed<'a> {
    pub(super) io: &'a Io<'a>,
    pub(super) geometry: &'a ConvGeometry,
    /// Layouts of the convolution's input and output: in the backward direction what is made and what is read.
    pub(super) x: &'a Layout,
    pub(super) y: &'a Layout,
    pub(super) bias: Operand,
    pub(super) gate: Operand,
}

impl Tiling {
    /// One dispatch for each output piece and each input piece: the first begins the sum, the others add to it.
    /// `flags` gives those of dispatch number `index` of `count` that make one output piece.
    pub(super) fn dispatches(&self, sum: &Summed<'_>, flags: impl Fn(usize, usize) -> u32) -> Vec<Dispatch> {
        let (read, made) = (&sum.io.inputs[0], sum.io.output());
        let mut dispatches = Vec::new();
        for (made_piece, out) in made.pieces.iter().enumerate() {
            for (read_piece, input) in read.pieces.iter().enumerate() {
                let params = ConvParams {
                    h: made.shape.h,
                    w: made.shape.w,
                    in_first: input.start,
                    in_count: input.end - input.start,
                    in_total: read.shape.c,
                    out_first: out.start,
                    out_count: out.end - out.start,
                    out_total: made.shape.c,
                    out_padded: arrange::padded(made.shape.c),
                    pixel_groups: 0,
                    flags: flags(read_piece, read.pieces.len()),
                };
                let operands = self.operands(sum, read_piece, made_piece);
                dispatches.push(self.dispatch(sum, params, operands));
            }
        }
        dispatches
    }

    /// The operands by the names of the kernel's bindings: a kernel for both directions has a bias and a gate.
    fn operands(&self, sum: &Summed<'_>, read_piece: usize, made_piece: usize) -> Vec<Operand> {
        let operand = |name: &str| match name {
            "w" => Operand::Input { index: 1, piece: 0, form: self.form },
            "b" => sum.bias,
            "gate" => sum.gate,
            "y" | "d_x" => Operand::output(made_piece),
            _ => Operand::input(0, read_piece),
        };
        self.kernel.bindings.iter().map(|binding| operand(binding.name)).collect()
    }

    fn dispatch(&self, sum: &Summed<'_>, params: ConvParams, operands: Vec<Operand>) -> Dispatch {
        let ConvParams { h, w, in_count, out_count, .. } = params;
        let kernel = self.kernel;
        let segments = || w.div_ceil(kernel.tile("PIXELS")) * h;
        let elements = sum.io.output().shape.plane() as u32;
        let (pixel_groups, output_groups) = match self.cover {
            Cover::Elements | Cover::General => (elements.div_ceil(kernel.workgroup), out_count),
            Cover::Segments => (segments().div_ceil(kernel.workgroup), 1),
            Cover::SegmentTiles => {
                (segments().div_ceil(kernel.workgroup), out_count.div_ceil(kernel.tile("OUTPUTS")))
            }
            Cover::Blocks => {
                (elements.div_ceil(kernel.tile("BLOCK")), out_count.div_ceil(kernel.tile("BLOCK")))
            }
        };
        let products = u64::from(sum.geometry.taps()) * u64::from(in_count) * u64::from(out_count);
        let flops = 2 * products * sum.y.shape.plane() / u64::from(sum.geometry.groups);
        let params = ConvParams { pixel_groups, ..params };
        let groups = pixel_groups * output_groups;
        if self.cover == Cover::General {
            Dispatch::new(kernel, general(sum, &params), operands, groups, flops)
        } else {
            Dispatch::new(kernel, params, operands, groups, flops)
        }
    }
}

/// The uniforms of the kernels for every geometry.
fn general(sum: &Summed<'_>, params: &ConvParams) -> ConvGeneralParams {
    let ConvGeometry { kernel, stride, padding, dilation, groups } = *sum.geometry;
    let (x, y) = (sum.x.shape, sum.y.shape);
    ConvGeneralParams {
        x_d: x.d,
        x_h: x.h,
        x_w: x.w,
        y_d: y.d,
        y_h: y.h,
        y_w: y.w,
        kernel_d: kernel[0],
        kernel_h: kernel[1],
        kernel_w: kernel[2],
        stride_d: stride[0],
        stride_h: stride[1],
        stride_w: stride[2],
        before_d: padding.before[0],
        before_h: padding.before[1],
        before_w: padding.before[2],
        after_d: padding.after[0],
        after_h: padding.after[1],
        after_w: padding.after[2],
        dilation_d: dilation[0],
        dilation_h: dilation[1],
        dilation_w: dilation[2],
        padding: padding_code(padding.mode),
        groups,
        in_first: params.in_first,
        in_count: params.in_count,
        in_total: params.in_total,
        out_first: params.out_first,
        out_count: params.out_count,
        out_total: params.out_total,
        pixel_groups: params.pixel_groups,
        flags: params.flags,
    }
}

/// What the kernels call a padding mode. A test compares the numbers with their text.
fn padding_code(mode: PaddingMode) -> u32 {
    match mode {
        PaddingMode::Zero => 0,
        // The gradient's kernel gets what stands in for the latter.
        PaddingMode::Replicate | PaddingMode::ReplicateForward => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_call_padding_modes_alike() {
        let names = [
            (PaddingMode::Zero, "ZERO"),
            (PaddingMode::Replicate, "REPLICATE"),
            (PaddingMode::ReplicateForward, "REPLICATE"),
        ];
        for kernel in [&kernels::conv_forward_general, &kernels::conv_backward_general] {
            for (mode, name) in names {
                let line = format!("const {name}: u32 = {}u;", padding_code(mode));
                assert!(kernel.text().contains(&line), "{}: expected `{line}`", kernel.name);
            }
        }
    }
}
