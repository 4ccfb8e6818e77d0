//! The avweld command: arguments to options, events to a display, errors to exit codes.
//!
//! It uses the library's public API only. Standard output carries data, standard error everything else.

mod args;
mod docs;
mod exit;
mod inspect;
mod merge;
mod network;
mod progress;
mod report;
mod signals;
mod source;
mod terminal;
mod values;

use std::error::Error as _;
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;

use avweld::{Error, Result};
use clap::Parser;

use crate::args::{Cli, Command};
use crate::signals::Watch;

fn main() -> ExitCode {
    let cli = Cli::parse();
    // A panic has printed itself; what is left is to end with the code for a fault of ours, not with Rust's 101.
    let code = panic::catch_unwind(AssertUnwindSafe(|| run(&cli.command))).unwrap_or(exit::INTERNAL);
    ExitCode::from(code)
}

fn run(command: &Command) -> u8 {
    let (result, signal) = match Watch::install() {
        Ok(watch) => (dispatch(command, &watch), watch.received()),
        Err(error) => (Err(error), None),
    };
    match result {
        Ok(()) => exit::OK,
        Err(error) => {
            tell(&error, command.verbosity());
            exit::code(error.kind(), signal)
        }
    }
}

fn dispatch(command: &Command, watch: &Watch) -> Result<()> {
    match command {
        Command::Merge(args) => merge::run(args, watch),
        Command::Inspect(args) => inspect::run(args),
        Command::Completions { shell } => docs::completions(*shell),
        Command::Man => docs::man(),
    }
}

/// One line for an error; with `-v` its causes, a line each.
fn tell(error: &Error, verbosity: u8) {
    terminal::say(terminal::error_line(error));
    if verbosity > 0 {
        let told = error.to_string().to_lowercase();
        let mut cause = error.source();
        while let Some(error) = cause {
            let text = terminal::printable(&error.to_string());
            // Messages of I/O errors end with their cause already.
            if !told.contains(&text.to_lowercase()) {
                terminal::say(format!("  caused by: {text}"));
            }
            cause = error.source();
        }
    }
}
