//! Playlists by URL: how they come, what is chosen of them, what of their variables.

use crate::fault::{Answer, Site, answer, brotli, changed, gzip, status, zstd};
use crate::judge;
use crate::media::{multivariant, playlist};
use crate::reply::{Framing, Reply};
use crate::run::{
    BAD_DATA, NOT_FOUND, TEMPORARY, avweld, clean, each, from_disk, merge, merges_to, quick, refused, run,
};
use crate::sandbox::{Sandbox, fixture};

const PLAYLIST: &str = "/index.m3u8";

type Encode = fn(&[u8]) -> Vec<u8>;

fn encoded(name: &'static str, encode: Encode) -> Answer {
    answer(move |request, files| {
        Reply::new(200, encode(files.get(&request.path).unwrap())).header("Content-Encoding", name)
    })
}

#[test]
fn playlists_come_in_every_encoding() {
    let clean = clean("ts-h264-aac");
    let rows: [(&'static str, Encode); 4] =
        [("gzip", gzip), ("br", brotli), ("zstd", zstd), ("identity", |bytes| bytes.to_vec())];
    each(rows.map(|row| (row.0.to_owned(), row)), |(name, encode)| {
        let server = Site::fixture("ts-h264-aac").always(PLAYLIST, encoded(name, encode)).start();
        merges_to(&clean, server.url(PLAYLIST), &["--retries", "0"]);
        let offered = server.requests()[0].header("Accept-Encoding").unwrap_or_default().to_owned();
        assert!(name == "identity" || offered.contains(name), "{name} is not in {offered:?}");
    });
}

#[test]
fn a_playlist_that_does_not_unpack_is_an_error() {
    let cut: Encode = |bytes| gzip(bytes)[..gzip(bytes).len() / 2].to_vec();
    let rows: [(&str, &'static str, Encode); 3] = [
        ("cut gzip", "gzip", cut),
        ("no brotli", "br", |bytes| bytes.to_vec()),
        ("an encoding nobody knows", "x", gzip),
    ];
    each(rows.map(|row| (row.0.to_owned(), row)), |(_, name, encode)| {
        let server = Site::fixture("ts-h264-aac").always(PLAYLIST, encoded(name, encode)).start();
        let sandbox = Sandbox::new();
        let outcome = merge(&sandbox, server.url(PLAYLIST), &["--retries", "1"]);
        assert!(matches!(outcome.code, Some(BAD_DATA | 69 | TEMPORARY)), "{outcome:#?}");
        assert_eq!(sandbox.outputs(), [""; 0]);
    });
}

#[test]
fn segments_are_asked_for_as_they_are() {
    // An encoded segment has no place to go on from.
    let server = Site::fixture("ts-h264-aac").start();
    merges_to(&clean("ts-h264-aac"), server.url(PLAYLIST), &[]);
    for request in server.requests().iter().filter(|request| request.path.ends_with(".ts")) {
        assert!(matches!(request.header("Accept-Encoding"), None | Some("identity")), "{request:#?}");
    }
}

#[test]
fn an_encoded_segment_is_decoded_all_the_same() {
    let server = Site::fixture("ts-h264-aac").always("/index1.ts", encoded("gzip", gzip)).start();
    merges_to(&clean("ts-h264-aac"), server.url(PLAYLIST), &[]);
}

#[test]
fn a_playlist_may_have_any_type_and_framing() {
    let clean = clean("ts-h264-aac");
    for kind in ["application/octet-stream", "text/html", "video/mp2t", ""] {
        let server = Site::fixture("ts-h264-aac")
            .always(PLAYLIST, changed(move |reply| reply.header("Content-Type", kind).framing(Framing::Chunked)))
            .start();
        merges_to(&clean, server.url(PLAYLIST), &[]);
    }
}

#[test]
fn a_url_need_not_look_like_a_playlist() {
    let site = Site::fixture("ts-h264-aac");
    let text = site.files.get(PLAYLIST).unwrap().to_vec();
    let server = site.put("/watch", text).start();
    merges_to(&clean("ts-h264-aac"), server.url("/watch?v=1&list=a.mp4#t=5"), &[]);
    assert_eq!(server.requests()[0].target(), "/watch?v=1&list=a.mp4");
}

#[test]
fn a_page_in_place_of_a_playlist_is_an_error() {
    let server = Site::new().put(PLAYLIST, "<!DOCTYPE html><html><body>Log in</body></html>").start();
    refused(BAD_DATA, server.url(PLAYLIST), &["--retries", "1"]);
    let server = Site::new().put(PLAYLIST, "").start();
    refused(BAD_DATA, server.url(PLAYLIST), &["--retries", "1"]);
}

#[test]
fn variants_and_renditions_are_chosen_by_url_as_from_disk() {
    let rows: [(&str, &[&str]); 7] = [
        ("best", &[]),
        ("worst", &["--variant", "worst"]),
        ("180p", &["--variant", "180p"]),
        ("150k", &["--variant", "150k"]),
        ("by index", &["--variant", "1"]),
        ("French", &["--audio", "fr"]),
        ("all sound", &["--audio", "all"]),
    ];
    let server = Site::fixture("fmp4-separate-audio").start();
    each(rows.map(|(name, arguments)| (name.to_owned(), arguments)), |arguments| {
        let clean = from_disk(&fixture("fmp4-separate-audio").join("index.m3u8"), arguments);
        merges_to(&clean, server.url(PLAYLIST), arguments);
    });
}

#[test]
fn only_what_was_chosen_is_fetched() {
    let server = Site::fixture("fmp4-separate-audio").start();
    merges_to(&clean("fmp4-separate-audio"), server.url(PLAYLIST), &[]);
    let foreign = server.count(|request| request.path.starts_with("/fr") || request.path.starts_with("/large"));
    assert_eq!(foreign, 0, "{:#?}", server.requests());
}

#[test]
fn a_redundant_variant_takes_the_place_of_one_that_is_gone() {
    let variant = "#EXT-X-STREAM-INF:BANDWIDTH=200000,RESOLUTION=160x90,CODECS=\"avc1.64000a,mp4a.40.2\"";
    let smaller = "#EXT-X-STREAM-INF:BANDWIDTH=100000,RESOLUTION=160x90,CODECS=\"avc1.64000a,mp4a.40.2\"";
    let text = multivariant(&[variant, "a/index.m3u8", smaller, "small.m3u8", variant, "index.m3u8"]);
    let clean = clean("ts-h264-aac");
    for (code, exit) in [(404, NOT_FOUND), (410, NOT_FOUND), (503, TEMPORARY)] {
        let site = Site::fixture("ts-h264-aac").put("/main.m3u8", text.clone());
        let server = site.clone().always("/a/index.m3u8", status(code)).start();
        merges_to(&clean, server.url("/main.m3u8"), &["--retries", "1"]);
        assert_eq!(server.requests_of("/small.m3u8").len(), 0, "it is no copy of the one that was chosen");
        // And where there is no other copy, the first one's trouble is told.
        let none = site.always("/a/index.m3u8", status(code)).always("/index.m3u8", status(code)).start();
        refused(exit, none.url("/main.m3u8"), &["--retries", "1"]);
    }
}

#[test]
fn a_playlist_of_key_pictures_is_no_variant() {
    let text = multivariant(&[
        "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=9000000,RESOLUTION=1920x1080,URI=\"iframes.m3u8\"",
        "#EXT-X-STREAM-INF:BANDWIDTH=200000",
        "index.m3u8",
    ]);
    let server = Site::fixture("ts-h264-aac").put("/main.m3u8", text).start();
    merges_to(&clean("ts-h264-aac"), server.url("/main.m3u8"), &[]);
    assert_eq!(server.requests_of("/iframes.m3u8").len(), 0);
}

#[test]
fn variables_come_from_the_url_and_from_the_multivariant_playlist() {
    let segments =
        "#EXTINF:1,\nindex0.ts?t={$token}\n#EXTINF:1,\nindex1.ts?t={$token}\n#EXTINF:1,\n{$base}2.ts?t={$token}";
    let media = playlist(&["#EXT-X-DEFINE:QUERYPARAM=\"token\"", "#EXT-X-DEFINE:IMPORT=\"base\"", segments]);
    let main = multivariant(&[
        "#EXT-X-DEFINE:QUERYPARAM=\"token\"",
        "#EXT-X-DEFINE:NAME=\"base\",VALUE=\"index\"",
        "#EXT-X-STREAM-INF:BANDWIDTH=200000",
        "media.m3u8?token={$token}",
    ]);
    let server = Site::fixture("ts-h264-aac").put("/media.m3u8", media).put("/main.m3u8", main).start();
    let outcome = merges_to(&clean("ts-h264-aac"), server.url("/main.m3u8?other=1&token=hush"), &["-v"]);
    assert!(!outcome.said.contains("hush"), "{outcome:#?}");
    let segments: Vec<_> = server.requests().into_iter().filter(|request| request.path.ends_with(".ts")).collect();
    assert_eq!(segments.len(), 3);
    assert!(segments.iter().all(|request| request.query.as_deref() == Some("t=hush")), "{segments:#?}");
}

#[test]
fn subtitles_by_url_stand_beside_the_output() {
    let vtt = "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:126000,LOCAL:00:00:00.000\n\n00:00.500 --> 00:00.900\nHello\n";
    let text = multivariant(&[
        "#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"s\",NAME=\"English\",LANGUAGE=\"en\",DEFAULT=YES,AUTOSELECT=YES,URI=\"en.m3u8\"",
        "#EXT-X-STREAM-INF:BANDWIDTH=200000,SUBTITLES=\"s\"",
        "index.m3u8",
    ]);
    let subtitles = playlist(&["#EXTINF:3,", "en.vtt"]);
    let site = Site::fixture("ts-h264-aac").put("/main.m3u8", text).put("/en.m3u8", subtitles).put("/en.vtt", vtt);
    let server = site.start();
    let sandbox = Sandbox::new();
    merge(&sandbox, server.url("/main.m3u8"), &["--subtitles", "en"]).succeeded();
    let beside = sandbox.outputs();
    assert!(beside.contains(&"out.mp4".to_owned()), "{beside:?}");
    let written = sandbox.output("out.en.vtt");
    let muxed = judge::tracks(&sandbox.output("out.mp4")).iter().any(|track| track.kind == "subtitle");
    let text = std::fs::read_to_string(&written).unwrap_or_default();
    assert!(muxed || text.contains("Hello"), "{beside:?}");
}

#[test]
fn a_saved_playlist_on_standard_input_has_its_base_url() {
    let server = Site::fixture("ts-h264-aac").start();
    let sandbox = Sandbox::new();
    let mut command = sandbox.command("-", sandbox.output("out.mp4"));
    quick(&mut command, &["--base-url", &server.url(PLAYLIST)]);
    let text = std::fs::File::open(fixture("ts-h264-aac").join("index.m3u8")).unwrap();
    let output = command.stdin(text).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    crate::run::is_clean(&sandbox, &clean("ts-h264-aac"));
    assert_eq!(server.requests_of(PLAYLIST).len(), 0);
}

#[test]
fn a_resource_that_is_named_twice_comes_twice() {
    let segments = "#EXTINF:1,\nindex0.ts\n#EXTINF:1,\nindex1.ts\n#EXT-X-DISCONTINUITY\n#EXTINF:1,\nindex0.ts\n\
                    #EXTINF:1,\nindex1.ts\n#EXT-X-DISCONTINUITY\n#EXTINF:1,\nindex0.ts?again\n#EXTINF:1,\nindex1.ts#5";
    let folder = tempfile::tempdir().unwrap();
    crate::sandbox::copy_fixture("ts-h264-aac", folder.path());
    let local = playlist(&[&segments.replace("?again", "").replace("#5", "")]);
    std::fs::write(folder.path().join("index.m3u8"), local).unwrap();
    let clean = from_disk(&folder.path().join("index.m3u8"), &[]);
    let server = Site::fixture("ts-h264-aac").put(PLAYLIST, playlist(&[segments])).start();
    merges_to(&clean, server.url(PLAYLIST), &[]);
}

#[test]
fn inspect_fetches_playlists_and_first_segments_alone() {
    let rows: [(&str, &[&str]); 4] = [
        ("ts-h264-aac", &["/index.m3u8", "/index0.ts"]),
        ("fmp4-muxed", &["/index-init.mp4", "/index.m3u8", "/index0.m4s"]),
        ("aes128", &["/0.ts", "/index.m3u8", "/key.bin"]),
        (
            "fmp4-separate-audio",
            &["/en-init.mp4", "/en.m3u8", "/en0.m4s", "/index.m3u8", "/video-init.mp4", "/video.m3u8", "/video0.m4s"],
        ),
    ];
    each(rows.map(|row| (row.0.to_owned(), row)), |(case, wanted)| {
        let server = Site::fixture(case).start();
        let outcome = run(avweld(&["inspect", &server.url(PLAYLIST), "--json"]));
        assert_eq!(outcome.code, Some(0), "{outcome:#?}");
        let (local, found): (serde_json::Value, serde_json::Value) = (
            {
                let path = fixture(case).join("index.m3u8");
                let outcome = run(avweld(&["inspect", path.to_str().unwrap(), "--json"]));
                serde_json::from_str(&outcome.out).unwrap()
            },
            serde_json::from_str(&outcome.out).unwrap(),
        );
        assert_eq!(found["inputs"][0]["segments"], local["inputs"][0]["segments"], "{found:#}");
        assert_eq!(found["inputs"][0]["streams"], local["inputs"][0]["streams"], "{found:#}");
        let mut asked: Vec<String> = server.requests().into_iter().map(|request| request.path).collect();
        asked.sort();
        asked.dedup();
        let foreign: Vec<&String> = asked.iter().filter(|path| !wanted.contains(&path.as_str())).collect();
        assert!(foreign.is_empty(), "fetched beside what is needed: {foreign:?}");
    });
}

#[test]
fn inspect_of_a_url_that_fails_has_the_same_codes() {
    let server = Site::new().start();
    let outcome = run(avweld(&["inspect", &server.url("/none.m3u8?token=hush"), "--retries", "0"]));
    assert_eq!(outcome.code, Some(NOT_FOUND), "{outcome:#?}");
    assert!(!outcome.said.contains("hush"), "{outcome:#?}");
}

#[test]
fn a_deep_look_reads_all_of_the_media_by_url() {
    // In three segments: each is asked for once, and the table counts what expected.txt has.
    let server = Site::fixture("ts-h264-aac").start();
    let sandbox = Sandbox::new();
    let mut command = avweld(&["inspect", &server.url(PLAYLIST), "--deep", "--json"]);
    command.env("TMPDIR", sandbox.temp());
    let outcome = run(command);
    let streams = &outcome.report["inputs"][0]["deep"]["runs"][0]["streams"];
    assert_eq!((&streams[0]["packets"], &streams[1]["packets"]), (&75.into(), &142.into()), "{outcome:#?}");
    let asked = server.requests().iter().filter(|request| request.path.ends_with(".ts")).count();
    assert_eq!(asked, 3, "{:#?}", server.requests());
    assert_eq!(crate::sandbox::names(&sandbox.temp()), [""; 0], "left in the folder for workspaces");
}

#[test]
fn a_deep_look_tells_of_a_segment_that_cannot_be_had_and_reads_the_rest() {
    let server = Site::fixture("ts-h264-aac").always("/index1.ts", status(404)).start();
    let outcome = run(avweld(&["inspect", &server.url(PLAYLIST), "--deep", "--json", "--retries", "0"]));
    let deep = &outcome.report["inputs"][0]["deep"];
    assert_eq!(deep["missing"], serde_json::json!([1]), "{outcome:#?}");
    assert_eq!(deep["runs"][0]["streams"][0]["packets"], 50, "{outcome:#?}");
}
