//! Subtitles in fragmented MP4 (ISO/IEC 14496-30): the samples of a segment, and the cues in those of WebVTT.

use super::webvtt::{self, Cue};
use crate::container::box_header;
use crate::time::{Nanos, TimeBase};

/// Samples of one segment, beyond which it is taken to be damaged.
const MAX_SAMPLES: u32 = 100_000;

/// What a track's samples are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// `wvtt`.
    WebVtt,
    /// `stpp`: XML documents, TTML or its profile IMSC.
    Ttml,
}

/// The subtitle track of an init section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Track {
    id: u32,
    base: TimeBase,
    pub(super) coding: Coding,
    /// What WebVTT has before its cues.
    pub(super) header: String,
    duration: u32,
    size: u32,
}

/// A sample with the time that it is presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample<'a> {
    pub(super) start: Nanos,
    pub(super) end: Nanos,
    pub(super) data: &'a [u8],
}

/// The boxes of some bytes: type, body, and where it begins. Ends at the first that is none.
fn boxes(bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8], usize)> {
    let mut at = 0usize;
    std::iter::from_fn(move || {
        let rest = bytes.get(at..)?;
        let header = box_header(rest)?;
        let size = match header.size {
            0 => rest.len(),
            size => usize::try_from(size).ok().filter(|size| *size <= rest.len())?,
        };
        let lead = if u32::from_be_bytes(*rest.first_chunk()?) == 1 { 16 } else { 8 };
        let start = at;
        at += size;
        Some((header.kind, rest.get(lead..size)?, start))
    })
}

fn child<'a>(bytes: &'a [u8], path: &[&[u8; 4]]) -> Option<&'a [u8]> {
    path.iter().try_fold(bytes, |bytes, kind| boxes(bytes).find(|(k, ..)| k == *kind).map(|(_, body, _)| body))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Version and flags of a full box.
fn version_and_flags(bytes: &[u8]) -> Option<(u8, u32)> {
    let word = u32_at(bytes, 0)?;
    Some((u8::try_from(word >> 24).ok()?, word & 0x00ff_ffff))
}

/// The first track of subtitles in an init section; `None` if there is none.
pub(super) fn track(init: &[u8]) -> Option<Track> {
    let moov = child(init, &[b"moov"])?;
    let tracks = boxes(moov).filter(|(kind, ..)| kind == b"trak");
    let mut found = tracks.filter_map(|(_, trak, _)| subtitle_track(trak)).next()?;
    let extends = child(moov, &[b"mvex"]).unwrap_or_default();
    let of_track = |body: &&[u8]| u32_at(body, 4) == Some(found.id);
    if let Some(trex) = boxes(extends).filter(|(k, ..)| k == b"trex").map(|(_, body, _)| body).find(of_track) {
        found.duration = u32_at(trex, 12)?;
        found.size = u32_at(trex, 16)?;
    }
    Some(found)
}

fn subtitle_track(trak: &[u8]) -> Option<Track> {
    let tkhd = child(trak, &[b"tkhd"])?;
    let id = u32_at(tkhd, if tkhd.first() == Some(&1) { 20 } else { 12 })?;
    let mdhd = child(trak, &[b"mdia", b"mdhd"])?;
    let base = TimeBase::per_second(u32_at(mdhd, if mdhd.first() == Some(&1) { 20 } else { 12 })?)?;
    let stsd = child(trak, &[b"mdia", b"minf", b"stbl", b"stsd"])?;
    let (kind, entry, _) = boxes(stsd.get(8..)?).next()?;
    let coding = match &kind {
        b"wvtt" => Coding::WebVtt,
        b"stpp" => Coding::Ttml,
        _ => return None,
    };
    // A sample entry has 8 bytes before its boxes.
    let header = (coding == Coding::WebVtt).then(|| child(entry.get(8..)?, &[b"vttC"])).flatten();
    let header = String::from_utf8_lossy(header.unwrap_or_default()).into_owned();
    Some(Track { id, base, coding, header, duration: 0, size: 0 })
}

/// The samples of a segment's fragments, and whether all that they list was there. `decoded`: the track's decoding time so
/// far, where fragments that tell none go on (ISO/IEC 14496-12, 8.8.12).
pub(super) fn samples<'a>(segment: &'a [u8], track: &Track, decoded: &mut u64) -> (Vec<Sample<'a>>, bool) {
    let (mut out, mut whole) = (Vec::new(), true);
    for (_, moof, at) in boxes(segment).filter(|(kind, ..)| kind == b"moof") {
        for (_, traf, _) in boxes(moof).filter(|(kind, ..)| kind == b"traf") {
            whole &= fragment(segment, at, traf, track, decoded, &mut out).is_some();
        }
    }
    (out, whole)
}

