//! The kernels in the languages of the drivers, translated by naga as wgpu's back ends have it do. `main.rs` writes
//! them to files; `tests/shaders.rs` holds them against what each kernel claims.
//!
//! The options are those of wgpu-hal 30.0.1: `vulkan/adapter.rs` (`naga_options`) and `vulkan/device.rs`
//! (`compile_stage`), `metal/device.rs` (`load_shader`, `create_pipeline_layout`), `dx12/device.rs` (`load_shader`,
//! `create_pipeline_layout`). Only the capabilities are fewer: what a kernel does not claim it does not get, though
//! the device may have it.

use std::collections::BTreeMap;

use impasto::gpu::{Access, Kernel};
use naga::back::{hlsl, msl, pipeline_constants::process_overrides, spv};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{Module, ResourceBinding, ShaderStage};

/// The run-time checks that naga can put into a shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checks {
    /// None: our own kernels, see `gpu/pipelines.rs`.
    Without,
    /// All: a text from `impasto bench --kernel`, and the built-in one that it is compared with.
    With,
}

/// What a version of Vulkan reads: its name at `spirv-val --target-env`, and the version of SPIR-V that wgpu gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Vulkan {
    pub(crate) environment: &'static str,
    pub(crate) spirv: (u8, u8),
}

/// All versions, the oldest first; a newer one than the last gets the same as the last.
pub(crate) const VULKAN: [Vulkan; 4] = [
    Vulkan { environment: "vulkan1.0", spirv: (1, 0) },
    Vulkan { environment: "vulkan1.1", spirv: (1, 3) },
    Vulkan { environment: "vulkan1.2", spirv: (1, 5) },
    Vulkan { environment: "vulkan1.3", spirv: (1, 6) },
];

/// A text in a language that a driver compiles, with what its entry point is called there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) text: String,
    pub(crate) entry_point: String,
}

/// Whether the kernel claims subgroups, an optional feature.
pub(crate) fn claims_subgroups(kernel: &Kernel) -> bool {
    kernel.subgroup.is_some()
}

/// Whether the kernel claims to pack and unpack numbers in half precision, which every Vulkan, Metal and DirectX 12
/// device can.
pub(crate) fn claims_half(kernel: &Kernel) -> bool {
    kernel.name.contains("_half")
}

/// All that the kernel may use beside the language itself.
pub(crate) fn claimed(kernel: &Kernel) -> Capabilities {
    let mut claimed = Capabilities::empty();
    claimed.set(Capabilities::SUBGROUP, claims_subgroups(kernel));
    claimed.set(Capabilities::SHADER_FLOAT16_IN_FLOAT32, claims_half(kernel));
    claimed
}

/// The oldest Metal on which the kernel can run: that of macOS 10.13, or with subgroups of 10.15, before which wgpu does
/// not ask for them.
pub(crate) fn oldest_metal(kernel: &Kernel) -> (u8, u8) {
    if claims_subgroups(kernel) { (2, 2) } else { (2, 0) }
}

/// The oldest shader model with which the kernel can run: FXC's only one, or DXC's first.
pub(crate) fn oldest_shader_model(kernel: &Kernel) -> hlsl::ShaderModel {
    if claims_subgroups(kernel) { hlsl::ShaderModel::V6_0 } else { hlsl::ShaderModel::V5_1 }
}

/// Reads `text`.
pub(crate) fn parsed(text: &str) -> Result<Module, String> {
    naga::front::wgsl::parse_str(text).map_err(|error| error.emit_to_string(text))
}

/// Refuses what needs more than `claimed`.
pub(crate) fn validated(text: &str, module: &Module, claimed: Capabilities) -> Result<ModuleInfo, String> {
    let mut validator = Validator::new(ValidationFlags::all(), claimed);
    validator.validate(module).map_err(|error| error.emit_to_string(text))
}

/// A kernel ready to be translated: read, validated with nothing but what it claims, its constants put in.
pub(crate) struct Translation {
    kernel: &'static Kernel,
    checks: Checks,
    pub(crate) module: Module,
    info: ModuleInfo,
}

impl Translation {
    const STAGE: ShaderStage = ShaderStage::Compute;
    const ENTRY_POINT: &str = "main";

