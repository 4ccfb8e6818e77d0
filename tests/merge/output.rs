//! What stands at the output, and when.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::boxes;
use crate::expected::{Expected, check_files};
use crate::fixtures::cases;
use crate::judge;
use crate::sandbox::{AVWELD, Sandbox, avweld, copy_fixture, fixture, names, report};

const CANNOT_CREATE: i32 = 73;

fn index(case: &str) -> std::path::PathBuf {
    fixture(case).join("index.m3u8")
}

fn expected(case: &str) -> Expected {
    Expected::parse(&fs::read_to_string(fixture(case).join("expected.txt")).unwrap())
}

#[test]
fn moov_stands_last_only_where_asked() {
    let sandbox = Sandbox::new();
    sandbox.merge(index("ts-h264-aac"), "first.mp4", &[]);
    sandbox.merge(index("ts-h264-aac"), "last.mp4", &["--no-faststart"]);
    assert!(boxes::read(&sandbox.output("first.mp4")).moov_first());
    assert!(!boxes::read(&sandbox.output("last.mp4")).moov_first());
}

#[test]
fn sound_and_pictures_take_turns_by_the_half_second() {
    let sandbox = Sandbox::new();
    for format in ["mp4", "mov"] {
        sandbox.merge(index("fmp4-muxed"), &format!("out.{format}"), &[]);
        let tracks = boxes::read(&sandbox.output(&format!("out.{format}"))).tracks;
        assert_eq!(tracks.len(), 2);
        for track in tracks {
            let halves = track.duration_s * 2.0;
            // Not by the packet, which makes the index larger; nor is one of them all over before the other.
            let turns = halves * 0.5..halves * 1.5;
            assert!(turns.contains(&(track.chunks as f64)), "{format}: {} in {halves:.1}", track.chunks);
        }
    }
}

#[test]
fn standard_output_gets_a_playable_fragmented_mp4() {
    for (case, wanted) in [("ts-h264-aac", expected("ts-h264-aac")), ("fmp4-hevc", expected("fmp4-hevc"))] {
        let sandbox = Sandbox::new();
        let output = avweld()
            .args(["merge", "-o", "-", "-q", "--temp-dir"])
            .args([sandbox.temp(), index(case)])
            .output()
            .unwrap();
        assert!(output.status.success(), "{case}: {}", String::from_utf8_lossy(&output.stderr));
        let file = sandbox.output("piped.mp4");
        fs::write(&file, &output.stdout).unwrap();
        let order = boxes::read(&file).order;
        assert!(order.iter().any(|kind| kind.to_string() == "moof"), "{case}: no fragments: {order:?}");
        let found: Vec<_> = judge::tracks(&file).into_iter().map(|t| (t.kind, t.codec, t.packets, t.faults)).collect();
        let wanted: Vec<_> =
            wanted.outputs[0].iter().map(|t| (t.kind.clone(), t.codec.clone(), t.packets, Vec::new())).collect();
        assert_eq!(found, wanted, "{case}");
        assert_eq!(judge::decoder_errors(&file), "", "{case}");
        assert_eq!(names(&sandbox.temp()), [""; 0]);
    }
}

#[test]
fn ten_runs_make_the_same_bytes() {
    for case in ["ts-h264-aac", "fmp4-separate-audio", "aes128-rotation"] {
        let sums: Vec<_> = (0..10)
            .map(|_| {
                let sandbox = Sandbox::new();
                sandbox.merge(index(case), "out.mp4", &[]);
                Sha256::digest(fs::read(sandbox.output("out.mp4")).unwrap())
            })
            .collect();
        assert!(sums.iter().all(|sum| *sum == sums[0]), "{case}: runs differ");
    }
}

