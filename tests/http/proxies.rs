//! Proxies: by option and by the environment.

use std::net::TcpListener;

use crate::fault::Site;
use crate::nginx::Nginx;
use crate::proxy::{Kind, Manners, Proxy, base64};
use crate::run::{DENIED, TEMPORARY, clean, command, each, is_clean, merges_to, refused, run};
use crate::sandbox::{Sandbox, fixture};

/// A name that only a proxy can reach.
const PUBLIC: &str = "http://media.example/index.m3u8";

#[test]
fn an_http_proxy_is_asked_in_its_own_way() {
    let server = Site::fixture("ts-h264-aac").start();
    let proxy = Proxy::start(Kind::Http, Manners::Open, server.address());
    merges_to(&clean("ts-h264-aac"), PUBLIC, &["--proxy", &format!("http://{}", proxy.address())]);
    assert!(server.requests().iter().all(|request| request.host.as_deref() == Some("media.example")));
    assert_eq!(server.requests().len(), 4);
    assert!(proxy.asked().iter().all(|head| head.starts_with("GET http://media.example/")), "{:?}", proxy.asked());
}

#[test]
fn https_goes_through_a_tunnel() {
    let nginx = Nginx::serve(&fixture(""));
    let to = ([127, 0, 0, 1], nginx.tls_port()).into();
    for kind in [Kind::Http, Kind::Socks5] {
        let proxy = Proxy::start(kind, Manners::Open, to);
        let scheme = if kind == Kind::Http { "http" } else { "socks5h" };
        let proxy_url = format!("{scheme}://{}", proxy.address());
        let url = format!("https://media.example:{}/ts-h264-aac/index.m3u8", nginx.tls_port());
        merges_to(&clean("ts-h264-aac"), url, &["--proxy", &proxy_url, "--cacert", nginx.authority()]);
        let asked = proxy.asked();
        assert!(!asked.is_empty() && asked.iter().all(|what| what.contains("media.example")), "{asked:?}");
        assert!(!asked.iter().any(|what| what.contains("index")), "the proxy saw what was asked for: {asked:?}");
    }
}

#[test]
fn a_socks_proxy_passes_on() {
    let server = Site::fixture("ts-h264-aac").start();
    let proxy = Proxy::start(Kind::Socks5, Manners::Open, server.address());
    let rows = [
        ("socks5h resolves names by itself", "socks5h", PUBLIC.to_owned(), "media.example:80"),
        ("socks5 is given addresses", "socks5", server.url("/index.m3u8"), "127.0.0.1"),
    ];
    each(rows.map(|row| (row.0.to_owned(), row)), |(_, scheme, url, asked)| {
        merges_to(&clean("ts-h264-aac"), url, &["--proxy", &format!("{scheme}://{}", proxy.address())]);
        assert!(proxy.asked().last().unwrap().starts_with(asked), "{:?}", proxy.asked());
    });
}

#[test]
fn a_proxys_password_goes_to_the_proxy_alone() {
    let server = Site::fixture("ts-h264-aac").start();
    for kind in [Kind::Http, Kind::Socks5] {
        let proxy = Proxy::start(kind, Manners::Password("anne", "hush"), server.address());
        let scheme = if kind == Kind::Http { "http" } else { "socks5h" };
        let with = |user: &str| format!("{scheme}://{user}@{}", proxy.address());
        let outcome = merges_to(&clean("ts-h264-aac"), PUBLIC, &["-vv", "--proxy", &with("anne:hush")]);
        assert!(!outcome.said.contains("hush"), "{outcome:#?}");
        let secret = base64("anne:hush");
        assert!(!server.requests().iter().any(|request| request.text().contains(&secret)));

        let sandbox = Sandbox::new();
        let outcome = crate::run::merge(&sandbox, PUBLIC, &["-vv", "--retries", "0", "--proxy", &with("anne:murmur")]);
        match kind {
            Kind::Http => assert_eq!(outcome.code, Some(DENIED), "407: {outcome:#?}"),
            Kind::Socks5 => assert!(matches!(outcome.code, Some(DENIED | TEMPORARY)), "{outcome:#?}"),
        }
        assert!(!format!("{outcome:?}").contains("murmur"), "{outcome:#?}");
    }
}

