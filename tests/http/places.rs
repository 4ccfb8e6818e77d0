//! What a playlist may name, by its scheme.

use crate::fault::{Site, redirect};
use crate::media::{multivariant, playlist, segment_of};
use crate::nginx::Nginx;
use crate::run::{BAD_DATA, DENIED, TEMPORARY, clean, each, merges_to, refused};
use crate::sandbox::fixture;
use crate::server::Server;

const SPELLINGS: [&str; 12] = [
    "file:///etc/hostname",
    "FILE:/etc/hostname",
    "file://fileserver/share/a.ts",
    r"\\fileserver\share\a.ts",
    r"C:\media\a.ts",
    "concat:index0.ts|index1.ts",
    "subfile,,start,0,end,9,,:index0.ts",
    "crypto:index0.ts",
    "pipe:0",
    "fd:0",
    "ftp://127.0.0.1/a.ts",
    "rtmp://127.0.0.1/a",
];

type MakeSite = fn(&str) -> Site;

/// Where a playlist names something: each makes a site whose `/main.m3u8` names this.
const SLOTS: [(&str, MakeSite); 6] = [
    ("segment", segment),
    ("map", map),
    ("key", key),
    ("rendition", rendition),
    ("variant", variant),
    ("redirect", to),
];

fn segment(uri: &str) -> Site {
    Site::fixture("ts-h264-aac").put("/main.m3u8", playlist(&["#EXTINF:1,\nindex0.ts", "#EXTINF:1,", uri]))
}

fn map(uri: &str) -> Site {
    let map = format!("#EXT-X-MAP:URI=\"{uri}\"");
    Site::fixture("fmp4-muxed").put("/main.m3u8", playlist(&[&map, "#EXTINF:1,\nindex0.m4s"]))
}

fn key(uri: &str) -> Site {
    let key = format!("#EXT-X-KEY:METHOD=AES-128,URI=\"{uri}\"");
    Site::fixture("aes128").put("/main.m3u8", playlist(&[&key, "#EXTINF:1,\n0.ts"]))
}

fn rendition(uri: &str) -> Site {
    let media = format!("#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"A\",DEFAULT=YES,URI=\"{uri}\"");
    let text = multivariant(&[&media, "#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"a\"", "video.m3u8"]);
    Site::fixture("fmp4-separate-audio").put("/main.m3u8", text)
}

fn variant(uri: &str) -> Site {
    Site::new().put("/main.m3u8", multivariant(&["#EXT-X-STREAM-INF:BANDWIDTH=1", uri]))
}

fn to(uri: &str) -> Site {
    Site::new().put("/main.m3u8", segment_of("moved.ts")).always("/moved.ts", redirect(302, uri))
}

fn main_of(site: Site) -> (Server, String) {
    let server = site.start();
    let url = server.url("/main.m3u8");
    (server, url)
}

#[test]
fn a_playlist_from_the_web_names_what_is_on_the_web() {
    let rows = SLOTS
        .iter()
        .flat_map(|(slot, make)| SPELLINGS.map(|spelling| (format!("{slot} {spelling}"), (*slot, *make, spelling))));
    each(rows, |(slot, make, spelling)| {
        let (server, url) = main_of(make(spelling));
        // Where a redirect leads is told by a header, in which these two are what they look like to every browser:
        // another host, and a path.
        if slot == "redirect" && (spelling.starts_with('\\') || spelling.starts_with("subfile,")) {
            let outcome = crate::run::merge(&crate::sandbox::Sandbox::new(), url, &["--retries", "0"]);
            assert!(matches!(outcome.code, Some(BAD_DATA | TEMPORARY | DENIED)), "{outcome:#?}");
            return;
        }
        refused(DENIED, url, &["--retries", "1"]);
        // The redirect itself has to be asked for to be seen; of media nothing is.
        let media = server.count(|request| !request.path.ends_with(".m3u8"));
        assert!(media <= usize::from(slot == "redirect"), "{:#?}", server.requests());
    });
}

#[test]
fn https_names_no_http_unless_it_is_allowed_to() {
    let folder = tempfile::tempdir().unwrap();
    let plain = Site::fixture("ts-h264-aac").start();
    let map = Site::fixture("fmp4-muxed").start();
    let key = Site::fixture("aes128").start();
    let segments = "#EXTINF:1,\nURL/index0.ts\n#EXTINF:1,\nURL/index1.ts\n#EXTINF:1,\nURL/index2.ts";
    let texts: [(&str, &str, &Server, String); 4] = [
        ("segment", "ts-h264-aac", &plain, playlist(&[segments])),
        (
            "map",
            "fmp4-muxed",
            &map,
            std::fs::read_to_string(fixture("fmp4-muxed/index.m3u8")).unwrap().replace("index-", "URL/index-"),
        ),
        (
            "key",
            "aes128",
            &key,
            std::fs::read_to_string(fixture("aes128/index.m3u8")).unwrap().replace("key.bin", "URL/key.bin"),
        ),
        ("variant", "ts-h264-aac", &plain, multivariant(&["#EXT-X-STREAM-INF:BANDWIDTH=1", "URL/index.m3u8"])),
    ];
    for (slot, case, server, text) in &texts {
        std::fs::create_dir(folder.path().join(slot)).unwrap();
        crate::sandbox::copy_fixture(case, &folder.path().join(slot));
        let text = text.replace("URL", &server.url(""));
        std::fs::write(folder.path().join(slot).join("main.m3u8"), text).unwrap();
    }
    let nginx = Nginx::serve(folder.path());
    each(texts.iter().map(|row| (row.0.to_owned(), row)), |(slot, case, server, _)| {
        let before = server.connections();
        let url = nginx.https(&format!("/{slot}/main.m3u8"));
        let cacert = ["--cacert", nginx.authority()];
        refused(DENIED, &url, &cacert).says(&["--allow-insecure-segments"]);
        assert_eq!(server.connections(), before, "it was connected to");
        merges_to(&clean(case), &url, &[cacert[0], cacert[1], "--allow-insecure-segments"]);
        assert!(server.connections() > before);
    });
}

