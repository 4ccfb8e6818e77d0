//! One output file: from the first sessions of its inputs to the place where the next file has to begin.

use std::fs::File;

use super::source::{PlannedInput, Source};
use super::tell::Teller;
use super::{Ahead, Attempt, MAX_RESTARTS, Settings};
use crate::av::{Decoder, MediaKind, Packet, Stream};
use crate::cancel::CancelToken;
use crate::container::Container;
use crate::demux::{Demuxed, DemuxedPacket, Dropped};
use crate::error::{Error, ErrorKind, Result};
use crate::mux::{Expected, OutputFile, Sink, SourceDecoded, TrackPlan, TrackRole, keeps_empty_tracks, origin};
use crate::options::{Format, OnChange, OnDiscontinuity, Verify};
use crate::time::Nanos;
use crate::timeline::{Boundary, Counts, Epoch, Timeline, TrackSpec};

/// A track of a finished file.
pub(crate) struct FinishedTrack {
    pub(crate) expected: Expected,
    pub(crate) language: Option<String>,
    pub(crate) start: Nanos,
    /// What its packets decode to; `None` where that was not asked for, or there is no decoder.
    pub(crate) decoded: Option<SourceDecoded>,
}

/// A finished file.
pub(crate) struct Part {
    /// `None` if it went to a stream.
    pub(crate) file: Option<File>,
    pub(crate) tracks: Vec<FinishedTrack>,
    pub(crate) duration: Nanos,
    /// Where the main input's clock was put on the file's.
    pub(crate) epochs: Vec<Epoch>,
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
    /// Each track's, to know what its packets decode to as they come; empty where nobody wants to.
    decoders: Vec<Option<Decoder>>,
    standing: Vec<Standing>,
    /// Marked discontinuities that each input went over.
    marks: Vec<u64>,
    /// The same for the first input that parked, when it did.
    cut_at: Option<u64>,
    may_restart: bool,
    /// Input and segment of a stream that came late.
    late: Option<(usize, usize)>,
    discontinuities: u64,
    dropped: Vec<Dropped>,
}

/// Collects the tracks of a part.
struct Planner {
    format: Format,
    tracks: Vec<TrackPlan>,
    /// Tracks of each input.
    inputs: Vec<Vec<usize>>,
}

impl Planner {
    /// Adds a track to the last input for each stream.
    fn add(&mut self, role: &TrackRole, streams: &[Stream], first: &[Option<Packet>]) -> Result<()> {
        for (stream, first) in streams.iter().zip(first) {
            let track = TrackPlan::new(stream, role, self.format, first.as_ref())?;
            if let Some(numbers) = self.inputs.last_mut() {
                numbers.push(self.tracks.len());
            }
            self.tracks.push(track);
        }
        Ok(())
    }

    /// Lets one track of each kind be the one that a player begins with: the playlist's choice, or the first.
    fn choose_defaults(&mut self) {
        for kind in [MediaKind::Video, MediaKind::Audio] {
            let of_kind = || self.tracks.iter().enumerate().filter(|(_, track)| track.kind == kind);
            let chosen = of_kind().find(|(_, track)| track.default).or(of_kind().next()).map(|(n, _)| n);
            for (n, track) in self.tracks.iter_mut().enumerate().filter(|(_, track)| track.kind == kind) {
                track.default = Some(n) == chosen;
            }
        }
    }

    /// Adds tracks for the streams that an input has at a later segment and not at its start.
    fn add_missing(
        &mut self,
        planned: &PlannedInput,
        segment: usize,
        settings: &Settings,
        cancel: &CancelToken,
    ) -> Result<()> {
        let mut later = Source::from_segment(planned, segment, &settings.limits, cancel);
        let mut unheard = Teller::new(String::new(), None);
        let Some(opened) = open_first(&mut later, &mut unheard, &mut Vec::new())? else { return Ok(()) };
        let mut first = later.first_packets(&opened.streams)?.into_iter();
        let mut known = self.inputs.last().cloned().unwrap_or_default();
        for stream in opened.streams {
            let packet = first.next().flatten();
            match known.iter().position(|t| self.tracks[*t].source.fits(&stream.parameters)) {
                Some(n) => drop(known.remove(n)),
                None => self.add(&planned.role, &[stream], &[packet])?,
            }
        }
        Ok(())
    }
}

