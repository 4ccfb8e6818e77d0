//! `avweld bench`: how fast this machine merges, against a plain copy of the same bytes.

mod args;
mod copy;
mod display;
mod generate;
mod input;
mod measure;
mod plot;
mod process;
mod report;
mod sample;
mod server;

pub(crate) use args::BenchArgs;

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread;

use avweld::{CancelToken, Error, ErrorKind, Existing, Input, Job, Options, Report, Result};
use tempfile::TempDir;

use crate::config::Config;
use crate::network;
use crate::report as json;
use crate::settings::{Messages, Settings};
use crate::signals::Watch;
use crate::source::{self, usage};
use crate::terminal;
use args::{LEAST_BYTES, Phase};
use display::Display;
use input::{SMALL, Source};
use measure::Work;
use report::{Findings, Row};
use server::Server;

/// Runs the command; `messages` are those of the command line over those of the config.
pub(crate) fn run(args: &BenchArgs, config: &Config, messages: Messages, watch: &Watch) -> Result<()> {
    let proxies = network::environment(|name| std::env::var_os(name));
    let mut options = Settings::new([&config.job], proxies)?.options;
    source::apply(&args.source, &mut options)?;
    args.network.apply(&mut options.network)?;
    if args.inputs.iter().any(|path| source::is_dash(path)) {
        return Err(usage("bench reads its input more than once, which standard input cannot be; name a file"));
    }
    let phases = if args.only.is_empty() { Phase::ALL.to_vec() } else { args.only.clone() };
    if let Some(plot) = &args.plot {
        if !phases.contains(&Phase::Concurrency) {
            return Err(usage("--plot needs --only concurrency, which it is a plot of"));
        }
        // Told before minutes are spent, not after.
        if plot.is_dir() || plot.parent().is_some_and(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()) {
            return Err(Error::new(ErrorKind::CannotCreate, format!("cannot create {}", plot.display()))
                .with_hint("name a file in a folder that exists"));
        }
    }
    let display = Display::new(messages);
    let findings = watch.run(|| Bench::new(args, options, watch.token(), &display)?.run(args, &phases));
    display.finish();
    let findings = findings?;
    if let Some(path) = &args.plot {
        let failed = |e| Error::io(format_args!("cannot write {}", path.display()), e);
        fs::write(path, plot::svg(&findings)).map_err(failed)?;
    }
    if messages.json {
        return json::print(&findings);
    }
    terminal::data(findings.text().as_bytes())?;
    if !messages.quiet {
        findings.warnings.iter().for_each(|message| terminal::say(terminal::warning_line(message)));
    }
    Ok(())
}

/// What the measurements have in common.
struct Bench<'a> {
    options: Options,
    cancel: CancelToken,
    display: &'a Display,
    /// All that is written is in here, and goes with it.
    folder: TempDir,
    runs: usize,
    cores: usize,
    source: Source,
    rows: Vec<Row>,
    warnings: Vec<String>,
}

impl<'a> Bench<'a> {
    /// Makes the input, or looks at the one given, by a first merge that is not measured.
    fn new(args: &BenchArgs, mut options: Options, cancel: CancelToken, display: &'a Display) -> Result<Self> {
        let place = args.temp_dir.clone().or(options.temp_dir.take()).unwrap_or_else(std::env::temp_dir);
        let failed = |e| Error::io(format_args!("cannot create a folder in {}", place.display()), e);
        let folder = tempfile::Builder::new().prefix("avweld-bench-").tempdir_in(&place).map_err(failed)?;
        for name in ["out", "work", "first"] {
            fs::create_dir(folder.path().join(name)).map_err(failed)?;
        }
        options.temp_dir = Some(folder.path().join("work"));
        options.keep_temp = false;
        options.existing = Existing::Refuse;
        let mut warnings = Vec::new();
        let first = folder.path().join("first/first.mp4");
        let source = if args.inputs.is_empty() {
            let bytes = affordable(args.size.as_u64(), folder.path(), &place, &mut warnings)?;
            display.phase("making the input", 0);
            let made = folder.path().join("in");
            let segments = input::make(&made, bytes, &cancel)?;
            let report = merge(Input::from(made.join("index.m3u8")), &first, &options, &cancel)?;
            remove_all(&folder.path().join("first"))?;
            Source::generated(made, segments, &report)
        } else {
            display.phase("a first merge, not measured", 0);
            let input = source::input(&args.inputs, None)?;
            let report = merge(input.clone(), &first, &options, &cancel)?;
            Source::given(input, &report)
        };
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let runs = args.runs.get();
        Ok(Self { options, cancel, display, folder, runs, cores, source, rows: Vec::new(), warnings })
    }

