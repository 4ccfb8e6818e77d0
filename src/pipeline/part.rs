//! One output file: from the first sessions of its inputs to the place where the next file has to begin.

use std::fs::File;

use super::Settings;
use super::source::Source;
use super::tell::Teller;
use crate::av::{Packet, Stream};
use crate::cancel::CancelToken;
use crate::container::Container;
use crate::demux::{Demuxed, DemuxedPacket, Dropped};
use crate::error::{Error, ErrorKind, Result};
use crate::mux::{Expected, OutputFile, Sink, TrackPlan, origin};
use crate::options::{OnChange, OnDiscontinuity};
use crate::time::Nanos;
use crate::timeline::{Boundary, Counts, Timeline, TrackSpec};

/// A track of a finished file.
pub(crate) struct FinishedTrack {
    pub(crate) expected: Expected,
    pub(crate) language: Option<String>,
    pub(crate) start: Nanos,
}

/// A finished file.
pub(crate) struct Part {
    /// `None` if it went to a stream.
    pub(crate) file: Option<File>,
    pub(crate) tracks: Vec<FinishedTrack>,
    pub(crate) duration: Nanos,
    pub(super) counts: Counts,
    pub(super) discontinuities: u64,
    pub(super) dropped: Vec<Dropped>,
    /// The inputs go on, in a file of their own.
    pub(super) more: bool,
}

/// Where an input stands in the present part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Running,
    /// It waits at what the next part begins with.
    Parked,
    Ended,
}

/// The present part.
struct Writer<'a> {
    sources: &'a mut [Source],
    settings: &'a Settings,
    tell: &'a mut Teller,
    tracks: Vec<TrackPlan>,
    /// Tracks of each input, in the order of its streams.
    input_tracks: Vec<Vec<usize>>,
    output: OutputFile,
    timeline: Timeline<Packet>,
    standing: Vec<Standing>,
    discontinuities: u64,
    dropped: Vec<Dropped>,
}

/// The first session of an input.
struct Opened {
    first_segment: usize,
    container: Container,
    streams: Vec<Stream>,
}

/// Writes a part.
pub(super) fn write(
    sources: &mut [Source],
    settings: &Settings,
    sink: &mut dyn FnMut() -> Result<Sink>,
    tell: &mut Teller,
    cancel: &CancelToken,
) -> Result<Part> {
    let mut writer = Writer::begin(sources, settings, sink, tell, cancel)?;
    while let Some(input) = writer.timeline.wants() {
        cancel.check()?;
        writer.step(input)?;
        writer.drain()?;
    }
    writer.drain()?;
    writer.finish()
}

impl<'a> Writer<'a> {
    fn begin(
        sources: &'a mut [Source],
        settings: &'a Settings,
        sink: &mut dyn FnMut() -> Result<Sink>,
        tell: &'a mut Teller,
        cancel: &CancelToken,
    ) -> Result<Self> {
        let (mut tracks, mut specs, mut input_tracks, mut dropped) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut opened = Vec::new();
        for (input, source) in sources.iter_mut().enumerate() {
            let begun = open_first(source, tell, &mut dropped)?;
            let streams = begun.as_ref().map_or(&[][..], |o| &o.streams[..]);
            let first = source.first_packets(streams)?;
            let mut numbers = Vec::new();
            for (stream, first) in streams.iter().zip(&first) {
                let default_of_kind = !tracks.iter().any(|t: &TrackPlan| t.kind == stream.parameters.kind());
                let mut track = TrackPlan::new(stream, &source.role, settings.format, first.as_ref())?;
                track.default |= default_of_kind;
                numbers.push(tracks.len());
                specs.push((input, track.class()));
                tracks.push(track);
            }
            input_tracks.push(numbers);
            opened.push(begun);
        }
        if tracks.is_empty() {
            return Err(Error::new(ErrorKind::Media, "there is no segment to merge"));
        }
        let output = OutputFile::begin(sink()?, settings.format, settings.faststart, &tracks, settings.extent, cancel)?;
        let specs = specs
            .into_iter()
            .enumerate()
            .map(|(n, (input, class))| Ok(TrackSpec { input, class, base: output.time_base(n)? }));
        let specs = specs.collect::<Result<Vec<_>>>()?;
        let timeline = Timeline::new(sources.len(), &specs, origin(settings.format), settings.limits.lookahead_bytes);
        let standing = vec![Standing::Running; sources.len()];
        let mut this = Self {
            sources,
            settings,
            tell,
            tracks,
            input_tracks,
            output,
            timeline,
            standing,
            discontinuities: 0,
            dropped,
        };
        for (input, opened) in opened.into_iter().enumerate() {
            match opened {
                Some(Opened { first_segment, container, streams }) => {
                    let map: Vec<_> = this.input_tracks[input].iter().copied().map(Some).collect();
                    this.sources[input].begin_session(container, streams, &map);
                    this.timeline.begin_session(input, Boundary::Unmarked, first_segment);
                }
                None => this.leave(input, Standing::Ended),
            }
        }
        Ok(this)
    }

