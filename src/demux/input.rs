//! One input from its first session to its last, as a sequence of packets.

use std::path::PathBuf;
use std::sync::Arc;

use super::config::Verdict;
use super::ending::{Ending, SegmentEnd};
use super::feed::Feed;
use super::streams::{Dropped, InputRole, select};
use super::taken::Taken;
use crate::av::{Demuxer, DemuxerKind, MediaKind, Packet, Probing, Stream};
use crate::cancel::CancelToken;
use crate::container::{Container, Structure};
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
    state: State,
    role: InputRole,
    on_gap: OnGap,
    probing: Probing,
    cancel: CancelToken,
    /// Stream of the session for each of libav's; `None` for those that are left.
    stream_map: Vec<Option<usize>>,
    /// libav's indexes of streams that are declared, and were not there when the session began.
    awaited: Vec<usize>,
    taken: Vec<Taken>,
    /// First segment of the session.
    first_segment: usize,
    /// Packets of segments behind this one are held back.
    settled_segment: usize,
    /// The first packets of a segment, until it is clear that the session can go on there.
    held: Vec<DemuxedPacket>,
    /// Segments before this one were told to have ended.
    ended_before: usize,
    /// Events that come before the next packet.
    queue: std::collections::VecDeque<Demuxed>,
    invalid_reads: u64,
    late_packets: u64,
    damaged_packets: u64,
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
    /// Nothing can be believed from this segment on: libav read a packet beyond its end.
    Damage { segment: usize },
}

