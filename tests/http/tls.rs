//! Certificates that are valid, and those that are not.

use crate::nginx::Nginx;
use crate::run::{DENIED, USAGE, clean, each, merge, merges_to, refused};
use crate::sandbox::{Sandbox, fixture};

const PATH: &str = "/ts-h264-aac/index.m3u8";

#[test]
fn a_certificate_that_is_not_valid_is_refused_in_one_line() {
    let nginx = Nginx::serve(&fixture(""));
    let rows: [(&str, String, bool, &[&str]); 3] = [
        ("expired", nginx.expired(PATH), true, &["certificate", "expired"]),
        ("of another host", nginx.foreign(PATH), true, &["certificate"]),
        ("by an unknown authority", nginx.https(PATH), false, &["certificate", "--cacert"]),
    ];
    each(rows.into_iter().map(|row| (row.0.to_owned(), row)), |(_, url, trusted, words)| {
        let cacert = ["--cacert", nginx.authority()];
        let outcome = refused(DENIED, &url, if trusted { &cacert } else { &[] }).says(words);
        assert_eq!(outcome.report["error"]["retryable"], false, "{outcome:#?}");
        assert_eq!(nginx.accesses().len(), 0, "something was asked for");
    });
}

#[test]
fn a_redirect_leads_from_http_to_https_and_not_back() {
    let folder = tempfile::tempdir().unwrap();
    crate::sandbox::copy_fixture("ts-h264-aac", folder.path());
    let text = std::fs::read_to_string(folder.path().join("index.m3u8")).unwrap();
    std::fs::write(folder.path().join("down.m3u8"), text.replace("index1", "down/index1")).unwrap();
    let nginx = Nginx::serve(folder.path());
    let (clean, cacert) = (clean("ts-h264-aac"), ["--cacert", nginx.authority()]);
    merges_to(&clean, nginx.url("/up/index.m3u8"), &cacert);
    for path in ["/down/index.m3u8", "/down.m3u8"] {
        let before = nginx.accesses().len();
        refused(DENIED, nginx.https(path), &cacert).says(&["--allow-insecure-segments"]);
        let downgraded = nginx.accesses().split_off(before).into_iter().filter(|a| a.protocol == "HTTP/1.1");
        assert_eq!(downgraded.count(), 0, "{path}");
        merges_to(&clean, nginx.https(path), &[cacert[0], cacert[1], "--allow-insecure-segments"]);
    }
}

#[test]
fn insecure_takes_any_certificate_and_warns_each_time() {
    let nginx = Nginx::serve(&fixture(""));
    let clean = clean("ts-h264-aac");
    for url in [nginx.expired(PATH), nginx.foreign(PATH), nginx.https(PATH)] {
        let outcome = merges_to(&clean, url, &["--insecure"]);
        let told = format!("{} {}", outcome.said, outcome.report["warnings"]).to_lowercase();
        assert!(told.contains("certificate") || told.contains("insecure"), "no warning: {outcome:#?}");
    }
    // And people are told without asking for it.
    let sandbox = Sandbox::new();
    let mut command = crate::run::avweld(&["merge", &nginx.expired(PATH), "--insecure", "-o"]);
    command.arg(sandbox.output("out.mp4"));
    let outcome = crate::run::run(command);
    assert!(outcome.said.contains("warning: certificates are not checked"), "{outcome:#?}");
}

#[test]
fn a_file_without_certificates_is_a_usage_error() {
    let sandbox = Sandbox::new();
    let file = fixture("ts-h264-aac").join("index.m3u8");
    for file in [file.to_str().unwrap(), "/nowhere/ca.pem"] {
        let outcome = merge(&sandbox, "https://127.0.0.1:1/index.m3u8", &["--cacert", file, "--retries", "0"]);
        assert!(matches!(outcome.code, Some(USAGE | 66)), "{outcome:#?}");
        assert_eq!(sandbox.outputs(), [""; 0]);
    }
}

#[test]
fn a_merge_from_disk_needs_no_certificates() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(fixture("ts-h264-aac").join("index.m3u8"), sandbox.output("out.mp4"));
    command.env("SSL_CERT_FILE", "/nowhere").env("SSL_CERT_DIR", "/nowhere");
    assert!(command.output().unwrap().status.success());
}
