//! One term of what is minimised: what it compares, the tensors that its cost reads, and the ops that make them.

use std::fmt;

use super::roots::{record_map, record_root_of_target};
use super::sources::SourceId;
use crate::error::Result;
use crate::graph::{Role, Tape, TensorId};
use crate::nn::Network;
use crate::ops::centre::Centre;
use crate::ops::covariance_cost::CovarianceCost;
use crate::ops::gram::{ChannelMean, Gram, Moments};
use crate::ops::guide::{Guide, Strength};
use crate::ops::match_cost::MatchCost;
use crate::ops::matrix::{Covariance, FrobeniusNorm};
use crate::ops::mean_variance_cost::MeanVarianceCost;
use crate::ops::squared_error::{SquaredError, content_cost_weight};
use crate::ops::store::Store;
use crate::ops::total_variation::TotalVariation;
use crate::ops::wasserstein::{Divisor, WassersteinCost, WassersteinRest};
use crate::ops::weighted_error::{CellWeights, WeightedError};
use crate::ops::{Shape, Wrap};

/// What plans call the layer of terms that look at the pixels.
pub(super) const PIXELS_LAYER: &str = "pixels";

/// What a term belongs to: the total cost is Σ (weight of the group)·(cost of the group).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Group {
    /// What keeps the picture like the content: weight α.
    Content,
    /// What makes it like the styles: weight β.
    Style,
    /// What makes each place like the place of a style that is like it: weight γ.
    Match,
    /// What makes neighbouring pixels alike: weight [`super::Options::total_variation`].
    TotalVariation,
}

impl Group {
    /// Whether its terms have weights of their own, and are summed; otherwise it has one term, whose cost is the group's.
    pub(super) fn is_summed(self) -> bool {
        matches!(self, Self::Content | Self::Style | Self::Match)
    }
}

impl fmt::Display for Group {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Content => "content",
            Self::Style => "style",
            Self::Match => "match",
            Self::TotalVariation => "total_variation",
        })
    }
}

/// What is compared, or measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TermKind {
    /// Activations with those of the source: Gatys et al., arXiv 1508.06576, equation 1.
    Activations,
    /// The same where each cell counts as much as the source has energy there, over what an unrelated picture would cost:
    /// [`crate::ops::weighted_error`].
    WeightedActivations,
    /// Gram matrices with those of the source: equation 4.
    Gram,
    /// Covariances of the channels with those of the source, over the norm of these: [`crate::ops::covariance_cost`].
    Covariance,
    /// Means and deviations of the channels with those of the source, over the variance of these:
    /// [`crate::ops::mean_variance_cost`].
    MeanVariance,
    /// The activations as normal distributions: their squared Wasserstein distance to that of the source, over the
    /// source's variance or the number of channels: [`crate::ops::wasserstein`].
    Wasserstein(Divisor),
    /// The direction of each cell's activations with that of the source's cell that was looked up for it:
    /// [`crate::ops::match_cost`].
    Match,
    /// How much neighbours differ, also across the borders that wrap: [`crate::ops::total_variation`].
    TotalVariation(Wrap),
}

/// One cost.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Term {
    /// Its name, such as `content.conv4_2`: unique in an objective.
    pub name: String,
    /// What it belongs to.
    pub group: Group,
    /// What is compared.
    pub kind: TermKind,
    /// The layer whose activations are looked at; `None` for the pixels.
    pub layer: Option<String>,
    /// Its weight within the group.
    pub weight: f32,
    /// The picture that it is compared with, where it is.
    pub target: Option<SourceId>,
    /// The mask, or the map of the strength, that says how much each place of the layer counts, beside what the kind says of it;
    /// `None` where all count alike. It is that of the painting: the target's places all count alike.
    pub mask: Option<SourceId>,
}

/// Name of a mask's guidance (1, H, W) for the activations of a layer among a step's externals.
pub(super) fn guidance_name(mask: SourceId, layer: &str) -> String {
    format!("guidance.{mask}.{layer}")
}

/// Records the guidance (1, H, W) of a mask for a layer's activations (C, H, W), or for what is as large.
pub(super) fn record_guidance(
    tape: &mut Tape,
    mask: SourceId,
    activations: TensorId,
    layer: &str,
) -> TensorId {
    let plane = Shape { c: 1, ..tape.shape(activations) };
    tape.external(guidance_name(mask, layer), plane, Role::Workspace)
}

/// Name of the share (1, H, W) that each cell of a layer has in the content's energy, under a mask where there is one.
pub(super) fn share_name(mask: Option<SourceId>, layer: &str) -> String {
    mask.map_or_else(|| format!("share.{layer}"), |mask| format!("share.{mask}.{layer}"))
}

impl Term {
    /// Whether it is compared with this source, guided or weighted by it.
    pub(super) fn reads(&self, source: SourceId) -> bool {
        let weighs = self.kind == TermKind::Match && source == SourceId::Content;
        weighs || [self.target, self.mask].contains(&Some(source))
    }