#[test]
fn a_proxy_that_refuses_is_a_temporary_failure() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = Site::fixture("ts-h264-aac").start();
    let http = Proxy::start(Kind::Http, Manners::Refuse(502), server.address());
    let socks = Proxy::start(Kind::Socks5, Manners::Refuse(0), server.address());
    let rows = [
        ("nobody there", format!("http://anne:hush@{gone}"), PUBLIC),
        ("nobody there, SOCKS", format!("socks5h://anne:hush@{gone}"), PUBLIC),
        ("502", format!("http://{}", http.address()), PUBLIC),
        ("502 to CONNECT", format!("http://{}", http.address()), "https://media.example/index.m3u8"),
        ("SOCKS's failure", format!("socks5h://{}", socks.address()), PUBLIC),
    ];
    each(rows.map(|row| (row.0.to_owned(), row)), |(_, proxy, url)| {
        let outcome = refused(TEMPORARY, url, &["--retries", "1", "--proxy", &proxy]);
        assert!(!outcome.words().contains("hush"), "{outcome:#?}");
        assert!(outcome.words().contains("proxy") || outcome.words().contains("502"), "{outcome:#?}");
    });
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn proxies_come_from_the_environment() {
    let server = Site::fixture("ts-h264-aac").start();
    let own = server.url("/index.m3u8");
    /// Name, variables, URL, and whether it goes through the proxy.
    type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str, bool);
    let rows: [Row<'_>; 9] = [
        ("http_proxy", &[("http_proxy", "PROXY")], PUBLIC, true),
        ("HTTP_PROXY, which a web server sets for its programs", &[("HTTP_PROXY", "PROXY")], &own, false),
        ("ALL_PROXY", &[("ALL_PROXY", "PROXY")], PUBLIC, true),
        ("all_proxy", &[("all_proxy", "PROXY")], PUBLIC, true),
        ("HTTPS_PROXY is for https", &[("HTTPS_PROXY", "PROXY")], &own, false),
        ("NO_PROXY by address", &[("http_proxy", "PROXY"), ("NO_PROXY", "127.0.0.1")], &own, false),
        ("no_proxy by network", &[("http_proxy", "PROXY"), ("no_proxy", "x.example,127.0.0.0/8")], &own, false),
        ("NO_PROXY for all", &[("http_proxy", "PROXY"), ("NO_PROXY", "*")], &own, false),
        ("NO_PROXY of another", &[("http_proxy", "PROXY"), ("NO_PROXY", "other.example")], PUBLIC, true),
    ];
    each(rows.map(|row| (row.0.to_owned(), row)), |(_, environment, url, through)| {
        let proxy = Proxy::start(Kind::Http, Manners::Open, server.address());
        let sandbox = Sandbox::new();
        let mut command = command(&sandbox, url, &[]);
        for (name, value) in environment {
            command.env(name, value.replace("PROXY", &format!("http://{}", proxy.address())));
        }
        run(command).succeeded();
        is_clean(&sandbox, &clean("ts-h264-aac"));
        assert_eq!(!proxy.asked().is_empty(), through, "{:?}", proxy.asked());
    });
}

#[test]
fn an_option_outranks_the_environment() {
    let server = Site::fixture("ts-h264-aac").start();
    let proxies = [(); 2].map(|()| Proxy::start(Kind::Http, Manners::Open, server.address()));
    let sandbox = Sandbox::new();
    let mut command = command(&sandbox, PUBLIC, &["--proxy", &format!("http://{}", proxies[0].address())]);
    command.env("http_proxy", format!("http://{}", proxies[1].address()));
    run(command).succeeded();
    assert_eq!(proxies.map(|proxy| proxy.asked().is_empty()), [false, true]);
}
