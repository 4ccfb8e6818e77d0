//! One output file from its header to its trailer.

use std::fs::File;

use super::faststart;
use super::framing::Unframe;
use super::portions::{PORTION_PACKETS, Portions};
use super::sink::Sink;
use super::track::{TrackPlan, check_format};
use crate::av::Packet;
use crate::cancel::CancelToken;
use crate::container::Ac3Frame;
use crate::error::{Error, ErrorKind, Result};
use crate::options::{Faststart, Format};
use crate::time::{Nanos, TimeBase};
use crate::timeline::Stamped;

/// `moov` without its sample tables, generously.
const INDEX_BASE_BYTES: u64 = 8 << 10;
/// A picture in the sample tables: its size, its composition offset, a duration unlike the one before, its share of chunks.
const INDEX_PICTURE_BYTES: f64 = 24.0;
/// A packet of sound there: its size, its share of chunks, and some durations that differ.
const INDEX_SOUND_BYTES: f64 = 8.0;
/// Of an input of unknown duration, `moov` takes about one part in so many.
const INDEX_SHARE: u64 = 400;

/// A file that is being written.
pub(crate) struct OutputFile {
    portions: Portions,
    unframe: Vec<Option<Unframe>>,
    /// Each track's extradata.
    configurations: Vec<Vec<u8>>,
    /// Of each track in MP4 whose frames may be parts of a sample.
    joining: Vec<Option<Joining>>,
    /// Room left for `moov`; `None` where it may stay at the end.
    reserved: Option<u64>,
}

/// A sample of E-AC-3 in MP4 is six blocks of audio (ETSI TS 102 366, F.2): libav joins frames that have fewer, and leaves
/// what is less than a sample at the end.
#[derive(Debug, Default)]
struct Joining {
    packets: u64,
    samples: u64,
    /// Blocks of a sample that is not complete.
    blocks: u32,
}

impl Joining {
    fn add(&mut self, blocks: Option<u32>) {
        self.packets += 1;
        self.blocks += blocks.unwrap_or(6);
        if self.blocks >= 6 {
            (self.blocks, self.samples) = (0, self.samples + 1);
        }
    }
}

/// A file that is complete.
pub(crate) struct Written {
    /// `None` if the output was a stream.
    pub(crate) file: Option<File>,
}

/// What is known beforehand of how much will be written.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Extent {
    /// Media time by the playlist.
    pub(crate) duration: Option<Nanos>,
    /// Bytes of the inputs.
    pub(crate) bytes: u64,
}

impl OutputFile {
    /// Begins a file: adds the tracks and writes the header.
    pub(crate) fn begin(
        sink: Sink,
        format: Format,
        faststart: Faststart,
        tracks: &[TrackPlan],
        extent: Extent,
        cancel: &CancelToken,
    ) -> Result<Self> {
        let has_index = matches!(format, Format::Mp4 | Format::Mov | Format::M4a);
        let is_file = matches!(sink, Sink::File(..));
        let reserved = (is_file && has_index && faststart == Faststart::On).then(|| index_bytes(tracks, extent));
        Self::begin_of(PORTION_PACKETS, reserved, sink, format, tracks, cancel)
    }

    /// The same with so many packets in a portion, and so much room for `moov`.
    pub(super) fn begin_of(
        packets: u32,
        reserved: Option<u64>,
        sink: Sink,
        format: Format,
        tracks: &[TrackPlan],
        cancel: &CancelToken,
    ) -> Result<Self> {
        check_format(format, tracks)?;
        let portions = Portions::begin(sink, format, tracks, reserved.unwrap_or(0), packets, cancel)?;
        let unframe = tracks.iter().map(|t| Unframe::new(&t.source, format)).collect::<Result<_>>()?;
        let configurations = tracks.iter().map(|t| t.parameters.extradata().to_vec()).collect();
        let joins = |t: &TrackPlan| !matches!(format, Format::Ts | Format::Mkv) && t.source.codec().is_ac3();
        let joining = tracks.iter().map(|t| joins(t).then(Joining::default)).collect();
        Ok(Self { portions, unframe, configurations, joining, reserved })
    }

    /// The time base that a track's packets must have.
    pub(crate) fn time_base(&self, track: usize) -> Result<TimeBase> {
        self.portions.time_base(track)
    }

    /// Writes a packet.
    pub(crate) fn write(&mut self, stamped: Stamped<Packet>) -> Result<()> {
        let Stamped { track, pts, dts, duration, payload: mut packet } = stamped;
        packet.reset_for_output();
        packet.set_times(pts, dts, duration);
        packet.set_stream(track);
        if let Some(Some(joining)) = self.joining.get_mut(track) {
            joining.add(Ac3Frame::parse(packet.data()).map(|frame| frame.blocks));
        }
        let Some(packet) = (match self.unframe.get_mut(track) {
            Some(Some(unframe)) => unframe.packet(packet)?,
            _ => Some(packet),
        }) else {
            return Err(Error::new(ErrorKind::Media, "a packet holds nothing but a header"));
        };
        self.portions.write(self.checked(track, packet)?)
    }

    /// By how many a track's samples are fewer than the packets that were written to it.
    pub(crate) fn joined(&self, track: usize) -> u64 {
        self.joining.get(track).and_then(Option::as_ref).map_or(0, |joining| joining.packets - joining.samples)
    }

    /// A track has one configuration, which is in the header: libav would take another one that comes with
    /// a packet for the whole track.
    fn checked(&self, track: usize, mut packet: Packet) -> Result<Packet> {
        match packet.new_extradata() {
            None => {}
            Some(new) if new == self.configurations[track] => packet.clear_side_data(),
            Some(_) => {
                return Err(Error::new(ErrorKind::Unsupported, "the codec's configuration changes inside a segment")
                    .with_hint("one track cannot hold both"));
            }
        }
        Ok(packet)
    }

    /// Writes the trailer, and puts `moov` to the front where it belongs there.
    pub(crate) fn finish(self) -> Result<Written> {
        let Some((file, joined)) = self.portions.finish()? else { return Ok(Written { file: None }) };
        match (self.reserved, joined) {
            (Some(reserved), joined) => faststart::arrange(&file, reserved, joined)?,
            (None, Some(joined)) => joined.append(&file)?,
            (None, None) => {}
        }
        Ok(Written { file: Some(file) })
    }
}

/// Room for `moov`: rather too much, as what is too much costs a thousandth of the file, and
/// what is too little a second pass over it.
fn index_bytes(tracks: &[TrackPlan], extent: Extent) -> u64 {
    let bytes_a_second = |track: &TrackPlan| match (track.frame_rate, track.parameters.sample_rate_hz()) {
        (Some(rate), _) => rate.clamp(1.0, 240.0) * INDEX_PICTURE_BYTES,
        (None, Some(rate)) => {
            let samples = track.parameters.packet_samples(512).unwrap_or(1024).max(64);
            f64::from(rate) / f64::from(samples) * INDEX_SOUND_BYTES
        }
        (None, None) => 60.0 * INDEX_PICTURE_BYTES,
    };
    let tables = match extent.duration {
        Some(duration) => (tracks.iter().map(bytes_a_second).sum::<f64>() * duration.seconds().clamp(0.0, 1e6)) as u64,
        None => extent.bytes / INDEX_SHARE,
    };
    let configurations: u64 = tracks.iter().map(|t| t.parameters.extradata().len() as u64).sum();
    INDEX_BASE_BYTES + configurations + tables.min(256 << 20)
}