/// Where cores are idle, inputs are read ahead on threads of their own.
#[test]
fn one_core_or_several_make_the_same_bytes_and_reports() {
    let outcome = |case: &str, mut command: Command| {
        let sandbox = Sandbox::new();
        sandbox.arguments(&mut command, index(case), sandbox.output("out.mp4"));
        let mut report = report(&command.output().expect("taskset runs, of util-linux"));
        report["elapsed_s"].take();
        let report = report.to_string().replace(sandbox.output("").to_str().unwrap(), "");
        let files = sandbox.outputs().into_iter().map(|name| fs::read(sandbox.output(&name)).unwrap());
        (report, files.collect::<Vec<_>>())
    };
    // The first that this process may run on.
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let cores = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim();
    let first = cores.split([',', '-']).next().unwrap();
    for case in cases() {
        let mut pinned = Command::new("taskset");
        pinned.args(["-c", first, AVWELD]);
        let (one, several) = (outcome(&case, pinned), outcome(&case, avweld()));
        assert_eq!(one.0, several.0, "{case}");
        assert!(one.1 == several.1, "{case}: other bytes");
    }
}

#[test]
fn every_format_holds_every_packet() {
    let wanted = &expected("ts-h264-aac").outputs[0];
    for name in ["out.mov", "out.mkv", "out.ts", "out.m4v"] {
        let sandbox = Sandbox::new();
        sandbox.merge(index("ts-h264-aac"), name, &[]);
        let mut tracks = judge::tracks(&sandbox.output(name));
        if name == "out.mkv" {
            // Matroska stores no decoding times: readers make them up, and find none for the first pictures.
            tracks.iter_mut().for_each(|t| t.faults.retain(|fault| !fault.ends_with("has no timestamp")));
        }
        assert_eq!(
            tracks.iter().map(|t| t.packets).collect::<Vec<_>>(),
            [wanted[0].packets, wanted[1].packets],
            "{name}"
        );
        assert!(tracks.iter().all(|t| t.faults.is_empty()), "{name}: {tracks:#?}");
    }
    let sandbox = Sandbox::new();
    sandbox.merge(index("packed-aac"), "out.m4a", &[]);
    assert_eq!(judge::tracks(&sandbox.output("out.m4a")).len(), 1);
}

#[test]
fn an_output_that_exists_is_replaced_only_where_asked() {
    let sandbox = Sandbox::new();
    let path = sandbox.output("out.mp4");
    fs::write(&path, "mine").unwrap();

    let refused = sandbox.command(index("ts-h264-aac"), &path).output().unwrap();
    assert_eq!(refused.status.code(), Some(CANNOT_CREATE));
    assert_eq!(report(&refused)["error"]["exit_code"], CANNOT_CREATE);
    assert_eq!(fs::read(&path).unwrap(), b"mine");

    let skipped = sandbox.command(index("ts-h264-aac"), &path).arg("--skip-existing").output().unwrap();
    assert_eq!(skipped.status.code(), Some(0));
    assert_eq!(fs::read(&path).unwrap(), b"mine");

    let failed = sandbox.command(sandbox.input().join("none.m3u8"), &path).arg("-y").output().unwrap();
    assert_eq!(failed.status.code(), Some(66));
    assert_eq!(fs::read(&path).unwrap(), b"mine", "a job that failed leaves what stood there");

    let report = sandbox.merge(index("ts-h264-aac"), "out.mp4", &["-y"]);
    check_files(&report, &expected("ts-h264-aac").outputs);
    assert_eq!(sandbox.outputs(), ["out.mp4"]);
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.output("file"), "mine").unwrap();
    for path in [sandbox.output("file/out.mp4"), sandbox.output("none/out.mp4"), "/proc/none/out.mp4".into()] {
        let output = sandbox.command(index("ts-h264-aac"), &path).arg("-q").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(CANNOT_CREATE), "{}: {said}", path.display());
        assert_eq!(said.lines().count(), 1, "{said}");
        assert_eq!(sandbox.outputs(), ["file"]);
        assert_eq!(names(&sandbox.temp()), [""; 0]);
    }
}

