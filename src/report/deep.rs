//! What all of an input's media holds, as it is at the source.

use serde::Serialize;

/// What reading all of an input's media found. Times are the input's own, unwrapped, unless they say otherwise.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct Deep {
    /// Media bytes read, decrypted and inflated.
    pub bytes: u64,
    /// Media sequence numbers of segments that are marked as gaps, cannot be had, or hold less than they should.
    pub missing: Vec<u64>,
    /// Places where the clock begins anew without a mark of the playlist.
    pub resets: u64,
    /// What shares one clock, in order.
    pub runs: Vec<Run>,
}

/// A stretch of an input on one clock.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct Run {
    /// Media sequence number of the segment that it begins in.
    pub segment: u64,
    /// `start`, `discontinuity` (marked by the playlist), `reset` (the clock begins anew, and no mark says so) or `jump`
    /// (times jump, and a merge lets that stand: a long gap, or times that are wrong).
    pub begins: &'static str,
    /// What a merge into one file adds to the run's times, in seconds; `None` if no packet has a time.
    pub offset_s: Option<f64>,
    /// Its streams that have packets.
    pub streams: Vec<StreamRun>,
}

/// A stream's part in a run.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct StreamRun {
    /// The stream's number in its input, from 0; the same in all runs.
    pub stream: usize,
    /// `video`, `audio`, `subtitle` or `data`.
    pub kind: &'static str,
    /// libav's name of the codec.
    pub codec: String,
    /// Packets, repetitions at segment borders included.
    pub packets: u64,
    /// Key pictures; `None` for what is no video.
    pub keyframes: Option<u64>,
    /// Bytes of the packets.
    pub bytes: u64,
    /// The lowest presentation time, in seconds; `None` if no packet has a time, as for the next two.
    pub first_s: Option<f64>,
    /// The highest presentation time, in seconds.
    pub last_s: Option<f64>,
    /// The same with the packet's duration: where the next packet is expected.
    pub end_s: Option<f64>,
    /// How far a reset or a jump went, in seconds: from where the stream's next packet was expected to where it came; `None`
    /// where the run does not begin by one, or the stream was not there before.
    pub step_s: Option<f64>,
    /// Times without a packet, longer than 0.1 s and than the packet before them.
    pub gaps: u64,
    /// Their length together, in seconds.
    pub gap_s: f64,
    /// The first 100 of them.
    pub gap_list: Vec<Gap>,
    /// How often the 33-bit clock wrapped.
    pub wraps: u64,
    /// Packets without any time.
    pub untimed: u64,
    /// Packets that are decoded no later than the one before, or later than they are shown.
    pub dts_faults: u64,
}

/// Time without a packet.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct Gap {
    /// Where it begins, in seconds.
    pub at_s: f64,
    /// How long it is, in seconds.
    pub duration_s: f64,
}
