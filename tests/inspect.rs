//! What `inspect` tells of playlists, folders and files.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use avweld::{CancelToken, Deep, ErrorKind, Input, Inspection, Options, StreamRun, inspect, inspect_deep};
use tempfile::TempDir;

/// A silent AAC frame, 44.1 kHz stereo, in ADTS.
const FRAME: [u8; 13] = [0xff, 0xf1, 0x50, 0x80, 0x01, 0xbf, 0xfc, 0x21, 0x10, 0x04, 0x60, 0x8c, 0x1c];

/// A folder with some audio in it, `a.aac`, and a playlist of these lines.
fn folder(lines: &[&str]) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    fs::write(dir.path().join("a.aac"), FRAME.repeat(50)).expect("a segment");
    let index = dir.path().join("index.m3u8");
    fs::write(&index, format!("#EXTM3U\n{}\n", lines.join("\n"))).expect("a playlist");
    (dir, index)
}

fn look(path: &Path) -> Inspection {
    inspect(&Input::from(path), &Options::default()).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn a_media_playlist_tells_its_facts_and_the_first_segments_streams() {
    let (_dir, index) = folder(&[
        "#EXT-X-TARGETDURATION:2",
        "#EXT-X-MEDIA-SEQUENCE:7",
        "#EXT-X-GAP",
        "#EXTINF:1.5,",
        "nowhere.aac",
        "#EXTINF:1.5,",
        "a.aac?token=1",
        "#EXT-X-DISCONTINUITY",
        "#EXTINF:1,",
        "nowhere.aac",
    ]);
    let found = look(&index);
    assert_eq!((found.kind, found.variants.len(), found.inputs.len()), ("media", 0, 1));
    let input = &found.inputs[0];
    assert_eq!((input.uri.as_str(), input.segments, input.media_sequence), ("index.m3u8", 3, 7));
    assert_eq!((input.duration_s, input.ended), (Some(4.0), false));
    assert_eq!((input.discontinuities, input.gaps, input.init_sections), (1, 1, 0));
    assert_eq!(input.encryption, [""; 0]);
    // The gap is not the first segment, and what comes behind the first is not opened.
    assert_eq!(input.container, Some("aac"));
    let streams: Vec<_> =
        input.streams.iter().map(|s| (s.kind, s.codec.as_str(), s.sample_rate_hz, s.channels)).collect();
    assert_eq!(streams, [("audio", "aac", Some(44_100), Some(2))]);
    // That it is not ended.
    assert_eq!(found.warnings.len(), 1, "{:?}", found.warnings);
}

#[test]
fn encryption_that_is_not_supported_is_shown() {
    let (_dir, index) = folder(&[
        "#EXT-X-TARGETDURATION:2",
        "#EXT-X-KEY:METHOD=AES-128,URI=\"k\"",
        "#EXTINF:1,",
        "a.aac",
        "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://x\",KEYFORMAT=\"com.apple.streamingkeydelivery\"",
        "#EXTINF:1,",
        "a.aac",
        "#EXT-X-ENDLIST",
    ]);
    let found = look(&index);
    assert_eq!(found.inputs[0].encryption, ["AES-128", "SAMPLE-AES (FairPlay)"]);
    let [refused, unread] = &found.warnings[..] else { panic!("{:?}", found.warnings) };
    assert!(refused.contains("encrypted with SAMPLE-AES (FairPlay), which is not supported"), "{refused}");
    assert!(unread.contains("key rejected"), "{unread}");
    assert_eq!(found.inputs[0].streams, []);
}

#[test]
fn a_first_segment_of_an_unknown_method_is_not_opened() {
    let (_dir, index) = folder(&[
        "#EXT-X-TARGETDURATION:2",
        "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"k\"",
        "#EXTINF:1,",
        "a.aac",
        "#EXT-X-ENDLIST",
    ]);
    let found = look(&index);
    assert_eq!(found.inputs[0].encryption, ["SAMPLE-AES"]);
    assert_eq!((found.inputs[0].container, found.warnings.len()), (None, 1), "{:?}", found.warnings);
}

#[test]
fn a_multivariant_playlist_tells_what_would_be_merged() {
    let (dir, index) = folder(&[
        "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"English\",LANGUAGE=\"en\",DEFAULT=YES,URI=\"en/index.m3u8?token=1\"",
        "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"Deutsch\",LANGUAGE=\"de\",URI=\"https://h/de.m3u8?token=1\"",
        "#EXT-X-STREAM-INF:BANDWIDTH=100000,RESOLUTION=160x90,AUDIO=\"a\"",
        "low/index.m3u8?token=1",
        "#EXT-X-STREAM-INF:BANDWIDTH=200000,RESOLUTION=320x180,FRAME-RATE=25,CODECS=\"avc1.42c00d\",AUDIO=\"a\"",
        "http://u:p@127.0.0.1:1/high.m3u8?token=1",
    ]);
    let media = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1,\n../a.aac\n#EXT-X-ENDLIST\n";
    fs::create_dir(dir.path().join("en")).expect("a folder");
    fs::write(dir.path().join("en/index.m3u8"), media).expect("a playlist");
    let found = look(&index);
    assert_eq!(found.kind, "multivariant");
    let variants: Vec<_> = found.variants.iter().map(|v| (v.uri.as_str(), v.bandwidth, v.selected)).collect();
    assert_eq!(variants, [("low/index.m3u8", 100_000, false), ("http://127.0.0.1:1/high.m3u8", 200_000, true)]);
    assert_eq!(found.variants[1].resolution.as_deref(), Some("320x180"));
    let renditions: Vec<_> = found.renditions.iter().map(|r| (r.name.as_str(), r.default, r.selected)).collect();
    assert_eq!(renditions, [("English", true, true), ("Deutsch", false, false)]);
    assert_eq!(found.renditions[1].uri.as_deref(), Some("https://h/de.m3u8"));
    // A local playlist may not lead to this machine; its audio is where it may be.
    assert_eq!(found.inputs.iter().map(|i| i.uri.as_str()).collect::<Vec<_>>(), ["en/index.m3u8"]);
    let [warning] = &found.warnings[..] else { panic!("{:?}", found.warnings) };
    assert!(warning.starts_with("http://127.0.0.1:1/high.m3u8: 127.0.0.1 is a loopback address"), "{warning}");
}

#[test]
fn a_first_segment_that_cannot_be_read_is_a_warning() {
    for (name, words) in [("nowhere.ts", "cannot open nowhere.ts"), ("page.ts", "not media")] {
        let (dir, index) = folder(&["#EXT-X-TARGETDURATION:2", "#EXTINF:1,", name, "#EXT-X-ENDLIST"]);
        fs::write(dir.path().join("page.ts"), "<html><body>not found</body></html>").expect("a page");
        let found = look(&index);
        assert_eq!((found.inputs[0].segments, found.inputs[0].container), (1, None));
        assert!(matches!(&found.warnings[..], [warning] if warning.contains(words)), "{:?}", found.warnings);
    }
}

#[test]
fn files_and_folders_have_no_playlist_to_tell_of() {
    let (dir, _) = folder(&[]);
    let found = look(dir.path());
    assert_eq!((found.kind, found.inputs[0].segments, found.inputs[0].duration_s), ("files", 1, None));
    assert_eq!(found.inputs[0].container, Some("aac"));
    let page = dir.path().join("page.ts");
    fs::write(&page, "<html></html>").expect("a page");
    let error = inspect(&Input::from(page), &Options::default()).expect_err("no media");
    assert_eq!(error.kind(), ErrorKind::Media, "{error}");
}

#[test]
fn an_input_that_cannot_be_read_is_an_error() {
    let fails = |input: &str| inspect(&input.into(), &Options::default()).expect_err("an error").kind();
    assert_eq!(fails("/nowhere/index.m3u8"), ErrorKind::NotFound);
    let mut once = Options::default();
    once.network.retries = 0;
    let error = inspect(&"http://127.0.0.1:1/index.m3u8".into(), &once).expect_err("nothing listens there");
    assert_eq!(error.kind(), ErrorKind::Network, "{error}");
    let (_dir, index) = folder(&["nothing of a playlist"]);
    let mut options = Options::default();
    options.limits.playlist_bytes = 10;
    let error = inspect(&Input::from(index), &options).expect_err("a limit");
    assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
}

#[test]
fn nothing_is_left_in_the_temporary_folder() {
    let (_dir, index) = folder(&["#EXT-X-TARGETDURATION:2", "#EXTINF:1,", "a.aac", "#EXT-X-ENDLIST"]);
    let temp = tempfile::tempdir().expect("a temporary folder");
    let mut options = Options::default();
    options.temp_dir = Some(temp.path().to_owned());
    inspect(&Input::from(index), &options).expect("an inspection");
    assert_eq!(fs::read_dir(temp.path()).expect("the folder").count(), 0);
}

fn fixture(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(case).join("index.m3u8")
}

fn look_deep(path: &Path) -> Inspection {
    inspect_deep(&Input::from(path), &Options::default(), &CancelToken::new())
        .unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// What was found in the first input of a fixture.
fn deep(case: &str) -> Deep {
    look_deep(&fixture(case)).inputs.swap_remove(0).deep.expect("all was read")
}

fn stream<'a>(deep: &'a Deep, run: usize, kind: &str) -> &'a StreamRun {
    deep.runs[run].streams.iter().find(|s| s.kind == kind).unwrap_or_else(|| panic!("no {kind} in {deep:?}"))
}

