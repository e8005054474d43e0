//! `impasto devices`: the adapters of this machine.

use std::fmt::Write;

use impasto::gpu::{AdapterSummary, Gpu, adapters};
use impasto::wgpu::DeviceType;

use super::{Failure, Result, print};

/// Prints every adapter with the limits that matter to a run.
pub(super) fn devices() -> Result<()> {
    let adapters = pollster::block_on(adapters());
    if adapters.is_empty() {
        // The error of opening one says what is missing.
        let error = pollster::block_on(Gpu::open(None)).err();
        return Err(error.map_or_else(|| Failure::Failed("no adapter was found".into()), Failure::from));
    }
    let list: Vec<String> =
        adapters.iter().enumerate().map(|(index, adapter)| describe(index, adapter)).collect();
    print(&list.join("\n"))
}

fn describe(index: usize, adapter: &AdapterSummary) -> String {
    let AdapterSummary { name, driver, backend, .. } = adapter;
    let default = if index == 0 { " (default)" } else { "" };
    let subgroups = match adapter.subgroups {
        Some((min, max)) if min == max => format!("subgroups of {min}"),
        Some((min, max)) => format!("subgroups of {min} to {max}"),
        None => "no subgroups".to_owned(),
    };
    let mut text = format!("{index}: {name}{default}\n");
    let lines = [
        ("kind", kind(adapter.device_type).to_owned()),
        ("backend", backend.clone()),
        ("driver", if driver.is_empty() { "unknown".to_owned() } else { driver.clone() }),
        ("largest buffer", mebibytes(adapter.max_buffer_bytes)),
        ("largest binding", mebibytes(adapter.max_binding_bytes)),
        ("features", subgroups),
    ];
    for (label, value) in lines {
        // Writing to a String does not fail.
        let _ = writeln!(text, "   {label:<16} {value}");
    }
    text
}

/// The kind of an adapter, for people.
pub(super) fn kind(device_type: DeviceType) -> &'static str {
    match device_type {
        DeviceType::DiscreteGpu => "discrete GPU",
        DeviceType::IntegratedGpu => "integrated GPU",
        DeviceType::VirtualGpu => "virtual GPU",
        DeviceType::Cpu => "software (CPU)",
        DeviceType::Other => "other",
    }
}

/// Some drivers report a huge limit where there is none.
fn mebibytes(bytes: u64) -> String {
    const NO_LIMIT: u64 = 1 << 50;
    if bytes >= NO_LIMIT { "unlimited".to_owned() } else { format!("{} MiB", bytes >> 20) }
}
