//! Cookies out of a file as Netscape's browsers wrote it, and as exporters and curl still do.

use std::cmp::Reverse;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use url::{Host, Url};

use crate::error::{Error, ErrorKind, Result};

/// Cookies that have not expired, in the order of their file.
#[derive(Default)]
pub(super) struct Cookies {
    cookies: Vec<Cookie>,
}

struct Cookie {
    domain: Host<String>,
    /// Goes to the hosts below its domain, too.
    subdomains: bool,
    path: String,
    https_only: bool,
    name: String,
    value: String,
}

impl Cookies {
    /// Reads a cookie file. Cookies that had expired at `now` are left out.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Usage`] with the number of the first line that is no cookie.
    pub(super) fn parse(text: &str, now: SystemTime) -> Result<Self> {
        let now_s = now.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let mut cookies = Vec::new();
        for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            // Such a line is a cookie that scripts may not see, not a comment.
            let line = line.trim_end_matches('\r');
            let line = line.strip_prefix("#HttpOnly_").unwrap_or(line);
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            match Cookie::parse(line) {
                Ok((_, Some(expires_s))) if expires_s < now_s => {}
                Ok((cookie, _)) => cookies.push(cookie),
                Err(what) => {
                    let message = format!("line {} of the cookie file {what}", index + 1);
                    return Err(Error::new(ErrorKind::Usage, message)
                        .with_hint("export the cookies in Netscape format: seven fields with tabs between them"));
                }
            }
        }
        Ok(Self { cookies })
    }

    /// The value of `Cookie` for a request; `None` if no cookie goes there. It may hold characters beyond ASCII.
    pub(super) fn header(&self, url: &Url) -> Option<String> {
        let mut sent: Vec<&Cookie> = Vec::new();
        for cookie in self.cookies.iter().filter(|c| c.goes_to(url)) {
            // A file that was written on holds newer values further down.
            match sent.iter_mut().find(|older| older.is_same(cookie)) {
                Some(older) => *older = cookie,
                None => sent.push(cookie),
            }
        }
        sent.sort_by_key(|cookie| Reverse(cookie.path.len()));
        let pairs: Vec<String> = sent.into_iter().map(Cookie::pair).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }
}

impl fmt::Debug for Cookies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // All else is secret.
        write!(f, "Cookies({})", self.cookies.len())
    }
}

impl Cookie {
    /// A line's cookie and when it expires, in seconds since 1970; `None`: with the browser's session. An error is
    /// what is wrong with the line, without anything that stands in it.
    fn parse(line: &str) -> Result<(Self, Option<u64>), &'static str> {
        let fields: Vec<&str> = line.split('\t').collect();
        // Some writers leave the tab before an empty value out.
        let (&[domain, subdomains, path, https_only, expires, name], value) = match fields.split_first_chunk::<6>() {
            Some((first, [])) => (first, ""),
            Some((first, [value])) => (first, *value),
            _ => return Err("has not seven fields"),
        };
        let flag = |text: &str| match text {
            _ if text.eq_ignore_ascii_case("true") => Ok(true),
            _ if text.eq_ignore_ascii_case("false") => Ok(false),
            _ => Err("has a flag that is neither TRUE nor FALSE"),
        };
        // Some writers give fractions, and -1 for what has no end.
        let expires_s = match expires.split_once('.').map_or(expires, |(whole, _)| whole) {
            "" | "0" | "-1" => None,
            whole => Some(whole.parse().map_err(|_| "has a time that is no number of seconds")?),
        };
        if [path, name, value].iter().any(|text| text.contains(|c: char| c.is_control() || c == ';')) {
            return Err("has a control character or a semicolon in its path, name or value");
        }
        let bare = domain.strip_prefix('.');
        let cookie = Self {
            domain: Host::parse(bare.unwrap_or(domain)).map_err(|_| "has a domain that is none")?,
            subdomains: flag(subdomains)? || bare.is_some(),
            path: if path.starts_with('/') { path.to_owned() } else { "/".to_owned() },
            https_only: flag(https_only)?,
            name: name.to_owned(),
            value: value.to_owned(),
        };
        Ok((cookie, expires_s))
    }

    fn goes_to(&self, url: &Url) -> bool {
        let domain = match (url.host(), &self.domain) {
            (Some(Host::Domain(host)), Host::Domain(domain)) => {
                host == domain
                    || self.subdomains && host.strip_suffix(domain.as_str()).is_some_and(|below| below.ends_with('.'))
            }
            (Some(host), domain) => host.to_owned() == *domain,
            (None, _) => false,
        };
        domain && (!self.https_only || url.scheme() == "https") && path_matches(&self.path, url.path())
    }

    fn is_same(&self, other: &Self) -> bool {
        (&self.domain, &self.path, &self.name) == (&other.domain, &other.path, &other.name)
    }

    fn pair(&self) -> String {
        if self.name.is_empty() { self.value.clone() } else { format!("{}={}", self.name, self.value) }
    }
}

