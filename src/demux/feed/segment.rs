//! Where a segment begins in a session, whether it belongs there, and what became of it at its end.

use super::{Feed, Mark};
use crate::container::{Container, InitPrefix, Packed, Structure};
use crate::demux::ending::{Ending, SegmentEnd};
use crate::demux::open::{Open, goes_on_in};
use crate::error::{ErrorKind, Result};
use crate::options::OnGap;

/// libav keeps an index of all fragments that a context read: each context reads so many segments at most.
const MP4_SESSION_SEGMENTS: usize = 300;

impl Feed {
    /// Makes sure that a segment is open; false at the end of the input.
    pub(super) fn open_next(&mut self) -> Result<bool> {
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
    pub(super) fn belongs(&self, open: &Open) -> bool {
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

    pub(super) fn begin_segment(&mut self) {
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

    pub(super) fn end_segment(&mut self, open: Open) -> Result<()> {
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
}

/// An error that is a segment's own, and leaves the rest as it is.
fn cannot_be_had(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Media | ErrorKind::Network | ErrorKind::Timeout | ErrorKind::Forbidden)
}