    /// The mask by which its activations are guided. A match has its mask in the shares of the cells, and a content in their
    /// weights.
    pub(super) fn guiding_mask(&self) -> Option<SourceId> {
        self.mask.filter(|_| self.kind != TermKind::Match && !self.compares_cells())
    }

    /// Whether each cell is compared with the source's at the same place.
    fn compares_cells(&self) -> bool {
        matches!(self.kind, TermKind::Activations | TermKind::WeightedActivations)
    }

    /// Whether some steps make anew what its cost goes on with.
    pub(super) fn is_refreshed(&self) -> bool {
        matches!(self.kind, TermKind::Wasserstein(_))
    }

    /// Name of its target among a step's externals.
    fn target_name(&self) -> String {
        format!("target.{}", self.name)
    }

    /// What one of its tensors is called, such as `map.style.conv1_1`.
    fn tensor_name(&self, what: &str) -> String {
        format!("{what}.{}", self.name)
    }

    /// What it keeps from step to step, for a layer of `channels`: names and shapes.
    pub(super) fn state(&self, channels: u32) -> Vec<(String, Shape)> {
        match self.kind {
            TermKind::Wasserstein(_) => vec![
                (self.tensor_name("map"), Shape::new(1, channels, channels)),
                (self.tensor_name("rest"), Shape::row(2)),
            ],
            _ => Vec::new(),
        }
    }

    /// Records what is compared, or measured, of a layer's activations (C, H, W), guided by its mask where it has one.
    pub(super) fn record_statistic(
        &self,
        tape: &mut Tape,
        activations: TensorId,
        layer: &str,
    ) -> Result<TensorId> {
        let Some(mask) = self.guiding_mask() else {
            return self.kind.record_statistic(tape, activations, None, layer);
        };
        let guidance = record_guidance(tape, mask, activations, layer);
        let guided = tape.record(Guide, &[activations, guidance], layer)?;
        self.kind.record_statistic(tape, guided, Some(guidance), layer)
    }

    /// Records the cost of a statistic, compared with its target where it has one. Where it is refreshed, `refreshes` says
    /// whether this step does so.
    pub(super) fn record_cost(
        &self,
        tape: &mut Tape,
        statistic: TensorId,
        layer: &str,
        refreshes: bool,
    ) -> Result<TensorId> {
        let shape = tape.shape(statistic);
        let (plane, row) = (Shape { c: 1, ..shape }, Shape::row(shape.c));
        let mut inputs = vec![statistic];
        let mut external = |tape: &mut Tape, name: String, shape: Shape| {
            inputs.push(tape.external(name, shape, Role::Workspace));
        };
        match self.kind {
            TermKind::Activations if self.mask.is_none() => {
                external(tape, self.target_name(), shape);
                tape.record(SquaredError::content_cost(), &inputs, layer)
            }
            TermKind::Activations | TermKind::WeightedActivations => {
                external(tape, self.target_name(), shape);
                external(tape, self.tensor_name("weights"), plane);
                tape.record(WeightedError, &inputs, layer)
            }
            TermKind::Gram => {
                external(tape, self.target_name(), shape);
                tape.record(SquaredError::style_cost(), &inputs, layer)
            }
            TermKind::Covariance => {
                external(tape, self.target_name(), Shape::new(1, shape.w, shape.w));
                external(tape, self.tensor_name("norm"), Shape::SCALAR);
                tape.record(CovarianceCost, &inputs, layer)
            }
            TermKind::MeanVariance => {
                external(tape, self.target_name(), shape);
                tape.record(MeanVarianceCost, &inputs, layer)
            }
            TermKind::Match => {
                external(tape, self.tensor_name("centre"), row);
                external(tape, self.target_name(), shape);
                external(tape, share_name(self.mask, layer), plane);
                tape.record(MatchCost, &inputs, layer)
            }
            TermKind::Wasserstein(divisor) => {
                external(tape, self.target_name(), shape);
                let [mut map, mut rest] = self.record_kept(tape, shape.w);
                if refreshes {
                    [map, rest] = self.record_refresh(tape, statistic, [map, rest], divisor, layer)?;
                }
                tape.record(WassersteinCost, &[inputs[0], inputs[1], map, rest], layer)
            }
            TermKind::TotalVariation(wrap) => tape.record(TotalVariation { wrap }, &inputs, layer),
        }
    }

    /// The map and the rest that a Wasserstein distance goes on with, for `channels`.
    fn record_kept(&self, tape: &mut Tape, channels: u32) -> [TensorId; 2] {
        let square = Shape::new(1, channels, channels);
        [("map", square), ("rest", Shape::row(2))]
            .map(|(what, shape)| tape.external(self.tensor_name(what), shape, Role::Workspace))
    }

