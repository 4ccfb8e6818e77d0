//! The bytes of a session, one segment behind the other, as a demuxer reads them.

use std::path::PathBuf;
use std::sync::Arc;

use super::ending::{Ending, SegmentEnd};
use super::fragments::Fragments;
use super::glimpse::Glimpse;
use super::open::{Open, goes_on_in, scrambled};
use super::seekable::Seekable;
use super::streams::Declared;
use crate::av::{Packet, Reader};
use crate::container::{Container, InitPrefix, MovieTrack, Packed, Structure, Tables, TsPackets, tracks_in, tracks_of};
use crate::error::{Error, ErrorKind, Result};
use crate::fetch::Fetcher;
use crate::options::OnGap;
use crate::playlist::{InitSection, Segment};

/// libav keeps an index of all fragments that a context read: each context reads so many segments at most.
const MP4_SESSION_SEGMENTS: usize = 300;
/// Scrambled packets of a segment from which on they are no damage.
const SCRAMBLED_PACKETS: u64 = 8;

/// ISO/IEC 13818-1, table 2-34.
const H264_STREAM_TYPE: u8 = 0x1b;

/// Bytes of packed audio that are looked through at once.
const PACKED_PIECE_BYTES: usize = 32 << 10;

/// Where a segment begins in the session's bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    pub(super) offset: u64,
    pub(super) segment: usize,
    pub(super) audio_start_ticks: Option<i64>,
}

/// The session at hand.
struct Session {
    container: Container,
    map: Option<Arc<InitSection>>,
    /// The init section that was fed.
    init: Vec<u8>,
    init_at: usize,
    /// What the PIDs of its first segment carry.
    tables: Tables,
    /// Of packed audio: what finds its frames.
    packed: Option<Packed>,
}

/// A place inside a segment that a session begins at: what comes before is left out, but for the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cut {
    segment: usize,
    at: u64,
}

/// All segments of an input; reads as those of the present session.
pub(crate) struct Feed {
    segments: Arc<[Segment]>,
    fetcher: Arc<Fetcher>,
    on_gap: OnGap,
    workspace: PathBuf,
    /// The next segment to open.
    next: usize,
    /// The segment that the session may read last; `None`: as many as belong to it.
    last: Option<usize>,
    cut: Option<Cut>,
    /// The one before it.
    cut_before: Option<Cut>,
    /// Bytes that it left out of the session.
    cut_bytes: u64,
    open: Option<Open>,
    /// The open segment belongs to the session, and its bytes are being read.
    reading: bool,
    /// The session was read to its end.
    exhausted: bool,
    /// Its last box left its size open.
    endless: bool,
    session: Option<Session>,
    seekable: Option<Seekable>,
    offset: u64,
    pub(super) marks: Vec<Mark>,
    /// What the session's fragments listed.
    pub(super) fragments: Fragments,
    /// Tracks that the session's `moov` declares.
    pub(super) tracks: Vec<MovieTrack>,
    ends: Vec<SegmentEnd>,
    /// Follows the session's packets where it is TS.
    packets: Option<TsPackets>,
    /// Bytes behind the last whole TS packet, which wait for the rest of theirs; of packed audio those that are
    /// ready to be read.
    carry: Vec<u8>,
    /// Leaves out most of its pictures.
    glimpse: Option<Glimpse>,
}

impl Feed {
    pub(super) fn new(segments: Arc<[Segment]>, fetcher: Arc<Fetcher>, on_gap: OnGap, workspace: PathBuf) -> Self {
        Self {
            segments,
            fetcher,
            on_gap,
            workspace,
            next: 0,
            last: None,
            cut: None,
            cut_before: None,
            cut_bytes: 0,
            open: None,
            reading: false,
            exhausted: false,
            endless: false,
            session: None,
            seekable: None,
            offset: 0,
            marks: Vec::new(),
            fragments: Fragments::default(),
            tracks: Vec::new(),
            ends: Vec::new(),
            packets: None,
            carry: Vec::new(),
            glimpse: None,
        }
    }

    /// What became of the segments that ended since the last call.
    pub(super) fn take_ends(&mut self) -> Vec<SegmentEnd> {
        std::mem::take(&mut self.ends)
    }

    pub(super) fn has_ends(&self) -> bool {
        !self.ends.is_empty()
    }

