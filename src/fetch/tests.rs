//! Downloads from servers that misbehave.

use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use url::Url;

use super::download::{Download, Listener, Refresh, Settings, Used};
use super::wanted::{Kind, Wanted};
use super::web::Web;
use crate::cancel::CancelToken;
use crate::container::{Container, Span};
use crate::error::{Error, ErrorKind, Result};
use crate::net::tests::options;
use crate::net::tests::server::{Reply, Server, answer, endless};
use crate::net::{Client, Network};
use crate::options::{Limits, NetworkOptions, OnGap};
use crate::playlist::ByteRange;
use crate::time::Nanos;
use crate::workspace::{Purpose, Workspace};

const SEGMENT: &[u8] = include_bytes!("../../fixtures/ts-h264-aac/index0.ts");
const CLEAR: Kind = Kind::Segment { encrypted: false };

/// A job's download, with what it needs around it.
struct Job {
    network: Network,
    workspace: Workspace,
    origin: Url,
    options: NetworkOptions,
    on_gap: OnGap,
    refresh: Option<Refresh>,
    listener: Option<Listener>,
    used: Used,
}

impl Job {
    fn new(server: &Server, folder: &tempfile::TempDir) -> Self {
        let purpose = Purpose { identity: 7, part_folder: None };
        Self {
            network: Network::new(&options()),
            workspace: Workspace::open(Some(folder.path()), purpose, false).unwrap(),
            origin: server.url("/index.m3u8"),
            options: options(),
            on_gap: OnGap::Fail,
            refresh: None,
            listener: None,
            used: Used::Kept,
        }
    }

    fn start(&self, wanted: Vec<Wanted>) -> Download {
        let settings = Settings {
            client: Client::new(&self.network, &self.options, Some(&self.origin)).unwrap(),
            store: self.workspace.store().unwrap(),
            cancel: CancelToken::new(),
            on_gap: self.on_gap,
            limits: Limits::default(),
            refresh: self.refresh.clone(),
            listener: self.listener.clone(),
            used: self.used,
        };
        Download::start(&self.network, wanted, settings).unwrap()
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn wanted(kind: Kind, url: Url, range: Option<ByteRange>, n: u64) -> Wanted {
    let duration = Some(Nanos::from_ms(1000)).filter(|_| matches!(kind, Kind::Segment { .. }));
    Wanted { kind, url, range, input: 0, media_sequence: n, duration, key: u128::from(n), unique: true, uses: 1 }
}

fn read(download: &Download, wanted: &Wanted) -> Result<Vec<u8>> {
    let (mut file, part) = download.open(&wanted.url, wanted.range)?;
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(part.offset)).unwrap();
    file.take(part.length).read_to_end(&mut bytes).unwrap();
    Ok(bytes)
}

fn length_ms(bytes: &[u8]) -> i64 {
    let mut span = Span::new(Container::MpegTs { packet_bytes: 188 });
    span.feed(bytes);
    span.finish().duration.map_or(0, |duration| duration.0 / 1_000_000)
}

#[test]
fn a_segment_cut_between_two_packets_by_a_connections_end_is_fetched_again() {
    let folder = folder();
    let mut missed = 0;
    for k in 0..SEGMENT.len() / 188 {
        let server = Server::start(move |n, _| {
            Reply::Bytes(endless("200 OK", "", if n == 0 { &SEGMENT[..k * 188] } else { SEGMENT }))
        });
        let one = wanted(CLEAR, server.url("/0.ts"), None, 0);
        let found = read(&Job::new(&server, &folder).start(vec![one.clone()]), &one).unwrap();
        if found.len() < SEGMENT.len() {
            assert!(length_ms(&found) >= 700, "cut after {k} packets");
            missed += 1;
        }
    }
    // What EXTINF cannot tell from rounding, and no packet that told its size contradicts.
    assert!(missed <= 15, "{missed} of {}", SEGMENT.len() / 188);
}

#[test]
fn what_ends_at_the_same_place_again_is_what_the_server_has() {
    let folder = folder();
    for (kind, body) in [(Kind::Segment { encrypted: true }, SEGMENT), (Kind::Text, &b"WEBVTT\n"[..])] {
        let server = Server::start(move |_, _| Reply::Bytes(endless("200 OK", "", body)));
        let one = wanted(kind, server.url("/0.ts"), None, 0);
        assert_eq!(read(&Job::new(&server, &folder).start(vec![one.clone()]), &one).unwrap(), body);
        assert_eq!(server.seen().len(), 2);
    }
    let server = Server::start(move |_, _| Reply::Bytes(endless("200 OK", "", SEGMENT)));
    let one = wanted(CLEAR, server.url("/0.ts"), None, 0);
    assert_eq!(read(&Job::new(&server, &folder).start(vec![one.clone()]), &one).unwrap(), SEGMENT);
    assert_eq!(server.seen().len(), 1, "this one tells by itself that it is complete");
}

#[test]
fn what_is_shorter_than_announced_each_time_is_no_segment() {
    let folder = folder();
    let server = Server::start(move |_, _| Reply::Bytes(endless("200 OK", "", &SEGMENT[..20 * 188])));
    let one = wanted(CLEAR, server.url("/0.ts"), None, 0);
    let error = read(&Job::new(&server, &folder).start(vec![one.clone()]), &one).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Media, "{error}");
    assert!(error.to_string().contains("cut short"), "{error}");
}

