use super::*;

#[test]
fn many_threads_that_start_at_once_write_the_same_bytes() {
    let outputs = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                init();
                for format in [Format::Mp4, Format::Mkv] {
                    let memory = Memory::new(true, &Trap::default());
                    let written = write_times(memory, format, 2, &CancelToken::new()).unwrap();
                    outputs.lock().unwrap().push((format, std::mem::take(&mut *written.bytes.lock().unwrap())));
                }
            });
        }
    });
    let outputs = outputs.into_inner().unwrap();
    assert_eq!(outputs.len(), 32);
    for (format, bytes) in &outputs {
        let first = outputs.iter().find(|(f, _)| f == format).unwrap();
        assert!(bytes.len() > 10_000 && *bytes == first.1, "{format:?}");
    }
}

/// An error of libav's that names the stream it is about.
fn going_back(streams: &[Stream], packets: &[Packet], stream: usize) -> Error {
    let mut muxer = muxer(Memory::new(true, &Trap::default()), Format::Mp4, streams, &CancelToken::new())
        .unwrap()
        .write_header()
        .unwrap();
    let mut outcome = Ok(());
    for dts in [9000, 90] {
        let mut packet = packets.iter().find(|p| p.stream() == stream).unwrap().try_clone().unwrap();
        packet.set_times(dts, dts, 1);
        outcome = outcome.and_then(|()| muxer.write(packet));
    }
    outcome.err().unwrap()
}

#[test]
fn an_error_quotes_what_libav_logged_on_its_own_thread_and_on_no_other() {
    std::thread::scope(|scope| {
        for thread in 0..8 {
            scope.spawn(move || {
                let (streams, packets) = packets_of(fmp4(), DemuxerKind::Mp4).unwrap();
                let _scope = LogScope::enter();
                for _ in 0..50 {
                    let stream = thread % 2;
                    let error = going_back(&streams, &packets, stream).to_string();
                    assert!(error.contains("monoton"), "{error}");
                    assert!(error.contains(&format!("stream {stream}")), "{error}");
                    assert!(!error.contains("0x"), "an address: {error}");
                }
            });
        }
    });
}

#[test]
fn log_scopes_nest_and_what_is_logged_outside_is_not_kept() {
    let (streams, packets) = packets_of(fmp4(), DemuxerKind::Mp4).unwrap();
    assert!(!going_back(&streams, &packets, 0).to_string().contains("libav:"));
    let outer = LogScope::enter();
    drop(LogScope::enter());
    assert!(going_back(&streams, &packets, 0).to_string().contains("libav:"));
    drop(outer);
    assert!(!going_back(&streams, &packets, 0).to_string().contains("libav:"));
}
