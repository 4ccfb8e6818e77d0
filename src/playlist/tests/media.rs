use super::*;
use crate::time::Nanos;

const PLAIN: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXT-X-MEDIA-SEQUENCE:7\n#EXTINF:6.006,\na.ts\n#EXTINF:4,last\nb.ts\n#EXT-X-ENDLIST\n";

#[test]
fn a_plain_playlist_is_read() {
    let (playlist, warnings) = media_with_warnings(PLAIN);
    assert_eq!(warnings, [""; 0]);
    assert!(playlist.ended);
    assert_eq!(playlist.target_duration, Some(Nanos::from_ms(6000)));
    assert_eq!(playlist.segments.iter().map(|s| s.media_sequence).collect::<Vec<_>>(), [7, 8]);
    assert_eq!(playlist.duration(), Some(Nanos::from_ms(10_006)));
    assert_eq!(playlist.segments[0].location.display(), "https://example.com/v/a.ts");
}

#[test]
fn what_editors_and_servers_do_to_text_changes_nothing() {
    let plain = media(PLAIN);
    for text in [
        format!("\u{feff}{PLAIN}"),
        PLAIN.replace('\n', "\r\n"),
        PLAIN.replace('\n', "\r"),
        PLAIN.replace('\n', " \t\r\n"),
        PLAIN.replace('\n', "\n\n  \n"),
        PLAIN.trim_end().to_owned(),
        format!("\n\n{PLAIN}"),
        PLAIN.replace("#EXTINF:6.006,", "#EXTINF:6.006"),
        PLAIN.replace("#EXTINF:4,last", "#EXTINF:4,last, and, least"),
        PLAIN.replace("#EXTINF:4,last", "# a comment\n#EXTINF:4 x=\"y\",last"),
        PLAIN.replace("#EXTM3U\n", "#EXTM3U x=\"y\"\n"),
        PLAIN.replace("#EXT-X-ENDLIST", "#EXT-X-PLAYLIST-TYPE:VOD"),
    ] {
        let (read, warnings) = media_with_warnings(&text);
        assert_eq!(read, plain, "{text:?}");
        assert_eq!(warnings, [""; 0], "{text:?}");
    }
}

#[test]
fn a_missing_header_is_a_warning() {
    let (playlist, warnings) = media_with_warnings(PLAIN.trim_start_matches("#EXTM3U\n"));
    assert_eq!(playlist, media(PLAIN));
    assert_eq!(warnings, ["#EXTM3U is missing"]);
}

#[test]
fn a_playlist_that_goes_on_is_taken_as_it_is() {
    for kind in ["", "#EXT-X-PLAYLIST-TYPE:EVENT\n"] {
        let (playlist, warnings) = media_with_warnings(&format!("#EXTM3U\n{kind}#EXTINF:4,\na.ts\n"));
        assert!(!playlist.ended);
        assert!(warnings[0].contains("EXT-X-ENDLIST"), "{warnings:?}");
    }
}

#[test]
fn bytes_that_are_no_utf8_matter_only_where_something_depends_on_them() {
    let parse = |bytes: &[u8]| parse(bytes, &web(), &Limits::default(), &[], &CancelToken::new());
    let read = parse(b"#EXTM3U\n# caf\xe9\n#EXTINF:4,caf\xe9\na.ts\n#EXT-X-ENDLIST\n").expect("a playlist");
    assert_eq!(read.warnings, ["line 2: a title or comment is not UTF-8 (2 times in all)"]);
    let error = parse(b"#EXTM3U\n#EXTINF:4,\ncaf\xe9.ts\n").expect_err("an error");
    assert!(error.to_string().starts_with("line 3: is not UTF-8"), "{error}");
}

#[test]
fn tags_match_whole_names() {
    let playlist = media(&vod(
        "#EXT-X-DISCONTINUITY-SEQUENCE:4\n#EXTINF:4,\na.ts\n#EXT-X-DISCONTINUITY\n#EXTINF:4,\nb.ts\n\
         #EXT-X-GAPS\n#EXTINF:4,\nc.ts\n#EXT-X-GAP\n#EXTINF:4,\nd.ts\n#EXT-X-DISCONTINUITY-SEQUENCE:x\n#EXTINF:4,\ne.ts",
    ));
    assert_eq!(
        playlist.segments.iter().map(|s| s.discontinuity).collect::<Vec<_>>(),
        [false, true, false, false, false]
    );
    assert_eq!(playlist.segments.iter().map(|s| s.gap).collect::<Vec<_>>(), [false, false, false, true, false]);
    assert_eq!(playlist.discontinuities(), 1);
}

