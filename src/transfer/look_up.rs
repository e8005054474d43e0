//! The look-up of a style: for each cell of what is painted the cell of the style that is the most like it, and what a match
//! cost reads of that. After Kolkin et al., arXiv 2203.13215 ("Neural Neighbor Style Transfer").

use super::sources::SourceId;
use super::term::{Term, record_guidance, share_name};
use crate::error::Result;
use crate::graph::{Role, Tape, TensorId};
use crate::nn::Network;
use crate::ops::energy::{Energy, Share};
use crate::ops::gram::ChannelMean;
use crate::ops::guide::Guide;
use crate::ops::nearest::{ExpandBlocks, Gather, Nearest};
use crate::ops::pool::Pool;
use crate::ops::resize::{Filter, Resize};
use crate::ops::unit::{Stack, Unit};
use crate::ops::{Shape, Wrap};

/// The layers whose activations are looked up together, and matched. Cells are those of the first.
pub(super) const MATCH_LAYERS: [&str; 2] = ["conv3_1", "conv4_1"];

/// The layer whose energy in the content says how much each cell counts in a match. Its grid is that of the deeper one of
/// [`MATCH_LAYERS`], of which the others are made; it is the same whatever layers the content is compared in.
pub(super) const ENERGY_LAYER: &str = "conv4_2";

/// Cells of one picture that are compared with those of the other, at most: the work grows with the square. Where there are
/// more, blocks of 2×2, 4×4 and so on are looked up in place of cells.
const MOST_COMPARED: u64 = 1 << 15;

/// Cells of a block in each direction, for pictures of these shapes (3, H, W).
///
/// # Errors
/// [`crate::Error::Shape`] where the network cannot take them.
fn block(network: &Network, pictures: [Shape; 2]) -> Result<u32> {
    let mut block = 1;
    for pixels in pictures {
        let grid = network.shape_at(MATCH_LAYERS[0], pixels)?;
        while u64::from(grid.h.div_ceil(block)) * u64::from(grid.w.div_ceil(block)) > MOST_COMPARED {
            block *= 2;
        }
    }
    Ok(block)
}

/// Name of the numbers (1, H, W) of a style's cells among a step's externals.
pub(super) fn index_name(style: SourceId) -> String {
    format!("index.{style}")
}

/// Shape (1, H, W) of what is looked up for pixels of the shape `painting` (3, H, W) in a style of the shape `style`: a number
/// for each cell, or each block of them.
///
/// # Errors
/// [`crate::Error::Shape`] where the network cannot take them.
pub(super) fn index_shape(network: &Network, painting: Shape, style: Shape) -> Result<Shape> {
    let (block, grid) = (block(network, [painting, style])?, network.shape_at(MATCH_LAYERS[0], painting)?);
    Ok(Shape::new(1, grid.h.div_ceil(block), grid.w.div_ceil(block)))
}

/// Records for each cell of the pixels `query` (3, H, W) the number of the cell of `style` (3, h, w) whose activations have
/// the most similar direction: the cosine of both layers' activations, each cell's distance from the mean made unit.
///
/// # Errors
/// [`crate::Error::Shape`] where something does not fit.
pub(super) fn record_look_up(
    tape: &mut Tape,
    network: &Network,
    query: TensorId,
    style: TensorId,
) -> Result<TensorId> {
    let block = block(network, [tape.shape(query), tape.shape(style)])?;
    let [query, style] = [query, style].map(|pixels| record_columns(tape, network, pixels, block));
    tape.record(Nearest, &[query?, style?], MATCH_LAYERS[0])
}

/// Records the column of each cell, both layers stacked on the grid of the first; or of each block, the mean of its cells.
fn record_columns(tape: &mut Tape, network: &Network, pixels: TensorId, block: u32) -> Result<TensorId> {
    let mut columns: Vec<TensorId> = Vec::new();
    let deepest = MATCH_LAYERS.iter().filter_map(|layer| network.index_of(layer)).max().unwrap_or(0);
    network.record(tape, pixels, deepest, false, |tape, layer, activations| {
        if MATCH_LAYERS.contains(&layer) {
            let mean = tape.record(ChannelMean, &[activations], layer)?;
            let mut units = tape.record(Unit, &[activations, mean], layer)?;
            if let Some(first) = columns.first() {
                units = record_on_grid(tape, units, tape.shape(*first), layer)?;
            } else {
                for _ in 0..block.ilog2() {
                    units = tape.record(Pool::MEAN, &[units], layer)?;
                }
            }
            columns.push(units);
        }
        Ok(())
    })?;
    tape.record(Stack, &columns, MATCH_LAYERS[0])
}

