//! The command line: a thin client of the library. Only here are files opened, signals caught and futures
//! waited for.

mod args;
mod bench;
mod busy;
mod checkpoints;
mod console;
mod devices;
mod doctor;
mod explain;
mod failure;
mod files;
mod inputs;
mod job;
mod options_file;
mod output;
mod paint;
mod plan_file;
mod progress;
mod remembered;
mod request;
mod show_options;
mod signals;
mod styles;
mod table;
mod trace;
mod weights;
mod words;

use std::process::ExitCode;

use clap::FromArgMatches;

use args::{Arguments, Command};
use console::{print, say};
use failure::{Failure, Result};

/// Runs the command that the arguments ask for. Exit codes: 0 done, 1 failed, 2 wrong arguments, 130 and 143
/// ended by a signal.
pub(crate) fn run() -> ExitCode {
    silence_caught_panics();
    let parsed = args::command().try_get_matches().and_then(|it| Arguments::from_arg_matches(&it));
    let arguments = match parsed {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version go to stdout with code 0, errors to stderr with 2.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    match perform(arguments) {
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

fn perform(mut arguments: Arguments) -> Result<()> {
    if let Some(order) = arguments.order() {
        order.run_mut().read_options_file()?;
        if order.run().show_options {
            return show_options::show(order);
        }
    }
    match &arguments.command {
        Some(Command::Texture(texture)) => paint::paint(texture),
        Some(Command::Reconstruct(reconstruct)) => paint::paint(reconstruct),
        Some(Command::Devices) => devices::devices(),
        Some(Command::Bench(bench)) => bench::bench(bench),
        Some(Command::Doctor(doctor)) => doctor::doctor(doctor),
        Some(Command::Explain(explain)) => explain::explain(explain),
        Some(Command::Weights(arguments)) => weights::weights(arguments),
        None => paint::paint(&arguments.paint),
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
