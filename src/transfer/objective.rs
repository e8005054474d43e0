//! What is minimised: a list of terms. From it follow the tape of a step, the programs that make targets and look things
//! up, the weights' row, the names of the costs, and what a trace and a diagnosis say.

use super::look_up::{
    ENERGY_LAYER, MATCH_LAYERS, index_name, index_shape, record_look_up, record_matches, record_shares,
};
use super::options::{ContentCost, Options, StyleStatistic, WeightedLayer};
use super::sources::{SourceId, SourceLayouts};
use super::term::{Group, PIXELS_LAYER, Term, TermKind, guidance_name};
use crate::error::Result;
use crate::graph::{Role, Tape, TensorId};
use crate::nn::{Network, Weights};
use crate::ops::Shape;
use crate::ops::gram::Gram;
use crate::ops::guide::{Blend, Brightness, Scale, Union};
use crate::ops::normalise_gradient::{Normalised, WeightIndices};
use crate::ops::wasserstein::Divisor;
use crate::ops::weighted_sum::WeightedSum;

/// Name of the row of weights among a program's externals.
pub(super) const COST_WEIGHTS: &str = "cost.weights";

/// Name of the content's pixels (3, H, W) among the externals of programs that lay the painting over them. Each size has
/// its own: one is shown until the pixels of the next are there.
fn content_name(Shape { h, w, .. }: Shape) -> String {
    format!("content.{w}x{h}")
}

/// Name of a mask's brightness (1, H, W), 0..1, on the grid of the pixels of a size.
fn coverage_name(mask: SourceId, Shape { h, w, .. }: Shape) -> String {
    format!("coverage.{mask}.{w}x{h}")
}

/// The layers that a network has, in its order and by its names.
fn in_order(network: &Network, layers: &[WeightedLayer]) -> impl Iterator<Item = WeightedLayer> {
    network.convolutions().filter_map(|layer| {
        let is_it = |asked: &&WeightedLayer| network.activations_called(&asked.name) == Some(layer);
        let asked = layers.iter().find(is_it)?;
        Some(WeightedLayer { name: layer.name.clone(), weight: asked.weight })
    })
}