#[test]
fn durations_are_exact_and_nonsense_is_counted() {
    let duration = |extinf: &str| {
        let (playlist, warnings) = media_with_warnings(&vod(&format!("#EXTINF:{extinf}\na.ts")));
        (playlist.segments[0].duration, warnings.len())
    };
    for (extinf, ns) in [
        ("10.010000001,", 10_010_000_001),
        ("16777217.1,", 16_777_217_100_000_000),
        ("3.9999999996,x", 4_000_000_000),
        ("6,000", 6_000_000_000),
        ("0,", 0),
        ("5.,", 5_000_000_000),
        (".5,", 500_000_000),
        (" 2 ,", 2_000_000_000),
        ("4,7", 4_000_000_000),
        ("4.5,7,8", 4_500_000_000),
        ("9,a,b", 9_000_000_000),
    ] {
        assert_eq!(duration(extinf), (Some(Nanos(ns)), 0), "{extinf}");
    }
    assert_eq!(duration("9,984,title"), (Some(Nanos(9_984_000_000)), 1));
    for extinf in ["nan,", "inf,", "-1,", "1e308,", "99999999999,", "18446744073709551616,", "+4,", "", ",", "4;5,"] {
        assert_eq!(duration(extinf), (None, 1), "{extinf}");
    }
    let (_, warnings) = media_with_warnings(&vod("#EXTINF:nan,\na.ts\n#EXTINF:inf,\nb.ts"));
    assert_eq!(warnings, ["line 3: EXTINF is no usable duration (2 times in all)"]);
}

#[test]
fn target_durations_may_have_a_fraction() {
    let target = |value| media(&format!("#EXTM3U\n#EXT-X-TARGETDURATION:{value}\n#EXTINF:4,\na.ts\n")).target_duration;
    assert_eq!(target("9.5"), Some(Nanos::from_ms(9500)));
    assert_eq!(target("-10"), None);
    assert_eq!(target(""), None);
}

#[test]
fn uris_and_extinf_that_miss_each_other_are_told() {
    let (playlist, warnings) = media_with_warnings(&vod("#EXTINF:4,\n#EXTINF:5,\na.ts\nb.ts\n#EXTINF:6,"));
    assert_eq!(playlist.segments.iter().map(|s| s.duration).collect::<Vec<_>>(), [Some(Nanos::from_ms(5000)), None]);
    assert_eq!(
        warnings,
        ["line 3: EXTINF without a URI (2 times in all)", "line 6: a URI without EXTINF is taken as a segment"]
    );
}

#[test]
fn byte_ranges_are_made_explicit() {
    let ranges = |lines: &str| {
        let (playlist, warnings) = media_with_warnings(&vod(lines));
        let ranges = playlist.segments.iter().map(|s| s.byte_range.map(|r| (r.offset, r.length)));
        (ranges.collect::<Vec<_>>(), warnings.len())
    };
    let (read, warnings) = ranges(
        "#EXTINF:4,\n#EXT-X-BYTERANGE:10@100\na.ts\n#EXTINF:4,\n#EXT-X-BYTERANGE:5@1\nb.ts\n\
         #EXTINF:4,\n#EXT-X-BYTERANGE:20\na.ts\n#EXTINF:4,\nc.ts\n#EXT-X-BYTERANGE:7\n#EXTINF:4,\nb.ts",
    );
    assert_eq!(read, [Some((100, 10)), Some((1, 5)), Some((110, 20)), None, Some((6, 7))]);
    assert_eq!(warnings, 0);
    // Players begin at 0 where the first range of a resource has no offset.
    assert_eq!(ranges("#EXTINF:4,\n#EXT-X-BYTERANGE:20\na.ts"), (vec![Some((0, 20))], 1));
    let edge = format!("#EXTINF:4,\n#EXT-X-BYTERANGE:1@{}\na.ts", u64::MAX - 1);
    assert_eq!(ranges(&edge), (vec![Some((u64::MAX - 1, 1))], 0));
}

