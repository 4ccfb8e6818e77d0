//! One input from its first session to its last, as a sequence of packets.

mod locate;

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use super::ending::SegmentEnd;
use super::ends::is_of_media;
use super::feed::Feed;
use super::pictures::{Irregular, Pictures, Whole};
use super::streams::{Dropped, InputRole};
use super::taken::Taken;
use crate::av::{Demuxer, Packet, Probing, Stream};
use crate::cancel::CancelToken;
use crate::container::Container;
use crate::error::Result;
use crate::fetch::Fetcher;
use crate::options::{Limits, OnGap};
use crate::playlist::Segment;
use locate::Located;

/// Media that is read ahead at most, to see streams that come late.
const PROBE_DURATION_US: i64 = 20_000_000;

/// Packets of a segment's start that are looked at before the session goes on there.
const HELD_PACKETS: std::ops::Range<usize> = 16..64;

/// What an input is read from.
#[derive(Clone)]
pub(crate) struct InputSource {
    pub(crate) segments: Arc<[Segment]>,
    pub(crate) fetcher: Arc<Fetcher>,
    pub(crate) role: InputRole,
    pub(crate) on_gap: OnGap,
    pub(crate) workspace: PathBuf,
}

/// What comes out of an input next.
pub(crate) enum Demuxed {
    /// A session begins; the packets that follow are its.
    Session {
        first_segment: usize,
        container: Container,
        streams: Vec<Stream>,
        dropped: Vec<Dropped>,
    },
    Packet(DemuxedPacket),
    /// A segment's bytes were read to their end. Packets of it may still follow.
    SegmentEnd(SegmentEnd),
    End,
}

/// A packet with its place.
pub(crate) struct DemuxedPacket {
    /// Index among the session's streams.
    pub(crate) stream: usize,
    /// Position of its segment in the input.
    pub(crate) segment: usize,
    /// On the first packet of a segment of packed audio: the time out of its tag, in ticks of 90 kHz.
    pub(crate) audio_start_ticks: Option<i64>,
    pub(crate) packet: Packet,
}

/// Reads an input. Blocks on its segments.
pub(crate) struct InputDemuxer {
    pub(super) state: State,
    pub(super) role: InputRole,
    pub(super) on_gap: OnGap,
    pub(super) probing: Probing,
    pub(super) cancel: CancelToken,
    /// Stream of the session for each of libav's; `None` for those that are left.
    pub(super) stream_map: Vec<Option<usize>>,
    /// libav's indexes of streams that are declared, and were not there when the session began.
    pub(super) awaited: Vec<usize>,
    pub(super) taken: Vec<Taken>,
    /// First segment of the session.
    pub(super) first_segment: usize,
    /// Packets of segments behind this one are held back.
    pub(super) settled_segment: usize,
    /// The first packets of a segment, until it is clear that the session can go on there.
    held: Vec<DemuxedPacket>,
    /// Segments before this one were told to have ended.
    pub(super) ended_before: usize,
    /// Events that come before the next packet.
    pub(super) queue: VecDeque<Demuxed>,
    /// They wait until the session that they begin with has a packet to give: of one without any, its parameters may be
    /// guesses out of damaged data.
    pub(super) is_waiting: bool,
    /// The input's pictures may be taken as its PES packets hold them; not once one of those was no picture.
    pub(super) by_pictures: bool,
    /// The session that begins goes on with the one before it, which was told of.
    pub(super) resumes: bool,
    /// The stream of the session that is read so, by libav's index.
    pub(super) pictures: Option<(usize, Pictures)>,
    /// Of it, those that were found to be whole, and where what follows them was not.
    pub(super) whole: VecDeque<Whole>,
    pub(super) irregular: Option<u64>,
    /// The last segment, or the session's first, whose pictures come with the stream's parameters.
    pub(super) anchor: usize,
    pub(super) unusable: Unusable,
}

/// What of an input could not be used.
#[derive(Debug, Clone, Default)]
pub(crate) struct Unusable {
    /// Places in the media where libav found nothing that it could read.
    pub(crate) invalid_reads: u64,
    /// Packets of streams that first came when the output's tracks were settled.
    pub(crate) late_packets: u64,
    /// Streams that were left out, and that came when their session had begun.
    pub(crate) late_dropped: Vec<Dropped>,
    /// Packets that were left out, as they were no whole frames.
    pub(crate) damaged_packets: u64,
}

/// What the session's demuxer gives next.
pub(super) enum Next {
    /// A packet; whether the parameters of the stream that is read by pictures come with it.
    Packet(Packet, bool),
    /// What begins here is no picture, and only pictures were expected.
    Irregular {
        position: u64,
    },
    End,
}

pub(super) enum State {
    /// Between two sessions.
    Between(Box<Feed>),
    Reading(Box<Demuxer<Feed>>),
    Ended,
}

impl InputDemuxer {
    pub(crate) fn new(source: InputSource, limits: &Limits, cancel: &CancelToken) -> Self {
        Self {
            state: State::Between(Box::new(Feed::new(
                source.segments,
                source.fetcher,
                source.on_gap,
                source.workspace,
            ))),
            role: source.role,
            on_gap: source.on_gap,
            probing: Probing::Ahead { bytes: limits.probe_bytes, duration_us: PROBE_DURATION_US },
            cancel: cancel.clone(),
            stream_map: Vec::new(),
            awaited: Vec::new(),
            taken: Vec::new(),
            first_segment: 0,
            settled_segment: 0,
            held: Vec::new(),
            ended_before: 0,
            queue: VecDeque::new(),
            is_waiting: false,
            by_pictures: true,
            resumes: false,
            pictures: None,
            whole: VecDeque::new(),
            irregular: None,
            anchor: 0,
            unusable: Unusable::default(),
        }
    }

