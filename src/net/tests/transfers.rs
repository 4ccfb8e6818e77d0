//! Bodies that break off, parts that are not those asked for, servers that want to be left alone.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::server::{Reply, Seen, Server, answer, cut, endless};
use super::{fetch, options, request, run};
use crate::cancel::CancelToken;
use crate::error::ErrorKind;
use crate::net::{Client, Network, Whole};
use crate::options::NetworkOptions;

const TAG: &str = "ETag: \"one\"\r\n";

fn body() -> Vec<u8> {
    (0..20_000_u32).map(|i| (i * 7 % 251) as u8).collect()
}

/// The part that a request asks for; all of it where it asks for none.
fn asked(seen: &Seen) -> Option<Range<usize>> {
    let range = seen.header("range");
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let end = if last.is_empty() { body().len() } else { last.parse::<usize>().expect("a number") + 1 };
    Some(first.parse().expect("a number")..end)
}

/// Serves `range`, but no more than `most` bytes of it.
fn part(range: Range<usize>, most: usize, headers: &str) -> Vec<u8> {
    let (body, length) = (body(), range.len());
    let headers = format!("Content-Range: bytes {}-{}/{}\r\n{headers}", range.start, range.end - 1, body.len());
    cut("206 Partial Content", &headers, length, &body[range][..length.min(most)])
}

#[test]
fn a_body_cut_at_any_place_and_again_in_its_rest_comes_whole() {
    for at in [0, 1, 10_000, 19_999] {
        let server = Server::start(move |n, seen| {
            Reply::Bytes(match asked(seen) {
                None => cut("200 OK", TAG, 20_000, &body()[..if n == 0 { at } else { 2000 }]),
                Some(range) if range.start < 19_000 => part(range, 3000, TAG),
                Some(range) => part(range, usize::MAX, TAG),
            })
        });
        let (fetched, found) = fetch(&options(), &server.url("/"), request(&server.url("/a"), None)).unwrap();
        assert!(found == body() && fetched.framed, "cut at {at}");
        let resumed = server.seen().into_iter().filter(|seen| !seen.header("range").is_empty());
        assert!(resumed.into_iter().all(|seen| seen.header("if-range") == "\"one\""), "cut at {at}");
        assert_eq!(server.seen().iter().filter(|seen| asked(seen).is_none()).count(), 1 + usize::from(at == 0));
    }
}

#[test]
fn a_part_that_is_cut_twice_comes_whole() {
    let server = Server::start(|n, seen| Reply::Bytes(part(asked(seen).unwrap(), [2000, 3000, 9000][n], TAG)));
    let (fetched, found) = fetch(&options(), &server.url("/"), request(&server.url("/a"), Some(500..9500))).unwrap();
    assert_eq!(found, body()[500..9500]);
    assert_eq!(fetched.whole, Whole::AsAsked);
    let ranges: Vec<_> = server.seen().iter().map(|seen| seen.header("range")).collect();
    assert_eq!(ranges, ["bytes=500-9499", "bytes=2500-9499", "bytes=5500-9499"]);
}

#[test]
fn a_server_that_sends_less_of_the_rest_than_asked_for_is_asked_for_more() {
    let server = Server::start(|_, seen| {
        Reply::Bytes(match asked(seen) {
            None => cut("200 OK", TAG, 20_000, &body()[..5000]),
            Some(range) => part(range.start..range.end.min(range.start + 4000), usize::MAX, TAG),
        })
    });
    assert_eq!(fetch(&options(), &server.url("/"), request(&server.url("/a"), None)).unwrap().1, body());
}

#[test]
fn two_versions_never_become_one_body() {
    // This server does not know If-Range.
    let server = Server::start(|n, seen| {
        let other = vec![9; 20_000];
        Reply::Bytes(match asked(seen) {
            None if n == 0 => cut("200 OK", TAG, 20_000, &body()[..5000]),
            None => answer("200 OK", "ETag: \"two\"\r\n", &other),
            Some(range) => {
                let headers = format!("ETag: \"two\"\r\nContent-Range: bytes {}-19999/20000\r\n", range.start);
                answer("206 Partial Content", &headers, &other[range])
            }
        })
    });
    let (_, found) = fetch(&options(), &server.url("/"), request(&server.url("/a"), None)).unwrap();
    assert!(found == vec![9; 20_000]);
}

#[test]
fn parts_that_were_not_asked_for_are_never_taken() {
    let wrong: [fn(&Seen) -> Vec<u8>; 5] = [
        // Nothing was asked for by range, or something else.
        |_| part(0..20_000, usize::MAX, ""),
        |_| part(100..200, usize::MAX, ""),
        |_| answer("206 Partial Content", "", &body()[10..20]),
        |_| answer("206 Partial Content", "Content-Range: bytes 10-14/20000\r\n", &body()[10..15]),
        |_| answer("206 Partial Content", "Content-Range: bytes 10-19/20000\r\n", &body()[10..25]),
    ];
    for (n, reply) in wrong.into_iter().enumerate() {
        let server = Server::start(move |_, seen| Reply::Bytes(reply(seen)));
        let range = (n > 0).then_some(10..20);
        let failed = fetch(&options(), &server.url("/"), request(&server.url("/a"), range));
        assert_eq!(failed.map(|_| ()).unwrap_err().kind(), ErrorKind::Network, "{n}");
        assert_eq!(server.seen().len(), 4, "{n}: tried three times more");
    }
}

