//! The same packets written whole and in portions.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

use crate::av::{Demuxer, DemuxerKind, LogScope, Packet, Probing, Stream};
use crate::cancel::CancelToken;
use crate::mux::ToDisk;
use crate::mux::output::OutputFile;
use crate::mux::sink::{ReadBack, Sink};
use crate::mux::track::{TrackPlan, TrackRole};
use crate::options::Format;
use crate::time::{Nanos, TimeBase, rescale_ticks};
use crate::timeline::Stamped;

const AHEAD: Probing = Probing::Ahead { bytes: 5_000_000, duration_us: 20_000_000 };

/// The packets of some segments, and the tracks for them.
struct Source {
    tracks: Vec<TrackPlan>,
    packets: Vec<(usize, Packet)>,
}

impl Source {
    fn read(kind: DemuxerKind, folder: &str, names: &[&str], format: Format) -> Self {
        let mut file = tempfile::tempfile().unwrap();
        for name in names {
            file.write_all(&std::fs::read(format!("{}/fixtures/{folder}/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap())
                .unwrap();
        }
        let (streams, packets) = demuxed(&file, kind);
        let first = |n: usize| packets.iter().find(|(stream, _)| *stream == n).map(|(_, packet)| packet);
        let plan = |s| TrackPlan::new(s, &TrackRole::default(), format, first(s.index)).unwrap();
        Self { tracks: streams.iter().map(plan).collect(), packets }
    }

    /// Writes all packets, so that presentation begins with the first at 0 or `later` seconds after.
    fn write(&self, portion: u32, format: Format, room: Option<u64>, later: i64) -> File {
        let file = tempfile::tempfile().unwrap();
        let sink = Sink::file(file, ToDisk::Later);
        let cancel = CancelToken::new();
        let mut output = OutputFile::begin_of(portion, room, sink, format, &self.tracks, &cancel).unwrap();
        let fine = TimeBase::new(1, 90_000).unwrap();
        let scaled = |n: usize, ticks| rescale_ticks(ticks, self.tracks[n].time_base, fine);
        let start = self.packets.iter().filter_map(|(n, p)| Some(scaled(*n, p.pts()?))).min().unwrap();
        let mut last = vec![i64::MIN; self.tracks.len()];
        for (track, packet) in &self.packets {
            let base = output.time_base(*track).unwrap();
            let place = |ticks| rescale_ticks(scaled(*track, ticks) - start + later * 90_000, fine, base);
            let (pts, dts) = (packet.pts().unwrap(), packet.dts().or(packet.pts()).unwrap());
            let dts = place(dts).max(last[*track] + 1);
            last[*track] = dts;
            let duration = rescale_ticks(packet.duration().unwrap_or(0), self.tracks[*track].time_base, base);
            let payload = packet.try_clone().unwrap();
            output.write(Stamped { track: *track, pts: place(pts).max(dts), dts, duration, payload }).unwrap();
        }
        output.finish().unwrap().file.unwrap()
    }
}

fn demuxed(file: &File, kind: DemuxerKind) -> (Vec<Stream>, Vec<(usize, Packet)>) {
    let mut demuxer =
        Demuxer::open(ReadBack::new(file).unwrap(), kind, AHEAD, &CancelToken::new()).map_err(|e| e.0).unwrap();
    let packets = std::iter::from_fn(|| demuxer.read().unwrap()).map(|packet| (packet.stream(), packet)).collect();
    (demuxer.streams().unwrap(), packets)
}

/// All that a player learns of a stream, edit lists heeded.
type Learned = (Option<Nanos>, Vec<(Option<i64>, Option<i64>, Option<i64>, bool, Vec<u8>)>);

fn learned(file: &File) -> Vec<Learned> {
    let (streams, packets) = demuxed(file, DemuxerKind::Mp4);
    let of = |n: usize| packets.iter().filter(move |(stream, _)| *stream == n).map(|(_, p)| p);
    let told = |p: &Packet| (p.pts(), p.dts(), p.duration(), p.is_key(), p.data().to_vec());
    streams.iter().map(|s| (s.duration, of(s.index).map(told).collect())).collect()
}

/// What is in each box but where the media is; by its place: `/moov0/trak1/tkhd0` is the second track's.
type Leaves = BTreeMap<String, Vec<u8>>;

/// The kinds of the boxes at the top, and all that is in them.
fn boxes(mut file: &File) -> (Vec<String>, Leaves) {
    fn walk(bytes: &[u8], path: &str, leaves: &mut Leaves) -> Vec<String> {
        let (mut at, mut kinds) = (0, Vec::new());
        while at < bytes.len() {
            let size = u32::from_be_bytes(*bytes[at..].first_chunk().unwrap()) as usize;
            let kind = String::from_utf8_lossy(&bytes[at + 4..at + 8]).into_owned();
            let body = &bytes[at + 8..at + size];
            let nth = kinds.iter().filter(|k| **k == kind).count();
            let within = format!("{path}/{kind}{nth}");
            match &*kind {
                "moov" | "trak" | "edts" | "mdia" | "minf" | "stbl" => drop(walk(body, &within, leaves)),
                "mdat" | "free" | "stsc" | "stco" | "co64" => {}
                _ => assert!(leaves.insert(within, body.to_vec()).is_none()),
            }
            kinds.push(kind);
            at += size;
        }
        kinds
    }
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.read_to_end(&mut bytes).unwrap();
    let mut leaves = Leaves::new();
    (walk(&bytes, "", &mut leaves), leaves)
}

/// More room than an index needs, and less.
const WIDE: Option<u64> = Some(64 << 10);
const NARROW: Option<u64> = Some(100);

#[test]
fn a_file_in_portions_is_to_a_player_what_it_is_in_one() {
    let _log = LogScope::enter();
    let ts = &["index0.ts", "index1.ts", "index2.ts"][..];
    let cases = [
        (DemuxerKind::MpegTs, "ts-h264-aac", ts, Format::Mp4),
        (DemuxerKind::MpegTs, "ts-h264-aac", ts, Format::Mov),
        (DemuxerKind::MpegTs, "h264-pyramid", ts, Format::Mp4),
        (DemuxerKind::MpegTs, "ts-hevc-aac", ts, Format::Mp4),
        (DemuxerKind::MpegTs, "ts-opus", ts, Format::Mp4),
        (DemuxerKind::MpegTs, "ts-mp3", &["index0.ts", "index1.ts"], Format::Mp4),
        (DemuxerKind::Mp4, "fmp4-opus", &["index-init.mp4", "index0.m4s", "index1.m4s"], Format::Mp4),
        (DemuxerKind::Mp4, "fmp4-flac", &["index-init.mp4", "index0.m4s", "index1.m4s"], Format::Mp4),
        (DemuxerKind::Mp3, "packed-mp3", &["a0.mp3", "a1.mp3"], Format::Mp4),
        (DemuxerKind::Aac, "packed-no-tags", &["a0.aac", "a1.aac"], Format::M4a),
    ];
    for (kind, folder, names, format) in cases {
        let source = Source::read(kind, folder, names, format);
        // The third makes the whole's durations need 64 bits, and not the first portion's.
        for later in [0, 3, 47_721, 60_000] {
            let whole = source.write(u32::MAX, format, WIDE, later);
            let (expected, whole_boxes) = (learned(&whole), boxes(&whole));
            assert!(expected.iter().all(|(_, packets)| packets.len() > 10), "{folder}");
            for portion in [1, 7, 50] {
                for room in [WIDE, NARROW, None] {
                    let case = format!("{folder} to {format:?} in {portion}, {later} s later, room {room:?}");
                    let file = source.write(portion, format, room, later);
                    assert!(learned(&file) == expected, "{case}");
                    let (top, leaves) = boxes(&file);
                    assert_eq!(top.iter().filter(|kind| *kind == "mdat").count(), 1, "{case}");
                    let place = |kind| top.iter().position(|k| k == kind).unwrap();
                    assert_eq!(place("moov") < place("mdat"), room.is_some(), "{case}");
                    for (path, body) in &leaves {
                        assert_eq!(Some(body), whole_boxes.1.get(path), "{case}: {path}");
                    }
                    assert_eq!(leaves.len(), whole_boxes.1.len(), "{case}");
                }
            }
        }
    }
}

#[test]
fn what_libav_makes_samples_of_by_itself_is_written_whole() {
    let _log = LogScope::enter();
    for folder in ["ts-ac3", "ts-eac3"] {
        let source = Source::read(DemuxerKind::MpegTs, folder, &["index0.ts", "index1.ts"], Format::Mp4);
        let content = |portion| {
            let (mut file, mut bytes) = (source.write(portion, Format::Mp4, WIDE, 0), Vec::new());
            file.seek(SeekFrom::Start(0)).unwrap();
            file.read_to_end(&mut bytes).unwrap();
            bytes
        };
        assert!(content(7) == content(u32::MAX), "{folder}");
    }
}
