//! Secrets reach whom they are meant for, and nobody else.

use std::fs;

use crate::fault::{Site, answer, page, redirect, status};
use crate::media::{Long, files_below, multivariant};
use crate::proxy::base64;
use crate::run::{BAD_DATA, Outcome, USAGE, clean, each, is_clean, merge, merges_to, refused};
use crate::sandbox::{Sandbox, fixture};
use crate::server::{Request, Server};

/// Credentials, and how they are given: an option, or user and password in the URL.
const CREDENTIALS: [(&str, Given, &str); 6] = [
    ("Authorization", Given::Header("Authorization: Bearer hush"), "Bearer hush"),
    ("Cookie", Given::Header("Cookie: session=hush"), "session=hush"),
    ("X-Api-Key", Given::Header("X-Api-Key: hush"), "hush"),
    ("X-Auth-Token", Given::Header("X-Auth-Token: hush"), "hush"),
    ("a cookie file", Given::CookieFile, "session=hush"),
    ("user and password", Given::UserInfo, "Basic "),
];

#[derive(Clone, Copy)]
enum Given {
    Header(&'static str),
    CookieFile,
    UserInfo,
}

type MakeSite = fn(&Server) -> Site;

/// What the playlist's own server names of another's: the slot, a site of the fixture that comes last.
const SLOTS: [(&str, MakeSite, &str); 5] = [
    ("segment", |other| renamed("ts-h264-aac", "index1.ts", other), "ts-h264-aac"),
    ("key", |other| renamed("aes128", "key.bin", other), "aes128"),
    ("map", |other| renamed("fmp4-muxed", "index-init.mp4", other), "fmp4-muxed"),
    (
        "redirect",
        |other| Site::fixture("ts-h264-aac").always("/index1.ts", redirect(302, other.url("/index1.ts"))),
        "ts-h264-aac",
    ),
    (
        "variant",
        |other| {
            let text = multivariant(&["#EXT-X-STREAM-INF:BANDWIDTH=1", &other.url("/index.m3u8")]);
            Site::fixture("ts-h264-aac").put("/index.m3u8", text)
        },
        "ts-h264-aac",
    ),
];

/// A fixture whose playlist names one of its files at another server.
fn renamed(case: &str, name: &str, other: &Server) -> Site {
    let text = fs::read_to_string(fixture(case).join("index.m3u8")).unwrap();
    Site::fixture(case).put("/index.m3u8", text.replace(name, &other.url(&format!("/{name}"))))
}

/// A merge with these credentials.
fn with_credentials(sandbox: &Sandbox, given: Given, server: &Server) -> Outcome {
    let url = server.url("/index.m3u8");
    match given {
        Given::Header(header) => merge(sandbox, url, &["-H", header]),
        Given::CookieFile => merge(sandbox, url, &["--cookies", &cookie_file(sandbox, "127.0.0.1\tFALSE\t/")]),
        Given::UserInfo => merge(sandbox, url.replace("http://", "http://anne:hush@"), &[]),
    }
}

/// A file of one cookie, `session=hush`: for a domain, its subdomains or not, and a path.
fn cookie_file(sandbox: &Sandbox, scope: &str) -> String {
    let path = sandbox.input().join("cookies.txt");
    fs::write(&path, format!("# Netscape HTTP Cookie File\n{scope}\tFALSE\t0\tsession\thush\n")).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn credentials_stay_with_the_playlists_own_origin() {
    let rows = CREDENTIALS.iter().flat_map(|credential| {
        SLOTS.iter().map(move |slot| (format!("{} in {}", credential.0, slot.0), (credential, slot)))
    });
    each(rows, |((_, given, sent), (_, make, case))| {
        let other = Site::fixture(case).start_at("127.0.0.2");
        let server = make(&other).start();
        let sandbox = Sandbox::new();
        with_credentials(&sandbox, *given, &server).succeeded();
        is_clean(&sandbox, &clean(case));
        let has = |request: &&Request| request.text().contains(sent);
        let own = server.requests();
        assert_eq!(own.iter().filter(has).count(), own.len(), "the own origin has it: {own:#?}");
        let leaked: Vec<Request> =
            other.requests().into_iter().filter(|r| r.text().contains("hush") || has(&r)).collect();
        assert!(!other.requests().is_empty() && leaked.is_empty(), "leaked: {leaked:#?}");
    });
}

#[test]
fn another_port_is_another_origin() {
    for (name, given, sent) in CREDENTIALS.iter().filter(|(_, given, _)| !matches!(given, Given::CookieFile)) {
        let other = Site::fixture("ts-h264-aac").start();
        let server = renamed("ts-h264-aac", "index1.ts", &other).start();
        with_credentials(&Sandbox::new(), *given, &server).succeeded();
        let leaked = other.count(|request| request.text().contains(sent));
        assert_eq!(leaked, 0, "{name}");
    }
}

#[test]
fn cookies_go_where_their_file_says() {
    let rows = [
        ("this host", "127.0.0.1\tFALSE\t/", true),
        ("this host, for scripts out of reach", "#HttpOnly_127.0.0.1\tFALSE\t/", true),
        ("another host", "127.0.0.2\tFALSE\t/", false),
        ("a suffix of it", ".0.0.1\tTRUE\t/", false),
        ("another path", "127.0.0.1\tFALSE\t/elsewhere", false),
    ];
    each(rows.map(|row| (row.0.to_owned(), row)), |(_, scope, is_sent)| {
        let server = Site::fixture("ts-h264-aac").start();
        let sandbox = Sandbox::new();
        let file = cookie_file(&sandbox, scope);
        merge(&sandbox, server.url("/index.m3u8"), &["--cookies", &file]).succeeded();
        let sent = server.count(|request| request.header("Cookie").is_some_and(|c| c.contains("session=hush")));
        assert_eq!(sent, if is_sent { 4 } else { 0 });
    });
}

#[test]
fn a_secure_or_expired_cookie_is_not_sent_in_the_clear() {
    for line in ["127.0.0.1\tFALSE\t/\tTRUE\t0\tsession\thush", "127.0.0.1\tFALSE\t/\tFALSE\t1000\tsession\thush"] {
        let server = Site::fixture("ts-h264-aac").start();
        let sandbox = Sandbox::new();
        let path = sandbox.input().join("cookies.txt");
        fs::write(&path, format!("# Netscape HTTP Cookie File\n{line}\n")).unwrap();
        merge(&sandbox, server.url("/index.m3u8"), &["--cookies", path.to_str().unwrap()]).succeeded();
        assert_eq!(server.count(|request| request.text().contains("hush")), 0, "{line}");
    }
}

#[test]
fn there_is_no_referer_but_the_one_that_was_given() {
    let server = Site::fixture("ts-h264-aac").start();
    merges_to(&clean("ts-h264-aac"), server.url("/index.m3u8?token=hush"), &[]);
    assert_eq!(server.count(|request| request.header("Referer").is_some()), 0);
    let mine = "https://watch.example/5";
    merges_to(&clean("ts-h264-aac"), server.url("/index.m3u8"), &["--referer", mine, "--user-agent", "mine/1"]);
    assert_eq!(server.count(|request| request.header("Referer") == Some(mine)), 4);
    assert_eq!(server.count(|request| request.header("User-Agent") == Some("mine/1")), 4);
}

#[test]
fn headers_that_are_none_are_refused() {
    let rows = ["no colon", "A: b\r\nX-Injected: 1", "A: b\nc", ": empty", "A b: c", "A: b\u{0}c"];
    // A NUL cannot be an argument at all.
    each(rows.into_iter().filter(|row| !row.contains('\0')).map(|row| (format!("{row:?}"), row)), |header| {
        let server = Site::fixture("ts-h264-aac").start();
        let sandbox = Sandbox::new();
        let outcome = merge(&sandbox, server.url("/index.m3u8"), &["-H", header]);
        assert_eq!(outcome.code, Some(USAGE), "{outcome:#?}");
        assert_eq!(server.requests().len(), 0);
    });
}

/// Everything that a run left or said.
fn traces(sandbox: &Sandbox, outcome: &Outcome) -> Vec<u8> {
    let mut all = format!("{outcome:?}").into_bytes();
    for path in files_below(&sandbox.temp()).iter().chain(&files_below(&sandbox.output(""))) {
        all.extend_from_slice(path.to_string_lossy().as_bytes());
        all.extend(fs::read(path).unwrap());
    }
    all
}

fn has(haystack: &[u8], needle: &[u8]) -> bool {
    memchr::memmem::find(haystack, needle).is_some()
}

#[test]
fn no_secret_is_said_or_stored() {
    let long = Long { many: 12, bytes: 0 };
    let site = long.site().put("/index.m3u8", long.playlist("?token=hush"));
    let faults: [(&str, Site); 5] = [
        ("all well", site.clone()),
        ("an error for good", site.clone().always("/seg0007.ts", status(404))),
        ("a failure that passes", site.clone().always("/seg0007.ts", status(503))),
        ("no playlist", site.clone().always("/index.m3u8", status(404))),
        (
            "a page that repeats it",
            site.always(
                "/seg0007.ts",
                answer(|request, _| {
                    let mut reply = page(403);
                    reply.headers.push(("X-Echo".into(), request.text().replace('\n', " ")));
                    reply
                }),
            ),
        ),
    ];
    let arguments = [&["--json", "--progress", "json"][..], &["-vv"]].concat();
    each(faults.into_iter().map(|(name, site)| (name.to_owned(), site)), |site| {
        let server = site.start();
        let sandbox = Sandbox::new();
        let url = server.url("/index.m3u8?token=hush").replace("http://", "http://anne:hush@");
        let mut command = crate::run::avweld(&["merge", &url, "-o"]);
        command.arg(sandbox.output("out.mp4")).arg("--temp-dir").arg(sandbox.temp()).args(&arguments);
        crate::run::quick(
            &mut command,
            &["--keep-temp", "--retries", "1", "-H", "Authorization: Bearer hush2", "-H", "Cookie: c=hush3"],
        );
        let outcome = crate::run::run(command);
        let all = traces(&sandbox, &outcome);
        assert!(!has(&all, b"hush"), "{outcome:#?}\n{:?}", files_below(&sandbox.temp()));
        assert!(!has(&all, base64("anne:hush").as_bytes()), "{outcome:#?}");
        assert!(server.requests()[0].text().contains("hush"));
    });
}

#[test]
fn a_key_is_stored_nowhere() {
    let key = fs::read(fixture("aes128/key.bin")).unwrap();
    let server = Site::fixture("aes128").always("/2.ts", status(503)).start();
    let sandbox = Sandbox::new();
    let outcome = merge(&sandbox, server.url("/index.m3u8"), &["--keep-temp", "--retries", "1", "-vv"]);
    assert_eq!(outcome.code, Some(crate::run::TEMPORARY), "{outcome:#?}");
    let all = traces(&sandbox, &outcome);
    assert!(!has(&all, &key) && !has(&all, hex::encode(&key).as_bytes()));
}

#[test]
fn a_url_in_an_error_has_no_query() {
    let long = Long { many: 3, bytes: 0 };
    let server =
        long.site().put("/index.m3u8", long.playlist("?token=hush")).always("/seg0001.ts", status(404)).start();
    let outcome = refused(BAD_DATA, server.url("/index.m3u8"), &["-vv"]).names_segment(1, "seg0001.ts");
    assert!(!format!("{outcome:?}").contains("hush"), "{outcome:#?}");
}

#[test]
fn the_default_output_is_named_after_the_path_and_not_the_query() {
    let server = Site::fixture("ts-h264-aac").start();
    let sandbox = Sandbox::new();
    let mut command = crate::run::avweld(&["merge", &server.url("/index.m3u8?token=hush"), "-q"]);
    command.current_dir(sandbox.output(""));
    let outcome = crate::run::run(command);
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    assert_eq!(sandbox.outputs(), ["index.mp4"]);
}
