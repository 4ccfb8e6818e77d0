//! One input of a job: its demuxer, what its streams feed, and packets as the timeline takes them.

use std::collections::VecDeque;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::audit::Audit;
use super::reading::Reading;
use super::tell::Teller;
use crate::av::{MediaKind, Packet, PictureOrder, Stream};
use crate::cancel::CancelToken;
use crate::container::{Ac3Frame, Container, latm_frame};
use crate::demux::{Demuxed, DemuxedPacket, Dropped, Ending, InputSource, Unusable};
use crate::error::Result;
use crate::fetch::Fetcher;
use crate::mux::TrackRole;
use crate::options::Limits;
use crate::playlist::Segment;
use crate::time::{Nanos, TimeBase, rescale_ticks};
use crate::timeline::{self, Announced, Boundary, Item, nearest_wrapped};

/// Packets that are looked through for the first one of each stream.
const FIRST_PACKETS: usize = 4096;

/// An input as it was planned.
#[derive(Clone)]
pub(crate) struct PlannedInput {
    pub(crate) source: InputSource,
    pub(crate) role: TrackRole,
}

/// A stream of the present session.
struct Feeding {
    /// The track it feeds; `None` if it is left out.
    track: Option<usize>,
    stream: Stream,
    /// Asked from the first picture on that comes without a time.
    order: Option<PictureOrder>,
    /// A whole frame of it came.
    begun: bool,
    /// The last time of an audio stream that its transport stream gave, in ticks, and the samples since.
    timed: Option<(i64, i64)>,
}

impl Feeding {
    /// Whether a packet may go on. Of AC-3, which libav's muxers read once more, it must hold a frame, the first one a whole
    /// one; what hangs on behind the frame, where a recording is damaged, is cut off.
    fn takes(&mut self, packet: &mut Packet) -> bool {
        if self.track.is_none() || !self.stream.parameters.codec().is_ac3() {
            return true;
        }
        match Ac3Frame::whole_bytes(packet.data()) {
            None => false,
            Some(0) => self.begun,
            Some(bytes) => {
                packet.truncate(bytes);
                self.begun = true;
                true
            }
        }
    }

    /// Counts the samples since the transport stream gave a time.
    fn count(&mut self, packet: &Packet, stamp: &Item<()>) {
        self.timed = match (stamp.samples.map(i64::from), packet.position(), stamp.pts) {
            (Some(samples), Some(_), Some(pts)) if stamp.wraps && !stamp.floating && stamp.tolerance.is_none() => {
                Some((pts, samples))
            }
            (Some(samples), None, _) => self.timed.map(|(pts, before)| (pts, before.saturating_add(samples))),
            _ => None,
        };
    }
}

/// How a session's packets are timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clock {
    /// By the container.
    Container,
    /// Packed audio: by the tags of its segments and the count of samples.
    Tags,
    /// Packed audio without tags: by the count of samples alone.
    None,
}

/// An input while the job runs.
pub(super) struct Source {
    reading: Reading,
    pub(super) role: TrackRole,
    pub(super) segments: Arc<[Segment]>,
    pub(super) audit: Audit,
    fetcher: Arc<Fetcher>,
    /// Segments before this one were released.
    released: usize,
    /// Read ahead, not yet used.
    queue: VecDeque<Demuxed>,
    feeding: Vec<Feeding>,
    container: Option<Container>,
    clock: Option<Clock>,
    /// The segment that was read last, to its end or not.
    last_segment: Option<usize>,
    /// For the account of segments: times are unwrapped to the neighbourhood of this.
    reference_ticks: Option<i64>,
    /// Segments that left time behind them, and how much each.
    holes: Vec<(usize, Nanos)>,
    /// The segment that the clock of packed audio without tags begins with.
    counts_from: usize,
    /// Packets left out because they hold no frame that a muxer could take.
    torn: u64,
}

impl Source {
    pub(super) fn new(planned: PlannedInput, limits: &Limits, cancel: &CancelToken) -> Self {
        let reading = Reading::here(planned.source.clone(), limits, cancel);
        Self::reading(planned, reading)
    }

    /// The same, read ahead on a thread of its own where it need not wait for its segments.
    pub(super) fn ahead(planned: PlannedInput, limits: &Limits, cancel: &CancelToken) -> Result<Self> {
        if planned.source.fetcher.waits() {
            return Ok(Self::new(planned, limits, cancel));
        }
        let reading = Reading::ahead(planned.source.clone(), limits, cancel)?;
        Ok(Self::reading(planned, reading))
    }

