//! Reads all of some inputs as a merge would, and writes nothing: what is in them, and what a merge makes of their clocks.

use super::account::{Account, Begins, StreamKind};
use super::source::{PlannedInput, Source};
use super::tell::Teller;
use crate::av::{Packet, Parameters, Stream};
use crate::cancel::CancelToken;
use crate::container::Container;
use crate::demux::{Demuxed, Dropped};
use crate::error::{Error, ErrorKind, Result};
use crate::mux::track_class;
use crate::options::Limits;
use crate::report::Deep;
use crate::time::{Nanos, TimeBase};
use crate::timeline::{Boundary, Origin, Timeline, TrackClass, TrackSpec};

/// What was found in an input.
pub(crate) struct Surveyed {
    /// Container and streams of its first session; `None` if there is none.
    pub(crate) first: Option<(Container, Vec<Stream>, Vec<Dropped>)>,
    pub(crate) deep: Deep,
    /// Why it was not read to its end.
    pub(crate) error: Option<Error>,
}

/// An input while it is read.
struct Looked {
    source: Source,
    account: Account,
    /// The newest parameters of each of its streams, and the track it feeds.
    streams: Vec<(Parameters, usize)>,
    first: Option<(Container, Vec<Stream>, Vec<Dropped>)>,
    bytes: u64,
    /// The segment and the media known to be missing up to it, since the last packet.
    missing: Nanos,
    error: Option<Error>,
}

/// Looks through all inputs. Blocks until all is read. What is wrong with an input ends that input alone.
///
/// # Errors
/// `Cancelled`, and what is this machine's fault: `Io`, `DiskFull`, `Internal`.
pub(crate) fn survey(
    inputs: &[PlannedInput],
    limits: &Limits,
    tell: &mut Teller,
    cancel: &CancelToken,
) -> Result<Vec<Surveyed>> {
    let mut looked: Vec<Looked> = inputs.iter().map(|input| Looked::new(input.clone(), limits, cancel)).collect();
    let mut tracks = Vec::new();
    let mut opened = Vec::new();
    for (n, input) in looked.iter_mut().enumerate() {
        opened.push(input.open(n, &mut tracks, tell)?);
    }
    let mut timeline: Timeline<Packet> =
        Timeline::new(looked.len(), &tracks, Origin::Presentation, limits.lookahead_bytes);
    for (n, input) in looked.iter().enumerate() {
        timeline.announce(n, input.source.announced());
    }
    for (n, opened) in opened.into_iter().enumerate() {
        match opened {
            Some(segment) => timeline.begin_session(n, Boundary::Unmarked, segment),
            None => timeline.end(n),
        }
    }
    while let Some(n) = timeline.wants() {
        cancel.check()?;
        if let Err(error) = looked[n].step(n, tracks.len(), &mut timeline, tell) {
            looked[n].fail(error)?;
            timeline.end(n);
        }
        while timeline.pop().is_some() {}
    }
    Ok(looked.into_iter().enumerate().map(|(n, input)| input.finish(n, &timeline, tell)).collect())
}

impl Looked {
    fn new(planned: PlannedInput, limits: &Limits, cancel: &CancelToken) -> Self {
        Self {
            source: Source::new(planned, limits, cancel),
            account: Account::default(),
            streams: Vec::new(),
            first: None,
            bytes: 0,
            missing: Nanos::ZERO,
            error: None,
        }
    }

    /// Goes to the first session, and adds a track for each of its streams. Tells its first segment; `None` if there
    /// is none.
    fn open(&mut self, input: usize, tracks: &mut Vec<TrackSpec>, tell: &mut Teller) -> Result<Option<usize>> {
        loop {
            match self.source.next(tell) {
                Ok(Demuxed::Session { first_segment, container, streams, dropped }) => {
                    let copies = streams.iter().map(Stream::try_clone).collect::<Result<_>>()?;
                    self.first = Some((container, copies, dropped));
                    for stream in &streams {
                        let class = track_class(&stream.parameters);
                        tracks.push(TrackSpec { input, class, base: base(class, stream) });
                        self.add(&stream.parameters, tracks.len() - 1)?;
                    }
                    let map: Vec<_> = self.streams.iter().map(|(_, track)| Some(*track)).collect();
                    self.source.begin_session(container, streams, &map);
                    return Ok(Some(first_segment));
                }
                Ok(Demuxed::SegmentEnd(end)) => self.bytes += end.bytes,
                Ok(Demuxed::Packet(_)) => {}
                Ok(Demuxed::End) => return Ok(None),
                Err(error) => {
                    self.fail(error)?;
                    return Ok(None);
                }
            }
        }
    }