#[test]
fn byte_ranges_that_cannot_be_are_errors_with_their_line() {
    let max = u64::MAX;
    for range in [
        format!("{max}@1"),
        format!("1@{max}"),
        "18446744073709551616@0".to_owned(),
        "-5@0".to_owned(),
        "5@-1".to_owned(),
        "0@4".to_owned(),
        "5@x".to_owned(),
        "5@".to_owned(),
        "".to_owned(),
    ] {
        let (kind, shown) = error(&vod(&format!("#EXTINF:4,\n#EXT-X-BYTERANGE:{range}\na.ts")));
        assert_eq!(kind, ErrorKind::Playlist, "{range}");
        assert!(shown.contains("line 4") || shown.contains("line 5"), "{shown}");
    }
    // The end of a range is a u64, and one more byte is too much.
    let (kind, shown) =
        error(&vod(&format!("#EXTINF:4,\n#EXT-X-BYTERANGE:1@{}\na.ts\n#EXT-X-BYTERANGE:1\n#EXTINF:4,\na.ts", max - 1)));
    assert_eq!(
        (kind, shown.as_str()),
        (ErrorKind::Playlist, "segment 1 (a.ts): line 8: the byte range ends beyond 64 bits")
    );
}

#[test]
fn an_init_section_applies_until_the_next() {
    let playlist = media(&vod(
        "#EXTINF:4,\na.ts\n#EXT-X-MAP:URI=\"i.mp4\",BYTERANGE=\"720\"\n#EXTINF:4,\nb.mp4\n#EXTINF:4,\nc.mp4\n\
         #EXT-X-MAP:URI=\"i.mp4\",BYTERANGE=\"720@0\"\n#EXTINF:4,\nd.mp4\n#EXT-X-MAP:URI=\"j.mp4\"\n\
         #EXT-X-MAP:URI=\"k.mp4\",BYTERANGE=10@5\n#EXTINF:4,\ne.mp4",
    ));
    let init = |i: usize| playlist.segments[i].init.as_ref();
    assert_eq!(init(0), None);
    let range = init(1).and_then(|i| i.byte_range);
    assert_eq!(range, Some(ByteRange { offset: 0, length: 720 }));
    for i in [2, 3] {
        assert!(std::sync::Arc::ptr_eq(init(1).expect("a section"), init(i).expect("a section")), "fed once");
    }
    let last = init(4).expect("a section");
    assert_eq!(last.location.display(), "https://example.com/v/k.mp4");
    assert_eq!(last.byte_range, Some(ByteRange { offset: 5, length: 10 }));
    assert!(error(&vod("#EXT-X-MAP:BYTERANGE=\"5@0\"\n#EXTINF:4,\na.mp4")).1.contains("EXT-X-MAP without URI"));
    assert!(error(&vod("#EXT-X-MAP:URI=\"i\",BYTERANGE=\"5@0x\"\n#EXTINF:4,\na.mp4")).1.contains("line 3"));
}

#[test]
fn media_sequence_numbers_are_checked() {
    let numbers = |value: &str| {
        let (playlist, warnings) =
            media_with_warnings(&vod(&format!("#EXT-X-MEDIA-SEQUENCE:{value}\n#EXTINF:4,\na.ts")));
        (playlist.segments[0].media_sequence, warnings.len())
    };
    assert_eq!(numbers(&u64::MAX.to_string()), (u64::MAX, 0));
    for value in ["-11", "", "abc", "18446744073709551616", "1.5"] {
        assert_eq!(numbers(value), (0, 1), "{value}");
    }
    assert_eq!(numbers("3\n#EXT-X-MEDIA-SEQUENCE:11"), (11, 1));
    let text = format!("#EXT-X-MEDIA-SEQUENCE:{}\n#EXTINF:4,\na.ts\n#EXTINF:4,\nb.ts", u64::MAX);
    assert_eq!(error(&vod(&text)), (ErrorKind::Playlist, "the media sequence numbers go beyond 64 bits".to_owned()));
}

#[test]
fn program_date_times_are_nanoseconds_since_the_epoch() {
    let time = |value: &str| {
        let (playlist, warnings) =
            media_with_warnings(&vod(&format!("#EXT-X-PROGRAM-DATE-TIME:{value}\n#EXTINF:4,\na.ts\n#EXTINF:4,\nb.ts")));
        assert_eq!(playlist.segments[1].program_date_time, None);
        (playlist.segments[0].program_date_time.map(|t| t.0), warnings.len())
    };
    for value in [
        "2016-06-22T09:20:16.166-04:00",
        "2016-06-22T09:20:16.166-0400",
        "2016-06-22T09:20:16.166-04",
        "2016-06-22T13:20:16.166Z",
        "2016-06-22T13:20:16.166",
    ] {
        assert_eq!(time(value), (Some(1_466_601_616_166_000_000), 0), "{value}");
    }
    for value in
        ["", "yesterday", "2016-06-22", "2016-13-22T09:20:16Z", "9999-01-01T00:00:00Z", "2016-06-22T09:20:16+é0"]
    {
        assert_eq!(time(value), (None, 1), "{value}");
    }
}

