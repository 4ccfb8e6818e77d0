//! Options of the network: from arguments and the environment to what the library takes.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use avweld::{HttpVersion, InsecureSegments, NetworkOptions, Options, Proxies, Result, TlsVerification};
use bytesize::ByteSize;
use clap::{Args, ValueHint};
use serde::Deserialize;

use crate::keys;
use crate::settings::set;
use crate::source::usage;
use crate::values::{self, Addresses};

/// How a server is reached and what it is told. Values that may be secrets are taken as they are and looked at
/// in [`NetworkArgs::apply`]: clap would show a value that it refuses.
#[derive(Args, Deserialize, Default, Clone, PartialEq)]
#[command(next_help_heading = "Network")]
#[serde(default)]
pub(crate) struct NetworkArgs {
    /// A header for the playlist's own server, 'Name: value'; may be repeated
    ///
    /// Authorization, Cookie and their like go to no other server. Other users of this machine can see a command
    /// line.
    #[arg(short = 'H', long, value_name = "HEADER", allow_hyphen_values = true)]
    #[serde(alias = "headers", deserialize_with = "keys::headers")]
    pub(crate) header: Option<Vec<String>>,

    /// The User-Agent header [default: avweld's own]
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    #[serde(deserialize_with = "keys::secret")]
    pub(crate) user_agent: Option<String>,

    /// The Referer header [default: none]
    #[arg(long, value_name = "URL", allow_hyphen_values = true)]
    #[serde(deserialize_with = "keys::secret")]
    pub(crate) referer: Option<String>,

    /// Cookies from a file in the format of Netscape, which browsers' add-ons export
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, allow_hyphen_values = true)]
    pub(crate) cookies: Option<PathBuf>,

    /// A proxy: http, https, socks5 or socks5h; '' for none [default: the environment's]
    ///
    /// Hosts that NO_PROXY lists are reached without it.
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, allow_hyphen_values = true)]
    #[serde(deserialize_with = "keys::secret")]
    pub(crate) proxy: Option<String>,

    /// Take any certificate, of whomever
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(hide_possible_values = true)]
    pub(crate) insecure: Option<bool>,

    /// Trust the certificates of a PEM file beside the system's; may be repeated
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, allow_hyphen_values = true)]
    #[serde(deserialize_with = "keys::paths")]
    pub(crate) cacert: Option<Vec<PathBuf>>,

    /// Speak HTTP/1.1 also where a server offers HTTP/2
    #[arg(long = "http1.1", value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", hide_possible_values = true)]
    pub(crate) http1_1: Option<bool>,

    /// How often a request that failed for a while is made again [default: 3]
    #[arg(long, value_name = "N")]
    #[serde(rename = "max_retries", alias = "retries")]
    pub(crate) retries: Option<u32>,

    /// The first pause before that; it doubles each time, and a server's Retry-After outranks it [default: 5]
    #[arg(long, value_name = "SECONDS", value_parser = values::seconds)]
    #[serde(deserialize_with = "keys::seconds")]
    pub(crate) retry_delay: Option<Duration>,

    /// How long a connection may take [default: 10]
    #[arg(long, value_name = "SECONDS", value_parser = values::timeout)]
    #[serde(deserialize_with = "keys::timeout")]
    pub(crate) connect_timeout: Option<Duration>,

    /// How long a server may send nothing [default: 30]
    #[arg(long, value_name = "SECONDS", value_parser = values::timeout)]
    #[serde(deserialize_with = "keys::timeout")]
    pub(crate) read_timeout: Option<Duration>,

    /// Which addresses a playlist from the web may lead to [default: same-class]
    #[arg(long, value_enum, value_name = "POLICY")]
    pub(crate) address_policy: Option<Addresses>,

    /// Let a playlist that came by https name segments that come by http
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(hide_possible_values = true)]
    pub(crate) allow_insecure_segments: Option<bool>,
}

/// How segments are downloaded, and how long a job may take.
#[derive(Args, Deserialize, Default, Clone, PartialEq)]
#[command(next_help_heading = "Network")]
#[serde(default)]
pub(crate) struct TransferArgs {
    /// Segments in flight [default: 8]
    #[arg(short = 'N', long, value_name = "N")]
    pub(crate) concurrent_segments: Option<NonZeroUsize>,

    /// Bytes a second, such as 500k, 4M or 4MiB [default: as fast as it goes]
    #[arg(long, value_name = "RATE", value_parser = values::rate)]
    #[serde(deserialize_with = "keys::rate")]
    pub(crate) limit_rate: Option<ByteSize>,

    /// How long a download may make no progress [default: 300]
    #[arg(long, value_name = "SECONDS", value_parser = values::timeout)]
    #[serde(deserialize_with = "keys::timeout")]
    pub(crate) download_timeout: Option<Duration>,

