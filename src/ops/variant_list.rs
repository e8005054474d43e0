//! The list of the ops that have several methods, and what is looked up in it.

use super::method::KnownOp;
use super::{Capabilities, Choice, Method, MethodTable, Problem, Variants, conv, gram, matrix, nearest};

/// The ops that can be done by several methods. What a file says of methods is looked up here.
pub static VARIANTS: [&Variants; 4] =
    [&conv::VARIANTS, &gram::VARIANTS, &matrix::VARIANTS, &nearest::VARIANTS];

/// What the op of this name declares of its methods; `None` where there is no choice.
pub fn variants_of(op: &str) -> Option<&'static Variants> {
    VARIANTS.iter().copied().find(|variants| variants.op == op)
}

/// The methods that can do a problem on a device, the usual one first.
pub fn methods_for(problem: &Problem, capabilities: &Capabilities) -> Vec<Method> {
    variants_of(problem.op).map_or_else(Vec::new, |variants| variants.fitting(problem, capabilities))
}

impl TryFrom<String> for KnownOp {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let known = variants_of(&name).map(|variants| Self(variants.op));
        known.ok_or_else(|| format!("there is no choice of methods for the op {name}"))
    }
}

impl TryFrom<Vec<Choice>> for MethodTable {
    type Error = String;

    fn try_from(list: Vec<Choice>) -> Result<Self, String> {
        let entry = |Choice { problem, method }: Choice| {
            let named = variants_of(problem.op).and_then(|variants| variants.named(&method));
            let known =
                named.ok_or_else(|| format!("there is no method {method} for the op {}", problem.op))?;
            Ok((problem, known))
        };
        list.into_iter().map(entry).collect::<Result<_, String>>().map(Self)
    }
}
