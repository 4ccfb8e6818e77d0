//! Why a request failed, and whether to make it again.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use reqwest::StatusCode;

use crate::error::{Error, ErrorKind};

/// A request that failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: Error,
    pub(super) retry: Retry,
}

/// Whether a failed request is made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retry {
    /// It would fail again.
    No,
    /// After a pause: the server's, or one of our own.
    Later(Option<Duration>),
    /// Twice at the most: what is not there rarely comes, but caches of a large site may not agree yet.
    Twice,
    /// At once, for the first time: the server closed an idle connection just as it was used again.
    Free,
}

impl Failure {
    pub(super) fn for_good(error: Error) -> Self {
        Self { error, retry: Retry::No }
    }

    pub(super) fn for_now(error: Error) -> Self {
        Self { error, retry: Retry::Later(None) }
    }

    /// Of a status that is no success. `after` is the server's Retry-After.
    pub(super) fn status(status: StatusCode, after: Option<Duration>) -> Self {
        let told = match status.canonical_reason() {
            Some(reason) => format!("the server answers {} ({reason})", status.as_u16()),
            None => format!("the server answers {}", status.as_u16()),
        };
        let error = |kind, hint: &str| Error::new(kind, told.clone()).with_hint(hint.to_owned());
        match status {
            StatusCode::NOT_FOUND | StatusCode::GONE => Self {
                error: error(ErrorKind::NotFound, "check the URL; links of this kind may expire"),
                retry: Retry::Twice,
            },
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                Self::for_good(error(ErrorKind::Forbidden, "put user and password into the URL of --proxy"))
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Self::for_good(error(
                ErrorKind::Forbidden,
                "it may want --cookies, --referer or a header (-H), or the URL has expired",
            )),
            StatusCode::RANGE_NOT_SATISFIABLE => Self {
                error: Error::new(ErrorKind::Media, format!("its byte range is not there: {told}")),
                retry: Retry::Twice,
            },
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Self {
                error: error(ErrorKind::Network, "try again later, with fewer at once (-N)"),
                retry: Retry::Later(after),
            },
            status if status.is_server_error() => {
                Self { error: error(ErrorKind::Network, "try again later"), retry: Retry::Later(after) }
            }
            _ => Self::for_good(error(ErrorKind::Forbidden, "check the URL and the headers")),
        }
    }

    /// Of an exchange that came to no answer, or to half of one. The message names no URL: its query may be secret.
    pub(super) fn exchange(error: &reqwest::Error, host: &str) -> Self {
        if let Some(refusal) = causes(error).find_map(|e| e.downcast_ref::<Error>()) {
            return Self::for_good(refusal.replica());
        }
        let cause = deepest(error);
        if causes(error).any(is_certificate_fault) {
            return Self::for_good(
                Error::new(ErrorKind::Denied, format!("the certificate of {host} is not valid: {cause}"))
                    .with_hint("trust its issuer with --cacert, or check nothing with --insecure"),
            );
        }
        if cause.contains("proxy authorization") {
            return Self::status(StatusCode::PROXY_AUTHENTICATION_REQUIRED, None);
        }
        let network = |message: String, hint: &str| Error::new(ErrorKind::Network, message).with_hint(hint.to_owned());
        if error.is_timeout() {
            return Self::for_now(
                Error::new(ErrorKind::Timeout, format!("no connection to {host} in time"))
                    .with_hint("try again later, or wait longer with --connect-timeout"),
            );
        }
        if error.is_dns() {
            let message = format!("cannot resolve {host}: {cause}");
            return Self::for_now(network(message, "check the name and the network"));
        }
        if error.is_connect() {
            let message = format!("cannot connect to {host}: {cause}");
            return Self::for_now(network(message, "check that the server, or the proxy, is up, and try again"));
        }
        let failure = network(format!("the connection to {host} failed: {cause}"), "try again");
        // Nothing of an answer came: an idle connection may just have been closed.
        Self { error: failure, retry: if error.is_request() { Retry::Free } else { Retry::Later(None) } }
    }
}

/// An error and what it came from. An `io::Error` keeps its cause where `source` does not lead.
fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |above| {
        let above: &'a (dyn StdError + 'static) = *above;
        match above.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner as &'a (dyn StdError + 'static)),
            None => above.source(),
        }
    })
}

/// The first cause in words: what stands above it repeats it, or tells the URL.
fn deepest(error: &(dyn StdError + 'static)) -> String {
    // What reqwest says itself may hold the URL.
    let last = causes(error).last().filter(|last| !last.is::<reqwest::Error>());
    let text = last.map_or_else(|| "no answer".to_owned(), ToString::to_string);
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

fn is_certificate_fault(error: &(dyn StdError + 'static)) -> bool {
    matches!(error.downcast_ref::<rustls::Error>(), Some(rustls::Error::InvalidCertificate(_)))
}