    /// How long a merge may take in all, waiting for the network left out [default: 600]
    #[arg(long, value_name = "SECONDS", value_parser = values::timeout)]
    #[serde(deserialize_with = "keys::timeout")]
    pub(crate) merge_timeout: Option<Duration>,
}

impl NetworkArgs {
    /// Sets what was given and leaves the rest as it is.
    ///
    /// # Errors
    /// `Usage` for a header, text or proxy that cannot be sent, without its value.
    pub(crate) fn apply(&self, network: &mut NetworkOptions) -> Result<()> {
        for line in self.header.iter().flatten() {
            let (name, value) = header(line)?;
            network.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(&name));
            network.headers.push((name, value));
        }
        set_some(&mut network.user_agent, text("the user agent", self.user_agent.as_deref())?);
        set_some(&mut network.referer, text("the referer", self.referer.as_deref())?);
        set_some(&mut network.cookies, self.cookies.clone());
        match self.proxy.as_deref() {
            None => {}
            Some("") => network.proxies = Proxies::default(),
            Some(given) => {
                let url = proxy(given)?;
                network.proxies.http = Some(url.clone());
                network.proxies.https = Some(url);
            }
        }
        set(
            &mut network.tls_verification,
            self.insecure.map(|on| if on { TlsVerification::Off } else { TlsVerification::On }),
        );
        set(&mut network.ca_certificates, self.cacert.clone());
        set(&mut network.http_version, self.http1_1.map(|on| if on { HttpVersion::Http1 } else { HttpVersion::Auto }));
        set(&mut network.retries, self.retries);
        set(&mut network.retry_delay, self.retry_delay);
        set(&mut network.connect_timeout, self.connect_timeout);
        set(&mut network.read_timeout, self.read_timeout);
        set(&mut network.address_policy, self.address_policy.map(Into::into));
        set(
            &mut network.insecure_segments,
            self.allow_insecure_segments.map(|on| if on { InsecureSegments::Allow } else { InsecureSegments::Refuse }),
        );
        Ok(())
    }
}

impl TransferArgs {
    /// Sets what was given and leaves the rest as it is.
    pub(crate) fn apply(&self, options: &mut Options) {
        set(&mut options.network.concurrent_segments, self.concurrent_segments.map(NonZeroUsize::get));
        set_some(&mut options.network.limit_rate_bytes, self.limit_rate.map(|rate| rate.as_u64()));
        set(&mut options.network.download_timeout, self.download_timeout);
        set(&mut options.merge_timeout, self.merge_timeout);
    }
}

/// The proxies of the environment, by the rules of curl. What they are worth shows when one is needed: a merge of
/// files must not fail of it.
pub(crate) fn environment(variable: impl Fn(&str) -> Option<OsString>) -> Proxies {
    let text = |name: &str| {
        let value = variable(name)?.to_string_lossy().into_owned();
        (!value.is_empty()).then_some(value)
    };
    let first = |names: &[&str]| names.iter().find_map(|name| text(name));
    let all = first(&["all_proxy", "ALL_PROXY"]);
    // HTTP_PROXY is left out: a CGI program's client sets it with a header `Proxy:`.
    let http = first(&["http_proxy"]).or_else(|| all.clone());
    let https = first(&["https_proxy", "HTTPS_PROXY"]).or(all);
    let bypass = first(&["no_proxy", "NO_PROXY"]);
    Proxies { http: http.map(with_scheme), https: https.map(with_scheme), bypass }
}

/// Refuses an address that would put control characters into a request or, as the URL standard has it, lose them.
pub(crate) fn no_control_characters(what: &str, text: &str) -> Result<()> {
    if text.chars().any(char::is_control) {
        return Err(usage(format!("{what} contains control characters; take line breaks and tabs out of it")));
    }
    Ok(())
}

fn set_some<T>(place: &mut Option<T>, given: Option<T>) {
    if given.is_some() {
        *place = given;
    }
}

