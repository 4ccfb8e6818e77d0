//! What is tried again, how often and when.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::fault::{Site, answer, changed, ending, good, late, page, status, status_with};
use crate::media::{Long, segment_of};
use crate::reply::End;
use crate::run::{BAD_DATA, DENIED, NOT_FOUND, OK, TEMPORARY, clean, each, merge, merges_to, refused};
use crate::sandbox::{Sandbox, names};

const SEGMENT: &str = "/index1.ts";
const PLAYLIST: &str = "/index.m3u8";

#[test]
fn a_status_that_passes_is_tried_again() {
    let clean = clean("ts-h264-aac");
    let rows = [408, 429, 500, 502, 503, 504].into_iter().flat_map(|code| [(code, SEGMENT), (code, PLAYLIST)]);
    each(rows.map(|(code, path)| (format!("{code} for {path}"), (code, path))), |(code, path)| {
        let server = Site::fixture("ts-h264-aac").on(path, [status(code), status(code)]).start();
        let outcome = merges_to(&clean, server.url(PLAYLIST), &[]);
        assert_eq!(server.requests_of(path).len(), 3);
        assert_eq!(outcome.download("retries"), 2);

        let server = Site::fixture("ts-h264-aac").always(path, status(code)).start();
        let outcome = refused(TEMPORARY, server.url(PLAYLIST), &["--retries", "2"]).says(&[&code.to_string()]);
        // A host is not given up at once that serves other requests meanwhile.
        let asked = server.requests_of(path).len();
        assert!(if path == SEGMENT { (3..=9).contains(&asked) } else { asked == 3 }, "asked {asked} times");
        if path == SEGMENT {
            outcome.names_segment(1, "index1.ts");
        }
    });
}

#[test]
fn a_status_that_stays_ends_the_job() {
    let rows = [
        (404, PLAYLIST, NOT_FOUND),
        (410, PLAYLIST, NOT_FOUND),
        (401, PLAYLIST, DENIED),
        (403, PLAYLIST, DENIED),
        (404, SEGMENT, BAD_DATA),
        (410, SEGMENT, BAD_DATA),
        (401, SEGMENT, DENIED),
        (403, SEGMENT, DENIED),
    ];
    each(rows.map(|row| (format!("{} for {}", row.0, row.1), row)), |(code, path, exit)| {
        let server = Site::fixture("ts-h264-aac").always(path, status(code)).start();
        let outcome = refused(exit, server.url(PLAYLIST), &[]).says(&[&code.to_string()]);
        if path == SEGMENT {
            outcome.names_segment(1, "index1.ts");
        }
        let asked = server.requests_of(path).len();
        match (code, path) {
            // It may be there in a moment: packagers publish in this order too.
            (404 | 410, SEGMENT) => assert_eq!(asked, 3),
            (401, PLAYLIST) => assert_eq!(asked, 1),
            _ => assert!(asked <= 3, "asked {asked} times"),
        }
        // Tokens expire: it is looked for once in a new playlist.
        let playlists = server.requests_of(PLAYLIST).len();
        match (code, path) {
            (401 | 403, SEGMENT) => assert_eq!(playlists, 2),
            (_, SEGMENT) => assert_eq!(playlists, 1),
            _ => {}
        }
    });
}

#[test]
fn a_segment_that_comes_late_is_had() {
    let server = Site::fixture("ts-h264-aac").on(SEGMENT, [status(404), status(404)]).start();
    merges_to(&clean("ts-h264-aac"), server.url(PLAYLIST), &[]);
}

#[test]
fn a_missing_segment_may_be_left_out() {
    let server = Site::fixture("ts-h264-aac").always(SEGMENT, status(404)).start();
    let sandbox = Sandbox::new();
    let outcome = merge(&sandbox, server.url(PLAYLIST), &["--on-gap", "skip"]).succeeded();
    assert_eq!(outcome.report["segments"]["missing"], serde_json::json!([1]));
    assert_eq!(outcome.report["segments"]["merged"], 2);
}

#[test]
fn expired_tokens_are_renewed_by_the_playlist() {
    let long = Long { many: 12, bytes: 0 };
    // The first four segments are served by the first playlist's token, the rest by the second's alone; and the
    // second playlist begins later, so that only media sequence numbers tell which segment is which.
    let clean = long.clean();
    let (first, all) = (long.playlist("?token=old"), long.playlist("?token=new"));
    let from_3 = all.split("#EXT-X-DISCONTINUITY\n").skip(1).collect::<Vec<_>>().join("#EXT-X-DISCONTINUITY\n");
    let head = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:3\n";
    let second = format!("{head}#EXT-X-DISCONTINUITY-SEQUENCE:1\n{from_3}");
    let server = long
        .site()
        .on(PLAYLIST, [crate::fault::instead(first), crate::fault::instead(second)])
        .every(answer(|request, files| {
            let number: usize = request.path[4..8].parse().unwrap();
            let token = if number < 4 { "token=old" } else { "token=new" };
            if request.query.as_deref() == Some(token) { files.reply(request) } else { page(403) }
        }))
        .start();
    merges_to(&clean, server.url(PLAYLIST), &["-N", "2"]);
    assert_eq!(server.requests_of(PLAYLIST).len(), 2);
}

