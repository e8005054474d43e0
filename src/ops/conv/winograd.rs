//! Convolution by Winograd's F(4×4, 3×3): 36 multiplications make 16 outputs, which the definition spends 144 on.
//! A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks" (arXiv 1509.09308).
//!
//! Three kernels: the input transform, the products of matrices in [`super::gemm`], and the output transform with
//! bias, ReLU, mask and gate. Between them lie v and m, 2¼ times as large as the tensors; bands of tile rows keep them
//! in a workspace of a fixed size.

use std::ops::Range;

use half::f16;

use super::gemm::{COMPONENTS, WinogradGemm};
use crate::gpu::{Kernel, params};
use crate::ops::{
    Capabilities, Direction, Dispatch, Epilogue, Form, Layout, Lowered, Operand, Precision, Problem, Shape,
};

params! {
    /// Uniforms of the input transform: the piece holds `count` channels of `channels`, from `first` on.
    InputParams {
        h: u32,
        w: u32,
        channels: u32,
        first: u32,
        count: u32,
        tiles_w: u32,
        first_row: u32,
        tiles: u32,
        stride: u32,
        flags: u32,
    }
}
params! {
    /// Uniforms of the output transform: the piece holds `count` channels of `outputs`, from `first` on.
    OutputParams {
        h: u32,
        w: u32,
        outputs: u32,
        first: u32,
        count: u32,
        tiles_w: u32,
        first_row: u32,
        pairs: u32,
        stride: u32,
        flags: u32,
    }
}
params! {
    /// Uniforms of the weights' transform.
    WeightsParams { inputs: u32, outputs: u32 }
}

crate::ops::kernels! {
    folder: "conv";
    winograd_input(InputParams) { workgroup: 64, bindings: [read x, write v] }
    winograd_input_unpooled(InputParams) { workgroup: 64, bindings: [read dy, read gate, read winners, write v] }
    winograd_input_half(InputParams) { workgroup: 64, bindings: [read x, write v] }
    winograd_output(OutputParams) {
        workgroup: 64,
        bindings: [read m, read b, read gate, write y, write mask, write winners],
    }
    winograd_weights(WeightsParams) {
        workgroup: 64,
        bindings: [read w, write u],
        tile: [BLOCK = WEIGHTS_BLOCK],
    }
    winograd_weights_half(WeightsParams) {
        workgroup: 64,
        bindings: [read w, write u],
        tile: [BLOCK = WEIGHTS_BLOCK],
    }
}

/// Pixels of a tile's side.
const TILE: u32 = 4;
/// Output channels of a block of transformed weights.
const WEIGHTS_BLOCK: u32 = 32;
/// Maximum bytes of v and m together: enough to fill a GPU, and few enough to stay in a CPU's last-level cache.
const WORKSPACE_BYTES: u64 = 32 << 20;
/// The same where memory is short.
const SMALL_WORKSPACE_BYTES: u64 = 8 << 20;
/// Operations of a 6-line's transform by Bᵀ, of one by Aᵀ, and of a 3-line's by G.
const TRANSFORM_FLOPS: [u64; 3] = [20, 14, 10];

/// √2: the points are 0, ±√2/2, ±√2 and ∞, in the order 0, √½, −√½, −√2, √2, ∞.
const ROOT: f64 = std::f64::consts::SQRT_2;

/// G: a kernel's values at the points, in a scaling in which the flipped kernel's are the reversed ones.
const G: [[f64; 3]; 6] = [
    [1.0, 0.0, 0.0],
    [2.0 / 3.0, ROOT / 3.0, 1.0 / 3.0],
    [2.0 / 3.0, -ROOT / 3.0, 1.0 / 3.0],
    [1.0 / 3.0, -ROOT / 3.0, 2.0 / 3.0],
    [1.0 / 3.0, ROOT / 3.0, 2.0 / 3.0],
    [0.0, 0.0, 1.0],
];

/// Transformed weights, (36, out / 32, in, 32), padded to whole blocks of 32 outputs. Serves both directions.
pub const WINOGRAD: Form = Form {
    name: "winograd",
    words: |shape| weights_elements(shape.h, shape.c),
    arrange: |plain, shape| {
        transform_weights(plain, shape.h, shape.c).iter().map(|value| value.to_bits()).collect()
    },
};

