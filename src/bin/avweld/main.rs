//! The avweld command: arguments to options, events to a display, errors to exit codes.
//!
//! It uses the library's public API only. Standard output carries data, standard error everything else.

mod args;
mod batch;
mod bench;
mod config;
mod deep;
mod docs;
mod existing;
mod exit;
mod inspect;
mod keys;
mod merge;
mod network;
mod progress;
mod report;
mod settings;
mod signals;
mod source;
mod table;
mod terminal;
mod textfile;
mod timeline;
mod values;
mod version;

use std::error::Error as _;
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;

use avweld::{Error, Result};
use clap::Parser;

use crate::args::{Cli, Command};
use crate::config::Config;
use crate::settings::Messages;
use crate::signals::Watch;

#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    // A panic has printed itself; what is left is to end with the code for a fault of ours, not with Rust's 101.
    let code = panic::catch_unwind(AssertUnwindSafe(|| run(&cli))).unwrap_or(exit::INTERNAL);
    ExitCode::from(code)
}

fn run(cli: &Cli) -> u8 {
    // Without a command there is nothing but the version to ask for.
    let Some(command) = &cli.command else {
        return version::run(cli.verbose).map_or_else(|error| failed(&error, 0, None), |()| exit::OK);
    };
    let verbosity = command.messages().map_or(0, |messages| messages.verbose);
    let watch = match Watch::install() {
        Ok(watch) => watch,
        Err(error) => return failed(&error, verbosity, None),
    };
    let config = match command.config().map(|args| Config::load(args.file.as_deref())).transpose() {
        Ok(config) => config.unwrap_or_default(),
        Err(error) => return failed(&error, verbosity, None),
    };
    let messages = Messages::new([Some(&config.messages), command.messages()].into_iter().flatten());
    match dispatch(command, &config, messages, &watch) {
        Ok(code) => code,
        Err(error) => failed(&error, messages.verbose, watch.received()),
    }
}

fn dispatch(command: &Command, config: &Config, messages: Messages, watch: &Watch) -> Result<u8> {
    match command {
        Command::Merge(args) => merge::run(args, config, messages, watch)?,
        Command::Batch(args) => return batch::run(args, config, watch),
        Command::Bench(args) => bench::run(args, config, messages, watch)?,
        Command::Inspect(args) => inspect::run(args, config, messages, watch)?,
        Command::Completions { shell } => docs::completions(*shell)?,
        Command::Man => docs::man()?,
    }
    Ok(exit::OK)
}

/// Tells an error, and its exit code.
fn failed(error: &Error, verbosity: u8, signal: Option<i32>) -> u8 {
    tell(error, verbosity);
    exit::code(error.kind(), signal)
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