    fn reading(planned: PlannedInput, reading: Reading) -> Self {
        let segments = planned.source.segments;
        Self {
            audit: Audit::new(segments.clone(), planned.source.on_gap),
            fetcher: planned.source.fetcher,
            released: 0,
            reading,
            role: planned.role,
            segments,
            queue: VecDeque::new(),
            feeding: Vec::new(),
            container: None,
            clock: None,
            last_segment: None,
            reference_ticks: None,
            holes: Vec::new(),
            counts_from: 0,
            torn: 0,
        }
    }

    /// The same input without the segments before one.
    pub(super) fn from_segment(planned: &PlannedInput, segment: usize, limits: &Limits, cancel: &CancelToken) -> Self {
        let mut planned = planned.clone();
        planned.source.segments = planned.source.segments[segment..].into();
        Self::new(planned, limits, cancel)
    }

    /// What comes next. Keeps the account of segments on the way.
    pub(super) fn next(&mut self, tell: &mut Teller) -> Result<Demuxed> {
        let event = match self.queue.pop_front() {
            Some(event) => event,
            None => self.reading.read()?,
        };
        match &event {
            Demuxed::SegmentEnd(end) => {
                if matches!(end.ending, Ending::Read { .. }) {
                    self.last_segment = Some(end.segment);
                }
                self.holes.extend(self.left_out(end).map(|time| (end.segment, time)));
                self.audit.end(end.clone());
                tell.bytes_in += end.bytes;
                tell.segments += 1;
            }
            // Two segments back, as packets of one may still come when the next has begun.
            Demuxed::Packet(packet) => {
                let settled = packet.segment.saturating_sub(2);
                self.audit.settle(settled, tell)?;
                self.release(settled);
            }
            Demuxed::End => {
                self.audit.finish(tell)?;
                self.release(self.segments.len());
            }
            Demuxed::Session { .. } => {}
        }
        Ok(event)
    }

    /// Segments before one will hardly be read again: only where a stream's packets come that late is there a session to
    /// begin anew there.
    fn release(&mut self, before: usize) {
        for segment in self.segments.get(self.released..before).into_iter().flatten() {
            self.fetcher.release(segment);
        }
        self.released = self.released.max(before);
    }

    /// Gives an event back, to be the next again.
    pub(super) fn put_back(&mut self, event: Demuxed) {
        self.queue.push_front(event);
    }

    /// Time that a missing segment leaves; `None` for one that is there.
    pub(super) fn left_out(&self, end: &crate::demux::SegmentEnd) -> Option<Nanos> {
        match end.ending {
            Ending::Gap | Ending::Missing { .. } => self.segments[end.segment].duration,
            Ending::Read { .. } => None,
        }
    }

    /// Of each stream of a session that was just begun the first packet that tells how it is coded, where packets do;
    /// reads ahead for it.
    pub(super) fn first_packets(&mut self, streams: &[Stream]) -> Result<Vec<Option<Packet>>> {
        let mut first: Vec<Option<Packet>> = streams.iter().map(|_| None).collect();
        let mut wanted = streams.iter().filter(|s| s.is_adts() || s.is_latm()).count();
        while wanted > 0 && self.queue.len() < FIRST_PACKETS {
            let event = self.reading.read()?;
            let ends = matches!(event, Demuxed::Session { .. } | Demuxed::End);
            if let Demuxed::Packet(DemuxedPacket { stream, packet, .. }) = &event
                && first[*stream].is_none()
                && tells_coding(&streams[*stream], packet)
            {
                first[*stream] = Some(packet.try_clone()?);
                wanted -= 1;
            }
            self.queue.push_back(event);
            if ends {
                break;
            }
        }
        Ok(first)
    }

    /// A session begins; `tracks` says which track each of its streams feeds.
    pub(super) fn begin_session(&mut self, container: Container, streams: Vec<Stream>, tracks: &[Option<usize>]) {
        self.container = Some(container);
        self.clock = None;
        self.feeding = streams
            .into_iter()
            .zip(tracks)
            .map(|(stream, track)| Feeding { track: *track, stream, order: None, begun: false, timed: None })
            .collect();
    }