#[test]
fn renditions_and_variants_are_chosen() {
    let sandbox = Sandbox::new();
    let case = index("fmp4-separate-audio");
    let languages = |report: &Value| -> Vec<Option<String>> {
        report["tracks"].as_array().unwrap().iter().map(|t| t["language"].as_str().map(str::to_owned)).collect()
    };
    let all = sandbox.merge(&case, "all.mp4", &["--audio", "all"]);
    let mut found: Vec<String> = languages(&all).into_iter().flatten().map(|l| l[..2].to_owned()).collect();
    found.sort();
    assert_eq!(found, ["en", "fr"]);
    let french = sandbox.merge(&case, "french.mp4", &["--audio", "fr"]);
    assert!(languages(&french)[1].as_ref().unwrap().starts_with("fr"));
    let silent = sandbox.merge(&case, "silent.mp4", &["--audio", "none"]);
    assert_eq!(silent["tracks"].as_array().unwrap().len(), 1);
    for (choice, width) in [("best", 160), ("worst", 320), ("180p", 320), ("0", 320), ("1", 160)] {
        let name = format!("{choice}.mp4");
        sandbox.merge(&case, &name, &["--variant", choice, "--audio", "none"]);
        assert_eq!(boxes::read(&sandbox.output(&name)).tracks[0].width, width, "--variant {choice}");
    }
}

#[test]
fn a_folder_is_merged_in_natural_order() {
    let sandbox = Sandbox::new();
    for (from, to) in [("index0.ts", "2.ts"), ("index1.ts", "10.ts"), ("index2.ts", "11.ts")] {
        fs::copy(fixture("ts-h264-aac").join(from), sandbox.input().join(to)).unwrap();
    }
    let report = sandbox.merge(sandbox.input(), "out.mp4", &[]);
    check_files(&report, &expected("ts-h264-aac").outputs);
    assert_eq!(report["timestamp_resets"], 0, "10.ts came before 2.ts");
}

#[test]
fn files_are_merged_in_the_order_given() {
    let sandbox = Sandbox::new();
    let segment = |i| fixture("ts-h264-aac").join(format!("index{i}.ts"));
    let mut command = sandbox.command(segment(0), sandbox.output("out.mp4"));
    let report = report(&command.args([segment(1), segment(2)]).output().unwrap());
    check_files(&report, &expected("ts-h264-aac").outputs);
}

#[test]
fn a_playlist_comes_from_standard_input() {
    let sandbox = Sandbox::new();
    let output = sandbox
        .command("-", sandbox.output("out.mp4"))
        .arg("--base-url")
        .arg(fixture("ts-h264-aac"))
        .stdin(Stdio::from(fs::File::open(index("ts-h264-aac")).unwrap()))
        .output()
        .unwrap();
    check_files(&report(&output), &expected("ts-h264-aac").outputs);
}

#[test]
fn a_missing_segment_leaves_its_hole_where_asked() {
    let sandbox = Sandbox::new();
    copy_fixture("ts-h264-aac", &sandbox.input());
    fs::remove_file(sandbox.input().join("index1.ts")).unwrap();
    let report = sandbox.merge(sandbox.input().join("index.m3u8"), "out.mp4", &["--on-gap", "skip"]);
    assert_eq!(report["segments"]["missing"], serde_json::json!([1]));
    assert!(!report["warnings"].as_array().unwrap().is_empty(), "a hole is warned of");
    check_files(&report, &expected("gap").outputs);
    let video = &judge::tracks(&sandbox.output("out.mp4"))[0];
    assert!(video.largest_step_s > 0.9, "the hole was closed: {video:?}");
}

#[test]
fn a_discontinuity_splits_where_asked() {
    let sandbox = Sandbox::new();
    let report = sandbox.merge(index("discontinuity"), "out.mp4", &["--on-discontinuity", "split"]);
    assert_eq!(sandbox.outputs(), ["out.000.mp4", "out.001.mp4"]);
    let halves: Vec<_> = sandbox.outputs().iter().map(|name| judge::tracks(&sandbox.output(name))[0].packets).collect();
    assert_eq!(halves, [50, 50]);
    assert_eq!(report["outputs"].as_array().unwrap().len(), 2);
}

