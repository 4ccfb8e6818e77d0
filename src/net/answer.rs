//! One request, over its redirects, to the head of an answer.

use std::time::Duration;

use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Method, Response, StatusCode};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use url::Url;

use super::client::Client;
use super::fault::{Failure, Retry};
use super::{Shared, retry_after};
use crate::error::{Error, ErrorKind};

const MAX_REDIRECTS: usize = 10;
/// What a redirect's body may hold, and how long it may take, for its connection to be used on.
const DRAINED_BYTES: u64 = 16 << 10;
const DRAINED_IN: Duration = Duration::from_millis(500);

/// The head of an answer, with its places among the requests in flight until it is dropped.
pub(super) struct Answer {
    pub(super) response: Response,
    /// Where it came from in the end.
    pub(super) url: Url,
    _places: [OwnedSemaphorePermit; 2],
}

/// What is asked for beside the URL.
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    pub(super) url: &'a Url,
    /// `Range` and `If-Range`, `Accept-Encoding`.
    pub(super) headers: HeaderMap,
}

impl Client {
    /// Asks, and follows redirects; each hop is judged as the URL itself.
    pub(super) async fn ask(&self, ask: Ask<'_>) -> Result<Answer, Failure> {
        let mut url = ask.url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let (mut response, places) = self.hop(&ask, &url).await?;
            let Some(target) = redirect(&response, &url)? else {
                return match response.status() {
                    status if status.is_success() => Ok(Answer { response, url, _places: places }),
                    status => {
                        let after = response.headers().get(header::RETRY_AFTER).and_then(|v| v.to_str().ok());
                        let after = after.and_then(|v| retry_after::parse(v, std::time::SystemTime::now()));
                        // No pause at all is none to rely on: then it is our own.
                        let failure = Failure::status(status, after.filter(|after| !after.is_zero()));
                        if let Retry::Later(Some(pause)) = failure.retry {
                            self.shared().host(&url).pause(pause);
                        }
                        Err(failure)
                    }
                };
            };
            self.judge_redirect(&url, &target).map_err(Failure::for_good)?;
            if response.content_length().is_some_and(|length| length <= DRAINED_BYTES) {
                let drained = async { while let Ok(Some(_)) = response.chunk().await {} };
                let _in_time = timeout(DRAINED_IN, drained).await;
            }
            url = target;
        }
        let message = format!("more than {MAX_REDIRECTS} redirects");
        Err(Failure::for_good(Error::new(ErrorKind::Limit, message).with_hint("check the URL")))
    }

    async fn hop(&self, ask: &Ask<'_>, url: &Url) -> Result<(Response, [OwnedSemaphorePermit; 2]), Failure> {
        let host = url.host_str().unwrap_or_default();
        let client = match timeout(self.options().connect_timeout, self.connector(url)).await {
            Ok(Ok(client)) => client,
            Ok(Err(error)) if error.is_retryable() => return Err(Failure::for_now(error)),
            Ok(Err(error)) => return Err(Failure::for_good(error)),
            Err(_) => {
                let message = format!("cannot resolve {host} in time");
                return Err(Failure::for_now(Error::new(ErrorKind::Timeout, message).with_hint("try again later")));
            }
        };
        let places = self.shared().places(url).await?;
        let mut headers = self.headers_for(url).map_err(Failure::for_good)?;
        for (name, value) in &ask.headers {
            headers.insert(name, value.clone());
        }
        self.count_request();
        // Until a connection stands reqwest sees to the time itself.
        let patience = self.options().connect_timeout + self.options().read_timeout;
        let sent = client.request(ask.method.clone(), self.with_user(url)).headers(headers).send();
        match timeout(patience, sent).await {
            Ok(Ok(response)) => Ok((response, places)),
            Ok(Err(error)) => Err(Failure::exchange(&error, host)),
            Err(_) => Err(Failure::for_now(silent(host, self.options().read_timeout))),
        }
    }
}

/// A server that says nothing.
pub(super) fn silent(host: &str, waited: Duration) -> Error {
    Error::new(ErrorKind::Timeout, format!("nothing came from {host} for {:.0} s", waited.as_secs_f64().max(1.0)))
        .with_hint("try again later, or wait longer with --read-timeout")
}

/// Where a redirect leads; `None` for any other answer.
fn redirect(response: &Response, url: &Url) -> Result<Option<Url>, Failure> {
    use StatusCode as S;
    let redirects = [S::MOVED_PERMANENTLY, S::FOUND, S::SEE_OTHER, S::TEMPORARY_REDIRECT, S::PERMANENT_REDIRECT];
    if !redirects.contains(&response.status()) {
        return Ok(None);
    }
    let lost = || Failure::for_good(Error::new(ErrorKind::Denied, "the server redirects to no usable URL"));
    let location = response.headers().get(header::LOCATION).map(HeaderValue::to_str);
    let location = location.and_then(Result::ok).ok_or_else(lost)?;
    let mut target = url.join(location).map_err(|_| lost())?;
    target.set_fragment(None);
    if !matches!(target.scheme(), "http" | "https") {
        let message = format!("the server redirects to \"{}:\", which is not allowed", target.scheme());
        return Err(Failure::for_good(Error::new(ErrorKind::Denied, message)));
    }
    if target.as_str().chars().any(char::is_control) {
        return Err(lost());
    }
    Ok(Some(target))
}

impl Shared {
    /// Waits for a place at the host, for the end of the pause that it asked for, and for one among all.
    async fn places(&self, url: &Url) -> Result<[OwnedSemaphorePermit; 2], Failure> {
        let host = self.host(url);
        let closed = |_| Failure::for_good(Error::new(ErrorKind::Internal, "the network is closed"));
        let at_host = host.places.clone().acquire_owned().await.map_err(closed)?;
        host.ready().await;
        let of_all = self.connections.clone().acquire_owned().await.map_err(closed)?;
        Ok([at_host, of_all])
    }
}

impl Answer {
    /// A header as text.
    pub(super) fn header(&self, name: header::HeaderName) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// The end of the body is told by the protocol: by a length, by chunks, by a frame. Else the connection's end
    /// is taken for it, which a connection that breaks looks like.
    pub(super) fn is_framed(&self) -> bool {
        self.response.version() >= reqwest::Version::HTTP_2
            || self.response.content_length().is_some()
            || self.header(header::TRANSFER_ENCODING).is_some_and(|v| v.to_ascii_lowercase().contains("chunked"))
    }

    /// As messages name it.
    pub(super) fn host(&self) -> String {
        self.url.host_str().unwrap_or_default().to_owned()
    }
}
