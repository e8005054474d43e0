//! The WGSL files against what Rust says of them, and their translation for Vulkan, Metal and DirectX 12. Needs
//! no GPU.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use impasto::gpu::{Access, Kernel};
use impasto::ops::conv::gemm::TRANSPOSED;
use impasto::ops::{Epilogue, KERNELS};
use naga::back::{hlsl, msl, pipeline_constants::process_overrides, spv};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Expression, Literal, Module, ScalarKind, ShaderStage, StorageAccess, TypeInner};

fn parsed(kernel: &Kernel) -> Module {
    naga::front::wgsl::parse_str(&kernel.text())
        .unwrap_or_else(|error| panic!("{}: {}", kernel.name, error.emit_to_string(&kernel.text())))
}

/// Validates with nothing but what the kernel claims to need.
fn validated(kernel: &Kernel, module: &Module) -> ModuleInfo {
    // Numbers in f16 are packed and unpacked by what every Vulkan, Metal and DirectX 12 driver has.
    let packs = kernel.text().contains("pack2x16float(");
    let claimed = if kernel.subgroup.is_some() { Capabilities::SUBGROUP } else { Capabilities::empty() }
        | if packs { Capabilities::SHADER_FLOAT16_IN_FLOAT32 } else { Capabilities::empty() };
    Validator::new(ValidationFlags::all(), claimed)
        .validate(module)
        .unwrap_or_else(|error| panic!("{}: {}", kernel.name, error.emit_to_string(&kernel.text())))
}

/// Names of the files in a folder of the project that end so, without the ending.
fn stems(folder: &str, ending: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let paths: Vec<PathBuf> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    let fits = paths.iter().filter(|path| path.extension().is_some_and(|found| found == ending));
    let mut stems: Vec<String> =
        fits.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    stems.sort();
    stems
}

#[test]
fn every_file_is_a_kernel_and_every_kernel_a_file() {
    let (files, variants): (Vec<&Kernel>, Vec<&Kernel>) =
        KERNELS.iter().partition(|kernel| kernel.edits.is_empty());
    let mut names: Vec<&str> = files.iter().map(|kernel| kernel.name).collect();
    names.sort_unstable();
    assert_eq!(names, stems("wgsl", "wgsl"));
    for kernel in &files {
        let path = format!("{}/wgsl/{}.wgsl", env!("CARGO_MANIFEST_DIR"), kernel.name);
        assert_eq!(kernel.source, std::fs::read_to_string(path).unwrap(), "{}", kernel.name);
    }
    for kernel in variants {
        assert!(names.iter().all(|name| *name != kernel.name), "{} is a file and a variant", kernel.name);
        assert!(files.iter().any(|file| file.source == kernel.source), "{}: of no file", kernel.name);
        for (from, to) in kernel.edits {
            assert_eq!(kernel.source.matches(from).count(), 1, "{}: {from}", kernel.name);
            assert!(from != to && kernel.text().contains(to), "{}: {to}", kernel.name);
        }
    }
}

#[test]
fn every_kernel_has_a_twin_of_its_name() {
    let files = stems("src/reference", "rs");
    let read = |stem| {
        std::fs::read_to_string(format!("{}/src/reference/{stem}.rs", env!("CARGO_MANIFEST_DIR"))).unwrap()
    };
    let twins: String = files.iter().map(read).collect();
    for kernel in KERNELS {
        // What follows the direction names a variant or a pass.
        let direction =
            ["_forward", "_backward"].into_iter().find(|direction| kernel.name.contains(direction));
        let direction = direction.unwrap_or_else(|| panic!("{} says no direction", kernel.name));
        let (op, variant) = kernel.name.split_once(direction).unwrap();
        assert!(variant.is_empty() || variant.starts_with('_'), "{}", kernel.name);
        assert!(twins.contains(&format!("pub fn {op}{direction}<")), "{} has no twin", kernel.name);
    }
}

#[test]
fn every_kernel_begins_with_a_comment_on_its_threads() {
    for kernel in KERNELS {
        assert!(kernel.text().starts_with("// "), "{}: the formula comes first", kernel.name);
        let text = kernel.text();
        let header: String = text.lines().take_while(|line| line.starts_with("//")).collect();
        assert!(header.contains("Threads:"), "{}: the header says who computes what", kernel.name);
    }
}

