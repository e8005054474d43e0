//! Which method is the fastest for a convolution: found out by trying them on the device.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::engine::Engine;
use super::planning::Plan;
use crate::error::Result;
use crate::graph::{Executable, Externals, Limits, Program, Role, Tape, plan};
use crate::ops::conv::{Choices, Conv, ConvBackward, Direction, Layer, Method, weights_shape};
use crate::ops::{DeviceClass, Epilogue, KernelChoice, Shape};

/// Trials that every method gets, after one that only warms up, and those that the better ones get.
const QUALIFYING: usize = 2;
const REPEATS: usize = 3;
/// A method that is by so much slower than the best one at first sight is not tried again.
const HOPELESS: f64 = 1.25;
/// Times that differ by less than this share are equal: then the usual order decides, and not chance.
const EQUAL: f64 = 0.03;

/// How much is tried on a kind of device.
struct Sample {
    /// Seconds that each dispatch of a trial is run for. Of a longer one only the first workgroups are run, which
    /// are like the others.
    seconds: f64,
    /// FLOP of a slice, the smallest part of a dispatch that is run.
    slice_work: u64,
    /// Most bytes of the layer's larger tensor: planes are cut down in height to this. They need to fill the
    /// device, and no more, because fresh memory takes time too.
    tensor_bytes: u64,
}

impl Sample {
    fn of(class: DeviceClass) -> Self {
        match class {
            DeviceClass::Software => Self { seconds: 0.005, slice_work: 150_000_000, tensor_bytes: 3 << 20 },
            // As much as Winograd's kernels do in one go.
            DeviceClass::Portable => {
                Self { seconds: 0.002, slice_work: 2_000_000_000, tensor_bytes: 7 << 20 }
            }
            DeviceClass::ManyRegisters => {
                Self { seconds: 0.002, slice_work: 10_000_000_000, tensor_bytes: 7 << 20 }
            }
        }
    }
}

/// Whether a method can be the fastest on a class of devices. Plain loops never are. Workgroup memory is what the
/// software adapter is slowest at: tiles take it 5 to 20 times as long, and seconds to find that out.
fn promises(method: Method, class: DeviceClass) -> bool {
    match method {
        Method::Naive => false,
        Method::WinogradSubgroup | Method::DirectSubgroup | Method::Direct => true,
        _ => class != DeviceClass::Software,
    }
}

impl Engine {
    /// Convolutions of a plan's step that [`super::EngineOptions::choices`] say nothing of, and that there is a
    /// choice for. None where methods were asked for, or where memory is short and the usual ones are taken.
    pub fn unmeasured(&self, plan: &Plan) -> BTreeSet<Layer> {
        let limits = self.limits();
        let capabilities = &limits.capabilities;
        if capabilities.choice != KernelChoice::Auto || capabilities.low_memory {
            return BTreeSet::new();
        }
        let layers = plan.step.program.convolutions().0.into_keys();
        layers
            .filter(|layer| {
                !capabilities.choices.0.contains_key(layer) && candidates(*layer, &limits).len() > 1
            })
            .collect()
    }

    /// The engine's choices together with the fastest methods for those convolutions of `plan`'s step that were
    /// not measured yet: each method that promises something runs for some milliseconds. Takes a second or two on
    /// a software adapter, less on a GPU; kernels that are compiled for it stay compiled. Give the result to
    /// [`Engine::with_choices`], plan again, and keep it for the next time: it fits this adapter and driver only.
    ///
    /// The targets, whose pictures may have another size, are always made by the methods of the step.
    ///
    /// # Errors
    /// [`crate::Error::Memory`] and [`crate::Error::Gpu`] from the device.
    pub async fn measure(&self, plan: &Plan) -> Result<Choices> {
        let mut choices = Choices::clone(&self.options().choices);
        let layers = self.unmeasured(plan);
        if layers.is_empty() {
            return Ok(choices);
        }
        let trials = Trials::new(self, &layers).await?;
        for layer in layers {
            if let Some(method) = trials.fastest(layer).await? {
                choices.0.insert(layer, method);
            }
        }
        Ok(choices)
    }
}

/// The methods worth trying, the usual one first.
fn candidates(layer: Layer, limits: &Limits) -> Vec<Method> {
    let capabilities = &limits.capabilities;
    let methods = layer.methods(capabilities).into_iter();
    methods.filter(|method| promises(*method, capabilities.class)).collect()
}

/// The trials of an engine's device.
struct Trials<'a> {
    engine: &'a Engine,
    limits: Limits,
    sample: Sample,
    /// Stands for pictures, weights and biases alike: values do not matter, and no kernel writes to them.
    zeros: Arc<wgpu::Buffer>,
}

impl<'a> Trials<'a> {
    async fn new(engine: &'a Engine, layers: &BTreeSet<Layer>) -> Result<Self> {
        let mut limits = engine.limits();
        let sample = Sample::of(limits.capabilities.class);
        limits.slice_work = sample.slice_work;
        // A trial is far smaller than the transfer that is bounded.
        limits.memory_bytes = None;
        let mut most = 4;
        for layer in layers {
            for method in candidates(*layer, &limits) {
                let program = program(*layer, method, &limits, &sample)?;
                most = program.externals.iter().map(|external| external.bytes).fold(most, u64::max);
            }
        }
        // Fresh memory is zero.
        let zeros = engine.gpu().buffer("impasto.trial", most, wgpu::BufferUsages::STORAGE).await?;
        Ok(Self { engine, limits, sample, zeros: Arc::new(zeros) })
    }