#[test]
fn low_latency_tags_are_tolerated() {
    let (playlist, warnings) = media_with_warnings(&vod(
        "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES\n#EXT-X-PART-INF:PART-TARGET=1\n#EXT-X-SKIP:SKIPPED-SEGMENTS=0\n\
         #EXT-X-PART:DURATION=1,URI=\"a.0.ts\"\n#EXTINF:4,\na.ts\n#EXT-X-PART:DURATION=1,URI=\"b.0.ts\"\n\
         #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"b.1.ts\"\n#EXT-X-RENDITION-REPORT:URI=\"../x.m3u8\"",
    ));
    assert_eq!((playlist.segments.len(), warnings.len()), (1, 0));
    let (kind, shown) = error(&vod("#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n#EXTINF:4,\na.ts"));
    assert_eq!(kind, ErrorKind::Playlist);
    assert!(shown.contains("delta update"), "{shown}");
}

#[test]
fn variables_are_substituted() {
    let playlist = media(&vod(
        "#EXT-X-DEFINE:NAME=\"host\",VALUE=\"https://cdn.example\"\n#EXT-X-DEFINE:NAME=\"path\",VALUE=\"{$host}/p\"\n\
         #EXT-X-DEFINE:QUERYPARAM=\"token\"\n#EXT-X-DEFINE:NAME=\"iv\",VALUE=\"0x0102\"\n\
         #EXT-X-KEY:METHOD=AES-128,URI=\"{$path}/k?t={$token}\",IV={$iv}\n#EXTINF:4,{$title}\n{$path}/a.ts?t={$token}\n\
         #EXTINF:4,\n{$not a name}.ts",
    ));
    let Location::Http(url) = &playlist.segments[0].location else { panic!("no URL") };
    assert_eq!(url.as_str(), "https://cdn.example/p/a.ts?t=s3cret");
    let key = playlist.segments[0].key.as_ref().expect("a key");
    assert_eq!(key.iv.map(|iv| [iv[14], iv[15]]), Some([1, 2]));
    assert!(playlist.segments[1].location.display().contains("not%20a%20name"));
}

#[test]
fn variables_that_are_not_there_are_errors() {
    for (lines, says) in [
        ("#EXTINF:4,\n{$x}.ts", "\"x\" is not defined"),
        ("#EXT-X-DEFINE:IMPORT=\"x\"\n#EXTINF:4,\na.ts", "open the multivariant playlist"),
        ("#EXT-X-DEFINE:QUERYPARAM=\"x\"\n#EXTINF:4,\na.ts", "no query parameter \"x\""),
        ("#EXT-X-DEFINE:VALUE=\"x\"\n#EXTINF:4,\na.ts", "without NAME"),
        ("#EXT-X-DEFINE:NAME=\"x\"\n#EXT-X-DEFINE:NAME=\"x\"\n#EXTINF:4,\na.ts", "defined twice"),
        ("#EXT-X-DEFINE:NAME=\"x\",VALUE=\"#\"\n#EXTINF:4,\n{$x}.ts", "empty"),
    ] {
        let (kind, shown) = error(&vod(lines));
        assert_eq!(kind, ErrorKind::Playlist, "{shown}");
        assert!(shown.contains(says), "{shown}");
    }
}

#[test]
fn variables_are_imported_from_the_multivariant_playlist() {
    let (multivariant, _) =
        multivariant("#EXTM3U\n#EXT-X-DEFINE:NAME=\"a\",VALUE=\"b\"\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{$a}.m3u8\n");
    assert_eq!(multivariant.variables, [("a".to_owned(), "b".to_owned())]);
    let text = vod("#EXT-X-DEFINE:IMPORT=\"a\"\n#EXTINF:4,\n{$a}.ts");
    let read = parse(text.as_bytes(), &web(), &Limits::default(), &multivariant.variables, &CancelToken::new())
        .expect("a playlist");
    let Playlist::Media(media) = read.playlist else { panic!("no media playlist") };
    assert_eq!(media.segments[0].location.display(), "https://example.com/v/b.ts");
}
