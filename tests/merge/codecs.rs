//! Codecs: what each format takes, as docs/codecs.md says, and that decoding gives what the source gave.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::judge;
use crate::sandbox::{Sandbox, fixture, report};

/// Formats, in the order of the table's columns, and the names of their files.
const FORMATS: [(&str, &str); 6] =
    [("mp4", "o.mp4"), ("mov", "o.mov"), ("m4a", "o.m4a"), ("fmp4", "o.f.mp4"), ("mkv", "o.mkv"), ("ts", "o.ts")];

/// Encoder, and the codec that it is for where the names differ.
fn encoder(codec: &str) -> &'static [&'static str] {
    match codec {
        "h264" => &["-c:v", "libx264", "-preset", "ultrafast"],
        "hevc" => &["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none"],
        "av1" => &["-c:v", "libaom-av1", "-cpu-used", "8", "-b:v", "50k"],
        "vp9" => &["-c:v", "libvpx-vp9", "-deadline", "realtime", "-b:v", "50k"],
        "mpeg2video" => &["-c:v", "mpeg2video"],
        "mpeg4" => &["-c:v", "mpeg4"],
        "aac" => &["-c:a", "aac"],
        "aac_latm" => &["-c:a", "aac", "-mpegts_flags", "latm"],
        "mp3" => &["-c:a", "libmp3lame"],
        "mp2" => &["-c:a", "mp2"],
        "ac3" => &["-c:a", "ac3"],
        "eac3" => &["-c:a", "eac3"],
        "opus" => &["-c:a", "libopus"],
        "flac" => &["-c:a", "flac"],
        "alac" => &["-c:a", "alac"],
        "dts" => &["-c:a", "dca"],
        "truehd" => &["-c:a", "truehd"],
        _ => panic!("no encoder for {codec}"),
    }
}

fn ffmpeg(arguments: &[&str], file: &Path, rest: &[&str]) -> Vec<u8> {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin"]).args(arguments).arg(file).args(rest);
    let output = command.output().expect("ffmpeg runs; `make deps` installs it");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ffmpeg {arguments:?} {}: {complaints}", file.display());
    output.stdout
}

/// All that a file decodes to: a line for each picture, and the sound as a whole. Priming included.
fn decoded(file: &Path) -> (Vec<String>, String) {
    // One decoder for all layers of MPEG audio, as MP4 does not tell them apart.
    let is_mp4 = file.extension().is_some_and(|e| ["mp4", "mov", "m4a"].iter().any(|name| e == *name));
    let mut input: Vec<&str> = if is_mp4 { vec!["-ignore_editlist", "1"] } else { vec![] };
    if judge::tracks(file).iter().any(|track| track.codec.starts_with("mp")) {
        input.extend(["-c:a", "mp3float"]);
    }
    input.push("-i");
    let pictures = ffmpeg(&input, file, &["-map", "0:v?", "-fps_mode", "passthrough", "-f", "framemd5", "-"]);
    let sound = ffmpeg(&input, file, &["-map", "0:a?", "-c:a", "pcm_f32le", "-f", "md5", "-"]);
    let pictures = String::from_utf8(pictures).unwrap();
    let hash = |line: &str| line.rsplit_once(", ").map(|(_, hash)| hash.to_owned());
    (pictures.lines().filter(|l| !l.starts_with('#')).filter_map(hash).collect(), String::from_utf8(sound).unwrap())
}

/// What is in the table of docs/codecs.md: codec, what it is read from, and what each format does with it.
fn table() -> Vec<(String, String, Vec<bool>)> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/codecs.md")).unwrap();
    let rows = text.lines().filter(|l| l.starts_with("| ") && !l.contains("read from"));
    let cells = rows.map(|l| l.trim_matches('|').split('|').map(|c| c.trim().to_owned()).collect::<Vec<_>>());
    cells.map(|c| (c[0].clone(), c[1].clone(), c[2..].iter().map(|cell| cell == "yes").collect())).collect()
}

