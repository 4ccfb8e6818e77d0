use super::*;

/// Reads everything with a fault at each call of the reader in turn, up to the first run that no fault meets.
fn at_every_call(bytes: Vec<u8>, kind: DemuxerKind, seekable: bool, fault: &Fault) -> usize {
    let bytes = Arc::new(bytes);
    for n in 0.. {
        let trap = Trap::at(n, fault);
        let source = Source::new(bytes.clone(), &trap);
        let source = if seekable { source.seekable() } else { source };
        let case = format!("{kind:?}, call {n}");
        match Demuxer::open(source, kind, AHEAD, &CancelToken::new()) {
            Err((error, reader)) => {
                expect_told(Err::<(), _>(error), fault, &case);
                assert!(reader.is_some(), "{case}: the reader is lost");
            }
            Ok(mut demuxer) => {
                let outcome = read_all(&mut demuxer);
                if !trap.struck() {
                    assert!(!outcome.unwrap().is_empty(), "{case}");
                    return n;
                }
                expect_told(outcome, fault, &case);
                assert!(demuxer.read().is_err(), "{case}: after the error comes a clean end");
            }
        }
        assert_eq!(trap.drops(), 1, "{case}");
    }
    unreachable!()
}

#[test]
fn a_readers_error_anywhere_in_the_media_is_told_and_never_becomes_its_end() {
    for fault in [Fault::Error, Fault::Panic] {
        assert!(at_every_call(ts(), DemuxerKind::MpegTs, false, &fault) > 6);
        assert!(at_every_call(fmp4(), DemuxerKind::Mp4, false, &fault) > 4);
        assert!(
            at_every_call(joined("packed-aac", &["a0.aac", "a1.aac", "a2.aac"]), DemuxerKind::Aac, false, &fault) > 2
        );
        assert!(at_every_call(joined("packed-mp3", &["a0.mp3", "a1.mp3"]), DemuxerKind::Mp3, false, &fault) > 2);
        assert!(at_every_call(joined("packed-ac3", &["a0.ac3", "a1.ac3"]), DemuxerKind::Ac3, false, &fault) > 2);
    }
}

#[test]
fn a_seek_that_fails_is_told_whichever_it_is() {
    // `moov` at the end, too far for reading on to it.
    let written = write_times(Memory::new(true, &Trap::default()), Format::Mp4, 100, &CancelToken::new()).unwrap();
    let bytes = std::mem::take(&mut *written.bytes.lock().unwrap());
    assert!(bytes.len() > 1 << 20);
    for fault in [Fault::Error, Fault::Panic] {
        assert!(at_every_call(bytes.clone(), DemuxerKind::Mp4, true, &fault) > 10);
    }
    let trap = Trap::default();
    read_all(&mut open(Source::new(bytes, &trap).seekable(), DemuxerKind::Mp4).unwrap()).unwrap();
    assert!(trap.seeks.load(Ordering::SeqCst) > 0, "nothing seeks: the test tests nothing");
}

#[test]
fn an_empty_or_tiny_input_gives_no_packet_and_no_crash() {
    let (ts, mp4, aac) = (ts(), fmp4(), fixture("packed-aac/a0.aac"));
    for kind in ALL_KINDS {
        for bytes in [&ts, &mp4, &aac] {
            for length in [0, 1, 7, 9, 100] {
                gives_nothing(bytes[..length].to_vec(), kind, &format!("{kind:?} of {length} bytes"));
            }
            for length in (101..1000).step_by(37) {
                drop(packets_of(bytes[..length].to_vec(), kind));
            }
        }
    }
}

#[test]
fn a_reader_that_claims_more_than_it_was_asked_for_is_a_fault_of_ours() {
    struct Liar;
    impl Reader for Liar {
        fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
            Ok(buffer.len() + 1)
        }
    }
    assert_eq!(open(Liar, DemuxerKind::MpegTs).err().unwrap().kind(), ErrorKind::Internal);
}

#[test]
fn an_error_of_libavs_own_says_what_is_wrong() {
    let error = open(Source::new(vec![0; 4096], &Trap::default()), DemuxerKind::Matroska).err().unwrap();
    assert!(!error.to_string().trim_end().ends_with(':'), "{error}");
    assert_eq!(error.kind(), ErrorKind::Media);
}

#[test]
fn the_reader_comes_back_from_a_demuxer_once() {
    let trap = Trap::default();
    let mut demuxer = open(Source::new(ts(), &trap), DemuxerKind::MpegTs).unwrap();
    read_all(&mut demuxer).unwrap();
    let reader = demuxer.into_reader().unwrap();
    assert_eq!((trap.drops(), reader.at), (0, reader.bytes.len()));
    drop(reader);
    assert_eq!(trap.drops(), 1);
}

/// Tests that run beside it take memory too, so one quiet round of several is enough; a leak grows in all.
#[cfg(target_os = "linux")]
#[test]
fn opening_and_dropping_demuxers_does_not_take_memory() {
    let resident = || -> u64 {
        let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
        pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
    };
    let _scope = LogScope::enter();
    let bytes = Arc::new(fixture("self-initializing-mp4/0.mp4"));
    let mut grown = Vec::new();
    for _ in 0..6 {
        let before = resident();
        for n in 0..2000 {
            let source = Source::new(bytes.clone(), &Trap::default()).seekable();
            // Every other one fails, on a path of its own.
            let kind = if n % 2 == 0 { DemuxerKind::Mp4 } else { DemuxerKind::Matroska };
            let opened = Demuxer::open(source, kind, Probing::HeaderOnly, &CancelToken::new());
            assert_eq!(opened.is_ok(), kind == DemuxerKind::Mp4);
            if let Ok(mut demuxer) = opened {
                demuxer.read().unwrap();
            }
        }
        grown.push(resident().saturating_sub(before));
    }
    assert!(grown.iter().any(|bytes| *bytes < 2 << 20), "grew by {grown:?} bytes in rounds of 2000");
}
