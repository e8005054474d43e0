//! Writes the case list as planned programs, with all values that go in and must come out, so that another
//! implementation of WebGPU can run them. `scripts/portability/dawn.sh` hands them to Dawn.
//!
//! ```text
//! export_cases FOLDER [--subgroups MIN MAX] [--values]
//!   --subgroups   the sizes of the other side's subgroups; without it only what needs none is written
//!   --values      runs every program on the first adapter here too, and adds what it makes
//! ```
//!
//! `FOLDER/manifest.json` holds the kernels and the names of the cases, `FOLDER/NNN.json` the programs of a case, and
//! `FOLDER/NNN.bin` the numbers that they refer to.

mod files;
mod programs;
mod values;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use files::Manifest;
use impasto::cases;
use values::Values;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        [folder] => export(folder, None, false),
        [folder, "--values"] => export(folder, None, true),
        [folder, "--subgroups", min, max] => export(folder, Some((min, max)), false),
        [folder, "--subgroups", min, max, "--values"] => export(folder, Some((min, max)), true),
        _ => Err("usage: export_cases FOLDER [--subgroups MIN MAX] [--values]".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn export(folder: &str, subgroups: Option<(&str, &str)>, values: bool) -> Result<(), String> {
    let started = Instant::now();
    let size = |text: &str| text.parse::<u32>().map_err(|error| format!("subgroups of {text:?}: {error}"));
    let subgroups = subgroups.map(|(min, max)| Ok::<_, String>((size(min)?, size(max)?))).transpose()?;
    let folder = Path::new(folder);
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let values = if values { Some(Values::new()?) } else { None };
    let mut manifest = Manifest::new(subgroups);
    let mut programs = 0;
    for (index, case) in cases::all().iter().enumerate() {
        let prepared = programs::of(case, subgroups)?;
        programs += prepared.len();
        let name = format!("{index:03}");
        files::write_case(folder, &name, case, &prepared, values.as_ref())?;
        manifest.cases.push(name);
    }
    files::write_json(&folder.join("manifest.json"), &manifest)?;
    println!(
        "export_cases: {} kernels, {} cases, {programs} programs in {:.0} s",
        manifest.kernels.len(),
        manifest.cases.len(),
        started.elapsed().as_secs_f64()
    );
    Ok(())
}