    /// The segment that lists a packet and does not hold it, if that is so: fragments hold theirs whole
    /// (ISO/IEC 14496-12, 8.8.8), so its sizes or offsets are wrong. `number`: of the packets of its track.
    pub(super) fn astray(&self, packet: &Packet, track: u32, number: u64) -> Option<usize> {
        let session = self.session.as_ref().filter(|s| s.container == Container::Mp4 && self.seekable.is_none())?;
        let start = packet.position()?.max(session.init.len() as u64);
        let next = self.marks.partition_point(|mark| mark.offset <= start);
        let at = next.saturating_sub(1);
        let end = self.marks.get(next).map_or(self.offset, |next| next.offset);
        let listed_by = self.fragments.mark_of(track, number).filter(|mark| *mark < at);
        let overruns = start + packet.data().len() as u64 > end;
        listed_by.or(overruns.then_some(at)).and_then(|mark| self.marks.get(mark)).map(|mark| mark.segment)
    }

    /// What the session's own tables say of its streams, as far as they were met.
    pub(super) fn declared(&self) -> Declared {
        let empty = self.tracks.iter().filter(|track| track.is_empty).map(|track| track.number).collect();
        Declared { empty, media: self.packets.as_ref().and_then(TsPackets::media_pids) }
    }

    /// Lets the session end with this segment.
    pub(super) fn end_with(&mut self, segment: usize) {
        self.last = Some(segment);
    }

    /// The segment whose end was not sound, so that the session had to end with it.
    pub(super) fn unsound(&self) -> Option<usize> {
        self.session.as_ref().filter(|session| session.container == Container::Mp4).and(self.last)
    }

    /// The demuxer came to the end of media that goes on to the end of its file, which libav takes for a file that is cut.
    pub(super) fn is_endless(&self) -> bool {
        self.endless && self.exhausted
    }

    /// Bytes of such a session.
    pub(super) fn end_of_endless(&self) -> Option<u64> {
        self.is_endless().then_some(self.offset)
    }

    /// Whether the demuxer took all of the session, or gave it up before.
    pub(super) fn is_exhausted(&self) -> bool {
        self.exhausted || self.seekable.is_some()
    }

    /// Lets the next session begin inside a segment, at a byte of this session; false where it cannot.
    pub(super) fn cut(&mut self, segment: usize, position: u64) -> bool {
        let Some(packet_bytes) = self.session.as_ref().and_then(|s| match s.container {
            Container::MpegTs { packet_bytes } => Some(packet_bytes as u64),
            _ => None,
        }) else {
            return false;
        };
        let Some(mark) = self.marks.iter().position(|mark| mark.segment == segment) else { return false };
        let left_out = if mark == 0 { self.cut_bytes } else { 0 };
        let at = position.saturating_sub(self.marks[mark].offset) + left_out;
        let before = self.cut.filter(|cut| cut.segment == segment && mark == 0).map_or(0, |cut| cut.at);
        self.cut_before = self.cut.replace(Cut { segment, at: at - at % packet_bytes });
        at > before
    }

    /// Takes back the last cut.
    pub(super) fn uncut(&mut self) {
        self.cut = self.cut_before.take();
    }

    /// The segment that a byte of the session belongs to.
    pub(super) fn segment_at(&self, position: u64) -> usize {
        let mark = self.marks.partition_point(|mark| mark.offset <= position).saturating_sub(1);
        self.marks.get(mark).map_or(self.next, |mark| mark.segment)
    }

    /// Goes to a segment: the next session begins with it, or inside it.
    pub(super) fn rewind(&mut self, segment: usize) {
        self.cut = self.cut.filter(|cut| cut.segment == segment);
        self.next = segment;
        self.open = None;
        self.reading = false;
        self.ends.clear();
    }

