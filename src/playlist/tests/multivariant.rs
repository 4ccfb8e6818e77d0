use super::*;

#[test]
fn variants_and_renditions_are_read() {
    let (playlist, warnings) = multivariant(
        "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"aac\",NAME=\"English\",LANGUAGE=\"en\",DEFAULT=YES,AUTOSELECT=YES,URI=\"en.m3u8\"\n\
         #EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID=\"cc\",NAME=\"cc\",INSTREAM-ID=\"SERVICE1\"\n\
         #EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"sub\",NAME=\"de\",LANGUAGE=\"\",FORCED=YES,URI=\"de.m3u8\"\n\
         #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=9,URI=\"iframes.m3u8\"\n#EXT-X-SESSION-KEY:METHOD=AES-128,URI=\"k\"\n\
         #EXT-X-STREAM-INF:BANDWIDTH=1280000, AVERAGE-BANDWIDTH=1000000,RESOLUTION=1280x720,FRAME-RATE=29.97,CODECS=\"avc1.4d401f, mp4a.40.2\",AUDIO=\"aac\",SUBTITLES=\"sub\",CLOSED-CAPTIONS=NONE\n\
         v/720.m3u8\n",
    );
    assert_eq!(warnings, [""; 0]);
    let [variant] = &playlist.variants[..] else { panic!("{playlist:?}") };
    assert_eq!(variant.location.display(), "https://example.com/v/v/720.m3u8");
    assert_eq!((variant.bandwidth, variant.average_bandwidth), (1_280_000, Some(1_000_000)));
    assert_eq!((variant.resolution, variant.frame_rate), (Some((1280, 720)), Some(29.97)));
    assert_eq!(variant.codecs.as_deref(), Some("avc1.4d401f, mp4a.40.2"));
    assert_eq!((variant.audio_group.as_deref(), variant.subtitle_group.as_deref()), (Some("aac"), Some("sub")));
    let kinds: Vec<_> = playlist.renditions.iter().map(|r| r.kind).collect();
    assert_eq!(kinds, [RenditionKind::Audio, RenditionKind::ClosedCaptions, RenditionKind::Subtitles]);
    let english = &playlist.renditions[0];
    assert_eq!((english.language.as_deref(), english.default, english.autoselect), (Some("en"), true, true));
    assert_eq!(playlist.renditions[2].language, None);
    assert!(!playlist.renditions[2].default);
}

#[test]
fn odd_attributes_cost_no_variant() {
    let (playlist, warnings) = multivariant(
        "#EXTM3U\n#EXT-X-STREAM-INF:PROGRAM-ID=1\na.m3u8\n#EXT-X-STREAM-INF:\nb.m3u8?x=1\n\
         #EXT-X-STREAM-INF:BANDWIDTH=\"5\",RESOLUTION=\"1920X1080\",CODECS=avc1,FRAME-RATE=nan,NAME=\"\",AUDIO=\"\"\nc.m3u8\n\
         #EXT-X-STREAM-INF:BANDWIDTH=1e6,RESOLUTION=big,FOO,BAR=\nd.m3u8\n",
    );
    assert_eq!(playlist.variants.iter().map(|v| v.bandwidth).collect::<Vec<_>>(), [0, 0, 5, 0]);
    assert_eq!(playlist.variants[2].resolution, Some((1920, 1080)));
    assert_eq!(playlist.variants[2].codecs.as_deref(), Some("avc1"));
    assert_eq!((playlist.variants[2].frame_rate, playlist.variants[2].audio_group.as_ref()), (None, None));
    assert_eq!(warnings, ["line 2: EXT-X-STREAM-INF without a usable BANDWIDTH: taken as 0 (3 times in all)"]);
}

#[test]
fn uris_go_to_their_own_variant() {
    let (playlist, warnings) = multivariant(
        "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n#EXT-X-STREAM-INF:BANDWIDTH=2\n# comment\na.m3u8\nb.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=3\n",
    );
    let [variant] = &playlist.variants[..] else { panic!("{playlist:?}") };
    assert_eq!((variant.bandwidth, variant.location.display().as_str()), (2, "https://example.com/v/a.m3u8"));
    assert_eq!(
        warnings,
        [
            "line 2: EXT-X-STREAM-INF without a URI is left out (2 times in all)",
            "line 6: a URI without EXT-X-STREAM-INF is left out"
        ]
    );
}

#[test]
fn odd_renditions_are_left_out_with_a_warning() {
    let (playlist, warnings) = multivariant(
        "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,NAME=\"n\"\n#EXT-X-MEDIA:TYPE=SMELL,GROUP-ID=\"g\"\n\
         #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"g\",LANGUAGE=\"de\"\n#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"h\"\na.m3u8\n",
    );
    let [rendition] = &playlist.renditions[..] else { panic!("{playlist:?}") };
    assert_eq!((rendition.name.as_str(), rendition.location.as_ref()), ("de", None));
    assert_eq!(warnings.len(), 3, "{warnings:?}");
}

#[test]
fn a_playlist_of_both_kinds_or_without_variants_is_refused() {
    let (_, shown) = error("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8\n#EXTINF:4,\na.ts\n");
    assert!(shown.contains("both variants (line 2) and segments (line 4)"), "{shown}");
    let (_, shown) = error("#EXTM3U\n#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"a.m3u8\"\n");
    assert!(shown.contains("no variants"), "{shown}");
}
