//! Which of several methods does an op: the one that was asked for, the one that was measured to be the fastest, or the
//! usual one. This is the same for every op that has several; what differs is in its table, [`Variants`].

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::conv::ConvGeometry;
use super::{Capabilities, DeviceClass, Op, Shape};

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
    /// The op: [`Variants::op`].
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
    /// The op: [`Variants::op`].
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

fn known_op<'de, D: Deserializer<'de>>(deserializer: D) -> Result<OpName, D::Error> {
    let name = String::deserialize(deserializer)?;
    let known = Variants::of(&name).map(|variants| variants.op);
    known.ok_or_else(|| D::Error::custom(format_args!("there is no choice of methods for the op {name}")))
}

impl Problem {
    /// The methods that can do it on a device, the usual one first.
    pub fn methods(&self, capabilities: &Capabilities) -> Vec<Method> {
        Variants::of(self.op).map_or_else(Vec::new, |variants| variants.fitting(self, capabilities))
    }
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

impl TryFrom<Vec<Choice>> for MethodTable {
    type Error = String;

    fn try_from(list: Vec<Choice>) -> Result<Self, String> {
        let entry = |Choice { problem, method }: Choice| {
            let named = Variants::of(problem.op).and_then(|variants| variants.named(&method));
            let known =
                named.ok_or_else(|| format!("there is no method {method} for the op {}", problem.op))?;
            Ok((problem, known))
        };
        list.into_iter().map(entry).collect::<Result<_, String>>().map(Self)
    }
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

/// What an op with several methods declares. [`super::VARIANTS`] lists these ops.
#[derive(Debug)]
pub struct Variants {
    /// The op's name, the same for both directions and however it is merged with others.
    pub op: &'static str,
    /// Every method.
    pub methods: &'static [Method],
    /// The method that can do every problem of the op on every device.
    pub naive: Method,
    /// Every method, in the order in which it is likely to be fast on a class of devices where nothing was measured.
    pub usual: fn(DeviceClass) -> &'static [Method],
    /// Whether a method can do a problem on a device.
    pub fits: fn(Method, &Problem, &Capabilities) -> bool,
    /// What is run to find out how long a problem takes.
    pub trial: fn(&Problem) -> Trial,
}

/// An op to be timed. It reads `inputs` and then `weights`.
#[derive(Debug)]
pub struct Trial {
    /// The op.
    pub op: Arc<dyn Op>,
    /// Shapes of what it reads first.
    pub inputs: Vec<Shape>,
    /// Shapes of the weights that follow.
    pub weights: Vec<Shape>,
}

impl Variants {
    /// Those of the op of this name.
    pub fn of(op: &str) -> Option<&'static Self> {
        super::VARIANTS.iter().copied().find(|variants| variants.op == op)
    }

    /// The method of this name.
    pub fn named(&self, name: &str) -> Option<Method> {
        self.methods.iter().copied().find(|method| method.name == name)
    }

    /// The methods that can do a problem on a device, the usual one first.
    pub fn fitting(&self, problem: &Problem, capabilities: &Capabilities) -> Vec<Method> {
        let usual = (self.usual)(capabilities.class).iter().copied();
        usual.filter(|method| (self.fits)(*method, problem, capabilities)).collect()
    }

    /// The method for a problem: the one asked for, else the one measured for it or for the plane nearest in size,
    /// else the usual one. Where that cannot do it, the first usual one that can does. Where memory is short nothing
    /// measured counts: mixed methods read weights in several arrangements, and the usual ones in one.
    pub fn choose(&self, problem: &Problem, capabilities: &Capabilities) -> Method {
        let fitting = self.fitting(problem, capabilities);
        let wanted = match capabilities.request {
            MethodRequest::Auto if capabilities.low_memory => None,
            MethodRequest::Auto => capabilities.methods.nearest(problem),
            MethodRequest::Algorithm(algorithm) => {
                fitting.iter().copied().find(|method| method.algorithm == algorithm)
            }
            MethodRequest::Method(method) => Some(method),
        };
        let wanted = wanted.filter(|method| fitting.contains(method));
        wanted.or(fitting.first().copied()).unwrap_or(self.naive)
    }
}