#[test]
fn half_a_playlist_is_never_taken_for_a_shorter_one() {
    const TEXT: &[u8] = b"#EXTM3U\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXTINF:1,\n0.ts\n#EXTINF:1,\n1.ts\n#EXT-X-ENDLIST\n";
    let server = Server::start(|n, _| Reply::Bytes(endless("200 OK", "", if n == 0 { &TEXT[..50] } else { TEXT })));
    let network = Network::new(&options());
    let web = Web::new(&network, &options(), Some(&server.url("/")), &CancelToken::new()).unwrap();
    assert_eq!(web.text(&server.url("/index.m3u8"), 1000).unwrap().0, TEXT);
    assert_eq!(server.seen().len(), 2);
}

#[test]
fn what_was_packed_is_unpacked_or_refused_and_never_merged_as_it_is() {
    let folder = folder();
    let key = [7; 16];
    let mut packed = Vec::new();
    flate2::read::GzEncoder::new(&key[..], flate2::Compression::default()).read_to_end(&mut packed).unwrap();
    let server = Server::start(move |_, _| Reply::Bytes(answer("200 OK", "Content-Encoding: gzip\r\n", &packed)));
    let one = wanted(Kind::Key, server.url("/k"), None, 0);
    assert_eq!(Job::new(&server, &folder).start(vec![one.clone()]).key(&one.url).unwrap(), key);
    let part = ByteRange { offset: 2, length: 4 };
    for (kind, range) in [(Kind::Segment { encrypted: true }, None), (CLEAR, Some(part))] {
        let one = wanted(kind, server.url("/0.ts"), range, 0);
        let error = read(&Job::new(&server, &folder).start(vec![one.clone()]), &one).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    }
}

#[test]
fn where_access_is_refused_the_playlist_is_loaded_once_more_however_that_ends() {
    let folder = folder();
    let server = Server::start(|_, _| Reply::Bytes(answer("403 Forbidden", "", b"")));
    let loads = Arc::new(AtomicUsize::new(0));
    let counted = loads.clone();
    let mut job = Job::new(&server, &folder);
    job.on_gap = OnGap::Skip;
    job.refresh = Some(Arc::new(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        Err(Error::new(ErrorKind::Forbidden, "expired as well"))
    }));
    let all: Vec<_> = (0..20).map(|n| wanted(CLEAR, server.url(&format!("/{n}.ts?t=hush")), None, n)).collect();
    let download = job.start(all.clone());
    for one in &all {
        let error = read(&download, one).unwrap_err();
        assert!(error.kind() == ErrorKind::Forbidden && !error.to_string().contains("hush"), "{error}");
    }
    assert_eq!((loads.load(Ordering::SeqCst), server.seen().len()), (1, 20));
}

