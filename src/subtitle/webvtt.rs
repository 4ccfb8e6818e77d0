//! WebVTT (W3C), as HLS segments it (RFC 8216, 3.5): read as tolerantly as players do.

use std::fmt::Write as _;

use crate::time::{Nanos, TimeBase};

/// A cue, with the times of its segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cue {
    pub(super) start: Nanos,
    pub(super) end: Nanos,
    /// Empty if it has none.
    pub(super) id: String,
    /// What stands behind the times, as it is.
    pub(super) settings: String,
    /// Its lines, as they are, joined by `\n`.
    pub(super) text: String,
}

/// One WebVTT file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct File {
    /// What stands behind `WEBVTT`.
    pub(super) title: String,
    /// Where time 0 stands on the MPEG-2 clock, modulo 2^33 ticks, by X-TIMESTAMP-MAP; `None` without one.
    pub(super) zero: Option<Nanos>,
    /// STYLE, REGION and NOTE blocks.
    pub(super) blocks: Vec<String>,
    pub(super) cues: Vec<Cue>,
    /// Blocks that are none of these.
    pub(super) malformed: u64,
}

/// True if bytes begin a WebVTT file.
pub(super) fn is_webvtt(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    bytes.strip_prefix(b"WEBVTT").is_some_and(|rest| matches!(rest.first(), None | Some(b' ' | b'\t' | b'\r' | b'\n')))
}

/// Reads a WebVTT file; what makes no sense is counted and passed over.
pub(super) fn parse(text: &str) -> File {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n").replace('\r', "\n");
    let mut file = File::default();
    let mut blocks = text.split("\n\n").map(|block| block.trim_matches('\n')).filter(|block| !block.trim().is_empty());
    let header = blocks.next().unwrap_or_default();
    let mut lines = header.lines();
    file.title = lines.next().and_then(|l| l.strip_prefix("WEBVTT")).unwrap_or_default().trim().to_owned();
    let rest: Vec<&str> = lines.collect();
    // A cue right below the first line lacks the blank line before it.
    let cue = rest.iter().position(|line| line.contains("-->")).unwrap_or(rest.len());
    rest[..cue].iter().for_each(|line| file.header_line(line));
    if cue < rest.len() {
        file.block(&rest[cue..].join("\n"));
    }
    blocks.for_each(|block| file.block(block));
    file
}

impl File {
    fn header_line(&mut self, line: &str) {
        if let Some(map) = line.trim().strip_prefix("X-TIMESTAMP-MAP=") {
            match timestamp_map(map) {
                Some(zero) => self.zero = Some(zero),
                None => self.malformed += 1,
            }
        }
    }

    fn block(&mut self, block: &str) {
        let first = block.lines().next().unwrap_or_default();
        let is = |word: &str| first.strip_prefix(word).is_some_and(|r| r.is_empty() || r.starts_with([' ', '\t']));
        if first.starts_with("X-TIMESTAMP-MAP=") {
            block.lines().for_each(|line| self.header_line(line));
        } else if !first.contains("-->") && (is("NOTE") || is("STYLE") || is("REGION")) {
            self.blocks.push(block.to_owned());
        } else {
            self.cues_of(block);
        }
    }

    /// The cue of a block, or several where the blank lines between them are missing.
    fn cues_of(&mut self, block: &str) {
        let lines: Vec<&str> = block.lines().collect();
        let timings: Vec<usize> =
            lines.iter().enumerate().filter(|(_, line)| line.contains("-->")).map(|(n, _)| n).collect();
        // An identifier is one line.
        if timings.first().is_none_or(|first| *first > 1) {
            self.malformed += 1;
        }
        for (n, at) in timings.iter().enumerate() {
            let end = timings.get(n + 1).copied().unwrap_or(lines.len());
            let id = if n == 0 && *at == 1 { lines[0].trim() } else { "" };
            match timing(lines[*at]) {
                Some((start, until, settings)) => self.cues.push(Cue {
                    start,
                    end: until,
                    id: id.to_owned(),
                    settings: settings.to_owned(),
                    text: lines[at + 1..end].join("\n"),
                }),
                None => self.malformed += 1,
            }
        }
    }
}

