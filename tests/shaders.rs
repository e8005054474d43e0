//! The WGSL files against what Rust says of them, and their translation for Vulkan, Metal and DirectX 12. Needs
//! no GPU.

#![allow(clippy::unwrap_used)]

// The translation is what the example of that name writes to files.
#[path = "../examples/translate/backends.rs"]
mod backends;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use backends::{Checks, Translation, VULKAN, Vulkan, claims_subgroups};
use impasto::gpu::{Access, FOLD, Kernel};
use impasto::ops::conv::gemm::TRANSPOSED;
use impasto::ops::{Epilogue, KERNELS, Wrap, gram};
use impasto::wgpu;
use naga::back::hlsl::ShaderModel;
use naga::valid::Capabilities;
use naga::{AddressSpace, Expression, Literal, Module, ScalarKind, ShaderStage, StorageAccess, TypeInner};

fn parsed(kernel: &Kernel) -> Module {
    backends::parsed(&kernel.text()).unwrap_or_else(|error| panic!("{}: {error}", kernel.name))
}

/// The kernel's own text, as wgpu has it translated.
fn translated(kernel: &'static Kernel, checks: Checks) -> Translation {
    Translation::new(kernel, &kernel.text(), checks)
        .unwrap_or_else(|error| panic!("{}: {error}", kernel.name))
}

/// A translation that must not fail.
fn done<T>(kernel: &Kernel, result: Result<T, String>) -> T {
    result.unwrap_or_else(|error| panic!("{} {error}", kernel.name))
}

/// Those on which a kernel can run: subgroups came with 1.1.
fn vulkan_versions(kernel: &Kernel) -> &'static [Vulkan] {
    if claims_subgroups(kernel) { &VULKAN[1..] } else { &VULKAN }
}

