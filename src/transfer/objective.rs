//! What is minimised: a list of terms. From it follow the tape of a step, the programs that make targets, the weights'
//! row, the names of the costs, and what a trace and a diagnosis say.

use std::fmt;

use super::options::Options;
use super::sources::{SourceId, StyleLayout};
use crate::error::Result;
use crate::graph::{Role, Tape, TensorId};
use crate::nn::{Network, Weights};
use crate::ops::Shape;
use crate::ops::gram::Gram;
use crate::ops::guide::{Blend, Brightness, Guide, Scale, Union};
use crate::ops::squared_error::SquaredError;
use crate::ops::total_variation::TotalVariation;
use crate::ops::weighted_sum::WeightedSum;

/// Name of the row of weights among a program's externals.
pub(super) const COST_WEIGHTS: &str = "cost.weights";
/// What plans call the layer of terms that look at the pixels.
const PIXELS_LAYER: &str = "pixels";

/// Name of the content's pixels (3, H, W) among the externals of programs that lay the painting over them.
const CONTENT_PIXELS: &str = "content.pixels";

/// What a term belongs to: the total cost is Σ (weight of the group)·(cost of the group).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Group {
    /// What keeps the picture like the content: weight α.
    Content,
    /// What makes it like the styles: weight β.
    Style,
    /// What makes neighbouring pixels alike: weight [`Options::total_variation`].
    TotalVariation,
}

impl Group {
    /// Whether its terms have weights of their own, and are summed; otherwise it has one term, whose cost is the group's.
    fn is_summed(self) -> bool {
        self == Self::Style
    }
}

impl fmt::Display for Group {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Content => "content",
            Self::Style => "style",
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
    /// Gram matrices with those of the source: equation 4.
    Gram,
    /// How much neighbours differ: [`crate::ops::total_variation`].
    TotalVariation,
}

impl TermKind {
    /// Records what is compared, or measured, of a layer's activations (C, H, W).
    fn record_statistic(self, tape: &mut Tape, activations: TensorId, layer: &str) -> Result<TensorId> {
        match self {
            Self::Activations | Self::TotalVariation => Ok(activations),
            Self::Gram => tape.record(Gram, &[activations], layer),
        }
    }

    /// Records the cost of a statistic, compared with its target where it has one.
    fn record_cost(
        self,
        tape: &mut Tape,
        statistic: TensorId,
        target: Option<TensorId>,
        layer: &str,
    ) -> Result<TensorId> {
        let inputs: Vec<TensorId> = std::iter::once(statistic).chain(target).collect();
        match self {
            Self::Activations => tape.record(SquaredError::content_cost(), &inputs, layer),
            Self::Gram => tape.record(SquaredError::style_cost(), &inputs, layer),
            Self::TotalVariation => tape.record(TotalVariation, &inputs, layer),
        }
    }
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
    /// The mask that says how much each place of the layer counts; `None` where all count alike. It is that of the
    /// painting: the target's places all count alike.
    pub mask: Option<SourceId>,
}

/// Name of a mask's brightness (1, H, W), 0..1, on the grid of the pixels.
fn coverage_name(mask: SourceId) -> String {
    format!("coverage.{mask}")
}

/// Name of a mask's guidance (1, H, W) for the activations of a layer among a step's externals.
fn guidance_name(mask: SourceId, layer: &str) -> String {
    format!("guidance.{mask}.{layer}")
}

impl Term {
    /// Whether it is compared with this source, or guided by it.
    fn reads(&self, source: SourceId) -> bool {
        [self.target, self.mask].contains(&Some(source))
    }

    /// Name of its target among a step's externals.
    pub(super) fn target_name(&self) -> String {
        format!("target.{}", self.name)
    }
}

/// A sum of terms.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    /// The terms: group by group, and in the network's order within a group.
    pub terms: Vec<Term>,
    /// The weight of each group.
    pub weights: Vec<(Group, f32)>,
}

/// A value that a step's program keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// The total cost.
    Total,
    /// The cost of a group whose terms are summed.
    Group(Group),
    /// The cost of the term of this number.
    Term(usize),
}

