//! One resource, fetched until it is there whole: tried again, and gone on with where it broke off.

use std::ops::Range;
use std::time::Duration;

use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};
use tokio::time::{Instant, sleep, timeout};
use url::Url;

use super::answer::{Answer, Ask, silent};
use super::client::Client;
use super::encoding;
use super::fault::{Failure, Retry};
use super::tries::Tries;
use crate::error::{Error, ErrorKind, Result};

/// A body slower than this, in bytes over a whole read timeout, has stalled.
const SLOWEST_BYTES: u64 = 1000;
/// A try that brings a body on by less than a stalled one would have is one that failed.
const ADVANCE_BYTES: u64 = SLOWEST_BYTES;

/// What is fetched.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) url: Url,
    /// The part of it, in bytes; `None` for all.
    pub(crate) range: Option<Range<u64>>,
    /// Compressed bodies are welcome, and left as they are.
    pub(crate) encodings: bool,
    /// The body's size in bytes at most.
    pub(crate) limit_bytes: u64,
}

/// Where a body goes. Its calls may block for as long as a write to a file does.
pub(crate) trait Body: Send {
    /// Bytes so far.
    fn len(&self) -> u64;

    /// Begins anew.
    fn restart(&mut self) -> Result<()>;

    /// The next bytes.
    fn push(&mut self, bytes: &[u8]) -> Result<()>;

    /// Looks at what came whole. What is refused is fetched anew, as a failure that may pass.
    fn judge(&mut self, _fetched: &Fetched) -> Result<()> {
        Ok(())
    }
}

/// What the body of an answer is of its resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whole {
    /// What was asked for.
    AsAsked,
    /// All of the resource, of which a part was asked for.
    Instead,
}

/// A body that came whole.
#[derive(Debug, Clone)]
pub(crate) struct Fetched {
    /// Where it came from, after redirects.
    pub(crate) url: Url,
    /// `Content-Encoding`; `None` for none.
    pub(crate) encoding: Option<String>,
    /// The protocol told the body's end; else the connection's end was taken for it.
    pub(crate) framed: bool,
    pub(crate) whole: Whole,
}

/// A body in memory.
#[derive(Debug, Default)]
pub(crate) struct Memory(pub(crate) Vec<u8>);

impl Body for Memory {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn restart(&mut self) -> Result<()> {
        self.0.clear();
        Ok(())
    }

    fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// What is known of a resource from answers so far, to go on with it.
#[derive(Debug, Default)]
struct Known {
    /// A strong ETag, or a date: what If-Range takes (RFC 9110, 13.1.5).
    validator: Option<HeaderValue>,
    /// Size of the body in bytes: of the part, where one was asked for.
    length: Option<u64>,
    /// Size of the whole resource in bytes.
    size: Option<u64>,
    /// The body so far is all of a resource of which a part was asked for.
    whole: bool,
}

impl Client {
    /// Fetches a resource.
    ///
    /// # Errors
    /// `Network`, `Timeout`: after all tries. `NotFound`, `Forbidden`: by the server's answer. `Denied`, `Limit`: by
    /// policy. Those of the body.
    pub(crate) async fn fetch(&self, request: &Request, body: &mut dyn Body) -> Result<Fetched> {
        let host = self.shared().host(&request.url);
        let mut tries = Tries::new(self, host.served());
        let mut known = Known::default();
        let mut furthest = 0;
        loop {
            let failure = match self.attempt(request, body, &mut known).await {
                Ok(fetched) => match body.judge(&fetched) {
                    Ok(()) => {
                        host.note_served();
                        return Ok(fetched);
                    }
                    Err(error) => {
                        body.restart()?;
                        known = Known::default();
                        // What is wrong in itself is wrong the third time, too.
                        let retry = if error.is_retryable() { Retry::Later(None) } else { Retry::Twice };
                        Failure { error, retry }
                    }
                },
                Err(failure) => failure,
            };
            // Measured from the best try so far: a body that is begun anew each time does not get on.
            let advanced = body.len() >= furthest + ADVANCE_BYTES;
            furthest = furthest.max(body.len());
            let pause = tries.next(failure, advanced, host.served())?;
            self.count_retry();
            sleep(pause).await;
        }
    }

    /// The size of a resource in bytes, asked for with its first byte; `None` where that cannot be told.
    ///
    /// # Errors
    /// Those that may pass. It is asked once.
    pub(crate) async fn size(&self, url: &Url) -> Result<Option<u64>> {
        let headers = HeaderMap::from_iter([
            (header::ACCEPT_ENCODING, HeaderValue::from_static("identity")),
            (header::RANGE, HeaderValue::from_static("bytes=0-0")),
        ]);
        let answer = match self.ask(Ask { method: Method::GET, url, headers }).await {
            Ok(answer) => answer,
            Err(failure) if failure.error.is_retryable() => return Err(failure.error),
            Err(_) => return Ok(None),
        };
        Ok(match answer.response.status() {
            StatusCode::PARTIAL_CONTENT => answer.content_range().and_then(|(_, _, size)| size),
            _ => answer.response.content_length(),
        })
    }

