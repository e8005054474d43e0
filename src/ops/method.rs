//! Methods of ops as values: names, what the choice of one depends on, and the table of those that were measured to be
//! the fastest, which is kept in files.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::conv::ConvGeometry;

/// A family of methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// Winograd's F(4×4, 3×3).
    Winograd,
    /// Products of matrices: of a convolution through workgroup memory.
    Gemm,
    /// Sums in registers, straight from the picture.
    Direct,
    /// The definition.
    Naive,
}

impl Algorithm {
    /// All algorithms with their names.
    pub const ALL: [(&'static str, Self); 4] = [
        ("winograd", Self::Winograd),
        ("gemm", Self::Gemm),
        ("direct", Self::Direct),
        ("naive", Self::Naive),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, it)| *it == self).map_or("", |(name, _)| name)
    }
}

/// One way of doing an op. The op declares it as a constant; files hold its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Method {
    /// The op: [`Variants::op`](super::Variants::op).
    pub op: &'static str,
    /// Its name in tables and files, which no other method of the op has.
    pub name: &'static str,
    /// The algorithm that it belongs to.
    pub algorithm: Algorithm,
    /// Whether its threads give each other numbers in workgroup memory, which processors are slow at.
    pub shares_memory: bool,
}

/// Which method is taken. Where the one asked for cannot do an op, or is of another op, the usual one does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum MethodRequest {
    /// The one that was measured to be the fastest, or the usual one.
    #[default]
    Auto,
    /// The usual one of an algorithm.
    Algorithm(Algorithm),
    /// This one.
    Method(Method),
}

/// Forward, or the gradient with respect to the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// From the op's input to its output.
    Forward,
    /// From the gradient of the output to that of the input.
    Backward,
}

/// So that serde takes the name from what it reads, and does not borrow it.
type OpName = &'static str;

/// What the choice of a method depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Problem {
    /// The op: [`Variants::op`](super::Variants::op).
    #[serde(deserialize_with = "known_op")]
    pub op: OpName,
    /// The direction.
    pub direction: Direction,
    /// Channels that are read: in the backward direction those of the op's output.
    pub inputs: u32,
    /// Channels that are made.
    pub outputs: u32,
    /// Planes of a channel of the op's input, in both directions.
    pub d: u32,
    /// Rows of such a plane.
    pub h: u32,
    /// Columns.
    pub w: u32,
    /// What a convolution looks at; `None` for other ops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub geometry: Option<ConvGeometry>,
}

/// The name of an op that has several methods. Ops use this file, so the list of them stands above it, and with the list
/// the conversion from a text.
pub(super) struct KnownOp(pub(super) OpName);

fn known_op<'de, D: Deserializer<'de>>(deserializer: D) -> Result<OpName, D::Error> {
    let known = KnownOp::try_from(String::deserialize(deserializer)?);
    known.map(|KnownOp(op)| op).map_err(D::Error::custom)
}

/// Methods that were found to be the fastest, by problem; to serde a list of [`Choice`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Choice>", into = "Vec<Choice>")]
pub struct MethodTable(pub BTreeMap<Problem, Method>);

/// An entry of [`MethodTable`] in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// The problem.
    #[serde(flatten)]
    pub problem: Problem,
    /// The name of its method.
    pub method: String,
}

impl From<MethodTable> for Vec<Choice> {
    fn from(table: MethodTable) -> Self {
        let entry = |(problem, method): (Problem, Method)| Choice { problem, method: method.name.to_owned() };
        table.0.into_iter().map(entry).collect()
    }
}

impl MethodTable {
    /// The method for a problem, else the one for the same on the plane nearest in size: what is fastest depends on
    /// the channels far more than on the plane.
    pub fn nearest(&self, problem: &Problem) -> Option<Method> {
        let &Problem { d, h, w, .. } = problem;
        let alike = |known: &Problem| Problem { d, h, w, ..*known } == *problem;
        let pixels =
            |problem: &Problem| [problem.d, problem.h, problem.w].map(f64::from).iter().product::<f64>();
        let distance = |known: &Problem| (pixels(known) / pixels(problem)).ln().abs();
        let others = || {
            let alike = self.0.iter().filter(|(known, _)| alike(known));
            alike.min_by(|a, b| distance(a.0).total_cmp(&distance(b.0))).map(|(_, method)| method)
        };
        self.0.get(problem).or_else(others).copied()
    }
}