    /// `text` in the kernel's place: its own, or a changed one.
    pub(crate) fn new(kernel: &'static Kernel, text: &str, checks: Checks) -> Result<Self, String> {
        let module = parsed(text)?;
        let info = validated(text, &module, claimed(kernel))?;
        let constants = kernel.constants().iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        let entry_point = Some((Self::STAGE, Self::ENTRY_POINT));
        let (module, info) = process_overrides(&module, &info, entry_point, &constants)
            .map_err(|error| format!("putting the constants in: {error}"))?;
        Ok(Self { kernel, checks, module: module.into_owned(), info: info.into_owned() })
    }

    fn checked(&self) -> bool {
        self.checks == Checks::With
    }

    fn bounds_checks(&self) -> BoundsCheckPolicies {
        let policy = if self.checked() { BoundsCheckPolicy::Restrict } else { BoundsCheckPolicy::Unchecked };
        BoundsCheckPolicies {
            index: policy,
            // On Vulkan the driver does it where it can; where it cannot, this is what wgpu does.
            buffer: policy,
            image_load: policy,
            binding_array: BoundsCheckPolicy::Unchecked,
        }
    }

    /// The bindings of group 0 in order, as `gpu/pipelines.rs` lays them out.
    fn bindings(&self) -> impl Iterator<Item = (ResourceBinding, Binding)> {
        let storage = self.kernel.bindings.iter().map(|binding| match binding.access {
            Access::Read => Binding::Read,
            Access::ReadWrite => Binding::ReadWrite,
        });
        let all = [Binding::DynamicUniform, Binding::Uniform].into_iter().chain(storage);
        (0..).zip(all).map(|(binding, kind)| (ResourceBinding { group: 0, binding }, kind))
    }

    /// SPIR-V for a version of Vulkan.
    pub(crate) fn spirv(&self, vulkan: Vulkan) -> Result<Vec<u32>, String> {
        // Of wgpu's list for `Features::SUBGROUP`, what the kernels have a use for.
        let subgroups = [spv::Capability::GroupNonUniform, spv::Capability::GroupNonUniformShuffle];
        let claimed = subgroups.into_iter().filter(|_| claims_subgroups(self.kernel));
        let binding = |binding: ResourceBinding| spv::BindingInfo {
            descriptor_set: binding.group,
            binding: binding.binding,
            binding_array_size: None,
        };
        let options = spv::Options {
            lang_version: vulkan.spirv,
            flags: spv::WriterFlags::LABEL_VARYINGS | spv::WriterFlags::FORCE_POINT_SIZE,
            fake_missing_bindings: false,
            binding_map: self.bindings().map(|(source, _)| (source, binding(source))).collect(),
            capabilities: Some([spv::Capability::Shader].into_iter().chain(claimed).collect()),
            bounds_check_policies: self.bounds_checks(),
            zero_initialize_workgroup_memory: match self.checks {
                Checks::Without => spv::ZeroInitializeWorkgroupMemoryMode::None,
                // The driver's own came with Vulkan 1.3.
                Checks::With if vulkan.spirv >= (1, 6) => spv::ZeroInitializeWorkgroupMemoryMode::Native,
                Checks::With => spv::ZeroInitializeWorkgroupMemoryMode::Polyfill,
            },
            force_loop_bounding: self.checked(),
            ray_query_initialization_tracking: self.checked(),
            use_storage_input_output_16: false,
            mesh_shader_primitive_indices_clamp: self.checked(),
            emit_int_div_checks: self.checked(),
            ..spv::Options::default()
        };
        let pipeline =
            spv::PipelineOptions { shader_stage: Self::STAGE, entry_point: Self::ENTRY_POINT.to_owned() };
        spv::write_vec(&self.module, &self.info, &options, Some(&pipeline))
            .map_err(|error| format!("to SPIR-V {}.{}: {error}", vulkan.spirv.0, vulkan.spirv.1))
    }

