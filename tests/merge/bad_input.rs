//! Whatever is wrong with the input: the right code, one line that names the place, and nothing left behind.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::sandbox::{Sandbox, copy_fixture, fixture, names, report};

/// An input that has to be refused.
struct Case {
    name: &'static str,
    /// Makes the input below a folder and gives its path.
    make: fn(&Path) -> PathBuf,
    code: i32,
    /// Media sequence number that the error names.
    segment: Option<u64>,
    /// Words that the error has, in any case.
    words: &'static [&'static str],
}

/// `case(name, make, code, segment, words)`
const fn case(
    name: &'static str,
    make: fn(&Path) -> PathBuf,
    code: i32,
    segment: Option<u64>,
    words: &'static [&'static str],
) -> Case {
    Case { name, make, code, segment, words }
}

const BAD_DATA: i32 = 65;
const NOT_FOUND: i32 = 66;
const UNSUPPORTED: i32 = 69;
const DENIED: i32 = 77;

const HTML: &str = "<!DOCTYPE html>\n<html><head><title>404</title></head><body>Not here</body></html>\n";

const PLAYLISTS: &[Case] = &[
    case("a missing file", |f| f.join("none.m3u8"), NOT_FOUND, None, &["none.m3u8"]),
    case("an empty playlist", |f| write(f, "index.m3u8", ""), BAD_DATA, None, &["index.m3u8"]),
    case("a page in place of a playlist", |f| write(f, "index.m3u8", HTML), BAD_DATA, None, &["index.m3u8"]),
    case("a playlist of zeros", |f| write(f, "index.m3u8", "\0".repeat(4096)), BAD_DATA, None, &["index.m3u8"]),
    case("no segments", |f| playlist(f, &["#EXT-X-PLAYLIST-TYPE:VOD"]), BAD_DATA, None, &["segment"]),
    case("a million lines", |f| playlist(f, &["#EXTINF:1,\nindex0.ts"; 500_000]), UNSUPPORTED, None, &["limit"]),
    case("a line of a megabyte", |f| playlist(f, &[&"a".repeat(1 << 20)]), UNSUPPORTED, None, &["limit"]),
    case("33 MiB", |f| write(f, "index.m3u8", "#EXTM3U\n".repeat(33 << 17)), UNSUPPORTED, None, &["limit"]),
    case("a folder without media", |f| f.to_owned(), NOT_FOUND, None, &["in"]),
    case("an empty media file", |f| write(f, "a.ts", ""), BAD_DATA, None, &["a.ts"]),
    case("a page in place of a media file", |f| write(f, "a.ts", HTML), BAD_DATA, None, &["a.ts"]),
];