/// Samples of one track fragment; `None` where it lists what is not there.
fn fragment<'a>(
    segment: &'a [u8],
    moof_at: usize,
    traf: &[u8],
    track: &Track,
    decoded: &mut u64,
    out: &mut Vec<Sample<'a>>,
) -> Option<()> {
    let tfhd = child(traf, &[b"tfhd"])?;
    if u32_at(tfhd, 4)? != track.id {
        return Some(());
    }
    let (_, flags) = version_and_flags(tfhd)?;
    let mut at = 8;
    let mut base = moof_at as u64;
    if flags & 0x1 != 0 {
        base = u64_at(tfhd, at)?;
        at += 8;
    }
    at += if flags & 0x2 != 0 { 4 } else { 0 };
    let (mut duration, mut size) = (track.duration, track.size);
    for (flag, value) in [(0x8, &mut duration), (0x10, &mut size)] {
        if flags & flag != 0 {
            *value = u32_at(tfhd, at)?;
            at += 4;
        }
    }
    if let Some(tfdt) = child(traf, &[b"tfdt"]) {
        *decoded = match tfdt.first()? {
            0 => u64::from(u32_at(tfdt, 4)?),
            _ => u64_at(tfdt, 4)?,
        };
    }
    let mut data_at = base;
    for (_, trun, _) in boxes(traf).filter(|(kind, ..)| kind == b"trun") {
        let (version, flags) = version_and_flags(trun)?;
        let count = u32_at(trun, 4)?;
        if count > MAX_SAMPLES || out.len() > MAX_SAMPLES as usize {
            return None;
        }
        let mut at = 8;
        if flags & 0x1 != 0 {
            // Signed: data may stand before its `moof`.
            let offset = i64::from(i32::from_be_bytes(u32_at(trun, at)?.to_be_bytes()));
            data_at = base.checked_add_signed(offset)?;
            at += 4;
        }
        at += if flags & 0x4 != 0 { 4 } else { 0 };
        for _ in 0..count {
            let mut field = |flag: u32, default: u32| -> Option<u32> {
                if flags & flag == 0 {
                    return Some(default);
                }
                at += 4;
                u32_at(trun, at - 4)
            };
            let (duration, size) = (field(0x100, duration)?, field(0x200, size)?);
            field(0x400, 0)?;
            let shift = field(0x800, 0)?;
            let shift =
                if version == 0 { i64::from(shift) } else { i64::from(i32::from_be_bytes(shift.to_be_bytes())) };
            let end = data_at.checked_add(u64::from(size))?;
            let data = segment.get(usize::try_from(data_at).ok()?..usize::try_from(end).ok()?)?;
            data_at = end;
            let start = i64::try_from(*decoded).ok()?.saturating_add(shift);
            let until = start.saturating_add(i64::from(duration));
            out.push(Sample {
                start: Nanos::from_ticks(start, track.base),
                end: Nanos::from_ticks(until, track.base),
                data,
            });
            *decoded = decoded.checked_add(u64::from(duration))?;
        }
    }
    Some(())
}

/// The cues of WebVTT samples, each as long as it is shown: a cue goes on in the next sample where that has it too.
pub(super) fn cues(samples: &[Sample<'_>]) -> Vec<Cue> {
    let mut out: Vec<Cue> = Vec::new();
    for sample in samples {
        for (kind, body, _) in boxes(sample.data) {
            if &kind != b"vttc" {
                continue;
            }
            let text = |kind: &[u8; 4]| String::from_utf8_lossy(child(body, &[kind]).unwrap_or_default()).into_owned();
            let cue = Cue {
                start: sample.start,
                end: sample.end,
                id: text(b"iden"),
                settings: text(b"sttg"),
                // An empty line would end the cue.
                text: text(b"payl")
                    .replace("\r\n", "\n")
                    .split('\n')
                    .filter(|l| !l.is_empty())
                    .collect::<Vec<_>>()
                    .join("\n"),
            };
            join(&mut out, cue);
        }
    }
    out
}

/// Adds a cue, or lengthens the one that it continues.
pub(super) fn join(cues: &mut Vec<Cue>, cue: Cue) {
    const APART: Nanos = Nanos::from_ms(2);
    let continues = |before: &&mut Cue| {
        before.end.distance(cue.start) <= APART
            && (&before.id, &before.settings, &before.text) == (&cue.id, &cue.settings, &cue.text)
    };
    match cues.iter_mut().rev().take(32).find(continues) {
        Some(before) => before.end = cue.end,
        None => cues.push(cue),
    }
}

/// The STYLE and other blocks of a track's header.
pub(super) fn header_blocks(track: &Track) -> (String, Vec<String>) {
    let file = webvtt::parse(&track.header);
    (file.title, file.blocks)
}
