//! What is sent where, and where nothing is sent at all.

use super::server::{Reply, Server, answer};
use super::{fetch, options, request};
use crate::error::ErrorKind;
use crate::options::{AddressPolicy, NetworkOptions};

fn given(headers: &[(&str, &str)]) -> NetworkOptions {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    NetworkOptions { headers, ..options() }
}

#[test]
fn no_secret_follows_a_redirect_to_another_origin() {
    let foreign = Server::start(|_, _| Reply::Bytes(answer("200 OK", "", b"body")));
    let target = foreign.url("/b");
    let own = Server::start(move |n, _| {
        let location = if n == 0 { "/next".to_owned() } else { target.to_string() };
        Reply::Bytes(answer("307 Temporary Redirect", &format!("Location: {location}\r\n"), b""))
    });
    let cookies = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(cookies.path(), "h.example\tFALSE\t/\tFALSE\t0\tc\thush\n").unwrap();
    let mut url = own.url("/a?token=hush");
    url.set_username("me").unwrap();
    url.set_password(Some("hush")).unwrap();
    let names = ["Authorization", "Cookie", "X-Api-Key", "X-Session", "Proxy-Authorization", "Host"];
    let mut options = given(&names.map(|name| (name, "hush")));
    options.headers.push(("Accept-Language".to_owned(), "de".to_owned()));
    options.cookies = Some(cookies.path().to_owned());
    for options in [options, NetworkOptions { headers: Vec::new(), ..self::options() }] {
        fetch(&options, &url, request(&url, None)).unwrap();
    }
    for seen in foreign.seen() {
        assert!(!seen.head.contains("hush") && seen.header("authorization").is_empty(), "{}", seen.head);
        assert_eq!(seen.header("referer"), "");
    }
    assert_eq!(foreign.seen()[0].header("accept-language"), "de");
    assert_eq!(own.seen()[0].header("x-api-key"), "hush");
}

#[test]
fn user_and_password_of_the_url_go_to_its_own_origin_and_a_header_outranks_them() {
    let server = Server::start(|_, _| Reply::Bytes(answer("200 OK", "", b"body")));
    let mut origin = server.url("/index.m3u8");
    origin.set_username("me").unwrap();
    origin.set_password(Some("hush")).unwrap();
    // As a playlist names it: in full, and so without the user.
    fetch(&options(), &origin, request(&server.url("/a"), None)).unwrap();
    fetch(&given(&[("Authorization", "Bearer x")]), &origin, request(&origin, None)).unwrap();
    let found: Vec<_> = server.seen().iter().map(|seen| seen.header("authorization")).collect();
    assert_eq!(found, ["Basic bWU6aHVzaA==", "Bearer x"]);
}

#[test]
fn headers_copied_out_of_a_browser_do_no_harm() {
    let server = Server::start(|_, _| Reply::Bytes(answer("200 OK", "", b"body")));
    let headers = [
        ("User-Agent", "Browser"),
        ("Accept-Encoding", "gzip, br"),
        ("Range", "bytes=7-"),
        ("If-None-Match", "\"x\""),
        ("Connection", "keep-alive"),
        ("Content-Length", "5"),
        ("Cookie", "a=1"),
    ];
    let cookies = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(cookies.path(), "127.0.0.1\tFALSE\t/\tFALSE\t0\tb\t2\n").unwrap();
    let options = NetworkOptions { cookies: Some(cookies.path().to_owned()), ..given(&headers) };
    fetch(&options, &server.url("/"), request(&server.url("/a"), None)).unwrap();
    let seen = &server.seen()[0];
    assert_eq!(seen.header("user-agent"), "Browser");
    assert_eq!(seen.header("accept-encoding"), "identity");
    assert_eq!(seen.header("cookie"), "a=1; b=2");
    for name in ["range", "if-none-match", "content-length"] {
        assert_eq!(seen.header(name), "", "{name}");
    }
}

#[test]
fn nothing_is_asked_of_an_address_that_is_refused() {
    let canary = Server::start(|_, _| Reply::Bytes(answer("200 OK", "", b"body")));
    let port = canary.url("/").port().unwrap();
    // The job's own URL is a public one, which nothing connects to.
    let origin = url::Url::parse("http://8.8.8.8/index.m3u8").unwrap();
    for host in ["127.0.0.1", "2130706433", "[::ffff:127.0.0.1]", "localhost", "localhost.", "a.localhost"] {
        let url = url::Url::parse(&format!("http://{host}:{port}/a?hush")).unwrap();
        let error = fetch(&options(), &origin, request(&url, None)).map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{host}");
        assert!(!error.to_string().contains("hush"), "{error}");
    }
    assert_eq!(canary.seen().len(), 0);
}

#[test]
fn a_redirect_to_a_refused_address_is_not_followed() {
    let canary = Server::start(|_, _| Reply::Bytes(answer("200 OK", "", b"body")));
    let port = canary.url("/").port().unwrap();
    let own = Server::start(move |_, _| {
        Reply::Bytes(answer("302 Found", &format!("Location: http://127.0.0.2:{port}/\r\n"), b""))
    });
    // Beside its own, this job reaches public addresses only.
    let options = NetworkOptions { address_policy: AddressPolicy::Public, ..options() };
    let error = fetch(&options, &own.url("/"), request(&own.url("/a"), None)).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert_eq!((own.seen().len(), canary.seen().len()), (1, 0));
}
