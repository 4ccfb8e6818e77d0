//! Renditions from their segments to their files, as a user would see them.

use std::sync::Arc;

use super::*;
use crate::cancel::CancelToken;
use crate::error::{ErrorKind, Result};
use crate::fetch::{Fetcher, PathPolicy, PlaylistKeys};
use crate::options::{KeyOverride, Limits, OnGap};
use crate::playlist::{InitSection, Location};
use crate::timeline::Epoch;

const S: i64 = 1_000;

/// A segment of six seconds with these bytes.
fn segment(sequence: u64, bytes: impl Into<Vec<u8>>) -> Segment {
    Segment {
        media_sequence: sequence,
        location: Location::Data(bytes.into().into()),
        byte_range: None,
        duration: Some(Nanos::from_ms(6 * S)),
        discontinuity: false,
        gap: false,
        key: None,
        init: None,
        program_date_time: None,
    }
}

fn segments<B: Into<Vec<u8>>>(bodies: impl IntoIterator<Item = B>) -> Vec<Segment> {
    bodies.into_iter().zip(0..).map(|(body, n)| segment(n, body)).collect()
}

/// So many segments of media.
fn media(count: u64) -> Vec<Segment> {
    (0..count).map(|n| segment(n, "")).collect()
}

fn epoch(segment: usize, start_ms: i64, output_ms: i64) -> Epoch {
    Epoch { segment, start: Nanos::from_ms(start_ms), offset: Nanos::from_ms(output_ms - start_ms) }
}

/// A WebVTT file with a map of `mpegts_ms` to `local_ms`, and cues of a second that show their name.
fn vtt(map: Option<(i64, i64)>, cues: &[(i64, &str)]) -> String {
    let show = |ms: i64| webvtt::show(Nanos::from_ms(ms));
    let map = map.map(|(mpegts, local)| {
        let ticks = (mpegts * 90).rem_euclid(1 << 33);
        format!("X-TIMESTAMP-MAP=MPEGTS:{ticks},LOCAL:{}\n", show(local))
    });
    let cues = cues.iter().map(|(at, name)| format!("\n{} --> {}\n{name}\n", show(*at), show(at + 1_000)));
    format!("WEBVTT\n{}{}", map.unwrap_or_default(), cues.collect::<String>())
}

fn read_all(segments: Vec<Segment>, on_gap: OnGap, warnings: &mut Vec<String>) -> Result<Rendition> {
    let fetcher = Fetcher::new(PathPolicy::Nothing, Limits::default(), KeyOverride::default(), PlaylistKeys::Absent);
    let source = Source {
        name: "en.m3u8".into(),
        segments: segments.into(),
        fetcher: Arc::new(fetcher),
        on_gap,
        limit_bytes: 1 << 20,
    };
    read(&source, &mut |w| warnings.push(w), &CancelToken::new())
}

/// The files that come of a rendition, and the warnings.
fn files(subtitles: Vec<Segment>, main: &[Segment], parts: &[Vec<Epoch>]) -> (Vec<String>, Vec<String>) {
    let mut warnings = Vec::new();
    let rendition = read_all(subtitles, OnGap::Fail, &mut warnings).expect("a rendition");
    let clock = Clock::new(main, parts.iter().map(|part| &part[..]));
    let rendered = render(&rendition, &clock, parts.len(), &mut |w| warnings.push(w));
    (rendered.into_iter().map(|r| r.text).collect(), warnings)
}

/// Start in milliseconds and text of each cue of a file.
fn cues(file: &str) -> Vec<(i64, String)> {
    webvtt::parse(file).cues.into_iter().map(|cue| (cue.start.0 / 1_000_000, cue.text)).collect()
}

/// The same for one part, where nothing may be odd.
fn only(subtitles: Vec<Segment>, main: &[Segment], epochs: Vec<Epoch>) -> Vec<(i64, String)> {
    let (files, warnings) = files(subtitles, main, &[epochs]);
    assert_eq!(warnings, [""; 0]);
    cues(&files[0])
}

fn expect(found: &[(i64, String)], wanted: &[(i64, &str)]) {
    let found: Vec<(i64, &str)> = found.iter().map(|(at, text)| (*at, text.as_str())).collect();
    assert_eq!(found, wanted);
}

