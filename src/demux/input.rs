//! One input from its first session to its last, as a sequence of packets.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use super::begin::encrypted_error;
use super::config::Verdict;
use super::ending::SegmentEnd;
use super::ends::is_of_media;
use super::feed::Feed;
use super::pictures::{Irregular, Pictures, Whole};
use super::streams::{Dropped, InputRole};
use super::taken::Taken;
use crate::av::{Demuxer, MediaKind, Packet, Probing, Stream};
use crate::cancel::CancelToken;
use crate::container::Container;
use crate::error::{Error, ErrorKind, Result};
use crate::fetch::Fetcher;
use crate::options::{Limits, OnGap};
use crate::playlist::Segment;

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

/// Where a packet belongs.
enum Located {
    /// To a stream that is taken.
    Here(DemuxedPacket),
    /// To one that is not.
    Nowhere,
    /// The session cannot go on from this segment: a stream began or changed there.
    Break { segment: usize },
    /// The same from a byte of the session on, inside a segment.
    BreakInside { segment: usize, position: u64 },
    /// Nothing can be believed from this segment on: libav read a packet of it outside of its bytes.
    Damage { segment: usize },
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

    /// Finds where a packet belongs.
    fn locate(&mut self, demuxer: &mut Demuxer<Feed>, packet: Packet, is_anchor: bool) -> Result<Located> {
        let known = self.stream_map.get(packet.stream()).copied();
        let Some(known) = known.filter(|_| !self.awaited.contains(&packet.stream())) else {
            return self.locate_new(demuxer, &packet);
        };
        let Some(stream) = known else { return Ok(Located::Nowhere) };
        self.taken[stream].read += 1;
        // A damaged table may give a sample no bytes; no muxer takes such a one.
        if packet.data().is_empty() {
            self.unusable.invalid_reads += 1;
            return Ok(Located::Nowhere);
        }
        let (id, number) = (self.taken[stream].id, self.taken[stream].read - 1);
        if let Some(segment) = demuxer.reader().and_then(|feed| feed.astray(&packet, id, number)) {
            return Ok(Located::Damage { segment });
        }
        let (is_encrypted, kind) = (packet.is_encrypted(), self.taken[stream].kind.unwrap_or(MediaKind::Data));
        let verdict = self.taken[stream].watch.as_mut().map_or(Verdict::Fits, |watch| watch.look(&packet));
        let begins = packet.position();
        let Some(located) = self.place(demuxer, stream, packet) else { return Ok(Located::Nowhere) };
        if is_encrypted {
            let feed = demuxer.reader();
            let track = feed.as_ref().and_then(|feed| feed.tracks.iter().find(|track| track.number == id));
            let how = track.and_then(|track| track.protection).map(|how| how.describe()).unwrap_or_default();
            let place = feed.map(|feed| feed.place(located.segment)).unwrap_or_default();
            return Err(encrypted_error(kind, &how).with_segment(place.0, place.1));
        }
        // Other streams go on where the sound changes: theirs cannot be cut there.
        let may_cut = self.taken[stream].kind == Some(MediaKind::Video) || self.taken.len() == 1;
        let taken = &mut self.taken[stream];
        if verdict == Verdict::Damaged {
            self.unusable.damaged_packets += 1;
            return Ok(Located::Nowhere);
        }
        if let Verdict::Changes { damaged_before } = verdict {
            self.unusable.damaged_packets = self.unusable.damaged_packets.saturating_sub(u64::from(damaged_before));
            if taken.given_since(located.segment) > 0 || self.first_segment == located.segment {
                if let Some(position) = begins.filter(|_| may_cut)
                    && demuxer.reader().is_some_and(|feed| feed.cut(located.segment, position))
                {
                    return Ok(Located::BreakInside { segment: located.segment, position });
                }
                let place = demuxer.reader().map(|feed| feed.place(located.segment)).unwrap_or_default();
                return Err(Error::new(ErrorKind::Unsupported, "codec parameters change inside it")
                    .with_hint("one track cannot hold both, and the output can be split between segments only")
                    .with_segment(place.0, place.1));
            }
            return Ok(Located::Break { segment: located.segment });
        }
        taken.at(begins.unwrap_or_else(|| taken.last_position()));
        if is_anchor {
            self.anchor = located.segment;
        }
        Ok(if self.is_repeated(&located) { Located::Nowhere } else { Located::Here(located) })
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

    /// A packet of a stream that was not there when the session began.
    fn locate_new(&mut self, demuxer: &mut Demuxer<Feed>, packet: &Packet) -> Result<Located> {
        let Stream { id, parameters, .. } = demuxer.stream(packet.stream())?;
        let kind = parameters.kind();
        let is_unnamed = demuxer.reader().is_some_and(|feed| feed.declared().is_unnamed(id));
        // Until a table names it, another session would know no more of it than this one.
        let is_known = is_unnamed && self.awaited.contains(&packet.stream());
        let marks = demuxer.reader().map_or(&[][..], |feed| &feed.marks);
        let wanted = matches!((kind, self.role), (MediaKind::Video, InputRole::Everything | InputRole::WithoutAudio))
            || matches!((kind, self.role), (MediaKind::Audio, InputRole::Everything | InputRole::AudioOnly));
        let segment = packet.position().and_then(|at| marks.iter().rev().find(|m| m.offset <= at)).map(|m| m.segment);
        match segment.filter(|segment| wanted && !is_known && *segment > self.first_segment) {
            Some(segment) => Ok(Located::Break { segment }),
            None if wanted && self.on_gap == OnGap::Fail && !is_unnamed => {
                let place = demuxer.reader().map(|feed| feed.place(self.first_segment)).unwrap_or_default();
                let stream = format!("{} {}", kind.name(), parameters.codec().name());
                Err(Error::new(
                    ErrorKind::Media,
                    format!("its {stream} stream has packets, and nothing tells how to decode them"),
                )
                .with_hint("get the segment again, or leave the stream out with --on-gap skip")
                .with_segment(place.0, place.1))
            }
            None => {
                self.unusable.late_packets += u64::from(wanted);
                if wanted && is_unnamed && !is_known {
                    let dropped = Dropped::unnamed(kind, parameters.codec().name());
                    if !self.unusable.late_dropped.contains(&dropped) {
                        self.unusable.late_dropped.push(dropped);
                    }
                }
                Ok(Located::Nowhere)
            }
        }
    }

    /// Finds the segment of a packet; `None` if nothing was read.
    pub(super) fn place(
        &mut self,
        demuxer: &mut Demuxer<Feed>,
        stream: usize,
        packet: Packet,
    ) -> Option<DemuxedPacket> {
        let marks = &demuxer.reader()?.marks;
        let taken = &mut self.taken[stream];
        let last = taken.mark;
        // Where libav does not know, the packet came out of the same data as the one before.
        let mark = match packet.position() {
            Some(position) => marks.partition_point(|m| m.offset <= position).saturating_sub(1).max(last.unwrap_or(0)),
            None => last.unwrap_or(0),
        };
        taken.mark = Some(mark);
        let at = marks.get(mark)?;
        Some(DemuxedPacket {
            stream,
            segment: at.segment,
            audio_start_ticks: at.audio_start_ticks.filter(|_| last != Some(mark)),
            packet,
        })
    }
}
