//! What drivers' compilers make of every kernel: registers, spills, occupancy, instruction mix, and the time of a step
//! that follows. `scripts/gpu-stats.sh` drives it, on chips that need not be there.
//!
//! ```text
//! gpu_stats compile [--unchecked] FILE.chip
//!                                         compiles every kernel on the first adapter, and writes what the driver says
//!         --unchecked: without the driver's checks of indices (robustBufferAccess), which wgpu always asks for
//! gpu_stats blank WxH FILE.png            a picture to plan with
//! gpu_stats chips                         the chips that the figures are of
//! gpu_stats report FOLDER [--check]       FOLDER/CHIP.chip and FOLDER/CHIP-*.json to docs/gpu-stats.{json,md}
//! gpu_stats show FOLDER                   the same to the terminal
//! ```

// Only its SPIR-V is needed here.
#[allow(dead_code)]
#[path = "../translate/backends.rs"]
mod backends;
mod capture;
mod chips;
mod figures;
mod mix;
mod predict;
mod tables;
// Where wgpu has its Vulkan backend.
#[cfg(any(windows, target_os = "linux", target_os = "android", target_os = "freebsd"))]
mod vulkan;
#[cfg(not(any(windows, target_os = "linux", target_os = "android", target_os = "freebsd")))]
#[path = "no_vulkan.rs"]
mod vulkan;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use capture::Captured;
use chips::Family;
use figures::{Figures, KernelFigures};
use impasto::cases;
use impasto::cases::run::{KernelSelection, Planned, RunOptions};
use impasto::gpu::Gpu;
use impasto::ops::{Capabilities, KERNELS, Precision};
use impasto::picture::{Picture, PictureFormat};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["compile", file] => compile(Path::new(file), true),
        ["compile", "--unchecked", file] => compile(Path::new(file), false),
        ["blank", size, file] => blank(size, Path::new(file)),
        ["chips"] => {
            chips::all().iter().for_each(|chip| println!("{chip}"));
            Ok(())
        }
        ["report", folder] => report(Path::new(folder), Use::Write),
        ["report", folder, "--check"] => report(Path::new(folder), Use::Check),
        ["show", folder] => report(Path::new(folder), Use::Show),
        _ => Err(
            "usage: gpu_stats compile [--unchecked] FILE.chip | blank WxH FILE.png | chips | report FOLDER [--check] | \
             show FOLDER"
                .into(),
        ),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Compiles every kernel that the program may choose on the first adapter, and writes what the driver says of them.
fn compile(file: &Path, robust: bool) -> Result<(), String> {
    let gpu = pollster::block_on(Gpu::open(None)).map_err(|error| error.to_string())?;
    let capabilities = Capabilities::of(gpu.summary());
    let compiler = vulkan::Compiler::open(robust).map_err(|error| error.to_string())?;
    let mut kernels = Vec::new();
    for kernel in KERNELS.iter().filter(|kernel| capabilities.allows(kernel)) {
        let executables =
            compiler.compile(kernel).map_err(|error| format!("compiling {}: {error}", kernel.name))?;
        kernels.push((kernel.name.to_owned(), executables));
    }
    let captured = Captured {
        driver: gpu.summary().driver.clone(),
        usual: usual(&gpu)?.into_iter().map(str::to_owned).collect(),
        kernels,
    };
    write(file, &serde_json::to_string(&captured).map_err(|error| error.to_string())?)
}

/// The kernels that the cases of all ops are done by where nothing was measured, by any options of precision and memory.
fn usual(gpu: &Gpu) -> Result<BTreeSet<&'static str>, String> {
    let mut names = BTreeSet::new();
    for case in cases::all() {
        for (_, precision) in Precision::ALL {
            for low_memory in [false, true] {
                let kernels = KernelSelection { precision, low_memory, ..KernelSelection::default() };
                let options = RunOptions { kernels, fuse: true, ..RunOptions::default() };
                let planned = Planned::new(gpu, &case, &options).map_err(|error| error.to_string())?;
                names.extend(planned.kernels());
            }
        }
    }
    Ok(names)
}

fn blank(size: &str, file: &Path) -> Result<(), String> {
    let sides =
        size.split_once('x').and_then(|(w, h)| Some((w.parse::<u32>().ok()?, h.parse::<u32>().ok()?)));
    let (width, height) = sides.ok_or_else(|| format!("{size:?} is no size such as 400x300"))?;
    let picture = Picture::from_rgb(width, height, vec![128; 3 * width as usize * height as usize])
        .and_then(|picture| picture.encode(PictureFormat::Png))
        .map_err(|error| error.to_string())?;
    std::fs::write(file, picture).map_err(|error| format!("{}: {error}", file.display()))
}