#[test]
fn all_instead_of_a_part_is_known_as_such_and_resumed_as_all() {
    let server = Server::start(|n, seen| {
        Reply::Bytes(match n {
            0 => cut("200 OK", TAG, 20_000, &body()[..7000]),
            _ => part(asked(seen).unwrap(), usize::MAX, TAG),
        })
    });
    let (fetched, found) = fetch(&options(), &server.url("/"), request(&server.url("/a"), Some(500..600))).unwrap();
    assert!(found == body() && fetched.whole == Whole::Instead);
    assert_eq!(server.seen()[1].header("range"), "bytes=7000-");
}

#[test]
fn a_range_that_is_not_there_is_tried_twice_more_and_is_no_failure_of_the_network() {
    let server = Server::start(|_, _| Reply::Bytes(answer("416 Range Not Satisfiable", "", b"")));
    let failed = fetch(&options(), &server.url("/"), request(&server.url("/a"), Some(500..600)));
    assert_eq!(failed.map(|_| ()).unwrap_err().kind(), ErrorKind::Media);
    assert_eq!(server.seen().len(), 3);
}

#[test]
fn a_server_that_never_gets_on_is_given_up_soon() {
    // Each rest is refused, and each new start is cut at the same place.
    let server = Server::start(|_, seen| {
        Reply::Bytes(match asked(seen) {
            None => cut("200 OK", TAG, 20_000, &body()[..5000]),
            Some(_) => answer("416 Range Not Satisfiable", "", b""),
        })
    });
    let failed = fetch(&options(), &server.url("/"), request(&server.url("/a"), None));
    assert!(matches!(failed.map(|_| ()).unwrap_err().kind(), ErrorKind::Network | ErrorKind::Media));
    assert!(server.seen().len() <= 6, "{} requests", server.seen().len());
}

#[test]
fn a_trickle_is_given_up_after_the_tries() {
    let options = NetworkOptions { read_timeout: Duration::from_millis(60), retries: 2, ..options() };
    let server = Server::start(|_, seen| {
        let at = asked(seen).map_or(0, |range| range.start);
        Reply::Stall(match at {
            0 => cut("200 OK", TAG, 20_000, &body()[..5]),
            at => part(at..20_000, 5, TAG),
        })
    });
    let failed = fetch(&options, &server.url("/"), request(&server.url("/a"), None));
    assert_eq!(failed.map(|_| ()).unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(server.seen().len(), 3);
}

#[test]
fn all_workers_of_a_host_keep_the_pause_that_it_asks_for_also_behind_a_redirect() {
    let cdn = Arc::new(Server::start(|n, _| {
        Reply::Bytes(match n {
            0 => answer("429 Too Many Requests", "Retry-After: 1\r\n", b""),
            _ => answer("200 OK", "", b"body"),
        })
    }));
    let target = cdn.url("/b");
    let front = Server::start(move |_, _| Reply::Bytes(answer("302 Found", &format!("Location: {target}\r\n"), b"")));
    let options = options();
    let network = Network::new(&options);
    let client = Client::new(&network, &options, Some(&front.url("/"))).unwrap();
    let (start, never) = (Instant::now(), CancelToken::new());
    std::thread::scope(|scope| {
        let ask = || run(&network, &client, request(&front.url("/a"), None), &never).map(|_| start.elapsed());
        let first = scope.spawn(ask);
        while client.counts().retries == 0 {
            std::thread::yield_now();
        }
        for took in [ask(), first.join().unwrap()] {
            assert!(took.as_ref().is_ok_and(|took| *took >= Duration::from_secs(1)), "{took:?}");
        }
    });
    assert_eq!((cdn.seen().len(), client.counts().retries), (3, 1));
}

#[test]
fn a_pause_of_no_length_is_no_leave_to_hammer() {
    let server = Server::start(|_, _| Reply::Bytes(answer("503 Service Unavailable", "Retry-After: 0\r\n", b"")));
    let options = NetworkOptions { retry_delay: Duration::from_millis(40), ..options() };
    let start = Instant::now();
    let failed = fetch(&options, &server.url("/"), request(&server.url("/a"), None));
    assert_eq!(failed.map(|_| ()).unwrap_err().kind(), ErrorKind::Network);
    assert!(start.elapsed() >= Duration::from_millis(40 + 80 + 160), "{:?}", start.elapsed());
}

#[test]
fn a_redirect_whose_body_stalls_holds_nobody_up() {
    let server = Server::start(|n, _| match n {
        0 => Reply::Stall(cut("302 Found", "Location: /b\r\n", 100, b"moved")),
        _ => Reply::Bytes(answer("200 OK", "", b"body")),
    });
    let start = Instant::now();
    let (fetched, found) = fetch(&options(), &server.url("/"), request(&server.url("/a"), None)).unwrap();
    assert_eq!((fetched.url, found), (server.url("/b"), b"body".to_vec()));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn the_size_is_told_by_a_part_or_by_all_and_a_failure_that_may_pass_is_one() {
    let server = Server::start(|_, seen| {
        Reply::Bytes(match seen.path.as_str() {
            "/part" => part(0..1, 1, ""),
            "/all" => answer("200 OK", "", &body()),
            "/endless" => endless("200 OK", "", b"x"),
            "/gone" => answer("404 Not Found", "", b""),
            _ => answer("503 Service Unavailable", "", b""),
        })
    });
    let options = options();
    let network = Network::new(&options);
    let client = Client::new(&network, &options, Some(&server.url("/"))).unwrap();
    let size = |path: &str| {
        let (client, url) = (client.clone(), server.url(path));
        network.wait(&CancelToken::new(), async move { client.size(&url).await })
    };
    assert_eq!(size("/part").unwrap(), Some(20_000));
    assert_eq!(size("/all").unwrap(), Some(20_000));
    assert_eq!(size("/endless").unwrap(), None);
    assert_eq!(size("/gone").unwrap(), None);
    assert_eq!(size("/busy").unwrap_err().kind(), ErrorKind::Network);
}
