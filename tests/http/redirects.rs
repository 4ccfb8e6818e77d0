//! Redirects: followed, counted, judged.

use crate::fault::{Site, redirect};
use crate::media::segment_of;
use crate::run::{BAD_DATA, DENIED, NOT_FOUND, TEMPORARY, UNSUPPORTED, clean, each, merge, merges_to};
use crate::sandbox::Sandbox;

#[test]
fn every_kind_of_redirect_is_followed() {
    let clean = clean("ts-h264-aac");
    let rows = [301, 302, 303, 307, 308].into_iter().flat_map(|code| ["/index.m3u8", "/index1.ts"].map(|p| (code, p)));
    each(rows.map(|(code, path)| (format!("{code} of {path}"), (code, path))), |(code, path)| {
        let moved = format!("/moved{path}?token=1");
        let site = Site::fixture("ts-h264-aac");
        let mut site = ["index0.ts", "index1.ts", "index2.ts", "index.m3u8"].iter().fold(site, |site, name| {
            let content = site.files.get(&format!("/{name}")).unwrap().to_vec();
            site.put(&format!("/moved/{name}"), content)
        });
        site = site.always(path, redirect(code, moved));
        merges_to(&clean, site.start().url("/index.m3u8"), &[]);
    });
}

#[test]
fn what_a_playlist_names_is_relative_to_where_it_was_found() {
    let fixture = Site::fixture("ts-h264-aac");
    let mut site = Site::new().on("/index.m3u8", [redirect(302, "elsewhere/deep/index.m3u8")]);
    for name in ["index.m3u8", "index0.ts", "index1.ts", "index2.ts"] {
        let content = fixture.files.get(&format!("/{name}")).unwrap().to_vec();
        site = site.put(&format!("/elsewhere/deep/{name}"), content);
    }
    let server = site.start();
    merges_to(&clean("ts-h264-aac"), server.url("/index.m3u8"), &[]);
    assert_eq!(server.count(|request| request.path.starts_with("/elsewhere/deep/index")), 4);
}

#[test]
fn ten_redirects_are_followed_and_eleven_are_not() {
    let chain = |hops: usize, path: &str| {
        let site = Site::fixture("ts-h264-aac");
        let last = format!("/hop{hops}");
        let content = site.files.get(path).unwrap().to_vec();
        let site = site.put(&last, content).always(path, redirect(302, "/hop1"));
        (1..hops).fold(site, |site, hop| site.always(&format!("/hop{hop}"), redirect(302, format!("/hop{}", hop + 1))))
    };
    for path in ["/index1.ts", "/index.m3u8"] {
        merges_to(&clean("ts-h264-aac"), chain(10, path).start().url("/index.m3u8"), &[]);
        let server = chain(11, path).start();
        let outcome = merge(&Sandbox::new(), server.url("/index.m3u8"), &["--retries", "0"]).says(&["redirect"]);
        assert!(matches!(outcome.code, Some(BAD_DATA | NOT_FOUND | UNSUPPORTED | TEMPORARY | DENIED)), "{outcome:#?}");
        assert_eq!(server.requests_of("/hop11").len(), 0);
    }
}

#[test]
fn redirects_that_lead_nowhere_end() {
    let rows = [
        ("in a circle", Some("/index1.ts")),
        ("without Location", None),
        ("to what is no URL", Some("http://[")),
        ("to an empty Location", Some("")),
    ];
    each(rows.map(|(name, location)| (name.to_owned(), location)), |location| {
        let answer = match location {
            Some(location) => redirect(302, location),
            None => crate::fault::status(302),
        };
        let server = Site::fixture("ts-h264-aac").always("/index1.ts", answer).start();
        let sandbox = Sandbox::new();
        let outcome = merge(&sandbox, server.url("/index.m3u8"), &["--retries", "1"]);
        assert!(matches!(outcome.code, Some(BAD_DATA | UNSUPPORTED | TEMPORARY | DENIED)), "{outcome:#?}");
        assert_eq!(sandbox.outputs(), [""; 0]);
        let asked = server.requests_of("/index1.ts").len();
        assert!(asked <= 11 * 4, "asked {asked} times");
    });
}

#[test]
fn a_redirect_to_another_scheme_is_refused() {
    let targets = [
        "file:///etc/hostname",
        "FILE:/etc/hostname",
        "ftp://127.0.0.1/a.ts",
        "rtmp://127.0.0.1/a",
        "data:video/mp2t;base64,R0AAEA==",
        "javascript:alert(1)",
        "gopher://127.0.0.1/",
    ];
    let rows = targets.iter().flat_map(|target| {
        ["/index.m3u8", "/index1.ts", "/key.bin"].map(|path| (format!("{path} to {target}"), (*target, path)))
    });
    each(rows, |(target, path)| {
        let site = match path {
            "/key.bin" => Site::fixture("aes128"),
            _ => Site::fixture("ts-h264-aac"),
        };
        let server = site.always(path, redirect(302, target)).start();
        crate::run::refused(DENIED, server.url("/index.m3u8"), &[]);
        assert_eq!(server.requests_of(path).len(), 1, "refused for good");
    });
}

#[test]
fn a_query_in_a_redirect_is_told_nobody() {
    let server = Site::new()
        .put("/index.m3u8", segment_of("a.ts"))
        .always("/a.ts", redirect(302, "/gone.ts?token=hush"))
        .start();
    let outcome = crate::run::refused(BAD_DATA, server.url("/index.m3u8"), &["-vv"]);
    assert!(!outcome.words().contains("hush"), "{outcome:#?}");
    assert!(server.requests_of("/gone.ts").iter().all(|request| request.query.as_deref() == Some("token=hush")));
}

#[test]
fn an_init_section_and_a_key_may_move_too() {
    let site = Site::fixture("fmp4-muxed");
    let init = site.files.get("/index-init.mp4").unwrap().to_vec();
    let site = site.put("/b/init.mp4", init).always("/index-init.mp4", redirect(307, "b/init.mp4"));
    merges_to(&clean("fmp4-muxed"), site.start().url("/index.m3u8"), &[]);

    let site = Site::fixture("aes128");
    let key = site.files.get("/key.bin").unwrap().to_vec();
    let server = site.put("/b/key", key).always("/key.bin", redirect(307, "b/key")).start();
    merges_to(&clean("aes128"), server.url("/index.m3u8"), &[]);
    assert_eq!(server.requests_of("/key.bin").len(), 1);
}

#[test]
fn ranges_go_along() {
    let site = Site::fixture("ts-byterange");
    let all = site.files.get("/all.ts").unwrap().to_vec();
    let server = site.put("/b/all.ts", all).always("/all.ts", redirect(302, "b/all.ts")).start();
    merges_to(&clean("ts-byterange"), server.url("/index.m3u8"), &[]);
    let requests = server.requests_of("/b/all.ts");
    assert!(requests.iter().all(|request| request.status == 206), "{requests:#?}");
}