#[test]
fn retry_after_is_waited_for() {
    let in_three = SystemTime::now() + Duration::from_secs(3);
    let rows = [
        ("seconds", "1".to_owned(), 900, 20_000),
        // A date has whole seconds, and the run began later.
        ("a date", httpdate::fmt_http_date(in_three), 0, 20_000),
        ("a date that has passed", "Fri, 31 Dec 1999 23:59:59 GMT".to_owned(), 0, 20_000),
        ("negative", "-5".to_owned(), 0, 20_000),
        ("no number", "soon".to_owned(), 0, 20_000),
        ("empty", String::new(), 0, 20_000),
        ("a fraction", "0.5".to_owned(), 0, 20_000),
    ];
    for code in [429, 503] {
        each(rows.clone().map(|row| (format!("{code}, {}", row.0), row)), |(_, value, least_ms, most_ms)| {
            let refusal = status_with(code, "Retry-After", value);
            let server = Site::fixture("ts-h264-aac").on(SEGMENT, [refusal]).start();
            merges_to(&clean("ts-h264-aac"), server.url(PLAYLIST), &[]);
            let requests = server.requests_of(SEGMENT);
            assert_eq!(requests.len(), 2);
            let waited = (requests[1].at - requests[0].at).as_millis();
            assert!((least_ms..most_ms).contains(&waited), "waited {waited} ms");
        });
    }
}

#[test]
fn a_retry_after_of_years_does_not_hold_a_job_for_years() {
    for value in ["99999999", "99999999999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT"] {
        let refusal = status_with(503, "Retry-After", value);
        let server = Site::fixture("ts-h264-aac").always(SEGMENT, refusal).start();
        let outcome = refused(TEMPORARY, server.url(PLAYLIST), &["--download-timeout", "3"]);
        assert!(outcome.took < Duration::from_secs(30), "{value}: {:?}", outcome.took);
    }
}

#[test]
fn all_workers_of_a_host_wait_for_retry_after() {
    let long = Long { many: 24, bytes: 0 };
    let clean = long.clean();
    for code in [429, 503] {
        let refusal = status_with(code, "Retry-After", "2");
        let server = long.site().on("/seg0004.ts", [refusal]).every(late(Duration::from_millis(50))).start();
        merges_to(&clean, server.url(PLAYLIST), &["-N", "4"]);
        let refused = server.requests_of("/seg0004.ts")[0].answered.unwrap();
        let (from, to) = (refused + Duration::from_millis(400), refused + Duration::from_millis(1800));
        let meanwhile: Vec<String> = server
            .requests()
            .iter()
            .filter(|request| (from..to).contains(&request.at))
            .map(|request| format!("{} at {:?}", request.path, request.at - refused))
            .collect();
        assert!(meanwhile.is_empty(), "asked after {code}: {meanwhile:?}");
    }
}

#[test]
fn another_host_need_not_wait() {
    let other = Site::fixture("ts-h264-aac").start_at("127.0.0.2");
    let text = crate::media::playlist(&[
        "#EXTINF:1,\nindex0.ts",
        &format!("#EXTINF:1,\n{}", other.url("/index1.ts")),
        &format!("#EXTINF:1,\n{}", other.url("/index2.ts")),
    ]);
    let refusal = status_with(503, "Retry-After", "2");
    let server = Site::fixture("ts-h264-aac").put(PLAYLIST, text).on("/index0.ts", [refusal]).start();
    merges_to(&clean("ts-h264-aac"), server.url(PLAYLIST), &[]);
    assert_eq!(other.count(|request| request.answered.is_some()), 2);
}

#[test]
fn a_connection_closed_under_us_costs_no_retry() {
    let long = Long { many: 12, bytes: 0 };
    let clean = long.clean();
    // Closed after each answer without a word; and closed in place of each second answer on a connection.
    let closes = [
        ("after an answer", changed(|reply| reply.end(End::Closed))),
        (
            "in place of an answer",
            answer(|request, files| {
                let reply = files.reply(request);
                if request.nth_on_connection > 0 && request.nth == 0 { reply.end(End::HangUp) } else { reply }
            }),
        ),
    ];
    each(closes.map(|(name, close)| (name.to_owned(), close)), |close| {
        for parallel in ["1", "4"] {
            let server = long.site().every(Arc::clone(&close)).start();
            merges_to(&clean, server.url(PLAYLIST), &["--retries", "0", "-N", parallel]);
        }
    });
}

