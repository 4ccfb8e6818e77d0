//! What is printed: data on standard output, everything else on standard error.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use avweld::{Error, Result};

/// No picture is wider, whatever `COLUMNS` says.
const MAX_COLUMNS: usize = 1000;

const RED: &str = "\x1b[1;31m";
const YELLOW: &str = "\x1b[1;33m";
const PLAIN: &str = "\x1b[0m";

/// Writes to standard output. That nobody reads it any more is no error.
pub(crate) fn data(bytes: &[u8]) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(Error::io("cannot write to standard output", e)),
        _ => Ok(()),
    }
}

/// One line on standard error. Colours are taken out where it is no terminal or `NO_COLOR` is set.
pub(crate) fn say(line: impl Display) {
    // There is no better place left to complain at.
    let _ = writeln!(anstream::stderr().lock(), "{line}");
}

/// The line that tells an error.
pub(crate) fn error_line(error: &Error) -> String {
    format!("avweld: {RED}error:{PLAIN} {error}")
}

/// The line that tells the error of one job of many.
pub(crate) fn job_error_line(job: &str, error: &Error) -> String {
    format!("avweld: {RED}error:{PLAIN} {job}: {error}")
}

/// The line that tells a warning.
pub(crate) fn warning_line(message: &str) -> String {
    format!("{YELLOW}warning:{PLAIN} {}", printable(message))
}

/// Text with control characters escaped, so that a name out of a playlist cannot steer a terminal or forge a line.
pub(crate) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unprintable(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// Control characters, and those that turn the direction of what follows.
pub(crate) fn is_unprintable(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A path as it is shown.
pub(crate) fn printable_path(path: &Path) -> String {
    printable(&path.to_string_lossy())
}

/// Seconds as `1:02:03.456`.
pub(crate) fn clock(seconds: f64) -> String {
    let ms = (seconds.max(0.0) * 1000.0).round() as u64;
    let (h, m, s) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    format!("{h}:{m:02}:{s:02}.{:03}", ms % 1000)
}

/// Columns of the terminal: by `COLUMNS`, else by itself, else 100.
pub(crate) fn columns(variable: impl Fn(&str) -> Option<String>) -> usize {
    let told = variable("COLUMNS").and_then(|text| text.trim().parse().ok()).filter(|n| *n > 0);
    let asked = || terminal_size::terminal_size().map(|(width, _)| usize::from(width.0)).filter(|n| *n > 0);
    told.or_else(asked).unwrap_or(100).min(MAX_COLUMNS)
}

/// `1 segment`, `2 segments`.
pub(crate) fn count(n: u64, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_direction_characters_are_escaped() {
        assert_eq!(printable("a\x1b[2Jb\nc\u{202e}d é"), "a\\u{1b}[2Jb\\nc\\u{202e}d é");
    }

    #[test]
    fn seconds_become_a_clock() {
        assert_eq!(clock(60.06), "0:01:00.060");
        assert_eq!(clock(3661.9996), "1:01:02.000");
        assert_eq!(clock(-1.0), "0:00:00.000");
        assert_eq!(clock(f64::NAN), "0:00:00.000");
    }

    #[test]
    fn the_environment_says_how_wide_a_terminal_is() {
        let of = |value: &'static str| columns(|_| Some(value.to_owned()));
        assert_eq!((of("72"), of("99999999")), (72, MAX_COLUMNS));
        assert!(of("wide") > 0);
    }

    #[test]
    fn one_is_singular() {
        assert_eq!(count(1, "segment"), "1 segment");
        assert_eq!(count(0, "segment"), "0 segments");
    }
}
