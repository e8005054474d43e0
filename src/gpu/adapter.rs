//! Finding adapters, and what a device may ask of one.

use crate::error::{Error, Remedy, Result};

/// Backends in the order in which equal adapters are preferred. A browser has only the last, a machine only the others.
const BACKENDS: [wgpu::Backend; 4] =
    [wgpu::Backend::Vulkan, wgpu::Backend::Metal, wgpu::Backend::Dx12, wgpu::Backend::BrowserWebGpu];

/// What this library needs to know of an adapter.
#[derive(Clone, Debug)]
pub struct AdapterSummary {
    /// The name that the driver gives.
    pub name: String,
    /// The driver with its version.
    pub driver: String,
    /// Vulkan, Metal, Dx12, or in a browser WebGPU, as wgpu spells them.
    pub backend: String,
    /// Discrete, integrated, virtual, software (`Cpu`) or other.
    pub device_type: wgpu::DeviceType,
    /// The PCI vendor.
    pub vendor: u32,
    /// Largest buffer in bytes.
    pub max_buffer_bytes: u64,
    /// Largest storage binding in bytes: larger tensors are cut into channel groups.
    pub max_binding_bytes: u64,
    /// Smallest and largest subgroup, where subgroups can be used.
    pub subgroups: Option<(u32, u32)>,
}

impl AdapterSummary {
    pub(super) fn new(info: &wgpu::AdapterInfo, limits: &wgpu::Limits, features: wgpu::Features) -> Self {
        let subgroups = features.contains(wgpu::Features::SUBGROUP);
        Self {
            name: info.name.clone(),
            driver: [info.driver.trim(), info.driver_info.trim()].join(" ").trim().to_owned(),
            backend: info.backend.to_string(),
            device_type: info.device_type,
            vendor: info.vendor,
            max_buffer_bytes: limits.max_buffer_size,
            max_binding_bytes: limits.max_storage_buffer_binding_size,
            subgroups: subgroups.then_some((info.subgroup_min_size, info.subgroup_max_size)),
        }
    }

    /// Whether the adapter runs on the CPU.
    pub fn is_software(&self) -> bool {
        self.device_type == wgpu::DeviceType::Cpu
    }
}

/// All adapters of this machine, the preferred one first.
pub async fn adapters() -> Vec<AdapterSummary> {
    enumerate().await.iter().map(summary).collect()
}

fn summary(adapter: &wgpu::Adapter) -> AdapterSummary {
    AdapterSummary::new(&adapter.get_info(), &adapter.limits(), adapter.features())
}

/// The adapters of all backends that are used, the preferred one first.
pub(super) async fn enumerate() -> Vec<wgpu::Adapter> {
    // An instance without any backend panics: on wasm32 without the feature `webgpu` there is none.
    if wgpu::Instance::enabled_backend_features().is_empty() {
        return Vec::new();
    }
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
    // Running out of memory is an error to report, not a device to lose: refuse what would not fit.
    descriptor.memory_budget_thresholds =
        wgpu::MemoryBudgetThresholds { for_resource_creation: Some(90), for_device_loss: None };
    descriptor.backends = BACKENDS.into_iter().map(wgpu::Backends::from).collect();
    let instance = wgpu::Instance::new(descriptor);
    let mut adapters = instance.enumerate_adapters(wgpu::Backends::all()).await;
    adapters.retain(|adapter| BACKENDS.contains(&adapter.get_info().backend));
    adapters.sort_by_key(|adapter| {
        let info = adapter.get_info();
        (kind_rank(info.device_type), BACKENDS.iter().position(|backend| *backend == info.backend))
    });
    adapters
}

fn kind_rank(kind: wgpu::DeviceType) -> u32 {
    match kind {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    }
}

/// What a device is opened with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceRequest {
    /// All limits that the adapter has, and those of its optional features that we use: subgroups and timestamps.
    #[default]
    Full,
    /// No optional feature, and WebGPU's default limits (bindings of 128 MiB, buffers of 256 MiB): this shows on any
    /// adapter what works on one with low limits. Where the adapter has less than a default limit, what it has.
    Portable,
}

