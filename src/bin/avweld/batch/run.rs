//! Runs the jobs of a batch, and tells of each as it ends.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use avweld::{Error, ErrorKind, Job, Output, Proxies, Report, Result};
use serde::Serialize;

use crate::batch::display::Display;
use crate::batch::engine::Engine;
use crate::batch::plan::{Layers, Planned};
use crate::existing;
use crate::exit;
use crate::progress::{Progress, Volume};
use crate::report::{self, Unfinished};
use crate::settings::Settings;
use crate::signals::Watch;
use crate::terminal::{clock, count, job_error_line, printable, printable_path};

/// What all jobs of a batch share.
pub(crate) struct Batch<'a> {
    pub(crate) layers: Layers<'a>,
    pub(crate) proxies: Proxies,
    pub(crate) fail_fast: bool,
    pub(crate) json: bool,
    pub(crate) display: Arc<Display>,
    pub(crate) watch: &'a Watch,
}

/// What the jobs came to.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
pub(crate) struct Summary {
    jobs: u64,
    succeeded: u64,
    failed: u64,
    skipped: u64,
    elapsed_s: f64,
    /// Of those that failed, those that were cancelled, before they began or later.
    #[serde(skip)]
    cancelled: u64,
}

impl Summary {
    /// The exit code of a batch that came to this, with the signal that was received, if one was.
    pub(crate) fn code(&self, signal: Option<i32>) -> u8 {
        match signal {
            Some(signal) if self.cancelled > 0 => exit::by_signal(signal),
            _ if self.failed > 0 => exit::SOME_FAILED,
            _ => exit::OK,
        }
    }

    fn line(&self) -> String {
        let Self { jobs, succeeded, failed, skipped, elapsed_s, cancelled } = self;
        let cancelled = if *cancelled > 0 { format!(" ({cancelled} cancelled)") } else { String::new() };
        let jobs = count(*jobs, "job");
        let elapsed = clock(*elapsed_s);
        format!("{jobs}: {succeeded} succeeded, {failed} failed{cancelled}, {skipped} skipped, {elapsed}")
    }
}

/// How a job ended.
enum Outcome {
    Done(Box<Report>),
    Skipped(PathBuf),
    Failed(Error),
}

impl Batch<'_> {
    /// Runs jobs, and returns when all have ended.
    ///
    /// # Errors
    /// Those of standard output, once all jobs have ended. What goes wrong in a job is in its report and the summary.
    pub(crate) fn run(&self, jobs: &[Planned], engine: &dyn Engine) -> Result<Summary> {
        let started = Instant::now();
        let mut tally = Tally { batch: self, summary: Summary::default(), printed: Ok(()) };
        let (sender, ended) = crossbeam_channel::unbounded();
        let (mut next, mut running) = (0, 0);
        loop {
            while running < engine.places() && next < jobs.len() && !tally.stopped() {
                let job = &jobs[next];
                let progress = self.display.job();
                match self.job(job, &progress) {
                    Ok((run, skip_existing)) => {
                        let sender = sender.clone();
                        let position = next;
                        engine.start(
                            run,
                            // The receiver is there until the last job has ended.
                            Box::new(move |result| drop(sender.send((position, skip_existing, progress, result)))),
                        );
                        running += 1;
                    }
                    Err(outcome) => tally.add(job, &progress, outcome),
                }
                next += 1;
            }
            if running == 0 {
                break;
            }
            let Ok((position, skip_existing, progress, result)) = ended.recv() else { break };
            running -= 1;
            let job: &Planned = &jobs[position];
            let outcome = match result {
                Ok(report) => Outcome::Done(Box::new(report)),
                Err(error) => match existing::skipped(&job.output, &error).filter(|_| skip_existing) {
                    Some(existing) => Outcome::Skipped(existing),
                    None => Outcome::Failed(error),
                },
            };
            tally.add(job, &progress, outcome);
        }
        tally.never_began(&jobs[next..]);
        self.display.finish();
        tally.summary.elapsed_s = started.elapsed().as_secs_f64();
        tally.finish()
    }

    /// A job ready to run, and whether it is skipped where its output comes to exist; or how it ended already.
    fn job(&self, job: &Planned, progress: &Arc<Progress>) -> Result<(Job, bool), Outcome> {
        let settings =
            Settings::new(self.layers.of(job.args.as_deref()), self.proxies.clone()).map_err(Outcome::Failed)?;
        if settings.skip_existing && existing::stands(&job.output) {
            return Err(Outcome::Skipped(job.output.clone()));
        }
        make_folder(&job.output).map_err(Outcome::Failed)?;
        let observer = Arc::clone(progress);
        let run = Job::new(job.input.clone(), Output::Path(job.output.clone()))
            .name(job.label.clone())
            .options(settings.options)
            .observer(move |event: &avweld::Event| observer.on_event(event))
            .cancel_token(self.watch.token());
        Ok((run, settings.skip_existing))
    }
}