/// A sum of terms.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    /// The terms: group by group, and in the network's order within a group.
    pub terms: Vec<Term>,
    /// The weight of each group.
    pub weights: Vec<(Group, f32)>,
    /// Whether the gradient of each term that looks at a layer is divided by its L1 norm there, before it has its weights.
    pub normalises_gradients: bool,
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
    /// The terms that `options` ask for of `network`, as far as there are sources for them: those of the content, those of
    /// the styles, and those that match the two.
    pub fn of(network: &Network, options: &Options, sources: &SourceLayouts) -> Self {
        let styles = &sources.styles;
        let of_content = if sources.content.is_some() { &options.content_layers[..] } else { &[] };
        let content = in_order(network, of_content).map(|layer| Term {
            name: format!("{}.{}", Group::Content, layer.name),
            group: Group::Content,
            kind: match options.content_cost {
                ContentCost::Uniform => TermKind::Activations,
                ContentCost::Energy => TermKind::WeightedActivations,
            },
            layer: Some(layer.name.clone()),
            weight: layer.weight,
            target: Some(SourceId::Content),
            mask: sources.strength_map.map(|_| SourceId::StrengthMap),
        });
        let statistic = match options.style_statistic {
            StyleStatistic::Gram => TermKind::Gram,
            StyleStatistic::Covariance => TermKind::Covariance,
            StyleStatistic::MeanVariance => TermKind::MeanVariance,
            StyleStatistic::Wasserstein => TermKind::Wasserstein(Divisor::Variance),
            StyleStatistic::WassersteinMean => TermKind::Wasserstein(Divisor::Channels),
        };
        let of_layer = |group: Group, kind: TermKind, layer: &str, weight: f32| {
            let terms = styles.iter().enumerate().map(move |(index, style)| {
                let target = SourceId::Style(index);
                let number = if index == 0 { String::new() } else { (index + 1).to_string() };
                Term {
                    name: format!("{group}{number}.{layer}"),
                    group,
                    kind,
                    layer: Some(layer.to_owned()),
                    weight: weight * style.weight,
                    target: Some(target),
                    mask: style.mask.map(|_| SourceId::StyleMask(index)),
                }
            });
            terms.collect::<Vec<_>>()
        };
        let style = in_order(network, &options.style_layers)
            .flat_map(|layer| of_layer(Group::Style, statistic, &layer.name, layer.weight));
        let is_matched = options.gamma > 0.0 && sources.content.is_some();
        let matched = if is_matched { &MATCH_LAYERS[..] } else { &[] };
        let share = 1.0 / MATCH_LAYERS.len() as f32;
        let matched = matched.iter().flat_map(|layer| of_layer(Group::Match, TermKind::Match, layer, share));
        let variation = (options.total_variation > 0.0).then(|| Term {
            name: Group::TotalVariation.to_string(),
            group: Group::TotalVariation,
            kind: TermKind::TotalVariation(options.seamless.wrap()),
            layer: None,
            weight: 1.0,
            target: None,
            mask: None,
        });
        let terms: Vec<Term> = content.chain(style).chain(matched).chain(variation).collect();
        let weights = [
            (Group::Content, options.content_weight()),
            (Group::Style, options.beta),
            (Group::Match, options.gamma),
            (Group::TotalVariation, options.total_variation),
        ];
        let has_terms = |group: Group| terms.iter().any(|term| term.group == group);
        let weights = weights.into_iter().filter(|(group, _)| has_terms(*group)).collect();
        Self { terms, weights, normalises_gradients: options.normalise_gradients }
    }

    /// The same, after it has seen that the options make sense, and that a weights file holds every layer that the terms
    /// look at, without reading its values.
    ///
    /// # Errors
    /// [`crate::Error::Option`] for options that do not make sense, [`crate::Error::Weights`] that names the first tensor at
    /// fault.
    pub fn checked(weights: &Weights, options: &Options, sources: &SourceLayouts) -> Result<Self> {
        let network = weights.network();
        options.validate(network)?;
        let objective = Self::of(network, options, sources);
        let of_content = objective.deepest_of_target(network, SourceId::Content);
        weights.check(objective.deepest(network, None).max(of_content))?;
        Ok(objective)
    }

    /// Whether a program for one can compute the other: the terms are the same, whatever their weights.
    pub(super) fn has_terms_of(&self, other: &Self) -> bool {
        let alike = |a: &Term, b: &Term| {
            (&a.name, a.group, a.kind, &a.layer, a.target, a.mask)
                == (&b.name, b.group, b.kind, &b.layer, b.target, b.mask)
        };
        self.normalises_gradients == other.normalises_gradients
            && self.terms.len() == other.terms.len()
            && self.terms.iter().zip(&other.terms).all(|(a, b)| alike(a, b))
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

    /// Where the row of weights has those of the term of this number.
    fn weight_indices(&self, term: usize) -> WeightIndices {
        let group = self.terms[term].group;
        let summed = || self.weights.iter().filter(|(group, _)| group.is_summed());
        let terms = || summed().flat_map(|(group, _)| self.members(*group));
        let place = self.weights.iter().position(|(known, _)| *known == group).unwrap_or(0);
        WeightIndices {
            term: terms().position(|known| known == term).unwrap_or(0) as u32,
            group: (terms().count() + place) as u32,
        }
    }

    /// What a step's program keeps, in order.
    pub(super) fn kept(&self) -> Vec<Kept> {
        let groups = self.weights.iter().flat_map(|(group, _)| {
            let sum = group.is_summed().then_some(Kept::Group(*group));
            sum.into_iter().chain(self.members(*group).into_iter().map(Kept::Term))
        });
        std::iter::once(Kept::Total).chain(groups).collect()
    }

    /// Whether some steps make anew what others go on with.
    pub(super) fn has_refreshes(&self) -> bool {
        self.terms.iter().any(Term::is_refreshed)
    }

    /// Whether something is looked up in this style.
    pub(super) fn looks_up(&self, style: SourceId) -> bool {
        self.terms.iter().any(|term| term.kind == TermKind::Match && term.target == Some(style))
    }

    /// What the terms keep from step to step for pixels of this shape (3, H, W), by name; `style_shape` is that of a style's.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where the network cannot take them.
    pub(super) fn state(
        &self,
        network: &Network,
        pixels: Shape,
        style_shape: impl Fn(SourceId) -> Shape,
    ) -> Result<Vec<(String, Shape)>> {
        let mut state: Vec<_> =
            self.terms.iter().flat_map(|term| term.state(term.channels(network))).collect();
        let targets = self.terms.iter().filter_map(|term| term.target);
        let mut looked_up: Vec<SourceId> = targets.filter(|target| self.looks_up(*target)).collect();
        looked_up.dedup();
        for style in looked_up {
            state.push((index_name(style), index_shape(network, pixels, style_shape(style))?));
        }
        state.sort_by(|(a, _), (b, _)| a.cmp(b));
        state.dedup();
        Ok(state)
    }

    /// Whether a term is compared with this source, guided or weighted by it.
    pub(super) fn reads(&self, source: SourceId) -> bool {
        self.terms.iter().any(|term| term.reads(source))
    }

    /// Whether the content's targets are made by this mask: it is in the shares of what is matched, or in the weights of the
    /// content's cells.
    pub(super) fn weighs_content(&self, mask: SourceId) -> bool {
        self.terms.iter().any(|term| term.mask == Some(mask) && term.guiding_mask().is_none())
    }

    fn matches(&self) -> impl Iterator<Item = &Term> {
        self.terms.iter().filter(|term| term.kind == TermKind::Match)
    }

    /// The layers for which a mask's guidance is read: those of the terms that it guides or whose cells it weighs, and that of
    /// the content's energy where it is in the shares of what is matched.
    fn guided_layers(&self, mask: SourceId) -> Vec<&str> {
        let is_match = |term: &&Term| term.kind == TermKind::Match;
        let of_mask = || self.terms.iter().filter(|term| term.mask == Some(mask));
        let guided = of_mask().filter(|term| !is_match(term));
        let energy = of_mask().any(|term| is_match(&term)).then_some(ENERGY_LAYER);
        guided.filter_map(|term| term.layer.as_deref()).chain(energy).collect()
    }

    /// The masks that say together where the painting covers the content: none, where a style has no mask, or there is no
    /// content.
    fn covering_masks(&self) -> Vec<SourceId> {
        if !self.terms.iter().any(|term| term.group == Group::Content) {
            return Vec::new();
        }
        let masks = self.terms.iter().filter(|term| term.group == Group::Style).map(|term| term.mask);
        let mut masks: Vec<SourceId> = masks.collect::<Option<_>>().unwrap_or_default();
        masks.sort_unstable();
        masks.dedup();
        masks
    }

    /// The sources that decide what is seen of the pixels, in the order in which something is made of them: the masks, where
    /// every style has one, and the content.
    pub(super) fn covering_sources(&self) -> Vec<SourceId> {
        let mut sources = self.covering_masks();
        if !sources.is_empty() {
            // What is made of the content may be weighed by masks.
            sources.push(SourceId::Content);
        }
        sources
    }

    /// Records what is seen of the `pixels` (3, H, W): where every style has a mask, the content elsewhere.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where something does not fit.
    pub(super) fn record_cover(&self, tape: &mut Tape, pixels: TensorId) -> Result<TensorId> {
        let shape = tape.shape(pixels);
        let masks = self.covering_masks().into_iter().map(|mask| coverage_name(mask, shape));
        let coverages: Vec<TensorId> =
            masks.map(|name| tape.external(name, Shape { c: 1, ..shape }, Role::Workspace)).collect();
        let Some((first, others)) = coverages.split_first() else { return Ok(pixels) };
        let mut covered = *first;
        for other in others {
            covered = tape.record(Union, &[covered, *other], PIXELS_LAYER)?;
        }
        let content = tape.external(content_name(shape), shape, Role::Workspace);
        tape.record(Blend, &[pixels, content, covered], PIXELS_LAYER)
    }

    /// Index in [`Network::layers`] of the deepest layer that a term looks at, among those that read this source; of all
    /// for `None`.
    pub(super) fn deepest(&self, network: &Network, source: Option<SourceId>) -> usize {
        let terms = self.terms.iter().filter(|term| source.is_none_or(|source| term.reads(source)));
        terms.filter_map(|term| network.index_of(term.layer.as_ref()?)).max().unwrap_or(0)
    }

    /// Index of the deepest layer that the program of a source's targets looks at: beside those of the terms that of the
    /// content's energy, where something is matched.
    fn deepest_of_target(&self, network: &Network, source: SourceId) -> usize {
        let is_weighed = source == SourceId::Content && self.matches().next().is_some();
        let energy = network.index_of(ENERGY_LAYER).filter(|_| is_weighed);
        self.deepest(network, Some(source)).max(energy.unwrap_or(0))
    }

    /// Names of the terms in the order in which a step computes them.
    pub(super) fn names_in_order(&self, network: &Network) -> Vec<&str> {
        let mut terms: Vec<&Term> = self.terms.iter().collect();
        terms.sort_by_key(|term| term.layer.as_ref().and_then(|layer| network.index_of(layer)));
        terms.into_iter().map(|term| &*term.name).collect()
    }

    /// Records the network on `pixels` (3, H, W), every cost, and the total cost, which is returned. Keeps what
    /// [`Objective::kept`] lists. `refreshes`: with what others go on with ([`Objective::has_refreshes`]).
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where something does not fit.
    pub(super) fn record(
        &self,
        network: &Network,
        tape: &mut Tape,
        pixels: TensorId,
        refreshes: bool,
    ) -> Result<TensorId> {
        let mut costs: Vec<Option<TensorId>> = vec![None; self.terms.len()];
        let row = Shape::row(self.cost_weights().len() as u32);
        let weights = tape.external(COST_WEIGHTS, row, Role::Workspace);
        self.record_layer(tape, None, pixels, weights, refreshes, &mut costs)?;
        network.record(tape, pixels, self.deepest(network, None), true, |tape, layer, activations| {
            self.record_layer(tape, Some(layer), activations, weights, refreshes, &mut costs)
        })?;
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
        weights: TensorId,
        refreshes: bool,
        costs: &mut [Option<TensorId>],
    ) -> Result<()> {
        let normalises = self.normalises_gradients && layer.is_some();
        // Styles share the statistic of a layer, where they have no masks, and their gradients may be added up.
        let mut statistics: Vec<((TermKind, Option<SourceId>), TensorId)> = Vec::new();
        let label = layer.unwrap_or(PIXELS_LAYER);
        let terms = self.terms.iter().zip(costs).enumerate();
        for (index, (term, cost)) in terms.filter(|(_, (term, _))| term.layer.as_deref() == layer) {
            let key = (term.kind, term.guiding_mask());
            let known = statistics.iter().find(|(known, _)| *known == key && !normalises);
            let statistic = match known {
                Some((_, statistic)) => *statistic,
                None => {
                    let seen = match normalises {
                        true => {
                            let normalised = Normalised(self.weight_indices(index));
                            tape.record(normalised, &[activations, weights], label)?
                        }
                        false => activations,
                    };
                    let statistic = term.record_statistic(tape, seen, label)?;
                    statistics.push((key, statistic));
                    statistic
                }
            };
            *cost = Some(term.record_cost(tape, statistic, label, refreshes)?);
        }
        Ok(())
    }

    /// Records the network on the picture `pixels` (3, H, W), and keeps what the terms that are compared with `source` read
    /// of it, and what a step else reads of it, for a painting of the shape `painting` (3, H, W). Returns the names of
    /// these, in the order in which they are kept.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where something does not fit.
    pub(super) fn record_targets(
        &self,
        network: &Network,
        tape: &mut Tape,
        pixels: TensorId,
        source: SourceId,
        painting: Shape,
    ) -> Result<Vec<String>> {
        let mut results: Vec<(String, TensorId)> = Vec::new();
        if source == SourceId::Content && !self.covering_masks().is_empty() {
            results.push((content_name(painting), pixels));
        }
        let mut masks: Vec<Option<SourceId>> = self.matches().map(|term| term.mask).collect();
        masks.sort_unstable();
        masks.dedup();
        let is_weighed = source == SourceId::Content && !masks.is_empty();
        let mut matched = Vec::new();
        network.record(
            tape,
            pixels,
            self.deepest_of_target(network, source),
            false,
            |tape, layer, activations| {
                let of_layer =
                    |term: &&Term| term.target == Some(source) && term.layer.as_deref() == Some(layer);
                for term in self.terms.iter().filter(of_layer) {
                    if term.kind == TermKind::Match {
                        matched.push((term, activations));
                    } else {
                        results.extend(term.record_target(tape, activations, layer)?);
                    }
                }
                if is_weighed && layer == ENERGY_LAYER {
                    results.extend(record_shares(tape, network, activations, painting, &masks)?);
                }
                Ok(())
            },
        )?;
        if !matched.is_empty() {
            let shapes = [painting, tape.shape(pixels)];
            results.extend(record_matches(tape, &matched, source, network, shapes)?);
        }
        results.iter().for_each(|(_, tensor)| tape.keep(*tensor));
        Ok(results.into_iter().map(|(name, _)| name).collect())
    }

    /// Records for each cell of the pixels `query` (3, H, W) the number of the cell of the style's pixels (3, h, w) that is
    /// the most like it, and keeps it. Returns its name.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where something does not fit.
    pub(super) fn record_look_up(
        &self,
        network: &Network,
        tape: &mut Tape,
        query: TensorId,
        pixels: TensorId,
        style: SourceId,
    ) -> Result<Vec<String>> {
        let index = record_look_up(tape, network, query, pixels)?;
        tape.keep(index);
        Ok(vec![index_name(style)])
    }

    /// Records the brightness of the mask `source`, from its 8-bit `picture` (1, H, W), and the guidance that it is for every
    /// layer that it guides, and keeps what a step and the content's targets read. Returns the names, in the order in which they are kept.
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
            names.push(coverage_name(source, tape.shape(picture)));
        }
        let layers = self.guided_layers(source);
        let deepest = layers.iter().filter_map(|layer| network.index_of(layer)).max().unwrap_or(0);
        network.record_plane(tape, brightness, deepest, |tape, layer, brightness| {
            if layers.contains(&layer) && source == SourceId::StrengthMap {
                tape.keep(brightness);
                names.push(guidance_name(source, layer));
            } else if layers.contains(&layer) {
                // One channel: the matrix is the mean of the squares.
                let mean_square = tape.record(Gram, &[brightness], layer)?;
                let guidance = tape.record(Scale, &[brightness, mean_square], layer)?;
                tape.keep(guidance);
                names.push(guidance_name(source, layer));
            }
            Ok(())
        })?;
        Ok(names)
    }
}