impl DeviceRequest {
    pub(super) fn features(self, adapter: &wgpu::Adapter) -> wgpu::Features {
        match self {
            Self::Full => wanted_features(adapter.features()),
            Self::Portable => wgpu::Features::empty(),
        }
    }

    pub(super) fn limits(self, adapter: &wgpu::Adapter) -> wgpu::Limits {
        match self {
            Self::Full => adapter.limits(),
            Self::Portable => wgpu::Limits::default().or_worse_values_from(&adapter.limits()),
        }
    }
}

/// The optional features of an adapter that this library uses.
pub(crate) fn wanted_features(adapter: wgpu::Features) -> wgpu::Features {
    adapter & (wgpu::Features::SUBGROUP | wgpu::Features::TIMESTAMP_QUERY)
}

/// Whether an adapter of a kind is meant by a word: `cpu` or `software`, `gpu`, `discrete`, `integrated`, `virtual`.
fn is_kind(word: &str, kind: wgpu::DeviceType) -> bool {
    use wgpu::DeviceType::{Cpu, DiscreteGpu, IntegratedGpu, VirtualGpu};
    match word {
        "cpu" | "software" => kind == Cpu,
        "gpu" => matches!(kind, DiscreteGpu | IntegratedGpu | VirtualGpu),
        "discrete" => kind == DiscreteGpu,
        "integrated" => kind == IntegratedGpu,
        "virtual" => kind == VirtualGpu,
        _ => false,
    }
}

/// One of these adapters, as [`super::Gpu::open`] says.
///
/// # Errors
/// [`Error::Adapter`] where none fits.
pub(super) fn select(mut adapters: Vec<wgpu::Adapter>, selector: Option<&str>) -> Result<wgpu::Adapter> {
    let names: Vec<String> =
        adapters.iter().enumerate().map(|(index, a)| format!("{index}: {}", a.get_info().name)).collect();
    let position = match selector {
        None => (!adapters.is_empty()).then_some(0),
        Some("") => None,
        Some(selector) => {
            let index = selector.parse().ok().filter(|index| *index < adapters.len());
            let wanted = selector.to_lowercase();
            let backend = || adapters.iter().position(|a| a.get_info().backend.to_str() == wanted);
            let kind = || adapters.iter().position(|a| is_kind(&wanted, a.get_info().device_type));
            // A number that is no index may be a part of a name, such as 4090.
            let name = || adapters.iter().position(|a| a.get_info().name.to_lowercase().contains(&wanted));
            index.or_else(backend).or_else(kind).or_else(name)
        }
    };
    match (position, selector) {
        (Some(position), _) => Ok(adapters.swap_remove(position)),
        (None, Some(selector)) if !names.is_empty() => Err(Error::Adapter {
            reason: format!("no adapter is called {selector:?}; there are {}", names.join(", ")),
            remedy: Remedy::ListedAdapter,
        }),
        _ if cfg!(target_family = "wasm") => Err(Error::Adapter {
            reason: "no WebGPU adapter was found".into(),
            remedy:
                "use a browser with WebGPU and a page from https or localhost; build with the feature webgpu"
                    .into(),
        }),
        _ => Err(Error::Adapter {
            reason: "no Vulkan, Metal or DirectX 12 adapter was found".into(),
            remedy:
                "install your GPU's driver, or on Linux Mesa's software driver (Debian: mesa-vulkan-drivers)"
                    .into(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgpu::DeviceType::{Cpu, DiscreteGpu, IntegratedGpu, Other, VirtualGpu};

    #[test]
    fn words_for_kinds_are_understood() {
        for (word, kinds) in [
            ("cpu", &[Cpu][..]),
            ("software", &[Cpu]),
            ("gpu", &[DiscreteGpu, IntegratedGpu, VirtualGpu]),
            ("discrete", &[DiscreteGpu]),
            ("integrated", &[IntegratedGpu]),
            ("virtual", &[VirtualGpu]),
            ("other", &[]),
            ("", &[]),
        ] {
            for kind in [Cpu, DiscreteGpu, IntegratedGpu, VirtualGpu, Other] {
                assert_eq!(is_kind(word, kind), kinds.contains(&kind), "{word:?} {kind:?}");
            }
        }
    }
}
