//! Which kernels this device gets, and why not the others.

use std::collections::{BTreeMap, BTreeSet};

use impasto::gpu::{Gpu, Kernel};
use impasto::graph::Limits;
use impasto::nn::{PoolKind, vgg19};
use impasto::ops::{Capabilities, DeviceClass, KERNELS, conv};
use impasto::transfer::{Options, Plan, Preset};
use serde::Serialize;

use crate::cli::{table::table, words};

/// Width and height of the pictures that a step is planned for.
const SIZE: (u32, u32) = (400, 300);

/// The kernels of a step with default options at 400×300, where nothing was measured.
#[derive(Debug, Serialize)]
pub(super) struct Variants {
    /// The class of device by which the table of usual methods goes.
    class: &'static str,
    /// Smallest and largest subgroup; null where there are none.
    subgroups: Option<(u32, u32)>,
    /// Optional features that the device was opened with.
    features: Vec<String>,
    /// The method of every convolution: `conv1_1 forward`.
    convolutions: BTreeMap<String, &'static str>,
    /// The kernels of the step, each once, in the order in which they first run.
    kernels: Vec<&'static str>,
    /// Kernels that are never run on this device, with the reason.
    not_usable: BTreeMap<&'static str, String>,
    /// Why such a step cannot be planned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

impl Variants {
    /// Those of a device; `runnable` are the kernels that any case runs on it.
    pub(super) fn of(gpu: &Gpu, runnable: &BTreeSet<&str>) -> Self {
        let limits = Limits::of(gpu, u64::MAX);
        let capabilities = &limits.capabilities;
        let mut variants = Self {
            class: class(capabilities.class),
            subgroups: capabilities.subgroups,
            features: gpu.device().features().iter_names().map(|(name, _)| name.to_owned()).collect(),
            convolutions: BTreeMap::new(),
            kernels: Vec::new(),
            not_usable: KERNELS
                .iter()
                .filter(|kernel| !runnable.contains(kernel.name))
                .map(|kernel| (kernel.name, why_not(kernel, capabilities)))
                .collect(),
            error: None,
        };
        // The plan does not depend on what is subtracted from the pixels.
        let network = vgg19(PoolKind::Mean);
        match Plan::new(&network, &Options::preset(Preset::Course), (SIZE, SIZE), &limits) {
            Ok(plan) => {
                for dispatch in &plan.step.program.dispatches {
                    if let Some((problem, method)) = dispatch.choice
                        && problem.op == conv::VARIANTS.op
                    {
                        let direction = format!("{:?}", problem.direction).to_lowercase();
                        let name = format!("{} {direction}", dispatch.layer);
                        variants.convolutions.insert(name, method.name);
                    }
                    if !variants.kernels.contains(&dispatch.kernel.name) {
                        variants.kernels.push(dispatch.kernel.name);
                    }
                }
            }
            Err(error) => variants.error = Some(words::message(&error)),
        }
        variants
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let (width, height) = SIZE;
        if let Some(error) = &self.error {
            return format!("A step at {width}x{height} cannot be planned: {error}\n");
        }
        let mut rows: BTreeMap<&str, [String; 3]> = BTreeMap::new();
        for (name, method) in &self.convolutions {
            let Some((layer, direction)) = name.split_once(' ') else { continue };
            let row = rows.entry(layer).or_insert_with(|| [layer.to_owned(), "–".into(), "–".into()]);
            row[if direction == "forward" { 1 } else { 2 }] = (*method).to_owned();
        }
        let rows: Vec<[String; 3]> = rows.into_values().collect();
        let mut text = format!("Convolutions of a step at {width}x{height}, where nothing was measured:\n\n");
        text.push_str(&table(&["layer", "forward", "backward"], &[], &rows));
        text.push_str("\nIts kernels:\n");
        for kernel in &self.kernels {
            text.push_str(&format!("  {kernel}\n"));
        }
        for (kernel, reason) in &self.not_usable {
            text.push_str(&format!("Not usable: {kernel}, which is {reason}\n"));
        }
        text
    }

    /// Class, subgroups and features, one line each.
    pub(super) fn lines(&self) -> [(&'static str, String); 3] {
        let subgroups = match self.subgroups {
            Some((min, max)) if min == max => format!("of {min}"),
            Some((min, max)) => format!("of {min} to {max}"),
            None => "none".to_owned(),
        };
        let features =
            if self.features.is_empty() { "none asked for".to_owned() } else { self.features.join(", ") };
        [("class", self.class.to_owned()), ("subgroups", subgroups), ("features", features)]
    }
}

/// Why a kernel is not for a device, to follow "is".
pub(super) fn why_not(kernel: &Kernel, capabilities: &Capabilities) -> String {
    let range =
        |(min, max): (u32, u32)| if min == max { format!("{min}") } else { format!("{min} to {max}") };
    let Some(wanted) = kernel.subgroup.map(range) else {
        return "only used by kernels that are not usable".to_owned();
    };
    let found = capabilities.subgroups.map_or_else(
        || "this device has none".to_owned(),
        |sizes| format!("this device has {}", range(sizes)),
    );
    format!("for subgroups of {wanted} lanes, and {found}")
}

fn class(class: DeviceClass) -> &'static str {
    match class {
        DeviceClass::ManyRegisters => "GPU with many registers",
        DeviceClass::Portable => "GPU",
        DeviceClass::Software => "software",
    }
}
