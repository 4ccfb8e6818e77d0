//! One input of a job: its demuxer, what its streams feed, and packets as the timeline takes them.

use std::collections::VecDeque;
use std::sync::Arc;

use super::audit::Audit;
use super::tell::Teller;
use crate::av::{MediaKind, Packet, Parameters};
use crate::cancel::CancelToken;
use crate::container::Container;
use crate::demux::{Demuxed, DemuxedPacket, Ending, InputDemuxer, InputSource, SourceStream};
use crate::error::Result;
use crate::mux::TrackRole;
use crate::options::Limits;
use crate::playlist::Segment;
use crate::time::{Nanos, TimeBase};
use crate::timeline::{Item, nearest_wrapped};

/// Packets that are looked through for the first one of each stream.
const FIRST_PACKETS: usize = 4096;

/// An input as it was planned.
pub(crate) struct PlannedInput {
    pub(crate) source: InputSource,
    pub(crate) role: TrackRole,
}

/// A stream of the present session.
pub(super) struct Feeding {
    /// The track it feeds; `None` if it is left out.
    pub(super) track: Option<usize>,
    kind: MediaKind,
    parameters: Parameters,
    base: TimeBase,
    wraps: bool,
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
    demuxer: InputDemuxer,
    pub(super) role: TrackRole,
    pub(super) segments: Arc<[Segment]>,
    pub(super) audit: Audit,
    /// Read ahead, not yet used.
    queue: VecDeque<Demuxed>,
    pub(super) feeding: Vec<Feeding>,
    clock: Option<Clock>,
    packed: bool,
    /// For the account of segments: times are unwrapped to the neighbourhood of this.
    reference_ticks: Option<i64>,
}

impl Source {
    pub(super) fn new(planned: PlannedInput, limits: &Limits, cancel: &CancelToken) -> Self {
        let segments = planned.source.segments.clone();
        Self {
            audit: Audit::new(segments.clone(), planned.source.on_gap),
            demuxer: InputDemuxer::new(planned.source, limits, cancel),
            role: planned.role,
            segments,
            queue: VecDeque::new(),
            feeding: Vec::new(),
            clock: None,
            packed: false,
            reference_ticks: None,
        }
    }