impl Objective {
    /// The terms that `options` ask for of `network`, with these styles.
    pub fn of(network: &Network, options: &Options, styles: &[StyleLayout]) -> Self {
        let content = network.convolution(&options.content_layer).map(|layer| Term {
            name: format!("{}.{}", Group::Content, layer.name),
            group: Group::Content,
            kind: TermKind::Activations,
            layer: Some(layer.name.clone()),
            weight: 1.0,
            target: Some(SourceId::Content),
            mask: None,
        });
        let style = network.convolutions().flat_map(|layer| {
            let asked = options.style_layers.iter().find(|asked| asked.name == layer.name);
            asked.into_iter().flat_map(|asked| {
                styles.iter().enumerate().map(|(index, style)| {
                    let target = SourceId::Style(index);
                    Term {
                        name: format!("{target}.{}", asked.name),
                        group: Group::Style,
                        kind: TermKind::Gram,
                        layer: Some(asked.name.clone()),
                        weight: asked.weight * style.weight,
                        target: Some(target),
                        mask: style.mask.map(|_| SourceId::StyleMask(index)),
                    }
                })
            })
        });
        let variation = (options.total_variation > 0.0).then(|| Term {
            name: Group::TotalVariation.to_string(),
            group: Group::TotalVariation,
            kind: TermKind::TotalVariation,
            layer: None,
            weight: 1.0,
            target: None,
            mask: None,
        });
        let mut weights = vec![(Group::Content, options.alpha), (Group::Style, options.beta)];
        weights.extend(variation.iter().map(|term| (term.group, options.total_variation)));
        Self { terms: content.into_iter().chain(style).chain(variation).collect(), weights }
    }

    /// The same, after it has seen that the options make sense, and that a weights file holds every layer that the terms
    /// look at, without reading its values.
    ///
    /// # Errors
    /// [`crate::Error::Option`] for options that do not make sense, [`crate::Error::Weights`] that names the first tensor at
    /// fault.
    pub fn checked(weights: &Weights, options: &Options, styles: &[StyleLayout]) -> Result<Self> {
        let network = weights.network();
        options.validate(network)?;
        let objective = Self::of(network, options, styles);
        weights.check(objective.deepest(network, None))?;
        Ok(objective)
    }

    /// Whether a program for one can compute the other: the terms are the same, whatever their weights.
    pub(super) fn has_terms_of(&self, other: &Self) -> bool {
        let alike = |a: &Term, b: &Term| {
            (&a.name, a.group, a.kind, &a.layer, a.target, a.mask)
                == (&b.name, b.group, b.kind, &b.layer, b.target, b.mask)
        };
        self.terms.len() == other.terms.len() && self.terms.iter().zip(&other.terms).all(|(a, b)| alike(a, b))
    }

    fn members(&self, group: Group) -> Vec<usize> {
        (0..self.terms.len()).filter(|term| self.terms[*term].group == group).collect()
    }

    /// The row of weights that a step reads: those of the terms of every summed group, then those of the groups.
    pub(super) fn cost_weights(&self) -> Vec<f32> {
        let summed = self.weights.iter().filter(|(group, _)| group.is_summed());
        let terms = summed.flat_map(|(group, _)| self.members(*group)).map(|term| self.terms[term].weight);
        terms.chain(self.weights.iter().map(|(_, weight)| *weight)).collect()
    }

    /// What a step's program keeps, in order.
    pub(super) fn kept(&self) -> Vec<Kept> {
        let groups = self.weights.iter().flat_map(|(group, _)| {
            let sum = group.is_summed().then_some(Kept::Group(*group));
            sum.into_iter().chain(self.members(*group).into_iter().map(Kept::Term))
        });
        std::iter::once(Kept::Total).chain(groups).collect()
    }

    /// Whether a term is compared with this source, or guided by it.
    pub(super) fn reads(&self, source: SourceId) -> bool {
        self.terms.iter().any(|term| term.reads(source))
    }