#[test]
fn silence_is_told_from_slowness() {
    let ends = [End::Silence, End::Stall(0), End::Stall(50)];
    each(ends.map(|end| (format!("{end:?}"), end)), |end| {
        let server = Site::fixture("ts-h264-aac").on(SEGMENT, [ending(end), good()]).start();
        merges_to(&clean("ts-h264-aac"), server.url(PLAYLIST), &["--read-timeout", "1"]);
        let server = Site::fixture("ts-h264-aac").always(PLAYLIST, ending(end)).start();
        let arguments = ["--read-timeout", "1", "--retries", "1"];
        let outcome = refused(TEMPORARY, server.url(PLAYLIST), &arguments);
        assert_eq!(outcome.report["error"]["kind"], "timeout", "{outcome:#?}");
        assert!(outcome.took < Duration::from_secs(30), "{:?}", outcome.took);
    });
}

#[test]
fn a_download_without_progress_ends_after_the_download_timeout() {
    let server = Site::fixture("ts-h264-aac").always(SEGMENT, ending(End::Silence)).start();
    let arguments = ["--read-timeout", "60", "--download-timeout", "2", "--retries", "50"];
    let outcome = refused(TEMPORARY, server.url(PLAYLIST), &arguments);
    assert!(outcome.took < Duration::from_secs(30), "{:?}", outcome.took);
}

#[test]
fn nobody_at_the_port_is_a_temporary_failure() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let outcome = refused(TEMPORARY, format!("http://{gone}/index.m3u8"), &["--retries", "1"]);
    assert_eq!(outcome.report["error"]["kind"], "network", "{outcome:#?}");
    // And of a segment.
    let server = Site::new().put(PLAYLIST, segment_of(&format!("http://{gone}/a.ts"))).start();
    refused(TEMPORARY, server.url(PLAYLIST), &["--retries", "1"]).names_segment(0, "a.ts");
}

#[test]
fn a_name_that_does_not_resolve_is_a_temporary_failure() {
    let outcome = refused(TEMPORARY, "http://nowhere.invalid/index.m3u8?token=hush", &["--retries", "1"]);
    assert!(outcome.words().contains("nowhere.invalid"), "{outcome:#?}");
    assert!(!outcome.words().contains("hush"), "{outcome:#?}");
}

#[test]
fn retries_are_spread_in_time() {
    let server = Site::fixture("ts-h264-aac").on(SEGMENT, (0..4).map(|_| status(500))).start();
    let arguments = ["--retries", "4", "--retry-delay", "0.2"];
    merges_to(&clean("ts-h264-aac"), server.url(PLAYLIST), &arguments);
    let times: Vec<_> = server.requests_of(SEGMENT).iter().map(|request| request.at).collect();
    // 0.2 s, 0.4 s, 0.8 s and 1.6 s, with jitter, which may halve each: together not less than half of their sum.
    let all = *times.last().unwrap() - times[0];
    assert!(all >= Duration::from_millis(1400), "{times:?}");
    let first = times[1] - times[0];
    let last = times[4] - times[3];
    assert!(last > first, "the pauses do not grow: {times:?}");
}

#[test]
fn a_failure_that_passes_keeps_what_was_fetched_and_says_how_to_go_on() {
    let long = Long { many: 9, bytes: 0 };
    let server = long.site().on("/seg0005.ts", (0..2).map(|_| status(503))).start();
    let sandbox = Sandbox::new();
    let outcome = merge(&sandbox, server.url(PLAYLIST), &["--retries", "1", "-N", "1"]).failed(TEMPORARY);
    outcome.says(&["again"]);
    assert_eq!(sandbox.outputs(), [""; 0]);
    assert_ne!(names(&sandbox.temp()), [""; 0], "nothing was kept");
    let before = server.requests().len();
    let outcome = merge(&sandbox, server.url(PLAYLIST), &[]).succeeded();
    crate::run::is_clean(&sandbox, &long.clean());
    assert!(outcome.download("resumed_segments") >= 4, "{outcome:#?}");
    let again = server.requests()[before..].iter().filter(|request| Long::is_segment(&request.path)).count();
    assert!(again <= 5, "{again} segments were fetched in the second run");
    assert_eq!(outcome.code, Some(OK));
}