    /// Takes the next event of an input.
    fn step(&mut self, input: usize) -> Result<()> {
        match self.sources[input].next(self.tell)? {
            Demuxed::Packet(packet) => {
                if self.is_beyond_cut(input, &packet) {
                    self.sources[input].put_back(Demuxed::Packet(packet));
                    self.leave(input, Standing::Parked);
                } else if let Some(item) = self.sources[input].item(packet) {
                    self.timeline.push(input, item);
                }
            }
            Demuxed::SegmentEnd(end) => {
                if let Some(time) = self.sources[input].left_out(&end) {
                    self.timeline.skip(input, end.segment, time);
                }
                self.tell.progress(self.timeline.position());
            }
            Demuxed::Session { first_segment, container, streams, dropped } => {
                let boundary = self.boundary(input, first_segment);
                let split = boundary == Boundary::Marked && self.settings.on_discontinuity == OnDiscontinuity::Split;
                let map = self.matching_tracks(input, &streams);
                if split || self.standing.contains(&Standing::Parked) || map.is_none() {
                    if map.is_none() && self.settings.on_change == OnChange::Fail {
                        return Err(self.changed(input, first_segment, &streams));
                    }
                    self.count_discontinuity(input, boundary);
                    self.sources[input].put_back(Demuxed::Session { first_segment, container, streams, dropped });
                    self.leave(input, Standing::Parked);
                } else if let Some(map) = map {
                    self.note_dropped(dropped);
                    self.count_discontinuity(input, boundary);
                    self.sources[input].begin_session(container, streams, &map);
                    self.timeline.begin_session(input, boundary, first_segment);
                }
            }
            Demuxed::End => self.leave(input, Standing::Ended),
        }
        Ok(())
    }

    /// Renditions repeat the discontinuities of the main input.
    fn count_discontinuity(&mut self, input: usize, boundary: Boundary) {
        self.discontinuities += u64::from(input == 0 && boundary == Boundary::Marked);
    }

    /// How a session follows the one before it.
    fn boundary(&self, input: usize, first_segment: usize) -> Boundary {
        let segments = &self.sources[input].segments;
        let segment = &segments[first_segment];
        let before = self.sources[input].last_segment().filter(|before| *before < first_segment);
        let Some(before) = before else { return Boundary::Unmarked };
        if segments[before + 1..=first_segment].iter().any(|s| s.discontinuity) {
            Boundary::Marked
        } else if segments[before].location == segment.location && segments[before].byte_range == segment.byte_range {
            Boundary::Restart
        } else {
            Boundary::Unmarked
        }
    }

    /// The tracks that a session's streams go on in; `None` if they don't fit.
    fn matching_tracks(&self, input: usize, streams: &[Stream]) -> Option<Vec<Option<usize>>> {
        let mut free = self.input_tracks[input].clone();
        streams
            .iter()
            .map(|stream| {
                let same_kind = |t: &usize| self.tracks[*t].kind == stream.parameters.kind();
                // By what they carry first, and by their order where several carry the same.
                let n = free.iter().position(|t| same_kind(t) && self.tracks[*t].source.fits(&stream.parameters))?;
                Some(Some(free.remove(n)))
            })
            .collect()
    }

