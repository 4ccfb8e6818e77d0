//! How a run ends: its exit code, its one line, and what it leaves.

use std::time::{Duration, Instant};

use crate::fault::{Site, ending, late, paced, status};
use crate::media::Long;
use crate::reply::End;
use crate::run::{BAD_DATA, EXISTS, INTERRUPTED, NOT_FOUND, Running, TEMPORARY, command, each, merge, refused};
use crate::sandbox::{Sandbox, names};

#[test]
fn an_output_that_exists_is_refused_before_anything_is_asked_for() {
    let server = Site::fixture("ts-h264-aac").start();
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.output("out.mp4"), "mine").unwrap();
    merge(&sandbox, server.url("/index.m3u8"), &[]).failed(EXISTS);
    assert_eq!(server.connections(), 0);
    assert_eq!(std::fs::read(sandbox.output("out.mp4")).unwrap(), b"mine");
    merge(&sandbox, server.url("/index.m3u8"), &["-y"]).succeeded();
}

#[test]
fn an_output_that_exists_outlives_a_failure() {
    let server = Site::fixture("ts-h264-aac").always("/index2.ts", status(404)).start();
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.output("out.mp4"), "mine").unwrap();
    merge(&sandbox, server.url("/index.m3u8"), &["-y"]).failed(BAD_DATA);
    assert_eq!(std::fs::read(sandbox.output("out.mp4")).unwrap(), b"mine");
    assert_eq!(names(&sandbox.temp()), [""; 0]);
}

#[test]
fn errors_are_one_line_that_says_what_where_and_what_to_try() {
    let none = Site::new();
    let segment = Site::fixture("ts-h264-aac").always("/index1.ts", status(404));
    let down = Site::new().always("/index.m3u8", status(503));
    let rows: [(&str, Site, i32, &[&str]); 3] = [
        ("a playlist that is not there", none, NOT_FOUND, &["index.m3u8", "404"]),
        ("a segment that is not there", segment, BAD_DATA, &["segment 1", "index1.ts", "404", "--on-gap skip"]),
        ("a server that is down", down, TEMPORARY, &["index.m3u8", "503", "again"]),
    ];
    each(rows.map(|row| (row.0.to_owned(), row)), |(_, site, code, words)| {
        let server = site.start();
        let outcome = refused(code, server.url("/index.m3u8?token=hush"), &["-q", "--retries", "1"]).says(words);
        assert_eq!(outcome.said.trim_end().lines().count(), 1, "{outcome:#?}");
        assert!(!format!("{outcome:?}").contains("hush"), "{outcome:#?}");
    });
}

#[test]
fn a_signal_ends_a_download_soon_and_keeps_what_was_fetched() {
    let long = Long { many: 12, bytes: 0 };
    let clean = long.clean();
    let slow = [
        ("silence", ending(End::Silence)),
        ("a stall", ending(End::Stall(100))),
        ("a drip", paced(100, Duration::from_millis(100))),
        ("a pause before a retry", crate::fault::status_with(503, "Retry-After", "60")),
    ];
    let rows = slow.iter().flat_map(|(name, answer)| {
        [("INT", INTERRUPTED), ("TERM", 143)]
            .map(|(signal, code)| (format!("{signal} in {name}"), (answer, signal, code)))
    });
    each(rows, |(answer, signal, code)| {
        let server = long.site().on("/seg0006.ts", [std::sync::Arc::clone(answer)]).start();
        let sandbox = Sandbox::new();
        let arguments = ["--read-timeout", "60", "-N", "1"];
        let running = Running::start(&mut command(&sandbox, server.url("/index.m3u8"), &arguments));
        server.wait_for(7, |request| *request.path < *"/seg0006.ts");
        std::thread::sleep(Duration::from_millis(100));
        let begun = Instant::now();
        running.signal(signal);
        let outcome = running.wait();
        let took = begun.elapsed();
        assert_eq!(outcome.code, Some(code), "{outcome:#?}");
        assert!(took < Duration::from_secs(2), "it took {took:?}");
        assert_eq!(outcome.report["error"]["kind"], "cancelled", "{outcome:#?}");
        assert!(outcome.words().contains("again") || outcome.words().contains("resume"), "{outcome:#?}");
        assert_eq!(sandbox.outputs(), [""; 0]);
        let before = server.requests().len();
        let outcome = merge(&sandbox, server.url("/index.m3u8"), &[]).succeeded();
        crate::run::is_clean(&sandbox, &clean);
        assert!(outcome.download("resumed_segments") >= 5, "{outcome:#?}");
        assert!(server.requests().len() - before <= 1 + 7, "{:#?}", &server.requests()[before..]);
    });
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let server = Site::fixture("ts-h264-aac").always("/index1.ts", ending(End::Silence)).start();
    let sandbox = Sandbox::new();
    let arguments = ["--read-timeout", "60"];
    let running = Running::start(&mut command(&sandbox, server.url("/index.m3u8"), &arguments));
    server.wait_for(1, |request| request.path == "/index0.ts");
    running.signal("INT");
    running.signal("INT");
    let outcome = running.wait();
    assert_eq!(outcome.code, Some(INTERRUPTED), "{outcome:#?}");
}

#[test]
fn progress_is_told_as_events() {
    let long = Long { many: 20, bytes: 1 << 14 };
    let server = long.site().every(late(Duration::from_millis(30))).on("/seg0003.ts", [status(503)]).start();
    let sandbox = Sandbox::new();
    let mut command = crate::run::avweld(&["merge", &server.url("/index.m3u8"), "--progress", "json", "--json", "-o"]);
    command.arg(sandbox.output("out.mp4")).arg("--temp-dir").arg(sandbox.temp());
    crate::run::quick(&mut command, &["-N", "2"]);
    let outcome = crate::run::run(command).succeeded();
    let events: Vec<serde_json::Value> =
        outcome.said.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect();
    let names: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    // The download may tell of itself before the merge begins.
    let began = names.iter().position(|name| *name == "started").expect("a merge that began");
    assert!(names[..began].iter().all(|name| *name == "downloading"), "{names:?}");
    assert_eq!(names.last(), Some(&"published"), "{names:?}");
    assert!(names.contains(&"progress"), "{names:?}");
    assert!(outcome.report["elapsed_s"]["download"].as_f64().is_some_and(|s| s > 0.0), "{}", outcome.report);
    assert_eq!(outcome.download("retries"), 1);
    assert_eq!(outcome.download("resumed_segments"), 0);
}
