//! The costs of a picture, each by its name.

use std::sync::Arc;

use super::objective::{Kept, Objective};
use super::term::Group;

/// The costs of a picture.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Costs {
    /// Σ (weight of a group)·(cost of the group): with the content's α and the styles' β, J = α·content + β·style.
    pub total: f32,
    /// The content cost: Σ λ·(cost of a layer); 0 where there is no content.
    pub content: f32,
    /// The style cost: Σ λ·(cost of a layer); 0 where there is no style.
    pub style: f32,
    /// The match cost, where there is one: the mean of its layers'.
    pub matching: Option<f32>,
    /// Every term without its weights, in the objective's order.
    pub terms: Vec<TermCost>,
}

/// The cost of one term.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TermCost {
    /// The term's name, such as `style.conv1_1`.
    pub name: Arc<str>,
    /// What it belongs to.
    pub group: Group,
    /// The cost without weights.
    pub cost: f32,
}

impl Costs {
    /// The cost of a term.
    pub fn term(&self, name: &str) -> Option<f32> {
        self.terms.iter().find(|term| &*term.name == name).map(|term| term.cost)
    }

    /// The cost of a group, where it has terms.
    pub fn group(&self, group: Group) -> Option<f32> {
        let mut terms = self.terms.iter().filter(|term| term.group == group);
        let first = terms.next()?;
        match group {
            Group::Content => Some(self.content),
            Group::Style => Some(self.style),
            Group::Match => self.matching,
            Group::TotalVariation => Some(first.cost),
        }
    }

    /// Whether all of them are finite. Costs that are not never become so again: [`super::Transfer::diagnose`] finds
    /// where it began.
    pub fn are_finite(&self) -> bool {
        let sums = [self.total, self.content, self.style].into_iter().chain(self.matching);
        sums.chain(self.terms.iter().map(|term| term.cost)).all(f32::is_finite)
    }

    /// What is not finite, in words: the first of `terms`, names in the order in which they are computed, else the first
    /// sum.
    pub(super) fn first_not_finite<'a>(&self, terms: impl IntoIterator<Item = &'a str>) -> String {
        let bad = terms.into_iter().find(|name| self.term(name).is_some_and(|cost| !cost.is_finite()));
        match bad {
            Some(name) => match name.split_once('.') {
                Some((group, layer)) => format!("the {group} cost of {layer}"),
                None => format!("the cost {name}"),
            },
            None if !self.content.is_finite() => "the sum of the content costs".into(),
            None if !self.style.is_finite() => "the sum of the style costs".into(),
            None => "the sum of the costs".into(),
        }
    }
}

/// How the values that a step's program keeps are read.
#[derive(Clone, Debug)]
pub(super) struct CostReader {
    kept: Vec<Kept>,
    /// Name and group of each term.
    terms: Vec<(Arc<str>, Group)>,
}

impl CostReader {
    /// For the steps of an objective.
    pub(super) fn new(objective: &Objective) -> Self {
        let terms = objective.terms.iter().map(|term| (Arc::from(&*term.name), term.group)).collect();
        Self { kept: objective.kept(), terms }
    }

    /// The costs, from the bytes of the kept values in order; `None` where their number is another.
    pub(super) fn read(&self, bytes: &[u8]) -> Option<Costs> {
        let values: Vec<f32> = bytemuck::pod_collect_to_vec(bytes);
        if values.len() != self.kept.len() {
            return None;
        }
        let mut costs = Costs { total: 0.0, content: 0.0, style: 0.0, matching: None, terms: Vec::new() };
        for (kept, value) in self.kept.iter().zip(values) {
            let group = match kept {
                Kept::Total => {
                    costs.total = value;
                    continue;
                }
                Kept::Group(group) => *group,
                Kept::Term(term) => {
                    let (name, group) = &self.terms[*term];
                    costs.terms.push(TermCost { name: Arc::clone(name), group: *group, cost: value });
                    // A group without a sum of its own has this as its cost.
                    if self.kept.contains(&Kept::Group(*group)) {
                        continue;
                    }
                    *group
                }
            };
            match group {
                Group::Content => costs.content = value,
                Group::Style => costs.style = value,
                Group::Match => costs.matching = Some(value),
                // Named among the terms.
                Group::TotalVariation => {}
            }
        }
        Some(costs)
    }
}
