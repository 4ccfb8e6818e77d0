//! How a session ends: with its input, inside of damage, or where another has to go on.

use super::ending::{Ending, SegmentEnd};
use super::feed::Feed;
use super::input::{Demuxed, InputDemuxer, Next, State};
use crate::av::{Demuxer, IndexEntry};
use crate::container::Structure;
use crate::error::{Error, ErrorKind, Result};
use crate::options::OnGap;

impl InputDemuxer {
    /// libav cannot make anything of a segment: that is the job's error, or the segment's loss.
    pub(super) fn give_up(&mut self, mut demuxer: Demuxer<Feed>, error: Error) -> Result<()> {
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

    pub(super) fn end_session(&mut self, mut demuxer: Demuxer<Feed>) {
        self.unusable.invalid_reads += demuxer.invalid_reads();
        self.release(usize::MAX);
        self.is_waiting = false;
        let unread = self.unread(&mut demuxer);
        let reached = self.taken.iter().filter_map(|t| t.mark).max().unwrap_or(0);
        if let Some(mut feed) = demuxer.into_reader() {
            let segment_at = |mark: usize| feed.marks.get(mark).map_or(self.first_segment, |mark| mark.segment);
            let unsound = feed.unsound();
            // libav gave up inside damaged data: what follows the segment that it came to is not lost for that.
            let given_up = || (!feed.is_exhausted()).then(|| unsound.unwrap_or_else(|| segment_at(reached)));
            let damaged = unread.map(segment_at).or_else(given_up);
            match damaged {
                Some(segment) => {
                    self.taken.iter_mut().for_each(|t| t.repeated = t.given_since(segment + 1));
                    if unsound == Some(segment) && !feed.is_endless() {
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

    /// The mark of the first segment of which libav did not give all samples that it indexed, or not whole.
    fn unread(&self, demuxer: &mut Demuxer<Feed>) -> Option<usize> {
        let mut first = None;
        for (index, stream) in self.stream_map.iter().enumerate() {
            let Some(taken) = stream.and_then(|stream| self.taken.get(stream)) else { continue };
            let Some(end) = demuxer.reader().map(|feed| feed.end_of_endless()) else { continue };
            let Ok(entries) = demuxer.index(index) else { continue };
            // Nothing but its samples tells that media without a size is cut.
            let whole = |entry: &IndexEntry| end.is_none_or(|end| entry.position.saturating_add(entry.size) <= end);
            let given = |(n, entry): &(usize, IndexEntry)| (*n as u64) < taken.read && whole(entry);
            let missing = entries.enumerate().find(|entry| !given(entry)).map(|(n, _)| n);
            if let (Some(n), Some(feed)) = (missing, demuxer.reader()) {
                let mark = feed.fragments.mark_of(taken.id, n as u64).or(taken.mark).unwrap_or(0);
                first = Some(first.map_or(mark, |first: usize| first.min(mark)));
            }
        }
        first
    }

    /// Ends the session inside a damaged segment; the next begins behind that.
    pub(super) fn abandon_session(&mut self, demuxer: Demuxer<Feed>, segment: usize) {
        self.unusable.invalid_reads += demuxer.invalid_reads();
        self.release(segment + 1);
        self.forget_empty();
        self.taken.iter_mut().for_each(|t| t.repeated = t.given_since(segment + 1));
        if let Some(mut feed) = demuxer.into_reader() {
            self.go_behind(&mut feed, segment);
            self.state = State::Between(Box::new(feed));
        }
    }

    /// A session of which no packet was given out is not told of.
    fn forget_empty(&mut self) {
        if std::mem::take(&mut self.is_waiting) {
            self.queue.retain(|event| !matches!(event, Demuxed::Session { .. }));
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
    pub(super) fn break_session(&mut self, mut demuxer: Demuxer<Feed>, segment: usize) -> Result<()> {
        self.release(segment);
        if self.drain(&mut demuxer, segment, |at, _| at < segment)? {
            let repeated = self.taken.iter().map(|t| t.given_since(segment)).collect();
            self.begin_at(demuxer, segment, repeated);
        } else {
            self.begin_at_anchor(demuxer);
        }
        Ok(())
    }

    /// Ends the session inside a segment, where its video changes: gives out what begins before that place, and begins
    /// anew there.
    pub(super) fn break_inside(&mut self, mut demuxer: Demuxer<Feed>, segment: usize, position: u64) -> Result<()> {
        self.release(usize::MAX);
        let repeated = self.taken.iter().map(|t| t.given_from(position)).collect();
        let is_regular = self.drain(&mut demuxer, segment, |_, begins| begins < position)?;
        if let Some(feed) = demuxer.reader() {
            self.tell_ends(feed);
            if !is_regular {
                feed.uncut();
            }
        }
        if is_regular {
            self.begin_at(demuxer, segment, repeated)
        } else {
            self.begin_at_anchor(demuxer)
        }
        Ok(())
    }

    /// Something was no picture where only pictures were expected: libav shall look for their borders from now on.
    pub(super) fn leave_pictures(&mut self, mut demuxer: Demuxer<Feed>) -> Result<()> {
        let anchor = self.anchor;
        self.release(anchor);
        self.drain(&mut demuxer, anchor, |at, _| at < anchor)?;
        self.begin_at_anchor(demuxer);
        Ok(())
    }

    /// Reads the session on to the end of a segment, or of what was read already, and gives out what is to be kept, by
    /// its segment and the byte that it begins with. False if some of that was no picture where only pictures were
    /// expected: then nothing of that stream is given out behind it.
    fn drain(
        &mut self,
        demuxer: &mut Demuxer<Feed>,
        segment: usize,
        keep: impl Fn(usize, u64) -> bool,
    ) -> Result<bool> {
        if let Some(feed) = demuxer.reader() {
            feed.end_with(segment);
        }
        let mut is_regular = true;
        loop {
            let packet = match self.next(demuxer) {
                Ok(Next::Packet(packet, _)) => packet,
                Ok(Next::End) => return Ok(is_regular),
                Ok(Next::Irregular { position }) => {
                    let at = demuxer.reader().map_or(segment, |feed| feed.segment_at(position));
                    is_regular &= !keep(at, position);
                    continue;
                }
                // It comes again where libav looks for pictures.
                Err(error) if self.pictures.is_some() && is_of_media(&error) => return Ok(false),
                Err(error) => return Err(error),
            };
            let index = packet.stream();
            let Some(Some(stream)) = self.stream_map.get(index).copied() else { continue };
            let begins = packet.position().unwrap_or_else(|| self.taken[stream].last_position());
            self.taken[stream].at(begins);
            let behind = !is_regular && self.pictures.as_ref().is_some_and(|(video, _)| *video == index);
            let located = self.place(demuxer, stream, packet).filter(|p| keep(p.segment, begins) && !behind);
            if let Some(located) = located.filter(|located| !self.is_repeated(located)) {
                self.give_now(located);
            }
        }
    }

    /// Lets the next session begin with a segment; of each stream so many packets were given out already, beside those
    /// that were still to be left out.
    fn begin_at(&mut self, demuxer: Demuxer<Feed>, segment: usize, given: Vec<usize>) {
        self.forget_empty();
        self.unusable.invalid_reads += demuxer.invalid_reads();
        for (taken, given) in self.taken.iter_mut().zip(given) {
            taken.repeated += given;
        }
        if let Some(mut feed) = demuxer.into_reader() {
            feed.rewind(segment);
            self.state = State::Between(Box::new(feed));
        }
    }

    /// Reads again from the last segment with which decoding can begin, and takes what libav finds for pictures.
    fn begin_at_anchor(&mut self, demuxer: Demuxer<Feed>) {
        self.by_pictures = false;
        self.resumes = !self.is_waiting;
        let given = self.taken.iter().map(|t| t.given_since(self.anchor)).collect();
        self.begin_at(demuxer, self.anchor, given);
    }
}

/// An error of the media, of which libav does not tell the place.
pub(super) fn is_of_media(error: &Error) -> bool {
    error.kind() == ErrorKind::Media && error.segment().is_none()
}
