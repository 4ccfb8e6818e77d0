use super::*;
use std::time::{Duration, Instant};

#[test]
fn what_is_no_playlist_is_refused_by_name() {
    let what = |bytes: &[u8]| {
        let error = parse(bytes, &web(), &Limits::default(), &[], &CancelToken::new()).expect_err("an error");
        assert_eq!(error.kind(), ErrorKind::Playlist);
        error.to_string()
    };
    let mut ts = vec![0x47; 1];
    ts.extend([1; 187]);
    ts.push(0x47);
    for (bytes, says) in [
        (&b""[..], "it is empty"),
        (b" \r\n\t", "it is empty"),
        (b"\xef\xbb\xbf\n", "it is empty"),
        (b"<!DOCTYPE html><pre>\n#EXTM3U\n#EXTINF:4,\na.ts\n", "HTML"),
        (b"<?xml version=\"1.0\"?><MPD></MPD>", "DASH"),
        (b"{\"error\":\"forbidden\"}", "JSON"),
        (b"[1,\n2]", "JSON"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"\xff\xfe#\0E\0", "UTF-16"),
        (b"\0\0\0\x20ftypisom", "MP4"),
        (b"#EXTM3U\n\0", "binary"),
        (&ts, "transport stream"),
        (b"ffconcat version 1.0\nfile a.ts\n", "does not begin with #EXTM3U"),
        (b"v=0\no=- 0 0 IN IP4 127.0.0.1\n", "does not begin with #EXTM3U"),
        (b"a.ts\nb.ts\n", "does not begin with #EXTM3U"),
        (b"#EXTM3U", "names no segments"),
        (b"#EXTM3U8\n#EXTINF", "does not begin with #EXTM3U"),
    ] {
        let shown = what(bytes);
        assert!(shown.contains(says), "{says}: {shown}");
    }
}

/// The error of a text that goes beyond a limit; it must come within two seconds.
#[track_caller]
fn limited(text: &str, limits: &Limits) -> String {
    let start = Instant::now();
    let error = parse(text.as_bytes(), &web(), limits, &[], &CancelToken::new()).expect_err("an error");
    // The figure is for release builds.
    let most = Duration::from_secs(if cfg!(debug_assertions) { 20 } else { 2 });
    assert!(start.elapsed() < most, "took {:?}", start.elapsed());
    assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
    error.to_string()
}

#[test]
fn every_limit_is_named_with_its_value() {
    let limits = Limits::default();
    let shown = limited(&vod(&"#EXTINF:4,\na.ts\n".repeat(1_000_000)), &limits);
    assert_eq!(shown, "more than 200000 segments: that is the limit (segments)");
    let shown = limited(&vod(&"x".repeat(1 << 20)), &limits);
    assert_eq!(shown, "line 3 has 1048576 bytes: the limit is 65536 (line_bytes)");
    let shown = limited(&vod(&"#\n".repeat(50 << 20)), &limits);
    assert!(shown.contains("the limit is 33554432 (playlist_bytes)"), "{shown}");
    let variants = "#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8\n".repeat(10_000);
    assert_eq!(
        limited(&format!("#EXTM3U\n{variants}"), &limits),
        "more than 500 variants: that is the limit (variants)"
    );
    let renditions = "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"g\"\n".repeat(10_000);
    let shown = limited(&format!("#EXTM3U\n{renditions}"), &limits);
    assert_eq!(shown, "more than 500 renditions: that is the limit (variants)");
}

#[test]
fn variables_do_not_unfold_without_end() {
    let mut text = "#EXTM3U\n#EXT-X-DEFINE:NAME=\"v0\",VALUE=\"0123456789\"\n".to_owned();
    for i in 1..10 {
        let twice = format!("{{$v{}}}", i - 1).repeat(10);
        text.push_str(&format!("#EXT-X-DEFINE:NAME=\"v{i}\",VALUE=\"{twice}\"\n"));
    }
    assert!(limited(&text, &Limits::default()).contains("65536 bytes (line_bytes)"));
    let limits = Limits { playlist_bytes: 1 << 20, ..Limits::default() };
    let long = "x".repeat(60_000);
    let lines = "#EXTINF:4,\n{$v}\n".repeat(5000);
    let shown = limited(&vod(&format!("#EXT-X-DEFINE:NAME=\"v\",VALUE=\"{long}\"\n{lines}")), &limits);
    assert!(shown.contains("(playlist_bytes)"), "{shown}");
}

#[test]
fn a_line_for_every_kind_of_tag_is_not_slow() {
    for line in [
        "#EXT-X-KEY:METHOD=AES-128,URI=\"k\",KEYFORMAT=\"x\"\n",
        "#EXT-X-KEY:METHOD=NONE\n",
        "#EXT-X-MAP:URI=\"i\"\n",
        "#EXT-X-DISCONTINUITY\n",
        "#EXT-X-BYTERANGE:5@5\n",
        "#EXT-X-PROGRAM-DATE-TIME:x\n",
        "#EXTINF:nan,\n",
        "#EXT-X-MEDIA-SEQUENCE:x\n",
    ] {
        let start = Instant::now();
        let text = vod(&format!("{}#EXTINF:4,\na.ts", line.repeat(20_000)));
        parse_in(&web(), &text).expect("a playlist");
        assert!(start.elapsed() < Duration::from_secs(4), "{line}: {:?}", start.elapsed());
    }
}

#[test]
fn attribute_lists_without_sense_lose_nothing_else() {
    for list in
        ["=", ",,,", "\"", "METHOD", "METHOD=NONE,=,=\"", "METHOD=NONE,X=\"unclosed", "METHOD=NONE,URI=\"a\"b\"c"]
    {
        let text = vod(&format!("#EXT-X-KEY:{list}\n#EXTINF:4,\na.ts?x=1\n#EXTINF:4,\nb.ts"));
        match parse_in(&web(), &text) {
            Ok(Parsed { playlist: Playlist::Media(media), .. }) => assert_eq!(media.segments.len(), 2, "{list}"),
            Ok(_) => panic!("{list}"),
            Err(error) => assert!(error.to_string().contains("without METHOD"), "{list}: {error}"),
        }
    }
}

#[test]
fn ten_thousand_segments_are_read_fast() {
    let text: String =
        (0..10_000).map(|i| format!("#EXTINF:6.006,\nhttps://cdn.example/v/seg{i:05}.ts?t=abc\n")).collect();
    let text = vod(&text);
    // The figure is for release builds; others are some ten times slower. The best of a few
    // runs counts, for other tests run beside this one.
    let most = Duration::from_millis(if cfg!(debug_assertions) { 2000 } else { 20 });
    let elapsed = (0..20).map(|_| {
        let start = Instant::now();
        assert_eq!(media(&text).segments.len(), 10_000);
        start.elapsed()
    });
    let best = elapsed.min();
    assert!(best < Some(most), "took {best:?}");
}