enum State {
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
            queue: std::collections::VecDeque::new(),
            invalid_reads: 0,
            late_packets: 0,
            damaged_packets: 0,
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
                State::Between(feed) => self.begin_session(*feed)?,
                State::Reading(mut demuxer) => {
                    let packet = match demuxer.read() {
                        Ok(packet) => packet,
                        Err(error) if error.kind() == ErrorKind::Media && error.segment().is_none() => {
                            self.give_up(*demuxer, error)?;
                            continue;
                        }
                        Err(error) => return Err(error),
                    };
                    if let Some(feed) = demuxer.reader() {
                        self.tell_ends(feed);
                    }
                    match packet.map(|packet| self.locate(&mut demuxer, packet)).transpose()? {
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

    /// Places in the input's media where libav found nothing that it could read.
    pub(crate) fn invalid_reads(&self) -> u64 {
        self.invalid_reads
    }

    /// Packets of streams that first came when the output's tracks were settled.
    pub(crate) fn late_packets(&self) -> u64 {
        self.late_packets
    }

    /// Packets that were left out, as they were no whole frames.
    pub(crate) fn damaged_packets(&self) -> u64 {
        self.damaged_packets
    }

    /// libav cannot make anything of a segment: that is the job's error, or the segment's loss.
    fn give_up(&mut self, mut demuxer: Demuxer<Feed>, error: Error) -> Result<()> {
        let reached = self.taken.iter().map(|t| t.mark.unwrap_or(0));
        // It is most likely the stream that is behind which libav had to read for; to be sure of all that follows.
        let reached = if self.on_gap == OnGap::Skip { reached.min() } else { reached.max() }.unwrap_or(0);
        let segment =
            demuxer.reader().and_then(|feed| feed.marks.get(reached)).map_or(self.first_segment, |m| m.segment);
        if self.on_gap == OnGap::Skip {
            self.abandon_session(demuxer, segment);
            return Ok(());
        }
        let (sequence, name) = demuxer.reader().map(|feed| feed.place(segment)).unwrap_or_default();
        Err(error.with_segment(sequence, name))
    }

    /// Each segment's end is told once, also if it is read again.
    fn tell_ends(&mut self, feed: &mut Feed) {
        if feed.has_ends() {
            for end in feed.take_ends() {
                if end.segment >= self.ended_before {
                    self.ended_before = end.segment + 1;
                    self.queue.push_back(Demuxed::SegmentEnd(end));
                }
            }
        }
    }

    fn begin_session(&mut self, mut feed: Feed) -> Result<()> {
        let begun = feed.begin_session()?;
        self.tell_ends(&mut feed);
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
        let mut demuxer = match Demuxer::open(feed, kind, self.probing, &self.cancel) {
            Ok(demuxer) => demuxer,
            Err((error, Some(feed))) if self.is_loss(&error) => {
                self.leave_out(feed, first_segment, &in_segment(error));
                return Ok(());
            }
            Err((error, _)) => return Err(in_segment(error)),
        };
        let selection = select(demuxer.streams()?, &demuxer.programs(), self.role);
        if let Some((kind, codec)) = selection.unreadable.filter(|_| self.on_gap == OnGap::Fail) {
            let message =
                format!("its {} is {codec}, which this libav cannot read from a transport stream", kind.name());
            return Err(in_segment(Error::new(ErrorKind::Unsupported, message))
                .with_hint("get it as fragmented MP4, or leave it out with --on-gap skip"));
        }
        self.stream_map = vec![None; demuxer.stream_count()];
        for index in &selection.left {
            demuxer.discard(*index)?;
        }
        self.awaited = selection.awaited;
        for (n, stream) in selection.taken.iter().enumerate() {
            self.stream_map[stream.index] = Some(n);
        }
        if selection.taken.is_empty() {
            let found: Vec<String> = selection.dropped.iter().map(|d| format!("{} ({})", d.codec, d.reason)).collect();
            let found = if found.is_empty() { "no streams".to_owned() } else { found.join(", ") };
            let error = in_segment(Error::new(ErrorKind::Media, format!("nothing in it can be merged: {found}")));
            return match demuxer.into_reader() {
                Some(feed) if self.is_loss(&error) => {
                    self.leave_out(feed, first_segment, &error);
                    Ok(())
                }
                _ => Err(error),
            };
        }
        (self.first_segment, self.settled_segment) = (first_segment, first_segment);
        let before = std::mem::take(&mut self.taken);
        let mut repeated = before.iter().map(|t| (t.kind, t.repeated)).collect::<Vec<_>>();
        for stream in &selection.taken {
            let kind = Some(stream.parameters.kind());
            let again = repeated.iter().position(|(k, _)| *k == kind).map_or(0, |n| repeated.remove(n).1);
            self.taken.push(Taken::new(stream, again));
        }
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
        self.release(usize::MAX);
        let unread = self.unread(&demuxer);
        let reached = self.taken.iter().filter_map(|t| t.mark).max().unwrap_or(0);
        if let Some(mut feed) = demuxer.into_reader() {
            let segment_at = |mark: usize| feed.marks.get(mark).map_or(self.first_segment, |mark| mark.segment);
            let mark_of = |position: u64| feed.marks.partition_point(|m| m.offset <= position).saturating_sub(1);
            let unsound = feed.unsound();
            // libav gave up inside damaged data: what follows the segment that it came to is not lost for that.
            let given_up = || (!feed.is_exhausted()).then(|| unsound.unwrap_or_else(|| segment_at(reached)));
            // Where a segment was only cut, positions say where. Behind a size or a time that is wrong they are wrong too: what
            // a stream came to is right, and what it lacks begins with the next at the latest.
            let listed = |(position, reached): &(u64, usize)| {
                let at = mark_of(*position);
                if unsound.is_some() && at <= reached + 1 { at } else { *reached }
            };
            let damaged = unread.iter().map(listed).min().map(segment_at).or_else(given_up);
            match damaged {
                Some(segment) => {
                    self.taken.iter_mut().for_each(|t| t.repeated = t.given_since(segment + 1));
                    if unsound == Some(segment) {
                        // Its end told already, and better, what is wrong with it.
                        feed.rewind(segment + 1);
                    } else {
                        self.go_behind(&mut feed, segment);
                    }
                }
                None => self.taken.clear(),
            }
            self.state = State::Between(Box::new(feed));
        }
    }

    /// For each stream of which fragments listed more samples than libav gave: where the first of them would stand, and
    /// the mark that the stream came to.
    fn unread(&self, demuxer: &Demuxer<Feed>) -> Vec<(u64, usize)> {
        let streams = self.stream_map.iter().enumerate().filter_map(|(index, stream)| Some((index, (*stream)?)));
        let unread = |(index, stream): (usize, usize)| {
            let taken = &self.taken[stream];
            demuxer.index(index).ok()?.nth(taken.read).map(|entry| (entry.position, taken.mark.unwrap_or(0)))
        };
        streams.filter_map(unread).collect()
    }

    /// An error that costs a segment, and not the job.
    fn is_loss(&self, error: &Error) -> bool {
        self.on_gap == OnGap::Skip && error.kind() == ErrorKind::Media
    }

    /// Goes on behind a session's first segment, of which nothing can be had.
    fn leave_out(&mut self, mut feed: Feed, segment: usize, error: &Error) {
        let ending = Ending::Missing { reason: error.to_string() };
        self.queue.push_back(Demuxed::SegmentEnd(SegmentEnd { segment, ending, bytes: 0 }));
        self.ended_before = segment + 1;
        self.taken.clear();
        feed.rewind(segment + 1);
        self.state = State::Between(Box::new(feed));
    }

    /// Ends the session inside a damaged segment; the next begins behind that.
    fn abandon_session(&mut self, demuxer: Demuxer<Feed>, segment: usize) {
        self.invalid_reads += demuxer.invalid_reads();
        self.release(segment + 1);
        self.taken.iter_mut().for_each(|t| t.repeated = t.given_since(segment + 1));
        if let Some(mut feed) = demuxer.into_reader() {
            self.go_behind(&mut feed, segment);
            self.state = State::Between(Box::new(feed));
        }
    }

    /// Tells that a segment is damaged, and goes on behind it.
    fn go_behind(&mut self, feed: &mut Feed, segment: usize) {
        let ending = Ending::Read { structure: Structure::Broken, init_only: false };
        self.queue.push_back(Demuxed::SegmentEnd(SegmentEnd { segment, ending, bytes: 0 }));
        feed.rewind(segment + 1);
    }

    /// Ends the session before a segment: gives out what is still to come of those before it, and begins
    /// anew with that segment. Of its packets, those that were given out already are left out then.
    fn break_session(&mut self, mut demuxer: Demuxer<Feed>, segment: usize) -> Result<()> {
        if let Some(feed) = demuxer.reader() {
            feed.end_with(segment);
        }
        self.release(segment);
        let repeated: Vec<usize> = self.taken.iter().map(|t| t.given_since(segment)).collect();
        while let Some(packet) = demuxer.read()? {
            let Some(Some(stream)) = self.stream_map.get(packet.stream()).copied() else { continue };
            if let Some(located) = self.place(&mut demuxer, stream, packet).filter(|p| p.segment < segment) {
                self.queue.push_back(Demuxed::Packet(located));
            }
        }
        self.invalid_reads += demuxer.invalid_reads();
        for (taken, repeated) in self.taken.iter_mut().zip(repeated) {
            taken.repeated = repeated;
        }
        if let Some(mut feed) = demuxer.into_reader() {
            feed.rewind(segment);
            self.state = State::Between(Box::new(feed));
        }
        Ok(())
    }

    /// Ends the session inside a segment, where its video changes: gives out what begins before that place, and begins
    /// anew there.
    fn break_inside(&mut self, mut demuxer: Demuxer<Feed>, segment: usize, position: u64) -> Result<()> {
        if let Some(feed) = demuxer.reader() {
            feed.end_with(segment);
        }
        self.release(usize::MAX);
        let repeated: Vec<usize> = self.taken.iter().map(|t| t.given_from(position)).collect();
        while let Some(packet) = demuxer.read()? {
            let Some(Some(stream)) = self.stream_map.get(packet.stream()).copied() else { continue };
            let begins = packet.position().unwrap_or_else(|| self.taken[stream].last_position());
            self.taken[stream].at(begins);
            if let Some(located) = self.place(&mut demuxer, stream, packet).filter(|_| begins < position) {
                self.queue.push_back(Demuxed::Packet(located));
            }
        }
        if let Some(feed) = demuxer.reader() {
            self.tell_ends(feed);
        }
        self.invalid_reads += demuxer.invalid_reads();
        for (taken, repeated) in self.taken.iter_mut().zip(repeated) {
            taken.repeated = repeated;
        }
        if let Some(mut feed) = demuxer.into_reader() {
            feed.rewind(segment);
            self.state = State::Between(Box::new(feed));
        }
        Ok(())
    }

    /// Finds where a packet belongs.
    fn locate(&mut self, demuxer: &mut Demuxer<Feed>, packet: Packet) -> Result<Located> {
        let known = self.stream_map.get(packet.stream()).copied();
        let Some(known) = known.filter(|_| !self.awaited.contains(&packet.stream())) else {
            return self.locate_new(demuxer, &packet);
        };
        let Some(stream) = known else { return Ok(Located::Nowhere) };
        self.taken[stream].read += 1;
        // A damaged table may give a sample no bytes; no muxer takes such a one.
        if packet.data().is_empty() {
            self.invalid_reads += 1;
            return Ok(Located::Nowhere);
        }
        if let Some(segment) = demuxer.reader().and_then(|feed| feed.overrun(&packet)) {
            return Ok(Located::Damage { segment });
        }
        let verdict = self.taken[stream].watch.as_mut().map_or(Verdict::Fits, |watch| watch.look(&packet));
        let begins = packet.position();
        let Some(located) = self.place(demuxer, stream, packet) else { return Ok(Located::Nowhere) };
        // Other streams go on where the sound changes: theirs cannot be cut there.
        let may_cut = self.taken[stream].kind == Some(MediaKind::Video) || self.taken.len() == 1;
        let taken = &mut self.taken[stream];
        if verdict == Verdict::Damaged {
            self.damaged_packets += 1;
            return Ok(Located::Nowhere);
        }
        if let Verdict::Changes { damaged_before } = verdict {
            self.damaged_packets = self.damaged_packets.saturating_sub(u64::from(damaged_before));
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
        if taken.repeated > 0 {
            taken.repeated -= 1;
            return Ok(Located::Nowhere);
        }
        Ok(Located::Here(located))
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
    fn release(&mut self, before: usize) {
        for packet in std::mem::take(&mut self.held) {
            if packet.segment < before {
                self.give_now(packet);
            }
        }
    }

    fn give_now(&mut self, packet: DemuxedPacket) {
        self.taken[packet.stream].count(packet.segment);
        self.queue.push_back(Demuxed::Packet(packet));
    }

    /// A packet of a stream that was not there when the session began.
    fn locate_new(&mut self, demuxer: &mut Demuxer<Feed>, packet: &Packet) -> Result<Located> {
        let parameters = demuxer.stream(packet.stream())?.parameters;
        let kind = parameters.kind();
        let marks = demuxer.reader().map_or(&[][..], |feed| &feed.marks);
        let wanted = matches!((kind, self.role), (MediaKind::Video, InputRole::Everything | InputRole::WithoutAudio))
            || matches!((kind, self.role), (MediaKind::Audio, InputRole::Everything | InputRole::AudioOnly));
        let segment = packet.position().and_then(|at| marks.iter().rev().find(|m| m.offset <= at)).map(|m| m.segment);
        match segment.filter(|segment| wanted && *segment > self.first_segment) {
            Some(segment) => Ok(Located::Break { segment }),
            None if wanted && self.on_gap == OnGap::Fail => {
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
                self.late_packets += u64::from(wanted);
                Ok(Located::Nowhere)
            }
        }
    }

    /// Finds the segment of a packet; `None` if nothing was read.
    fn place(&mut self, demuxer: &mut Demuxer<Feed>, stream: usize, packet: Packet) -> Option<DemuxedPacket> {
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
