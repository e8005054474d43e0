//! A folder with pictures for the built command.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{self, Child, ChildStderr, Stdio};

use assert_cmd::Command;
use assert_cmd::assert::Assert;
use impasto::picture::{Picture, PictureFormat};
use predicates::prelude::*;
use predicates::str::{contains, is_empty, starts_with};
use serde_json::Value;
use tempfile::TempDir;

/// The options of the course, with layers that make a step short.
pub(crate) const SHALLOW: [&str; 6] =
    ["--preset", "course", "--content-layers", "conv1_2", "--style-layers", "conv1_1,conv2_1=0.5"];

/// A folder with a content and a style picture, and one for what is remembered.
pub(crate) struct TestFolder {
    /// Where commands run.
    pub(crate) root: TempDir,
    /// What `IMPASTO_CACHE` names.
    pub(crate) cache: TempDir,
}

impl TestFolder {
    pub(crate) fn new() -> Self {
        let folder = Self { root: tempfile::tempdir().unwrap(), cache: tempfile::tempdir().unwrap() };
        folder.picture("content.png", 32, 24, 1);
        folder.picture("style.jpg", 24, 20, 2);
        folder
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn picture(&self, name: &str, width: u32, height: u32, seed: u32) {
        let wave = |x: u32, y: u32, c: u32| ((x * 7 * seed + y * 5 + x * y * c) % 251) as u8;
        let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let rgb = places.flat_map(|(x, y)| [0, 1, 2].map(|c| wave(x, y, c))).collect();
        let ending = Path::new(name).extension().unwrap().to_str().unwrap();
        let format = PictureFormat::from_extension(ending).unwrap();
        let bytes = Picture::from_rgb(width, height, rgb).unwrap().encode(format).unwrap();
        fs::write(self.path(name), bytes).unwrap();
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_impasto"));
        command.current_dir(self.root.path()).env("IMPASTO_CACHE", self.cache.path()).args(arguments);
        command
    }

    /// Runs with these arguments as they are.
    pub(crate) fn run(&self, arguments: &[&str]) -> Assert {
        self.command(arguments).assert()
    }

    /// Paints content.png in the style of style.jpg as in the course, with few layers.
    pub(crate) fn paint(&self, arguments: &[&str]) -> Assert {
        self.command(&["content.png", "style.jpg"]).args(SHALLOW).args(arguments).assert()
    }

    /// The same, but wrong: the code and a part of the message are expected, and nothing new in the folder.
    #[track_caller]
    pub(crate) fn refuses(&self, code: i32, arguments: &[&str], message: &str) {
        let before = self.files();
        let assert = self.paint(arguments).code(code).stdout(is_empty());
        assert.stderr(starts_with("error: ").and(contains(message)));
        assert_eq!(self.files(), before, "{arguments:?}");
    }

    pub(crate) fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.root.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    pub(crate) fn decoded(&self, name: &str) -> Picture {
        Picture::decode(&self.read(name), name).unwrap()
    }

    pub(crate) fn json_lines(&self, name: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.path(name)).unwrap();
        assert!(text.ends_with('\n'));
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Starts to paint, and waits for a line that contains `mark`.
    pub(crate) fn started(&self, arguments: &[&str], mark: &str) -> (Running, BufReader<ChildStderr>) {
        self.started_as(&[&["content.png", "style.jpg"], &SHALLOW[..], arguments].concat(), mark)
    }

    /// The same with these arguments alone.
    pub(crate) fn started_as(&self, arguments: &[&str], mark: &str) -> (Running, BufReader<ChildStderr>) {
        let child = process::Command::new(env!("CARGO_BIN_EXE_impasto"))
            .current_dir(self.root.path())
            .env("IMPASTO_CACHE", self.cache.path())
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut child = Running(child);
        let mut stderr = BufReader::new(child.0.stderr.take().unwrap());
        let (mut line, mut said) = (String::new(), String::new());
        while !line.contains(mark) {
            line.clear();
            assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "the run ended before {mark:?}: {said}");
            said.push_str(&line);
        }
        (child, stderr)
    }
}

/// A run that does not outlive its test, whatever becomes of that.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sends signals, a third of a second apart, and returns the exit code with the rest of stderr.
pub(crate) fn end(
    mut child: Running,
    stderr: BufReader<ChildStderr>,
    signals: &[&str],
) -> (Option<i32>, String) {
    let id = child.0.id();
    let script: Vec<String> = signals.iter().map(|signal| format!("kill -{signal} {id}")).collect();
    let script = script.join("; sleep 0.3; ");
    assert!(process::Command::new("sh").args(["-c", &script]).status().unwrap().success());
    let rest = stderr.lines().map(Result::unwrap).collect::<Vec<_>>().join("\n");
    (child.0.wait().unwrap().code(), rest)
}
