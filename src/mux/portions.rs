//! An MP4 in portions, so that a long one takes no more memory than a short one.
//!
//! libav's muxer keeps some 70 bytes of every packet until it writes `moov` (`MOVIentry` in its movenc.h): 80 MiB for a film
//! of ten gigabytes. So after many packets it is finished, and another one, with the same tracks, goes on where its `moov`
//! stood, of which only the sample tables are kept ([`tables`](super::tables)). In the end there is one `moov`
//! ([`moov`](super::moov)), and one `mdat` around all portions: what later muxers wrote before their media, `ftyp` and the
//! heads of boxes, is in it, and no chunk refers to it (ISO/IEC 14496-12, 8.1.1).
//!
//! An output of one portion is what libav made of it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::faststart::{Place, read, top_level};
use super::moov::Moov;
use super::sink::{Sink, SinkFile};
use super::tables::Span;
use super::track::TrackPlan;
use crate::av::{Muxer, Packet, Unstarted, Writing};
use crate::cancel::CancelToken;
use crate::error::{Error, ErrorKind, Result};
use crate::options::Format;
use crate::time::TimeBase;

/// Packets of a portion: two and a half megabytes in libav's muxer, and some eight minutes of a film.
pub(super) const PORTION_PACKETS: u32 = 32 << 10;
/// Codecs of which each packet becomes one sample, that alone. libav makes one of several for others, or keeps what it
/// learned of them for the packets that follow.
const CODECS: [&str; 9] = ["h264", "hevc", "av1", "mpeg4", "aac", "mp3", "mp2", "flac", "opus"];

/// A file that is being written, and the muxer at it.
pub(super) struct Portions {
    /// `None` only where going on to another one failed.
    muxer: Option<Muxer<Sink, Writing>>,
    format: Format,
    tracks: Vec<TrackPlan>,
    cancel: CancelToken,
    /// Packets of a portion; `None` where there is but one.
    limit: Option<u32>,
    /// Where this portion begins in the file.
    start: u64,
    /// What was written in this portion, of each track.
    spans: Vec<Option<Span>>,
    /// The portions before this one.
    before: Option<Before>,
}

struct Before {
    moov: Moov,
    /// The first one's `mdat`.
    media: Place,
}

impl Portions {
    /// Begins a file behind so many bytes of room, with so many packets in a portion.
    pub(super) fn begin(
        sink: Sink,
        format: Format,
        tracks: &[TrackPlan],
        reserved: u64,
        packets: u32,
        cancel: &CancelToken,
    ) -> Result<Self> {
        let has_index = matches!(format, Format::Mp4 | Format::Mov | Format::M4a);
        let known = |t: &TrackPlan| CODECS.contains(&t.parameters.codec().name().as_str());
        let joinable = matches!(sink, Sink::File(..)) && has_index && tracks.iter().all(known);
        let tracks = tracks.iter().map(TrackPlan::try_clone).collect::<Result<Vec<_>>>()?;
        let muxer = begin_muxer(sink, format, &tracks, reserved, cancel)?;
        Ok(Self {
            muxer: Some(muxer),
            format,
            spans: vec![None; tracks.len()],
            tracks,
            cancel: cancel.clone(),
            limit: joinable.then_some(packets),
            start: reserved,
            before: None,
        })
    }

    fn muxer(&self) -> Result<&Muxer<Sink, Writing>> {
        self.muxer.as_ref().ok_or_else(given_up)
    }

    /// The time base that a track's packets must have.
    pub(super) fn time_base(&self, track: usize) -> Result<TimeBase> {
        self.muxer()?.time_base(track)
    }

    /// Writes a packet, which has its times and its track.
    pub(super) fn write(&mut self, packet: Packet) -> Result<()> {
        if self.is_full() {
            self.go_on()?;
        }
        let (pts, dts) = (packet.pts().unwrap_or_default(), packet.dts().unwrap_or_default());
        let end = pts.saturating_add(packet.duration().unwrap_or_default());
        if let Some(span) = self.spans.get_mut(packet.stream()) {
            let span = span.get_or_insert(Span { packets: 0, keys: 0, first_dts: dts, last_dts: dts, end });
            span.packets += 1;
            span.keys += u32::from(packet.is_key());
            (span.last_dts, span.end) = (dts, span.end.max(end));
        }
        self.muxer.as_mut().ok_or_else(given_up)?.write(packet)
    }