    /// What comes next. Keeps the account of segments on the way.
    pub(super) fn next(&mut self, tell: &mut Teller) -> Result<Demuxed> {
        let event = match self.queue.pop_front() {
            Some(event) => event,
            None => self.demuxer.read()?,
        };
        match &event {
            Demuxed::SegmentEnd(end) => {
                self.audit.end(end.clone());
                tell.bytes_in += end.bytes;
                tell.segments += 1;
            }
            // Two segments back, as packets of one may still come when the next has begun.
            Demuxed::Packet(packet) => self.audit.settle(packet.segment.saturating_sub(2), tell)?,
            Demuxed::End => self.audit.finish(tell)?,
            Demuxed::Session { .. } => {}
        }
        Ok(event)
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

    /// The first packet of each stream of a session that was just begun; reads ahead for it.
    pub(super) fn first_packets(&mut self, streams: &[SourceStream]) -> Result<Vec<Option<Packet>>> {
        let mut first: Vec<Option<Packet>> = streams.iter().map(|_| None).collect();
        let mut wanted = streams.iter().filter(|s| s.adts).count();
        while wanted > 0 && self.queue.len() < FIRST_PACKETS {
            let event = self.demuxer.read()?;
            let ends = matches!(event, Demuxed::Session { .. } | Demuxed::End);
            if let Demuxed::Packet(DemuxedPacket { stream, packet, .. }) = &event
                && first[*stream].is_none()
            {
                first[*stream] = Some(packet.try_clone()?);
                wanted -= usize::from(streams[*stream].adts);
            }
            self.queue.push_back(event);
            if ends {
                break;
            }
        }
        Ok(first)
    }

    /// A session begins; `tracks` says which track each of its streams feeds.
    pub(super) fn begin_session(&mut self, container: Container, streams: Vec<SourceStream>, tracks: &[Option<usize>]) {
        self.packed = container.is_packed_audio();
        self.clock = None;
        let feeding = streams.into_iter().zip(tracks).map(|(s, track)| Feeding {
            track: *track,
            kind: s.kind,
            parameters: s.parameters,
            base: s.time_base,
            wraps: s.wraps,
        });
        self.feeding = feeding.collect();
    }

    /// A packet as the timeline takes it; `None` if its stream is left out.
    pub(super) fn item(&mut self, demuxed: DemuxedPacket) -> Option<Item<Packet>> {
        let DemuxedPacket { stream, segment, audio_start_ticks, packet } = demuxed;
        let clock = *self.clock.get_or_insert(match (self.packed, audio_start_ticks) {
            (false, _) => Clock::Container,
            (true, Some(_)) => Clock::Tags,
            (true, None) => Clock::None,
        });
        let feeding = &self.feeding[stream];
        let rate_hz = feeding.parameters.sample_rate_hz();
        let data = packet.data();
        // Only where the container's clock cannot say it: MP4 counts in samples itself.
        let coarse = feeding.kind == MediaKind::Audio && (feeding.wraps || clock != Clock::Container);
        let samples = coarse.then(|| feeding.parameters.packet_samples(data.len())).flatten();
        let frame = |samples: u32| Some(Nanos::from_ticks(i64::from(samples), rate_hz.and_then(TimeBase::per_second)?));
        let mut item = Item {
            track: 0,
            segment,
            pts: packet.pts(),
            dts: packet.dts(),
            duration: packet.duration(),
            base: feeding.base,
            wraps: feeding.wraps,
            samples,
            priming: frame(packet.skipped_samples()).unwrap_or_default(),
            tolerance: None,
            floating: clock == Clock::None,
            fingerprint: fingerprint(data),
            bytes: data.len(),
            payload: packet,
        };
        if clock == Clock::Tags {
            let length = samples.and_then(frame);
            (item.pts, item.dts) = (audio_start_ticks, audio_start_ticks);
            (item.base, item.wraps) = (TimeBase::MPEG, true);
            (item.duration, item.tolerance) = (length.map(|n| n.to_ticks(TimeBase::MPEG)), length);
        }
        item.track = feeding.track?;
        let span = self.span(&item);
        self.audit.packet(segment, span);
        Some(item)
    }

    /// When a packet is presented, on a clock that does not wrap.
    fn span(&mut self, item: &Item<Packet>) -> Option<(Nanos, Nanos)> {
        let mut pts = item.payload.pts().or(item.payload.dts())?;
        let base = if self.packed { self.feeding.first()?.base } else { item.base };
        if item.wraps && !self.packed {
            pts = nearest_wrapped(pts, self.reference_ticks.unwrap_or(pts));
            self.reference_ticks = Some(pts);
        }
        let end = pts.saturating_add(item.payload.duration().unwrap_or(0));
        Some((Nanos::from_ticks(pts, base), Nanos::from_ticks(end, base)))
    }

    /// Packets that could not be used, for a warning; `None` if there are none.
    pub(super) fn unusable(&self) -> Option<String> {
        match (self.demuxer.invalid_reads(), self.demuxer.late_packets()) {
            (0, 0) => None,
            (invalid, 0) => Some(format!("{invalid} places of invalid data were passed over")),
            (_, late) => Some(format!("{late} packets belong to streams that came after the tracks were settled")),
        }
    }
}

/// Tells packets of one stream apart without reading all of them.
fn fingerprint(data: &[u8]) -> u64 {
    use std::hash::{DefaultHasher, Hasher};
    let mut hasher = DefaultHasher::new();
    hasher.write_usize(data.len());
    hasher.write(&data[..data.len().min(32)]);
    hasher.write(&data[data.len().saturating_sub(32)..]);
    hasher.finish()
}
