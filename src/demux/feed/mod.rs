//! The bytes of a session, one segment behind the other, as a demuxer reads them.

mod bytes;
mod segment;

use std::path::PathBuf;
use std::sync::Arc;

use super::ending::{Ending, SegmentEnd};
use super::fragments::Fragments;
use super::glimpse::Glimpse;
use super::open::Open;
use super::seekable::Seekable;
use super::streams::Declared;
use crate::av::Packet;
use crate::container::{Container, InitPrefix, MovieTrack, Packed, Structure, Tables, TsPackets, tracks_in, tracks_of};
use crate::error::{Error, ErrorKind, Result};
use crate::fetch::Fetcher;
use crate::options::OnGap;
use crate::playlist::{InitSection, Segment};

/// ISO/IEC 13818-1, table 2-34.
const H264_STREAM_TYPE: u8 = 0x1b;

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
}