    /// The masks that say together where the painting covers the content: none, where a style has no mask.
    fn covering_masks(&self) -> Vec<SourceId> {
        let masks = self.terms.iter().filter(|term| term.group == Group::Style).map(|term| term.mask);
        let mut masks: Vec<SourceId> = masks.collect::<Option<_>>().unwrap_or_default();
        masks.sort_unstable();
        masks.dedup();
        masks
    }

    /// Records what is seen of the `pixels` (3, H, W): where every style has a mask, the content elsewhere.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where something does not fit.
    pub(super) fn record_cover(&self, tape: &mut Tape, pixels: TensorId) -> Result<TensorId> {
        let shape = tape.shape(pixels);
        let masks = self.covering_masks().into_iter().map(coverage_name);
        let coverages: Vec<TensorId> =
            masks.map(|name| tape.external(name, Shape { c: 1, ..shape }, Role::Workspace)).collect();
        let Some((first, others)) = coverages.split_first() else { return Ok(pixels) };
        let mut covered = *first;
        for other in others {
            covered = tape.record(Union, &[covered, *other], PIXELS_LAYER)?;
        }
        let content = tape.external(CONTENT_PIXELS, shape, Role::Workspace);
        tape.record(Blend, &[pixels, content, covered], PIXELS_LAYER)
    }

    /// Index in [`Network::layers`] of the deepest layer that a term looks at, among those that read this source; of all
    /// for `None`.
    pub(super) fn deepest(&self, network: &Network, source: Option<SourceId>) -> usize {
        let terms = self.terms.iter().filter(|term| source.is_none_or(|source| term.reads(source)));
        terms.filter_map(|term| network.index_of(term.layer.as_ref()?)).max().unwrap_or(0)
    }

    /// Names of the terms in the order in which a step computes them.
    pub(super) fn names_in_order(&self, network: &Network) -> Vec<&str> {
        let mut terms: Vec<&Term> = self.terms.iter().collect();
        terms.sort_by_key(|term| term.layer.as_ref().and_then(|layer| network.index_of(layer)));
        terms.into_iter().map(|term| &*term.name).collect()
    }

    /// Records the network on `pixels` (3, H, W), every cost, and the total cost, which is returned. Keeps what
    /// [`Objective::kept`] lists.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where something does not fit.
    pub(super) fn record(&self, network: &Network, tape: &mut Tape, pixels: TensorId) -> Result<TensorId> {
        let mut costs: Vec<Option<TensorId>> = vec![None; self.terms.len()];
        self.record_layer(tape, None, pixels, &mut costs)?;
        network.record(tape, pixels, self.deepest(network, None), true, |tape, layer, activations| {
            self.record_layer(tape, Some(layer), activations, &mut costs)
        })?;
        let row = Shape::row(self.cost_weights().len() as u32);
        let weights = tape.external(COST_WEIGHTS, row, Role::Workspace);
        let mut first = 0;
        let mut sums: Vec<TensorId> = Vec::new();
        for (group, _) in &self.weights {
            let members: Vec<TensorId> =
                self.members(*group).into_iter().filter_map(|term| costs[term]).collect();
            if group.is_summed() {
                let inputs: Vec<TensorId> = [weights].into_iter().chain(members.iter().copied()).collect();
                sums.push(tape.record(WeightedSum { first }, &inputs, &format!("{group}_cost"))?);
                first += members.len() as u32;
            } else {
                sums.extend(members);
            }
        }
        let inputs: Vec<TensorId> = [weights].into_iter().chain(sums.iter().copied()).collect();
        let total = tape.record(WeightedSum { first }, &inputs, "total_cost")?;
        for kept in self.kept() {
            match kept {
                Kept::Total => tape.keep(total),
                Kept::Group(group) => {
                    let place = self.weights.iter().position(|(known, _)| *known == group);
                    place.into_iter().for_each(|place| tape.keep(sums[place]));
                }
                Kept::Term(term) => costs[term].into_iter().for_each(|cost| tape.keep(cost)),
            }
        }
        Ok(total)
    }