fn near(found: Option<f64>, expected: f64) {
    assert!(found.is_some_and(|found| (found - expected).abs() < 0.001), "{found:?}, not {expected}");
}

#[test]
fn times_are_those_of_the_source_and_the_offset_leads_to_the_output() {
    let deep = deep("starts-at-13h");
    assert_eq!((deep.runs.len(), deep.resets, deep.missing.len()), (1, 0, 0));
    let (video, audio) = (stream(&deep, 0, "video"), stream(&deep, 0, "audio"));
    // As expected.txt has it: 75 pictures, one in 25 a key picture, and 142 frames of sound.
    assert_eq!((video.packets, video.keyframes, audio.packets, audio.keyframes), (75, Some(3), 142, None));
    let first = audio.first_s.expect("a time");
    assert!((46_800.0..46_802.0).contains(&first), "{first}");
    near(deep.runs[0].offset_s, -first);
    near(video.last_s, video.first_s.unwrap_or_default() + 74.0 * 0.04);
    for stream in [video, audio] {
        assert_eq!((stream.gaps, stream.wraps, stream.untimed, stream.dts_faults), (0, 0, 0, 0), "{stream:?}");
        assert_eq!((stream.step_s, stream.bytes > 0), (None, true));
    }
}

#[test]
fn each_clock_that_begins_again_is_a_run() {
    let deep = deep("unmarked-reset");
    assert_eq!((deep.runs.len(), deep.resets), (3, 2));
    let begins: Vec<_> = deep.runs.iter().map(|run| (run.begins, run.segment)).collect();
    assert_eq!(begins, [("start", 0), ("reset", 1), ("reset", 2)]);
    for run in 1..3 {
        // Each segment is 1 s long, and its clock begins where the first one's does.
        near(stream(&deep, run, "video").step_s, -1.0);
        near(stream(&deep, run, "video").first_s, stream(&deep, 0, "video").first_s.unwrap_or_default());
    }
    let packets: u64 = deep.runs.iter().flat_map(|run| &run.streams).map(|s| s.packets).sum();
    assert_eq!(packets, 75 + 142);
    let offsets: Vec<_> = deep.runs.iter().filter_map(|run| run.offset_s).collect();
    assert!(offsets.windows(2).all(|pair| (0.9..1.1).contains(&(pair[1] - pair[0]))), "{offsets:?}");
}

