//! `--trace`: the costs, one JSON object per line.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use impasto::transfer::{Costs, Group};

use super::files::{is_standard, reason};
use super::{Failure, Result};

/// Bytes; far more than a line of an earlier run has.
const LONGEST_LINE: u64 = 1 << 16;

/// A line of the trace.
#[derive(serde::Serialize)]
struct Entry<'a> {
    /// Steps that the picture has had.
    step: u32,
    total: f32,
    /// The cost of each group, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    style: Option<f32>,
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    matching: Option<f32>,
    /// Every term without its weights, by its name.
    terms: BTreeMap<&'a str, f32>,
    /// Wall time from the step before to this one; 0 at step 0.
    seconds: f64,
}

/// The step of a line.
#[derive(serde::Deserialize)]
struct At {
    step: u32,
}

/// An open trace.
pub(super) struct Trace {
    file: Box<dyn Write>,
    path: PathBuf,
}

impl Trace {
    /// Opens the file and empties it.
    pub(super) fn create(path: &Path) -> Result<Self> {
        if is_standard(path) {
            return Ok(Self { file: Box::new(io::stdout()), path: path.to_owned() });
        }
        let open = || -> io::Result<File> {
            let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
            // A pipe or a terminal has nothing to empty.
            if file.metadata()?.is_file() {
                file.set_len(0)?;
            }
            Ok(file)
        };
        let file = open().map_err(|error| failure(path, &error))?;
        Ok(Self { file: Box::new(file), path: path.to_owned() })
    }

    /// Opens the trace of an earlier run to go on at `step`. The lines of this step and later ones are cut off: that run
    /// ended without a checkpoint of them. So is half a line at the end, or one that is too long.
    pub(super) fn resume(path: &Path, step: u32) -> Result<Self> {
        // A pipe has nothing to cut off.
        if is_standard(path) || !fs::metadata(path).is_ok_and(|metadata| metadata.is_file()) {
            return Self::create(path);
        }
        let open = || -> io::Result<File> {
            let mut file = OpenOptions::new().read(true).write(true).open(path)?;
            let mut lines = BufReader::new(&file);
            let (mut kept, mut line) = (0, Vec::new());
            while lines.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)? > 0 {
                let again = serde_json::from_slice(&line).is_ok_and(|At { step: at }| at >= step);
                if again || !line.ends_with(b"\n") {
                    break;
                }
                kept += line.len() as u64;
                line.clear();
            }
            file.set_len(kept)?;
            file.seek(SeekFrom::End(0))?;
            Ok(file)
        };
        let file = open().map_err(|error| failure(path, &error))?;
        Ok(Self { file: Box::new(file), path: path.to_owned() })
    }

    /// Writes the costs of the picture after `step` steps. A cost that is not finite becomes null.
    pub(super) fn write(&mut self, step: u32, costs: &Costs, seconds: f64) -> Result<()> {
        let [content, style, matching] =
            [Group::Content, Group::Style, Group::Match].map(|group| costs.group(group));
        let total = costs.total;
        let terms = costs.terms.iter().map(|term| (&*term.name, term.cost)).collect();
        let line = serde_json::to_string(&Entry { step, total, content, style, matching, terms, seconds });
        // One write per line, so that a program that follows the file never reads half a line.
        let written = line.map_err(io::Error::from).and_then(|line| writeln_at_once(&mut *self.file, line));
        written.map_err(|error| failure(&self.path, &error))
    }
}

fn writeln_at_once(file: &mut dyn Write, mut line: String) -> io::Result<()> {
    line.push('\n');
    file.write_all(line.as_bytes())?;
    file.flush()
}

fn failure(path: &Path, error: &io::Error) -> Failure {
    let reason = format!("the trace cannot be written: {}", reason(error));
    let shown = if is_standard(path) { Path::new("standard output") } else { path };
    Failure::of_file(shown, &reason, "give --trace another place")
}
