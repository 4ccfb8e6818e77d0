//! How a session begins: its container is opened, and its streams are chosen.

use std::ops::ControlFlow;

use super::ending::{Ending, SegmentEnd};
use super::feed::Feed;
use super::input::{Demuxed, InputDemuxer, State};
use super::pictures::Pictures;
use super::streams::{Selection, select};
use super::taken::Taken;
use crate::av::{CodecId, Demuxer, DemuxerKind, MediaKind, Probing, Stream};
use crate::container::Container;
use crate::error::{Error, ErrorKind, Result};
use crate::options::OnGap;

/// Among so many packets of a session the first picture is looked for.
const FIRST_PACKETS: usize = 256;

impl InputDemuxer {
    pub(super) fn begin_session(&mut self, mut feed: Feed) -> Result<()> {
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
        (self.pictures, self.irregular, self.anchor) = (None, None, first_segment);
        self.whole.clear();
        if let Some(video) = self.by_pictures.then(|| picture_stream(container, &selection)).flatten() {
            match self.reopen(demuxer, video)? {
                ControlFlow::Continue(again) => demuxer = again,
                ControlFlow::Break(feed) => {
                    self.by_pictures = false;
                    return self.begin_session(feed);
                }
            }
        }
        self.stream_map = vec![None; demuxer.stream_count()];
        for index in &selection.left {
            demuxer.discard(*index)?;
        }
        self.awaited = selection.awaited;
        for (n, stream) in selection.taken.iter().enumerate() {
            self.stream_map[stream.index] = Some(n);
        }
        let before = std::mem::take(&mut self.taken);
        let is_same = before.iter().map(|t| t.id).eq(selection.taken.iter().map(|stream| stream.id));
        let mut repeated = before.iter().map(|t| (t.kind, t.repeated)).collect::<Vec<_>>();
        for stream in &selection.taken {
            let kind = Some(stream.parameters.kind());
            let again = repeated.iter().position(|(k, _)| *k == kind).map_or(0, |n| repeated.remove(n).1);
            self.taken.push(Taken::new(stream, again));
        }
        if !(std::mem::take(&mut self.resumes) && is_same) {
            self.is_waiting = true;
            let (streams, dropped) = (selection.taken, selection.dropped);
            self.queue.push_back(Demuxed::Session { first_segment, container, streams, dropped });
        }
        self.state = State::Reading(Box::new(demuxer));
        Ok(())
    }

    /// Opens the session once more from its start, with what was found out of its streams, so that the pictures of one
    /// come as its PES packets hold them. Gives the feed back where that cannot be, at the session's start.
    fn reopen(&mut self, mut demuxer: Demuxer<Feed>, video: &Stream) -> Result<ControlFlow<Feed, Demuxer<Feed>>> {
        let known = demuxer.streams()?;
        let mut first = None;
        for _ in 0..FIRST_PACKETS {
            match demuxer.read() {
                Ok(Some(packet)) if packet.stream() == video.index => {
                    first = Some(packet);
                    break;
                }
                Ok(Some(_)) => {}
                // Whatever it is, the next that reads comes to it as well.
                Ok(None) | Err(_) => break,
            }
        }
        let Some(mut feed) = demuxer.into_reader() else {
            return Err(Error::new(ErrorKind::Internal, "a session lost its input"));
        };
        feed.rewind(self.first_segment);
        let pictures = first.map(|first| Pictures::new(video, &first)).transpose()?.flatten();
        let Some(pictures) = pictures else { return Ok(ControlFlow::Break(feed)) };
        feed.begin_session()?;
        let mut again = match Demuxer::open(feed, DemuxerKind::MpegTs, Probing::HeaderOnly, &self.cancel) {
            Ok(again) => again,
            Err((_, Some(mut feed))) => {
                feed.rewind(self.first_segment);
                return Ok(ControlFlow::Break(feed));
            }
            Err((error, None)) => return Err(error),
        };
        if again.adopt(&known, video.index)? {
            self.pictures = Some((video.index, pictures));
            return Ok(ControlFlow::Continue(again));
        }
        match again.into_reader() {
            Some(mut feed) => {
                feed.rewind(self.first_segment);
                Ok(ControlFlow::Break(feed))
            }
            None => Err(Error::new(ErrorKind::Internal, "a session lost its input")),
        }
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

    /// An error that costs a segment, and not the job.
    pub(super) fn is_loss(&self, error: &Error) -> bool {
        self.on_gap == OnGap::Skip && error.kind() == ErrorKind::Media
    }
}

/// The stream of a session that may be read picture by picture: its only video, in a codec that tells its pictures apart.
fn picture_stream(container: Container, selection: &Selection) -> Option<&Stream> {
    let mut videos = selection.taken.iter().filter(|stream| stream.parameters.kind() == MediaKind::Video);
    let video = videos.next().filter(|stream| stream.parameters.codec() == CodecId::H264)?;
    // Of these libav's demuxer finds all that it needs in each frame.
    let plain = |codec| matches!(codec, CodecId::H264 | CodecId::AAC | CodecId::AC3 | CodecId::EAC3);
    let plain = selection.taken.iter().all(|stream| plain(stream.parameters.codec()));
    let only =
        videos.next().is_none() && !selection.dropped.iter().any(|d| d.kind == MediaKind::Video && d.never_came());
    (matches!(container, Container::MpegTs { .. }) && only && plain).then_some(video)
}
