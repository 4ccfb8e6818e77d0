use std::net::TcpListener;

use super::*;

#[test]
fn a_segment_that_is_a_playlist_opens_nothing_that_it_names() {
    let canary = TcpListener::bind("127.0.0.1:0").unwrap();
    canary.set_nonblocking(true).unwrap();
    let url = format!("http://{}/canary.ts", canary.local_addr().unwrap());
    let path = format!("{}/fixtures/ts-h264-aac/index0.ts", env!("CARGO_MANIFEST_DIR"));
    let texts = |name: &str| {
        [
            format!("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{name}\n#EXT-X-ENDLIST\n"),
            format!("ffconcat version 1.0\nfile '{name}'\n"),
            format!(
                "<?xml version=\"1.0\"?><MPD><Period><AdaptationSet><BaseURL>{name}</BaseURL></AdaptationSet></Period></MPD>"
            ),
            format!("v=0\no=- 0 0 IN IP4 127.0.0.1\ns={name}\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 33\n"),
        ]
    };
    for name in [&url, &path] {
        for text in texts(name) {
            for kind in ALL_KINDS {
                gives_nothing(text.clone().into_bytes(), kind, &format!("{kind:?} on {text:?}"));
                // Long enough for whoever looks for a rhythm of packets.
                gives_nothing(text.repeat(500).into_bytes(), kind, &format!("{kind:?} on much of {text:?}"));
            }
        }
    }
    assert_eq!(canary.accept().err().unwrap().kind(), std::io::ErrorKind::WouldBlock, "the canary was called");
}

#[test]
fn a_demuxer_does_not_take_another_containers_media() {
    let media = [
        (DemuxerKind::MpegTs, ts()),
        (DemuxerKind::Mp4, fmp4()),
        (DemuxerKind::Aac, fixture("packed-aac/a0.aac")),
        (DemuxerKind::Mp3, fixture("packed-mp3/a0.mp3")),
    ];
    for (own, bytes) in media {
        for kind in [DemuxerKind::MpegTs, DemuxerKind::Mp4, DemuxerKind::Matroska] {
            if kind != own {
                gives_nothing(bytes.clone(), kind, &format!("{kind:?} on {own:?}"));
            }
        }
    }
}
