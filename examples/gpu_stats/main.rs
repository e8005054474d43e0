//! What a driver's compiler makes of every kernel: registers, spills, occupancy, instruction mix, and the time of a
//! step that follows. `scripts/gpu-stats.sh` drives it, on AMD chips that need not be there.
//!
//! ```text
//! gpu_stats compile                       compiles every kernel on the first adapter; the driver prints statistics
//! gpu_stats blank WxH FILE.png            a picture to plan with
//! gpu_stats chips                         the chips that predictions are made for
//! gpu_stats report FOLDER [--check]       FOLDER/CHIP.txt and FOLDER/CHIP-*.json to docs/gpu-stats.{json,md}
//! gpu_stats show FOLDER                   the same to the terminal
//! ```

mod capture;
mod chips;
mod figures;
mod predict;
mod tables;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use figures::{Figures, KernelFigures};
use impasto::gpu::{Gpu, Pipelines};
use impasto::ops::{Capabilities, KERNELS};
use impasto::picture::{Picture, PictureFormat};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["compile"] => compile(),
        ["blank", size, file] => blank(size, Path::new(file)),
        ["chips"] => {
            chips::CHIPS.iter().for_each(|chip| println!("{}", chip.name));
            Ok(())
        }
        ["report", folder] => report(Path::new(folder), Use::Write),
        ["report", folder, "--check"] => report(Path::new(folder), Use::Check),
        ["show", folder] => report(Path::new(folder), Use::Show),
        _ => Err(
            "usage: gpu_stats compile | blank WxH FILE.png | chips | report FOLDER [--check] | show FOLDER"
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

/// Compiles every kernel that the program may choose on the first adapter, one behind the other. The driver prints its
/// statistics to the same stream as the markers.
fn compile() -> Result<(), String> {
    pollster::block_on(async {
        let gpu = Gpu::open(None).await.map_err(|error| error.to_string())?;
        let capabilities = Capabilities::of(gpu.summary());
        let pipelines = Pipelines::default();
        eprintln!("{}{}", capture::DRIVER, gpu.summary().driver);
        for kernel in KERNELS.iter().filter(|kernel| capabilities.allows(kernel)) {
            eprintln!("{}{}", capture::MARKER, kernel.name);
            pipelines.get(&gpu, kernel).await.map_err(|error| error.to_string())?;
        }
        eprintln!("{}", capture::END);
        Ok(())
    })
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
    let mut driver = String::new();
    let mut kernels: Vec<KernelFigures> = KERNELS
        .iter()
        .map(|kernel| KernelFigures {
            name: kernel.name.to_owned(),
            sha256: figures::identity(kernel),
            chips: BTreeMap::new(),
        })
        .collect();
    let mut steps = Vec::new();
    for (chip, path) in files(folder, ".txt")? {
        let capture = capture::read(&read(&path)?, threads)
            .map_err(|reason| format!("{}: {reason}", path.display()))?;
        driver = capture.driver;
        for (name, compiled) in &capture.kernels {
            for kernel in kernels.iter_mut().filter(|kernel| kernel.name == *name) {
                kernel.chips.insert(chip.clone(), compiled.clone());
            }
        }
        let Some(known) = chips::find(&chip) else { continue };
        for (_, path) in
            files(folder, ".json")?.iter().filter(|(stem, _)| stem.starts_with(&format!("{chip}-")))
        {
            let plan: predict::Plan =
                serde_json::from_str(&read(path)?).map_err(|error| format!("{}: {error}", path.display()))?;
            let compiled = |name: &str| {
                let (_, compiled) = capture.kernels.iter().find(|(found, _)| found == name)?;
                Some((compiled, threads(name)?))
            };
            steps.push(predict::step(known, &plan, compiled)?);
        }
    }
    // Chips in the order of their table, small pictures first.
    let place = |chip: &str| chips::CHIPS.iter().position(|known| known.name == chip);
    steps.sort_by_key(|step| (step.width, place(&step.chip)));
    Ok(Figures { driver, kernels, steps })
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
