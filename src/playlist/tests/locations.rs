use super::*;
use std::path::Path;

/// A playlist that names `uri` in one of six places.
fn playlist_with(slot: usize, uri: &str) -> String {
    match slot {
        0 => vod(&format!("#EXTINF:4,\n{uri}")),
        1 => vod(&format!("#EXT-X-MAP:URI=\"{uri}\"\n#EXTINF:4,\na.mp4")),
        2 => vod(&format!("#EXT-X-KEY:METHOD=AES-128,URI=\"{uri}\"\n#EXTINF:4,\na.ts")),
        3 => format!("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{uri}\n"),
        4 => format!(
            "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"g\",NAME=\"n\",URI=\"{uri}\"\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8\n"
        ),
        _ => format!(
            "#EXTM3U\n#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"g\",NAME=\"n\",URI=\"{uri}\"\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8\n"
        ),
    }
}

#[test]
fn a_playlist_from_the_web_names_the_web() {
    for uri in [
        "file:///etc/passwd",
        "FILE:/etc/passwd",
        "file:etc/passwd",
        r"\\host\share\a.ts",
        r"\/host/a.ts",
        r"/\host/a.ts",
        r"C:\a.ts",
        "concat:a.ts|b.ts",
        "subfile,,start,0,end,1,,:/etc/passwd",
        "subfile:a.ts",
        "crypto:a.ts",
        "crypto+http://example.com/a.ts",
        "pipe:0",
        "fd:3",
        "ftp://example.com/a.ts",
        "rtmp://example.com/a",
        "async:cache:a.ts",
        "javascript:alert(1)",
        "  file:///etc/passwd  ",
    ] {
        for slot in 0..6 {
            let text = playlist_with(slot, uri);
            let (kind, shown) = error(&text);
            assert_eq!(kind, ErrorKind::Denied, "{uri} in slot {slot}: {shown}");
        }
    }
    let (_, shown) = error(&playlist_with(0, "concat:a.ts|b.ts"));
    assert_eq!(
        shown,
        "segment 0 (concat:a.ts|b.ts): the segment \"concat:a.ts|b.ts\" is at \"concat:\", which is not allowed"
    );
}

#[test]
fn a_local_playlist_names_files_and_the_web() {
    for (uri, path) in [
        ("a.ts", "/media/v/a.ts"),
        ("../a b.ts", "/media/v/../a b.ts"),
        ("./a:b.ts", "/media/v/./a:b.ts"),
        ("12:30.ts", "/media/v/12:30.ts"),
        ("seg%201.ts?t=1", "/media/v/seg%201.ts?t=1"),
        ("/other/a.ts", "/other/a.ts"),
        ("file:///other/a%20b.ts", "/other/a b.ts"),
        ("file://localhost/other/a.ts", "/other/a.ts"),
    ] {
        let Ok(Parsed { playlist: Playlist::Media(media), .. }) = parse_in(&folder(), &playlist_with(0, uri)) else {
            panic!("{uri}")
        };
        assert_eq!(media.segments[0].location, Location::File(path.into()), "{uri}");
    }
    let Ok(Parsed { playlist: Playlist::Media(media), .. }) =
        parse_in(&folder(), &playlist_with(0, "HTTP://example.com/a.ts?t=1"))
    else {
        panic!("no playlist")
    };
    assert_eq!(media.segments[0].location.display(), "http://example.com/a.ts");
    for uri in [
        r"\\host\share\a.ts",
        "//host/share/a.ts",
        "file://host/share/a.ts",
        "concat:a|b",
        "ftp://h/a",
        "a:b.ts",
        r"C:\a.ts",
    ] {
        for slot in 0..6 {
            assert_eq!(error_in(&folder(), &playlist_with(slot, uri)).0, ErrorKind::Denied, "{uri} in slot {slot}");
        }
    }
    assert!(error_in(&folder(), &playlist_with(0, "a:b.ts")).1.contains("./name"));
}