#[test]
fn a_segment_that_is_not_there_is_corrupt_input_and_its_error_names_it() {
    let (folder, server) = (folder(), Server::start(|_, _| Reply::Bytes(answer("404 Not Found", "", b""))));
    let one = wanted(CLEAR, server.url("/0.ts?t=hush"), None, 17);
    let error = read(&Job::new(&server, &folder).start(vec![one.clone()]), &one).unwrap_err();
    assert_eq!((error.kind(), error.segment()), (ErrorKind::Media, Some(17)));
    assert!(error.to_string().contains("/0.ts") && !error.to_string().contains("hush"), "{error}");
    assert_eq!(server.seen().len(), 3);
}

#[test]
fn a_listener_that_panics_ends_the_download_with_an_error() {
    let folder = folder();
    let server = Server::start(|_, _| Reply::Stall(Vec::new()));
    let mut job = Job::new(&server, &folder);
    job.listener = Some(Arc::new(|_| panic!("on purpose")));
    let one = wanted(CLEAR, server.url("/0.ts"), None, 0);
    assert_eq!(read(&job.start(vec![one.clone()]), &one).unwrap_err().kind(), ErrorKind::Internal);
}

#[test]
fn all_of_a_resource_instead_of_its_parts_is_fetched_once_over_two_runs() {
    let folder = folder();
    let server = Server::start(|_, _| Reply::Bytes(answer("200 OK", "", SEGMENT)));
    let url = server.url("/all.ts");
    let part = |n: u64| wanted(CLEAR, url.clone(), Some(ByteRange { offset: n * 1880, length: 1880 }), n);
    let all: Vec<_> = (0..5).map(part).collect();
    for run in 0..2 {
        let job = Job::new(&server, &folder);
        let download = job.start(all.clone());
        for (one, bytes) in all.iter().zip(SEGMENT.chunks(1880)) {
            assert_eq!(read(&download, one).unwrap(), bytes, "run {run}");
        }
        download.stop();
        job.workspace.keep();
    }
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn the_next_run_takes_what_is_verified_also_under_another_token_and_asks_for_the_rest() {
    let folder = folder();
    let server = Server::start(|_, seen| {
        Reply::Bytes(match seen.header("range").as_str() {
            "" => answer("200 OK", "", SEGMENT),
            _ => answer("206 Partial Content", &format!("Content-Range: bytes 0-0/{}\r\n", SEGMENT.len()), b"G"),
        })
    });
    let list = |token: &str, count: u64| -> Vec<Wanted> {
        (0..count).map(|n| wanted(CLEAR, server.url(&format!("/{n}.ts?t={token}")), None, n)).collect()
    };
    for (list, asked) in [(list("1", 3), 3), (list("1", 3), 3), (list("2", 4), 3 + 1 + 1)] {
        let job = Job::new(&server, &folder);
        let download = job.start(list.clone());
        for one in &list {
            assert_eq!(read(&download, one).unwrap(), SEGMENT);
        }
        download.stop();
        job.workspace.keep();
        assert_eq!(server.seen().len(), asked);
    }
}

#[test]
fn stopping_takes_a_moment_and_nothing_is_written_after() {
    let folder = folder();
    let server = Server::start(|_, _| Reply::Stall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nG".to_vec()));
    let job = Job::new(&server, &folder);
    let download = job.start((0..8).map(|n| wanted(CLEAR, server.url(&format!("/{n}")), None, n)).collect());
    while server.seen().len() < 8 {
        std::thread::yield_now();
    }
    let start = std::time::Instant::now();
    download.stop();
    assert!(start.elapsed() < Duration::from_millis(250), "{:?}", start.elapsed());
    drop(job);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// A job that fetches two segments at a time, and many of them.
fn long_job(server: &Server, folder: &tempfile::TempDir) -> (Job, Vec<Wanted>) {
    let mut job = Job::new(server, folder);
    job.options.concurrent_segments = 2;
    job.used = Used::Deleted;
    (job, (0..14).map(|n| wanted(CLEAR, server.url(&format!("/{n}")), None, n)).collect())
}

/// A segment of 8 MiB, most of it packets that hold nothing.
fn large_answer() -> Vec<u8> {
    let mut nothing = [0xff; 188];
    nothing[..4].copy_from_slice(&[0x47, 0x1f, 0xff, 0x10]);
    answer("200 OK", "", &[SEGMENT, &nothing.repeat(((8 << 20) - SEGMENT.len()) / 188)].concat())
}

#[test]
fn a_download_that_outruns_its_reader_is_held_back() {
    let folder = folder();
    let body = large_answer();
    let server = Server::start(move |_, _| Reply::Bytes(body.clone()));
    let (job, all) = long_job(&server, &folder);
    let download = job.start(all.clone());
    // Four of them are 32 MiB, which is known once the first has come.
    for (n, one) in all.iter().enumerate() {
        let start = std::time::Instant::now();
        let ahead = all.len().min(n + 4);
        while server.seen().len() < ahead {
            assert!(start.elapsed() < Duration::from_secs(15), "too few have begun before {n} is read");
            std::thread::yield_now();
        }
        assert_eq!(server.seen().len(), ahead, "too many have begun before {n} is read");
        read(&download, one).unwrap();
        download.release(&one.url, None);
    }
}

#[test]
fn what_its_reader_waits_for_keeps_nothing_else_from_coming() {
    let folder = folder();
    let begun = Arc::new(AtomicUsize::new(0));
    let body = large_answer();
    let server = Server::start(move |_, seen| {
        begun.fetch_add(1, Ordering::SeqCst);
        let start = std::time::Instant::now();
        // Three times what is let through ahead of one that needs not wait.
        while seen.path == "/1" && begun.load(Ordering::SeqCst) < 12 {
            assert!(start.elapsed() < Duration::from_secs(15), "{begun:?} have begun, and no more do");
            std::thread::yield_now();
        }
        Reply::Bytes(body.clone())
    });
    let (job, all) = long_job(&server, &folder);
    let download = job.start(all.clone());
    all[..3].iter().for_each(|one| drop(read(&download, one).unwrap()));
}

#[test]
fn what_was_read_is_deleted_and_comes_again_if_it_is_asked_for_after_all() {
    let folder = folder();
    let server = Server::start(|_, _| Reply::Bytes(answer("200 OK", "", SEGMENT)));
    for (used, uses, requests) in [(Used::Kept, 1, [3, 3]), (Used::Deleted, 2, [3, 3]), (Used::Deleted, 1, [3, 6])] {
        let before = server.seen().len();
        let name = |n: u64| format!("/{n}?{used:?}-{uses}");
        let all: Vec<_> = (0..3).map(|n| Wanted { uses, ..wanted(CLEAR, server.url(&name(n)), None, n) }).collect();
        let mut job = Job::new(&server, &folder);
        job.used = used;
        let download = job.start(all.clone());
        for requests in requests {
            for one in &all {
                assert_eq!(read(&download, one).unwrap(), SEGMENT);
                download.release(&one.url, None);
            }
            assert_eq!(server.seen().len() - before, requests, "{used:?}, {uses} uses");
        }
        let left = std::fs::read_dir(job.workspace.path().join("segments")).unwrap().count();
        assert_eq!(left, if used == Used::Kept { 3 } else { 0 }, "{used:?}, {uses} uses");
        assert_eq!(download.progress().done, 3, "each is counted once");
    }
}