#[test]
fn a_marked_discontinuity_begins_a_run_and_is_no_reset() {
    let deep = deep("discontinuity");
    assert_eq!((deep.runs.len(), deep.resets, deep.runs[1].begins), (2, 0, "discontinuity"));
    let first = stream(&deep, 1, "audio").first_s.expect("a time");
    assert!((100.0..102.0).contains(&first), "{first}");
    // On the output it follows two seconds of the first run.
    let place = first + deep.runs[1].offset_s.expect("an offset");
    assert!((1.9..2.2).contains(&place), "{place}");
}

#[test]
fn a_clock_that_wraps_goes_on() {
    let deep = deep("wrap-33bit");
    assert_eq!((deep.runs.len(), deep.resets), (1, 0));
    for kind in ["video", "audio"] {
        let stream = stream(&deep, 0, kind);
        let length = stream.last_s.unwrap_or_default() - stream.first_s.unwrap_or_default();
        assert!(stream.wraps == 1 && (2.8..3.1).contains(&length), "{stream:?}");
    }
}

#[test]
fn a_hole_is_a_gap_of_its_length() {
    let deep = deep("gap");
    assert_eq!((deep.missing.as_slice(), deep.runs.len()), (&[1][..], 1));
    for kind in ["video", "audio"] {
        let stream = stream(&deep, 0, kind);
        let [gap] = &stream.gap_list[..] else { panic!("not one gap: {stream:?}") };
        assert!(stream.gaps == 1 && (0.9..1.1).contains(&gap.duration_s), "{gap:?}");
    }
}