    /// Begins the next session; tells its container and first segment. `None` at the end of the input.
    pub(super) fn begin_session(&mut self) -> Result<Option<(Container, usize)>> {
        self.session = None;
        self.seekable = None;
        self.glimpse = None;
        (self.last, self.exhausted, self.endless) = (None, false, false);
        if !self.open_next()? {
            return Ok(None);
        }
        let Some(open) = &self.open else { return Ok(None) };
        let segment = open.segment;
        let container = open.container;
        let tables = open.tables.clone();
        let map = self.segments[segment].init.clone();
        let mut init = Vec::new();
        if container == Container::Mp4 {
            match (open.prefix, &map) {
                (InitPrefix::Length(length), _) => {
                    init = open.bytes.head()[..length.min(open.bytes.head().len())].to_vec()
                }
                (InitPrefix::None, Some(map)) => init = self.fetcher.read_init(map).map_err(|e| self.at(segment, e))?,
                (InitPrefix::None, None) => {
                    let error = Error::new(ErrorKind::Media, "a fragment without an init section");
                    return Err(self.at(segment, error.with_hint("its playlist must name one with EXT-X-MAP")));
                }
                (InitPrefix::Only | InitPrefix::AtEnd, _) => {}
            }
        }
        (self.offset, self.marks, self.carry, self.cut_bytes) = (0, Vec::new(), Vec::new(), 0);
        self.fragments = Fragments::default();
        self.tracks = tracks_in(&init);
        self.packets = match container {
            Container::MpegTs { packet_bytes } => Some(TsPackets::new(packet_bytes)),
            _ => None,
        };
        let at_end = open.prefix == InitPrefix::AtEnd;
        let packed = container.is_packed_audio().then(|| Packed::new(container));
        self.session = Some(Session { container, map, init, init_at: 0, tables, packed });
        if at_end {
            self.read_seekable(segment)?;
        } else {
            self.begin_segment();
        }
        Ok(Some((container, segment)))
    }

    /// Lets the session that just began show no more than the start of each picture. False where it is no transport stream
    /// with one stream of H.264, by its tables.
    pub(super) fn glimpse(&mut self) -> bool {
        self.glimpse = self.session.as_ref().and_then(|session| {
            let Container::MpegTs { packet_bytes } = session.container else { return None };
            let mut videos = session.tables.streams.iter().filter(|(_, kind)| *kind == H264_STREAM_TYPE);
            let (pid, _) = videos.next().filter(|_| videos.next().is_none())?;
            Some(Glimpse::new(*pid, packet_bytes))
        });
        self.glimpse.is_some()
    }

    /// Media sequence number and name of a segment.
    pub(super) fn place(&self, segment: usize) -> (u64, String) {
        let segment = &self.segments[segment];
        (segment.media_sequence, segment.location.display())
    }

    fn at(&self, segment: usize, error: Error) -> Error {
        let (media_sequence, name) = self.place(segment);
        error.with_segment(media_sequence, name)
    }

