use super::*;

const FORMATS: [(Format, bool); 6] = [
    (Format::Mp4, true),
    (Format::Mov, true),
    (Format::Fmp4, false),
    (Format::Mkv, true),
    (Format::Mkv, false),
    (Format::Ts, false),
];

fn contains(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|w| w == what)
}

fn written(bytes: Vec<u8>, format: Format, kind: DemuxerKind) -> Result<Vec<u8>> {
    let (streams, packets) = packets_of(bytes, kind)?;
    let mut muxer =
        muxer(Memory::new(true, &Trap::default()), format, &streams, &CancelToken::new())?.write_header()?;
    for mut packet in packets {
        let (from, to) = (streams[packet.stream()].time_base, muxer.time_base(packet.stream())?);
        let ticks = |t: Option<i64>| rescale_ticks(t.unwrap_or(0), from, to);
        packet.set_times(ticks(packet.pts()), ticks(packet.dts()), ticks(packet.duration()));
        muxer.write(packet)?;
    }
    let memory = muxer.finish()?;
    Ok(std::mem::take(&mut *memory.bytes.lock().unwrap()))
}

#[test]
fn a_write_or_seek_that_fails_is_told_whichever_it_is() {
    for fault in [Fault::Error, Fault::Panic] {
        for (format, seekable) in FORMATS {
            for n in 0.. {
                let trap = Trap::at(n, &fault);
                let outcome = write_times(Memory::new(seekable, &trap), format, 12, &CancelToken::new());
                if !trap.struck() {
                    assert!(outcome.is_ok() && n > 1, "{format:?}: {n} calls");
                    break;
                }
                expect_told(outcome, &fault, &format!("{format:?}, call {n}"));
                assert_eq!((trap.calls(), trap.drops()), (n + 1, 1), "{format:?}, call {n}");
            }
        }
    }
}

#[test]
fn a_file_whose_write_failed_cannot_be_finished() {
    let (streams, packets) = packets_of(fmp4(), DemuxerKind::Mp4).unwrap();
    for fault in [Fault::Error, Fault::Panic] {
        let trap = Trap::at(1, &fault);
        let memory = Memory::new(false, &trap);
        let mut muxer = muxer(memory, Format::Ts, &streams, &CancelToken::new()).unwrap().write_header().unwrap();
        let failed = (0..100_000).find_map(|n| {
            let mut packet = packets.iter().find(|p| p.stream() == 0).unwrap().try_clone().unwrap();
            packet.set_times(n * 3600, n * 3600, 3600);
            muxer.write(packet).err()
        });
        expect_told(Err::<(), _>(failed.unwrap()), &fault, "write");
        assert!(muxer.write(packets[0].try_clone().unwrap()).is_err());
        assert!(muxer.finish().is_err());
        assert_eq!((trap.calls(), trap.drops()), (2, 1));
    }
}

#[test]
fn the_same_packets_make_the_same_bytes() {
    for (format, seekable) in FORMATS {
        let write = || {
            let memory = write_times(Memory::new(seekable, &Trap::default()), format, 3, &CancelToken::new()).unwrap();
            std::mem::take(&mut *memory.bytes.lock().unwrap())
        };
        let first = write();
        std::thread::sleep(std::time::Duration::from_millis(5));
        assert!(first.len() > 10_000 && first == write(), "{format:?}");
        assert!(!contains(&first, b"Lavf5"), "{format:?} names its muxer's version");
    }
}

#[test]
fn a_writer_is_called_once_for_many_packets() {
    for (format, seekable) in FORMATS {
        let trap = Trap::default();
        let memory = write_times(Memory::new(seekable, &trap), format, 100, &CancelToken::new()).unwrap();
        let bytes = memory.bytes.lock().unwrap().len();
        // Matroska goes back to each cluster's size, and fragments are written one by one.
        let (buffer, bound) = match format {
            Format::Mkv | Format::Fmp4 => (64 << 10, 2000),
            _ if seekable => (1 << 20, 16),
            _ => (64 << 10, 16),
        };
        let calls = trap.calls();
        assert!(calls <= bytes / buffer + bound, "{format:?}: {calls} calls for {bytes} bytes");
    }
}

#[test]
fn hevc_is_tagged_as_apples_players_want_it() {
    let names = ["index-init.mp4", "index0.m4s", "index1.m4s", "index2.m4s"];
    for format in [Format::Mp4, Format::Fmp4, Format::Mov] {
        let bytes = written(joined("fmp4-hevc", &names), format, DemuxerKind::Mp4).unwrap();
        assert!(contains(&bytes, b"hvc1") && !contains(&bytes, b"hev1"), "{format:?}");
    }
}

#[test]
fn rotated_video_stays_rotated() {
    let matrix = |a: i32, b: i32, c: i32, d: i32| -> Vec<u8> {
        [a, b, 0, c, d, 0, 0, 0, 1 << 30].iter().flat_map(|n| n.to_be_bytes()).collect()
    };
    let (upright, turned) = (matrix(1 << 16, 0, 0, 1 << 16), matrix(0, 1 << 16, -(1 << 16), 0));
    let mut bytes = fmp4();
    let tkhd = bytes.windows(4).position(|w| w == b"tkhd").unwrap();
    let at = tkhd + bytes[tkhd..].windows(36).position(|w| w == upright).unwrap();
    bytes[at..at + 36].copy_from_slice(&turned);
    let output = written(bytes, Format::Mp4, DemuxerKind::Mp4).unwrap();
    assert!(contains(&output, &turned));
}

#[test]
fn a_codec_that_the_format_cannot_hold_is_refused_by_the_formats_name() {
    let bytes = joined("ts-data-streams", &["0.ts", "1.ts"]);
    let error = written(bytes, Format::Mp4, DemuxerKind::MpegTs).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(error.to_string().contains("mp4"), "{error}");
}

#[test]
fn room_that_is_reserved_stays_free_before_the_header() {
    let (streams, _) = packets_of(fmp4(), DemuxerKind::Mp4).unwrap();
    let mut unstarted = muxer(Memory::new(true, &Trap::default()), Format::Mp4, &streams, &CancelToken::new()).unwrap();
    unstarted.reserve(4096).unwrap();
    let memory = unstarted.write_header().unwrap().finish().unwrap();
    let bytes = memory.bytes.lock().unwrap();
    assert!(bytes[..4096].iter().all(|b| *b == 0));
    assert_eq!(&bytes[4100..4104], b"ftyp");
}

#[test]
fn room_cannot_be_reserved_in_a_pipe() {
    let (streams, _) = packets_of(fmp4(), DemuxerKind::Mp4).unwrap();
    let mut pipe = muxer(Memory::new(false, &Trap::default()), Format::Mp4, &streams, &CancelToken::new()).unwrap();
    assert!(pipe.reserve(1 << 20).is_err());
}

#[test]
fn a_muxer_given_up_at_any_stage_drops_its_writer() {
    let (streams, packets) = packets_of(fmp4(), DemuxerKind::Mp4).unwrap();
    for (format, seekable) in FORMATS {
        let trap = Trap::default();
        let new = || muxer(Memory::new(seekable, &trap), format, &streams, &CancelToken::new()).unwrap();
        drop(new());
        drop(new().write_header().unwrap());
        let mut writing = new().write_header().unwrap();
        writing.write(packets[0].try_clone().unwrap()).unwrap();
        drop(writing);
        assert_eq!(trap.drops(), 3, "{format:?}");
    }
}