/// `Name: value`. Errors show a name at most, and that only when it is one.
fn header(line: &str) -> Result<(String, String)> {
    let Some((name, value)) = line.split_once(':') else {
        return Err(usage("a header has no colon; give it as 'Name: value'"));
    };
    let value = value.trim_matches([' ', '\t']);
    if !is_token(name) {
        return Err(usage("the name of a header has characters that no name has; give it as 'Name: value'"));
    }
    // A line break would end the header and begin another.
    if value.chars().any(|c| c.is_control() && c != '\t') {
        return Err(usage(format!("header {name} contains control characters")));
    }
    if value.is_empty() {
        return Err(usage(format!("header {name} has no value; quote the two together: '{name}: value'")));
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// What a name in HTTP is made of (RFC 9110, 5.6.2).
fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

fn text(what: &str, given: Option<&str>) -> Result<Option<String>> {
    given.map(|text| no_control_characters(what, text).map(|()| text.to_owned())).transpose()
}

fn proxy(given: &str) -> Result<String> {
    no_control_characters("the proxy's URL", given)?;
    let whole = with_scheme(given.to_owned());
    let known = url::Url::parse(&whole)
        .is_ok_and(|url| matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h") && url.has_host());
    if !known {
        return Err(usage("the proxy is no URL of one; give http, https, socks5 or socks5h://HOST:PORT"));
    }
    Ok(whole)
}

/// `host:3128` means HTTP, as everywhere.
fn with_scheme(proxy: String) -> String {
    if proxy.contains("://") { proxy } else { format!("http://{proxy}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use avweld::ErrorKind;

    fn applied(args: &NetworkArgs) -> Result<NetworkOptions> {
        let mut network = NetworkOptions::default();
        args.apply(&mut network).map(|()| network)
    }

    fn with_headers(lines: &[&str]) -> NetworkArgs {
        NetworkArgs { header: Some(lines.iter().map(|&line| line.to_owned()).collect()), ..NetworkArgs::default() }
    }

    fn with_proxy(proxy: &str) -> NetworkArgs {
        NetworkArgs { proxy: Some(proxy.to_owned()), ..NetworkArgs::default() }
    }

    #[test]
    fn headers_are_split_at_the_first_colon_and_the_last_of_a_name_counts() {
        let network = applied(&with_headers(&["A: 1", "x-t:\t b:c ", "a: 2"])).expect("headers");
        let expected = [("x-t", "b:c"), ("a", "2")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(network.headers, expected);
    }

    #[test]
    fn what_cannot_be_sent_is_a_usage_error_that_does_not_show_it() {
        let headers = ["hush", "hush hush: b", ": hush", "A: hush\r\nB: c", "A: hush\0", "A\n: hush", "A:", "é: hush"];
        let args = headers
            .iter()
            .map(|line| with_headers(&[line]))
            .chain(
                ["ftp://hush", "http://", "http://hush\n", "http://u:hush@", "://hush", "http://[hush"].map(with_proxy),
            )
            .chain([
                NetworkArgs { user_agent: Some("hush\n".into()), ..NetworkArgs::default() },
                NetworkArgs { referer: Some("http://hush/\r\n".into()), ..NetworkArgs::default() },
            ]);
        for (n, args) in args.enumerate() {
            let error = applied(&args).err().unwrap_or_else(|| panic!("{n} was taken"));
            assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
            assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");
        }
    }

    #[test]
    fn a_proxy_given_replaces_the_environment_s_and_an_empty_one_takes_it_away() {
        let mut network = NetworkOptions::default();
        network.proxies = environment(|name| match name {
            "http_proxy" => Some("http://env:1".into()),
            "no_proxy" => Some("local".into()),
            _ => None,
        });
        with_proxy("p:3128").apply(&mut network).expect("a proxy");
        let both = Some("http://p:3128".to_owned());
        assert_eq!(network.proxies, Proxies { http: both.clone(), https: both, bypass: Some("local".into()) });
        for url in ["http://p", "https://u:pw@p:1", "socks5://p:1", "socks5h://[::1]:1"] {
            assert_eq!(applied(&with_proxy(url)).expect(url).proxies.https.as_deref(), Some(url));
        }
        with_proxy("").apply(&mut network).expect("no proxy");
        assert_eq!(network.proxies, Proxies::default());
    }

    #[test]
    fn the_environment_is_read_as_curl_reads_it() {
        let proxies = |variables: &[(&str, &str)]| {
            let found = environment(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| v.into()));
            (found.http.unwrap_or_default(), found.https.unwrap_or_default(), found.bypass.unwrap_or_default())
        };
        let expect = |http: &str, https: &str, bypass: &str| (http.to_owned(), https.to_owned(), bypass.to_owned());
        assert_eq!(proxies(&[]), expect("", "", ""));
        assert_eq!(proxies(&[("HTTP_PROXY", "http://cgi:1")]), expect("", "", ""));
        assert_eq!(
            proxies(&[("http_proxy", "a:1"), ("HTTPS_PROXY", "http://b:2")]),
            expect("http://a:1", "http://b:2", "")
        );
        assert_eq!(proxies(&[("https_proxy", "http://l"), ("HTTPS_PROXY", "http://u")]), expect("", "http://l", ""));
        assert_eq!(
            proxies(&[("ALL_PROXY", "socks5://a:1"), ("https_proxy", "http://b"), ("http_proxy", "")]),
            expect("socks5://a:1", "http://b", "")
        );
        assert_eq!(proxies(&[("NO_PROXY", "x"), ("no_proxy", "y")]), expect("", "", "y"));
    }
}
