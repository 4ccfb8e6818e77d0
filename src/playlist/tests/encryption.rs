use super::*;
use std::sync::Arc;

fn keys(lines: &str) -> Vec<Option<Arc<Key>>> {
    media(&vod(lines)).segments.into_iter().map(|s| s.key).collect()
}

fn name(key: &Option<Arc<Key>>) -> String {
    match key {
        None => "-".to_owned(),
        Some(key) => match (&key.method, &key.location) {
            (KeyMethod::Aes128 | KeyMethod::Aes256, Some(location)) => {
                location.display().rsplit('/').next().unwrap_or_default().to_owned()
            }
            (KeyMethod::Aes128 | KeyMethod::Aes256, None) => "?".to_owned(),
            (KeyMethod::Unsupported(name), _) => name.clone(),
        },
    }
}

fn names(lines: &str) -> Vec<String> {
    keys(lines).iter().map(name).collect()
}

#[test]
fn a_key_applies_until_the_next_and_none_ends_it() {
    assert_eq!(
        names(
            "#EXTINF:4,\na.ts\n#EXT-X-KEY:METHOD=AES-128,URI=\"k1\"\n#EXTINF:4,\nb.ts\n#EXTINF:4,\nc.ts\n\
             #EXT-X-KEY:METHOD=AES-128,URI=\"k2\",KEYFORMAT=\"identity\"\n#EXTINF:4,\nd.ts\n#EXT-X-KEY:METHOD=NONE\n\
             #EXTINF:4,\ne.ts\n#EXTINF:4,\nf.ts\n#EXT-X-KEY:METHOD=AES-128,IV=0x1234\n#EXTINF:4,\ng.ts"
        ),
        ["-", "k1", "k1", "k2", "-", "-", "?"]
    );
}

#[test]
fn a_key_that_is_repeated_is_one_key() {
    let line = "#EXT-X-KEY:METHOD=AES-128,URI=\"k1\",IV=0x00000000000000000000000000000001\n#EXTINF:4,\na.ts\n";
    let keys = keys(&line.repeat(2));
    assert!(Arc::ptr_eq(keys[0].as_ref().expect("a key"), keys[1].as_ref().expect("a key")));
}

#[test]
fn of_several_keys_the_one_with_an_identity_format_is_taken() {
    let identity = "#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n";
    let fairplay = "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://x\",KEYFORMAT=\"com.apple.streamingkeydelivery\"\n";
    let segment = "#EXTINF:4,\na.ts\n";
    assert_eq!(names(&[identity, fairplay, segment, segment].concat()), ["k", "k"]);
    assert_eq!(names(&[fairplay, identity, segment].concat()), ["k"]);
    // The next key in another format and with another method does not go with the key before it.
    assert_eq!(names(&[identity, segment, fairplay, segment].concat()), ["k", "SAMPLE-AES (FairPlay)"]);
    assert_eq!(names(&[fairplay, segment, identity, segment].concat()), ["SAMPLE-AES (FairPlay)", "k"]);
}

#[test]
fn other_encryption_is_named() {
    let name = |attributes: &str| names(&format!("#EXT-X-KEY:{attributes}\n#EXTINF:4,\na.ts"))[0].clone();
    assert_eq!(name("METHOD=SAMPLE-AES,URI=\"k\""), "SAMPLE-AES");
    assert_eq!(name("METHOD=AES-256-CTR,URI=\"k\",IV=0x1"), "AES-256-CTR");
    assert_eq!(name("METHOD=AES-256,URI=\"k\",IV=0x01"), "k");
    assert_eq!(name("METHOD=\"AES-128\",URI=\"k\",IV=\"0x01\""), "k");
    assert_eq!(
        name("METHOD=SAMPLE-AES-CTR,KEYFORMAT=\"urn:uuid:EDEF8BA9-79D6-4ACE-A3C8-27DCD51D21ED\",URI=\"data:,\""),
        "SAMPLE-AES-CTR (Widevine)"
    );
    assert_eq!(
        name("METHOD=AES-128,URI=\"skd://k\",KEYFORMAT=\"com.apple.streamingkeydelivery\""),
        "AES-128 (FairPlay)"
    );
    assert_eq!(name("METHOD=SAMPLE-AES,KEYFORMAT=\"com.microsoft.playready\""), "SAMPLE-AES (PlayReady)");
    assert_eq!(name("METHOD=X,KEYFORMAT=\"y\""), "X (y)");
    assert!(error(&vod("#EXT-X-KEY:URI=\"k\"\n#EXTINF:4,\na.ts")).1.contains("without METHOD"));
}