#[test]
fn data_is_for_keys_and_init_sections() {
    let encoded = |bytes: &[u8]| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes);
    let data = |bytes: &[u8]| format!("data:application/octet-stream;base64,{}", encoded(bytes));
    let read = |path: &str| std::fs::read(fixture(path)).unwrap();

    let text = String::from_utf8(read("fmp4-muxed/index.m3u8")).unwrap();
    let text = text.replace("index-init.mp4", &data(&read("fmp4-muxed/index-init.mp4")));
    let (_server, url) = main_of(Site::fixture("fmp4-muxed").put("/main.m3u8", text));
    merges_to(&clean("fmp4-muxed"), url, &[]);

    let text = String::from_utf8(read("aes128/index.m3u8")).unwrap();
    let text = text.replace("key.bin", &data(&read("aes128/key.bin")));
    let (_server, url) = main_of(Site::fixture("aes128").put("/main.m3u8", text));
    merges_to(&clean("aes128"), url, &[]);

    let (server, url) = main_of(segment(&data(&read("ts-h264-aac/index1.ts"))));
    refused(DENIED, url, &[]);
    assert_eq!(server.requests().len(), 1);

    // 65 KiB in 1000 lines' length of one line: more than a key or an init section needs.
    let (_server, url) = main_of(map(&data(&vec![0; 70_000])));
    refused(crate::run::UNSUPPORTED, url, &[]).says(&["limit"]);
}

#[test]
fn a_local_playlist_names_the_web_and_not_this_machine() {
    let canary = Site::fixture("ts-h264-aac").start();
    let sandbox = crate::sandbox::Sandbox::new();
    let path = sandbox.input().join("saved.m3u8");
    let text = std::fs::read_to_string(fixture("ts-h264-aac/index.m3u8")).unwrap();
    std::fs::write(&path, text.replace("index", &canary.url("/index"))).unwrap();
    refused(DENIED, &path, &[]);
    assert_eq!(canary.connections(), 0);
    merges_to(&clean("ts-h264-aac"), &path, &["--address-policy", "any"]);

    // A public name goes by the proxy, so that this needs no web.
    std::fs::write(&path, std::fs::read_to_string(&path).unwrap().replace(&canary.url(""), "http://media.example"))
        .unwrap();
    let proxy = crate::proxy::Proxy::start(crate::proxy::Kind::Http, crate::proxy::Manners::Open, canary.address());
    merges_to(&clean("ts-h264-aac"), &path, &["--proxy", &format!("http://{}", proxy.address())]);
}

#[test]
fn control_characters_get_nowhere() {
    let strings = [
        "a\u{7}b.ts",
        "a\u{1b}[31mb.ts",
        "a\u{1b}]0;title\u{7}.ts",
        "a\u{8}\u{8}b.ts",
        "a\tb.ts",
        "a\u{9b}31mb.ts",
        "a\u{0}b.ts",
        "a%0d%0aX-Injected:%201.ts",
        "a\u{b}X-Injected: 1.ts",
        "a.ts?x=\u{85}X-Injected: 1",
    ];
    each(strings.map(|string| (format!("{string:?}"), string)), |string| {
        let (server, url) = main_of(segment(string));
        let outcome = refused(BAD_DATA, url, &["-v", "--retries", "1"]);
        let shown = outcome.said.replace(['\n', '\r'], "") + &outcome.report.to_string();
        assert!(!shown.contains(char::is_control), "{shown:?}");
        for request in server.requests() {
            assert!(!request.text().replace('\n', "").contains(char::is_control), "{request:#?}");
            assert!(request.header("X-Injected").is_none(), "{request:#?}");
        }
    });
}

#[test]
fn a_segment_url_with_a_password_in_it_does_not_tell_it() {
    let text = "http://anne:hush@127.0.0.1:1/a.ts?token=murmur";
    let (_server, url) = main_of(segment(text));
    let outcome = crate::run::merge(&crate::sandbox::Sandbox::new(), url, &["-vv", "--retries", "0"]);
    assert_ne!(outcome.code, Some(0));
    let shown = format!("{outcome:?}");
    assert!(!shown.contains("hush") && !shown.contains("murmur"), "{outcome:#?}");
}