fn read(path: &Path) -> Result<String, String> {
    // Drivers print what they like.
    let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Files of a folder that end so, with what stands before the ending.
fn files(folder: &Path, ending: &str) -> Result<Vec<(String, PathBuf)>, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(stem) = name.strip_suffix(ending) {
            found.push((stem.to_owned(), path.clone()));
        }
    }
    found.sort();
    Ok(found)
}

fn collect(folder: &Path) -> Result<Figures, String> {
    let threads =
        |name: &str| KERNELS.iter().find(|kernel| kernel.name == name).map(|kernel| kernel.workgroup);
    let (mut driver, mut others) = (String::new(), BTreeSet::new());
    let mut kernels: Vec<KernelFigures> = KERNELS
        .iter()
        .map(|kernel| KernelFigures {
            name: kernel.name.to_owned(),
            sha256: figures::identity(kernel),
            chips: BTreeMap::new(),
            others: BTreeMap::new(),
        })
        .collect();
    let mut steps = Vec::new();
    for (chip, path) in files(folder, ".chip")? {
        let named = |reason| format!("{}: {reason}", path.display());
        let captured: Captured =
            serde_json::from_str(&read(&path)?).map_err(|error| named(error.to_string()))?;
        let family =
            Family::of(&chip).ok_or_else(|| named("is of no family of chips that is known".to_owned()))?;
        if family != Family::Amd {
            others.insert(captured.driver.clone());
            for (name, mut demand) in capture::demands(&captured, family).map_err(named)? {
                demand.usual |= family.has_many_registers();
                for kernel in kernels.iter_mut().filter(|kernel| kernel.name == name) {
                    kernel.others.insert(chip.clone(), demand.clone());
                }
            }
            continue;
        }
        let compiled = capture::compiled(&captured).map_err(named)?;
        driver = captured.driver;
        let chip = chip.strip_prefix("amdgpu:").unwrap_or(&chip).to_owned();
        for (name, compiled) in &compiled {
            for kernel in kernels.iter_mut().filter(|kernel| kernel.name == *name) {
                kernel.chips.insert(chip.clone(), compiled.clone());
            }
        }
        let Some(known) = chips::find(&chip) else { continue };
        for (_, path) in
            files(folder, ".json")?.iter().filter(|(stem, _)| stem.starts_with(&format!("amdgpu:{chip}-")))
        {
            let plan: predict::Plan =
                serde_json::from_str(&read(path)?).map_err(|error| format!("{}: {error}", path.display()))?;
            let compiled = |name: &str| {
                let (_, compiled) = compiled.iter().find(|(found, _)| found == name)?;
                Some((compiled, threads(name)?))
            };
            steps.push(predict::step(known, &plan, compiled)?);
        }
    }
    // Chips in the order of their table, small pictures first.
    let place = |chip: &str| chips::CHIPS.iter().position(|known| known.name == chip);
    steps.sort_by_key(|step| (step.width, place(&step.chip)));
    Ok(Figures { driver, others: others.into_iter().collect(), kernels, steps })
}

/// What to do with the figures.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// Write `docs/gpu-stats.json` and `docs/gpu-stats.md`.
    Write,
    /// Compare with `docs/gpu-stats.json`.
    Check,
    /// Print the page.
    Show,
}

fn report(folder: &Path, purpose: Use) -> Result<(), String> {
    let figures = collect(folder)?;
    let mut faults = figures::faults(&figures.kernels, figures::KNOWN);
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let (data, page) = (docs.join("gpu-stats.json"), docs.join("gpu-stats.md"));
    match purpose {
        Use::Write => {
            write(&data, &tables::json(&figures).map_err(|error| error.to_string())?)?;
            write(&page, &tables::page(&figures))?;
            print!("{}", tables::summary(&figures));
        }
        Use::Check => {
            let committed: Figures = serde_json::from_str(&read(&data)?)
                .map_err(|error| format!("{}: {error}", data.display()))?;
            // Another compiler makes other code: then only faults count.
            let current = committed == figures && read(&page)? == tables::page(&figures);
            if committed.driver == figures.driver && !current {
                faults.push(
                    "docs/gpu-stats.{json,md} are not what is compiled: run scripts/gpu-stats.sh".into(),
                );
            }
            print!("{}", tables::summary(&figures));
        }
        Use::Show => print!("{}", tables::page(&figures)),
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n       ")) }
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