/// `MPEGTS:900000,LOCAL:00:00:00.000` in either order, as the place of time 0 on the MPEG-2 clock.
fn timestamp_map(map: &str) -> Option<Nanos> {
    let (mut mpegts, mut local) = (None, None);
    for part in map.split(',') {
        let (name, value) = part.trim().split_once(':')?;
        match name {
            "MPEGTS" => mpegts = value.trim().parse::<u64>().ok(),
            "LOCAL" => local = timestamp(value.trim()),
            _ => {}
        }
    }
    let ticks = i64::try_from(mpegts? & ((1 << 33) - 1)).ok()?;
    Some(Nanos::from_ticks(ticks, TimeBase::MPEG).minus(local?))
}

/// `START --> END SETTINGS`.
fn timing(line: &str) -> Option<(Nanos, Nanos, &str)> {
    let (start, rest) = line.split_once("-->")?;
    let rest = rest.trim();
    let (end, settings) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
    let (start, end) = (timestamp(start.trim())?, timestamp(end)?);
    (end >= start).then_some((start, end, settings.trim()))
}

/// `HH:MM:SS.mmm` with the hours left out or not, and with a comma as some write it.
pub(super) fn timestamp(text: &str) -> Option<Nanos> {
    let (whole, fraction) = text.split_once(['.', ',']).unwrap_or((text, "0"));
    let digits = |text: &str, most: usize| -> Option<i64> {
        let sound = (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        sound.then(|| text.parse().ok())?
    };
    let mut parts = whole.rsplitn(3, ':');
    let (seconds, minutes) = (digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    let hours = parts.next().map_or(Some(0), |hours| digits(hours, 7))?;
    let nanos = digits(fraction, 9)? * 10i64.pow(9 - u32::try_from(fraction.len()).ok()?);
    if minutes > 59 || seconds > 59 {
        return None;
    }
    Some(Nanos(((hours * 60 + minutes) * 60 + seconds).checked_mul(1_000_000_000)?.checked_add(nanos)?))
}

/// `HH:MM:SS.mmm`, rounded to nearest; nothing before 0.
pub(super) fn show(at: Nanos) -> String {
    let ms = at.0.max(0).saturating_add(500_000) / 1_000_000;
    let (seconds, ms) = (ms / 1_000, ms % 1_000);
    format!("{:02}:{:02}:{:02}.{ms:03}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

/// A cue's text with the timestamps inside it moved as the cue is (`<00:00:05.000>`).
pub(super) fn moved_text(text: &str, by: Nanos) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('<') {
        out.push_str(&rest[..=open]);
        rest = &rest[open + 1..];
        let inside = rest.find('>').map(|close| &rest[..close]);
        if let Some((inside, at)) = inside.and_then(|inside| Some((inside, timestamp(inside)?))) {
            out.push_str(&show(at.plus(by)));
            rest = &rest[inside.len()..];
        }
    }
    out.push_str(rest);
    out
}

/// A file of cues, which are in order.
pub(super) fn write(title: &str, blocks: &[String], cues: &[Cue]) -> String {
    let mut out = String::from("WEBVTT");
    if !title.is_empty() {
        out.push(' ');
        out.push_str(title);
    }
    out.push('\n');
    for block in blocks {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "\n{block}");
    }
    for cue in cues {
        out.push('\n');
        if !cue.id.is_empty() {
            let _ = writeln!(out, "{}", cue.id);
        }
        let space = if cue.settings.is_empty() { "" } else { " " };
        let _ = writeln!(out, "{} --> {}{space}{}", show(cue.start), show(cue.end), cue.settings);
        if !cue.text.is_empty() {
            let _ = writeln!(out, "{}", cue.text);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_packagers_write() {
        let text = "\u{feff}WEBVTT - a title\r\nX-TIMESTAMP-MAP=LOCAL:00:00:01.000,MPEGTS:990000\r\n\r\n\
                    STYLE\r\n::cue { color: red }\r\n\r\nREGION\r\nid:a\r\n\r\nNOTE one\r\ntwo\r\n\r\n\
                    7\r\n00:01.000 --> 00:02.500 align:start line:0\r\n<i>Hello</i>\r\nworld\r\n\r\n\r\n\
                    100:00:00,5 --> 100:00:01.000\r\n-->\r\n";
        let file = parse(text);
        assert_eq!((file.title.as_str(), file.zero), ("- a title", Some(Nanos::from_ms(10_000))));
        assert_eq!(file.blocks, ["STYLE\n::cue { color: red }", "REGION\nid:a", "NOTE one\ntwo"]);
        let first = Cue {
            start: Nanos::from_ms(1_000),
            end: Nanos::from_ms(2_500),
            id: "7".into(),
            settings: "align:start line:0".into(),
            text: "<i>Hello</i>\nworld".into(),
        };
        assert_eq!(file.cues[0], first);
        assert_eq!(file.cues[1].start, Nanos::from_ms(360_000_500));
        // An arrow in a cue's text cannot be told from a cue that lacks its times.
        assert_eq!((file.cues.len(), file.malformed), (2, 1));
    }

    #[test]
    fn passes_over_what_is_malformed_and_counts_it() {
        let file = parse(
            "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:x,LOCAL:0\n\n00:02.000 --> 00:01.000\nback\n\nno times\n\n\
             00:61.000 --> 01:00.000\nodd\n\n00:01.000 --> 00:02.000\ngood",
        );
        assert_eq!(file.cues.iter().map(|c| c.text.as_str()).collect::<Vec<_>>(), ["good"]);
        assert_eq!((file.malformed, file.zero), (4, None));
    }

    #[test]
    fn cues_without_blank_lines_between_them_are_several() {
        let file = parse("WEBVTT\n00:01.000 --> 00:02.000\na\n00:02.000 --> 00:03.000\nb\n");
        assert_eq!(file.cues.iter().map(|c| c.text.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(file.malformed, 0);
    }

    #[test]
    fn is_told_by_its_first_word() {
        assert!(is_webvtt(b"\xef\xbb\xbfWEBVTT\n") && is_webvtt(b"WEBVTT") && is_webvtt(b"WEBVTT x"));
        assert!(!is_webvtt(b"WEBVTTX") && !is_webvtt(b"<html>"));
    }

    #[test]
    fn times_inside_a_cue_move_with_it() {
        let text = "a <00:00:05.000>b <c.loud>c</c> <00:06.250> < d";
        assert_eq!(moved_text(text, Nanos::from_ms(1_000)), "a <00:00:06.000>b <c.loud>c</c> <00:00:07.250> < d");
    }

    proptest! {
        #[test]
        fn whatever_comes_is_no_panic(text in "(WEBVTT)?[\\n\\r 0-9:.,<>a-z-]{0,200}") {
            let file = parse(&text);
            write(&file.title, &file.blocks, &file.cues);
        }

        #[test]
        fn what_is_written_reads_the_same(starts in prop::collection::vec(0i64..1_000_000_000, 0..20)) {
            let cue = |start: &i64| Cue {
                start: Nanos::from_ms(*start),
                end: Nanos::from_ms(start + 1_500),
                id: start.to_string(),
                settings: "line:0".into(),
                text: "two\nlines".into(),
            };
            let cues: Vec<Cue> = starts.iter().map(cue).collect();
            prop_assert_eq!(parse(&write("t", &[], &cues)).cues, cues);
        }
    }
}
