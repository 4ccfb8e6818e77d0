//! H.264 out of a transport stream whose PES packets hold one picture each, as nearly all multiplexers write them: such a
//! stream needs no search for the borders of its pictures, which costs more than all the rest of demuxing.
//!
//! Each PES packet is checked. The first that is no picture sends the whole input back to libav's parser.

use std::collections::VecDeque;
use std::ops::{ControlFlow, RangeInclusive};

use crate::av::{Packet, PictureOrder, Stream};
use crate::container::whole_picture;
use crate::error::Result;

/// libav cuts longer PES packets that do not tell their length (libavformat/mpegts.c, `max_packet_size`), between TS packets.
const FULL_PIECE_BYTES: RangeInclusive<usize> = (200 << 10) - 188..=200 << 10;

/// A picture in more pieces than this, 25 MB, is left to libav.
const MAX_PIECES: usize = 128;

/// A picture.
pub(super) struct Whole {
    pub(super) packet: Packet,
    /// Decoding could begin here: the stream's parameters come with it.
    pub(super) has_parameters: bool,
}

/// A PES packet is no picture, or its times are not those of one.
#[derive(Debug)]
pub(super) struct Irregular {
    /// Where it begins in the session's bytes, or the picture before that it may be part of.
    pub(super) position: u64,
}

/// Makes pictures out of the PES packets of one stream.
pub(super) struct Pictures {
    parser: PictureOrder,
    /// Ticks that each picture is shown; `None` if it is not known.
    duration: Option<i64>,
    repeated_fields: Option<i32>,
    last_dts: Option<i64>,
    /// The times of the first picture, until that came.
    first: Option<(Option<i64>, Option<i64>)>,
    /// The pieces of a PES packet whose rest may still come.
    pieces: Vec<Packet>,
    /// The last picture: the next PES packet may turn out to go on with it.
    last: Option<Whole>,
}

impl Pictures {
    /// `first`: the stream's first picture, as libav's parser finds it. `None` if it is no stream of this kind.
    pub(super) fn new(stream: &Stream, first: &Packet) -> Result<Option<Self>> {
        let Some(parser) = PictureOrder::new(&stream.parameters)? else { return Ok(None) };
        let times = Some((first.pts(), first.dts()));
        let (duration, pieces) = (first.duration(), Vec::new());
        Ok(Some(Self { parser, duration, repeated_fields: None, last_dts: None, first: times, pieces, last: None }))
    }

    /// Takes the next packet; gives out the pictures that are known to be whole, in order.
    pub(super) fn push(&mut self, packet: Packet, out: &mut VecDeque<Whole>) -> Result<ControlFlow<Irregular>> {
        let may_go_on = FULL_PIECE_BYTES.contains(&packet.data().len());
        if !self.pieces.is_empty() {
            let goes_on = packet.pts().is_none();
            if goes_on && may_go_on && self.pieces.len() < MAX_PIECES {
                self.pieces.push(packet);
                return Ok(ControlFlow::Continue(()));
            }
            if goes_on {
                self.pieces.push(packet);
                return self.join(out);
            }
            if let ControlFlow::Break(irregular) = self.join(out)? {
                return Ok(ControlFlow::Break(irregular));
            }
        }
        if may_go_on {
            self.pieces.push(packet);
            return Ok(ControlFlow::Continue(()));
        }
        self.check(packet, out)
    }

    /// Something is still to be given out.
    pub(super) fn is_waiting(&self) -> bool {
        !self.pieces.is_empty() || self.last.is_some()
    }

    /// No more is to come.
    pub(super) fn finish(&mut self, out: &mut VecDeque<Whole>) -> Result<ControlFlow<Irregular>> {
        let joined = self.join(out)?;
        out.extend(self.last.take().filter(|_| joined.is_continue()));
        Ok(joined)
    }

    fn join(&mut self, out: &mut VecDeque<Whole>) -> Result<ControlFlow<Irregular>> {
        let pieces = std::mem::take(&mut self.pieces);
        let Some(first) = pieces.first() else { return Ok(ControlFlow::Continue(())) };
        let whole = first.assembled(pieces.iter().map(Packet::data))?;
        self.check(whole, out)
    }

    fn check(&mut self, mut packet: Packet, out: &mut VecDeque<Whole>) -> Result<ControlFlow<Irregular>> {
        let begins = self.last.as_ref().map_or(&packet, |last| &last.packet).position();
        let irregular = Irregular { position: begins.unwrap_or(0) };
        let Some(whole) = whole_picture(packet.data()) else { return Ok(ControlFlow::Break(irregular)) };
        // Times that libav's demuxer would mend are left to it, as where there are none for decoding: pictures would be
        // decoded in the order that they are shown in.
        let is_first = self.first.take().is_none_or(|first| first == (packet.pts(), packet.dts()));
        let times = packet.pts().zip(packet.dts()).filter(|(pts, dts)| is_first && pts >= dts);
        let Some((_, dts)) = times.filter(|(pts, dts)| pts > dts || self.last_dts.is_none_or(|last| *dts > last))
        else {
            return Ok(ControlFlow::Break(irregular));
        };
        let Some(picture) = self.parser.picture(&packet, whole.first_slice) else {
            return Ok(ControlFlow::Break(irregular));
        };
        // Fields, and pictures that are shown longer than others.
        if *self.repeated_fields.get_or_insert(picture.repeated_fields) != picture.repeated_fields {
            return Ok(ControlFlow::Break(irregular));
        }
        self.last_dts = Some(dts);
        packet.describe(picture.key, self.duration);
        out.extend(self.last.replace(Whole { packet, has_parameters: whole.has_parameters }));
        Ok(ControlFlow::Continue(()))
    }
}