    /// The fastest method for a layer; `None` where there is none to try.
    async fn fastest(&self, layer: Layer) -> Result<Option<Method>> {
        let mut contest = Vec::new();
        for method in candidates(layer, &self.limits) {
            let mut contestant = Contestant::new(method, self.executable(layer, method).await?);
            for _ in 0..QUALIFYING {
                contestant.run(self).await?;
            }
            contest.push(contestant);
        }
        let best = contest.iter().map(Contestant::least).fold(f64::INFINITY, f64::min);
        contest.retain(|contestant| contestant.least() <= HOPELESS * best);
        // In turns, so that what else the machine does meets all alike.
        for _ in QUALIFYING..REPEATS {
            if contest.len() > 1 {
                for contestant in &mut contest {
                    contestant.run(self).await?;
                }
            }
        }
        let times: Vec<(Method, f64)> =
            contest.iter().map(|contestant| (contestant.method, contestant.median())).collect();
        Ok(first_of_the_fastest(&times))
    }

    /// A method on the device, warmed up.
    async fn executable(&self, layer: Layer, method: Method) -> Result<Executable> {
        let gpu = self.engine.gpu();
        let program = program(layer, method, &self.limits, &self.sample)?;
        let mut externals = Externals::default();
        for external in &program.externals {
            externals.insert(external, Arc::clone(&self.zeros));
        }
        let executable = Executable::new(gpu, self.engine.pipelines(), program, externals).await?;
        // One slice of each dispatch: drivers compile and clear memory at first use.
        executable.estimate(gpu, 0.0).await?;
        Ok(executable)
    }
}

/// A method with its times so far.
struct Contestant {
    method: Method,
    executable: Executable,
    seconds: Vec<f64>,
}

impl Contestant {
    fn new(method: Method, executable: Executable) -> Self {
        Self { method, executable, seconds: Vec::with_capacity(REPEATS) }
    }

    async fn run(&mut self, trials: &Trials<'_>) -> Result<()> {
        let seconds = self.executable.estimate(trials.engine.gpu(), trials.sample.seconds).await?;
        self.seconds.push(seconds.iter().sum());
        Ok(())
    }

    fn least(&self) -> f64 {
        self.seconds.iter().copied().fold(f64::INFINITY, f64::min)
    }

    fn median(&self) -> f64 {
        let mut seconds = self.seconds.clone();
        seconds.sort_by(f64::total_cmp);
        seconds.get(seconds.len() / 2).copied().unwrap_or(f64::INFINITY)
    }
}

/// One convolution on a plane that is cut down in height.
fn program(layer: Layer, method: Method, limits: &Limits, sample: &Sample) -> Result<Program> {
    let Layer { direction, inputs, outputs, h, w } = layer;
    let row = 4 * u64::from(inputs.max(outputs)) * u64::from(w);
    let rows = (sample.tensor_bytes / row).clamp(8, u64::from(h.max(8))) as u32;
    let mut tape = Tape::new();
    let x = tape.external("x", Shape::new(inputs, rows.min(h), w), Role::Workspace);
    let y = match direction {
        Direction::Forward => {
            let w = tape.external("w", weights_shape(inputs, outputs), Role::Weights);
            let b = tape.external("b", Shape::row(outputs), Role::Weights);
            // As a step has it.
            tape.record(Conv { relu: true, mask: true }, &[x, w, b], "trial")?
        }
        Direction::Backward => {
            let w = tape.external("w", weights_shape(outputs, inputs), Role::Weights);
            tape.record(ConvBackward { epilogue: Epilogue::default() }, &[x, w], "trial")?
        }
    };
    tape.keep(y);
    let mut limits = limits.clone();
    limits.capabilities.choice = KernelChoice::Method(method);
    plan(&tape, &limits)
}

/// The first of `measured`, which are in the usual order, that is as fast as the fastest.
fn first_of_the_fastest(measured: &[(Method, f64)]) -> Option<Method> {
    let best = measured.iter().map(|(_, seconds)| *seconds).fold(f64::INFINITY, f64::min);
    measured.iter().find(|(_, seconds)| *seconds <= best * (1.0 + EQUAL)).map(|(method, _)| *method)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_times_go_to_the_usual_method() {
        use Method::{DirectSubgroup, GemmTile, WinogradSubgroup};
        let fastest = |times: [f64; 3]| {
            first_of_the_fastest(&[
                (WinogradSubgroup, times[0]),
                (DirectSubgroup, times[1]),
                (GemmTile, times[2]),
            ])
        };
        assert_eq!(fastest([1.02, 1.0, 3.0]), Some(WinogradSubgroup));
        assert_eq!(fastest([1.04, 1.0, 3.0]), Some(DirectSubgroup));
        assert_eq!(fastest([1.04, 1.02, 1.0]), Some(DirectSubgroup));
        assert_eq!(first_of_the_fastest(&[]), None);
    }
}