    /// One try: from where the body stands to its end.
    async fn attempt(&self, request: &Request, body: &mut dyn Body, known: &mut Known) -> Result<Fetched, Failure> {
        if body.len() > 0 && !known.can_resume() {
            known.restart(body)?;
        }
        if known.length.is_some_and(|length| body.len() >= length) {
            // It broke between the last byte and the end that tells that it was the last.
            known.restart(body)?;
        }
        let at = body.len();
        let part = known.part(request, at);
        let mut headers = HeaderMap::new();
        let encodings = if request.encodings { encoding::ACCEPTED } else { "identity" };
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(encodings));
        if let Some((start, end)) = part {
            let range = match end {
                Some(end) => format!("bytes={start}-{}", end.saturating_sub(1)),
                None => format!("bytes={start}-"),
            };
            let internal = |_| Failure::for_good(Error::new(ErrorKind::Internal, "a range that HTTP cannot carry"));
            headers.insert(header::RANGE, HeaderValue::from_str(&range).map_err(internal)?);
            if let Some(validator) = known.validator.as_ref().filter(|_| at > 0) {
                headers.insert(header::IF_RANGE, validator.clone());
            }
        }
        let answer = match self.ask(Ask { method: Method::GET, url: &request.url, headers }).await {
            Err(failure) if at > 0 && failure.error.kind() == ErrorKind::Media => {
                // The rest is not there: what came so far is of another version.
                known.restart(body)?;
                return Err(Failure::for_now(failure.error));
            }
            other => other?,
        };
        let partial = answer.response.status() == StatusCode::PARTIAL_CONTENT;
        match part {
            Some((start, end)) if partial => {
                if let Err(failure) = known.judge_part(&answer, start, end, at > 0) {
                    known.restart(body)?;
                    return Err(failure);
                }
            }
            None if partial => {
                return Err(Failure::for_now(Error::new(
                    ErrorKind::Network,
                    "a part was sent where all was asked for",
                )));
            }
            _ => {
                known.restart(body)?;
                known.whole = request.range.is_some();
            }
        }
        known.note(&answer, body.len(), part.filter(|_| partial).is_some_and(|(_, end)| end.is_none()));
        self.read(answer, request, body, known).await
    }

    async fn read(
        &self,
        mut answer: Answer,
        request: &Request,
        body: &mut dyn Body,
        known: &Known,
    ) -> Result<Fetched, Failure> {
        let host = answer.host();
        let patience = self.options().read_timeout;
        let (mut window, mut in_window) = (Instant::now(), 0_u64);
        let mut waited = Duration::ZERO;
        loop {
            let since = Instant::now();
            let chunk = match timeout(patience, answer.response.chunk()).await {
                Err(_) => return Err(Failure::for_now(silent(&host, patience))),
                Ok(Err(error)) => {
                    let mut failure = Failure::exchange(&error, &host);
                    failure.error = failure.error.within(format_args!("after {} bytes", body.len()));
                    // A body that began was no idle connection.
                    failure.retry = if failure.retry == Retry::No { Retry::No } else { Retry::Later(None) };
                    return Err(failure);
                }
                Ok(Ok(chunk)) => chunk,
            };
            let Some(chunk) = chunk else { break };
            // Our own limit is not the server's slowness: only the time spent waiting for it counts.
            waited += since.elapsed();
            in_window += chunk.len() as u64;
            if in_window >= SLOWEST_BYTES {
                (window, in_window, waited) = (Instant::now(), 0, Duration::ZERO);
            } else if waited > patience && window.elapsed() > patience {
                let message = format!("{host} sent {in_window} bytes in {:.0} s", waited.as_secs_f64());
                return Err(Failure::for_now(Error::new(ErrorKind::Timeout, message).with_hint("try again later")));
            }
            if body.len() + chunk.len() as u64 > request.limit_bytes {
                let message = format!("larger than {} bytes", request.limit_bytes);
                return Err(Failure::for_good(Error::new(ErrorKind::Limit, message)));
            }
            if let Some(limiter) = &self.shared().limiter {
                limiter.take(chunk.len()).await;
            }
            self.count_bytes(chunk.len());
            body.push(&chunk).map_err(Failure::for_good)?;
            if known.length.is_some_and(|length| body.len() > length) {
                break;
            }
        }
        if let Some(length) = known.length.filter(|length| *length != body.len()) {
            let message = format!("the connection to {host} ended after {} of {length} bytes", body.len());
            return Err(Failure::for_now(Error::new(ErrorKind::Network, message).with_hint("try again")));
        }
        let whole = if known.whole { Whole::Instead } else { Whole::AsAsked };
        let encoding = answer.header(header::CONTENT_ENCODING).map(str::to_owned);
        let framed = known.length.is_some() || answer.is_framed();
        Ok(Fetched { framed, encoding, url: answer.url, whole })
    }
}