#[test]
fn every_rendition_is_read_and_all_share_a_clock() {
    let found = look_deep(&fixture("fmp4-separate-audio"));
    let streams: Vec<Vec<&str>> = (found.inputs.iter())
        .map(|input| input.deep.iter().flat_map(|deep| &deep.runs[0].streams).map(|s| s.kind).collect())
        .collect();
    assert_eq!(streams, [["video"], ["audio"]]);
    let offsets: Vec<_> = found.inputs.iter().flat_map(|i| &i.deep).map(|deep| deep.runs[0].offset_s).collect();
    assert_eq!(offsets[0], offsets[1]);
    assert_eq!(found.inputs[1].container, Some("fmp4"));
}

#[test]
fn parameters_that_change_are_told() {
    let found = look_deep(&fixture("fmp4-two-configs"));
    assert!(matches!(&found.warnings[..], [warning] if warning.contains("one track cannot hold both")), "{found:?}");
    let packets: u64 =
        found.inputs[0].deep.iter().flat_map(|d| &d.runs).flat_map(|r| &r.streams).map(|s| s.packets).sum();
    let merged = fs::read_to_string(fixture("fmp4-two-configs").with_file_name("packets.txt")).expect("the packets");
    assert_eq!(packets, merged.lines().filter(|line| line.split(' ').count() >= 4).count() as u64);
}

#[test]
fn what_is_missing_or_damaged_is_told_and_the_rest_is_read() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let index = fixture("ts-h264-aac");
    for name in ["index.m3u8", "index0.ts", "index2.ts"] {
        fs::copy(index.with_file_name(name), dir.path().join(name)).expect("a copy");
    }
    let found = look_deep(&dir.path().join("index.m3u8"));
    let deep = found.inputs[0].deep.as_ref().expect("it was read");
    assert_eq!(deep.missing, [1]);
    assert_eq!(stream(deep, 0, "video").packets, 50);
    assert!(found.warnings.iter().any(|w| w.contains("index1.ts")), "{:?}", found.warnings);
    // An input of which nothing can be read says so, and is no error beside its playlist.
    fs::write(dir.path().join("page.ts"), "<html></html>").expect("a page");
    fs::write(dir.path().join("bad.m3u8"), "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\npage.ts\n#EXT-X-ENDLIST\n")
        .expect("a playlist");
    let found = look_deep(&dir.path().join("bad.m3u8"));
    assert_eq!(found.inputs[0].deep.as_ref().map(|deep| deep.runs.len()), Some(0));
    assert!(!found.warnings.is_empty());
}

#[test]
fn only_a_deep_look_is_told_as_one() {
    let shallow = serde_json::to_value(look(&fixture("ts-h264-aac"))).expect("JSON");
    let mut deep = serde_json::to_value(look_deep(&fixture("ts-h264-aac"))).expect("JSON");
    let input = deep["inputs"][0].as_object_mut().expect("an object");
    assert!(input.remove("deep").is_some_and(|deep| deep["runs"][0]["streams"][0]["packets"] == 75));
    assert_eq!(deep, shallow, "all else is the same");
}

#[test]
fn a_deep_look_can_be_cancelled_and_leaves_nothing() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let mut options = Options::default();
    options.temp_dir = Some(temp.path().to_owned());
    let input = Input::from(fixture("ts-h264-aac"));
    let cancel = CancelToken::new();
    inspect_deep(&input, &options, &cancel).expect("an inspection");
    cancel.cancel();
    let error = inspect_deep(&input, &options, &cancel).expect_err("it was cancelled");
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
    assert_eq!(fs::read_dir(temp.path()).expect("the folder").count(), 0);
}

/// Field material has the streams that its table tells of.
#[test]
fn the_corpus_holds_what_its_table_tells() {
    let Some(corpus) = std::env::var_os("AVWELD_CORPUS").map(PathBuf::from) else {
        // Past the harness, which would keep it to itself.
        let _ = writeln!(std::io::stderr(), "SKIPPED: the field corpus was not looked into, AVWELD_CORPUS is not set");
        return;
    };
    let table = fs::read_to_string(corpus.join("expected.tsv")).expect("the table");
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [playlist, tracks, _] = columns[..] else { panic!("not three columns: {line}") };
        let found = look(&corpus.join(playlist));
        let streams: Vec<String> =
            found.inputs.iter().flat_map(|i| &i.streams).map(|s| format!("{}:{}", s.kind, s.codec)).collect();
        for track in tracks.split(',').filter_map(|track| track.split('=').next()) {
            assert!(streams.iter().any(|s| s == track), "{playlist}: no {track} in {streams:?}");
        }
    }
}
