//! How a session begins: its container is opened, and its streams are chosen.

use std::ops::ControlFlow;

use super::ending::{Ending, SegmentEnd};
use super::feed::Feed;
use super::input::{Demuxed, InputDemuxer, State};
use super::pictures::Pictures;
use super::streams::{MPEG_H, Selection, select};
use super::taken::Taken;
use crate::av::{CodecId, Demuxer, DemuxerKind, MediaKind, Packet, Probing, Stream, unheard};
use crate::container::{Container, begins_with_parameters};
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
        (self.first_segment, self.settled_segment) = (first_segment, first_segment);
        (self.pictures, self.irregular, self.anchor) = (None, None, first_segment);
        self.whole.clear();
        if self.by_pictures && feed.glimpse() {
            match self.open_by_pictures(feed)? {
                ControlFlow::Continue((demuxer, selection)) => {
                    return self.begin_reading(demuxer, selection, container);
                }
                ControlFlow::Break(again) => feed = again,
            }
            self.by_pictures = false;
        }
        match self.open(feed, container)? {
            Some((demuxer, selection)) => self.begin_reading(demuxer, selection, container),
            None => Ok(()),
        }
    }

    /// Opens the session's container and chooses among its streams. `None` where nothing can be had of its first segment
    /// and that is no error: the next session begins behind it.
    fn open(&mut self, feed: Feed, container: Container) -> Result<Option<(Demuxer<Feed>, Selection)>> {
        let kind = match container {
            Container::MpegTs { .. } => DemuxerKind::MpegTs,
            Container::Mp4 => DemuxerKind::Mp4,
            Container::Adts => DemuxerKind::Aac,
            Container::Mp3 => DemuxerKind::Mp3,
            Container::Ac3 => DemuxerKind::Ac3,
            Container::Eac3 => DemuxerKind::Eac3,
        };
        let first_segment = self.first_segment;
        let place = feed.place(first_segment);
        let in_segment = |e: Error| e.with_segment(place.0, place.1.clone());
        let mut demuxer = match Demuxer::open(feed, kind, self.probing, &self.cancel) {
            Ok(demuxer) => demuxer,
            Err((error, Some(feed))) if self.is_loss(&error) => {
                self.leave_out(feed, first_segment, &in_segment(error));
                return Ok(None);
            }
            Err((error, _)) => return Err(in_segment(error)),
        };
        let selection = self.select(&mut demuxer)?;
        if let Some(error) = encrypted(&mut demuxer, &selection)? {
            return Err(in_segment(error));
        }
        if let Some((kind, codec)) = selection.unreadable.filter(|_| self.on_gap == OnGap::Fail) {
            let (place, hint) = match container {
                Container::MpegTs { .. } if codec != MPEG_H => {
                    (" from a transport stream", "get it as fragmented MP4, or ")
                }
                _ => ("", ""),
            };
            let message = format!("its {} is {codec}, which this libav cannot read{place}", kind.name());
            return Err(in_segment(Error::new(ErrorKind::Unsupported, message))
                .with_hint(format!("{hint}leave it out with --on-gap skip")));
        }
        if selection.taken.is_empty() {
            let found: Vec<String> = selection.dropped.iter().map(|d| format!("{} ({})", d.codec, d.reason)).collect();
            let found = if found.is_empty() { "no streams".to_owned() } else { found.join(", ") };
            let error = in_segment(Error::new(ErrorKind::Media, format!("nothing in it can be merged: {found}")));
            return match demuxer.into_reader() {
                Some(feed) if self.is_loss(&error) => {
                    self.leave_out(feed, first_segment, &error);
                    Ok(None)
                }
                _ => Err(error),
            };
        }
        Ok(Some((demuxer, selection)))
    }

    fn select(&self, demuxer: &mut Demuxer<Feed>) -> Result<Selection> {
        let declared = demuxer.reader().map(|feed| feed.declared()).unwrap_or_default();
        Ok(select(demuxer.streams()?, &demuxer.programs(), &declared, self.role))
    }

    fn begin_reading(&mut self, mut demuxer: Demuxer<Feed>, selection: Selection, container: Container) -> Result<()> {
        let first_segment = self.first_segment;
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

    /// Opens a session by a glimpse, which tells what its streams are, and once more from its start, so that the pictures
    /// of one come as its PES packets hold them. Gives the feed back where that cannot be, at the session's start.
    fn open_by_pictures(&mut self, feed: Feed) -> Result<ControlFlow<Feed, (Demuxer<Feed>, Selection)>> {
        let first_segment = self.first_segment;
        let restart = |feed: Option<Feed>| {
            let mut feed = feed.ok_or_else(|| Error::new(ErrorKind::Internal, "a session lost its input"))?;
            feed.rewind(first_segment);
            feed.begin_session()?;
            Ok(feed)
        };
        // What libav says of pictures that lack their end is of no use to anybody.
        let open = || Demuxer::open(feed, DemuxerKind::MpegTs, self.probing, &self.cancel).map_err(Box::new);
        let mut glimpse = match unheard(open).map_err(|failed| *failed) {
            Ok(glimpse) => glimpse,
            Err((error, None)) => return Err(error),
            Err((_, feed)) => return restart(feed).map(ControlFlow::Break),
        };
        let known = glimpse.streams()?;
        let selection = self.select(&mut glimpse)?;
        let video = picture_stream(&selection);
        let first = video.and_then(|video| unheard(|| first_of(&mut glimpse, video.index)));
        let first = first.filter(|first| begins_with_parameters(first.data()));
        let pictures = video.zip(first).map(|(video, first)| Pictures::new(video, &first)).transpose()?.flatten();
        let feed = restart(glimpse.into_reader())?;
        let (Some(video), Some(pictures)) = (video, pictures) else { return Ok(ControlFlow::Break(feed)) };
        let mut demuxer = match Demuxer::open(feed, DemuxerKind::MpegTs, Probing::HeaderOnly, &self.cancel) {
            Ok(demuxer) => demuxer,
            Err((error, None)) => return Err(error),
            Err((_, feed)) => return restart(feed).map(ControlFlow::Break),
        };
        if !demuxer.adopt(&known, video.index)? {
            return restart(demuxer.into_reader()).map(ControlFlow::Break);
        }
        self.pictures = Some((video.index, pictures));
        Ok(ControlFlow::Continue((demuxer, selection)))
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

/// The error of a session with a stream that is to be merged and is encrypted: libav gives its samples out as they are,
/// under the name of what they were before.
fn encrypted(demuxer: &mut Demuxer<Feed>, selection: &Selection) -> Result<Option<Error>> {
    let wanted = selection.taken.iter().map(|stream| stream.index).chain(selection.awaited.iter().copied());
    for index in wanted {
        let stream = demuxer.stream(index)?;
        let track = demuxer.reader().and_then(|feed| feed.tracks.iter().find(|track| track.number == stream.id));
        if let Some(protection) = track.and_then(|track| track.protection).filter(|how| !how.is_partial) {
            return Ok(Some(encrypted_error(stream.parameters.kind(), &protection.describe())));
        }
    }
    Ok(None)
}

/// The error of media that is encrypted; `how` goes on with the sentence.
pub(super) fn encrypted_error(kind: MediaKind, how: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("its {} is encrypted{how}", kind.name()))
        .with_hint("avweld has no key for it: it can be merged once it is decrypted")
}

/// The first packet of a stream, if it is not far; whatever is wrong before, the next that reads comes to it as well.
fn first_of(demuxer: &mut Demuxer<Feed>, stream: usize) -> Option<Packet> {
    let packets = std::iter::from_fn(|| demuxer.read().ok().flatten());
    packets.take(FIRST_PACKETS).find(|packet| packet.stream() == stream)
}

/// The stream of a transport stream that may be read picture by picture: its only video, in a codec that tells its pictures
/// apart.
fn picture_stream(selection: &Selection) -> Option<&Stream> {
    let mut videos = selection.taken.iter().filter(|stream| stream.parameters.kind() == MediaKind::Video);
    let video = videos.next().filter(|stream| stream.parameters.codec() == CodecId::H264)?;
    // Of these libav's demuxer finds all that it needs in each frame.
    let plain = |codec| matches!(codec, CodecId::H264 | CodecId::AAC | CodecId::AC3 | CodecId::EAC3);
    let plain = selection.taken.iter().all(|stream| plain(stream.parameters.codec()));
    let only =
        videos.next().is_none() && !selection.dropped.iter().any(|d| d.kind == MediaKind::Video && d.never_came());
    (only && plain && selection.unreadable.is_none()).then_some(video)
}
