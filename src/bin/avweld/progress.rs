//! A job's events on standard error: a bar, JSON lines or plain ones.

use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use avweld::Event;
use indicatif::{DecimalBytes, ProgressBar, ProgressStyle as BarStyle};

use crate::settings::Messages;
use crate::terminal::{self, clock, count, printable, printable_path, warning_line};
use crate::values::ProgressStyle;

/// Shows a job's events.
pub(crate) struct Progress {
    style: Style,
    volume: Volume,
    /// Other jobs are shown beside it, so that a line must say whose it is.
    among_others: bool,
    started: Instant,
    /// Something is still to come from the web.
    fetching: AtomicBool,
}

enum Style {
    Bar(ProgressBar),
    Json,
    Plain,
}

/// What is shown, as asked for and as standard error can show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Bars.
    Bars,
    /// Events, one a line.
    Json,
    /// Lines of text, if any.
    Plain,
}

impl Shown {
    pub(crate) fn new(asked: ProgressStyle, volume: Volume) -> Self {
        let terminal = io::stderr().is_terminal();
        match asked {
            ProgressStyle::Json => Self::Json,
            ProgressStyle::Bar if terminal => Self::Bars,
            ProgressStyle::Auto if terminal && volume > Volume::Quiet => Self::Bars,
            ProgressStyle::Auto | ProgressStyle::Bar | ProgressStyle::None => Self::Plain,
        }
    }
}

/// How much is said in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Volume {
    /// `-q`: nothing.
    Quiet,
    /// What the job came to.
    Normal,
    /// `-v`: steps and warnings too.
    Steps,
    /// `-vv`: everything.
    All,
}

impl Volume {
    /// From `-q` and the number of `-v`.
    pub(crate) fn new(messages: Messages) -> Self {
        match (messages.quiet, messages.verbose) {
            (true, _) => Self::Quiet,
            (false, 0) => Self::Normal,
            (false, 1) => Self::Steps,
            (false, _) => Self::All,
        }
    }
}

impl Progress {
    /// A display of one job.
    pub(crate) fn new(asked: ProgressStyle, volume: Volume) -> Self {
        let shown = Shown::new(asked, volume);
        let bar = (shown == Shown::Bars).then(bar);
        Self { among_others: false, ..Self::of_many(shown, bar, volume) }
    }

    /// A display of one job among others.
    pub(crate) fn of_many(shown: Shown, bar: Option<ProgressBar>, volume: Volume) -> Self {
        let style = match (shown, bar) {
            (Shown::Json, _) => Style::Json,
            (_, Some(bar)) => Style::Bar(bar),
            (_, None) => Style::Plain,
        };
        Self { style, volume, among_others: true, started: Instant::now(), fetching: AtomicBool::new(false) }
    }

    /// Its bar, where it has one.
    pub(crate) fn bar(&self) -> Option<&ProgressBar> {
        match &self.style {
            Style::Bar(bar) => Some(bar),
            Style::Json | Style::Plain => None,
        }
    }

