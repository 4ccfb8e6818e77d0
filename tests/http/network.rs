//! Bodies that are cut, reset, stalled, sent in part or not as asked.

use std::time::Duration;

use crate::fault::{Answer, Site, answer, changed, ending, framed, instead, no_ranges, paced, page, status};
use crate::media::{Long, padded, plain};
use crate::reply::{End, Files, Framing, Reply};
use crate::run::{BAD_DATA, TEMPORARY, clean, each, merges_to, refused};
use crate::server::Request;

const SEGMENT: &str = "/index1.ts";

/// Bytes of that segment.
fn length() -> usize {
    plain(1).len()
}

#[test]
fn a_body_that_breaks_off_is_fetched_to_its_end() {
    let n = length();
    type MakeEnd = fn(usize) -> End;
    type Change = fn(Reply) -> Reply;
    let ends: [(&str, MakeEnd); 3] = [("cut", End::Cut), ("reset", End::Reset), ("stalled", End::Stall)];
    let heads: [(&str, Change); 4] = [
        ("with ETag and length", |reply| reply),
        ("without ETag", |reply| reply.without("ETag")),
        ("without ranges", |reply| reply.without("Accept-Ranges").without("ETag")),
        ("chunked", |reply| reply.framing(Framing::Chunked)),
    ];
    let clean = clean("ts-h264-aac");
    let rows = ends.iter().flat_map(|(end, make)| {
        // A stall takes its time, and what it leaves is what a cut leaves.
        let heads = if *end == "stalled" { &heads[..2] } else { &heads[..] };
        let heads = heads.iter().map(move |(head, change)| (end, make, head, *change));
        heads.flat_map(move |(end, make, head, change)| {
            [0, 1, n / 2, n - 1].map(|at| (format!("{end} after {at} of {n} bytes, {head}"), (make(at), change)))
        })
    });
    each(rows, |(end, change)| {
        let broken = changed(move |reply| change(reply).end(end));
        let server = Site::fixture("ts-h264-aac").on(SEGMENT, [broken]).always(SEGMENT, changed(change)).start();
        let outcome = merges_to(&clean, server.url("/index.m3u8"), &["--read-timeout", "1"]);
        assert!(outcome.download("retries") >= 1, "{outcome:#?}");
        assert_eq!(server.requests_of(SEGMENT).len(), 2, "{:#?}", server.requests_of(SEGMENT));
    });
}

#[test]
fn a_body_that_broke_off_goes_on_where_it_did() {
    let at = length() / 2;
    let server = Site::fixture("ts-h264-aac").on(SEGMENT, [ending(End::Cut(at))]).start();
    merges_to(&clean("ts-h264-aac"), server.url("/index.m3u8"), &[]);
    let requests = server.requests_of(SEGMENT);
    assert_eq!(requests[1].header("Range"), Some(format!("bytes={at}-").as_str()));
    assert!(requests[1].header("If-Range").is_some_and(|tag| tag.starts_with('"')), "{:#?}", requests[1]);
    assert_eq!(requests[1].sent_bytes, (length() - at) as u64);
}

#[test]
fn a_resource_that_changed_meanwhile_is_begun_again() {
    let at = length() / 2;
    // What came first was of another version: spliced to the rest of this one, it would be garbage.
    let other =
        answer(move |_, _| Reply::new(200, vec![0x55; plain(1).len()]).header("ETag", "\"another\"").end(End::Cut(at)));
    let server = Site::fixture("ts-h264-aac").on(SEGMENT, [other]).start();
    merges_to(&clean("ts-h264-aac"), server.url("/index.m3u8"), &[]);
}

#[test]
fn a_body_that_breaks_off_again_and_again_comes_in_many_pieces() {
    // Each try brings a ninth of what is left: more tries than retries, but each one gets somewhere.
    let server = Site::fixture("ts-h264-aac")
        .on(
            SEGMENT,
            (0..6).map(|_| {
                changed(|reply| {
                    let n = reply.len() / 3;
                    reply.end(End::Reset(n))
                })
            }),
        )
        .start();
    merges_to(&clean("ts-h264-aac"), server.url("/index.m3u8"), &["--retries", "8"]);
}