    /// The present session once more, for the next file: it goes on there.
    pub(super) fn reopen(&mut self) -> (usize, Container, Vec<Stream>) {
        let streams = self.feeding.drain(..).map(|feeding| feeding.stream).collect();
        (self.last_segment.unwrap_or(0), self.container.unwrap_or(Container::Mp4), streams)
    }

    /// How a session that begins with a segment follows the one before it.
    pub(super) fn boundary(&self, first_segment: usize) -> Boundary {
        let segments = &self.segments;
        let segment = &segments[first_segment];
        let Some(before) = self.last_segment.filter(|before| *before < first_segment) else {
            return Boundary::Unmarked;
        };
        if segments[before + 1..=first_segment].iter().any(|s| s.discontinuity) {
            Boundary::Marked
        } else if segments[before].location == segment.location && segments[before].byte_range == segment.byte_range {
            Boundary::Restart
        } else {
            Boundary::Unmarked
        }
    }

    fn is_packed(&self) -> bool {
        self.container.is_some_and(Container::is_packed_audio)
    }

    /// A packet as the timeline takes it; `None` if its stream is left out.
    pub(super) fn item(&mut self, mut demuxed: DemuxedPacket) -> Option<Item<Packet>> {
        if !self.feeding[demuxed.stream].takes(&mut demuxed.packet) {
            self.torn += 1;
            return None;
        }
        let mut stamp = self.stamp(&demuxed)?;
        stamp.order = self.order(&demuxed);
        self.feeding[demuxed.stream].count(&demuxed.packet, &stamp);
        let span = self.span(stamp.wraps, &demuxed);
        self.audit.packet(demuxed.segment, stamp.track, span);
        Some(stamp.with_payload(demuxed.packet))
    }

    /// What the timeline must know of a packet; `None` if its stream is left out.
    pub(super) fn stamp(&mut self, demuxed: &DemuxedPacket) -> Option<Item<()>> {
        let begins = match (self.container, demuxed.audio_start_ticks) {
            (Some(container), Some(_)) if container.is_packed_audio() => Clock::Tags,
            (Some(container), None) if container.is_packed_audio() => Clock::None,
            _ => Clock::Container,
        };
        if self.clock.is_none() {
            self.counts_from = demuxed.segment;
        }
        let clock = *self.clock.get_or_insert(begins);
        let Feeding { track, stream, timed, .. } = &self.feeding[demuxed.stream];
        let packet = &demuxed.packet;
        let data = packet.data();
        let rate = stream.parameters.sample_rate_hz().and_then(TimeBase::per_second);
        // Only where the container's clock cannot say it: MP4 counts in samples itself.
        let coarse = stream.parameters.kind() == MediaKind::Audio && (stream.wraps || clock != Clock::Container);
        let known = || stream.parameters.packet_samples(data.len());
        // E-AC-3 and others tell only their parser, which libav turns into a duration.
        let counted = || u32::try_from(rescale_ticks(packet.duration()?, stream.time_base, rate?)).ok();
        let samples = coarse.then(|| known().or_else(counted)).flatten().filter(|n| *n > 0);
        let time = |samples: u32| rate.map(|rate| Nanos::from_ticks(i64::from(samples), rate));
        let mut item = Item {
            track: (*track)?,
            segment: demuxed.segment,
            pts: packet.pts(),
            dts: packet.dts(),
            duration: packet.duration(),
            base: stream.time_base,
            wraps: stream.wraps,
            samples,
            priming: time(packet.skipped_samples()).unwrap_or_default(),
            tolerance: None,
            floating: clock == Clock::None,
            order: None,
            fingerprint: fingerprint(data),
            bytes: data.len(),
            payload: (),
        };
        // A count of samples knows nothing of what is not there.
        if clock == Clock::None {
            let is_before = |segment: usize| (self.counts_from..demuxed.segment).contains(&segment);
            let holes = self.holes.iter().filter(|(segment, _)| is_before(*segment));
            let ticks = holes.fold(Nanos::ZERO, |sum, (_, time)| sum.plus(*time)).to_ticks(stream.time_base);
            item.pts = item.pts.map(|pts| pts.saturating_add(ticks));
            item.dts = item.dts.map(|dts| dts.saturating_add(ticks));
        }
        // Only where a PES packet begins does a transport stream give a time, and only there has a packet a position. The
        // others have one that libav made, which stands still as long as it has not learned how long a frame is.
        if let (None, Some((begin, before)), Some(rate)) = (packet.position(), timed, rate)
            && packet.pts().is_none_or(|pts| pts <= *begin)
        {
            let ticks = begin.saturating_add(rescale_ticks(*before, rate, stream.time_base));
            (item.pts, item.dts) = (Some(ticks), Some(ticks));
        }
        if item.duration.is_none() {
            item.duration = samples.and_then(time).map(|length| length.to_ticks(stream.time_base));
        }
        if clock == Clock::Tags {
            let length = samples.and_then(time);
            (item.pts, item.dts) = (demuxed.audio_start_ticks, demuxed.audio_start_ticks);
            (item.base, item.wraps) = (TimeBase::MPEG, true);
            (item.duration, item.tolerance) = (length.map(|n| n.to_ticks(TimeBase::MPEG)), length);
        }
        Some(item)
    }

