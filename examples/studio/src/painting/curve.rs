//! The costs of all steps so far.

use impasto::transfer::Costs;

/// The costs, step by step, in powers of ten.
#[derive(Default)]
pub struct Curve {
    pub total: Vec<[f64; 2]>,
    pub content: Vec<[f64; 2]>,
    pub style: Vec<[f64; 2]>,
    /// Steps at which one of the pictures was changed.
    pub marks: Vec<u32>,
}

impl Curve {
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn mark(&mut self, step: u32) {
        self.marks.push(step);
    }

    pub(super) fn push(&mut self, step: u32, costs: &Costs) {
        let lines = [
            (&mut self.total, costs.total),
            (&mut self.content, costs.content),
            (&mut self.style, costs.style),
        ];
        for (line, cost) in lines {
            // No logarithm shows a cost of 0, such as the content's own content cost.
            if cost > 0.0 {
                line.push([f64::from(step), f64::from(cost).log10()]);
            }
        }
    }

    /// The newest total cost.
    pub fn newest(&self) -> Option<f64> {
        self.total.last().map(|[_, cost]| 10f64.powf(*cost))
    }
}
