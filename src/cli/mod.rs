//! The command line: a thin client of the library. Only here are files opened, signals caught and futures
//! waited for.

mod args;
mod bench;
mod busy;
mod checkpoints;
mod clock;
mod console;
mod devices;
mod doctor;
mod explain;
mod failure;
mod files;
mod inputs;
mod job;
mod missing;
mod names;
mod numbers;
mod options_file;
mod output;
mod paint;
mod peers;
mod plan_file;
mod preview;
mod progress;
mod remembered;
mod request;
mod show_options;
mod signals;
mod software_driver;
mod styles;
mod table;
mod trace;
mod typed;
mod weights;
mod words;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::FromArgMatches;

use args::{Arguments, Command};
use console::{print, say};
use failure::{Failure, Result};

/// Runs the command that the arguments ask for. Exit codes: 0 done, 1 failed, 2 wrong arguments, 129, 130
/// and 143 ended by a signal.
pub(crate) fn run() -> ExitCode {
    software_driver::use_driver_beside();
    silence_caught_panics();
    let arguments = match parsed(std::env::args_os().collect()) {
        Ok(Ok(arguments)) => arguments,
        Ok(Err(error)) => {
            // Help and version go to stdout with code 0, errors to stderr with 2.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
        Err(failure) => return ended(Err(failure)),
    };
    ended(perform(arguments))
}

/// Reads the arguments, the first of which is the program.
fn parsed(arguments: Vec<OsString>) -> Result<clap::error::Result<Arguments>> {
    let command = args::command();
    let arguments = typed::understood(arguments, &command)?;
    let parsed = command.try_get_matches_from(&arguments).and_then(|it| Arguments::from_arg_matches(&it));
    match parsed {
        Err(error) if missing::lacks_output(&error) => Err(missing::without_output(arguments)
            .unwrap_or_else(|| {
                Failure::Usage(
                    "--output: there is none; say with -o where the painting goes, such as -o out.png".into(),
                )
            })),
        Err(error) => missing::surplus(&error).map_or(Ok(Err(error)), Err),
        parsed => Ok(parsed),
    }
}

/// Says how the command ended, and with which code.
fn ended(result: Result<()>) -> ExitCode {
    match result {
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