#[test]
fn a_map_leads_to_the_medias_clock_and_from_there_to_the_output() {
    // The media begins at 10 s, which is 0 of the cues.
    let map = Some((10 * S, 0));
    let subtitles = segments([vtt(map, &[(S, "a")]), vtt(map, &[(7 * S, "b")])]);
    expect(&only(subtitles, &media(2), vec![epoch(0, 10 * S, 0)]), &[(S, "a"), (7 * S, "b")]);
    // The same with times that begin at 0 in each segment.
    let subtitles = segments([vtt(Some((10 * S, 0)), &[(S, "a")]), vtt(Some((16 * S, 0)), &[(S, "b")])]);
    expect(&only(subtitles, &media(2), vec![epoch(0, 10 * S, 0)]), &[(S, "a"), (7 * S, "b")]);
}

#[test]
fn a_map_holds_over_the_wrap_of_the_clock() {
    let period = (1i64 << 33) / 90;
    // The media begins 2 s before the wrap; its clock goes on unwrapped.
    let start = period - 2 * S;
    let subtitles = segments([vtt(Some((start, 0)), &[(S, "a"), (3 * S, "b")]), vtt(Some((4 * S, 0)), &[(S, "c")])]);
    let found = only(subtitles, &media(2), vec![epoch(0, start, 0)]);
    // 2^33 ticks are no whole number of milliseconds: `c` is 0.7 ms late.
    expect(&found, &[(S, "a"), (3 * S, "b"), (7_001, "c")]);
}

#[test]
fn each_run_has_its_own_clock() {
    let mut main = media(4);
    let mut subtitles = segments([
        vtt(Some((10 * S, 0)), &[(S, "a")]),
        vtt(Some((10 * S, 0)), &[(7 * S, "b")]),
        vtt(Some((100 * S, 0)), &[(S, "c")]),
        vtt(Some((100 * S, 0)), &[(7 * S, "d")]),
    ]);
    // What the media has in its first run is longer by 40 ms than the playlist says.
    let epochs = || vec![epoch(0, 10 * S, 0), epoch(2, 100 * S, 12_040)];
    let wanted = [(S, "a"), (7 * S, "b"), (13_040, "c"), (19_040, "d")];
    // Not marked in the subtitles: by the sums of EXTINF.
    main[2].discontinuity = true;
    expect(&only(subtitles.clone(), &main, epochs()), &wanted);
    // Marked in both: by the marks, also where the sums are off by most of a segment.
    subtitles[2].discontinuity = true;
    subtitles[1].duration = Some(Nanos::from_ms(S));
    expect(&only(subtitles.clone(), &main, epochs()), &wanted);
    // Each run a part: each has its own 0.
    let parts = [vec![epoch(0, 10 * S, 0)], vec![epoch(2, 100 * S, 0)]];
    let (files, _) = files(subtitles, &main, &parts);
    expect(&cues(&files[0]), &[(S, "a"), (7 * S, "b")]);
    expect(&cues(&files[1]), &[(S, "c"), (7 * S, "d")]);
}

#[test]
fn one_file_for_all_of_the_media_is_cut_where_the_output_is() {
    let mut one = segments([vtt(Some((10 * S, 0)), &[(S, "a"), (11 * S, "b"), (12 * S, "c")])]);
    one[0].duration = Some(Nanos::from_ms(24 * S));
    // The codec changes after 12 s, and the clock goes on.
    let (files, warnings) = files(one, &media(4), &[vec![epoch(0, 10 * S, 0)], vec![epoch(2, 22 * S, 0)]]);
    assert_eq!(warnings, [""; 0]);
    expect(&cues(&files[0]), &[(S, "a"), (11 * S, "b")]);
    expect(&cues(&files[1]), &[(0, "c")]);
}

#[test]
fn cues_that_segments_repeat_are_written_once() {
    let map = Some((0, 0));
    let subtitles = segments([
        vtt(map, &[(5_500, "a"), (5_500, "a")]),
        // Rounded differently, and in the order of another writer.
        vtt(Some((1, 0)), &[(7 * S, "b"), (5_500, "a")]),
    ]);
    // Two of one segment are meant to be two.
    expect(&only(subtitles, &media(2), vec![epoch(0, 0, 0)]), &[(5_500, "a"), (5_500, "a"), (7_001, "b")]);
}

