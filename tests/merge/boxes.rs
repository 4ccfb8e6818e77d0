//! Looks at an MP4 with a parser that has nothing to do with libav.

use std::fs;
use std::path::Path;

use mp4_atom::{Any, Atom, Codec, FourCC, Moov, ReadFrom, StszSamples, Trak};

/// An MP4's boxes.
pub(crate) struct Boxes {
    /// The boxes at the top, in order.
    pub(crate) order: Vec<FourCC>,
    pub(crate) tracks: Vec<BoxTrack>,
}

/// What the boxes say of a track.
#[derive(Debug)]
pub(crate) struct BoxTrack {
    /// `vide` or `soun`.
    pub(crate) handler: FourCC,
    pub(crate) samples: u64,
    /// Pieces of the file that hold nothing but samples of this track.
    pub(crate) chunks: usize,
    /// Sample entries; more than one is more than players take.
    pub(crate) entries: usize,
    pub(crate) is_hvc1: bool,
    pub(crate) is_hev1: bool,
    pub(crate) width: u16,
    pub(crate) creation_time: u64,
    /// Sum of the sample durations, in seconds.
    pub(crate) duration_s: f64,
    /// Key samples; `None`: every one.
    pub(crate) key_samples: Option<Vec<u32>>,
}

/// Reads the boxes of a file. Panics where they do not parse.
pub(crate) fn read(path: &Path) -> Boxes {
    let data = fs::read(path).unwrap();
    let (mut rest, mut order, mut tracks) = (&data[..], Vec::new(), Vec::new());
    while !rest.is_empty() {
        let any = Any::read_from(&mut rest).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        order.push(any.kind());
        if let Any::Moov(moov) = any {
            tracks = moov.trak.iter().map(track).collect();
        }
    }
    Boxes { order, tracks }
}

impl Boxes {
    /// `moov` stands before the first `mdat`.
    pub(crate) fn moov_first(&self) -> bool {
        let place = |kind| self.order.iter().position(|k| *k == kind);
        place(Moov::KIND).unwrap() < place(FourCC::new(b"mdat")).unwrap()
    }
}

fn track(trak: &Trak) -> BoxTrack {
    let table = &trak.mdia.minf.stbl;
    let ticks: u64 = table.stts.entries.iter().map(|e| u64::from(e.sample_count) * u64::from(e.sample_delta)).sum();
    BoxTrack {
        handler: trak.mdia.hdlr.handler,
        samples: match &table.stsz.samples {
            StszSamples::Identical { count, .. } => u64::from(*count),
            StszSamples::Different { sizes } => sizes.len() as u64,
        },
        chunks: match (&table.stco, &table.co64) {
            (Some(stco), None) => stco.entries.len(),
            (None, Some(co64)) => co64.entries.len(),
            both => panic!("chunk offsets: {both:?}"),
        },
        entries: table.stsd.codecs.len(),
        is_hvc1: table.stsd.codecs.iter().any(|c| matches!(c, Codec::Hvc1(_))),
        is_hev1: table.stsd.codecs.iter().any(|c| matches!(c, Codec::Hev1(_))),
        width: trak.tkhd.width.integer(),
        creation_time: trak.tkhd.creation_time,
        duration_s: ticks as f64 / f64::from(trak.mdia.mdhd.timescale),
        key_samples: table.stss.as_ref().map(|stss| stss.entries.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::fixture;

    #[test]
    fn moov_at_the_end_is_seen() {
        let boxes = read(&fixture("self-initializing-mp4").join("0.mp4"));
        assert!(!boxes.moov_first(), "{:?}", boxes.order);
        assert_eq!(boxes.tracks.len(), 2);
        assert_eq!(boxes.tracks[0].samples, 25);
        assert_eq!(boxes.tracks[0].width, 160);
    }
}