/// The same in f16, rounded to the nearest: two in a word, the first in the lower half.
pub const WINOGRAD_HALF: Form = Form {
    name: "winograd-half",
    words: |shape| weights_elements(shape.h, shape.c) / 2,
    arrange: |plain, shape| halves(&transform_weights(plain, shape.h, shape.c)),
};

/// Pairs of numbers, each rounded to the nearest f16.
fn halves(values: &[f32]) -> Vec<u32> {
    let bits = |value: f32| u32::from(f16::from_f32(value).to_bits());
    values.chunks_exact(2).map(|pair| bits(pair[0]) | bits(pair[1]) << 16).collect()
}

/// Elements of the transformed weights: (36, ⌈outputs/32⌉, inputs, 32).
fn weights_elements(inputs: u32, outputs: u32) -> u64 {
    u64::from(COMPONENTS) * u64::from(inputs) * u64::from(outputs.next_multiple_of(WEIGHTS_BLOCK))
}

/// Transforms `plain` weights (outputs, inputs, ky, kx) in f64.
fn transform_weights(plain: &[f32], inputs: u32, outputs: u32) -> Vec<f32> {
    let (block, blocks) = (WEIGHTS_BLOCK as usize, outputs.div_ceil(WEIGHTS_BLOCK) as usize);
    let mut u = vec![0.0; weights_elements(inputs, outputs) as usize];
    let inputs = inputs as usize;
    for (o, kernels) in plain.chunks_exact(9 * inputs).enumerate() {
        for (i, kernel) in kernels.chunks_exact(9).enumerate() {
            let lines = G
                .map(|g| [0, 1, 2].map(|c| (0..3).map(|r| g[r] * f64::from(kernel[3 * r + c])).sum::<f64>()));
            for (row, line) in lines.iter().enumerate() {
                for (column, g) in G.iter().enumerate() {
                    let value: f64 = g.iter().zip(line).map(|(g, value)| g * value).sum();
                    let component = row * G.len() + column;
                    u[((component * blocks + o / block) * inputs + i) * block + o % block] = value as f32;
                }
            }
        }
    }
    u
}

/// Whether the device can bind the weights and a row of tiles.
pub(super) fn fits(problem: &Problem, capabilities: &Capabilities) -> bool {
    let &Problem { inputs, outputs, w, .. } = problem;
    let widest = u64::from(inputs.max(outputs));
    let row = 4 * u64::from(COMPONENTS) * widest * 4 * u64::from(stride4(w.div_ceil(TILE)));
    // Either direction's weights: padding rounds up the layer's outputs, which may be `inputs` here.
    let weights = 4 * weights_elements(inputs, outputs).max(weights_elements(outputs, inputs));
    row.max(weights) <= capabilities.max_binding_bytes
}

/// Vec4s between two rows of v or m: an odd number, so that rows are no power of two apart. Rows that are share few
/// sets of a cache.
fn stride4(tiles: u32) -> u32 {
    tiles.div_ceil(4) | 1
}

/// A convolution, or the gradient of one, to be lowered.
pub(super) struct Winograd<'a> {
    /// The kernel of the products.
    pub(super) products: &'static Kernel,
    pub(super) direction: Direction,
    /// What is read: input 0.
    pub(super) x: &'a Layout,
    /// Where x is the gradient of a pool that is to be spread over the pool's windows first.
    pub(super) unpool: Option<Unpool>,
    /// What is written: output 0.
    pub(super) y: &'a Layout,
    /// Which input the weights are.
    pub(super) weights: usize,
    /// Shape of the weights.
    pub(super) weights_shape: Shape,
    /// Height and width of the convolution: what is written may be pooled, what is read may be a pool's gradient.
    pub(super) plane: Shape,
    /// Flags of the input transform.
    pub(super) input_flags: u32,
    /// Flags of the output transform.
    pub(super) flags: u32,
    pub(super) bias: Operand,
    pub(super) gate: Operand,
    pub(super) mask: Operand,
    /// Which cells of a max pool won.
    pub(super) winners: Operand,
}