/// A playlist of one segment of a second in one codec.
fn make(sandbox: &Sandbox, codec: &str, container: &str) -> (PathBuf, PathBuf) {
    let arguments = encoder(codec);
    let source = match arguments[0] {
        "-c:v" => "testsrc=size=160x96:rate=25:duration=1",
        _ => "sine=frequency=440:sample_rate=48000:duration=1",
    };
    let segment = sandbox.input().join(format!("{codec}.seg"));
    let (muxer, flags): (_, &[&str]) = match container {
        "ts" => ("mpegts", &[]),
        _ => ("mp4", &["-movflags", "frag_keyframe+empty_moov+default_base_moof", "-frag_duration", "500000"]),
    };
    let pixels: &[&str] = if arguments[0] == "-c:v" { &["-pix_fmt", "yuv420p", "-g", "25"] } else { &["-ac", "2"] };
    let common = ["-f", "lavfi", "-i", source, "-strict", "-2"];
    let arguments = [&common, arguments, pixels, flags, &["-f", muxer]].concat();
    ffmpeg(&arguments, &segment, &[]);
    let playlist = sandbox.input().join(format!("{codec}.m3u8"));
    let text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1,\n{codec}.seg\n#EXT-X-ENDLIST\n");
    fs::write(&playlist, text).unwrap();
    (playlist, segment)
}

#[test]
fn each_format_takes_what_the_table_of_codecs_says() {
    let table = table();
    assert!(table.len() >= 17, "{table:?}");
    for (codec, container, takes) in table {
        let sandbox = Sandbox::new();
        let (playlist, segment) = make(&sandbox, &codec, &container);
        let source = judge::tracks(&segment);
        assert_eq!(source[0].codec, codec);
        let expected = decoded(&segment);
        for ((format, name), takes) in FORMATS.iter().zip(takes) {
            let case = format!("{codec} to {format}");
            let output = sandbox.command(&playlist, sandbox.output(name)).args(["--format", format]).output().unwrap();
            let report = report(&output);
            if !takes {
                assert_eq!(output.status.code(), Some(69), "{case}: {report}");
                let error = report["error"].to_string();
                assert!(error.contains(&codec) || *format == "m4a", "{case}: {error}");
                assert!(error.contains("mkv") || error.contains("choose mp4"), "{case}: no way out in {error}");
                continue;
            }
            assert!(output.status.success(), "{case}: {report}");
            let tracks = judge::tracks(&sandbox.output(name));
            let called = match (codec.as_str(), *format) {
                ("aac_latm", "ts") => "aac_latm",
                ("aac_latm", _) => "aac",
                ("mp2", "mp4" | "fmp4") => "mp3",
                (codec, _) => codec,
            };
            assert_eq!((tracks.len(), tracks[0].codec.as_str()), (1, called), "{case}");
            assert_eq!(tracks[0].packets, source[0].packets, "{case}: packets");
            // The MP4 family has one way to hold samples: decoding one of them is enough.
            if ["mp4", "mkv", "ts"].contains(format) {
                assert!(decoded(&sandbox.output(name)) == expected, "{case}: it decodes to something else");
            }
        }
    }
}

