//! The stages of a merge one by one, for benches.

use super::source::{PlannedInput, Source};
use super::tell::Teller;
use crate::av::{LogScope, Packet};
use crate::cancel::CancelToken;
use crate::demux::Demuxed;
use crate::error::{Error, ErrorKind, Result};
use crate::mux::{Extent, OutputFile, Sink, TrackPlan, origin};
use crate::options::{Faststart, Format, Limits};
use crate::timeline::{Boundary, Item, Stamped, Timeline, TrackSpec};

/// An input of one session, read once: what each stage gets from the one before it.
pub(crate) struct Stages {
    planned: PlannedInput,
    extent: Extent,
    limits: Limits,
    cancel: CancelToken,
    tracks: Vec<TrackPlan>,
    specs: Vec<TrackSpec>,
    items: Vec<Item<()>>,
    packets: Vec<Packet>,
    /// The payload is the packet's number.
    stamped: Vec<Stamped<usize>>,
}

const FORMAT: Format = Format::Mp4;

impl Stages {
    /// Reads the whole input.
    pub(crate) fn read(planned: PlannedInput, extent: Extent, limits: Limits) -> Result<Self> {
        let cancel = CancelToken::new();
        let mut this = Self {
            planned,
            extent,
            limits,
            cancel,
            tracks: Vec::new(),
            specs: Vec::new(),
            items: Vec::new(),
            packets: Vec::new(),
            stamped: Vec::new(),
        };
        let mut source = this.source();
        let mut tell = Teller::new(String::new(), None);
        loop {
            match source.next(&mut tell)? {
                Demuxed::Session { container, streams, .. } if this.tracks.is_empty() => {
                    let first = source.first_packets(&streams)?;
                    let role = &this.planned.role;
                    let plan = streams.iter().zip(&first);
                    let plan = plan.map(|(stream, first)| TrackPlan::new(stream, role, FORMAT, first.as_ref()));
                    this.tracks = plan.collect::<Result<_>>()?;
                    let map: Vec<_> = (0..streams.len()).map(Some).collect();
                    source.begin_session(container, streams, &map);
                }
                Demuxed::Session { .. } => {
                    return Err(Error::new(ErrorKind::Unsupported, "a bench's input is of one session"));
                }
                Demuxed::Packet(packet) => {
                    this.items.extend(source.stamp(&packet));
                    this.packets.extend(source.item(packet).map(|item| item.payload));
                }
                Demuxed::SegmentEnd(_) => {}
                Demuxed::End => break,
            }
        }
        // What time bases the muxer takes is known once it has written a header.
        let output = this.output(Sink::Stream(Box::new(std::io::sink())), Format::Fmp4)?;
        let spec = |(n, track): (usize, &TrackPlan)| {
            Ok(TrackSpec { input: 0, class: track.class(), base: output.time_base(n)? })
        };
        this.specs = this.tracks.iter().enumerate().map(spec).collect::<Result<_>>()?;
        this.stamped = this.timeline();
        Ok(this)
    }

    fn source(&self) -> Source {
        Source::new(self.planned.clone(), &self.limits, &self.cancel)
    }

    fn output(&self, sink: Sink, format: Format) -> Result<OutputFile> {
        OutputFile::begin(sink, format, Faststart::On, &self.tracks, self.extent, &self.cancel)
    }

    /// Reads and demuxes the input, keeps the account of its segments, and tells of each packet what the timeline must
    /// know; returns the number of packets.
    pub(crate) fn demux(&self) -> Result<usize> {
        let _log = LogScope::enter();
        let mut source = self.source();
        let mut tell = Teller::new(String::new(), None);
        let mut packets = 0;
        loop {
            match source.next(&mut tell)? {
                Demuxed::Packet(packet) => packets += usize::from(source.item(packet).is_some()),
                Demuxed::Session { container, streams, .. } => {
                    let map: Vec<_> = (0..streams.len()).map(Some).collect();
                    source.begin_session(container, streams, &map);
                }
                Demuxed::SegmentEnd(_) => {}
                Demuxed::End => return Ok(packets),
            }
        }
    }

    /// Stamps all packets.
    pub(crate) fn timeline(&self) -> Vec<Stamped<usize>> {
        let mut timeline = Timeline::new(1, &self.specs, origin(FORMAT), self.limits.lookahead_bytes);
        timeline.begin_session(0, Boundary::Unmarked, 0);
        let mut stamped = Vec::with_capacity(self.items.len());
        for (n, item) in self.items.iter().enumerate() {
            // An epoch is opened by the question what is wanted.
            let _one_input = timeline.wants();
            timeline.push(0, Item { payload: (), ..*item }.with_payload(n));
            stamped.extend(std::iter::from_fn(|| timeline.pop()));
        }
        timeline.end(0);
        stamped.extend(std::iter::from_fn(|| timeline.pop()));
        stamped
    }

    /// Writes all packets, to a fragmented MP4 where the sink is a stream; their payloads are shared, not copied, for it.
    pub(crate) fn mux(&self, sink: Sink) -> Result<()> {
        let _log = LogScope::enter();
        let format = if matches!(sink, Sink::File(..)) { FORMAT } else { Format::Fmp4 };
        let mut output = self.output(sink, format)?;
        for &Stamped { track, pts, dts, duration, payload } in &self.stamped {
            output.write(Stamped { track, pts, dts, duration, payload: self.packets[payload].try_clone()? })?;
        }
        output.finish().map(drop)
    }
}
