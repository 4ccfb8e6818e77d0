//! One input from its first session to its last, as a sequence of packets.

use std::path::PathBuf;
use std::sync::Arc;

use super::feed::{Feed, SegmentEnd};
use super::streams::{Dropped, InputRole, select};
use crate::av::{Demuxer, DemuxerKind, Packet, Probing, Stream};
use crate::cancel::CancelToken;
use crate::container::Container;
use crate::error::{Error, ErrorKind, Result};
use crate::fetch::Fetcher;
use crate::options::{Limits, OnGap};
use crate::playlist::Segment;

/// Media that is read ahead at most, to see streams that come late.
const PROBE_DURATION_US: i64 = 20_000_000;

/// What an input is read from.
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
    state: State,
    role: InputRole,
    probing: Probing,
    cancel: CancelToken,
    /// Stream of the session for each of libav's; `None` for those that are left.
    stream_map: Vec<Option<usize>>,
    /// Position in the session's marks of the packet read last, for each stream of the session.
    last_mark: Vec<Option<usize>>,
    /// Events that come before the next packet.
    queue: std::collections::VecDeque<Demuxed>,
    invalid_reads: u64,
    late_streams: u64,
}

enum State {
    /// Between two sessions.
    Between(Feed),
    Reading(Box<Demuxer<Feed>>),
    Ended,
}

impl InputDemuxer {
    pub(crate) fn new(source: InputSource, limits: &Limits, cancel: &CancelToken) -> Self {
        Self {
            state: State::Between(Feed::new(source.segments, source.fetcher, source.on_gap, source.workspace)),
            role: source.role,
            probing: Probing::Ahead { bytes: limits.probe_bytes, duration_us: PROBE_DURATION_US },
            cancel: cancel.clone(),
            stream_map: Vec::new(),
            last_mark: Vec::new(),
            queue: std::collections::VecDeque::new(),
            invalid_reads: 0,
            late_streams: 0,
        }
    }

    /// What comes next.
    pub(crate) fn read(&mut self) -> Result<Demuxed> {
        loop {
            if let Some(event) = self.queue.pop_front() {
                return Ok(event);
            }
            match std::mem::replace(&mut self.state, State::Ended) {
                State::Ended => return Ok(Demuxed::End),
                State::Between(feed) => self.begin_session(feed)?,
                State::Reading(mut demuxer) => {
                    let packet = demuxer.read()?;
                    if let Some(feed) = demuxer.reader().filter(|feed| feed.has_ends()) {
                        self.queue.extend(feed.take_ends().into_iter().map(Demuxed::SegmentEnd));
                    }
                    match packet {
                        Some(packet) => {
                            let located = self.locate(&mut demuxer, packet);
                            self.state = State::Reading(demuxer);
                            self.queue.extend(located.map(Demuxed::Packet));
                        }
                        None => self.end_session(*demuxer),
                    }
                }
            }
        }
    }

    /// Places in the input's media where libav found nothing that it could read.
    pub(crate) fn invalid_reads(&self) -> u64 {
        self.invalid_reads
    }

    /// Packets of streams that first came when the output's tracks were settled.
    pub(crate) fn late_packets(&self) -> u64 {
        self.late_streams
    }

    fn begin_session(&mut self, mut feed: Feed) -> Result<()> {
        let begun = feed.begin_session()?;
        self.queue.extend(feed.take_ends().into_iter().map(Demuxed::SegmentEnd));
        let Some((container, first_segment)) = begun else {
            self.queue.push_back(Demuxed::End);
            return Ok(());
        };
        let kind = match container {
            Container::MpegTs { .. } => DemuxerKind::MpegTs,
            Container::Mp4 => DemuxerKind::Mp4,
            Container::Adts => DemuxerKind::Aac,
            Container::Mp3 => DemuxerKind::Mp3,
            Container::Ac3 => DemuxerKind::Ac3,
            Container::Eac3 => DemuxerKind::Eac3,
        };
        let place = feed.place(first_segment);
        let in_segment = |e: Error| e.with_segment(place.0, place.1.clone());
        let mut demuxer =
            Demuxer::open(feed, kind, self.probing, &self.cancel).map_err(|(error, _)| in_segment(error))?;
        let selection = select(demuxer.streams()?, &demuxer.programs(), self.role);
        self.stream_map = vec![None; demuxer.stream_count()];
        for index in &selection.left {
            demuxer.discard(*index)?;
        }
        for (n, stream) in selection.taken.iter().enumerate() {
            self.stream_map[stream.index] = Some(n);
        }
        if selection.taken.is_empty() {
            let found: Vec<String> = selection.dropped.iter().map(|d| format!("{} ({})", d.codec, d.reason)).collect();
            let found = if found.is_empty() { "no streams".to_owned() } else { found.join(", ") };
            return Err(in_segment(Error::new(ErrorKind::Media, format!("nothing in it can be merged: {found}"))));
        }
        self.last_mark = vec![None; selection.taken.len()];
        self.queue.push_back(Demuxed::Session {
            first_segment,
            container,
            streams: selection.taken,
            dropped: selection.dropped,
        });
        self.state = State::Reading(Box::new(demuxer));
        Ok(())
    }

    fn end_session(&mut self, demuxer: Demuxer<Feed>) {
        self.invalid_reads += demuxer.invalid_reads();
        if let Some(feed) = demuxer.into_reader() {
            self.state = State::Between(feed);
        }
    }

    /// Finds the stream and the segment of a packet; `None` if its stream is not taken.
    fn locate(&mut self, demuxer: &mut Demuxer<Feed>, packet: Packet) -> Option<DemuxedPacket> {
        let Some(known) = self.stream_map.get(packet.stream()) else {
            self.late_streams += 1;
            return None;
        };
        let stream = (*known)?;
        let marks = &demuxer.reader()?.marks;
        let last = self.last_mark[stream];
        // Where libav does not know, the packet came out of the same data as the one before.
        let mark = match packet.position() {
            Some(position) => marks.partition_point(|m| m.offset <= position).saturating_sub(1).max(last.unwrap_or(0)),
            None => last.unwrap_or(0),
        };
        self.last_mark[stream] = Some(mark);
        let at = marks.get(mark)?;
        Some(DemuxedPacket {
            stream,
            segment: at.segment,
            audio_start_ticks: at.audio_start_ticks.filter(|_| last != Some(mark)),
            packet,
        })
    }
}