/// The first session of an input.
struct Opened {
    first_segment: usize,
    container: Container,
    streams: Vec<Stream>,
}

/// Writes a part; or tells of a stream that came late, for which the merge has to begin anew.
pub(super) fn write(
    sources: &mut [Source],
    attempt: &Attempt<'_>,
    number: usize,
    sink: &mut dyn FnMut() -> Result<Sink>,
    tell: &mut Teller,
) -> Result<Result<Part, Ahead>> {
    let mut writer = Writer::begin(sources, attempt, number, sink, tell)?;
    // Whoever reads a packet or writes one looks at the token.
    while let Some(input) = writer.timeline.wants() {
        writer.step(input)?;
        if let Some((input, segment)) = writer.late {
            return Ok(Err(Ahead { part: number, input, segment }));
        }
        writer.drain()?;
    }
    writer.drain()?;
    writer.finish().map(Ok)
}

impl<'a> Writer<'a> {
    fn begin(
        sources: &'a mut [Source],
        attempt: &Attempt<'a>,
        number: usize,
        sink: &mut dyn FnMut() -> Result<Sink>,
        tell: &'a mut Teller,
    ) -> Result<Self> {
        let Attempt { settings, cancel, .. } = *attempt;
        let mut planner = Planner { format: settings.format, tracks: Vec::new(), inputs: Vec::new() };
        let (mut opened, mut dropped) = (Vec::new(), Vec::new());
        for (input, source) in sources.iter_mut().enumerate() {
            planner.inputs.push(Vec::new());
            let begun = open_first(source, tell, &mut dropped)?;
            if let Some(begun) = &begun {
                let first = source.first_packets(&begun.streams)?;
                planner.add(&source.role, &begun.streams, &first)?;
            }
            for ahead in attempt.ahead.iter().filter(|a| (a.part, a.input) == (number, input)) {
                planner.add_missing(&attempt.inputs[input], ahead.segment, settings, cancel)?;
            }
            opened.push(begun);
        }
        planner.choose_defaults();
        let Planner { tracks, inputs: input_tracks, .. } = planner;
        if tracks.is_empty() {
            return Err(Error::new(ErrorKind::Media, "there is no segment to merge"));
        }
        dropped.retain(|d: &Dropped| !(d.never_came() && tracks.iter().any(|t| t.is_of(d.kind, &d.codec))));
        let output = OutputFile::begin(sink()?, settings.format, settings.faststart, &tracks, settings.extent, cancel)?;
        let decoder = |t: &TrackPlan| Decoder::open(&t.source, t.source.video_delay());
        let decoders = match settings.verify {
            Verify::Read => Vec::new(),
            Verify::Decode => tracks.iter().map(decoder).collect::<Result<_>>()?,
        };
        let input_of = |track| input_tracks.iter().position(|numbers| numbers.contains(&track)).unwrap_or(0);
        let specs = tracks
            .iter()
            .enumerate()
            .map(|(n, track)| Ok(TrackSpec { input: input_of(n), class: track.class(), base: output.time_base(n)? }));
        let specs = specs.collect::<Result<Vec<_>>>()?;
        let limit = settings.limits.lookahead_bytes;
        let mut timeline = Timeline::new(sources.len(), &specs, origin(settings.format), limit);
        for (input, source) in sources.iter().enumerate() {
            timeline.announce(input, source.announced());
        }
        let standing = vec![Standing::Running; sources.len()];
        let mut this = Self {
            sources,
            settings,
            tell,
            tracks,
            input_tracks,
            output,
            timeline,
            decoders,
            marks: vec![0; standing.len()],
            cut_at: None,
            standing,
            may_restart: settings.can_restart && attempt.ahead.len() < MAX_RESTARTS,
            late: None,
            discontinuities: 0,
            dropped,
        };
        for (input, opened) in opened.into_iter().enumerate() {
            match opened {
                Some(Opened { first_segment, container, streams }) => {
                    let tracks = this.input_tracks[input].iter().copied().map(Some);
                    let map: Vec<_> = tracks.take(streams.len()).collect();
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
                let boundary = self.sources[input].boundary(first_segment);
                let split = boundary == Boundary::Marked && self.settings.on_discontinuity == OnDiscontinuity::Split;
                let map = self.matching_tracks(input, &streams);
                if !split && self.may_restart && map.is_none() && self.only_adds(input, &streams) {
                    self.late = Some((input, first_segment));
                    return Ok(());
                }
                // Renditions mark the same discontinuities, so a part that ends at one ends there for all.
                let cut = boundary == Boundary::Marked && self.cut_at.is_some_and(|at| self.marks[input] >= at);
                if split || cut || map.is_none() {
                    if map.is_none() && self.settings.on_change == OnChange::Fail {
                        return Err(self.changed(input, first_segment, &streams));
                    }
                    self.count_discontinuity(input, boundary);
                    self.sources[input].put_back(Demuxed::Session { first_segment, container, streams, dropped });
                    self.leave(input, Standing::Parked);
                } else if let Some(map) = map {
                    self.note_dropped(dropped);
                    self.count_discontinuity(input, boundary);
                    self.marks[input] += u64::from(boundary == Boundary::Marked);
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

    /// A session has all that the tracks hold, and streams beside for which there is no track.
    fn only_adds(&self, input: usize, streams: &[Stream]) -> bool {
        let fits = |t: &usize| streams.iter().any(|s| self.tracks[*t].source.fits(&s.parameters));
        streams.len() > self.input_tracks[input].len() && self.input_tracks[input].iter().all(fits)
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
        if standing == Standing::Parked {
            self.cut_at = self.cut_at.or(Some(self.marks[input]));
        }
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
            if let Some(Some(decoder)) = self.decoders.get_mut(track) {
                decoder.decode(&stamped.payload)?;
            }
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

    fn finish(mut self) -> Result<Part> {
        let keeps_empty = keeps_empty_tracks(self.settings.format);
        let mut tracks = Vec::new();
        let (mut first, mut last) = (None::<Nanos>, None::<Nanos>);
        let mut decoders = self.decoders.into_iter();
        for (n, track) in self.tracks.into_iter().enumerate() {
            let (start, end) = self.timeline.span(n).unwrap_or_default();
            if self.timeline.packets(n) > 0 {
                first = Some(first.map_or(start, |f| f.min(start)));
                last = Some(last.map_or(end, |l| l.max(end)));
            }
            let decoder = decoders.next().flatten();
            if self.timeline.packets(n) == 0 && !keeps_empty {
                self.dropped.push(Dropped::without_packets(track.kind, track.parameters.codec().name()));
                continue;
            }
            tracks.push(FinishedTrack {
                expected: Expected {
                    kind: track.kind,
                    codec: track.parameters.codec().name(),
                    packets: self.timeline.packets(n).saturating_sub(self.output.joined(n)),
                    duration: end.minus(start),
                    delay: self.timeline.delay(n),
                },
                language: track.language,
                start,
                decoded: decoder
                    .map(|decoder| SourceDecoded { tally: decoder.finish(), video_delay: track.source.video_delay() }),
            });
        }
        let written = self.output.finish()?;
        Ok(Part {
            file: written.file,
            tracks,
            duration: last.unwrap_or_default().minus(first.unwrap_or_default().max(Nanos::ZERO)),
            epochs: self.timeline.epochs(0),
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