    /// What a picture itself says of when it is shown, from the first on that has no time.
    fn order(&mut self, demuxed: &DemuxedPacket) -> Option<timeline::PictureOrder> {
        let Feeding { stream, order, .. } = &mut self.feeding[demuxed.stream];
        let packet = &demuxed.packet;
        if order.is_none() && packet.pts().is_none() && stream.parameters.kind() == MediaKind::Video {
            // Without it the times of those around it are all there is.
            *order = PictureOrder::new(&stream.parameters).ok().flatten();
        }
        let count = order.as_mut()?.count(packet)?;
        Some(timeline::PictureOrder { count, key: packet.is_key() })
    }

    /// What the playlist says of the segments, for the timeline.
    pub(super) fn announced(&self) -> Vec<Announced> {
        // Where the segment before ends on the wall clock.
        let mut end: Option<Nanos> = None;
        let mut pause = |segment: &Segment| {
            let pause = segment.program_date_time.zip(end).map(|(at, end)| at.minus(end));
            end = segment.program_date_time.or(end).zip(segment.duration).map(|(at, length)| at.plus(length));
            pause
        };
        self.segments.iter().map(|s| Announced { duration: s.duration, pause: pause(s) }).collect()
    }

    /// When a packet is presented, by its container, on a clock that does not wrap.
    fn span(&mut self, wraps: bool, demuxed: &DemuxedPacket) -> Option<(Nanos, Nanos)> {
        let packet = &demuxed.packet;
        let base = self.feeding[demuxed.stream].stream.time_base;
        let mut pts = packet.pts().or(packet.dts())?;
        if wraps && !self.is_packed() {
            pts = nearest_wrapped(pts, self.reference_ticks.unwrap_or(pts));
            self.reference_ticks = Some(pts);
        }
        let end = pts.saturating_add(packet.duration().unwrap_or(0));
        Some((Nanos::from_ticks(pts, base), Nanos::from_ticks(end, base)))
    }

    /// Streams that were left out, and that came when their session had begun.
    pub(super) fn late_dropped(&self) -> &[Dropped] {
        &self.reading.unusable().late_dropped
    }

    /// Packets that could not be used, for warnings.
    pub(super) fn unusable(&self) -> Vec<String> {
        let Unusable { invalid_reads: invalid, late_packets: late, damaged_packets: damaged, .. } =
            *self.reading.unusable();
        let torn = self.torn;
        [
            (damaged, format!("packets left out that are no whole frames: {damaged}")),
            (torn, format!("{torn} torn frames of audio were left out, as where a recording begins inside of one")),
            (late, format!("{late} packets were left out, of streams that nothing tells how to decode")),
            (if late > 0 { 0 } else { invalid }, format!("{invalid} places of invalid data were passed over")),
        ]
        .into_iter()
        .filter_map(|(count, text)| (count > 0).then_some(text))
        .collect()
    }
}

/// The header of each ADTS frame does, and some LATM frames.
fn tells_coding(stream: &Stream, packet: &Packet) -> bool {
    stream.is_adts() || (stream.is_latm() && latm_frame(packet.data()).is_ok_and(|frame| frame.config.is_some()))
}

/// Tells packets of one stream apart without reading all of them.
fn fingerprint(data: &[u8]) -> u64 {
    let (start, end) = (&data[..data.len().min(32)], &data[data.len().saturating_sub(32)..]);
    xxh3_64_with_seed(start, xxh3_64_with_seed(end, data.len() as u64))
}
