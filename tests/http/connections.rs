//! How many requests are in flight, on how many connections, how fast.

use std::time::Duration;

use crate::fault::{Site, late};
use crate::media::Long;
use crate::run::{avweld, each, merges_to, quick, run};
use crate::sandbox::{Sandbox, names};
use crate::server::Request;

fn is_segment(request: &Request) -> bool {
    Long::is_segment(&request.path)
}

/// Every segment takes a while, so that those in flight pile up.
fn unhurried(long: &Long) -> Site {
    long.site().every(late(Duration::from_millis(60)))
}

#[test]
fn no_more_segments_are_in_flight_than_was_said() {
    let long = Long { many: 40, bytes: 0 };
    let clean = long.clean();
    let rows: [(&str, &[&str], usize); 4] =
        [("-N 1", &["-N", "1"], 1), ("-N 3", &["-N", "3"], 3), ("default", &[], 8), ("-N 30", &["-N", "30"], 8)];
    each(rows.map(|row| (row.0.to_owned(), row)), |(_, arguments, most)| {
        let server = unhurried(&long).start();
        merges_to(&clean, server.url("/index.m3u8"), arguments);
        let at_once = server.most_at_once(is_segment);
        // As many as may be: a download that goes one by one would keep the cap too.
        assert_eq!(at_once, most, "in flight at one time");
        let connections = server.connections();
        assert!(connections <= most + 1, "{connections} connections for {at_once} requests at one time");
    });
}

#[test]
fn the_cap_of_a_host_holds_over_renditions() {
    let server = Site::fixture("fmp4-separate-audio").every(late(Duration::from_millis(60))).start();
    merges_to(&crate::run::clean("fmp4-separate-audio"), server.url("/index.m3u8"), &["-N", "2"]);
    let media = |request: &Request| !request.path.ends_with(".m3u8");
    assert!(server.most_at_once(media) <= 2, "{} at one time", server.most_at_once(media));
}

#[test]
fn the_caps_of_a_host_and_of_all_jobs_hold_over_jobs() {
    let long = Long { many: 16, bytes: 0 };
    let clean = long.clean();
    let server = unhurried(&long).start();
    let sandbox = Sandbox::new();
    let jobs: String = (0..4).map(|n| format!("{} job{n}\n", server.url(&format!("/index.m3u8?n={n}")))).collect();
    let list = sandbox.input().join("jobs.txt");
    std::fs::write(&list, jobs).unwrap();
    let mut command = avweld(&["batch", list.to_str().unwrap(), "--json", "--progress", "none", "--output-dir"]);
    command.arg(sandbox.output("")).arg("--temp-dir").arg(sandbox.temp());
    quick(&mut command, &["--max-concurrent-downloads", "4", "-N", "6"]);
    let outcome = run(command);
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    assert_eq!(server.most_at_once(is_segment), 8, "in flight at one time, over all jobs");
    for n in 0..4 {
        let made = std::fs::read(sandbox.output(&format!("job{n}.mp4")));
        assert!(made.is_ok_and(|made| made == clean), "job {n}: {:?} {outcome:#?}", sandbox.outputs());
    }
    assert_eq!(names(&sandbox.temp()), [""; 0]);
}

#[test]
fn each_segment_is_asked_for_once() {
    let long = Long { many: 60, bytes: 0 };
    let server = long.site().start();
    let outcome = merges_to(&long.clean(), server.url("/index.m3u8"), &[]);
    let mut paths: Vec<String> = server.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(outcome.download("requests"), paths.len() as u64);
    assert_eq!(outcome.download("retries"), 0);
    let sent: u64 = server.requests().iter().map(|request| request.sent_bytes).sum();
    assert_eq!(outcome.download("bytes"), sent);
    paths.sort();
    let mut once = paths.clone();
    once.dedup();
    assert_eq!(paths, once);
    assert_eq!(paths.len(), 61);
}

#[test]
fn a_rate_limit_is_kept() {
    // 200 000 bytes a second, for 800 000 bytes.
    let long = Long { many: 8, bytes: 100_000 };
    let server = long.site().start();
    let bytes: u64 = 800_000;
    let outcome = merges_to(&long.clean(), server.url("/index.m3u8"), &["--limit-rate", "200k", "-N", "4"]);
    let seconds = outcome.report["elapsed_s"]["download"].as_f64().unwrap_or(outcome.took.as_secs_f64());
    let expected = bytes as f64 / 200_000.0;
    // Above, only a machine that is busy with other tests adds to it.
    assert!((expected * 0.75..expected * 2.5).contains(&seconds), "{seconds} s, not {expected}");
}

#[test]
fn memory_does_not_grow_with_the_file() {
    // 60 MB of media from a fast server.
    let long = Long { many: 60, bytes: 1 << 20 };
    let server = long.site().start();
    let outcome = merges_to(&long.clean(), server.url("/index.m3u8"), &[]);
    let peak = outcome.peak_bytes >> 20;
    assert!(peak <= 96, "{peak} MiB at the peak");
}

#[test]
fn a_slow_first_segment_does_not_draw_in_the_whole_file() {
    // While the merge waits for the first, only a window of the others is fetched.
    let long = Long { many: 100, bytes: 0 };
    let server = long.site().on("/seg0000.ts", [late(Duration::from_secs(2))]).start();
    merges_to(&long.clean(), server.url("/index.m3u8"), &["-N", "4"]);
    let first = server.requests_of("/seg0000.ts")[0].answered.unwrap();
    let early = server.count(|request| is_segment(request) && request.at + Duration::from_millis(100) < first);
    println!("{early} segments were asked for before the first came");
    assert!(early >= 4, "the others waited for the first");
}