#[test]
fn session_keys_are_ignored() {
    assert_eq!(names("#EXT-X-SESSION-KEY:METHOD=AES-128,URI=\"k\"\n#EXTINF:4,\na.ts"), ["-"]);
}

#[test]
fn ivs_are_left_padded() {
    let iv = |iv: &str| {
        let key = keys(&format!("#EXT-X-KEY:METHOD=AES-128,URI=\"k\",IV={iv}\n#EXTINF:4,\na.ts")).remove(0);
        key.and_then(|key| key.iv).map(u128::from_be_bytes)
    };
    assert_eq!(iv("0x1234"), Some(0x1234));
    assert_eq!(iv("0Xb059217aa2649ce170b734"), Some(0xb059217aa2649ce170b734));
    assert_eq!(iv("0xFFffFFffFFffFFffFFffFFffFFffFFff"), Some(u128::MAX));
    assert_eq!(iv("\"\""), None);
    assert_eq!(default_iv(0x0102), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
    for bad in ["0x123", "0x", "0x00000000000000000000000000000000ff", "0xgg", "0x12é"] {
        let text = vod(&format!("#EXT-X-KEY:METHOD=AES-128,URI=\"k\",IV={bad}\n#EXTINF:4,\na.ts"));
        let (kind, shown) = error(&text);
        assert_eq!(kind, ErrorKind::Playlist);
        assert!(shown.starts_with("segment 0 (a.ts): line 3: the key's IV "), "{shown}");
    }
}

#[test]
fn an_init_section_has_the_key_in_force_at_its_line() {
    let k = |name: &str| format!("#EXT-X-KEY:METHOD=AES-128,URI=\"{name}\",IV=0x01\n");
    let playlist = media(&vod(&format!(
        "{}#EXT-X-MAP:URI=\"i\"\n{}#EXTINF:4,\na.mp4\n#EXT-X-KEY:METHOD=NONE\n#EXT-X-MAP:URI=\"i\"\n{}#EXTINF:4,\nb.mp4",
        k("k1"),
        k("k2"),
        k("k3")
    )));
    let shown = |s: &Segment| (name(&s.key), name(&s.init.as_ref().expect("a section").key));
    assert_eq!(shown(&playlist.segments[0]), ("k2".to_owned(), "k1".to_owned()));
    assert_eq!(shown(&playlist.segments[1]), ("k3".to_owned(), "-".to_owned()));
}

#[test]
fn an_iv_that_nobody_can_know_is_an_error() {
    let key = "#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n";
    let (_, shown) = error(&vod(&format!("{key}#EXT-X-MAP:URI=\"i\"\n#EXTINF:4,\na.mp4")));
    assert!(shown.contains("has no IV"), "{shown}");
    let (_, shown) = error(&vod(&format!("#EXT-X-MEDIA-SEQUENCE:-1\n{key}#EXTINF:4,\na.ts")));
    assert!(shown.contains("EXT-X-MEDIA-SEQUENCE"), "{shown}");
}

#[test]
fn keys_never_show() {
    let playlist =
        media(&vod("#EXT-X-KEY:METHOD=AES-128,URI=\"data:;base64,MDEyMzQ1Njc4OWFiY2RlZg==\"\n#EXTINF:4,\na.ts?s3cret"));
    let key = playlist.segments[0].key.as_ref().expect("a key");
    assert!(matches!(&key.location, Some(Location::Data(bytes)) if **bytes == *b"0123456789abcdef"));
    let shown = format!("{playlist:?}");
    assert!(shown.contains("Data(16 bytes)") && !shown.contains("s3cret") && !shown.contains("[48"), "{shown}");
}