impl Known {
    /// Answers so far tell enough to recognise the same resource.
    fn can_resume(&self) -> bool {
        self.validator.is_some() || self.length.is_some()
    }

    fn restart(&mut self, body: &mut dyn Body) -> Result<(), Failure> {
        *self = Self::default();
        if body.len() > 0 { body.restart().map_err(Failure::for_good) } else { Ok(()) }
    }

    /// First byte and end of what is to be asked for; `None` for all.
    fn part(&self, request: &Request, at: u64) -> Option<(u64, Option<u64>)> {
        match &request.range {
            Some(range) if !self.whole => Some((range.start.saturating_add(at), Some(range.end))),
            _ if at > 0 => Some((at, None)),
            _ => None,
        }
    }

    /// Holds what a server says that it sends against what was asked for (RFC 9110, 14.4).
    fn judge_part(&self, answer: &Answer, start: u64, end: Option<u64>, resumed: bool) -> Result<(), Failure> {
        let wrong = |what: String| Err(Failure::for_now(Error::new(ErrorKind::Network, what).with_hint("try again")));
        let Some((first, last, size)) = answer.content_range() else {
            return wrong("the server sends a part and does not say which".to_owned());
        };
        if first != start {
            return wrong(format!("the server sends bytes from {first}, not from {start}"));
        }
        if let Some(end) = end
            && last.checked_add(1) != Some(end)
        {
            if size.is_some_and(|size| end > size) {
                let message = format!("its byte range reaches beyond the end of {} bytes", size.unwrap_or(0));
                return Err(Failure::for_good(Error::new(ErrorKind::Media, message)));
            }
            return wrong(format!("the server sends bytes up to {last}, not up to {}", end.saturating_sub(1)));
        }
        if let (Some(known), Some(size)) = (self.size, size)
            && known != size
        {
            return wrong(format!("it has {size} bytes now, and had {known} before"));
        }
        // Not every server that sends parts knows If-Range: two versions must not become one body.
        let other = |now: &HeaderValue| self.validator.as_ref().is_some_and(|known| is_tag(known) && known != now);
        if resumed && strong_tag(answer).is_some_and(other) {
            return wrong("it was changed on the server meanwhile".to_owned());
        }
        Ok(())
    }

    /// Takes down what an answer tells of the resource. `at`: where in the body it goes on. `to_end`: it is the rest
    /// of the resource that was asked for, and a server may send less of it.
    fn note(&mut self, answer: &Answer, at: u64, to_end: bool) {
        let date = || answer.response.headers().get(header::LAST_MODIFIED);
        self.validator = self.validator.take().or_else(|| strong_tag(answer).or_else(date).cloned());
        // Of a compressed body the length is that of the compressed bytes, which is what is stored.
        let told = answer.response.content_length();
        let (length, size) = match answer.content_range() {
            Some((first, last, size)) if answer.response.status() == StatusCode::PARTIAL_CONTENT => {
                let length = (last - first).checked_add(1).and_then(|length| at.checked_add(length));
                (if to_end { size.or(self.length).or(length) } else { length }, size)
            }
            _ => (told, told),
        };
        (self.length, self.size) = (length.or(self.length), size.or(self.size));
    }
}

fn strong_tag(answer: &Answer) -> Option<&HeaderValue> {
    answer.response.headers().get(header::ETAG).filter(|value| is_tag(value))
}

/// Not a weak tag, and no date.
fn is_tag(value: &HeaderValue) -> bool {
    value.as_bytes().starts_with(b"\"")
}

impl Answer {
    /// `Content-Range`; `None` where there is none that can be read.
    fn content_range(&self) -> Option<(u64, u64, Option<u64>)> {
        content_range(self.header(header::CONTENT_RANGE)?)
    }
}

/// First and last byte, and the size of all, as `Content-Range` tells them.
fn content_range(text: &str) -> Option<(u64, u64, Option<u64>)> {
    let (range, size) = text.trim().strip_prefix("bytes")?.trim_start().split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first <= last).then(|| (first, last, size.trim().parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_range_is_read_as_it_is_meant() {
        assert_eq!(content_range("bytes 0-99/200"), Some((0, 99, Some(200))));
        assert_eq!(content_range("bytes 5-5/*"), Some((5, 5, None)));
        for bad in ["", "bytes", "bytes */200", "bytes 9-5/20", "bytes -1-5/20", "items 0-1/2", "bytes 0-x/2"] {
            assert_eq!(content_range(bad), None, "{bad}");
        }
    }
}
