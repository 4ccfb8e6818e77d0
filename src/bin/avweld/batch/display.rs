//! What is seen of a batch while it runs: a bar for each running job, and one for all.

use std::sync::Arc;

use avweld::{Event, Result};
use indicatif::{MultiProgress, ProgressBar};
use serde::Serialize;

use crate::progress::{self, Progress, Shown, Volume};
use crate::report;
use crate::terminal;
use crate::values::ProgressStyle;

/// Shows the jobs of a batch.
pub(crate) struct Display {
    shown: Shown,
    volume: Volume,
    /// Shows what jobs without a bar have to tell.
    waiting: Progress,
    bars: Option<Bars>,
}

struct Bars {
    all: MultiProgress,
    total: ProgressBar,
}

impl Display {
    /// A display as asked for, and as standard error can show it.
    pub(crate) fn new(asked: ProgressStyle, volume: Volume, jobs: u64) -> Self {
        let shown = Shown::new(asked, volume);
        let bars = (shown == Shown::Bars).then(|| {
            let all = MultiProgress::new();
            let total = all.add(progress::total_bar(jobs));
            total.tick();
            Bars { all, total }
        });
        Self { shown, volume, waiting: Progress::of_many(shown, None, volume), bars }
    }

    /// Shows one job's events.
    pub(crate) fn job(&self) -> Arc<Progress> {
        let bar = self.bars.as_ref().map(|bars| bars.all.insert_from_back(1, progress::bar()));
        Arc::new(Progress::of_many(self.shown, bar, self.volume))
    }

    /// Shows what a job waits for. All else is told by the job itself, as it runs.
    pub(crate) fn before_it_begins(&self, event: &Event) {
        if matches!(event, Event::Waiting { .. }) {
            self.aside(|| self.waiting.on_event(event));
        }
    }

    /// A job has ended, with its bar, if it ever had one.
    pub(crate) fn ended(&self, job: Option<&Progress>) {
        if let Some(bars) = &self.bars {
            if let Some(bar) = job.and_then(Progress::bar) {
                bar.finish_and_clear();
                bars.all.remove(bar);
            }
            bars.total.inc(1);
        }
    }

    /// How much is said in words: nothing between lines of JSON.
    pub(crate) fn volume(&self) -> Volume {
        if self.shown == Shown::Json { Volume::Quiet } else { self.volume }
    }

    /// One line on standard error.
    pub(crate) fn say(&self, line: impl std::fmt::Display) {
        self.aside(|| terminal::say(line));
    }

    /// One object on standard output, which may be the same terminal.
    pub(crate) fn print(&self, value: &impl Serialize) -> Result<()> {
        self.aside(|| report::print(value))
    }

    /// Takes the bars away.
    pub(crate) fn finish(&self) {
        if let Some(bars) = &self.bars {
            bars.total.finish_and_clear();
        }
    }

    fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        match &self.bars {
            Some(bars) => bars.all.suspend(print),
            None => print(),
        }
    }
}