    /// The first portion has all tracks, and of each what its edit list comes from: libav looks no further than time 0.
    fn is_full(&self) -> bool {
        let packets: u32 = self.spans.iter().flatten().map(|span| span.packets).sum();
        let begun = |span: &Option<Span>| span.is_some_and(|span| span.last_dts > 0);
        self.limit.is_some_and(|limit| packets >= limit) && (self.before.is_some() || self.spans.iter().all(begun))
    }

    /// Completes the portion, and begins the next.
    fn go_on(&mut self) -> Result<()> {
        let Sink::File(mut file) = self.muxer.take().ok_or_else(given_up)?.finish()? else { return Err(given_up()) };
        self.join(&mut file)?;
        self.muxer = Some(begin_muxer(Sink::File(file), self.format, &self.tracks, self.start, &self.cancel)?);
        Ok(())
    }

    /// Takes the `moov` of a portion off the file's end, where the next one begins.
    fn join(&mut self, file: &mut SinkFile) -> Result<()> {
        let failed = |e: io::Error| Error::io("cannot read the output's index", e);
        let missing = || Error::new(ErrorKind::Internal, "the muxer wrote a file without an index");
        let boxes = top_level(file.file(), self.start).map_err(failed)?;
        let find = |kind: &[u8; 4]| boxes.iter().find(|b| &b.kind == kind).copied().ok_or_else(missing);
        let (media, place) = (find(b"mdat")?, find(b"moov")?);
        let moov = read(file.file(), place).map_err(failed)?;
        match &mut self.before {
            Some(before) => before.moov.join(&moov, &self.spans)?,
            None => self.before = Some(Before { moov: Moov::begin(&moov, &self.spans)?, media }),
        }
        self.spans.fill(None);
        self.start = place.start;
        file.cut(place.start)
    }

    /// Completes the file. Its `moov` comes beside it where there were several portions. `None` if the output was a stream.
    pub(super) fn finish(mut self) -> Result<Option<(File, Option<Moov>)>> {
        let Sink::File(mut file) = self.muxer.take().ok_or_else(given_up)?.finish()? else { return Ok(None) };
        if self.before.is_some() {
            self.join(&mut file)?;
        }
        let file = file.finish()?;
        let Some(Before { mut moov, media }) = self.before else { return Ok(Some((file, None))) };
        let failed = |e: io::Error| Error::io("cannot complete the output", e);
        stretch(&file, media, self.start).map_err(failed)?;
        moov.complete(&self.tracks.iter().map(|t| t.parameters.bit_rate()).collect::<Vec<_>>())?;
        Ok(Some((file, Some(moov))))
    }
}

fn begin_muxer(
    sink: Sink,
    format: Format,
    tracks: &[TrackPlan],
    at: u64,
    cancel: &CancelToken,
) -> Result<Muxer<Sink, Writing>> {
    let mut muxer: Muxer<Sink, Unstarted> = Muxer::new(sink, format, cancel)?;
    for track in tracks {
        muxer.add_track(&track.setup())?;
    }
    if at > 0 {
        muxer.reserve(at)?;
    }
    muxer.write_header().map_err(|e| name_tracks(e, format, tracks))
}

/// Lets the first portion's `mdat` go on to the end of the media.
fn stretch(file: &File, media: Place, end: u64) -> io::Result<()> {
    let size = end - media.start;
    let mut head = [0; 4];
    file.read_exact_at(&mut head, media.start)?;
    if head == 1u32.to_be_bytes() {
        return file.write_all_at(&size.to_be_bytes(), media.start + 8);
    }
    match u32::try_from(size) {
        Ok(size) => file.write_all_at(&size.to_be_bytes(), media.start),
        // libav leaves an empty box before it for this.
        Err(_) => {
            file.read_exact_at(&mut head, media.start - 8)?;
            if head != 8u32.to_be_bytes() {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            let head = [&1u32.to_be_bytes()[..], b"mdat", &(size + 8).to_be_bytes()].concat();
            file.write_all_at(&head, media.start - 8)
        }
    }
}

fn given_up() -> Error {
    Error::new(ErrorKind::Internal, "the output was given up before")
}

/// libav says no more than "invalid argument" where a container cannot hold a codec.
fn name_tracks(error: Error, format: Format, tracks: &[TrackPlan]) -> Error {
    if error.kind() != ErrorKind::Unsupported {
        return error;
    }
    let tracks: Vec<String> = tracks.iter().map(TrackPlan::describe).collect();
    let hint = match format {
        Format::Mkv => "choose another format",
        Format::M4a | Format::Mov => "try --format mp4, or mkv, which holds almost any codec",
        _ => "try --format mkv, which holds almost any codec",
    };
    error.within(format_args!("tracks {}", tracks.join(", "))).with_hint(hint)
}