/// How the gradient of a pool becomes that of what was pooled.
pub(super) struct Unpool {
    /// The mask of the ReLU before the pool.
    pub(super) gate: Operand,
    /// Which cells of a max pool won.
    pub(super) winners: Operand,
}

/// Rows of tiles that go through the workspace together.
struct Band {
    first_row: u32,
    /// Tiles of a row.
    tiles_w: u32,
    tiles: u32,
    /// Vec4s between two rows of v and m.
    stride4: u32,
}

impl Band {
    fn rows(&self) -> u32 {
        self.tiles / self.tiles_w
    }
}

/// v and m.
const V: Operand = Operand::Scratch { index: 0 };
const M: Operand = Operand::Scratch { index: 1 };
/// u, where the weights are transformed before each use.
const U: Operand = Operand::Scratch { index: 2 };

impl Winograd<'_> {
    /// The dispatches with their workspaces; which method it is, the op says.
    pub(super) fn lower(&self, capabilities: &Capabilities) -> Lowered {
        let (tiles_w, tiles_h) = (self.plane.w.div_ceil(TILE), self.plane.h.div_ceil(TILE));
        // Gradients are of unknown size, so their v stays in single precision.
        let half_weights = capabilities.precision == Precision::F16;
        let half_values = half_weights && self.direction == Direction::Forward;
        let band_rows = self.band_rows(tiles_w, tiles_h, capabilities);
        let row = u64::from(COMPONENTS) * 4 * u64::from(stride4(band_rows * tiles_w));
        let values = row * u64::from(self.x.shape.c);
        let values_words = if half_values { values / 2 } else { values };
        let mut scratch = vec![values_words, row * u64::from(self.y.shape.c)];
        let mut dispatches = Vec::new();
        let form = if half_weights { WINOGRAD_HALF } else { WINOGRAD };
        let u = if capabilities.low_memory {
            scratch.push((form.words)(self.weights_shape));
            dispatches.push(self.transform_weights(half_weights));
            U
        } else {
            Operand::Input { index: self.weights, piece: 0, form }
        };
        for first_row in (0..tiles_h).step_by(band_rows as usize) {
            let tiles = band_rows.min(tiles_h - first_row) * tiles_w;
            let band = Band { first_row, tiles_w, tiles, stride4: stride4(tiles) };
            dispatches.extend(self.transform_input(&band, half_values));
            dispatches.push(self.multiply(&band, u));
            dispatches.extend(self.transform_output(&band));
        }
        Lowered { scratch, dispatches, ..Lowered::default() }
    }

    /// From x to v, one dispatch a piece of x.
    fn transform_input(&self, band: &Band, half_values: bool) -> Vec<Dispatch> {
        let pieces = self.x.pieces.iter().enumerate();
        let dispatch = |(piece, channels): (usize, &Range<u32>)| {
            let count = channels.end - channels.start;
            let params = InputParams {
                h: self.plane.h,
                w: self.plane.w,
                channels: self.x.shape.c,
                first: channels.start,
                count,
                tiles_w: band.tiles_w,
                first_row: band.first_row,
                tiles: band.tiles,
                stride: 4 * band.stride4,
                flags: self.input_flags,
            };
            let x = Operand::input(0, piece);
            let all = u64::from(count) * u64::from(band.tiles);
            let (kernel, operands, threads) = match self.unpool {
                Some(Unpool { gate, winners }) => {
                    (&kernels::winograd_input_unpooled, vec![x, gate, winners, V], all)
                }
                None if half_values => {
                    // Two halves share a word, so a thread owns two tiles.
                    let pairs = u64::from(count) * u64::from(band.tiles.div_ceil(2));
                    (&kernels::winograd_input_half, vec![x, V], pairs)
                }
                None => (&kernels::winograd_input, vec![x, V], all),
            };
            let flops = 12 * TRANSFORM_FLOPS[0] * all;
            let groups = threads.div_ceil(kernel.workgroup.into()) as u32;
            Dispatch::new(kernel, params, operands, groups, flops)
        };
        pieces.map(dispatch).collect()
    }

    /// From v to m.
    fn multiply(&self, band: &Band, u: Operand) -> Dispatch {
        let gemm = WinogradGemm {
            depth: self.x.shape.c,
            outputs: self.y.shape.c,
            tiles4: band.tiles.div_ceil(4),
            stride4: band.stride4,
            weight_rows: self.weights_shape.h,
            weight_blocks: self.weights_shape.c.div_ceil(WEIGHTS_BLOCK),
            transposed: self.direction == Direction::Backward,
        };
        gemm.dispatch(self.products, vec![u, V, M])
    }

    /// From m to y, one dispatch a piece of y.
    fn transform_output(&self, band: &Band) -> Vec<Dispatch> {
        let pieces = self.y.pieces.iter().enumerate();
        let dispatch = |(piece, channels): (usize, &Range<u32>)| {
            let count = channels.end - channels.start;
            let pairs = band.rows() * band.tiles_w.div_ceil(2);
            let wanted = |side: Operand, flag: u32| if side == Operand::Unused { 0 } else { flag };
            let sides = wanted(self.mask, Epilogue::MASK) | wanted(self.winners, Epilogue::WINNERS);
            let params = OutputParams {
                h: self.plane.h,
                w: self.plane.w,
                outputs: self.y.shape.c,
                first: channels.start,
                count,
                tiles_w: band.tiles_w,
                first_row: band.first_row,
                pairs,
                stride: 4 * band.stride4,
                flags: self.flags | sides,
            };
            let kernel = &kernels::winograd_output;
            let threads = u64::from(count) * u64::from(pairs);
            let flops = 10 * TRANSFORM_FLOPS[1] * u64::from(count) * u64::from(band.tiles);
            let groups = threads.div_ceil(kernel.workgroup.into()) as u32;
            let operands = vec![M, self.bias, self.gate, Operand::output(piece), self.mask, self.winners];
            Dispatch::new(kernel, params, operands, groups, flops)
        };
        pieces.map(dispatch).collect()
    }

    /// Rows of tiles whose v and m fit the workspace: bands of nearly equal height.
    fn band_rows(&self, tiles_w: u32, tiles_h: u32, capabilities: &Capabilities) -> u32 {
        let workspace = if capabilities.low_memory { SMALL_WORKSPACE_BYTES } else { WORKSPACE_BYTES };
        let component_row = |channels: u32| 4 * u64::from(COMPONENTS) * u64::from(channels);
        let (depth, outputs) = (component_row(self.x.shape.c), component_row(self.y.shape.c));
        let fits = |rows: u32| {
            let tiles = 4 * u64::from(stride4(rows * tiles_w));
            tiles * (depth + outputs) <= workspace
                && tiles * depth.max(outputs) <= capabilities.max_binding_bytes
        };
        let most = (2..=tiles_h).take_while(|rows| fits(*rows)).last().unwrap_or(1);
        tiles_h.div_ceil(tiles_h.div_ceil(most))
    }

    /// The dispatch that transforms the weights into u.
    fn transform_weights(&self, half: bool) -> Dispatch {
        let Shape { c: outputs, h: inputs, .. } = self.weights_shape;
        let count = inputs * outputs.next_multiple_of(WEIGHTS_BLOCK);
        // Two halves share a word, so a thread owns two outputs.
        let (kernel, threads) = if half {
            (&kernels::winograd_weights_half, count / 2)
        } else {
            (&kernels::winograd_weights, count)
        };
        let flops = 9 * TRANSFORM_FLOPS[2] * u64::from(count);
        let operands = vec![Operand::input(self.weights, 0), U];
        let params = WeightsParams { inputs, outputs };
        Dispatch::new(kernel, params, operands, threads.div_ceil(kernel.workgroup), flops)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flipped_kernels_transform_is_the_reversed_one() {
        let kernel: Vec<f32> = (0..9).map(|i| ((i * 7 + 3) % 11) as f32 - 4.5).collect();
        let flipped: Vec<f32> = kernel.iter().rev().copied().collect();
        let block = WEIGHTS_BLOCK as usize;
        let (u, reversed) = (transform_weights(&kernel, 1, 1), transform_weights(&flipped, 1, 1));
        for component in 0..36 {
            let (forward, backward) = (u[component * block], reversed[(35 - component) * block]);
            assert!((forward - backward).abs() <= 1e-6, "{component}: {forward} {backward}");
        }
    }
}