#[test]
fn data_uris_are_for_keys_and_init_sections() {
    for base in [web(), folder()] {
        for slot in 0..6 {
            let read = parse_in(&base, &playlist_with(slot, "data:;base64,AAAA"));
            match slot {
                1 | 2 => assert!(read.is_ok(), "slot {slot}"),
                _ => assert_eq!(read.expect_err("an error").kind(), ErrorKind::Denied, "slot {slot}"),
            }
        }
    }
    assert_eq!(error(&playlist_with(2, "data:;base64,A=A=")).0, ErrorKind::Playlist);
    assert_eq!(error(&playlist_with(2, "data:nothing")).0, ErrorKind::Playlist);
    let limits = Limits { data_uri_bytes: 10, ..Limits::default() };
    let text = playlist_with(2, "data:,0123456789a");
    let error = parse(text.as_bytes(), &web(), &limits, &[], &CancelToken::new()).expect_err("an error");
    assert_eq!(error.kind(), ErrorKind::Limit);
    assert!(error.to_string().contains("the limit is 10 (data_uri_bytes)"), "{error}");
}

#[test]
fn references_resolve_as_urls() {
    for (uri, url) in [
        ("a.ts", "https://example.com/v/a.ts"),
        ("../a.ts?b#c", "https://example.com/a.ts?b#c"),
        ("/a.ts", "https://example.com/a.ts"),
        ("//cdn.example/a.ts", "https://cdn.example/a.ts"),
        ("http://other.example/ä.ts", "http://other.example/%C3%A4.ts"),
        ("?seg=1", "https://example.com/v/index.m3u8?seg=1"),
        ("12:30.ts", "https://example.com/v/12:30.ts"),
    ] {
        let Location::Http(read) = media(&playlist_with(0, uri)).segments[0].location.clone() else { panic!("{uri}") };
        assert_eq!(read.as_str(), url);
    }
    assert_eq!(error(&playlist_with(0, "http://")).0, ErrorKind::Playlist);
    assert_eq!(error(&playlist_with(0, "https://exa mple/a.ts")).0, ErrorKind::Playlist);
}

#[test]
fn control_characters_are_refused_and_escaped_when_shown() {
    for uri in
        ["a\0.ts", "a\u{1b}[31m.ts", "fi\tle:///etc/passwd", "ht\ttp://h/a", "a\u{7f}.ts", "a\u{85}b.ts", "a\u{b}b.ts"]
    {
        for base in [web(), folder()] {
            let (kind, shown) = error_in(&base, &playlist_with(0, uri));
            assert_eq!(kind, ErrorKind::Playlist, "{shown}");
        }
    }
}

#[test]
fn names_in_messages_hold_no_secrets() {
    let shown = |base: &Base, uri: &str| match parse_in(base, &playlist_with(0, uri)) {
        Ok(Parsed { playlist: Playlist::Media(media), .. }) => media.segments[0].location.display(),
        other => panic!("{other:?}"),
    };
    assert_eq!(shown(&web(), "https://user:s3cret@h:81/p/a.ts?s3cret#s3cret"), "https://h:81/p/a.ts");
    assert_eq!(shown(&folder(), "p/a.ts?k=/s3cret/b"), "a.ts");
    assert!(shown(&web(), &"x".repeat(5000)).len() < 500);
    let (_, shown) = error(&playlist_with(0, "ftp://user:s3cret@h/a.ts?s3cret"));
    assert!(shown.contains("ftp://h/a.ts"), "{shown}");
    let (_, shown) = error(&playlist_with(2, "data:;base64,s3cret!!"));
    assert!(shown.contains("\"data:\""), "{shown}");
}

#[test]
fn saved_files_are_looked_for_under_several_names() {
    let names = |path: &str| {
        let candidates = file_candidates(Path::new("/m/50%25 off?"), Path::new(path));
        candidates.iter().map(|p| p.to_string_lossy().into_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("/m/50%25 off?/a.ts"), ["/m/50%25 off?/a.ts"]);
    assert_eq!(names("/m/50%25 off?/a%201.ts"), ["/m/50%25 off?/a%201.ts", "/m/50%25 off?/a 1.ts"]);
    assert_eq!(
        names("/m/50%25 off?/a%201.ts?b=/c"),
        ["/m/50%25 off?/a%201.ts?b=/c", "/m/50%25 off?/a%201.ts", "/m/50%25 off?/a 1.ts", "/m/50%25 off?/a 1.ts?b=/c"]
    );
    assert_eq!(names("/m/50%25 off?/a%00%ff.ts%"), ["/m/50%25 off?/a%00%ff.ts%"]);
    assert_eq!(names("/else/a%201.ts"), ["/else/a%201.ts"]);
}
