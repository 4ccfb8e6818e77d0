//! Subtitles beside the output: which, where, and what happens to them when something goes wrong.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::thread;

use serde_json::Value;

use crate::judge;
use crate::sandbox::{Sandbox, copy_fixture, fixture, names, report};

fn text(sandbox: &Sandbox, name: &str) -> String {
    fs::read_to_string(sandbox.output(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Starts of the cues of a file, rounded to milliseconds.
fn starts_ms(path: &Path) -> Vec<i64> {
    judge::cues(path).iter().map(|(start, _)| (start * 1e3).round() as i64).collect()
}

/// A copy of a fixture, to be spoiled.
fn spoiled(case: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    copy_fixture(case, &sandbox.input());
    sandbox
}

#[test]
fn all_renditions_are_written_each_in_its_own_file() {
    let sandbox = Sandbox::new();
    let report = sandbox.merge(fixture("subtitles-webvtt").join("index.m3u8"), "a.mp4", &["--subtitles", "all"]);
    assert_eq!(sandbox.outputs(), ["a.de.vtt", "a.en.vtt", "a.mp4"]);
    let told: Vec<_> =
        report["subtitles"].as_array().unwrap().iter().map(|s| (&s["name"], &s["language"], &s["cues"])).collect();
    let value = |text: &str| Value::from(text);
    assert_eq!(
        told,
        [(&value("Deutsch"), &value("de"), &Value::from(3)), (&value("English"), &value("en"), &Value::from(4))]
    );
    assert_eq!(starts_ms(&sandbox.output("a.de.vtt")), [271, 1_271, 2_271]);
}

#[test]
fn none_and_a_language_are_what_was_asked_for() {
    let sandbox = Sandbox::new();
    let index = fixture("subtitles-webvtt").join("index.m3u8");
    let report = sandbox.merge(&index, "a.mp4", &["--subtitles", "none"]);
    assert_eq!(report["subtitles"], Value::from(Vec::<u64>::new()));
    sandbox.merge(&index, "b.mp4", &["--subtitles", "de"]);
    assert_eq!(sandbox.outputs(), ["a.mp4", "b.de.vtt", "b.mp4"]);
    let output = sandbox.command(&index, sandbox.output("c.mp4")).args(["--subtitles", "fr"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = crate::sandbox::report(&output)["error"]["message"].as_str().unwrap().to_owned();
    assert!(said.contains("de, en"), "{said}");
}

#[test]
fn a_look_marks_what_would_be_written() {
    let index = fixture("subtitles-webvtt").join("index.m3u8");
    let found = avweld::inspect(&avweld::Input::from(index), &avweld::Options::default()).unwrap();
    let marked: Vec<_> = found.renditions.iter().map(|r| (r.kind, r.name.as_str(), r.selected)).collect();
    assert_eq!(marked, [("subtitles", "Deutsch", false), ("subtitles", "English", true)]);
    assert_eq!((found.inputs.len(), found.warnings.len()), (1, 0), "subtitles are no input of the merge");
}

#[test]
fn what_a_file_of_subtitles_says_is_all_there() {
    let sandbox = Sandbox::new();
    sandbox.merge(fixture("subtitles-webvtt").join("index.m3u8"), "a.mp4", &[]);
    assert_eq!(
        text(&sandbox, "a.en.vtt"),
        "WEBVTT\n\nSTYLE\n::cue { color: yellow }\n\n1\n00:00:00.221 --> 00:00:00.821\none\n\n\
         2\n00:00:00.921 --> 00:00:01.121 line:0 align:start\nover\nthe border\n\n\
         3\n00:00:01.521 --> 00:00:01.921\ntwo <b>bold</b>\n\n4\n00:00:02.321 --> 00:00:02.821\nthree\n"
    );
    // A time inside a cue moves with it.
    sandbox.merge(fixture("subtitles-wrap-33bit").join("index.m3u8"), "b.mp4", &[]);
    assert!(text(&sandbox, "b.en.vtt").contains("00:00:02.871 --> 00:00:02.971\nand <00:00:02.921>again\n"));
}

#[test]
fn webvtt_and_imsc_of_fragmented_mp4_say_the_same() {
    let sandbox = Sandbox::new();
    sandbox.merge(fixture("subtitles-fmp4").join("index.m3u8"), "a.mp4", &["--subtitles", "all"]);
    assert_eq!(sandbox.outputs(), ["a.de.vtt", "a.en.ttml", "a.mp4"]);
    let (webvtt, imsc) = (judge::cues(&sandbox.output("a.de.vtt")), judge::cues(&sandbox.output("a.en.ttml")));
    assert_eq!(webvtt.len(), 4);
    for (webvtt, imsc) in webvtt.iter().zip(&imsc) {
        assert!((webvtt.0 - imsc.0).abs() < 0.002 && (webvtt.1 - imsc.1).abs() < 0.002, "{webvtt:?} {imsc:?}");
    }
    let merged = text(&sandbox, "a.en.ttml");
    for once in ["<head>", "<body>", "xml:id=\"s\"", "xml:id=\"r\"", ">over the border<"] {
        assert_eq!(merged.matches(once).count(), 1, "{once} in {merged}");
    }
}

#[test]
fn each_file_of_a_split_output_has_its_own_subtitles() {
    let sandbox = Sandbox::new();
    let index = fixture("subtitles-discontinuity").join("index.m3u8");
    let report = sandbox.merge(index, "a.mp4", &["--on-discontinuity", "split"]);
    assert_eq!(sandbox.outputs(), ["a.000.en.vtt", "a.000.mp4", "a.001.en.vtt", "a.001.mp4"]);
    assert_eq!(report["subtitles"].as_array().unwrap().len(), 2);
    for (name, run) in [("a.000.en.vtt", "first"), ("a.001.en.vtt", "second")] {
        assert_eq!(starts_ms(&sandbox.output(name)), [221, 1_221], "{name}");
        let said = text(&sandbox, name);
        assert!(said.contains(&format!("{run} 0")) && said.contains(&format!("{run} 1")), "{said}");
    }
}

#[test]
fn two_of_one_language_get_two_names_and_one_without_goes_by_its_name() {
    let sandbox = spoiled("subtitles-webvtt");
    let index = sandbox.input().join("index.m3u8");
    let entry = |name: &str, language: &str| {
        format!("#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"s\",NAME=\"{name}\"{language},URI=\"en.m3u8\"\n")
    };
    let more = entry("English (CC)", ",LANGUAGE=\"EN\"") + &entry("../Plain: text", "");
    let playlist =
        fs::read_to_string(&index).unwrap().replace("#EXT-X-STREAM-INF", &format!("{more}#EXT-X-STREAM-INF"));
    fs::write(&index, playlist).unwrap();
    sandbox.merge(&index, "a.mp4", &["--subtitles", "all"]);
    assert_eq!(sandbox.outputs(), ["a.EN.2.vtt", "a.Plain__text.vtt", "a.de.vtt", "a.en.vtt", "a.mp4"]);
}

#[test]
fn a_missing_segment_fails_the_job_or_is_left_out_and_told() {
    let sandbox = spoiled("subtitles-webvtt");
    let index = sandbox.input().join("index.m3u8");
    fs::remove_file(sandbox.input().join("en1.vtt")).unwrap();
    let output = sandbox.command(&index, sandbox.output("a.mp4")).output().unwrap();
    assert_eq!(output.status.code(), Some(65), "{}", report(&output));
    assert_eq!(report(&output)["error"]["segment"], 1);
    assert_eq!(sandbox.outputs(), [""; 0]);
    let report = sandbox.merge(&index, "a.mp4", &["--on-gap", "skip"]);
    assert_eq!(report["subtitles"][0]["missing"], Value::from(vec![1]));
    assert_eq!(report["segments"]["missing"], Value::from(Vec::<u64>::new()), "no media is missing");
    assert_eq!(starts_ms(&sandbox.output("a.en.vtt")), [221, 921, 2_321]);
    assert!(report["warnings"][0].as_str().unwrap().contains("en1.vtt"), "{report}");
}

#[test]
fn a_page_in_place_of_subtitles_is_told_for_what_it_is() {
    let sandbox = spoiled("subtitles-webvtt");
    fs::write(sandbox.input().join("en2.vtt"), "<!DOCTYPE html><html>log in</html>").unwrap();
    let output = sandbox.command(sandbox.input().join("index.m3u8"), sandbox.output("a.mp4")).output().unwrap();
    let report = report(&output);
    assert_eq!(output.status.code(), Some(65), "{report}");
    assert!(report["error"]["message"].as_str().unwrap().contains("an HTML page"), "{report}");
    assert_eq!(sandbox.outputs(), [""; 0]);
}

#[test]
fn a_file_that_stands_where_subtitles_go_is_not_replaced_unless_asked() {
    let sandbox = Sandbox::new();
    let index = fixture("subtitles-webvtt").join("index.m3u8");
    fs::write(sandbox.output("a.en.vtt"), "mine").unwrap();
    let output = sandbox.command(&index, sandbox.output("a.mp4")).output().unwrap();
    assert_eq!(output.status.code(), Some(73), "{}", report(&output));
    assert_eq!(sandbox.outputs(), ["a.en.vtt"]);
    assert_eq!(text(&sandbox, "a.en.vtt"), "mine");
    sandbox.merge(&index, "a.mp4", &["-y"]);
    assert_eq!(sandbox.outputs(), ["a.en.vtt", "a.mp4"]);
    assert!(text(&sandbox, "a.en.vtt").starts_with("WEBVTT"));
}

#[test]
fn a_name_that_would_get_too_long_is_refused_before_the_merge() {
    let sandbox = Sandbox::new();
    let name = format!("{}.mp4", "x".repeat(250));
    let index = fixture("subtitles-webvtt").join("index.m3u8");
    let output = sandbox.command(&index, sandbox.output(&name)).output().unwrap();
    assert_eq!(output.status.code(), Some(73), "{}", report(&output));
    assert_eq!(sandbox.outputs(), [""; 0]);
    sandbox.merge(&index, &name, &["--subtitles", "none"]);
}

#[test]
fn a_merge_that_fails_leaves_no_subtitles() {
    let sandbox = spoiled("subtitles-webvtt");
    fs::write(sandbox.input().join("video2.ts"), "<html>").unwrap();
    let output = sandbox.command(sandbox.input().join("index.m3u8"), sandbox.output("a.mp4")).output().unwrap();
    assert_eq!(output.status.code(), Some(65), "{}", report(&output));
    assert_eq!(sandbox.outputs(), [""; 0]);
    assert_eq!(names(&sandbox.temp()), [""; 0]);
}

#[test]
fn a_stream_has_no_subtitles_and_says_so() {
    let sandbox = Sandbox::new();
    let output = std::process::Command::new(crate::sandbox::AVWELD)
        .arg("merge")
        .arg(fixture("subtitles-webvtt").join("index.m3u8"))
        .args(["-o", "-", "-v", "--progress", "none", "--temp-dir"])
        .arg(sandbox.temp())
        .current_dir(sandbox.output(""))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("subtitles are left out"), "{said}");
    assert!(!output.stdout.is_empty());
    assert_eq!(sandbox.outputs(), [""; 0]);
}

#[test]
fn encrypted_subtitles_are_decrypted_as_media_is() {
    let sandbox = spoiled("subtitles-webvtt");
    let input = sandbox.input();
    let key = "00112233445566778899aabbccddeeff";
    fs::write(
        input.join("key"),
        [0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff],
    )
    .unwrap();
    for n in 0..3 {
        let (from, to) = (input.join(format!("en{n}.vtt")), input.join(format!("x{n}.vtt")));
        let done = std::process::Command::new("openssl")
            .args(["enc", "-aes-128-cbc", "-K", key, "-iv", &format!("{n:032x}"), "-in"])
            .arg(&from)
            .arg("-out")
            .arg(&to)
            .status()
            .expect("openssl runs; `make deps` installs it");
        assert!(done.success());
        fs::rename(to, from).unwrap();
    }
    let list = fs::read_to_string(input.join("en.m3u8")).unwrap();
    let list = list.replacen("#EXTINF", "#EXT-X-KEY:METHOD=AES-128,URI=\"key\"\n#EXTINF", 1);
    fs::write(input.join("en.m3u8"), list).unwrap();
    sandbox.merge(input.join("index.m3u8"), "a.mp4", &[]);
    assert_eq!(starts_ms(&sandbox.output("a.en.vtt")), [221, 921, 1_521, 2_321]);
}

/// Answers one request out of a folder; false for the one that ends the server.
fn answer(stream: TcpStream, folder: &Path) -> bool {
    let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
    let path = lines.next().and_then(|line| line.split(' ').nth(1).map(str::to_owned)).unwrap_or_default();
    // The whole request is read: closing on unread bytes would reset the connection.
    lines.take_while(|line| !line.is_empty()).for_each(drop);
    let (status, body) = match fs::read(folder.join(path.trim_start_matches('/'))) {
        Ok(body) => ("200 OK", body),
        Err(_) => ("404 Not Found", Vec::new()),
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let _gone = (&stream).write_all(&[head.into_bytes(), body].concat());
    path != "/end"
}

/// Serves a folder on loopback while something is done with its URL.
fn served<T>(folder: &Path, work: impl FnOnce(&str) -> T) -> T {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            for stream in listener.incoming() {
                if !answer(stream.unwrap(), folder) {
                    break;
                }
            }
        });
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&format!("http://{address}"))));
        let mut end = TcpStream::connect(address).unwrap();
        end.write_all(b"GET /end HTTP/1.1\r\n\r\n").unwrap();
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[test]
fn by_url_the_same_files_come_as_from_disk() {
    for case in ["subtitles-webvtt", "subtitles-fmp4"] {
        let sandbox = spoiled(case);
        sandbox.merge(sandbox.input().join("index.m3u8"), "disk.mp4", &["--subtitles", "all"]);
        served(&sandbox.input(), |url| {
            sandbox.merge(format!("{url}/index.m3u8"), "web.mp4", &["--subtitles", "all", "--retry-delay", "0"])
        });
        for name in sandbox.outputs().iter().filter_map(|name| name.strip_prefix("disk")) {
            let read = |stem: &str| fs::read(sandbox.output(&format!("{stem}{name}"))).expect(name);
            assert!(read("disk") == read("web"), "{case}: {name} differs");
        }
        assert_eq!(sandbox.outputs().len(), 6);
    }
}

#[test]
fn a_segment_that_the_server_does_not_have_fails_the_job_or_is_left_out() {
    let sandbox = spoiled("subtitles-webvtt");
    fs::remove_file(sandbox.input().join("en1.vtt")).unwrap();
    served(&sandbox.input(), |url| {
        let index = format!("{url}/index.m3u8");
        let output = sandbox.command(&index, sandbox.output("a.mp4")).args(["--retry-delay", "0"]).output().unwrap();
        assert_eq!(report(&output)["error"]["segment"], 1, "{}", report(&output));
        assert_eq!(sandbox.outputs(), [""; 0]);
        let report = sandbox.merge(&index, "a.mp4", &["--on-gap", "skip", "--retry-delay", "0"]);
        assert_eq!(report["subtitles"][0]["missing"], Value::from(vec![1]), "{report}");
        assert_eq!(starts_ms(&sandbox.output("a.en.vtt")), [221, 921, 2_321]);
    });
}