    /// A whole file with its index at the end is the session's only segment.
    fn read_seekable(&mut self, segment: usize) -> Result<()> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let (file, range) = open.bytes.into_file(&self.workspace).map_err(|e| self.at(segment, e))?;
        let seekable = self.seekable.insert(Seekable::new(file, range));
        self.tracks = seekable.moov()?.map_or_else(Vec::new, |moov| tracks_of(&moov));
        self.marks = vec![Mark { offset: 0, segment, audio_start_ticks: None }];
        let ending = Ending::Read { structure: Structure::Whole, init_only: false };
        self.ends.push(SegmentEnd { segment, ending, bytes: range.length });
        Ok(())
    }

    /// Makes sure that a segment is open; false at the end of the input.
    fn open_next(&mut self) -> Result<bool> {
        while self.open.is_none() {
            let Some(segment) = self.segments.get(self.next) else { return Ok(false) };
            let position = self.next;
            self.next += 1;
            let ending = if segment.gap {
                Ending::Gap
            } else {
                match Open::new(&self.fetcher, &self.segments[position], position).map_err(|e| self.at(position, e)) {
                    Ok(Some(open)) => {
                        self.open = Some(open);
                        return Ok(true);
                    }
                    Ok(None) => Ending::Read { structure: Structure::Whole, init_only: false },
                    Err(error) if self.on_gap == OnGap::Skip && cannot_be_had(error.kind()) => {
                        Ending::Missing { reason: error.to_string() }
                    }
                    Err(error) => return Err(error),
                }
            };
            self.ends.push(SegmentEnd { segment: position, ending, bytes: 0 });
        }
        Ok(true)
    }

    /// The open segment can go on in the session's context.
    fn belongs(&self, open: &Open) -> bool {
        let Some(session) = &self.session else { return false };
        if self.last.is_some_and(|last| open.segment > last) {
            return false;
        }
        if session.container == Container::Mp4 && self.marks.len() >= MP4_SESSION_SEGMENTS {
            return false;
        }
        let (segment, before) = (&self.segments[open.segment], self.marks.last().map(|m| &self.segments[m.segment]));
        let again = before.is_some_and(|b| b.location == segment.location && b.byte_range == segment.byte_range);
        // A discontinuity stays one when the segment that it stands before was left out.
        let first = self.marks.last().map_or(open.segment, |m| m.segment + 1);
        let marked = self.segments[first..=open.segment].iter().any(|s| s.discontinuity);
        let same_init = match open.prefix {
            InitPrefix::None => segment.init == session.map,
            InitPrefix::Length(length) => open.bytes.head().get(..length) == Some(&session.init[..]),
            InitPrefix::Only | InitPrefix::AtEnd => false,
        };
        // Under one PID libav goes on with the codec that it began with.
        let same_streams = !open.tables.contradict(&session.tables);
        open.container == session.container && same_streams && !marked && !again && same_init
    }

    fn begin_segment(&mut self) {
        let Some(open) = &mut self.open else { return };
        // An init section that stands in the segment too is fed once: repeated, it makes libav's work superlinear.
        if let (InitPrefix::Length(length), Some(session)) = (open.prefix, &self.session) {
            let length = length.min(session.init.len());
            open.watch.feed(&session.init[..length]);
            open.bytes.skip(length);
        }
        if let Some(packets) = &mut self.packets {
            packets.begin_segment();
        }
        // What the session gives out before this segment's own: the rest of its init section, or of a frame.
        let mut before = self.session.as_ref().map_or(0, |s| (s.init.len() - s.init_at) as u64);
        if let Some(packed) = self.session.as_mut().and_then(|session| session.packed.as_mut()) {
            let follows = open.continued > 0 && self.marks.last().is_some_and(|mark| mark.segment + 1 == open.segment);
            let frame = packed.whole_with(open.continued as u64).filter(|_| follows);
            packed.begin_segment(frame.is_some());
            match frame {
                Some(length) => {
                    before += length;
                    // The frame that the last segment seemed to lack the end of is whole.
                    if let Some(last) = self.ends.last_mut() {
                        last.continues();
                    }
                }
                None if open.continued > 0 => {
                    open.bytes.skip(open.continued);
                    packed.passed_over();
                }
                None => {}
            }
        }
        self.reading = true;
        self.marks.push(Mark {
            offset: self.offset + before,
            segment: open.segment,
            audio_start_ticks: open.audio_start_ticks,
        });
    }

    fn end_segment(&mut self, open: Open) -> Result<()> {
        self.reading = false;
        self.carry.clear();
        let told = self.ends.len();
        self.push_end(&open);
        let Some(packets) = &self.packets else { return Ok(()) };
        let unfinished: Vec<(u16, u64)> = packets.open_pes().collect();
        if unfinished.is_empty() {
            return Ok(());
        }
        // What goes on with the PES packets at hand is known once the next segment is.
        self.open_next()?;
        let next = self.open.as_ref().filter(|next| self.belongs(next));
        // The rest may have stood in a segment that is not there.
        let is_next =
            self.segments.get(open.segment + 1).is_some() && next.is_some_and(|n| n.segment > open.segment + 1);
        let missing_bytes: u64 =
            unfinished.iter().filter(|(pid, _)| !is_next && !goes_on_in(next, *pid)).map(|(_, n)| n).sum();
        if missing_bytes > 0
            && let Some(SegmentEnd { ending: Ending::Read { structure, .. }, .. }) = self.ends.get_mut(told)
        {
            *structure = Structure::Open { missing_bytes };
        }
        Ok(())
    }

    fn push_end(&mut self, open: &Open) {
        let packed = self.session.as_ref().and_then(|session| session.packed.as_ref());
        let structure = match &self.packets {
            Some(packets) => {
                let found = packets.finish();
                match found.bad_places + u64::from(open.begins_with_junk) {
                    _ if found.is_torn => Structure::Torn,
                    0 => Structure::Whole,
                    bad_packets => Structure::Damaged { bad_packets },
                }
            }
            None => packed.map_or_else(|| open.watch.finish(), Packed::structure),
        };
        // Behind a broken box, or one without an end, libav would take the next segments for its inside: they get a
        // context of their own.
        if open.container == Container::Mp4 && (structure != Structure::Whole || open.watch.is_endless()) {
            self.last = Some(open.segment);
            self.endless = open.watch.is_endless();
        }
        let ending = Ending::Read { structure, init_only: open.prefix == InitPrefix::Only };
        self.ends.push(SegmentEnd { segment: open.segment, ending, bytes: open.read_bytes });
    }

    /// Reads from the open segment; 0 at its end.
    fn read_segment(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let Some(open) = &mut self.open else { return Ok(0) };
        if let Some(packed) = self.session.as_mut().and_then(|session| session.packed.as_mut()) {
            let mut piece = [0; PACKED_PIECE_BYTES];
            while self.carry.is_empty() {
                let n = open.bytes.read(&mut piece)?;
                if n == 0 {
                    return Ok(0);
                }
                open.read_bytes += n as u64;
                packed.feed(&piece[..n], &mut self.carry);
            }
            let n = self.carry.len().min(buffer.len());
            buffer[..n].copy_from_slice(&self.carry[..n]);
            self.carry.drain(..n);
            return Ok(n);
        }
        let (Some(packets), Container::MpegTs { packet_bytes }) = (&mut self.packets, open.container) else {
            let n = open.bytes.read(buffer)?;
            open.watch.feed(&buffer[..n]);
            self.tracks.extend(open.watch.take_tracks());
            for listed in open.watch.take_listed() {
                self.fragments.add(self.marks.len().saturating_sub(1), listed);
            }
            open.read_bytes += n as u64;
            return Ok(n);
        };
        // In whole packets.
        loop {
            let waiting = self.carry.len();
            let room = buffer.split_at_mut_checked(waiting).filter(|(_, room)| !room.is_empty());
            let Some((front, room)) = room else {
                return Err(Error::new(ErrorKind::Internal, "a read of too few bytes for a packet"));
            };
            front.copy_from_slice(&self.carry);
            let n = open.bytes.read(room)?;
            open.read_bytes += n as u64;
            let (written, used) = packets.frame(&mut buffer[..waiting + n], n == 0);
            self.carry.clear();
            self.carry.extend_from_slice(&buffer[used..waiting + n]);
            if packets.scrambled() >= SCRAMBLED_PACKETS {
                return Err(scrambled());
            }
            let at = open.media_at;
            open.media_at += written as u64;
            let kept = match self.cut.filter(|cut| cut.segment == open.segment && at < cut.at) {
                Some(cut) => keep_tables(&mut buffer[..written], packet_bytes, cut.at - at, &open.tables.table_pids),
                None => written,
            };
            self.cut_bytes += (written - kept) as u64;
            let kept = self.glimpse.as_mut().map_or(kept, |glimpse| glimpse.keep(&mut buffer[..kept]));
            if kept > 0 || n == 0 {
                return Ok(kept);
            }
        }
    }

    fn read_init_bytes(&mut self, buffer: &mut [u8]) -> usize {
        let Some(session) = &mut self.session else { return 0 };
        let left = &session.init[session.init_at..];
        let n = left.len().min(buffer.len());
        buffer[..n].copy_from_slice(&left[..n]);
        session.init_at += n;
        n
    }
}

