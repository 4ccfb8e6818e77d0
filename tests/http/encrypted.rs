//! Encrypted media, made here by the openssl command.

use std::collections::BTreeMap;

use crate::fault::{Site, instead};
use crate::judge;
use crate::media::{Long, encrypt, plain, playlist};
use crate::run::{BAD_DATA, UNSUPPORTED, each, merges_to, refused};
use crate::sandbox::Sandbox;

/// Segments of the encrypted VOD.
const SEGMENTS: usize = 12;
/// Its first media sequence number, which the default IV begins with.
const FIRST: u128 = 7794;
/// Segments before the first key.
const CLEAR: usize = 2;
/// Segments for each key.
const KEY_LASTS: usize = 4;

fn key(n: usize) -> [u8; 16] {
    std::array::from_fn(|i| (n * 16 + i * 7 + 1) as u8)
}

/// A clear lead, then three keys in turn, with the IV of the media sequence number.
fn vod() -> Site {
    let mut text = format!("#EXT-X-MEDIA-SEQUENCE:{FIRST}\n#EXT-X-KEY:METHOD=NONE\n");
    let mut site = Site::new();
    for n in 0..SEGMENTS + CLEAR {
        if n > 0 && n % 3 == 0 {
            text += "#EXT-X-DISCONTINUITY\n";
        }
        let content = match n.checked_sub(CLEAR) {
            None => plain(n),
            Some(after) => {
                let number = after / KEY_LASTS;
                if after % KEY_LASTS == 0 {
                    text += &format!("#EXT-X-KEY:METHOD=AES-128,URI=\"keys/{number}.key?token=hush\"\n");
                    site = site.put(&format!("/keys/{number}.key"), key(number));
                }
                encrypt(&plain(n), key(number), FIRST + n as u128)
            }
        };
        text += &format!("#EXTINF:1,\n{}\n", Long::name(n));
        site = site.put(&format!("/{}", Long::name(n)), content);
    }
    site.put("/index.m3u8", playlist(&[text.trim_end()]))
}

#[test]
fn a_vod_with_three_keys_and_a_clear_lead_decodes_and_asks_for_each_key_once() {
    let server = vod().start();
    let sandbox = Sandbox::new();
    crate::run::merge(&sandbox, server.url("/index.m3u8"), &[]).succeeded();
    crate::run::is_clean(&sandbox, &Long { many: SEGMENTS + CLEAR, bytes: 0 }.clean());
    let output = sandbox.output("out.mp4");
    // The null muxer counts frames of 25 a second and complains where a discontinuity's pictures do not fit its count.
    let said = judge::decoder_errors(&output);
    let errors: Vec<&str> = said.lines().filter(|line| !line.starts_with("[null @")).collect();
    assert_eq!(errors, [""; 0]);
    let tracks = judge::tracks(&output);
    assert_eq!(tracks[0].packets, 25 * (SEGMENTS + CLEAR) as u64, "every frame of 25 a second");
    let mut keys = BTreeMap::new();
    for request in server.requests().iter().filter(|request| request.path.starts_with("/keys/")) {
        *keys.entry(request.path.clone()).or_insert(0) += 1;
    }
    assert_eq!(keys.into_iter().collect::<Vec<_>>(), [0, 1, 2].map(|n| (format!("/keys/{n}.key"), 1)));
}

#[test]
fn a_key_that_alternates_is_asked_for_once() {
    let mut text = String::from("#EXT-X-MEDIA-SEQUENCE:0\n");
    let mut site = Site::new();
    for n in 0..300_usize {
        let number = n % 3;
        if n > 0 && n % 3 == 0 {
            text += "#EXT-X-DISCONTINUITY\n";
        }
        text += &format!("#EXT-X-KEY:METHOD=AES-128,URI=\"{number}.key\",IV=0x01\n#EXTINF:1,\n{}\n", Long::name(n));
    }
    for number in 0..3 {
        site = site.put(&format!("/{number}.key"), key(number));
        let content = encrypt(&plain(number), key(number), 1);
        for n in (number..300).step_by(3) {
            site = site.put(&format!("/{}", Long::name(n)), content.clone());
        }
    }
    let server = site.put("/index.m3u8", playlist(&[text.trim_end()])).start();
    merges_to(&Long { many: 300, bytes: 0 }.clean(), server.url("/index.m3u8"), &[]);
    assert_eq!(server.count(|request| request.path.ends_with(".key")), 3);
}

#[test]
fn keys_that_are_none_are_rejected_by_name() {
    let html = "<!DOCTYPE html><html><body>Log in first</body></html>";
    let rows: [(&str, Vec<u8>); 6] = [
        ("15 bytes", vec![7; 15]),
        ("17 bytes", vec![7; 17]),
        ("empty", Vec::new()),
        ("32 hex digits", b"00112233445566778899aabbccddeeff".to_vec()),
        ("a page", html.into()),
        ("wrong", vec![7; 16]),
    ];
    each(rows.map(|(name, bytes)| (name.to_owned(), bytes)), |bytes| {
        let server = Site::fixture("aes128").always("/key.bin", instead(bytes)).start();
        let outcome = refused(BAD_DATA, server.url("/index.m3u8"), &["--retries", "1"]).says(&["key rejected"]);
        assert_eq!(outcome.report["error"]["kind"], "key", "{outcome:#?}");
    });
}

#[test]
fn encryption_that_is_not_done_is_refused_by_name_before_any_media() {
    let rows = [
        ("FairPlay", "METHOD=SAMPLE-AES,URI=\"skd://a\",KEYFORMAT=\"com.apple.streamingkeydelivery\"", "fairplay"),
        (
            "Widevine",
            "METHOD=SAMPLE-AES-CTR,URI=\"data:text/plain;base64,AAAA\",KEYFORMAT=\"urn:uuid:edef8ba9-79d6-4ace-a3c8-27dcd51d21ed\"",
            "widevine",
        ),
        (
            "PlayReady",
            "METHOD=SAMPLE-AES-CTR,URI=\"data:text/plain;base64,AAAA\",KEYFORMAT=\"com.microsoft.playready\"",
            "playready",
        ),
        ("an unknown method", "METHOD=ROT-13,URI=\"key.bin\"", "rot-13"),
    ];
    // Wherever it stands: at the first segment, and at the last.
    let rows = rows.iter().flat_map(|(name, key, word)| {
        [0, 2].map(|place| (format!("{name} before segment {place}"), (*key, *word, place)))
    });
    each(rows, |(key, word, place)| {
        let key = format!("#EXT-X-KEY:{key}");
        let mut lines = vec!["#EXTINF:1,\nindex0.ts", "#EXTINF:1,\nindex1.ts", "#EXTINF:1,\nindex2.ts"];
        lines.insert(place, &key);
        let server = Site::fixture("ts-h264-aac").put("/index.m3u8", playlist(&lines)).put("/key.bin", [1; 16]).start();
        refused(UNSUPPORTED, server.url("/index.m3u8"), &[]).says(&[word]);
        assert_eq!(server.count(|request| request.path != "/index.m3u8"), 0, "something was fetched");
    });
}