    /// Shows one event.
    pub(crate) fn on_event(&self, event: &Event) {
        match &self.style {
            Style::Json => terminal::say(json(event)),
            Style::Plain => {
                if let Some(line) = self.line(event) {
                    terminal::say(line);
                }
            }
            Style::Bar(bar) => {
                if let Some(line) = self.line(event) {
                    bar.suspend(|| terminal::say(line));
                }
                self.advance(bar, event);
            }
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        if let Some(bar) = self.bar() {
            bar.finish_and_clear();
        }
    }

    /// How much may be said in words beside what is shown here: nothing between lines of JSON.
    pub(crate) fn volume(&self) -> Volume {
        if matches!(self.style, Style::Json) { Volume::Quiet } else { self.volume }
    }

    /// True if warnings are shown as they happen, so that the summary need not repeat them.
    pub(crate) fn shows_warnings(&self) -> bool {
        match self.style {
            Style::Bar(_) => self.volume >= Volume::Normal,
            Style::Json => true,
            Style::Plain => self.volume >= Volume::Steps,
        }
    }

    fn line(&self, event: &Event) -> Option<String> {
        match event {
            Event::Warning { job, message } if self.among_others => {
                self.shows_warnings().then(|| warning_line(&format!("{job}: {message}")))
            }
            Event::Warning { message, .. } => self.shows_warnings().then(|| warning_line(message)),
            Event::Progress { .. } | Event::Downloading { .. } => (self.volume >= Volume::All).then(|| step(event))?,
            _ => (self.volume >= Volume::Steps).then(|| step(event))?,
        }
    }

    fn advance(&self, bar: &ProgressBar, event: &Event) {
        match event {
            Event::Started { job, segments, .. } => {
                bar.set_prefix(short(&printable(job)));
                bar.set_length(*segments);
                bar.tick();
            }
            Event::Progress { segments, segments_total, bytes_in, media_s, .. } => {
                bar.set_length(*segments_total);
                bar.set_position(*segments);
                // What is still to be fetched says more of how long it will take.
                if self.fetching.load(Ordering::Relaxed) {
                    return;
                }
                let seconds = self.started.elapsed().as_secs_f64().max(0.001);
                let rate = DecimalBytes((*bytes_in as f64 / seconds) as u64);
                bar.set_message(format!("{}  {}  {rate}/s", DecimalBytes(*bytes_in), clock(*media_s)));
            }
            Event::Downloading { job, segments, segments_total, bytes, bytes_per_s, retries, eta_s, .. } => {
                self.fetching.store(segments < segments_total, Ordering::Relaxed);
                bar.set_prefix(short(&printable(job)));
                let mut text = format!("fetched {segments}/{segments_total}, {}", DecimalBytes(*bytes));
                if let Some(rate) = bytes_per_s {
                    text.push_str(&format!("  {}/s", DecimalBytes(*rate as u64)));
                }
                if let Some(eta) = eta_s.filter(|_| segments < segments_total) {
                    text.push_str(&format!("  ETA {}", whole_seconds(eta)));
                }
                if *retries > 0 {
                    text.push_str(&format!("  {}", retried(*retries)));
                }
                bar.set_message(text);
            }
            Event::Verifying { .. } => bar.set_message("verifying"),
            _ => {}
        }
    }
}

/// The bar of a job.
pub(crate) fn bar() -> ProgressBar {
    styled(ProgressBar::no_length(), TEMPLATE)
}

/// The bar of many jobs.
pub(crate) fn total_bar(jobs: u64) -> ProgressBar {
    styled(ProgressBar::new(jobs), TOTAL_TEMPLATE)
}

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    // The default style stands in for a template that does not parse; a test keeps it from happening.
    if let Ok(style) = BarStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}

/// A label as long as a bar's line can bear it.
fn short(label: &str) -> String {
    const MOST_CHARS: usize = 24;
    if label.chars().count() <= MOST_CHARS {
        return label.to_owned();
    }
    label.chars().take(MOST_CHARS - 1).chain(['…']).collect()
}

const TEMPLATE: &str = "{prefix} [{bar:30}] {pos}/{len} segments  {wide_msg}";
const TOTAL_TEMPLATE: &str = "[{bar:30}] {pos}/{len} jobs  {elapsed}";

/// An event in words.
fn step(event: &Event) -> Option<String> {
    let line = match event {
        Event::Started { job, segments, duration_s } => {
            let duration = duration_s.map(|s| format!(", {}", clock(s))).unwrap_or_default();
            format!("{}: merging {}{duration}", printable(job), count(*segments, "segment"))
        }
        Event::Waiting { job, reason } => {
            let what = if *reason == "open_files" { "files to be closed" } else { "memory" };
            format!("{}: waiting for {what}", printable(job))
        }
        Event::Progress { job, segments, segments_total, bytes_in, media_s } => format!(
            "{}: {segments} of {}, {} read, {} written",
            printable(job),
            count(*segments_total, "segment"),
            DecimalBytes(*bytes_in),
            clock(*media_s)
        ),
        Event::Downloading { job, segments, segments_total, bytes, retries, .. } => {
            let retries = if *retries > 0 { format!(", {}", retried(*retries)) } else { String::new() };
            format!("{}: fetched {segments} of {segments_total}, {}{retries}", printable(job), DecimalBytes(*bytes))
        }
        Event::Verifying { job, output } => format!("{}: verifying {}", printable(job), printable_path(output)),
        Event::Published { job, output, size_bytes } => {
            format!("{}: published {}, {}", printable(job), printable_path(output), DecimalBytes(*size_bytes))
        }
        _ => return None,
    };
    Some(line)
}

