use super::*;

#[test]
fn a_clone_shares_its_payload_and_outlives_the_original() {
    let (_, mut packets) = packets_of(fmp4(), DemuxerKind::Mp4).unwrap();
    let packet = packets.remove(0);
    let copy = packet.try_clone().unwrap();
    assert_eq!(copy.data().as_ptr(), packet.data().as_ptr());
    let expected = packet.data().to_vec();
    drop(packet);
    assert_eq!(copy.data(), expected);
}

#[test]
fn what_a_packet_does_not_know_is_none() {
    let mut packet = Packet::new().unwrap();
    assert_eq!((packet.pts(), packet.dts(), packet.duration(), packet.position()), (None, None, None, None));
    assert!(packet.data().is_empty() && packet.new_extradata().is_none() && packet.skipped_samples() == 0);
    packet.set_times(-5, -7, 3);
    assert_eq!((packet.pts(), packet.dts(), packet.duration()), (Some(-5), Some(-7), Some(3)));
}

#[test]
fn a_flag_other_than_key_does_not_reach_the_output() {
    let (_, mut packets) = packets_of(fmp4(), DemuxerKind::Mp4).unwrap();
    let packet = &mut packets[0];
    assert!(packet.is_key() && packet.position().is_some());
    packet.reset_for_output();
    assert!(packet.is_key() && packet.position().is_none());
}

#[test]
fn extradata_is_replaced_and_told_apart() {
    let (streams, _) = packets_of(fmp4(), DemuxerKind::Mp4).unwrap();
    let original = &streams[0].parameters;
    let mut changed = original.try_clone().unwrap();
    assert!(changed.fits(original) && !original.fits(&streams[1].parameters));
    for extradata in [&[1, 2, 3][..], &[], &[7; 1000]] {
        changed.set_extradata(extradata).unwrap();
        assert_eq!(changed.extradata(), extradata);
        assert!(!changed.fits(original));
        assert_eq!(changed.try_clone().unwrap().extradata(), extradata);
    }
}

#[test]
fn streams_are_told_as_they_are() {
    let (streams, _) = packets_of(ts(), DemuxerKind::MpegTs).unwrap();
    let mut names: Vec<(&str, String)> =
        streams.iter().map(|s| (s.parameters.kind().name(), s.parameters.codec().name())).collect();
    names.sort();
    assert_eq!(names, [("audio", "aac".to_owned()), ("video", "h264".to_owned())]);
    assert!(streams.iter().all(|s| s.wraps && s.parameters.is_complete()));
    assert!(streams.iter().any(Stream::is_adts));
}

#[test]
fn adts_frames_lose_their_header_and_tell_the_configuration_that_it_held() {
    let (streams, packets) = packets_of(fixture("packed-aac/a0.aac"), DemuxerKind::Aac).unwrap();
    let mut filter = BitstreamFilter::adts_to_asc(&streams[0].parameters).unwrap();
    let mut configuration = None;
    let count = packets.len();
    let mut filtered = 0;
    for packet in packets {
        let before = packet.data().to_vec();
        assert_eq!(before[0], 0xff);
        let after = filter.filter(packet).unwrap().unwrap();
        assert!(before.ends_with(after.data()) && [7, 9].contains(&(before.len() - after.data().len())));
        configuration = configuration.or(after.new_extradata().map(<[u8]>::to_vec));
        filtered += 1;
    }
    assert_eq!(filtered, count);
    let configuration = configuration.unwrap();
    // AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1): object type 2 is AAC-LC.
    assert_eq!(configuration[0] >> 3, 2);
}

#[test]
fn a_filter_given_no_adts_says_so() {
    let (streams, _) = packets_of(fixture("packed-aac/a0.aac"), DemuxerKind::Aac).unwrap();
    let (_, mp3) = packets_of(fixture("packed-mp3/a0.mp3"), DemuxerKind::Mp3).unwrap();
    let mut filter = BitstreamFilter::adts_to_asc(&streams[0].parameters).unwrap();
    let error = filter.filter(mp3.into_iter().next().unwrap()).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Media);
}

#[test]
fn encoder_priming_before_zero_is_told_with_the_first_packet() {
    const PRIMING: i64 = 1024;
    let (mut streams, packets) = packets_of(fmp4(), DemuxerKind::Mp4).unwrap();
    let audio = streams.iter().position(|s| s.parameters.codec() == CodecId::AAC).unwrap();
    let audio_stream = streams.remove(audio);
    let memory = Memory::new(true, &Trap::default());
    let cancel = CancelToken::new();
    let mut muxer = muxer(memory, Format::Mp4, &[audio_stream], &cancel).unwrap().write_header().unwrap();
    for (n, mut packet) in (0..).zip(packets.into_iter().filter(|p| p.stream() == audio)) {
        let at = n * 1024 - PRIMING;
        packet.set_times(at, at, 1024);
        packet.set_stream(0);
        packet.clear_side_data();
        muxer.write(packet).unwrap();
    }
    let bytes = std::mem::take(&mut *muxer.finish().unwrap().bytes.lock().unwrap());
    let mut demuxer = open(Source::new(bytes, &Trap::default()).seekable(), DemuxerKind::Mp4).unwrap();
    let first = demuxer.read().unwrap().unwrap();
    assert_eq!((first.pts(), i64::from(first.skipped_samples())), (Some(-PRIMING), PRIMING));
    let mut cleared = first.try_clone().unwrap();
    cleared.clear_side_data();
    assert_eq!(cleared.skipped_samples(), 0);
}