#[test]
fn a_body_that_breaks_off_every_time_is_a_temporary_failure() {
    let ends = [End::Cut(0), End::Reset(0), End::HangUp, End::Stall(0), End::Silence];
    each(ends.map(|end| (format!("{end:?}"), end)), |end| {
        let server = Site::fixture("ts-h264-aac").always(SEGMENT, ending(end)).start();
        let arguments = ["--retries", "1", "--connect-timeout", "0.2", "--read-timeout", "0.6"];
        refused(TEMPORARY, server.url("/index.m3u8"), &arguments).names_segment(1, "index1.ts").says(&["again"]);
        // A connection that was used before and is closed without an answer may have gone before it was asked.
        let free = usize::from(end == End::HangUp);
        let asked = server.requests_of(SEGMENT).len();
        // Nor is a host given up at once that serves other requests meanwhile.
        assert!((2..=5 * (1 + free)).contains(&asked), "asked {asked} times");
    });
}

#[test]
fn a_body_that_ends_with_its_connection_is_judged_by_what_it_holds() {
    let at_packet = plain(1).len() / 2 / 188 * 188;
    let rows: [(&str, &str, &str, usize); 4] = [
        ("TS in the middle of a packet", "ts-h264-aac", "/index1.ts", length() / 2),
        ("TS between two packets", "ts-h264-aac", "/index1.ts", at_packet),
        ("the last of TS", "ts-h264-aac", "/index2.ts", plain(2).len() / 2 + 50),
        ("a fragment", "fmp4-muxed", "/index1.m4s", 4000),
    ];
    each(rows.map(|(name, case, path, at)| (name.to_owned(), (case, path, at))), |(case, path, at)| {
        let cut = || changed(move |reply| reply.without("ETag").framing(Framing::Close).end(End::Cut(at)));
        let server = Site::fixture(case).on(path, [cut()]).start();
        merges_to(&clean(case), server.url("/index.m3u8"), &[]);
        let server = Site::fixture(case).always(path, cut()).start();
        refused(BAD_DATA, server.url("/index.m3u8"), &["--retries", "1"]).says(&[&path[1..]]);
        assert!(server.requests_of(path).len() > 1, "it was not asked for again");
    });
}

#[test]
fn bodies_may_be_framed_in_every_way() {
    for framing in [Framing::Length, Framing::Chunked, Framing::Close] {
        let server = Site::fixture("ts-h264-aac").every(framed(framing)).start();
        merges_to(&clean("ts-h264-aac"), server.url("/index.m3u8"), &["--retries", "0"]);
    }
}

