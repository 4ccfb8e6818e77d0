//! Which of the user's headers are secrets, and how a URL is shown without its own.

use url::Url;

use crate::error::{Error, ErrorKind, Result};

/// A header whose name holds one of these carries credentials.
const CREDENTIALS: [&str; 10] =
    ["auth", "token", "key", "secret", "session", "cookie", "passw", "credential", "signature", "jwt"];
/// A URL is shown up to this length, in characters.
const SHOWN_CHARS: usize = 160;

/// True if a header of this name is for the origin of the job's own URL alone.
pub(super) fn carries_credentials(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    CREDENTIALS.iter().any(|word| name.contains(word))
}

/// A URL for messages: without user, query and fragment, and not too long.
pub(super) fn shown(url: &Url) -> String {
    let mut shown = format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default());
    if let Some(port) = url.port() {
        shown.push_str(&format!(":{port}"));
    }
    shown.push_str(url.path());
    if let Some((end, _)) = shown.char_indices().nth(SHOWN_CHARS) {
        shown.truncate(end);
        shown.push('…');
    }
    shown
}

/// Refuses a header that could not be sent as it is, or that would forge another (RFC 9110, 5.5 and 5.6.2).
///
/// A value may hold characters beyond ASCII, which are sent as UTF-8.
///
/// # Errors
///
/// [`ErrorKind::Usage`], without the value.
pub(super) fn check_header(name: &str, value: &str) -> Result<()> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(token) {
        // What stands in a wrong name may be a value that lost its colon.
        return Err(Error::new(ErrorKind::Usage, "a header's name is empty or holds what no name may hold")
            .with_hint("a header is written as 'Name: value'"));
    }
    if value.contains(char::is_control) {
        let message = format!("the value of header {name} holds a control character");
        return Err(Error::new(ErrorKind::Usage, message).with_hint("write it in one line, without tabs"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use reqwest::header::{HeaderName, HeaderValue};

    #[test]
    fn credentials_are_told_by_their_names() {
        let secrets = [
            "Authorization",
            "PROXY-AUTHORIZATION",
            "cookie",
            "Cookie2",
            "X-Api-Key",
            "x-amz-security-token",
            "X-Auth",
            "X-Session-Id",
            "client-secret",
            "X-CSRF-Token",
            "X-Goog-Signature",
        ];
        for name in secrets {
            assert!(carries_credentials(name), "{name}");
        }
        for name in ["Accept", "Accept-Language", "User-Agent", "Referer", "Origin", "DNT", "X-Requested-With"] {
            assert!(!carries_credentials(name), "{name}");
        }
    }

    #[test]
    fn a_url_is_shown_without_its_secrets() {
        let cases = [
            ("https://u:hush@h.example:8443/a/b.ts?token=hush#hush", "https://h.example:8443/a/b.ts"),
            ("HTTPS://H.example:443", "https://h.example/"),
            ("http://[::1]:80/%0d%0a?hush", "http://[::1]/%0d%0a"),
        ];
        for (url, expected) in cases {
            assert_eq!(shown(&Url::parse(url).unwrap()), expected);
        }
        let long = Url::parse(&format!("https://h/{}", "x".repeat(5000))).unwrap();
        assert_eq!(shown(&long).chars().count(), SHOWN_CHARS + 1);
    }

    #[test]
    fn a_header_that_forges_another_is_refused_without_its_value() {
        let bad = [
            ("", "hush"),
            ("X Y", "hush"),
            ("X:", "hush"),
            ("Authorization Bearer hush", ""),
            ("X\r\nHost", "hush"),
            ("naïve", "hush"),
            ("X", "hush\r\nHost: evil"),
            ("X", "hush\n"),
            ("X", "\0hush"),
            ("X", "hush\u{7f}"),
            ("X", "hush\u{85}"),
            ("X", "hush\thush"),
        ];
        for (name, value) in bad {
            let error = check_header(name, value).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage);
            assert!(!error.to_string().contains("hush"), "{error}");
        }
        check_header("X-Forwarded-For", "").unwrap();
        check_header("Accept-Language", "de, en;q=0.5").unwrap();
        check_header("X-Name", "Zoë").unwrap();
    }

    proptest! {
        #[test]
        fn what_passes_can_be_sent(name in "[ -~]{0,6}|\\PC{0,4}", value in "\\PC{0,8}|[\\x00-\\x7f]{0,4}") {
            if check_header(&name, &value).is_ok() {
                prop_assert!(HeaderName::from_bytes(name.as_bytes()).is_ok(), "{:?}", name);
                prop_assert!(HeaderValue::from_bytes(value.as_bytes()).is_ok(), "{:?}", value);
            }
        }
    }
}