/// RFC 6265, 5.1.4.
fn path_matches(cookie: &str, request: &str) -> bool {
    request.strip_prefix(cookie).is_some_and(|rest| rest.is_empty() || cookie.ends_with('/') || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn parse(text: &str) -> Result<Cookies> {
        Cookies::parse(text, UNIX_EPOCH + Duration::from_secs(1_000_000))
    }

    fn header(text: &str, url: &str) -> Option<String> {
        parse(text).unwrap().header(&Url::parse(url).unwrap())
    }

    #[test]
    fn a_file_is_read_with_comments_blank_lines_and_either_line_end() {
        let text = "\u{feff}# Netscape HTTP Cookie File\r\n\r\n  \n#h.example\tTRUE\t/\tFALSE\t0\tno\tcomment\n\
            .h.example\tTRUE\t/\tFALSE\t0\ta\t1\r\n#HttpOnly_h.example\tFALSE\t/\tfalse\t2000000\tb\t2\n\
            h.example\tFALSE\t/\tFALSE\t999999\tgone\t3\nh.example\tFALSE\t/\tFALSE\t1000000.9\tc\t4=5\n\
            h.example\tFALSE\t/\tFALSE\t\td\nh.example\tFALSE\t\tFALSE\t-1\te\t\nh.example\tFALSE\t/\tFALSE\t0\t\tbare";
        assert_eq!(header(text, "http://h.example/").unwrap(), "a=1; b=2; c=4=5; d=; e=; bare");
    }

    #[test]
    fn a_cookie_goes_to_its_domain_and_below_only_if_it_says_so() {
        let cases = [
            ("h.example\tFALSE", "http://h.example/", true),
            ("h.example\tFALSE", "http://H.EXAMPLE:8080/", true),
            ("H.Example\tFALSE", "http://h.example/", true),
            ("h.example\tFALSE", "http://a.h.example/", false),
            ("h.example\tTRUE", "http://a.h.example/", true),
            (".h.example\tTRUE", "http://a.b.h.example/", true),
            (".h.example\tFALSE", "http://a.h.example/", true),
            (".h.example\tTRUE", "http://h.example/", true),
            (".h.example\tTRUE", "http://evilh.example/", false),
            (".h.example\tTRUE", "http://h.example.evil/", false),
            (".h.example\tTRUE", "http://example/", false),
            ("bücher.example\tFALSE", "http://xn--bcher-kva.example/", true),
            ("127.0.0.1\tTRUE", "http://127.1/", true),
            ("0.0.1\tTRUE", "http://127.0.0.1/", false),
            ("[::1]\tFALSE", "http://[::1]/", true),
        ];
        for (domain, url, goes) in cases {
            assert_eq!(header(&format!("{domain}\t/\tFALSE\t0\ta\t1"), url).is_some(), goes, "{domain} to {url}");
        }
    }

    #[test]
    fn a_cookie_goes_to_its_path_and_a_secure_one_to_https() {
        let cases = [
            ("/\tFALSE", "http://h/a/b", true),
            ("/a\tFALSE", "http://h/a", true),
            ("/a\tFALSE", "http://h/a/b?c", true),
            ("/a/\tFALSE", "http://h/a/b", true),
            ("/a\tFALSE", "http://h/ab", false),
            ("/a/\tFALSE", "http://h/a", false),
            ("/a\tFALSE", "http://h/b/a", false),
            ("/\tTRUE", "http://h/", false),
            ("/\tTRUE", "https://h/", true),
        ];
        for (rest, url, goes) in cases {
            let (path, secure) = rest.split_once('\t').unwrap();
            let line = format!("h\tFALSE\t{path}\t{secure}\t0\ta\t1");
            assert_eq!(header(&line, url).is_some(), goes, "{path} to {url}");
        }
    }

    #[test]
    fn the_longest_path_comes_first_and_the_last_of_equals_counts() {
        let lines = [("/", "a", "1"), ("/x", "b", "2"), ("/x/y", "a", "3"), ("/", "c", "4"), ("/", "a", "5")];
        let text: String = lines.iter().map(|(p, n, v)| format!("h\tFALSE\t{p}\tFALSE\t0\t{n}\t{v}\n")).collect();
        assert_eq!(header(&text, "http://h/x/y/z").unwrap(), "a=3; b=2; a=5; c=4");
        assert_eq!(header(&text, "http://other/"), None);
    }

    #[test]
    fn a_line_that_is_no_cookie_is_named_by_its_number_and_not_shown() {
        let bad = [
            "hush",
            "h FALSE / FALSE 0 a hush",
            "h\tFALSE\t/\tFALSE\t0",
            "h\tFALSE\t/\tFALSE\t0\ta\thush\thush",
            "h\thush\t/\tFALSE\t0\ta\thush",
            "h\tFALSE\t/\thush\t0\ta\thush",
            "h\tFALSE\t/\tFALSE\thush\ta\thush",
            "h\tFALSE\t/\tFALSE\t-7\ta\thush",
            "h\tFALSE\t/\tFALSE\t99999999999999999999\ta\thush",
            "\tFALSE\t/\tFALSE\t0\ta\thush",
            ".\tFALSE\t/\tFALSE\t0\ta\thush",
            "hu sh\tFALSE\t/\tFALSE\t0\ta\thush",
            "h\tFALSE\t/\tFALSE\t0\ta\thush\rSet-Cookie: x",
            "h\tFALSE\t/\tFALSE\t0\ta\0\thush",
            "h\tFALSE\t/\tFALSE\t0\ta\thush; b=2",
        ];
        for line in bad {
            let error = parse(&format!("# a comment\n{line}\n")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage);
            let text = error.to_string();
            assert!(text.starts_with("line 2 of the cookie file") && !text.contains("hush"), "{text}");
        }
    }

    #[test]
    fn no_cookie_shows_in_debug_output() {
        assert_eq!(format!("{:?}", parse("h\tFALSE\t/\tFALSE\t0\ta\thush").unwrap()), "Cookies(1)");
    }

    proptest! {
        #[test]
        fn no_file_makes_a_header_that_cannot_be_sent(name in "\\PC{0,5}|[\\x00-\\x7f]{0,3}", value in "[\\x00-\\xff]{0,4}") {
            let url = Url::parse("http://h/").unwrap();
            if let Ok(cookies) = parse(&format!("h\tFALSE\t/\tFALSE\t0\t{name}\t{value}"))
                && let Some(header) = cookies.header(&url)
            {
                prop_assert!(reqwest::header::HeaderValue::from_bytes(header.as_bytes()).is_ok(), "{:?}", header);
            }
        }
    }
}
