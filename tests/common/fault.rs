//! Faults of the graphics driver, really caused: `tests/fault_layer/layer.rs`, compiled and put before the driver of a
//! command.
//!
//! For Linux only. The layer itself is no more bound to a system than Vulkan is, but only on Linux do the tests have a
//! driver of which they know that it is Vulkan's, and a loader that takes a layer from a variable.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::OnceLock;
use std::{env, fs};

use assert_cmd::Command;

const LAYER: &str = "VK_LAYER_IMPASTO_fault";

/// What the driver is to do wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing: the report alone.
    None,
    /// To lose the device and refuse this submission, counted from 1 over all queues.
    LoseAt(u64),
    /// To take this submission, never run it, and report a lost device to those who wait for it.
    HangAt(u64),
    /// To have only this many bytes of memory.
    Memory(u64),
}

/// The compiled layer.
#[derive(Debug)]
pub(crate) struct FaultLayer {
    folder: PathBuf,
}

impl FaultLayer {
    /// Compiled once in a process.
    pub(crate) fn get() -> &'static Self {
        static LAYER: OnceLock<FaultLayer> = OnceLock::new();
        LAYER.get_or_init(Self::compile)
    }

    fn compile() -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fault_layer");
        fs::create_dir_all(&folder).unwrap();
        // Other processes may be at it too: each compiles for itself, and the last one's library stays.
        let workshop = tempfile::tempdir_in(&folder).unwrap();
        let library = workshop.path().join("libfault_layer.so");
        let compiled = process::Command::new(rustc())
            .args(["--edition", "2024", "--crate-type", "cdylib", "--crate-name", "fault_layer", "-O"])
            .args(["-C", "panic=abort", "-o"])
            .args([&library, &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fault_layer/layer.rs")])
            .output()
            .unwrap();
        assert!(
            compiled.status.success(),
            "rustc refuses the layer:\n{}",
            String::from_utf8_lossy(&compiled.stderr)
        );
        let manifest = workshop.path().join("manifest");
        let description = serde_json::json!({
            "file_format_version": "1.2.0",
            "layer": {
                "name": LAYER,
                "type": "GLOBAL",
                "library_path": "./libfault_layer.so",
                "api_version": "1.3.0",
                "implementation_version": "1",
                "description": "Makes the driver's answers bad, for impasto's tests.",
            },
        });
        fs::write(&manifest, description.to_string()).unwrap();
        fs::rename(&library, folder.join("libfault_layer.so")).unwrap();
        fs::rename(&manifest, folder.join("fault_layer.json")).unwrap();
        Self { folder }
    }

    /// Puts the layer before the driver that `command` will use. What it does goes to the file `report`, which must
    /// not be there yet.
    pub(crate) fn cause<'a>(&self, command: &'a mut Command, fault: Fault, report: &Path) -> &'a mut Command {
        assert!(!report.exists(), "{} is of another run", report.display());
        command
            .env("VK_LAYER_PATH", before("VK_LAYER_PATH", self.folder.clone().into()))
            .env("VK_INSTANCE_LAYERS", before("VK_INSTANCE_LAYERS", LAYER.into()))
            .env("IMPASTO_TEST_REPORT", report);
        match fault {
            Fault::None => command,
            Fault::LoseAt(submission) => command.env("IMPASTO_TEST_LOSE_AT", submission.to_string()),
            Fault::HangAt(submission) => command.env("IMPASTO_TEST_HANG_AT", submission.to_string()),
            Fault::Memory(bytes) => command.env("IMPASTO_TEST_MEMORY", bytes.to_string()),
        }
    }
}

/// What the layer saw of one run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Report {
    /// Whether the fault was caused.
    pub(crate) caused: bool,
    /// Submissions, the lost one included, to all devices together.
    pub(crate) submissions: u64,
    /// The most bytes that were allocated at a time.
    pub(crate) peak_bytes: u64,
}

impl Report {
    /// # Panics
    /// Where the layer did not come between the command and a driver, or did not see a device's end.
    pub(crate) fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_else(|error| {
            panic!(
                "{}: {error}: the layer was not loaded. These tests need a Vulkan loader that takes layers from \
                 VK_LAYER_PATH and VK_INSTANCE_LAYERS, and does not run with another user's rights",
                path.display()
            )
        });
        let mut report = Self { caused: false, submissions: 0, peak_bytes: 0 };
        let mut ended = false;
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["lost", ..] | ["refused", ..] => report.caused = true,
                ["end:", submissions, "submissions,", "peak", bytes, "bytes"] => {
                    report.submissions = submissions.parse().unwrap();
                    report.peak_bytes = bytes.parse().unwrap();
                    ended = true;
                }
                _ => panic!("{line:?}: the layer writes no such line"),
            }
        }
        assert!(ended, "no device was destroyed: {text:?}");
        report
    }
}

/// `first`, and after it what the variable holds already.
fn before(variable: &str, first: OsString) -> OsString {
    let rest = env::var_os(variable).filter(|value| !value.is_empty());
    let values = std::iter::once(first).chain(rest);
    values.collect::<Vec<_>>().join(&OsString::from(":"))
}

/// The compiler that belongs to the cargo that built the tests.
fn rustc() -> PathBuf {
    if let Some(named) = env::var_os("RUSTC") {
        return named.into();
    }
    let beside = Path::new(env!("CARGO")).with_file_name("rustc");
    if beside.exists() { beside } else { "rustc".into() }
}