    /// Records the costs of the terms that look at one layer's activations (C, H, W), or at the pixels.
    fn record_layer(
        &self,
        tape: &mut Tape,
        layer: Option<&str>,
        activations: TensorId,
        costs: &mut [Option<TensorId>],
    ) -> Result<()> {
        // Styles share the statistic of a layer, where they have no masks.
        let mut statistics: Vec<((TermKind, Option<SourceId>), TensorId)> = Vec::new();
        let label = layer.unwrap_or(PIXELS_LAYER);
        let terms = self.terms.iter().zip(costs).filter(|(term, _)| term.layer.as_deref() == layer);
        for (term, cost) in terms {
            let key = (term.kind, term.mask);
            let known = statistics.iter().find(|(known, _)| *known == key).map(|(_, statistic)| *statistic);
            let statistic = match known {
                Some(statistic) => statistic,
                None => {
                    let mut guided = activations;
                    if let Some(mask) = term.mask {
                        let plane = Shape { c: 1, ..tape.shape(activations) };
                        let guidance = tape.external(guidance_name(mask, label), plane, Role::Workspace);
                        guided = tape.record(Guide, &[activations, guidance], label)?;
                    }
                    let statistic = term.kind.record_statistic(tape, guided, label)?;
                    statistics.push((key, statistic));
                    statistic
                }
            };
            let target = term
                .target
                .map(|_| tape.external(term.target_name(), tape.shape(statistic), Role::Workspace));
            *cost = Some(term.kind.record_cost(tape, statistic, target, label)?);
        }
        Ok(())
    }

    /// Records the network on the picture `pixels` (3, H, W), and keeps the target of every term that is compared with
    /// `source`, and what a step else reads of it. Returns the names of these, in the order in which they are kept.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where something does not fit.
    pub(super) fn record_targets(
        &self,
        network: &Network,
        tape: &mut Tape,
        pixels: TensorId,
        source: SourceId,
    ) -> Result<Vec<String>> {
        let mut names = Vec::new();
        if source == SourceId::Content && !self.covering_masks().is_empty() {
            tape.keep(pixels);
            names.push(CONTENT_PIXELS.to_owned());
        }
        network.record(
            tape,
            pixels,
            self.deepest(network, Some(source)),
            false,
            |tape, layer, activations| {
                for term in self
                    .terms
                    .iter()
                    .filter(|term| term.target == Some(source) && term.layer.as_deref() == Some(layer))
                {
                    let target = term.kind.record_statistic(tape, activations, layer)?;
                    tape.keep(target);
                    names.push(term.target_name());
                }
                Ok(())
            },
        )?;
        Ok(names)
    }

    /// Records the brightness of the mask `source`, from its 8-bit `picture` (1, H, W), and the guidance that it is for every
    /// layer that a term looks at by it, and keeps what a step reads. Returns the names, in the order in which they are kept.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where something does not fit.
    pub(super) fn record_guidance(
        &self,
        network: &Network,
        tape: &mut Tape,
        picture: TensorId,
        source: SourceId,
    ) -> Result<Vec<String>> {
        let mut names = Vec::new();
        let brightness = tape.record(Brightness, &[picture], PIXELS_LAYER)?;
        if self.covering_masks().contains(&source) {
            tape.keep(brightness);
            names.push(coverage_name(source));
        }
        network.record_plane(
            tape,
            brightness,
            self.deepest(network, Some(source)),
            |tape, layer, brightness| {
                let is_read = |term: &Term| term.mask == Some(source) && term.layer.as_deref() == Some(layer);
                if self.terms.iter().any(is_read) {
                    // One channel: the matrix is the mean of the squares.
                    let mean_square = tape.record(Gram, &[brightness], layer)?;
                    let guidance = tape.record(Scale, &[brightness, mean_square], layer)?;
                    tape.keep(guidance);
                    names.push(guidance_name(source, layer));
                }
                Ok(())
            },
        )?;
        Ok(names)
    }
}
