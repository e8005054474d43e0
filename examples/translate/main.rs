//! Writes the kernels in the languages of the drivers, for compilers that are not at hand where the tests run:
//!
//! ```sh
//! cargo run --example translate -- FOLDER [NAME…]
//! ```
//!
//! A kernel NAME becomes `NAME.spv` (for Vulkan 1.1), `NAME.metal` (for the oldest Metal that can run it) and
//! `NAME.sm51.hlsl`, or `NAME.sm60.hlsl` where it needs subgroups. `manifest.json` says of each what it needs and how
//! it is compiled. A portable kernel's HLSL is the same for every newer shader model.

mod backends;

use std::path::Path;
use std::process::ExitCode;

use backends::{
    Checks, Translation, VULKAN, claims_half, claims_subgroups, oldest_metal, oldest_shader_model,
};
use impasto::gpu::Kernel;
use impasto::ops::KERNELS;

/// A kernel in `manifest.json`, which is a list of these. File names are relative to it.
#[derive(serde::Serialize)]
struct Entry {
    name: &'static str,
    /// Whether it needs subgroups, which are an optional feature.
    subgroups: bool,
    /// Whether it packs and unpacks numbers in half precision; needs no feature.
    half: bool,
    /// Threads of a workgroup.
    workgroup: u32,
    spirv: Compiled,
    metal: Compiled,
    hlsl: Compiled,
}

/// A file, what its entry point is called, and for what it is to be compiled.
#[derive(serde::Serialize)]
struct Compiled {
    file: String,
    entry_point: String,
    target: String,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((folder, names)) = arguments.split_first().filter(|(folder, _)| !folder.starts_with('-')) else {
        eprintln!("usage: cargo run --example translate -- FOLDER [NAME…]");
        return ExitCode::from(2);
    };
    match write_all(Path::new(folder), names) {
        Ok(written) => {
            println!("{written} kernels written to {folder}, each in SPIR-V, MSL and HLSL");
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Writes the kernels called `names`, or all.
fn write_all(folder: &Path, names: &[String]) -> Result<usize, String> {
    let known = |name: &String| KERNELS.iter().any(|kernel| kernel.name == name);
    if let Some(unknown) = names.iter().find(|name| !known(name)) {
        return Err(format!("there is no kernel {unknown}; the files in wgsl/ and src/ops/ name them"));
    }
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
    let mut entries = Vec::new();
    for kernel in KERNELS.iter().filter(|kernel| names.is_empty() || names.iter().any(|n| n == kernel.name)) {
        entries.push(write_one(folder, kernel).map_err(|message| format!("{}: {message}", kernel.name))?);
    }
    let manifest = serde_json::to_string_pretty(&entries).map_err(|error| error.to_string())?;
    write(folder, "manifest.json", format!("{manifest}\n").as_bytes())?;
    Ok(entries.len())
}

fn write_one(folder: &Path, kernel: &'static Kernel) -> Result<Entry, String> {
    let translation = Translation::new(kernel, &kernel.text(), Checks::Without)?;
    let vulkan = VULKAN[1];
    let spirv = Compiled {
        file: format!("{}.spv", kernel.name),
        entry_point: "main".into(),
        target: vulkan.environment.into(),
    };
    let words = translation.spirv(vulkan)?;
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    write(folder, &spirv.file, &bytes)?;

    let version = oldest_metal(kernel);
    let text = translation.msl(version)?;
    let metal = Compiled {
        file: format!("{}.metal", kernel.name),
        entry_point: text.entry_point,
        target: format!("metal{}.{}", version.0, version.1),
    };
    write(folder, &metal.file, text.text.as_bytes())?;

    let model = oldest_shader_model(kernel).to_str();
    let text = translation.hlsl(oldest_shader_model(kernel))?;
    let hlsl = Compiled {
        file: format!("{}.sm{}.hlsl", kernel.name, model.replace('_', "")),
        entry_point: text.entry_point,
        target: format!("cs_{model}"),
    };
    write(folder, &hlsl.file, text.text.as_bytes())?;
    Ok(Entry {
        name: kernel.name,
        subgroups: claims_subgroups(kernel),
        half: claims_half(kernel),
        workgroup: kernel.workgroup,
        spirv,
        metal,
        hlsl,
    })
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), String> {
    let path = folder.join(name);
    std::fs::write(&path, bytes).map_err(|error| failed(&path, &error))
}

fn failed(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}; name a folder that can be written to", path.display())
}
