//! The command `impasto`: see [`cli`]. It sees the library only as a host does.

mod cli;

fn main() -> std::process::ExitCode {
    cli::run()
}
