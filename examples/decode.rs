//! Writes pictures as impasto reads them, for comparing with other decoders: see `scripts/random_pictures.py`.
//!
//! usage: decode FOLDER FILE...
//!
//! Each FILE is written as FOLDER/NAME.ppm, 8-bit sRGB. What cannot be read is a line on stderr, and the exit code is 1.

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

use impasto::picture::Picture;

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let Some(folder) = arguments.next() else {
        eprintln!("usage: decode FOLDER FILE...");
        return ExitCode::from(2);
    };
    let mut code = ExitCode::SUCCESS;
    for file in arguments {
        if let Err(error) = decode(Path::new(&folder), &file) {
            eprintln!("{error}");
            code = ExitCode::FAILURE;
        }
    }
    code
}

fn decode(folder: &Path, file: &str) -> Result<(), Box<dyn std::error::Error>> {
    let picture = Picture::decode(&fs::read(file)?, file)?;
    let mut bytes = format!("P6\n{} {}\n255\n", picture.width(), picture.height()).into_bytes();
    bytes.extend_from_slice(picture.rgb());
    let name = Path::new(file).file_name().unwrap_or_default().to_string_lossy();
    fs::write(folder.join(format!("{name}.ppm")), bytes)?;
    Ok(())
}
