use super::*;
use proptest::prelude::*;

/// Lines that together reach every part of the reader, sound and unsound.
fn line() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        any::<u64>().prop_map(|n| n.to_string()),
        (0u64..100).prop_map(|n| n.to_string()),
        Just(u64::MAX.to_string()),
        "-?[0-9]{1,22}(\\.[0-9]{0,12})?",
        Just("nan".to_owned()),
        Just(String::new()),
    ];
    let text = "[a-z0-9:/\\\\.?#%{}$=,\"@ \u{0}\u{e9}-]{0,12}";
    prop_oneof![
        4 => text.prop_map(String::from),
        4 => number.clone().prop_map(|n| format!("#EXTINF:{n},\na.ts")),
        2 => (number.clone(), number.clone()).prop_map(|(n, o)| format!("#EXT-X-BYTERANGE:{n}@{o}")),
        1 => number.clone().prop_map(|n| format!("#EXT-X-BYTERANGE:{n}")),
        1 => number.prop_map(|n| format!("#EXT-X-MEDIA-SEQUENCE:{n}")),
        1 => text.prop_map(|t| format!("#EXT-X-KEY:METHOD=AES-128,URI=\"{t}\",IV={t}")),
        1 => text.prop_map(|t| format!("#EXT-X-KEY:{t}")),
        1 => text.prop_map(|t| format!("#EXT-X-MAP:URI=\"{t}\"")),
        1 => text.prop_map(|t| format!("#EXT-X-PROGRAM-DATE-TIME:{t}")),
        1 => text.prop_map(|t| format!("#EXT-X-DEFINE:NAME=\"{t}\",VALUE=\"{t}\"")),
        1 => text.prop_map(|t| format!("#EXT-X-STREAM-INF:BANDWIDTH={t},CODECS=\"{t}\"\n{t}")),
        1 => text.prop_map(|t| format!("#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID={t},URI=\"{t}\"")),
        1 => text.prop_map(|t| format!("#EXT{t}")),
        1 => Just("#EXT-X-DISCONTINUITY".to_owned()),
        1 => Just("#EXT-X-GAP".to_owned()),
    ]
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        for base in [web(), folder()] {
            let _ = parse(&bytes, &base, &Limits::default(), &[], &CancelToken::new());
            let _ = parse(&[b"#EXTM3U\n", &bytes[..]].concat(), &base, &Limits::default(), &[], &CancelToken::new());
        }
    }

    #[test]
    fn no_lines_make_it_panic(lines in prop::collection::vec(line(), 0..20)) {
        let text = format!("#EXTM3U\n{}\n", lines.join("\n"));
        for base in [web(), folder()] {
            if let Err(error) = parse_in(&base, &text) {
                prop_assert!(error.kind() != ErrorKind::Internal);
                prop_assert!(!error.to_string().contains(char::is_control));
            }
        }
    }

    #[test]
    fn there_are_as_many_segments_as_uri_lines(
        segments in prop::collection::vec((0usize..8, "[a-z0-9][a-z0-9=,?&\"@ é.-]{0,20}"), 1..600),
    ) {
        let tags = [
            "#EXTINF:4", "#EXTINF:4,a, b", "#EXT-X-DISCONTINUITY\n#EXTINF:4.5,", "#EXT-X-KEY:METHOD=NONE",
            "#EXT-X-KEY:METHOD=AES-128,URI=\"\",IV=0x01", "#EXT-X-MAP:URI=\"i\",X", "#EXT-X-UNKNOWN", "# comment",
        ];
        let lines: String = segments.iter().map(|(tag, uri)| format!("{}\n{uri}\n", tags[*tag])).collect();
        let playlist = media(&vod(&lines));
        prop_assert_eq!(playlist.segments.len(), segments.len());
    }

    #[test]
    fn byte_ranges_follow_each_other_or_overflow(
        first in any::<u64>(),
        lengths in prop::collection::vec(1u64..=u64::MAX / 4, 1..8),
    ) {
        let mut lines = String::new();
        let mut expected = Some((Vec::new(), first));
        for (i, length) in lengths.iter().enumerate() {
            let offset = if i == 0 { format!("@{first}") } else { String::new() };
            lines.push_str(&format!("#EXTINF:4,\n#EXT-X-BYTERANGE:{length}{offset}\na.ts\n"));
            expected = expected.and_then(|(mut ranges, offset)| {
                ranges.push(Some(ByteRange { offset, length: *length }));
                Some((ranges, offset.checked_add(*length)?))
            });
        }
        let read = parse_in(&web(), &vod(&lines));
        match (expected, read) {
            (Some((ranges, _)), Ok(Parsed { playlist: Playlist::Media(media), .. })) => {
                prop_assert_eq!(media.segments.iter().map(|s| s.byte_range).collect::<Vec<_>>(), ranges);
            }
            (None, Err(error)) => prop_assert_eq!(error.kind(), ErrorKind::Playlist),
            (expected, read) => prop_assert!(false, "{:?} but {:?}", expected, read),
        }
    }
}
