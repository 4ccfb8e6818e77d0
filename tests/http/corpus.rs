//! What nginx serves comes to the same bytes as what lies on disk.

use std::env;
use std::fs;
use std::io::{Write, stderr};
use std::path::PathBuf;

use crate::fault::Site;
use crate::nginx::Nginx;
use crate::run::{each, from_disk, merge, merges_to};
use crate::sandbox::{Sandbox, fixture, names};

#[test]
fn the_corpus_by_url_comes_to_the_same_bytes_as_from_disk() {
    let Some(corpus) = env::var_os("AVWELD_CORPUS").map(PathBuf::from) else {
        // Past the harness, which would keep it to itself.
        writeln!(stderr(), "SKIPPED: the field corpus was not fetched, AVWELD_CORPUS is not set").unwrap();
        return;
    };
    let nginx = Nginx::serve(&corpus);
    let table = fs::read_to_string(corpus.join("expected.tsv")).expect("AVWELD_CORPUS holds an expected.tsv");
    let lines = table.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let playlists: Vec<&str> = lines.map(|line| line.split('\t').next().unwrap()).collect();
    assert!(playlists.len() >= 12, "only {} lines in expected.tsv", playlists.len());
    each(playlists.iter().map(|playlist| ((*playlist).to_owned(), *playlist)), |playlist| {
        let clean = from_disk(&corpus.join(playlist), &[]);
        merges_to(&clean, nginx.url(&format!("/{playlist}")), &[]);
    });
}

#[test]
fn every_fixture_by_url_comes_to_the_same_bytes_as_from_disk() {
    let cases = names(&fixture("")).into_iter().filter(|name| fixture(name).join("index.m3u8").is_file());
    each(cases.map(|case| (case.clone(), case)), |case| {
        let server = Site::fixture(&case).start();
        let (local, fetched) = (Sandbox::new(), Sandbox::new());
        local.merge(fixture(&case).join("index.m3u8"), "out.mp4", &[]);
        merge(&fetched, server.url("/index.m3u8"), &[]).succeeded();
        assert_eq!(fetched.outputs(), local.outputs());
        assert_eq!(names(&fetched.temp()), [""; 0]);
        for name in local.outputs() {
            assert!(fs::read(fetched.output(&name)).unwrap() == fs::read(local.output(&name)).unwrap(), "{name}");
        }
    });
}

#[test]
fn https_with_http2_and_http1_alone_come_to_the_same_bytes() {
    let nginx = Nginx::serve(&fixture(""));
    let clean = crate::run::clean("fmp4-separate-audio");
    let url = nginx.https("/fmp4-separate-audio/index.m3u8");
    merges_to(&clean, &url, &["--cacert", nginx.authority()]);
    let protocols: Vec<String> = nginx.accesses().into_iter().map(|access| access.protocol).collect();
    assert!(protocols.iter().all(|protocol| protocol == "HTTP/2.0"), "{protocols:?}");

    merges_to(&clean, &url, &["--cacert", nginx.authority(), "--http1.1"]);
    let accesses = nginx.accesses();
    let second = &accesses[protocols.len()..];
    assert!(!second.is_empty() && second.iter().all(|access| access.protocol == "HTTP/1.1"), "{second:?}");
}

#[test]
fn a_server_that_ends_its_http2_connections_early_gets_the_rest_on_new_ones() {
    // After two requests nginx sends GOAWAY.
    let nginx = Nginx::serve(&fixture(""));
    let clean = crate::run::clean("fmp4-separate-audio");
    for _ in 0..5 {
        let url = nginx.https("/few/fmp4-separate-audio/index.m3u8");
        merges_to(&clean, url, &["--cacert", nginx.authority(), "--retries", "0"]);
    }
    let protocols = nginx.accesses().iter().filter(|access| access.protocol == "HTTP/2.0").count();
    assert!(protocols > 0);
}

#[test]
fn a_connection_is_used_again_and_a_playlist_comes_compressed() {
    let nginx = Nginx::serve(&fixture(""));
    merges_to(&crate::run::clean("ts-h264-aac"), nginx.url("/ts-h264-aac/index.m3u8"), &["-N", "1"]);
    let accesses = nginx.accesses();
    let playlist = accesses.iter().find(|access| access.target.ends_with(".m3u8")).unwrap();
    assert_eq!(playlist.encoding, "gzip-");
    let segments: Vec<_> = accesses.iter().filter(|access| access.target.ends_with(".ts")).collect();
    assert_eq!(segments.len(), 3);
    let first = segments[0].connection;
    assert!(segments.iter().all(|access| access.connection == first), "{segments:?}");
}

#[test]
fn slow_connections_are_used_side_by_side() {
    let nginx = Nginx::serve(&fixture(""));
    // 64 KiB a second on each connection; nothing is so small here that it would be over in one piece.
    merges_to(&crate::run::clean("unmarked-reset"), nginx.url("/slow/unmarked-reset/index.m3u8"), &["-N", "3"]);
}