#[test]
fn without_a_map_times_are_the_medias_where_they_fit_there() {
    let bodies = || [vtt(None, &[(101 * S, "a")]), vtt(None, &[(107 * S, "b")])];
    expect(&only(segments(bodies()), &media(2), vec![epoch(0, 100 * S, 0)]), &[(S, "a"), (7 * S, "b")]);
    let bodies = || [vtt(None, &[(S, "a")]), vtt(None, &[(7 * S, "b")])];
    expect(&only(segments(bodies()), &media(2), vec![epoch(0, 100 * S, 0)]), &[(S, "a"), (7 * S, "b")]);
}

#[test]
fn without_a_map_that_decides_the_medias_clock_is_taken_and_told() {
    let subtitles = segments([vtt(None, &[(3 * S, "a")])]);
    let (files, warnings) = files(subtitles, &media(1), &[vec![epoch(0, 1_400, 0)]]);
    expect(&cues(&files[0]), &[(1_600, "a")]);
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].ends_with("if cues come early, then by 1.400 s"), "{warnings:?}");
}

#[test]
fn a_map_to_another_clock_is_told_and_not_believed() {
    let subtitles = segments([vtt(Some((50_000 * S, 0)), &[(S, "a")])]);
    let (files, warnings) = files(subtitles, &media(1), &[vec![epoch(0, 100 * S, 0)]]);
    expect(&cues(&files[0]), &[(S, "a")]);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
}

#[test]
fn what_lies_before_the_output_is_cut_or_left_out() {
    let subtitles = segments([vtt(Some((8 * S, 0)), &[(0, "early"), (1_500, "half"), (3 * S, "a")])]);
    let (files, warnings) = files(subtitles, &media(1), &[vec![epoch(0, 10 * S, 0)]]);
    let found = webvtt::parse(&files[0]).cues;
    assert_eq!((found[0].start, found[0].end), (Nanos::ZERO, Nanos::from_ms(500)));
    assert_eq!(found[1].start, Nanos::from_ms(S));
    assert_eq!(warnings, ["en.m3u8: 1 cues end before the output begins and were left out"]);
}

#[test]
fn styles_and_notes_stand_once_before_the_cues() {
    let body = |cue: &str| format!("WEBVTT - t\n\nSTYLE\n::cue {{ color: red }}\n\nNOTE n\n\n1\n{cue} line:0\nx\n");
    let subtitles = segments([body("00:01.000 --> 00:02.000"), body("00:07.000 --> 00:08.000")]);
    let (files, _) = files(subtitles, &media(2), &[vec![epoch(0, 0, 0)]]);
    assert_eq!(
        files[0],
        "WEBVTT - t\n\nSTYLE\n::cue { color: red }\n\nNOTE n\n\n1\n00:00:01.000 --> 00:00:02.000 line:0\nx\n\n\
         1\n00:00:07.000 --> 00:00:08.000 line:0\nx\n"
    );
}

#[test]
fn a_segment_that_is_no_subtitles_fails_or_is_left_out() {
    let bodies = || segments([vtt(None, &[(S, "a")]), "<!DOCTYPE html><html>".to_owned()]);
    let error = read_all(bodies(), OnGap::Fail, &mut Vec::new()).err().expect("an error");
    assert_eq!((error.kind(), error.segment()), (ErrorKind::Media, Some(1)));
    assert!(error.to_string().contains("an HTML page"), "{error}");
    let mut warnings = Vec::new();
    let rendition = read_all(bodies(), OnGap::Skip, &mut warnings).expect("a rendition");
    assert_eq!((rendition.missing, warnings.len()), (vec![1], 1));
    let error = read_all(segments([""]), OnGap::Fail, &mut Vec::new()).err().expect("an error");
    assert!(error.to_string().contains("empty"), "{error}");
}

#[test]
fn more_than_the_limit_is_refused() {
    let error = read_all(segments([vec![b' '; (1 << 20) + 1]]), OnGap::Skip, &mut Vec::new()).err().expect("an error");
    assert_eq!(error.kind(), ErrorKind::Limit);
}