    fn run(mut self, args: &BenchArgs, phases: &[Phase]) -> Result<Findings> {
        for phase in phases {
            match phase {
                Phase::Merge => self.measure(Phase::Merge, 1, vec![self.source.whole()])?,
                Phase::Many => self.many(args)?,
                Phase::Concurrency => self.concurrency(args)?,
                Phase::Http => self.http()?,
            }
        }
        Ok(Findings {
            avweld: env!("CARGO_PKG_VERSION"),
            libav: avweld::libav_versions().into(),
            cores: self.cores,
            input: self.source.facts.clone(),
            runs: self.runs,
            phases: self.rows,
            warnings: self.warnings,
        })
    }

    /// Many small merges, as many at once as there are cores.
    fn many(&mut self, args: &BenchArgs) -> Result<()> {
        let each = self.source.part_bytes(SMALL);
        let fill = usize::try_from(args.size.as_u64() / each.max(1)).unwrap_or(MANY).clamp(1, MANY);
        let jobs = args.jobs.map_or(fill, NonZeroUsize::get);
        if self.source.is_given() && args.jobs.is_none() && jobs < 2 {
            self.leave_out("many: the input is no small one; --jobs measures it all the same");
            return Ok(());
        }
        if !self.has_room(jobs as u64 * each) {
            self.leave_out(&format!("many: the disk has no room for {jobs} outputs"));
            return Ok(());
        }
        let parts = (0..jobs).map(|n| self.source.part(n, SMALL)).collect();
        self.measure(Phase::Many, self.cores.min(jobs), parts)
    }

    /// One merge, then several at once. Parts are so long that the most at once make up about the whole.
    fn concurrency(&mut self, args: &BenchArgs) -> Result<()> {
        let most = args.concurrency.map_or(self.cores, NonZeroUsize::get);
        let length = usize::try_from(self.source.facts.segments).unwrap_or(usize::MAX) / most;
        let length = length.max(SMALL);
        for at_once in levels(most) {
            if !self.has_room(at_once as u64 * self.source.part_bytes(length)) {
                self.leave_out(&format!("concurrency from {at_once}: the disk has no room for the outputs"));
                break;
            }
            let parts = (0..at_once).map(|n| self.source.part(n, length)).collect();
            self.measure(Phase::Concurrency, at_once, parts)?;
        }
        Ok(())
    }

    /// The whole, from a server of this process.
    fn http(&mut self) -> Result<()> {
        let Some((folder, name)) = self.source.playlist() else {
            self.leave_out("http: the input is no playlist on this machine");
            return Ok(());
        };
        let server = Server::start(&folder)?;
        let Some(url) = server.url(&name) else {
            return Err(Error::new(ErrorKind::Internal, "the bench's server has no URL"));
        };
        let (_, files) = self.source.whole();
        // The user's proxies, headers and limits are for other servers.
        let own = std::mem::take(&mut self.options.network);
        let measured = self.measure(Phase::Http, 1, vec![(Input::from(url), files)]);
        self.options.network = own;
        match measured {
            // It may name what only its own place has.
            Err(error) if self.source.is_given() && error.kind() != ErrorKind::Cancelled => {
                self.leave_out(&format!("http: {error}"));
                Ok(())
            }
            measured => measured,
        }
    }