    fn add(&mut self, parameters: &Parameters, track: usize) -> Result<()> {
        self.account.stream(self.streams.len(), StreamKind::of(parameters));
        self.streams.push((parameters.try_clone()?, track));
        Ok(())
    }

    /// Takes what comes next.
    fn step(&mut self, input: usize, tracks: usize, timeline: &mut Timeline<Packet>, tell: &mut Teller) -> Result<()> {
        match self.source.next(tell)? {
            Demuxed::Packet(packet) => {
                let is_key = packet.packet.is_key();
                if let Some(stamp) = self.source.stamp(&packet)
                    && let Some(stream) = self.streams.iter().position(|(_, track)| *track == stamp.track)
                {
                    self.account.packet(stream, &stamp, is_key, self.missing);
                    self.missing = Nanos::ZERO;
                }
                // A stream that came late has no track, but the account of segments wants to know.
                if let Some(item) = self.source.item(packet).filter(|item| item.track < tracks) {
                    timeline.push(input, item);
                }
            }
            Demuxed::SegmentEnd(end) => {
                self.bytes += end.bytes;
                if let Some(time) = self.source.left_out(&end) {
                    self.missing = self.missing.plus(time);
                    timeline.skip(input, end.segment, time);
                }
            }
            Demuxed::Session { first_segment, container, streams, .. } => {
                let boundary = self.source.boundary(first_segment);
                let map = self.places(&streams, tracks, tell, first_segment)?;
                match boundary {
                    Boundary::Marked => self.account.begin_run(Begins::Discontinuity, first_segment),
                    Boundary::Restart => self.account.begin_run(Begins::Reset, first_segment),
                    Boundary::Unmarked => {}
                }
                self.source.begin_session(container, streams, &map);
                timeline.begin_session(input, boundary, first_segment);
            }
            Demuxed::End => timeline.end(input),
        }
        Ok(())
    }

    /// The track of each stream of a session: that of the stream that it goes on from, or one beyond all others.
    fn places(
        &mut self,
        streams: &[Stream],
        tracks: usize,
        tell: &mut Teller,
        segment: usize,
    ) -> Result<Vec<Option<usize>>> {
        let mut free: Vec<usize> = (0..self.streams.len()).collect();
        let mut map = Vec::new();
        for stream in streams {
            let new = &stream.parameters;
            let fits = free.iter().position(|n| self.streams[*n].0.fits(new));
            let same_kind = || free.iter().position(|n| self.streams[*n].0.kind() == new.kind());
            let Some(n) = fits.or_else(same_kind).map(|at| free.remove(at)) else {
                map.push(Some(tracks + self.streams.len()));
                self.add(new, tracks + self.streams.len())?;
                continue;
            };
            let old = &mut self.streams[n];
            if fits.is_none() {
                let (before, after, at) = (old.0.describe(), new.describe(), &self.source.segments[segment]);
                let (sequence, name) = (at.media_sequence, at.location.display());
                tell.warn(format!(
                    "segment {sequence} ({name}): stream {n} changes from {before} to {after}: one track cannot hold both"
                ));
                old.0 = new.try_clone()?;
                self.account.stream(n, StreamKind::of(new));
            }
            map.push(Some(self.streams[n].1));
        }
        Ok(map)
    }

    /// An input that cannot be read on is told of with what was found; what stops all of it is an error.
    fn fail(&mut self, error: Error) -> Result<()> {
        match error.kind() {
            ErrorKind::Cancelled | ErrorKind::Internal | ErrorKind::Io | ErrorKind::DiskFull => Err(error),
            _ => {
                self.error = Some(error);
                Ok(())
            }
        }
    }

    fn finish(self, n: usize, timeline: &Timeline<Packet>, tell: &mut Teller) -> Surveyed {
        for trouble in self.source.unusable() {
            tell.warn(trouble);
        }
        let segments = &self.source.segments;
        let (runs, resets) = self.account.finish(&timeline.epochs(n), |segment| segments[segment].media_sequence);
        let deep = Deep { bytes: self.bytes, missing: self.source.audit.missing.clone(), resets, runs };
        Surveyed { first: self.first, deep, error: self.error }
    }
}

/// The time base of a track: audio is counted in samples.
fn base(class: TrackClass, stream: &Stream) -> TimeBase {
    match class {
        TrackClass::Audio { sample_rate_hz: Some(rate) } => TimeBase::per_second(rate).unwrap_or(stream.time_base),
        _ => stream.time_base,
    }
}