#[test]
fn malformed_cues_are_counted() {
    let mut warnings = Vec::new();
    let rendition = read_all(segments(["WEBVTT\n\nx --> y\nz\n"]), OnGap::Fail, &mut warnings).expect("a rendition");
    assert!(rendition.documents.iter().all(|d| d.span().is_none()));
    assert_eq!(warnings, ["en.m3u8: 1 malformed cues were left out"]);
}

// --- fragmented MP4, made here box by box

fn mp4_box(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut out = u32::try_from(8 + body.len()).expect("a small box").to_be_bytes().to_vec();
    out.extend(kind);
    out.extend(body);
    out
}

/// An init section for one track of 1000 ticks a second.
fn init(coding: &[u8; 4]) -> Arc<InitSection> {
    let words = |words: &[u32]| words.iter().flat_map(|w| w.to_be_bytes()).collect::<Vec<u8>>();
    let tkhd = mp4_box(b"tkhd", &words(&[0, 0, 0, 1, 0, 0]));
    let mdhd = mp4_box(b"mdhd", &words(&[0, 0, 0, 1000, 0, 0]));
    let header = mp4_box(b"vttC", b"WEBVTT\n\nSTYLE\n::cue {}");
    let entry = mp4_box(coding, &[vec![0; 8], header].concat());
    let stsd = mp4_box(b"stsd", &[words(&[0, 1]), entry].concat());
    let minf = mp4_box(b"minf", &mp4_box(b"stbl", &stsd));
    let trak = mp4_box(b"trak", &[tkhd, mp4_box(b"mdia", &[mdhd, minf].concat())].concat());
    let trex = mp4_box(b"mvex", &mp4_box(b"trex", &words(&[0, 1, 1, 0, 0, 0])));
    let bytes = [mp4_box(b"ftyp", b"iso6\0\0\0\0"), mp4_box(b"moov", &[trak, trex].concat())].concat();
    Arc::new(InitSection { location: Location::Data(bytes.into()), byte_range: None, key: None })
}

/// A segment of samples, each so long, from a time on.
fn fragment(start_ms: u64, samples: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let mut trun = vec![0, 0, 0x03, 0x01];
    trun.extend(u32::try_from(samples.len()).expect("few").to_be_bytes());
    let offset_at = trun.len();
    trun.extend([0; 4]);
    for (duration, data) in samples {
        trun.extend(duration.to_be_bytes());
        trun.extend(u32::try_from(data.len()).expect("small").to_be_bytes());
    }
    let build = |trun: &[u8]| {
        let tfhd = mp4_box(b"tfhd", &[0, 2, 0, 0, 0, 0, 0, 1]);
        let tfdt = mp4_box(b"tfdt", &[&[1, 0, 0, 0][..], &start_ms.to_be_bytes()].concat());
        mp4_box(b"moof", &mp4_box(b"traf", &[tfhd, tfdt, mp4_box(b"trun", trun)].concat()))
    };
    let offset = i32::try_from(build(&trun).len() + 8).expect("small");
    trun[offset_at..offset_at + 4].copy_from_slice(&offset.to_be_bytes());
    let data: Vec<u8> = samples.iter().flat_map(|(_, data)| data.clone()).collect();
    [build(&trun), mp4_box(b"mdat", &data)].concat()
}

fn in_mp4(coding: &[u8; 4], bodies: Vec<Vec<u8>>) -> Vec<Segment> {
    let init = init(coding);
    segments(bodies).into_iter().map(|s| Segment { init: Some(init.clone()), ..s }).collect()
}

#[test]
fn webvtt_in_mp4_is_joined_where_samples_cut_it() {
    let cue = |text: &str| mp4_box(b"vttc", &[mp4_box(b"sttg", b"line:0"), mp4_box(b"payl", text.as_bytes())].concat());
    let nothing = || mp4_box(b"vtte", b"");
    let bodies = vec![
        fragment(10_000, &[(1_000, nothing()), (2_000, cue("a")), (2_000, nothing()), (1_000, cue("b"))]),
        fragment(16_000, &[(1_000, [cue("b"), cue("c")].concat()), (5_000, nothing())]),
    ];
    let (files, warnings) = files(in_mp4(b"wvtt", bodies), &media(2), &[vec![epoch(0, 10 * S, 0)]]);
    assert_eq!(warnings, [""; 0]);
    assert_eq!(
        files[0],
        "WEBVTT\n\nSTYLE\n::cue {}\n\n00:00:01.000 --> 00:00:03.000 line:0\na\n\n\
         00:00:05.000 --> 00:00:07.000 line:0\nb\n\n00:00:06.000 --> 00:00:07.000 line:0\nc\n"
    );
}