    /// Measures merges of these inputs, and copies of the files beside each.
    fn measure(&mut self, phase: Phase, at_once: usize, parts: Vec<(Input, Vec<PathBuf>)>) -> Result<()> {
        let jobs = parts.len();
        self.display.phase(&format!("{}, {at_once} at once", phase.name()), 2 * self.runs as u64);
        let out = self.folder.path().join("out");
        let work = Work {
            jobs,
            at_once,
            merge: &|n| {
                let to = out.join(format!("{n}.mp4"));
                Ok(merge(parts[n].0.clone(), &to, &self.options, &self.cancel)?.bytes_in)
            },
            copy: &|n| copy::copy(&parts[n].1, &out.join(format!("{n}.copy")), &self.cancel),
            clear: &|| {
                check(&self.cancel)?;
                remove_all(&out)
            },
        };
        let measured = measure::in_turn(&work, self.runs, &mut || self.display.step())?;
        self.rows.push(Row::new(phase, jobs, at_once, measured));
        Ok(())
    }

    /// Whether so much can be written, and some to spare. Where the system does not tell, the writing will.
    fn has_room(&self, bytes: u64) -> bool {
        process::free_bytes(self.folder.path()).is_none_or(|free| free / 10 * 9 >= bytes)
    }

    fn leave_out(&mut self, why: &str) {
        self.warnings.push(format!("left out: {why}"));
    }
}

/// The most small merges unless more are asked for.
const MANY: usize = 64;

/// How many at once are measured: each number up to 8, then each doubled, and the last.
fn levels(most: usize) -> Vec<usize> {
    let doubled = std::iter::successors(Some(16_usize), |n| n.checked_mul(2)).take_while(|n| *n < most);
    let mut levels: Vec<usize> = (1..=most.min(8)).chain(doubled).collect();
    if most > 8 {
        levels.push(most);
    }
    levels
}

/// As much of what was asked for as the disk has four times free.
fn affordable(asked: u64, folder: &Path, place: &Path, warnings: &mut Vec<String>) -> Result<u64> {
    let Some(most) = process::free_bytes(folder).map(|free| free / 4).filter(|most| *most < asked) else {
        return Ok(asked);
    };
    if most < LEAST_BYTES {
        return Err(Error::new(ErrorKind::DiskFull, format!("{} has no room for a bench", place.display()))
            .with_hint("name a folder with more by --temp-dir"));
    }
    warnings.push(format!("the input has {} MB: the disk has four times as much free and no more", most / 1_000_000));
    Ok(most)
}

fn merge(input: Input, to: &Path, options: &Options, cancel: &CancelToken) -> Result<Report> {
    let job = Job::new(input, to).options(options.clone()).cancel_token(cancel.clone());
    // A download that was cancelled says that it is kept; here it is not.
    job.run().map_err(|e| if e.kind() == ErrorKind::Cancelled { Error::cancelled() } else { e })
}

/// Ends what was cancelled.
fn check(cancel: &CancelToken) -> Result<()> {
    if cancel.is_cancelled() { Err(Error::cancelled()) } else { Ok(()) }
}

/// Empties a folder of its files.
fn remove_all(folder: &Path) -> Result<()> {
    let remove = || fs::read_dir(folder)?.try_for_each(|entry| fs::remove_file(entry?.path()));
    remove().map_err(|e| Error::io("cannot remove the bench's output", e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_end_with_the_most_and_are_few() {
        assert_eq!(levels(1), [1]);
        assert_eq!(levels(2), [1, 2]);
        assert_eq!(levels(9), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(levels(16), [1, 2, 3, 4, 5, 6, 7, 8, 16]);
        assert_eq!(levels(48), [1, 2, 3, 4, 5, 6, 7, 8, 16, 32, 48]);
    }
}
