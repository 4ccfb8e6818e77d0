//! Where a packet belongs: to which segment, and whether to its session at all.

use super::{DemuxedPacket, InputDemuxer};
use crate::av::{Demuxer, MediaKind, Packet, Stream};
use crate::demux::begin::encrypted_error;
use crate::demux::config::Verdict;
use crate::demux::feed::Feed;
use crate::demux::streams::{Dropped, InputRole};
use crate::error::{Error, ErrorKind, Result};
use crate::options::OnGap;

/// Where a packet belongs.
pub(super) enum Located {
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

impl InputDemuxer {
    /// Finds where a packet belongs.
    pub(super) fn locate(&mut self, demuxer: &mut Demuxer<Feed>, packet: Packet, is_anchor: bool) -> Result<Located> {
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
    pub(in crate::demux) fn place(
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