#[test]
fn imsc_in_mp4_becomes_one_document_on_the_outputs_clock() {
    let document = |begin: &str, text: &str| {
        format!(
            "<tt xmlns=\"http://www.w3.org/ns/ttml\"><body><div><p begin=\"{begin}\" dur=\"1s\">{text}</p></div></body></tt>"
        )
    };
    let bodies = vec![
        fragment(10_000, &[(6_000, document("11s", "a").into_bytes())]),
        fragment(16_000, &[(6_000, document("17s", "b").into_bytes())]),
    ];
    let mut warnings = Vec::new();
    let rendition = read_all(in_mp4(b"stpp", bodies), OnGap::Fail, &mut warnings).expect("a rendition");
    assert_eq!(rendition.format, SubtitleFormat::Ttml);
    let clock = Clock::new(&media(2), [&[epoch(0, 10 * S, 0)][..]].into_iter());
    let rendered = render(&rendition, &clock, 1, &mut |w| warnings.push(w));
    assert_eq!((rendered[0].cues, warnings.len()), (2, 0));
    let text = &rendered[0].text;
    assert!(text.contains("<p begin=\"00:00:01.000\" dur=\"00:00:01.000\">a</p>"), "{text}");
    assert!(text.contains("<p begin=\"00:00:07.000\" dur=\"00:00:01.000\">b</p>"), "{text}");
    assert!(xml::parse(text).is_ok(), "{text}");
}

#[test]
fn fragments_that_tell_no_time_go_on_from_those_before() {
    let timeless = |mut bytes: Vec<u8>| {
        let at = bytes.windows(4).position(|kind| kind == b"tfdt").expect("a time");
        bytes[at..at + 4].copy_from_slice(b"free");
        bytes
    };
    let cue = |text: &str| mp4_box(b"vttc", &mp4_box(b"payl", text.as_bytes()));
    let bodies = vec![
        timeless(fragment(7, &[(1_000, mp4_box(b"vtte", b"")), (2_000, cue("a"))])),
        timeless(fragment(7, &[(3_000, mp4_box(b"vtte", b"")), (500, cue("b"))])),
    ];
    let (files, warnings) = files(in_mp4(b"wvtt", bodies), &media(2), &[vec![epoch(0, 0, 0)]]);
    assert_eq!(warnings, [""; 0]);
    assert!(files[0].contains("00:00:01.000 --> 00:00:03.000\na\n"), "{}", files[0]);
    assert!(files[0].contains("00:00:06.000 --> 00:00:06.500\nb\n"), "{}", files[0]);
}

#[test]
fn a_fragment_that_lists_what_it_does_not_hold_is_an_error() {
    let whole = fragment(0, &[(1_000, mp4_box(b"vtte", b"")), (1_000, mp4_box(b"vtte", b""))]);
    for cut in [8, 16] {
        let bodies = vec![whole[..whole.len() - cut].to_vec()];
        let error = read_all(in_mp4(b"wvtt", bodies), OnGap::Fail, &mut Vec::new()).err().expect("an error");
        assert_eq!((error.kind(), error.segment()), (ErrorKind::Media, Some(0)), "{error}");
    }
}

#[test]
fn a_damaged_fragment_is_no_panic() {
    let cue = mp4_box(b"vttc", &mp4_box(b"payl", b"x"));
    let whole = fragment(0, &[(1_000, cue)]);
    for at in 0..whole.len() {
        for value in [0, 1, 0x7f, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            let read = read_all(in_mp4(b"wvtt", vec![bytes]), OnGap::Skip, &mut Vec::new());
            assert!(read.is_ok_and(|r| r.documents.len() + r.missing.len() == 1), "byte {at} as {value}");
        }
    }
}