/// A folder of the project.
fn folder(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// What lies in a folder of the project, by name.
fn entries(path: &str) -> Vec<String> {
    let entries = folder(path).read_dir().unwrap().map(|entry| entry.unwrap().file_name());
    entries.map(|name| name.into_string().unwrap()).collect()
}

/// The files of kernels, as paths in `wgsl/`. What lies in `shared/` is no kernel: see `tests/shared_wgsl.rs`.
fn kernel_files() -> BTreeSet<String> {
    let folders = entries("wgsl").into_iter().filter(|folder| folder != "shared");
    let files = folders.flat_map(|folder| {
        entries(&format!("wgsl/{folder}")).into_iter().map(move |file| format!("{folder}/{file}"))
    });
    files.collect()
}

#[test]
fn every_file_is_a_kernel_and_every_kernel_a_file() {
    let (files, variants): (Vec<&Kernel>, Vec<&Kernel>) =
        KERNELS.iter().partition(|kernel| kernel.edits.is_empty());
    let known: BTreeSet<String> = files.iter().map(|kernel| kernel.file.to_owned()).collect();
    assert_eq!(known, kernel_files());
    let names: BTreeSet<&str> = KERNELS.iter().map(|kernel| kernel.name).collect();
    assert_eq!(names.len(), KERNELS.len(), "every name is there once");
    for kernel in KERNELS {
        let text = std::fs::read_to_string(folder("wgsl").join(kernel.file)).unwrap();
        assert_eq!(kernel.source, text, "{}", kernel.name);
        let op = folder("src/ops").join(kernel.op());
        assert!(op.is_dir() || op.with_extension("rs").is_file(), "{}: no such op", kernel.file);
    }
    let stem = |kernel: &Kernel| Path::new(kernel.file).file_stem().unwrap().to_str().unwrap().to_owned();
    for kernel in files {
        assert_eq!(kernel.name, stem(kernel));
    }
    for kernel in variants {
        let differs = kernel.name.strip_prefix(&stem(kernel)).unwrap_or_default();
        assert!(differs.starts_with('_'), "{}: a variant is called after its file", kernel.name);
        for edit in kernel.edits {
            assert_eq!(kernel.source.matches(edit.from).count(), 1, "{}: {edit:?}", kernel.name);
            assert!(edit.from != edit.to && kernel.text().contains(edit.to), "{}: {edit:?}", kernel.name);
            assert!(!edit.why.is_empty(), "{}: {edit:?}", kernel.name);
        }
    }
}

/// A kernel's name says a direction where its op has kernels of both, and only there.
#[test]
fn a_direction_is_only_said_where_there_are_two() {
    let said = |name: &'static str, direction: &str| name.split_once(direction).map(|(op, _)| op);
    let ops = |direction: &str| -> BTreeSet<&str> {
        KERNELS.iter().filter_map(|kernel| said(kernel.name, direction)).collect()
    };
    assert_eq!(ops("_forward"), ops("_backward"));
    assert!(ops("_forward").contains("conv"));
}

#[test]
fn every_kernel_has_a_twin_of_its_name() {
    let read = |file: String| std::fs::read_to_string(folder("src/reference").join(file)).unwrap();
    let twins: String = entries("src/reference").into_iter().map(read).collect();
    let is_twin = |name: &str| twins.contains(&format!("pub fn {name}<"));
    for kernel in KERNELS {
        // What is behind the twin's name is a variant or a pass. A kernel that says no direction may have one twin for
        // each, and one that is not called after its op has the twins of the op.
        let cuts = kernel.name.match_indices('_').map(|(at, _)| &kernel.name[..at]);
        let mut stems = cuts.chain([kernel.name, kernel.op()]);
        let found = stems.any(|stem| {
            is_twin(stem) || ["forward", "backward"].iter().all(|way| is_twin(&format!("{stem}_{way}")))
        });
        assert!(found, "{} has no twin", kernel.name);
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
            let float = ["scale", "identity", "ratio", "ratio_high", "ratio_low"].contains(&name);
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
        let defaults = module.overrides.iter().filter(|(_, o)| o.init.is_some()).count();
        assert_eq!(defaults, 0, "{}: a default could be another number than Rust's", kernel.name);
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
        ("EDGE", Epilogue::EDGE),
        ("MAX", Epilogue::MAX),
        ("WINNERS", Epilogue::WINNERS),
        ("WRAP_Y", Wrap::FLAG_Y),
        ("WRAP_X", Wrap::FLAG_X),
        ("WRAP_D", Wrap::FLAG_D),
        ("TRANSPOSED", TRANSPOSED),
        ("MEAN", gram::MEAN),
        ("GUIDED", gram::GUIDED),
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
fn every_kernel_numbers_and_ends_its_workgroups_alike() {
    for kernel in KERNELS {
        if !kernel.text().contains("@builtin(workgroup_id)") {
            // Runs in one workgroup, whatever the slice.
            assert!(kernel.name.ends_with("_reduce"), "{}", kernel.name);
            continue;
        }
        let numbered = "    let group = group_number(group_id);\n";
        assert_eq!(kernel.text().matches(numbered).count(), 1, "{}", kernel.name);
        assert_eq!(kernel.text().matches("group >= slice.end").count(), 1, "{}", kernel.name);
    }
}

#[test]
fn no_kernel_claims_more_than_it_needs() {
    for kernel in KERNELS {
        for claim in backends::claimed(kernel).iter() {
            let fewer = backends::claimed(kernel) - claim;
            let refused = backends::validated(&kernel.text(), &parsed(kernel), fewer);
            assert!(refused.is_err(), "{}: claims {claim:?} and does without", kernel.name);
        }
    }
}

/// A kernel that claims nothing, with the text of one that needs what `claim` says.
#[test]
fn a_kernel_that_needs_more_than_it_claims_is_refused() {
    let portable =
        |kernel: &&&Kernel| backends::claimed(kernel).is_empty() && kernel.name.starts_with("conv_forward");
    let portable = KERNELS.iter().find(portable).unwrap();
    for claim in [Capabilities::SUBGROUP, Capabilities::SHADER_FLOAT16_IN_FLOAT32] {
        let needs = |kernel: &&&Kernel| backends::claimed(kernel) == claim;
        let text = KERNELS.iter().find(needs).unwrap().text();
        let Err(error) = Translation::new(portable, &text, Checks::With) else {
            panic!("{claim:?} is given to a kernel that does not claim it")
        };
        assert!(error.to_lowercase().contains("capabilit"), "{error}");
    }
}

/// Threads, workgroup memory and bindings of a device on which nothing was asked for.
#[test]
fn every_kernel_keeps_to_the_default_limits_of_webgpu() {
    let limits = wgpu::Limits::default();
    assert!(FOLD <= limits.max_compute_workgroups_per_dimension);
    let mut most = 0;
    for kernel in KERNELS {
        let name = kernel.name;
        assert!(kernel.workgroup <= limits.max_compute_workgroup_size_x, "{name}");
        assert!(kernel.workgroup <= limits.max_compute_invocations_per_workgroup, "{name}");
        assert!(kernel.bindings.len() as u32 <= limits.max_storage_buffers_per_shader_stage, "{name}");
        assert!(kernel.params_bytes() <= limits.max_uniform_buffer_binding_size, "{name}");
        let module = translated(kernel, Checks::Without).module;
        let variables = module.global_variables.iter().map(|(_, variable)| variable);
        let shared = variables.filter(|variable| variable.space == AddressSpace::WorkGroup);
        let bytes = shared.map(|variable| module.types[variable.ty].inner.size(module.to_ctx()));
        // WebGPU counts every variable in whole 16 bytes.
        let bytes: u32 = bytes.map(|bytes| bytes.next_multiple_of(16)).sum();
        assert!(bytes <= limits.max_compute_workgroup_storage_size, "{name}: {bytes} bytes shared");
        most = most.max(bytes);
    }
    assert!(most > 0, "workgroup memory was found");
}

#[test]
fn every_kernel_translates_for_every_backend() {
    for kernel in KERNELS {
        for checks in [Checks::Without, Checks::With] {
            let translation = translated(kernel, checks);
            assert_eq!(translation.module.entry_points[0].workgroup_size, [kernel.workgroup, 1, 1]);
            for vulkan in vulkan_versions(kernel) {
                let used = capabilities(&done(kernel, translation.spirv(*vulkan)));
                let subgroups: &[u32] = if claims_subgroups(kernel) { &SUBGROUP_CAPABILITIES } else { &[] };
                let claimed = [SHADER_CAPABILITY].into_iter().chain(subgroups.iter().copied());
                assert_eq!(used, claimed.collect(), "{}", kernel.name);
            }
            // The newest that wgpu asks for.
            for version in [backends::oldest_metal(kernel), (4, 0)] {
                let metal = done(kernel, translation.msl(version));
                assert!(
                    metal.text.contains(&format!("kernel void {}(", metal.entry_point)),
                    "{}",
                    kernel.name
                );
            }
            let oldest = done(kernel, translation.hlsl(backends::oldest_shader_model(kernel)));
            let threads = format!("[numthreads({}, 1, 1)]\nvoid {}(", kernel.workgroup, oldest.entry_point);
            assert!(oldest.text.contains(&threads), "{}", kernel.name);
            // Then what one compiler says of the text holds for all models.
            for newer in [ShaderModel::V6_0, ShaderModel::V6_9] {
                assert_eq!(done(kernel, translation.hlsl(newer)), oldest, "{}", kernel.name);
            }
        }
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

/// `Shader`, and `GroupNonUniform` with `GroupNonUniformShuffle`, in SPIR-V's numbers.
const SHADER_CAPABILITY: u32 = 1;
const SUBGROUP_CAPABILITIES: [u32; 2] = [61, 65];
const OP_CAPABILITY: u32 = 17;

/// The instructions of a SPIR-V module: behind five words of header, each begins with its length and its number.
fn instructions(spirv: &[u32]) -> Vec<&[u32]> {
    let mut rest = &spirv[5..];
    let mut all = Vec::new();
    while let Some(first) = rest.first() {
        let (instruction, behind) = rest.split_at((first >> 16) as usize);
        all.push(instruction);
        rest = behind;
    }
    all
}

/// The capabilities that a SPIR-V module declares.
fn capabilities(spirv: &[u32]) -> BTreeSet<u32> {
    let all = instructions(spirv).into_iter().filter(|instruction| instruction[0] & 0xFFFF == OP_CAPABILITY);
    all.map(|instruction| instruction[1]).collect()
}

/// Asks spirv-val; `None` where the tests were told to go without it.
fn spirv_val(vulkan: Vulkan, spirv: &[u32]) -> Option<Result<(), String>> {
    let child = Command::new("spirv-val")
        .args(["--target-env", vulkan.environment, "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let without = std::env::var_os("IMPASTO_WITHOUT_SPIRV_VAL").is_some_and(|value| value == "1");
            assert!(
                without,
                "spirv-val is missing: run scripts/ensure-spirv-val.sh, or install the package spirv-tools, or set \
                 IMPASTO_WITHOUT_SPIRV_VAL=1 to leave the SPIR-V of the kernels unvalidated"
            );
            return None;
        }
        Err(error) => panic!("spirv-val: {error}"),
    };
    let bytes: Vec<u8> = spirv.iter().flat_map(|word| word.to_le_bytes()).collect();
    // It may refuse before it has read everything.
    let _ = child.stdin.take().unwrap().write_all(&bytes);
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned());
    Some(if output.status.success() { Ok(()) } else { Err(said.concat()) })
}

#[test]
fn spirv_val_accepts_every_kernel() {
    let (mut asked, begin) = (0, std::time::Instant::now());
    for kernel in KERNELS {
        for checks in [Checks::Without, Checks::With] {
            let translation = translated(kernel, checks);
            for vulkan in vulkan_versions(kernel) {
                let spirv = done(kernel, translation.spirv(*vulkan));
                let Some(result) = spirv_val(*vulkan, &spirv) else {
                    println!("told to go without spirv-val: no kernel was validated");
                    return;
                };
                result.unwrap_or_else(|error| {
                    panic!("{} for {}, {checks:?}: {error}", kernel.name, vulkan.environment)
                });
                asked += 1;
            }
        }
    }
    println!("{asked} modules accepted in {:?}", begin.elapsed());
}

/// What is wrong is refused, and for what is wrong with it.
#[test]
fn spirv_val_refuses_what_is_broken() {
    let kernel = KERNELS.iter().find(|kernel| claims_subgroups(kernel)).unwrap();
    let vulkan = VULKAN[1];
    let spirv = done(kernel, translated(kernel, Checks::Without).spirv(vulkan));
    let without = |left_out: &dyn Fn(&[u32]) -> bool| -> Vec<u32> {
        let kept = instructions(&spirv).into_iter().filter(|instruction| !left_out(instruction));
        spirv[..5].iter().chain(kept.flatten()).copied().collect()
    };
    assert_eq!(without(&|_| false), spirv, "what is left out below is all that differs");
    const OP_STORE: u32 = 62;
    const OP_BRANCH: u32 = 249;
    let broken = [
        ("apabilit", without(&|i| i[0] & 0xFFFF == OP_CAPABILITY && i[1] == SUBGROUP_CAPABILITIES[1])),
        ("block", without(&|i| i[0] & 0xFFFF == OP_BRANCH)),
        ("end", spirv[..spirv.len() - 1].to_vec()),
    ];
    for (told, broken) in broken {
        let Some(result) = spirv_val(vulkan, &broken) else {
            println!("told to go without spirv-val: nothing was refused");
            return;
        };
        let error = result.expect_err(told);
        assert!(error.contains(told), "{error}");
    }
    // What is of another version of Vulkan is refused there.
    assert!(spirv_val(VULKAN[0], &spirv).is_some_and(|result| result.is_err()));
    // Values do not make a module invalid.
    assert!(spirv_val(vulkan, &without(&|i| i[0] & 0xFFFF == OP_STORE)).is_some_and(|result| result.is_ok()));
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