/// The segments of a fixture behind one another, with its init section if it has one.
fn source_of(case: &str, sandbox: &Sandbox) -> PathBuf {
    let text = fs::read_to_string(fixture(case).join("index.m3u8")).unwrap();
    let map = text.lines().filter_map(|l| l.strip_prefix("#EXT-X-MAP:URI=\"")?.strip_suffix('"'));
    let segments = text.lines().filter(|l| !l.is_empty() && !l.starts_with('#'));
    let bytes: Vec<u8> = map.chain(segments).flat_map(|name| fs::read(fixture(case).join(name)).unwrap()).collect();
    let path = sandbox.input().join(format!("{case}.source"));
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn decoded_pictures_and_sound_are_those_of_the_source() {
    let cases = [
        "h264-interlaced",
        "h264-pyramid",
        "h264-open-start",
        "h264-refresh-start",
        "hevc-cra-start",
        "ts-opus",
        "ts-latm",
        "ts-he-aac",
        "ts-he2-aac",
        "ts-he-latm",
        "fmp4-flac",
        "fmp4-opus",
        "fmp4-he-aac",
        "fmp4-he2-aac",
    ];
    for case in cases {
        let sandbox = Sandbox::new();
        let expected = decoded(&source_of(case, &sandbox));
        for name in ["o.mp4", "o.mkv"] {
            sandbox.merge(fixture(case).join("index.m3u8"), name, &[]);
            let found = decoded(&sandbox.output(name));
            assert_eq!(found.0.len(), expected.0.len(), "{case} to {name}: pictures");
            assert!(found == expected, "{case} to {name}: it decodes to something else");
        }
    }
}

#[test]
fn whatever_stands_between_the_frames_of_packed_audio_the_sound_is_the_same() {
    let sandbox = Sandbox::new();
    let sound = |case: &str| {
        let name = format!("{case}.mp4");
        sandbox.merge(fixture(case).join("index.m3u8"), &name, &[]);
        decoded(&sandbox.output(&name)).1
    };
    let expected = sound("packed-aac");
    for case in [
        "packed-tags-between",
        "packed-large-tag",
        "packed-tag-footer",
        "packed-frames-across",
        "packed-as-ts",
        "packed-junk",
        "packed-wrap-33bit",
        "packed-no-tags",
    ] {
        assert_eq!(sound(case), expected, "{case}");
    }
    assert_eq!(sound("packed-mp3-tags-between"), sound("packed-mp3-frames-across"));
}

/// Rate in the sample entry, and the AudioSpecificConfig in the esds box, of a file's only or last AAC track.
fn aac_in_mp4(path: &Path) -> (u32, Vec<u8>) {
    let bytes = fs::read(path).unwrap();
    let at = memchr::memmem::rfind(&bytes, b"mp4a").expect("a sample entry");
    // AudioSampleEntry: 28 bytes, of which the rate is the last four, as 16.16.
    let rate = u32::from_be_bytes(bytes[at + 28..at + 32].try_into().unwrap()) >> 16;
    let esds = at + memchr::memmem::find(&bytes[at..], b"esds").expect("an esds box");
    // Tag 5, in one of four bytes of length: the last is the length.
    let tag = esds + memchr::memmem::find(&bytes[esds..], &[5, 0x80, 0x80, 0x80]).expect("a configuration");
    let length = usize::from(bytes[tag + 4]);
    (rate, bytes[tag + 5..tag + 5 + length].to_vec())
}

#[test]
fn he_aac_has_its_output_rate_in_the_header_and_its_own_configuration() {
    let sandbox = Sandbox::new();
    for (case, profile, config) in [
        // In the frames alone: the core's rate, 24 kHz, and its channels.
        ("ts-he-aac", "HE-AAC", vec![0x13, 0x10]),
        ("ts-he2-aac", "HE-AACv2", vec![0x13, 0x08]),
        ("packed-he-aac", "HE-AAC", vec![0x13, 0x10]),
        ("packed-he2-aac", "HE-AACv2", vec![0x13, 0x08]),
        // In the configuration: both rates.
        ("ts-he-latm", "HE-AAC", vec![0x2b, 0x11, 0x88, 0x00]),
        ("fmp4-he-aac", "HE-AAC", vec![0x2b, 0x11, 0x88, 0x00]),
        ("fmp4-he2-aac", "HE-AACv2", vec![0xeb, 0x09, 0x88, 0x00]),
    ] {
        let name = format!("{case}.mp4");
        sandbox.merge(fixture(case).join("index.m3u8"), &name, &[]);
        let path = sandbox.output(&name);
        assert_eq!(aac_in_mp4(&path), (48_000, config), "{case}");
        let probe = ["-v", "error", "-select_streams", "a", "-of", "csv=p=0", "-show_entries"];
        let output = Command::new("ffprobe").args(probe).arg("stream=profile,sample_rate,channels").arg(&path).output();
        let found = String::from_utf8(output.unwrap().stdout).unwrap();
        assert_eq!(found.trim(), format!("{profile},48000,2"), "{case}");
    }
}

#[test]
fn opus_keeps_its_pre_skip_and_channels() {
    let sandbox = Sandbox::new();
    for case in ["ts-opus", "fmp4-opus"] {
        let name = format!("{case}.mp4");
        sandbox.merge(fixture(case).join("index.m3u8"), &name, &[]);
        let bytes = fs::read(sandbox.output(&name)).unwrap();
        let at = memchr::memmem::find(&bytes, b"dOps").expect("a dOps box") + 4;
        // Version, channels, pre-skip; a transport stream does not tell one, and libav says none.
        let pre_skip = u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]);
        assert_eq!((bytes[at], bytes[at + 1]), (0, 1), "{case}");
        assert_eq!(pre_skip, if case == "fmp4-opus" { 312 } else { 0 }, "{case}");
    }
}

