//! The command line: a thin client of the library. Only here are files opened, signals caught and futures
//! waited for.

mod args;
mod bench;
mod busy;
mod checkpoints;
mod devices;
mod doctor;
mod explain;
mod files;
mod inputs;
mod job;
mod output;
mod paint;
mod plan_file;
mod progress;
mod remembered;
mod request;
mod signals;
mod table;
mod trace;
mod words;

use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use impasto::Error;

use args::{Arguments, Command};

/// Why a command did not do what it was asked to.
#[derive(Debug)]
enum Failure {
    /// Something is wrong in the arguments themselves.
    Usage(String),
    /// A file, a picture, the weights, the adapter or the GPU.
    Failed(String),
    /// A signal ended the run in good order; the code says which.
    Interrupted(u8),
}

impl Failure {
    /// A file of the command line that cannot be read or written, or must not be.
    fn of_file(path: &Path, reason: &str, remedy: &str) -> Self {
        Self::Failed(format!("{}: {reason}; {remedy}", path.display()))
    }

    /// The same failure, its message after `context`. The last line, which may be a path, stays the last one.
    fn with_context(self, context: &str) -> Self {
        match self {
            Self::Failed(message) => Self::Failed(format!("{context}\n{message}")),
            other => other,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let message = words::message(&error);
        match error {
            Error::Option { .. } => Self::Usage(message),
            _ => Self::Failed(message),
        }
    }
}

type Result<T, E = Failure> = std::result::Result<T, E>;

/// Runs the command that the arguments ask for. Exit codes: 0 done, 1 failed, 2 wrong arguments, 130 and 143
/// ended by a signal.
pub(crate) fn run() -> ExitCode {
    silence_caught_panics();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version go to stdout with code 0, errors to stderr with 2.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let done = match &arguments.command {
        Some(Command::Devices) => devices::devices(),
        Some(Command::Bench(bench)) => bench::bench(bench),
        Some(Command::Doctor(doctor)) => doctor::doctor(doctor),
        Some(Command::Explain(explain)) => explain::explain(explain),
        None => paint::paint(&arguments.paint),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(message)) => {
            say(format_args!("error: {message}\n\nFor more information, try 'impasto --help'."));
            ExitCode::from(2)
        }
        Err(Failure::Failed(message)) => {
            say(format_args!("error: {message}"));
            ExitCode::FAILURE
        }
        Err(Failure::Interrupted(code)) => ExitCode::from(code),
    }
}

/// Keeps panics that the library catches and returns as errors from being reported as well.
fn silence_caught_panics() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !impasto::gpu::is_caught_panic(panic.payload()) {
            report(panic);
        }
    }));
}

/// Writes a line to stderr. A closed stderr is no reason to stop.
fn say(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Writes to stdout. A reader that closes the pipe early is not an error.
fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Failed(format!("standard output: {error}; give it a place that can be written to")))
        }
        _ => Ok(()),
    }
}