/// Records a layer's activations on the cells of another.
fn record_on_grid(tape: &mut Tape, activations: TensorId, grid: Shape, layer: &str) -> Result<TensorId> {
    let Shape { h, w, .. } = tape.shape(activations);
    if (h, w) == (grid.h, grid.w) {
        return Ok(activations);
    }
    let resize = Resize { height: grid.h, width: grid.w, filter: Filter::Bilinear, wrap: Wrap::NONE };
    tape.record(resize, &[activations], layer)
}

/// Records what match terms read of a style with pixels of the shape `style` (3, H, W): of its activations at each term's
/// layer, in the order of [`MATCH_LAYERS`], the direction at the cells that were looked up as `index`, and the mean. Returns
/// each with its name. `painting` is the shape (3, H, W) of the pixels that are painted.
///
/// # Errors
/// [`crate::Error::Shape`] where something does not fit.
pub(super) fn record_matches(
    tape: &mut Tape,
    matched: &[(&Term, TensorId)],
    source: SourceId,
    network: &Network,
    [painting, style]: [Shape; 2],
) -> Result<Vec<(String, TensorId)>> {
    let mut results = Vec::new();
    let Some((_, first)) = matched.first() else { return Ok(results) };
    let cells = tape.shape(*first);
    let shape = index_shape(network, painting, style)?;
    let mut index = tape.external(index_name(source), shape, Role::Workspace);
    let Shape { h: height, w: width, .. } = network.shape_at(MATCH_LAYERS[0], painting)?;
    if (shape.h, shape.w) != (height, width) {
        let block = block(network, [painting, style])?;
        let expand = ExpandBlocks { block, height, width, other: (cells.h, cells.w) };
        index = tape.record(expand, &[index], MATCH_LAYERS[0])?;
    }
    for ((term, activations), layer) in matched.iter().zip(MATCH_LAYERS) {
        let mean = tape.record(ChannelMean, &[*activations], layer)?;
        let on_grid = record_on_grid(tape, *activations, cells, layer)?;
        let mut found = tape.record(Gather, &[on_grid, index], layer)?;
        let own = network.shape_at(layer, painting)?;
        while tape.shape(found).plane() > own.plane() {
            found = tape.record(Pool::MEAN, &[found], layer)?;
        }
        let target = tape.record(Unit, &[found, mean], layer)?;
        let [target_name, centre_name] = term.match_names();
        results.extend([(target_name, target), (centre_name, mean)]);
    }
    Ok(results)
}

/// Records the share that each cell of the matched layers has in the energy of the content's activations (C, H, W) at
/// [`ENERGY_LAYER`], for a painting of this shape (3, H, W), under each of `masks`: there the energy is multiplied by the square of
/// the guidance, which is the weight of a place in guided statistics. Returns each with its name.
///
/// # Errors
/// [`crate::Error::Shape`] where something does not fit.
pub(super) fn record_shares(
    tape: &mut Tape,
    network: &Network,
    activations: TensorId,
    painting: Shape,
    masks: &[Option<SourceId>],
) -> Result<Vec<(String, TensorId)>> {
    let energy = tape.record(Energy, &[activations], ENERGY_LAYER)?;
    let mut results = Vec::new();
    for mask in masks {
        let mut weighed = energy;
        if let Some(mask) = *mask {
            let guidance = record_guidance(tape, mask, activations, ENERGY_LAYER);
            for _ in 0..2 {
                weighed = tape.record(Guide, &[weighed, guidance], ENERGY_LAYER)?;
            }
        }
        for layer in MATCH_LAYERS {
            let Shape { h: height, w: width, .. } = network.shape_at(layer, painting)?;
            // A mask that leaves nothing has no share, also of a picture without energy.
            let share = Share { height, width, even: mask.is_none() };
            results.push((share_name(*mask, layer), tape.record(share, &[weighed], layer)?));
        }
    }
    Ok(results)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::nn::{PoolKind, vgg19};

    #[test]
    fn large_pictures_are_looked_up_by_blocks() {
        let network = vgg19(PoolKind::Max);
        let shape = |width, height| Shape::new(3, height, width);
        for (painting, style, index) in [
            (shape(97, 75), shape(90, 64), shape(25, 19)),
            (shape(512, 384), shape(512, 384), shape(128, 96)),
            (shape(768, 576), shape(700, 500), shape(192, 144)),
            (shape(1024, 768), shape(1024, 768), shape(128, 96)),
            (shape(256, 192), shape(1600, 1200), shape(32, 24)),
            (shape(4096, 3071), shape(10, 10), shape(128, 96)),
        ] {
            let expected = Shape { c: 1, ..index };
            assert_eq!(index_shape(&network, painting, style).unwrap(), expected, "{painting} {style}");
        }
    }
}
