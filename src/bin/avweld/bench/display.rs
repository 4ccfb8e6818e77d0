//! How far a bench is: a bar on a terminal, with `-v` a line for each measurement.

use indicatif::{ProgressBar, ProgressStyle as BarStyle};

use crate::progress::{Shown, Volume};
use crate::settings::Messages;
use crate::terminal;
use crate::values::ProgressStyle;

pub(super) struct Display {
    bar: Option<ProgressBar>,
    volume: Volume,
}

impl Display {
    pub(super) fn new(messages: Messages) -> Self {
        let volume = Volume::new(messages);
        let bar = (Shown::new(ProgressStyle::Auto, volume) == Shown::Bars).then(ProgressBar::no_length);
        if let Some(bar) = &bar
            && let Ok(style) = BarStyle::with_template("{msg} {wide_bar} {pos}/{len}")
        {
            bar.set_style(style);
        }
        Self { bar, volume }
    }

    /// Another measurement begins, of so many steps.
    pub(super) fn phase(&self, what: &str, steps: u64) {
        if let Some(bar) = &self.bar {
            bar.set_length(steps);
            bar.set_position(0);
            bar.set_message(what.to_owned());
        } else if self.volume > Volume::Normal {
            terminal::say(format_args!("bench: {what}"));
        }
    }

    /// One of its steps is done.
    pub(super) fn step(&self) {
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