    /// Records the optimal map from the picture's distribution, of the moments (1, C + 1, C), to the target's, and what of
    /// the distance does not depend on the picture while the map stays. Both are left in the place of `kept`.
    fn record_refresh(
        &self,
        tape: &mut Tape,
        moments: TensorId,
        kept: [TensorId; 2],
        divisor: Divisor,
        layer: &str,
    ) -> Result<[TensorId; 2]> {
        let square = tape.shape(kept[0]);
        let [root, target] =
            ["root", "covariance"].map(|what| tape.external(self.tensor_name(what), square, Role::Workspace));
        let covariance = tape.record(Covariance, &[moments], layer)?;
        let (map, covariance_root) = record_map(tape, covariance, root, layer)?;
        let inputs = [covariance, covariance_root, map, target];
        let rest = tape.record(WassersteinRest { divisor }, &inputs, layer)?;
        Ok([tape.record(Store, &[map, kept[0]], layer)?, tape.record(Store, &[rest, kept[1]], layer)?])
    }

    /// Records from a layer's activations (C, H, W) of the source that the term is compared with what its cost reads of
    /// them, and returns it with its names. A match has more to read: [`super::look_up`].
    pub(super) fn record_target(
        &self,
        tape: &mut Tape,
        activations: TensorId,
        layer: &str,
    ) -> Result<Vec<(String, TensorId)>> {
        if self.kind == TermKind::Covariance {
            let covariance = record_covariance(tape, activations, layer)?;
            let norm = tape.record(FrobeniusNorm, &[covariance], layer)?;
            return Ok(vec![(self.target_name(), covariance), (self.tensor_name("norm"), norm)]);
        }
        let target = self.kind.record_statistic(tape, activations, None, layer)?;
        let mut results = vec![(self.target_name(), target)];
        let map = self.mask.filter(|_| self.compares_cells());
        let map = map.map(|map| record_guidance(tape, map, activations, layer));
        match self.kind {
            TermKind::WeightedActivations => {
                let mean = tape.record(ChannelMean, &[activations], layer)?;
                let mut weights = tape.record(CellWeights, &[activations, mean], layer)?;
                if let Some(map) = map {
                    weights = tape.record(Strength { even: None }, &[map, weights], layer)?;
                }
                results.push((self.tensor_name("weights"), weights));
            }
            TermKind::Activations => {
                if let Some(map) = map {
                    let even = Some(content_cost_weight(tape.shape(activations)));
                    let weights = tape.record(Strength { even }, &[map], layer)?;
                    results.push((self.tensor_name("weights"), weights));
                }
            }
            TermKind::Wasserstein(_) => {
                // Its root is iterated until it has converged, which a difference of products would not bear.
                let covariance = record_covariance(tape, activations, layer)?;
                let root = record_root_of_target(tape, covariance, layer)?;
                results
                    .extend([(self.tensor_name("covariance"), covariance), (self.tensor_name("root"), root)]);
            }
            TermKind::Gram
            | TermKind::Covariance
            | TermKind::MeanVariance
            | TermKind::Match
            | TermKind::TotalVariation(_) => {}
        }
        Ok(results)
    }

    /// Names of what a match reads of its style: the target and the centre.
    pub(super) fn match_names(&self) -> [String; 2] {
        [self.target_name(), self.tensor_name("centre")]
    }

    /// Channels of its layer's activations.
    pub(super) fn channels(&self, network: &Network) -> u32 {
        let layer = self.layer.as_ref().and_then(|layer| network.convolution(layer));
        layer.map_or(0, |layer| layer.output_channels)
    }
}

/// Records the covariance (1, C, C) of a layer's activations (C, H, W), from their distances to the mean: a picture without
/// contrast has none, where a difference of products would leave what rounding makes.
fn record_covariance(tape: &mut Tape, activations: TensorId, layer: &str) -> Result<TensorId> {
    let mean = tape.record(ChannelMean, &[activations], layer)?;
    let centred = tape.record(Centre, &[activations, mean], layer)?;
    tape.record(Gram, &[centred], layer)
}

impl TermKind {
    /// Records what is compared, or measured, of a layer's activations (C, H, W), which are multiplied by the guidance already
    /// where there is one.
    fn record_statistic(
        self,
        tape: &mut Tape,
        activations: TensorId,
        guidance: Option<TensorId>,
        layer: &str,
    ) -> Result<TensorId> {
        match self {
            Self::Activations | Self::WeightedActivations | Self::Match | Self::TotalVariation(_) => {
                Ok(activations)
            }
            Self::Gram => tape.record(Gram, &[activations], layer),
            Self::Covariance | Self::MeanVariance | Self::Wasserstein(_) => {
                let inputs: Vec<TensorId> = [activations].into_iter().chain(guidance).collect();
                tape.record(Moments, &inputs, layer)
            }
        }
    }
}