fn retried(n: u64) -> String {
    if n == 1 { "1 retry".to_owned() } else { format!("{n} retries") }
}

/// `0:01:23`.
fn whole_seconds(seconds: f64) -> String {
    clock(seconds).split('.').next().unwrap_or_default().to_owned()
}

/// An event as one line of JSON.
fn json(event: &Event) -> String {
    let mut event = event.clone();
    // JSON is UTF-8; a name that is not would have no line at all.
    if let Event::Verifying { output, .. } | Event::Published { output, .. } = &mut event {
        *output = output.to_string_lossy().into_owned().into();
    }
    serde_json::to_string(&event).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    fn plain(volume: Volume) -> Progress {
        Progress::of_many(Shown::Plain, None, volume)
    }

    fn progress() -> Event {
        Event::Progress { job: "a".into(), segments: 3, segments_total: 10, bytes_in: 1500, media_s: 18.0 }
    }

    #[test]
    fn the_template_parses() {
        assert!(BarStyle::with_template(TEMPLATE).is_ok() && BarStyle::with_template(TOTAL_TEMPLATE).is_ok());
    }

    #[test]
    fn more_is_said_with_each_v() {
        let warning = Event::Warning { job: "a".into(), message: "gap\x1b[2J".into() };
        let started = Event::Started { job: "a".into(), segments: 10, duration_s: Some(60.0) };
        for (volume, lines) in [(Volume::Quiet, 0), (Volume::Normal, 0), (Volume::Steps, 2), (Volume::All, 3)] {
            let progress_display = plain(volume);
            let said = [&warning, &started, &progress()].iter().filter(|e| progress_display.line(e).is_some()).count();
            assert_eq!(said, lines, "{volume:?}");
        }
        let line = plain(Volume::All).line(&warning);
        assert!(line.is_some_and(|line| line.ends_with(" a: gap\\u{1b}[2J")));
        assert_eq!(step(&started).as_deref(), Some("a: merging 10 segments, 0:01:00.000"));
        assert_eq!(step(&progress()).as_deref(), Some("a: 3 of 10 segments, 1.50 kB read, 0:00:18.000 written"));
    }

    #[test]
    fn events_become_lines_of_json_whatever_the_name() {
        let output = OsStr::from_bytes(b"a\xff.mp4").into();
        let line = json(&Event::Published { job: "a\nb".into(), output, size_bytes: 7 });
        let value: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(value["event"], "published");
        assert_eq!(value["output"], "a\u{fffd}.mp4");
        assert!(!line.contains('\n'));
    }

    #[test]
    fn long_labels_are_cut() {
        assert_eq!(short("lesson-01"), "lesson-01");
        assert_eq!(short(&"é".repeat(30)), format!("{}…", "é".repeat(23)));
    }

    #[test]
    fn a_bar_follows_the_events() {
        let bar = ProgressBar::hidden();
        let display = plain(Volume::Normal);
        display.advance(&bar, &Event::Started { job: "a\u{1b}".into(), segments: 10, duration_s: None });
        display.advance(&bar, &progress());
        assert_eq!((bar.position(), bar.length()), (3, Some(10)));
        assert_eq!(bar.prefix(), "a\\u{1b}");
        assert!(bar.message().starts_with("1.50 kB  0:00:18.000  "));
        let fetched = |segments, eta_s| Event::Downloading {
            job: "a".into(),
            segments,
            segments_total: 12,
            resumed: 0,
            bytes: 1500,
            bytes_per_s: Some(500.0),
            retries: 2,
            eta_s,
        };
        display.advance(&bar, &fetched(4, Some(83.4)));
        display.advance(&bar, &progress());
        assert_eq!(bar.message(), "fetched 4/12, 1.50 kB  500 B/s  ETA 0:01:23  2 retries");
        display.advance(&bar, &fetched(12, Some(0.0)));
        display.advance(&bar, &progress());
        assert!(bar.message().starts_with("1.50 kB  0:00:18.000  "), "{}", bar.message());
    }
}
