//! Requests that a playlist or a server steers to addresses that are none of its business.

use std::fs;

use crate::fault::{Site, redirect};
use crate::media::{playlist, segment_of};
use crate::proxy::{Kind, Manners, Proxy};
use crate::run::{DENIED, each, merge, refused};
use crate::sandbox::Sandbox;

/// What stands in a URL as its host, and whether it is 127.0.0.1 itself, which the user may have named.
const SPELLINGS: [(&str, bool); 44] = [
    // Loopback.
    ("127.0.0.1", true),
    ("127.1", true),
    ("127.0.1", true),
    ("2130706433", true),
    ("0x7f000001", true),
    ("0x7f.1", true),
    ("0177.0.0.1", true),
    ("017700000001", true),
    ("127.0.0.1.", true),
    ("%31%32%37.0.0.1", true),
    ("127\u{3002}0\u{3002}0\u{3002}1", true),
    ("\u{2460}\u{2461}\u{2466}.0.0.1", true),
    ("media.example@127.0.0.1", true),
    ("[::ffff:127.0.0.1]", true),
    ("[::ffff:7f00:1]", true),
    ("127.0.0.2", false),
    ("2130706434", false),
    ("127.255.255.254", false),
    ("[::ffff:127.0.0.2]", false),
    ("[::ffff:7f00:2]", false),
    ("[::127.0.0.2]", false),
    ("[64:ff9b::7f00:2]", false),
    ("[2002:7f00:2::]", false),
    ("[::1]", false),
    ("[0:0:0:0:0:0:0:1]", false),
    // This host, as unspecified.
    ("0.0.0.0", false),
    ("0", false),
    ("[::]", false),
    // Private.
    ("10.0.0.1", false),
    ("0xa.1", false),
    ("172.16.0.1", false),
    ("192.168.1.1", false),
    ("100.64.0.1", false),
    ("198.18.0.1", false),
    ("[fc00::1]", false),
    ("[fd12:3456::1]", false),
    ("[::ffff:10.0.0.1]", false),
    // Of this link, and of many.
    ("169.254.169.254", false),
    ("2852039166", false),
    ("[::ffff:a9fe:a9fe]", false),
    ("[fe80::1]", false),
    ("224.0.0.1", false),
    ("255.255.255.255", false),
    ("[ff02::1]", false),
];

/// Names that resolve to loopback, where they resolve at all.
const NAMES: [&str; 4] = ["localhost", "LOCALHOST", "localhost.", "a.localhost"];

/// Listens on every address of this machine.
fn canary() -> crate::server::Server {
    Site::fixture("ts-h264-aac").start_at("::")
}

const IMPATIENT: [&str; 4] = ["--connect-timeout", "2", "--retries", "0"];

#[test]
fn a_local_playlist_leads_to_public_addresses_alone() {
    let canary = canary();
    let port = canary.address().port();
    let hosts = SPELLINGS.iter().map(|(host, _)| *host).chain(NAMES);
    each(hosts.map(|host| (host.to_owned(), host)), |host| {
        let sandbox = Sandbox::new();
        let path = sandbox.input().join("saved.m3u8");
        fs::write(&path, segment_of(&format!("http://{host}:{port}/index0.ts"))).unwrap();
        let outcome = merge(&sandbox, &path, &IMPATIENT);
        // A name that this system does not know leads nowhere.
        let unknown = host == "a.localhost" && outcome.code == Some(crate::run::TEMPORARY);
        assert!(unknown || outcome.code == Some(DENIED), "{outcome:#?}");
        assert_eq!(sandbox.outputs(), [""; 0]);
        assert_eq!(canary.connections(), 0, "it was connected to");
    });
}

#[test]
fn the_canary_sings_when_the_policy_lets_it() {
    let canary = canary();
    let port = canary.address().port();
    for host in ["127.0.0.2", "[::1]", "2130706434", "localhost"] {
        let sandbox = Sandbox::new();
        let path = sandbox.input().join("saved.m3u8");
        fs::write(&path, segment_of(&format!("http://{host}:{port}/index0.ts"))).unwrap();
        let before = canary.connections();
        merge(&sandbox, &path, &["--address-policy", "any"]).succeeded();
        assert!(canary.connections() > before, "{host}");
    }
}

#[test]
fn a_redirect_leads_to_public_addresses_alone_where_the_policy_says_so() {
    let canary = canary();
    let port = canary.address().port();
    let hosts = SPELLINGS.iter().filter(|(_, is_given)| !is_given).map(|(host, _)| *host);
    let rows = hosts.enumerate().map(|(n, host)| {
        let path = if n % 3 == 0 { "/index.m3u8" } else { "/index0.ts" };
        (format!("{path} to {host}"), (host, path))
    });
    each(rows, |(host, path)| {
        let server =
            Site::fixture("ts-h264-aac").always(path, redirect(302, format!("http://{host}:{port}{path}"))).start();
        let arguments = [&IMPATIENT[..], &["--address-policy", "public"]].concat();
        refused(DENIED, server.url("/index.m3u8"), &arguments);
        assert_eq!(canary.connections(), 0, "it was connected to");
    });
}

#[test]
fn what_is_public_leads_to_nothing_private() {
    // The public web is a proxy's: it serves the playlist of a public name, and would serve everything else too.
    let server = Site::fixture("ts-h264-aac");
    let rows = SPELLINGS.iter().enumerate().map(|(n, (host, _))| {
        let slot = if n % 2 == 0 { "segment" } else { "redirect" };
        (format!("{slot} {host}"), (*host, slot))
    });
    each(rows, |(host, slot)| {
        let uri = format!("http://{host}:8080/index1.ts");
        let site = match slot {
            "segment" => server.clone().put("/index.m3u8", segment_of(&uri)),
            _ => server.clone().always("/index1.ts", redirect(302, uri)),
        };
        let server = site.start();
        let proxy = Proxy::start(Kind::Http, Manners::Open, server.address());
        let proxy_url = format!("http://{}", proxy.address());
        let arguments = [&IMPATIENT[..], &["--proxy", &proxy_url]].concat();
        refused(DENIED, "http://media.example/index.m3u8", &arguments);
        let hosts = server.requests().into_iter().map(|request| request.host.unwrap());
        assert!(hosts.into_iter().all(|host| host == "media.example"), "{:?}", proxy.asked());
    });
}

#[test]
fn loopback_may_lead_to_loopback() {
    let other = Site::fixture("ts-h264-aac").start_at("127.0.0.2");
    let lines = [0, 1, 2].map(|n| format!("#EXTINF:1,\n{}", other.url(&format!("/index{n}.ts"))));
    let text = playlist(&[&lines[0], &lines[1], &lines[2]]);
    let server = Site::new().put("/index.m3u8", text).start();
    crate::run::merges_to(&crate::run::clean("ts-h264-aac"), server.url("/index.m3u8"), &[]);
}