    /// Metal Shading Language of a version.
    pub(crate) fn msl(&self, version: (u8, u8)) -> Result<Text, String> {
        let mut slots = 0..;
        let resources: BTreeMap<_, _> = self
            .bindings()
            .zip(&mut slots)
            .map(|((source, kind), slot)| {
                let mutable = kind == Binding::ReadWrite;
                (source, msl::BindTarget { buffer: Some(slot), mutable, ..msl::BindTarget::default() })
            })
            .collect();
        // Every kernel has storage bindings; behind them lie their sizes.
        let sizes_buffer = slots.next();
        let resources = msl::EntryPointResources { resources, immediates_buffer: None, sizes_buffer };
        let options = msl::Options {
            lang_version: version,
            per_entry_point_map: [(Self::ENTRY_POINT.to_owned(), resources)].into(),
            spirv_cross_compatibility: false,
            fake_missing_bindings: false,
            bounds_check_policies: self.bounds_checks(),
            zero_initialize_workgroup_memory: self.checked(),
            force_loop_bounding: self.checked(),
            mesh_shader_primitive_indices_clamp: self.checked(),
            emit_int_div_checks: self.checked(),
            ray_query_initialization_tracking: self.checked(),
            ..msl::Options::default()
        };
        let pipeline = msl::PipelineOptions {
            entry_point: Some((Self::STAGE, Self::ENTRY_POINT.to_owned())),
            vertex_pulling_transform: true,
            ..msl::PipelineOptions::default()
        };
        let failed = |error: String| format!("to MSL {}.{}: {error}", version.0, version.1);
        let (text, translated) = msl::write_string(&self.module, &self.info, &options, &pipeline)
            .map_err(|error| failed(error.to_string()))?;
        let entry_point = only(translated.entry_point_names).map_err(failed)?;
        Ok(Text { text, entry_point })
    }

    /// HLSL for a shader model.
    pub(crate) fn hlsl(&self, shader_model: hlsl::ShaderModel) -> Result<Text, String> {
        let (mut constants, mut read, mut written) = (0, 0, 0);
        let mut binding_map = BTreeMap::new();
        // A uniform with a dynamic offset lies in the root signature, behind what the table holds.
        let behind = |kind: &Binding| *kind == Binding::DynamicUniform;
        let in_table = self.bindings().filter(|(_, kind)| !behind(kind));
        for (source, kind) in in_table.chain(self.bindings().filter(|(_, kind)| behind(kind))) {
            let register = match kind {
                Binding::Uniform | Binding::DynamicUniform => &mut constants,
                Binding::Read => &mut read,
                Binding::ReadWrite => &mut written,
            };
            let target = hlsl::BindTarget {
                register: *register,
                restrict_indexing: true,
                ..hlsl::BindTarget::default()
            };
            binding_map.insert(source, target);
            *register += 1;
        }
        // Where wgpu would say how many workgroups there are. It is declared in every shader.
        let special_constants = hlsl::BindTarget { register: constants, ..hlsl::BindTarget::default() };
        let options = hlsl::Options {
            shader_model,
            binding_map,
            fake_missing_bindings: false,
            special_constants_binding: Some(special_constants),
            zero_initialize_workgroup_memory: self.checked(),
            restrict_indexing: self.checked(),
            force_loop_bounding: self.checked(),
            mesh_shader_primitive_indices_clamp: self.checked(),
            ray_query_initialization_tracking: self.checked(),
            ..hlsl::Options::default()
        };
        let pipeline =
            hlsl::PipelineOptions { entry_point: Some((Self::STAGE, Self::ENTRY_POINT.to_owned())) };
        let failed = |error: String| format!("to HLSL {}: {error}", shader_model.to_str());
        let mut text = String::new();
        let reflection = hlsl::Writer::new(&mut text, &options, &pipeline)
            .write(&self.module, &self.info, None)
            .map_err(|error| failed(error.to_string()))?;
        let entry_point = only(reflection.entry_point_names).map_err(failed)?;
        Ok(Text { text, entry_point })
    }
}

/// What a binding is to a driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Binding {
    Uniform,
    DynamicUniform,
    Read,
    ReadWrite,
}

/// The name of the only entry point.
fn only<E: std::fmt::Display>(names: Vec<Result<String, E>>) -> Result<String, String> {
    match <[_; 1]>::try_from(names) {
        Ok([name]) => name.map_err(|error| error.to_string()),
        Err(names) => Err(format!("{} entry points instead of one", names.len())),
    }
}