/// Of the packets before `until`, leaves those of some PIDs alone; tells how many bytes are left in all.
fn keep_tables(packets: &mut [u8], packet_bytes: usize, until: u64, pids: &[u16]) -> usize {
    let lead = if packet_bytes == 192 { 4 } else { 0 };
    let mut kept = 0;
    for at in (0..packets.len()).step_by(packet_bytes) {
        let is_table = matches!(packets[at + lead..], [_, high, low, ..] if pids.contains(&(u16::from(high & 0x1f) << 8 | u16::from(low))));
        if at as u64 >= until || is_table {
            packets.copy_within(at..at + packet_bytes, kept);
            kept += packet_bytes;
        }
    }
    kept
}

/// An error that is a segment's own, and leaves the rest as it is.
fn cannot_be_had(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Media | ErrorKind::Network | ErrorKind::Timeout | ErrorKind::Forbidden)
}

impl Reader for Feed {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if let Some(seekable) = &mut self.seekable {
            return seekable.read(buffer);
        }
        let n = self.read_init_bytes(buffer);
        if n > 0 {
            self.offset += n as u64;
            return Ok(n);
        }
        loop {
            if self.reading {
                let segment = self.open.as_ref().map_or(0, |open| open.segment);
                let n = self.read_segment(buffer).map_err(|e| self.at(segment, e))?;
                if n > 0 {
                    self.offset += n as u64;
                    return Ok(n);
                }
                if let Some(open) = self.open.take() {
                    self.end_segment(open)?;
                }
            }
            if !self.open_next()? || !self.open.as_ref().is_some_and(|open| self.belongs(open)) {
                self.exhausted = true;
                return Ok(0);
            }
            self.begin_segment();
        }
    }

    fn size(&self) -> Option<u64> {
        self.seekable.as_ref().map(Seekable::size_bytes)
    }

    fn seek(&mut self, position: u64) -> Result<()> {
        if let Some(seekable) = &mut self.seekable {
            seekable.seek(position);
        }
        Ok(())
    }
}
