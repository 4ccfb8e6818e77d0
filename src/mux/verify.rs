//! Reads a finished file back, as a player would begin to, and compares it with what was meant to be written.

use std::fs::File;

use super::sink::ReadBack;
use super::track::keeps_empty_tracks;
use crate::av::{Demuxer, DemuxerKind, LogScope, MediaKind, Probing};
use crate::cancel::CancelToken;
use crate::error::{Error, ErrorKind, Result};
use crate::options::Format;
use crate::time::Nanos;

/// How far a track's duration may be off besides reordering: the coarsest clock, and lengths of last packets.
const TOLERANCE: Nanos = Nanos::from_ms(250);

/// What a track must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) kind: MediaKind,
    pub(crate) codec: String,
    pub(crate) packets: u64,
    pub(crate) duration: Nanos,
    /// The longest that a packet is decoded before it is presented.
    pub(crate) delay: Nanos,
}

/// Found in one track.
#[derive(Debug, Clone, Copy, Default)]
struct Found {
    packets: u64,
    duration: Nanos,
    begins_with_key: bool,
}

/// Checks a file; gives back what is odd but no fault, one line each.
pub(crate) fn verify(file: &File, format: Format, expected: &[Expected], cancel: &CancelToken) -> Result<Vec<String>> {
    let _log = LogScope::enter();
    let mismatch = |what: String| Err(Error::new(ErrorKind::Internal, format!("the output does not verify: {what}")));
    let reader = ReadBack::new(file)?;
    let size = reader.size_bytes();
    let mut demuxer =
        Demuxer::open(reader, demuxer_kind(format), Probing::HeaderOnly, cancel).map_err(|(error, _)| error)?;
    let has_index = matches!(format, Format::Mp4 | Format::Mov | Format::M4a);
    let mut found = if has_index { from_index(&demuxer, size)? } else { by_reading(&mut demuxer)? };
    if keeps_empty_tracks(format) && found.len() < expected.len() {
        // Those that have no packet are not met where packets are counted.
        found.resize(expected.len(), Found::default());
    }
    if found.len() != expected.len() {
        return mismatch(format!("{} tracks, {} were written", found.len(), expected.len()));
    }
    let mut notes = Vec::new();
    for (n, (found, expected)) in found.iter().zip(expected).enumerate() {
        let Expected { kind, codec, packets, duration, delay } = expected;
        let track = format!("track {n} ({} {codec})", kind.name());
        if found.packets != *packets {
            return mismatch(format!("{track} has {} packets, {packets} were written", found.packets));
        }
        // An index tells the time that decoding takes, and libav counts from where an edit list begins: where the first
        // pictures are shown late, or the last ones early, each is less by up to the delay.
        let tolerance = TOLERANCE.plus(*delay).plus(*delay);
        if (found.duration.0 - duration.0).abs() > tolerance.0 {
            let (found, duration) = (found.duration.seconds(), duration.seconds());
            return mismatch(format!("{track} lasts {found:.3} s, {duration:.3} s were written"));
        }
        if *kind == MediaKind::Video && !found.begins_with_key && found.packets > 0 {
            notes.push(format!("{track} does not begin with a key frame: players may show nothing until the first"));
        }
    }
    Ok(notes)
}

/// What reads a format back.
pub(super) fn demuxer_kind(format: Format) -> DemuxerKind {
    match format {
        Format::Ts => DemuxerKind::MpegTs,
        Format::Mkv => DemuxerKind::Matroska,
        Format::Mp4 | Format::Fmp4 | Format::Mov | Format::M4a => DemuxerKind::Mp4,
    }
}

/// What the sample tables say, and that all samples lie inside the file.
fn from_index(demuxer: &Demuxer<ReadBack>, size: u64) -> Result<Vec<Found>> {
    let streams = demuxer.streams()?;
    let found = streams.iter().map(|stream| {
        let mut found = Found { duration: stream.duration.unwrap_or_default(), ..Found::default() };
        for entry in demuxer.index(stream.index)? {
            if entry.position.checked_add(entry.size).is_none_or(|end| end > size) {
                return Err(Error::new(
                    ErrorKind::Internal,
                    "the output does not verify: a sample lies outside the file",
                ));
            }
            found.begins_with_key |= found.packets == 0 && entry.key;
            found.packets += 1;
        }
        Ok(found)
    });
    found.collect()
}

/// Counts every packet.
fn by_reading(demuxer: &mut Demuxer<ReadBack>) -> Result<Vec<Found>> {
    let mut found: Vec<(Found, Option<(Nanos, Nanos)>)> = Vec::new();
    while let Some(packet) = demuxer.read()? {
        let n = packet.stream();
        if found.len() <= n {
            found.resize(n + 1, Default::default());
        }
        let base = demuxer.stream(n)?.time_base;
        let (found, span) = &mut found[n];
        found.begins_with_key |= found.packets == 0 && packet.is_key();
        found.packets += 1;
        if let Some(pts) = packet.pts() {
            let start = Nanos::from_ticks(pts, base);
            let end = Nanos::from_ticks(pts.saturating_add(packet.duration().unwrap_or(0)), base);
            *span = Some(span.map_or((start, end), |(a, b)| (a.min(start), b.max(end))));
        }
    }
    let spans = found.into_iter().map(|(mut found, span)| {
        found.duration = span.map_or(Nanos::ZERO, |(start, end)| end.minus(start));
        found
    });
    Ok(spans.collect())
}