#[test]
fn bindings_are_what_rust_says() {
    for kernel in KERNELS {
        let module = parsed(kernel);
        let bound: BTreeMap<u32, (&str, AddressSpace)> = module
            .global_variables
            .iter()
            .filter_map(|(_, variable)| Some((variable.binding?, variable)))
            .map(|(binding, variable)| {
                assert_eq!(binding.group, 0, "{}: there is one group", kernel.name);
                (binding.binding, (variable.name.as_deref().unwrap(), variable.space))
            })
            .collect();
        let mut want =
            BTreeMap::from([(0, ("slice", AddressSpace::Uniform)), (1, ("params", AddressSpace::Uniform))]);
        for (index, binding) in kernel.bindings.iter().enumerate() {
            let access = match binding.access {
                Access::Read => StorageAccess::LOAD,
                Access::ReadWrite => StorageAccess::LOAD | StorageAccess::STORE,
            };
            let number = Kernel::FIRST_STORAGE_BINDING + index as u32;
            want.insert(number, (binding.name, AddressSpace::Storage { access }));
        }
        assert_eq!(bound, want, "{}", kernel.name);
    }
}

/// Names, offsets and kinds of a uniform's fields, and its span.
fn uniform<'a>(module: &'a Module, name: &str) -> (Vec<(&'a str, u32, ScalarKind)>, u32) {
    let (_, variable) =
        module.global_variables.iter().find(|(_, v)| v.name.as_deref() == Some(name)).unwrap();
    let TypeInner::Struct { members, span } = &module.types[variable.ty].inner else {
        panic!("{name} is a struct")
    };
    let fields = members.iter().map(|member| match module.types[member.ty].inner {
        TypeInner::Scalar(scalar) if scalar.width == 4 => {
            (member.name.as_deref().unwrap(), member.offset, scalar.kind)
        }
        _ => panic!("{name}.{:?} is not a 32-bit number", member.name),
    });
    (fields.collect(), *span)
}

#[test]
fn uniform_blocks_are_what_rust_says() {
    for kernel in KERNELS {
        let module = parsed(kernel);
        let slice = (vec![("first", 0, ScalarKind::Uint), ("end", 4, ScalarKind::Uint)], 8);
        assert_eq!(uniform(&module, "slice"), slice, "{}", kernel.name);
        let (fields, span) = uniform(&module, "params");
        let found: Vec<(&str, u32)> = fields.iter().map(|(name, offset, _)| (*name, *offset)).collect();
        let want: Vec<(&str, u32)> =
            (0..).step_by(4).zip(kernel.params).map(|(at, name)| (*name, at)).collect();
        assert_eq!(found, want, "{}", kernel.name);
        assert_eq!(span as usize, 4 * kernel.params.len(), "{}: no padding", kernel.name);
        assert!(kernel.params_bytes() >= span.into() && kernel.params_bytes() % 16 == 0, "{}", kernel.name);
        // Factors are floats, counts are not: the same bits mean something else.
        for (name, _, kind) in fields {
            let float = name == "scale" || name.starts_with("mean_");
            let want = if float { ScalarKind::Float } else { ScalarKind::Uint };
            assert_eq!(kind, want, "{}: {name}", kernel.name);
        }
    }
}

#[test]
fn sizes_come_from_rust() {
    for kernel in KERNELS {
        let module = parsed(kernel);
        let [entry] = &module.entry_points[..] else { panic!("{}: there is one entry point", kernel.name) };
        assert_eq!((entry.name.as_str(), entry.stage), ("main", ShaderStage::Compute), "{}", kernel.name);
        let Some([Some(x), None, None]) = entry.workgroup_size_overrides else {
            panic!("{}: one side of the workgroup is overridden", kernel.name)
        };
        let Expression::Override(size) = module.global_expressions[x] else {
            panic!("{}: the size of the workgroup is an override", kernel.name)
        };
        assert_eq!(module.overrides[size].name.as_deref(), Some("WORKGROUP"), "{}", kernel.name);
        let declared: Vec<&str> = module.overrides.iter().filter_map(|(_, o)| o.name.as_deref()).collect();
        let given: Vec<&str> = kernel.constants().iter().map(|(name, _)| *name).collect();
        assert_eq!(declared, given, "{}", kernel.name);
        if let Some((smallest, largest)) = kernel.subgroup {
            assert!(
                smallest <= largest && kernel.workgroup % smallest == 0,
                "{}: whole subgroups",
                kernel.name
            );
        }
    }
}

#[test]
fn flags_have_the_bits_that_rust_says() {
    let bits = [
        ("ACCUMULATE", Epilogue::ACCUMULATE),
        ("BIAS", Epilogue::BIAS),
        ("RELU", Epilogue::RELU),
        ("GATE", Epilogue::GATE),
        ("MASK", Epilogue::MASK),
        ("POOL", Epilogue::POOL),
        ("TRANSPOSED", TRANSPOSED),
    ];
    let mut found = 0;
    for kernel in KERNELS {
        let module = parsed(kernel);
        for (_, constant) in module.constants.iter() {
            let Some((name, bit)) = bits.iter().find(|(name, _)| constant.name.as_deref() == Some(name))
            else {
                continue;
            };
            let Expression::Literal(Literal::U32(value)) = module.global_expressions[constant.init] else {
                panic!("{}: {name} is a u32", kernel.name)
            };
            assert_eq!(value, *bit, "{}: {name}", kernel.name);
            found += 1;
        }
        // Whoever looks at flags tests them by name.
        for line in kernel.text().lines().filter(|line| line.contains("params.flags")) {
            assert!(bits.iter().any(|(name, _)| line.contains(&format!("params.flags & {name})"))), "{line}");
        }
    }
    assert!(found > bits.len(), "flags were found");
}

#[test]
fn every_kernel_folds_and_ends_its_workgroups_alike() {
    for kernel in KERNELS {
        if !kernel.text().contains("@builtin(workgroup_id)") {
            // Runs in one workgroup, whatever the slice.
            assert!(kernel.name.ends_with("_reduce"), "{}", kernel.name);
            continue;
        }
        let fold = "let group = slice.first + group_id.y * FOLD + group_id.x;";
        assert_eq!(kernel.text().matches(fold).count(), 1, "{}", kernel.name);
        assert_eq!(kernel.text().matches("group >= slice.end").count(), 1, "{}", kernel.name);
    }
}

#[test]
fn kernels_that_claim_subgroups_need_them() {
    for kernel in KERNELS.iter().filter(|kernel| kernel.subgroup.is_some()) {
        let refused = Validator::new(ValidationFlags::all(), Capabilities::empty()).validate(&parsed(kernel));
        assert!(refused.is_err(), "{}", kernel.name);
    }
}

#[test]
fn every_kernel_translates_for_every_backend() {
    for kernel in KERNELS {
        let module = parsed(kernel);
        let info = validated(kernel, &module);
        let constants = kernel.constants().iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        let entry = (ShaderStage::Compute, "main");
        let (module, info) = process_overrides(&module, &info, Some(entry), &constants).unwrap();
        assert_eq!(module.entry_points[0].workgroup_size, [kernel.workgroup, 1, 1], "{}", kernel.name);

        let options = spv::Options { lang_version: (1, 3), ..spv::Options::default() };
        let pipeline = spv::PipelineOptions { shader_stage: entry.0, entry_point: entry.1.to_owned() };
        let words = spv::write_vec(&module, &info, &options, Some(&pipeline));
        assert!(!words.unwrap_or_else(|error| panic!("{} to SPIR-V: {error}", kernel.name)).is_empty());

        // Subgroups came with Metal 2.1 and shader model 6.0; the others do with what every driver has.
        let portable = kernel.subgroup.is_none();
        let options =
            msl::Options { lang_version: if portable { (2, 0) } else { (2, 1) }, ..msl::Options::default() };
        let pipeline = msl::PipelineOptions {
            entry_point: Some((entry.0, entry.1.to_owned())),
            ..msl::PipelineOptions::default()
        };
        let (text, translation) = msl::write_string(&module, &info, &options, &pipeline)
            .unwrap_or_else(|error| panic!("{} to MSL: {error}", kernel.name));
        let name = translation.entry_point_names[0].as_ref();
        let name = name.unwrap_or_else(|error| panic!("{} to MSL: {error}", kernel.name));
        assert!(text.contains(name), "{}", kernel.name);

        let options = hlsl::Options {
            shader_model: if portable { hlsl::ShaderModel::V5_1 } else { hlsl::ShaderModel::V6_0 },
            ..hlsl::Options::default()
        };
        let pipeline = hlsl::PipelineOptions { entry_point: Some((entry.0, entry.1.to_owned())) };
        let mut text = String::new();
        let reflection = hlsl::Writer::new(&mut text, &options, &pipeline)
            .write(&module, &info, None)
            .unwrap_or_else(|error| panic!("{} to HLSL: {error}", kernel.name));
        let name = reflection.entry_point_names[0].as_ref();
        let name = name.unwrap_or_else(|error| panic!("{} to HLSL: {error}", kernel.name));
        assert!(text.contains(&format!("[numthreads({}, 1, 1)]", kernel.workgroup)), "{}", kernel.name);
        assert!(text.contains(name.as_str()), "{}", kernel.name);
    }
}

/// Microsoft's DXC 1.9 has a namespace of that name, and naga, which renames what is a word of HLSL, does not know it: a
/// shader with such a variable does not compile there.
#[test]
fn no_name_is_dx() {
    for kernel in KERNELS {
        let text = kernel.text();
        let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
        let mut words = code.flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_'));
        assert!(words.all(|word| word.trim_end_matches('_') != "dx"), "{}", kernel.name);
    }
}

/// The number of workgroups follows from these constants: a disagreement would leave a part of the output out.
#[test]
fn tile_constants_are_the_same_in_rust_and_wgsl() {
    for kernel in KERNELS {
        for (name, value) in kernel.tile {
            let line = format!("const {name}: u32 = {value}u;");
            assert!(kernel.text().contains(&line), "{}: expected `{line}`", kernel.name);
        }
    }
}