fn make_folder(output: &Path) -> Result<()> {
    let Some(folder) = output.parent().filter(|folder| !folder.as_os_str().is_empty()) else { return Ok(()) };
    fs::create_dir_all(folder).map_err(|e| {
        let message = format!("cannot create the output folder {}: {e}", folder.display());
        Error::new(ErrorKind::CannotCreate, message).with_source(e)
    })
}

/// Of many jobs a line each is enough; tracks and the like are told with `-v`.
fn done_lines(report: &Report, volume: Volume) -> Vec<String> {
    let mut lines = report::summary(report, false);
    if volume <= Volume::Normal {
        lines.truncate(1);
        if let (Some(line), n @ 1..) = (lines.first_mut(), report.warnings.len()) {
            line.push_str(&format!(", {}", count(n as u64, "warning")));
        }
    }
    lines
}

/// Counts and tells what jobs come to.
struct Tally<'a> {
    batch: &'a Batch<'a>,
    summary: Summary,
    /// The first error of standard output.
    printed: Result<()>,
}

impl Tally<'_> {
    /// True if no further job may begin.
    fn stopped(&self) -> bool {
        self.batch.watch.token().is_cancelled()
    }

    fn add(&mut self, job: &Planned, progress: &Progress, outcome: Outcome) {
        let Batch { display, json, .. } = self.batch;
        display.ended(Some(progress));
        self.summary.jobs += 1;
        match outcome {
            Outcome::Done(report) => {
                self.summary.succeeded += 1;
                if *json {
                    self.print(&report::with_utf8_paths(*report));
                } else if display.volume() > Volume::Quiet {
                    done_lines(&report, display.volume()).iter().for_each(|line| display.say(line));
                }
            }
            Outcome::Skipped(existing) => {
                self.summary.skipped += 1;
                if *json {
                    self.print(&Unfinished::skipped(&job.label, &existing));
                } else if display.volume() > Volume::Quiet {
                    display.say(format_args!("{}: exists, skipped", printable_path(&existing)));
                }
            }
            Outcome::Failed(error) => {
                self.summary.failed += 1;
                // Those that are cancelled are told of together, at the end.
                if error.kind() == ErrorKind::Cancelled {
                    self.summary.cancelled += 1;
                } else {
                    display.say(job_error_line(&printable(&job.label), &error));
                    if self.batch.fail_fast {
                        self.batch.watch.token().cancel();
                    }
                }
                self.report_failed(job, &error);
            }
        }
    }

    /// What is left when the batch was cancelled.
    fn never_began(&mut self, jobs: &[Planned]) {
        for job in jobs {
            self.batch.display.ended(None);
            self.summary.jobs += 1;
            self.summary.failed += 1;
            self.summary.cancelled += 1;
            self.report_failed(job, &Error::cancelled());
        }
    }

    fn report_failed(&mut self, job: &Planned, error: &Error) {
        if self.batch.json {
            let code = exit::code(error.kind(), self.batch.watch.received());
            self.print(&Unfinished::failed(&job.label, &job.output, error, code));
        }
    }

    fn print(&mut self, value: &impl Serialize) {
        // The jobs go on: what they make is worth more than their reports.
        if self.printed.is_ok() {
            self.printed = self.batch.display.print(value);
        }
    }

    fn finish(mut self) -> Result<Summary> {
        if self.summary.cancelled > 0 {
            let why = if self.batch.watch.received().is_some() { "" } else { ", as another failed" };
            let jobs = count(self.summary.cancelled, "job");
            self.batch
                .display
                .say(format_args!("{jobs} cancelled{why}; the same command with --skip-existing goes on from here"));
        }
        if self.batch.json {
            #[derive(Serialize)]
            struct Line<'a> {
                summary: &'a Summary,
            }
            let summary = self.summary.clone();
            self.print(&Line { summary: &summary });
        } else if self.batch.display.volume() > Volume::Quiet {
            self.batch.display.say(self.summary.line());
        }
        self.printed.map(|()| self.summary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::engine::Ended;
    use crate::batch::plan::Layers;
    use crate::config::Config;
    use crate::settings::{JobArgs, ServiceArgs};
    use crate::values::ProgressStyle;
    use avweld::CancelToken;
    use signal_hook::consts::{SIGINT, SIGTERM};
    use std::cell::{Cell, RefCell};

    fn summary(failed: u64, cancelled: u64) -> Summary {
        Summary { jobs: 5, succeeded: 5 - failed, failed, cancelled, elapsed_s: 1.5, ..Summary::default() }
    }

    #[test]
    fn the_exit_code_tells_failures_and_the_signal() {
        assert_eq!(summary(0, 0).code(None), 0);
        assert_eq!(summary(5, 0).code(None), 3);
        assert_eq!(summary(2, 1).code(None), 3);
        assert_eq!(summary(2, 1).code(Some(SIGINT)), 130);
        assert_eq!(summary(2, 2).code(Some(SIGTERM)), 143);
        // The signal came when all was done.
        assert_eq!(summary(0, 0).code(Some(SIGINT)), 0);
    }

    #[test]
    fn the_summary_is_one_line() {
        assert_eq!(summary(0, 0).line(), "5 jobs: 5 succeeded, 0 failed, 0 skipped, 0:00:01.500");
        assert_eq!(summary(3, 2).line(), "5 jobs: 2 succeeded, 3 failed (2 cancelled), 0 skipped, 0:00:01.500");
        let json = serde_json::to_string(&summary(1, 1)).expect("JSON");
        assert_eq!(json, r#"{"jobs":5,"succeeded":4,"failed":1,"skipped":0,"elapsed_s":1.5}"#);
    }

    /// Ends no job before all of its places are taken or the list is at its end.
    struct Waiting {
        places: usize,
        most: Cell<usize>,
        begun: Cell<usize>,
        jobs: usize,
        waiting: RefCell<Vec<Ended>>,
        error: fn() -> Error,
        /// Cancelled as the first job begins.
        cancel: Option<CancelToken>,
    }

    impl Engine for Waiting {
        fn places(&self) -> usize {
            self.places
        }

        fn start(&self, _: Job, ended: Ended) {
            let mut waiting = self.waiting.borrow_mut();
            waiting.push(ended);
            self.begun.set(self.begun.get() + 1);
            self.most.set(self.most.get().max(waiting.len()));
            if let Some(token) = &self.cancel {
                token.cancel();
            }
            if waiting.len() == self.places || self.begun.get() == self.jobs || self.cancel.is_some() {
                waiting.drain(..).for_each(|ended| ended(Err((self.error)())));
            }
        }
    }

    /// What ten jobs come to, how many began, and how many were under way at once at most.
    fn ten(places: usize, fail_fast: bool, cancel: bool, error: fn() -> Error) -> (Summary, usize, usize) {
        let watch = Watch::install().expect("handlers");
        let config = Config::default();
        let (job, service) = (JobArgs::default(), ServiceArgs::default());
        let batch = Batch {
            layers: Layers { config: &config, defaults: &config, job: &job, service: &service },
            proxies: Proxies::default(),
            fail_fast,
            json: false,
            display: Arc::new(Display::new(ProgressStyle::None, Volume::Quiet, 10)),
            watch: &watch,
        };
        let planned =
            |n| Planned { label: "a".into(), input: "a".into(), output: format!("{n}.mp4").into(), args: None };
        let engine = Waiting {
            places,
            most: Cell::new(0),
            begun: Cell::new(0),
            jobs: 10,
            waiting: RefCell::default(),
            error,
            cancel: cancel.then(|| watch.token()),
        };
        let summary = batch.run(&(0..10).map(planned).collect::<Vec<_>>(), &engine).expect("a summary");
        (Summary { elapsed_s: 0.0, ..summary }, engine.begun.get(), engine.most.get())
    }

    fn failed(failed: u64, cancelled: u64) -> Summary {
        Summary { jobs: failed, failed, cancelled, ..Summary::default() }
    }

    #[test]
    fn no_more_jobs_begin_than_there_are_places() {
        let broken = || Error::new(ErrorKind::Media, "broken");
        assert_eq!(ten(4, false, false, broken), (failed(10, 0), 10, 4));
        assert_eq!(ten(64, false, false, broken), (failed(10, 0), 10, 10));
    }

    #[test]
    fn no_job_begins_after_one_that_failed_if_that_is_asked_for() {
        assert_eq!(ten(1, true, false, || Error::new(ErrorKind::Media, "broken")), (failed(10, 9), 1, 1));
    }

    #[test]
    fn no_job_begins_once_the_batch_is_cancelled() {
        assert_eq!(ten(3, false, true, Error::cancelled), (failed(10, 10), 1, 1));
    }
}