#[test]
fn wrong_content_with_status_200_is_asked_for_again_and_then_fails() {
    let bodies: [(&str, &[u8]); 5] = [
        ("a page", b"<!DOCTYPE html>\n<html><body>Try later</body></html>\n"),
        ("a page without doctype", b"\n\n<html lang=en><head><title>Oops</title></head></html>"),
        ("JSON", br#"{"error": "too many"}"#),
        ("a JSON list", br#"[{"code": 1}]"#),
        ("nothing", b""),
    ];
    for (case, path) in [("ts-h264-aac", "/index1.ts"), ("fmp4-muxed", "/index1.m4s")] {
        each(bodies.map(|(name, body)| (format!("{name} for {path}"), body)), |body| {
            let server = Site::fixture(case).on(path, [instead(body)]).start();
            merges_to(&clean(case), server.url("/index.m3u8"), &[]);
            let server = Site::fixture(case).always(path, instead(body)).start();
            refused(BAD_DATA, server.url("/index.m3u8"), &["--retries", "1"]).names_segment(1, &path[1..]);
            assert_eq!(server.requests_of(path).len(), 2);
        });
    }
}

#[test]
fn a_server_that_knows_no_ranges_sends_its_file_once() {
    for case in ["ts-byterange", "fmp4-byterange"] {
        let path = if case == "ts-byterange" { "/all.ts" } else { "/all.mp4" };
        let server = Site::fixture(case).always(path, no_ranges()).start();
        merges_to(&clean(case), server.url("/index.m3u8"), &[]);
        assert_eq!(server.requests_of(path).len(), 1, "{case}: the file was sent more than once");
    }
}

#[test]
fn only_the_ranges_that_were_named_are_fetched() {
    let server = Site::fixture("ts-byterange").start();
    merges_to(&clean("ts-byterange"), server.url("/index.m3u8"), &[]);
    let requests = server.requests_of("/all.ts");
    assert!(requests.iter().all(|request| request.status == 206), "{requests:#?}");
    let whole = std::fs::metadata(crate::sandbox::fixture("ts-byterange/all.ts")).unwrap().len();
    assert!(requests.iter().map(|request| request.sent_bytes).sum::<u64>() <= whole);
}

#[test]
fn a_range_that_breaks_off_goes_on_inside_its_range() {
    let server = Site::fixture("ts-byterange").on("/all.ts", (0..3).map(|_| ending(End::Cut(1000)))).start();
    merges_to(&clean("ts-byterange"), server.url("/index.m3u8"), &[]);
    assert!(server.requests_of("/all.ts").iter().all(|request| request.status == 206));
}

/// An answer of another range than was asked for.
fn wrong_range(content_range: &'static str) -> Answer {
    answer(move |request: &Request, files: &Files| files.reply(request).header("Content-Range", content_range))
}

#[test]
fn an_answer_of_another_range_is_asked_for_again_and_then_fails() {
    let rows: [(&str, Answer); 5] = [
        ("another place", wrong_range("bytes 188-19999/40000")),
        ("another length", wrong_range("bytes 0-9/40000")),
        ("no numbers", wrong_range("bytes a-b/c")),
        ("no Content-Range", changed(|reply| reply.without("Content-Range"))),
        ("416", status(416)),
    ];
    each(rows.map(|(name, wrong)| (name.to_owned(), wrong)), |wrong| {
        let server = Site::fixture("ts-byterange").on("/all.ts", [std::sync::Arc::clone(&wrong)]).start();
        merges_to(&clean("ts-byterange"), server.url("/index.m3u8"), &[]);
        let server = Site::fixture("ts-byterange").always("/all.ts", wrong).start();
        let sandbox = crate::sandbox::Sandbox::new();
        let outcome = crate::run::merge(&sandbox, server.url("/index.m3u8"), &["--retries", "1"]);
        assert!(matches!(outcome.code, Some(BAD_DATA | TEMPORARY)), "{outcome:#?}");
        assert_eq!(sandbox.outputs(), [""; 0]);
        let first = server.requests_of("/all.ts")[0].header("Range").map(str::to_owned);
        let again = server.count(|request| request.header("Range").map(str::to_owned) == first);
        assert!(again > 1, "it was not asked for again");
    });
}

#[test]
fn a_rest_that_does_not_fit_is_not_joined() {
    // The server says that the rest begins elsewhere than was asked: joined to what is there, it would be garbage.
    let at = length() / 2;
    let rows: [(&str, Answer); 3] = [
        ("another place", changed(move |reply| reply.header("Content-Range", "bytes 0-99/100"))),
        ("416", answer(|_, _| page(416))),
        ("another ETag", changed(|reply| reply.header("ETag", "\"another\""))),
    ];
    each(rows.map(|(name, wrong)| (name.to_owned(), wrong)), |wrong| {
        let server = Site::fixture("ts-h264-aac").on(SEGMENT, [ending(End::Cut(at)), wrong]).start();
        merges_to(&clean("ts-h264-aac"), server.url("/index.m3u8"), &[]);
    });
}

#[test]
fn a_slow_body_that_keeps_coming_has_all_the_time_it_needs() {
    // In all it takes three times as long as the pause between two bytes may be.
    let long = Long { many: 3, bytes: 1 << 20 };
    let server = long.site().every(paced(1 << 16, Duration::from_millis(200))).start();
    let outcome = merges_to(&long.clean(), server.url("/index.m3u8"), &["--read-timeout", "1", "--retries", "0"]);
    assert!(outcome.took > Duration::from_secs(3), "it was not slow: {:?}", outcome.took);
    assert_eq!(server.count(|request| Long::is_segment(&request.path)), 3);
}

#[test]
fn a_body_below_the_floor_on_speed_is_asked_for_again() {
    // A byte now and then, and never long enough nothing: at this rate the segment would take half an hour.
    let drip = changed(|reply| reply.pace(1, Duration::from_millis(150)));
    let server = Site::fixture("ts-h264-aac").on(SEGMENT, [drip]).start();
    let outcome = merges_to(&clean("ts-h264-aac"), server.url("/index.m3u8"), &["--read-timeout", "1"]);
    assert!(outcome.took < Duration::from_secs(60), "{:?}", outcome.took);
    assert_eq!(server.requests_of(SEGMENT).len(), 2);
}

#[test]
fn padding_is_no_media() {
    let (short, long) = (Long { many: 3, bytes: 0 }, Long { many: 3, bytes: 1 << 16 });
    assert!(padded(plain(0), 1 << 16).len() >= 1 << 16);
    assert!(short.clean() == long.clean(), "the tests rely on it");
}