pub(crate) fn mpeg_crc(bytes: &[u8]) -> u32 {
    bytes.iter().fold(!0, |crc, byte| {
        (0..8).rev().fold(crc, |crc: u32, bit| {
            let top = crc >> 31 ^ u32::from(byte >> bit & 1);
            crc << 1 ^ if top == 1 { 0x04c1_1db7 } else { 0 }
        })
    })
}

/// Adds to a PMT packet that its private stream is AV1, by registration: older ffmpegs write none.
fn as_av1(packet: &mut [u8]) {
    let length = usize::from(packet[6] & 15) << 8 | usize::from(packet[7]);
    let mut section = packet[5..5 + 3 + length - 4].to_vec();
    let mut at = 12 + (usize::from(section[10] & 15) << 8 | usize::from(section[11]));
    while section[at] != 6 {
        at += 5 + (usize::from(section[at + 3] & 15) << 8 | usize::from(section[at + 4]));
    }
    section[at + 4] += 6;
    section.splice(at + 5..at + 5, *b"\x05\x04AV01");
    section[2] += 6;
    let crc = mpeg_crc(&section);
    section.extend(crc.to_be_bytes());
    packet[5..].fill(0xff);
    packet[5..5 + section.len()].copy_from_slice(&section);
}

#[test]
fn pictures_that_libav_cannot_read_are_refused_by_name_or_left_out_on_demand() {
    let sandbox = Sandbox::new();
    let segment = sandbox.input().join("0.ts");
    let inputs = ["-f", "lavfi", "-i", "testsrc=size=160x96:duration=1", "-f", "lavfi", "-i", "sine=duration=1"];
    ffmpeg(&[&inputs, encoder("av1"), &["-c:a", "aac", "-f", "mpegts"]].concat(), &segment, &[]);
    let mut bytes = fs::read(&segment).unwrap();
    let mut tables = 0;
    // Payloads that begin a section with table id 2.
    for packet in bytes.chunks_mut(188).filter(|p| p[1] & 0x40 != 0 && p[3] & 0x30 == 0x10 && p[4..6] == [0, 2]) {
        as_av1(packet);
        tables += 1;
    }
    assert!(tables > 0);
    let playlist = sandbox.input().join("index.m3u8");
    fs::write(segment, bytes).unwrap();
    fs::write(&playlist, "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1,\n0.ts\n#EXT-X-ENDLIST\n").unwrap();
    let output = sandbox.command(&playlist, sandbox.output("o.mp4")).output().unwrap();
    let error = report(&output)["error"].to_string();
    assert_eq!(output.status.code(), Some(69), "{error}");
    assert!(error.contains("av1") && error.contains("0.ts") && error.contains("--on-gap skip"), "{error}");
    let report = sandbox.merge(&playlist, "o.mp4", &["--on-gap", "skip"]);
    assert_eq!(report["dropped_streams"][0]["codec"], "av1", "{report}");
    assert_eq!(judge::tracks(&sandbox.output("o.mp4")).len(), 1);
}
