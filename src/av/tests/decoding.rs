use super::super::log::last_error;
use super::*;

/// What came of decoding packets of one stream as if they were of another.
fn tally(streams: &[Stream], packets: &[Packet], of: usize, decoded_as: usize) -> Tally {
    let parameters = &streams[decoded_as].parameters;
    let mut decoder = Decoder::open(parameters, parameters.video_delay()).unwrap().expect("a decoder");
    for packet in packets.iter().filter(|packet| packet.stream() == of) {
        decoder.decode(packet).unwrap();
    }
    decoder.finish()
}

#[test]
fn each_packet_of_a_clean_stream_becomes_a_frame() {
    for (bytes, kind) in [(fmp4(), DemuxerKind::Mp4), (ts(), DemuxerKind::MpegTs)] {
        let (streams, packets) = packets_of(bytes, kind).unwrap();
        for stream in 0..streams.len() {
            let count = packets.iter().filter(|packet| packet.stream() == stream).count() as u64;
            assert_eq!(tally(&streams, &packets, stream, stream), Tally { frames: count, errors: 0 }, "{kind:?}");
        }
    }
}

#[test]
fn what_cannot_be_decoded_is_counted_and_leaves_no_line_behind() {
    let _log = LogScope::enter();
    let (streams, packets) = packets_of(fmp4(), DemuxerKind::Mp4).unwrap();
    let sound = packets.iter().filter(|packet| packet.stream() == 1).count() as u64;
    last_error();
    let first = tally(&streams, &packets, 1, 0);
    assert!(first.frames == 0 && (sound / 2..=sound + 1).contains(&first.errors), "{first:?} of {sound}");
    assert_eq!(tally(&streams, &packets, 1, 0), first, "the same packets count the same");
    assert_eq!(last_error(), None, "lines of the decoder's are no reason of a later error");
}

#[test]
fn a_packet_without_data_is_not_the_end() {
    let (streams, packets) = packets_of(fmp4(), DemuxerKind::Mp4).unwrap();
    let mut decoder = Decoder::open(&streams[1].parameters, 0).unwrap().expect("a decoder");
    decoder.decode(&Packet::new().unwrap()).unwrap();
    for packet in packets.iter().filter(|packet| packet.stream() == 1) {
        decoder.decode(packet).unwrap();
    }
    let tally = decoder.finish();
    assert!(tally.frames > 100 && tally.errors == 0, "{tally:?}");
}