    /// What comes next.
    pub(crate) fn read(&mut self) -> Result<Demuxed> {
        loop {
            if !self.is_waiting
                && let Some(event) = self.queue.pop_front()
            {
                return Ok(event);
            }
            match std::mem::replace(&mut self.state, State::Ended) {
                State::Ended => return Ok(Demuxed::End),
                State::Between(feed) => self.begin_session(*feed)?,
                State::Reading(mut demuxer) => {
                    let next = match self.next(&mut demuxer) {
                        Err(error) if is_of_media(&error) && demuxer.reader().is_some_and(|feed| feed.is_endless()) => {
                            Next::End
                        }
                        Err(error) if is_of_media(&error) && self.pictures.is_none() => {
                            self.give_up(*demuxer, error)?;
                            continue;
                        }
                        // What libav makes of it where it looks for the pictures itself is what counts.
                        Err(error) if is_of_media(&error) => Next::Irregular { position: 0 },
                        next => next?,
                    };
                    if let Some(feed) = demuxer.reader() {
                        self.tell_ends(feed);
                    }
                    let located = match next {
                        Next::Packet(packet, is_anchor) => Some(self.locate(&mut demuxer, packet, is_anchor)?),
                        Next::Irregular { .. } => {
                            self.leave_pictures(*demuxer)?;
                            continue;
                        }
                        Next::End => None,
                    };
                    match located {
                        Some(Located::Break { segment }) => self.break_session(*demuxer, segment)?,
                        Some(Located::BreakInside { segment, position }) => {
                            self.break_inside(*demuxer, segment, position)?;
                        }
                        Some(Located::Damage { segment }) => self.abandon_session(*demuxer, segment),
                        Some(Located::Here(packet)) => {
                            self.give(packet);
                            self.state = State::Reading(demuxer);
                        }
                        Some(Located::Nowhere) => self.state = State::Reading(demuxer),
                        None => self.end_session(*demuxer),
                    }
                }
            }
        }
    }

    /// The next packet, of the stream that is read by pictures the next picture.
    pub(super) fn next(&mut self, demuxer: &mut Demuxer<Feed>) -> Result<Next> {
        loop {
            if let Some(Whole { packet, has_parameters }) = self.whole.pop_front() {
                return Ok(Next::Packet(packet, has_parameters));
            }
            if let Some(position) = self.irregular.take() {
                return Ok(Next::Irregular { position });
            }
            let packet = demuxer.read()?;
            let checked = match (packet, &mut self.pictures) {
                (Some(packet), Some((video, pictures))) if packet.stream() == *video => {
                    pictures.push(packet, &mut self.whole)?
                }
                (Some(packet), _) => return Ok(Next::Packet(packet, false)),
                (None, Some((_, pictures))) if pictures.is_waiting() => pictures.finish(&mut self.whole)?,
                (None, _) => return Ok(Next::End),
            };
            if let ControlFlow::Break(Irregular { position }) = checked {
                self.irregular = Some(position);
            }
        }
    }

    /// What could not be used so far.
    pub(crate) fn unusable(&self) -> &Unusable {
        &self.unusable
    }

    /// Each segment's end is told once, also if it is read again.
    pub(super) fn tell_ends(&mut self, feed: &mut Feed) {
        if feed.has_ends() {
            for end in feed.take_ends() {
                if end.segment >= self.ended_before {
                    self.ended_before = end.segment + 1;
                    self.queue.push_back(Demuxed::SegmentEnd(end));
                }
            }
        }
    }

    /// Whether the session before gave this packet out already.
    pub(super) fn is_repeated(&mut self, packet: &DemuxedPacket) -> bool {
        let taken = &mut self.taken[packet.stream];
        if taken.repeated == 0 {
            return false;
        }
        taken.repeated -= 1;
        taken.count(packet.segment);
        true
    }

    /// Gives a packet out, or holds it back while a stream could still turn out to change in its segment.
    fn give(&mut self, packet: DemuxedPacket) {
        let segment = packet.segment;
        if segment <= self.settled_segment {
            self.give_now(packet);
            return;
        }
        self.held.push(packet);
        let came = |stream: usize| self.held.iter().any(|p| p.stream == stream && p.segment >= segment);
        let enough = self.held.len() >= HELD_PACKETS.start && (0..self.taken.len()).all(came);
        if enough || self.held.len() >= HELD_PACKETS.end {
            self.settled_segment = segment;
            self.release(usize::MAX);
        }
    }

    /// Gives out what is held back of the segments before one, and drops the rest.
    pub(super) fn release(&mut self, before: usize) {
        for packet in std::mem::take(&mut self.held) {
            if packet.segment < before {
                self.give_now(packet);
            }
        }
    }

    pub(super) fn give_now(&mut self, packet: DemuxedPacket) {
        self.is_waiting = false;
        self.taken[packet.stream].count(packet.segment);
        self.queue.push_back(Demuxed::Packet(packet));
    }
}