#[test]
fn parameters_that_change_fail_where_asked() {
    let sandbox = Sandbox::new();
    let case = index("fmp4-two-configs");
    let output = sandbox.command(case, sandbox.output("out.mp4")).args(["-q", "--on-change", "fail"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(said.contains("160x90") && said.contains("320x180"), "both sets of parameters: {said}");
    assert_eq!(sandbox.outputs(), [""; 0]);
}

#[test]
fn odd_names_are_the_names_of_files() {
    for name in ["a:b.mp4", "%03d.mp4", "-x.mp4", "two words.mp4", "file:x.mp4"] {
        let sandbox = Sandbox::new();
        let output = avweld()
            .current_dir(sandbox.output(""))
            .arg("merge")
            .arg(index("ts-h264-aac"))
            .arg(format!("--output={name}"))
            .arg("-q")
            .output()
            .unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(sandbox.outputs(), [name]);
    }
}

#[test]
fn inspect_tells_what_is_in_there() {
    let tell = |path: &Path| -> Value {
        let output = avweld().arg("inspect").arg(path).arg("--json").output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    };
    let multi = tell(&index("fmp4-separate-audio"));
    assert_eq!(multi["kind"], "multivariant");
    assert_eq!(multi["variants"].as_array().unwrap().len(), 2);
    assert_eq!(multi["renditions"].as_array().unwrap().len(), 2);
    let media = tell(&index("aes128-rotation"));
    assert_eq!(media["kind"], "media");
    assert_eq!(media["inputs"][0]["segments"], 5);
    assert_eq!(media["inputs"][0]["media_sequence"], 7794);
    assert_eq!(media["inputs"][0]["encryption"], serde_json::json!(["AES-128"]));
    assert_eq!(media["inputs"][0]["container"], "ts");
}

#[test]
fn keys_of_256_bits_decrypt_where_the_playlist_names_their_method() {
    let sandbox = Sandbox::new();
    let input = sandbox.input();
    copy_fixture("ts-h264-aac", &input);
    let clear = sandbox.merge(input.join("index.m3u8"), "clear.mp4", &[]);
    let key: String = (0..32).map(|n| format!("{n:02x}")).collect();
    std::fs::write(input.join("key"), (0..32).collect::<Vec<u8>>()).unwrap();
    for segment in names(&input).iter().filter(|name| name.ends_with(".ts")) {
        let from = input.join(segment);
        let to = input.join("sealed");
        let arguments = ["enc", "-aes-256-cbc", "-K", &key, "-iv", "9"];
        let mut openssl = std::process::Command::new("openssl");
        let done = openssl.args(arguments).arg("-in").arg(&from).arg("-out").arg(&to).stderr(Stdio::null()).status();
        assert!(done.expect("openssl runs; `make deps` installs it").success());
        std::fs::rename(to, from).unwrap();
    }
    let list = std::fs::read_to_string(input.join("index.m3u8")).unwrap();
    let iv = "0x90000000000000000000000000000000";
    let key_line = format!("#EXT-X-KEY:METHOD=AES-256,URI=\"key\",IV={iv}\n#EXTINF");
    std::fs::write(input.join("index.m3u8"), list.replacen("#EXTINF", &key_line, 1)).unwrap();
    let sealed = sandbox.merge(input.join("index.m3u8"), "sealed.mp4", &[]);
    assert_eq!(sealed["outputs"][0]["tracks"], clear["outputs"][0]["tracks"]);
    let bytes = |name: &str| std::fs::read(sandbox.output(name)).unwrap();
    assert!(bytes("sealed.mp4") == bytes("clear.mp4"));

    std::fs::write(input.join("key"), [7; 16]).unwrap();
    let output = sandbox.command(input.join("index.m3u8"), sandbox.output("short.mp4")).output().unwrap();
    assert_eq!(output.status.code(), Some(65));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("key rejected: ") && stderr.contains("16 bytes, 32 needed"), "{stderr}");
}