const SEGMENTS: &[Case] = &[
    case("a page", |f| spoil(f, |_| HTML.into()), BAD_DATA, Some(1), &["index1.ts"]),
    case("JSON", |f| spoil(f, |_| br#"{"error": "gone"}"#.into()), BAD_DATA, Some(1), &["index1.ts"]),
    case("a playlist", |f| spoil(f, |_| b"#EXTM3U\n#EXTINF:1,\nindex0.ts\n".into()), BAD_DATA, Some(1), &["index1.ts"]),
    case("a concat list", |f| spoil(f, |_| b"ffconcat version 1.0\nfile index0.ts\n".into()), BAD_DATA, Some(1), &[]),
    case("zeros", |f| spoil(f, |b| vec![0; b.len()]), BAD_DATA, Some(1), &["index1.ts"]),
    case("cut in half", |f| spoil(f, |b| b[..b.len() / 2].into()), BAD_DATA, Some(1), &["index1.ts"]),
    case("an init section alone", init_alone, BAD_DATA, None, &["no segment holds a packet"]),
    case("empty", |f| spoil(f, |_| Vec::new()), BAD_DATA, Some(1), &["index1.ts"]),
    case("missing", |f| without(f, "index1.ts"), BAD_DATA, Some(1), &["index1.ts"]),
    case("half of a fragment", |f| spoil_fragment(f, |b| b[..b.len() / 2].into()), BAD_DATA, Some(1), &["index1.m4s"]),
    case("zeros for a fragment", |f| spoil_fragment(f, |b| vec![0; b.len()]), BAD_DATA, Some(1), &["index1.m4s"]),
    case("a range beyond the end", |f| ranges(f, "#EXT-X-BYTERANGE:99999@90000"), BAD_DATA, Some(0), &["all.ts"]),
    case("a range that overflows", |f| ranges(f, "#EXT-X-BYTERANGE:9@18446744073709551615"), BAD_DATA, None, &[]),
];

const KEYS: &[Case] = &[
    case("15 bytes", |f| key(f, &[7; 15]), BAD_DATA, Some(0), &["key", "15"]),
    case("17 bytes", |f| key(f, &[7; 17]), BAD_DATA, Some(0), &["key", "17"]),
    case("a page", |f| key(f, HTML.as_bytes()), BAD_DATA, Some(0), &["key"]),
    case("wrong", |f| key(f, &[7; 16]), BAD_DATA, Some(0), &["key"]),
    case("SAMPLE-AES", |f| method(f, "SAMPLE-AES"), UNSUPPORTED, None, &["sample-aes"]),
    case("a method nobody knows", |f| method(f, "ROT-13"), UNSUPPORTED, None, &["rot-13"]),
];

/// Nothing in these playlists says that the media is encrypted.
const ENCRYPTED: &[Case] = &[
    case("video of an init section", |f| protect(f, "fmp4-muxed", "index-init.mp4"), UNSUPPORTED, Some(0), CBCS),
    case("video of a segment", |f| protect(f, "self-initializing-mp4", "1.mp4"), UNSUPPORTED, Some(1), CBCS),
    case("a file with its index behind", |f| encrypt(f, "0"), UNSUPPORTED, Some(0), &["encrypted", "(cenc)"]),
    case("a file with its index in front", |f| encrypt(f, "+faststart"), UNSUPPORTED, Some(0), &["(cenc)"]),
];

const CBCS: &[&str] = &["its video is encrypted by common encryption (cbcs)", "no key"];

const PLACES: &[Case] = &[
    case("an absolute path", |f| names_uri(f, "/etc/passwd"), DENIED, None, &["/etc", "--allow-path"]),
    case("a file URL", |f| names_uri(f, "file:///etc/passwd"), DENIED, None, &["--allow-path"]),
    case("a path outside its folder", |f| names_uri(f, "../../x"), DENIED, None, &["--allow-path"]),
    case("concat:", |f| names_uri(f, "concat:index0.ts|index1.ts"), DENIED, None, &["concat:"]),
    case("subfile:", |f| names_uri(f, "subfile,,start,0,end,9,,:index0.ts"), DENIED, None, &[]),
    case("pipe:", |f| names_uri(f, "pipe:0"), DENIED, None, &["pipe:"]),
    case("fd:", |f| names_uri(f, "fd:0"), DENIED, None, &["fd:"]),
    case("crypto:", |f| names_uri(f, "crypto:index0.ts"), DENIED, None, &["crypto:"]),
    case("this machine", |f| names_uri(f, "http://127.0.0.1:1/a.ts?token=secret"), DENIED, None, &["loopback"]),
    case("a key outside", |f| key_uri(f, "../../key"), DENIED, None, &["--allow-path"]),
    case("a key of a scheme", |f| key_uri(f, "pipe:0"), DENIED, None, &["pipe:"]),
    case("an init section outside", |f| map_uri(f, "/etc/passwd"), DENIED, None, &["--allow-path"]),
    case("a rendition outside", |f| rendition_uri(f, "/etc/passwd"), DENIED, None, &["--allow-path"]),
    case("a variant outside", |f| variant_uri(f, "../../v.m3u8"), DENIED, None, &["--allow-path"]),
    #[cfg(unix)]
    case("a symlink that leads outside", symlink, DENIED, None, &["--allow-path"]),
];

#[test]
fn bad_playlists_are_refused() {
    refused(PLAYLISTS);
}

#[test]
fn bad_segments_are_refused() {
    refused(SEGMENTS);
}

#[test]
fn bad_keys_are_refused() {
    refused(KEYS);
}

#[test]
fn encrypted_tracks_are_refused_without_a_word_of_the_playlist() {
    refused(ENCRYPTED);
}

#[test]
fn places_that_a_playlist_may_not_name_are_refused() {
    refused(PLACES);
}

#[test]
fn a_folder_that_is_allowed_may_be_named() {
    let sandbox = Sandbox::new();
    let index = fs::read_to_string(fixture("ts-h264-aac").join("index.m3u8")).unwrap();
    let elsewhere = fixture("ts-h264-aac");
    let absolute = index.replace("index0", &format!("{}/index0", elsewhere.display()));
    fs::copy(elsewhere.join("index1.ts"), sandbox.input().join("index1.ts")).unwrap();
    fs::copy(elsewhere.join("index2.ts"), sandbox.input().join("index2.ts")).unwrap();
    let playlist = write(&sandbox.input(), "index.m3u8", absolute);
    let report = sandbox.merge(playlist, "out.mp4", &["--allow-path", elsewhere.to_str().unwrap()]);
    assert_eq!(report["segments"]["merged"], 3);
}

#[test]
fn a_query_is_told_nobody() {
    let sandbox = Sandbox::new();
    let playlist = names_uri(&sandbox.input(), "http://127.0.0.1:1/a.ts?token=secret");
    let output = sandbox.command(playlist, sandbox.output("out.mp4")).arg("-v").output().unwrap();
    assert_eq!(output.status.code(), Some(DENIED));
    for stream in [&output.stdout, &output.stderr] {
        assert!(!String::from_utf8_lossy(stream).contains("secret"));
    }
}

fn refused(cases: &[Case]) {
    let failed: Vec<&str> =
        cases.iter().filter(|case| catch_unwind(AssertUnwindSafe(|| check(case))).is_err()).map(|c| c.name).collect();
    assert!(failed.is_empty(), "{} of {} cases failed, see above: {failed:?}", failed.len(), cases.len());
}

fn check(case: &Case) {
    let sandbox = Sandbox::new();
    let input = (case.make)(&sandbox.input());
    let output = sandbox.command(input, sandbox.output("out.mp4")).arg("-q").output().unwrap();
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    let what = format!("{}: {}\n{said}", case.name, output.status);
    assert_eq!(output.status.code(), Some(case.code), "exit code of {what}");
    assert_eq!(said.lines().count(), 1, "lines of {what}");
    for word in case.words {
        assert!(said.to_lowercase().contains(word), "no {word:?} in {what}");
    }
    let report = report(&output);
    assert_eq!(report["status"], "failed", "{what}");
    assert_eq!(report["error"]["exit_code"], case.code, "exit code in the report of {what}");
    assert_eq!(report["error"]["retryable"], false, "{what}");
    if let Some(segment) = case.segment {
        assert_eq!(report["error"]["segment"], segment, "segment in the report of {what}");
        assert!(said.contains(&format!("segment {segment}")), "no segment {segment} in {what}");
    }
    assert_eq!(sandbox.outputs(), [""; 0], "left in the output folder by {what}");
    assert_eq!(names(&sandbox.temp()), [""; 0], "left in the folder for workspaces by {what}");
}

fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    fs::write(folder.join(name), content).unwrap();
    folder.join(name)
}

/// A playlist of these lines.
fn playlist(folder: &Path, lines: &[&str]) -> PathBuf {
    let head = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-TARGETDURATION:2"];
    let all: Vec<&str> = head.iter().chain(lines).copied().chain(["#EXT-X-ENDLIST\n"]).collect();
    write(folder, "index.m3u8", all.join("\n"))
}

/// The plain case with its second segment changed.
fn spoil(folder: &Path, change: fn(&[u8]) -> Vec<u8>) -> PathBuf {
    spoil_in(folder, "ts-h264-aac", "index1.ts", change)
}

fn spoil_fragment(folder: &Path, change: fn(&[u8]) -> Vec<u8>) -> PathBuf {
    spoil_in(folder, "fmp4-muxed", "index1.m4s", change)
}

fn spoil_in(folder: &Path, case: &str, name: &str, change: fn(&[u8]) -> Vec<u8>) -> PathBuf {
    copy_fixture(case, folder);
    let content = fs::read(folder.join(name)).unwrap();
    write(folder, name, change(&content));
    folder.join("index.m3u8")
}

/// Calls the video of a file encrypted, in place of what it says of its bit rate.
fn protect(folder: &Path, case: &str, name: &str) -> PathBuf {
    spoil_in(folder, case, name, |bytes| {
        let mut bytes = bytes.to_vec();
        for (from, to) in [(&b"avc1"[..], &b"encv"[..]), (b"btrt", b"schm")] {
            // The first `avc1` is a brand of the file.
            let at = bytes.windows(4).skip(40).position(|w| w == from).expect("a box") + 40;
            bytes[at..at + 4].copy_from_slice(to);
            if to == b"schm" {
                bytes[at + 4..at + 16].copy_from_slice(b"\0\0\0\0cbcs\0\x01\0\0");
            }
        }
        bytes
    })
}

/// A whole file that is encrypted.
fn encrypt(folder: &Path, flags: &str) -> PathBuf {
    let key = "00112233445566778899aabbccddeeff";
    let status = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(fixture("fmp4-muxed").join("index.m3u8"))
        .args(["-c", "copy", "-movflags", flags, "-encryption_scheme", "cenc-aes-ctr"])
        .args(["-encryption_key", key, "-encryption_kid", key])
        .arg(folder.join("a.mp4"))
        .status();
    assert!(status.expect("ffmpeg runs; `make deps` installs it").success());
    folder.join("a.mp4")
}

fn init_alone(folder: &Path) -> PathBuf {
    copy_fixture("fmp4-muxed", folder);
    playlist(folder, &["#EXTINF:1,", "index-init.mp4"])
}

fn without(folder: &Path, name: &str) -> PathBuf {
    copy_fixture("ts-h264-aac", folder);
    fs::remove_file(folder.join(name)).unwrap();
    folder.join("index.m3u8")
}

fn ranges(folder: &Path, line: &str) -> PathBuf {
    copy_fixture("ts-byterange", folder);
    playlist(folder, &["#EXTINF:1,", line, "all.ts"])
}

fn key(folder: &Path, bytes: &[u8]) -> PathBuf {
    copy_fixture("aes128", folder);
    write(folder, "key.bin", bytes);
    folder.join("index.m3u8")
}

fn method(folder: &Path, method: &str) -> PathBuf {
    copy_fixture("aes128", folder);
    let text = fs::read_to_string(folder.join("index.m3u8")).unwrap();
    write(folder, "index.m3u8", text.replace("AES-128", method))
}

/// A second segment of this URI.
fn names_uri(folder: &Path, uri: &str) -> PathBuf {
    copy_fixture("ts-h264-aac", folder);
    playlist(folder, &["#EXTINF:1,", "index0.ts", "#EXTINF:1,", uri])
}

fn key_uri(folder: &Path, uri: &str) -> PathBuf {
    copy_fixture("ts-h264-aac", folder);
    playlist(folder, &[&format!("#EXT-X-KEY:METHOD=AES-128,URI=\"{uri}\""), "#EXTINF:1,", "index0.ts"])
}

fn map_uri(folder: &Path, uri: &str) -> PathBuf {
    copy_fixture("fmp4-muxed", folder);
    playlist(folder, &[&format!("#EXT-X-MAP:URI=\"{uri}\""), "#EXTINF:1,", "index0.m4s"])
}

fn rendition_uri(folder: &Path, uri: &str) -> PathBuf {
    copy_fixture("fmp4-separate-audio", folder);
    let media = format!("#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"A\",DEFAULT=YES,URI=\"{uri}\"");
    write(folder, "main.m3u8", format!("#EXTM3U\n{media}\n#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"a\"\nvideo.m3u8\n"))
}

fn variant_uri(folder: &Path, uri: &str) -> PathBuf {
    write(folder, "main.m3u8", format!("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{uri}\n"))
}

#[cfg(unix)]
fn symlink(folder: &Path) -> PathBuf {
    std::os::unix::fs::symlink(fixture("ts-h264-aac").join("index1.ts"), folder.join("link.ts")).unwrap();
    names_uri(folder, "link.ts")
}

#[test]
fn a_playlist_may_not_name_itself_through_its_variants() {
    let sandbox = Sandbox::new();
    let main = variant_uri(&sandbox.input(), "main.m3u8");
    let output = sandbox.command(main, sandbox.output("out.mp4")).output().unwrap();
    assert!(matches!(output.status.code(), Some(BAD_DATA | UNSUPPORTED)), "{}", output.status);
    assert_eq!(sandbox.outputs(), [""; 0]);
}

#[test]
fn ten_thousand_variants_are_too_many() {
    let sandbox = Sandbox::new();
    let text = format!("#EXTM3U\n{}", "#EXT-X-STREAM-INF:BANDWIDTH=1\nvideo.m3u8\n".repeat(10_000));
    let main = write(&sandbox.input(), "main.m3u8", text);
    let output = sandbox.command(main, sandbox.output("out.mp4")).output().unwrap();
    assert_eq!(output.status.code(), Some(UNSUPPORTED), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_last_segment_that_is_shorter_than_announced_is_told_of() {
    let sandbox = Sandbox::new();
    copy_fixture("ts-h264-aac", &sandbox.input());
    let last = sandbox.input().join("index2.ts");
    let bytes = fs::read(&last).unwrap();
    // Between two packets, where nothing of the structure shows it.
    fs::write(&last, &bytes[..27 * 188]).unwrap();
    let report = sandbox.merge(sandbox.input().join("index.m3u8"), "out.mp4", &[]);
    let warnings = report["warnings"].as_array().unwrap();
    assert!(warnings.iter().any(|w| w.as_str().unwrap().contains("of the announced 1.000 s")), "{warnings:?}");
}
