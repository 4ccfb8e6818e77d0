use super::*;

#[test]
fn a_job_cancelled_before_it_opens_reads_nothing() {
    let (trap, cancel) = (Trap::default(), CancelToken::new());
    cancel.cancel();
    let (error, reader) = Demuxer::open(Source::new(ts(), &trap), DemuxerKind::MpegTs, AHEAD, &cancel).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert_eq!(trap.calls(), 0);
    drop(reader);
    assert_eq!(trap.drops(), 1);
}

#[test]
fn a_job_cancelled_while_it_reads_ends_at_the_next_read() {
    for n in 0..8 {
        let cancel = CancelToken::new();
        let trap = Trap::at(n, &Fault::Cancel(cancel.clone()));
        let outcome = Demuxer::open(Source::new(ts(), &trap), DemuxerKind::MpegTs, AHEAD, &cancel)
            .map_err(|(error, _)| error)
            .and_then(|mut demuxer| read_all(&mut demuxer));
        expect_told(outcome, &Fault::Cancel(cancel), &format!("call {n}"));
        assert_eq!((trap.calls(), trap.drops()), (n + 1, 1));
    }
}

#[test]
fn a_job_cancelled_between_packets_gives_none_of_those_read_ahead() {
    let cancel = CancelToken::new();
    let mut demuxer = Demuxer::open(Source::new(fmp4(), &Trap::default()), DemuxerKind::Mp4, AHEAD, &cancel)
        .map_err(|e| e.0)
        .unwrap();
    assert!(demuxer.read().unwrap().is_some());
    cancel.cancel();
    assert_eq!(demuxer.read().err().unwrap().kind(), ErrorKind::Cancelled);
}

#[test]
fn a_job_cancelled_at_any_write_ends_cancelled_and_drops_its_writer() {
    for (format, seekable) in [(Format::Mp4, true), (Format::Fmp4, false), (Format::Mkv, true), (Format::Ts, false)] {
        for n in 0.. {
            let cancel = CancelToken::new();
            let trap = Trap::at(n, &Fault::Cancel(cancel.clone()));
            let outcome = write_times(Memory::new(seekable, &trap), format, 12, &cancel);
            if !trap.struck() {
                assert!(outcome.is_ok());
                break;
            }
            // The very last write may come too late to be stopped: then the file is whole.
            match &outcome {
                Err(error) => assert_eq!(error.kind(), ErrorKind::Cancelled, "{format:?}, call {n}"),
                Ok(_) => assert_eq!(trap.calls(), n + 1, "{format:?}, call {n}"),
            }
            drop(outcome);
            assert_eq!(trap.drops(), 1, "{format:?}, call {n}");
        }
    }
}

#[test]
fn a_job_cancelled_before_header_packet_or_trailer_ends_there() {
    let (streams, packets) = packets_of(fmp4(), DemuxerKind::Mp4).unwrap();
    let started =
        |cancel: &CancelToken| muxer(Memory::new(true, &Trap::default()), Format::Mp4, &streams, cancel).unwrap();
    let cancel = CancelToken::new();
    let unstarted = started(&cancel);
    cancel.cancel();
    assert_eq!(unstarted.write_header().err().unwrap().kind(), ErrorKind::Cancelled);

    let cancel = CancelToken::new();
    let mut writing = started(&cancel).write_header().unwrap();
    cancel.cancel();
    assert_eq!(writing.write(packets[0].try_clone().unwrap()).err().unwrap().kind(), ErrorKind::Cancelled);
    assert_eq!(writing.finish().err().unwrap().kind(), ErrorKind::Cancelled);
}
