//! Which of several methods does an op: the one that was asked for, the one that was measured to be the fastest, or the
//! usual one. This is the same for every op that has several; what differs is in its table, [`Variants`].

use std::sync::Arc;

use super::{Capabilities, DeviceClass, Method, MethodRequest, Op, Problem, Shape};

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