    fn changed(&self, input: usize, segment: usize, streams: &[Stream]) -> Error {
        let describe = |kind, text: &str| format!("{kind} {text}");
        let old: Vec<String> = self.input_tracks[input].iter().map(|t| self.tracks[*t].describe()).collect();
        let new: Vec<String> =
            streams.iter().map(|s| describe(s.parameters.kind().name(), &s.parameters.describe())).collect();
        let message = format!("codec parameters change from {} to {}", old.join(", "), new.join(", "));
        let segment = &self.sources[input].segments[segment];
        Error::new(ErrorKind::Unsupported, message)
            .with_hint("one track cannot hold both: write several files with --on-change split")
            .with_segment(segment.media_sequence, segment.location.display())
    }

    /// The part ends where the first of its inputs parked, for all of them.
    fn is_beyond_cut(&mut self, input: usize, packet: &DemuxedPacket) -> bool {
        let parked = self.standing.iter().position(|s| *s == Standing::Parked);
        let cut = parked.and_then(|parked| self.timeline.input_end(parked));
        let Some(cut) = cut else { return false };
        let stamp = self.sources[input].stamp(packet);
        stamp.and_then(|stamp| self.timeline.place(input, &stamp)).is_some_and(|at| at >= cut)
    }

    fn leave(&mut self, input: usize, standing: Standing) {
        self.standing[input] = standing;
        self.timeline.end(input);
    }

    fn note_dropped(&mut self, dropped: Vec<Dropped>) {
        for dropped in dropped {
            if !self.dropped.contains(&dropped) {
                self.dropped.push(dropped);
            }
        }
    }

    fn drain(&mut self) -> Result<()> {
        while let Some(stamped) = self.timeline.pop() {
            let (track, pts) = (stamped.track, stamped.pts);
            let base = self.output.time_base(track)?;
            self.output.write(stamped).map_err(|e| {
                let kind = self.tracks[track].kind.name();
                match e.kind() {
                    ErrorKind::Cancelled | ErrorKind::DiskFull | ErrorKind::Io => e,
                    _ => e
                        .with_stream(format!("track {track} ({kind})"))
                        .with_timestamp_ns(Nanos::from_ticks(pts, base).0),
                }
            })?;
        }
        Ok(())
    }

    fn finish(self) -> Result<Part> {
        let mut tracks = Vec::new();
        let (mut first, mut last) = (None::<Nanos>, None::<Nanos>);
        for (n, track) in self.tracks.into_iter().enumerate() {
            let (start, end) = self.timeline.span(n).unwrap_or_default();
            if self.timeline.packets(n) > 0 {
                first = Some(first.map_or(start, |f| f.min(start)));
                last = Some(last.map_or(end, |l| l.max(end)));
            }
            tracks.push(FinishedTrack {
                expected: Expected {
                    kind: track.kind,
                    codec: track.parameters.codec().name(),
                    packets: self.timeline.packets(n),
                    duration: end.minus(start),
                },
                language: track.language,
                start,
            });
        }
        let written = self.output.finish()?;
        Ok(Part {
            file: written.file,
            tracks,
            duration: last.unwrap_or_default().minus(first.unwrap_or_default().max(Nanos::ZERO)),
            counts: self.timeline.counts(),
            discontinuities: self.discontinuities,
            dropped: self.dropped,
            more: self.standing.contains(&Standing::Parked),
        })
    }
}

/// Goes to the first session of an input; `None` if it has none left.
fn open_first(source: &mut Source, tell: &mut Teller, dropped: &mut Vec<Dropped>) -> Result<Option<Opened>> {
    loop {
        match source.next(tell)? {
            Demuxed::Session { first_segment, container, streams, dropped: left } => {
                dropped.extend(left);
                return Ok(Some(Opened { first_segment, container, streams }));
            }
            Demuxed::End => return Ok(None),
            Demuxed::SegmentEnd(_) => {}
            // A part was cut inside a session: that goes on.
            packet @ Demuxed::Packet(_) => {
                source.put_back(packet);
                let (first_segment, container, streams) = source.reopen();
                return Ok(Some(Opened { first_segment, container, streams }));
            }
        }
    }
}
