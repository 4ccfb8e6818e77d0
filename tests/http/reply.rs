//! Answers: those of an ordinary file server, and ways to break them.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;

use crate::server::{Request, Shared};

/// Where an endless body ends after all, so that nothing of a test runs for ever.
const ENDLESS_BYTES: u64 = 1 << 30;

/// How a body's end is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    Length,
    Chunked,
    /// By closing the connection, as HTTP/1.0 did.
    Close,
}

/// How an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Whole,
    /// Whole, and then the connection is closed, which no header said.
    Closed,
    /// The connection is closed after so many bytes of the body.
    Cut(usize),
    /// It is reset after so many bytes of the body.
    Reset(usize),
    /// After so many bytes of the body nothing comes any more, until the client goes.
    Stall(usize),
    /// Closed before the head.
    HangUp,
    /// Nothing comes, not even the head, until the client goes.
    Silence,
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    body: Arc<[u8]>,
    range: Range<usize>,
    /// The body is repeated until the client goes.
    is_endless: bool,
    framing: Framing,
    delay: Duration,
    /// Pieces of so many bytes, with a pause before each but the first.
    pace: Option<(usize, Duration)>,
    end: End,
}

/// How far an answer has come.
pub(crate) struct Sent {
    pub(crate) status: u16,
    pub(crate) bytes: u64,
    /// The last piece follows; noted before it is sent, so that nobody has the whole answer earlier than the log.
    pub(crate) is_last: bool,
}

impl Reply {
    pub(crate) fn new(status: u16, body: impl Into<Arc<[u8]>>) -> Self {
        let body = body.into();
        Self {
            status,
            headers: Vec::new(),
            range: 0..body.len(),
            body,
            is_endless: false,
            framing: Framing::Length,
            delay: Duration::ZERO,
            pace: None,
            end: End::Whole,
        }
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self
    }

    pub(crate) fn end(mut self, end: End) -> Self {
        self.end = end;
        self
    }

    pub(crate) fn framing(mut self, framing: Framing) -> Self {
        self.framing = framing;
        self
    }

    /// Waits before the head.
    pub(crate) fn delay(mut self, time: Duration) -> Self {
        self.delay = time;
        self
    }

    pub(crate) fn pace(mut self, bytes: usize, pause: Duration) -> Self {
        self.pace = Some((bytes, pause));
        self
    }

    pub(crate) fn endless(mut self) -> Self {
        self.is_endless = true;
        self
    }

    /// Bytes of the body as it would be sent.
    pub(crate) fn len(&self) -> usize {
        self.range.len()
    }

    /// Sends it; false if the connection is not to be used again.
    pub(crate) fn send(
        &self,
        stream: &mut TcpStream,
        request: &Request,
        shared: &Shared,
        mut note: impl FnMut(Sent),
    ) -> io::Result<bool> {
        if !self.delay.is_zero() && !shared.pause(self.delay) {
            return Ok(false);
        }
        let status = self.status;
        match self.end {
            End::HangUp => return Ok(false),
            End::Silence => return wait_for_client(stream),
            _ => {}
        }
        let body = if request.method == "HEAD" { &[][..] } else { &self.body[self.range.clone()] };
        let (stop, breaks) = match self.end {
            End::Cut(n) | End::Reset(n) | End::Stall(n) => (n.min(body.len()), true),
            _ => (body.len(), false),
        };
        let mut out = self.head(body.len()).into_bytes();
        let (piece, pause) = self.pace.unwrap_or((64 << 10, Duration::ZERO));
        let mut bytes = 0;
        for (i, piece) in body[..stop].chunks(piece).enumerate() {
            if i > 0 && !pause.is_zero() && !shared.pause(pause) {
                return Ok(false);
            }
            stream.write_all(&std::mem::take(&mut out))?;
            bytes += piece.len() as u64;
            note(Sent { status, bytes, is_last: bytes == stop as u64 && !breaks && !self.is_endless });
            out = self.framed(piece);
        }
        if stop == 0 {
            note(Sent { status, bytes, is_last: !breaks });
        }
        while self.is_endless && bytes < ENDLESS_BYTES {
            stream.write_all(&std::mem::replace(&mut out, self.framed(body)))?;
            bytes += body.len() as u64;
            note(Sent { status, bytes, is_last: false });
        }
        if self.framing == Framing::Chunked && !breaks {
            out.extend_from_slice(b"0\r\n\r\n");
        }
        stream.write_all(&out)?;
        match self.end {
            End::Reset(_) => {
                // Closed with a time to linger of nothing, a connection is reset.
                SockRef::from(&*stream).set_linger(Some(Duration::ZERO))?;
                Ok(false)
            }
            End::Stall(_) => wait_for_client(stream),
            End::Whole => Ok(self.framing != Framing::Close),
            _ => Ok(false),
        }
    }

    fn head(&self, length: usize) -> String {
        let mut out = format!("HTTP/1.1 {} Said\r\n", self.status);
        for (name, value) in &self.headers {
            out += &format!("{name}: {value}\r\n");
        }
        match self.framing {
            Framing::Length if self.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case("Content-Length")) => {}
            // What never ends has no length that is true.
            Framing::Length if self.is_endless => out += "Content-Length: 1099511627776\r\n",
            Framing::Length => out += &format!("Content-Length: {length}\r\n"),
            Framing::Chunked => out += "Transfer-Encoding: chunked\r\n",
            Framing::Close => out += "Connection: close\r\n",
        }
        out + "\r\n"
    }

    fn framed(&self, piece: &[u8]) -> Vec<u8> {
        match self.framing {
            Framing::Chunked => [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat(),
            _ => piece.to_vec(),
        }
    }
}

/// Says nothing until the client goes or the server ends.
fn wait_for_client(stream: &mut TcpStream) -> io::Result<bool> {
    let mut rest = [0; 1024];
    while stream.read(&mut rest)? > 0 {}
    Ok(false)
}

/// Files by their path, each with an ETag.
#[derive(Debug, Clone, Default)]
pub(crate) struct Files(HashMap<String, Arc<[u8]>>);

impl Files {
    pub(crate) fn put(&mut self, path: &str, content: impl Into<Arc<[u8]>>) {
        self.0.insert(path.to_owned(), content.into());
    }

    pub(crate) fn get(&self, path: &str) -> Option<&Arc<[u8]>> {
        self.0.get(path)
    }

    /// What an ordinary server says.
    pub(crate) fn reply(&self, request: &Request) -> Reply {
        let whole = self.whole(&request.path);
        if whole.status != 200 {
            return whole;
        }
        let tag = whole.headers.iter().find(|(name, _)| name == "ETag").map(|(_, tag)| tag.as_str());
        let is_same = request.header("If-Range").is_none_or(|wanted| Some(wanted) == tag);
        match request.header("Range").filter(|_| is_same) {
            Some(range) => part(&whole, range),
            None => whole,
        }
    }

    /// The whole file, whatever range was asked for.
    pub(crate) fn whole(&self, path: &str) -> Reply {
        let Some(content) = self.get(path) else { return Reply::new(404, *b"not here\n") };
        let kind = match path.rsplit('.').next() {
            Some("m3u8") => "application/vnd.apple.mpegurl",
            Some("ts") => "video/mp2t",
            _ => "application/octet-stream",
        };
        let mut hasher = DefaultHasher::new();
        content.hash(&mut hasher);
        Reply::new(200, Arc::clone(content))
            .header("Content-Type", kind)
            .header("Accept-Ranges", "bytes")
            .header("ETag", format!("\"{:x}\"", hasher.finish()))
    }
}

/// The part of a whole answer that a `Range: bytes=a-b` wants.
fn part(whole: &Reply, range: &str) -> Reply {
    let length = whole.len();
    let parsed = range.strip_prefix("bytes=").and_then(|r| r.split_once('-')).and_then(|(first, last)| {
        let first: usize = first.parse().ok()?;
        let last = if last.is_empty() { length } else { last.parse::<usize>().ok()?.checked_add(1)? };
        Some(first..last.min(length))
    });
    match parsed {
        Some(range) if range.start < range.end => {
            let mut reply = whole.clone();
            reply.status = 206;
            let content_range = format!("bytes {}-{}/{length}", range.start, range.end - 1);
            reply.range = range;
            reply.header("Content-Range", content_range)
        }
        _ => Reply::new(416, *b"").header("Content-Range", format!("bytes */{length}")),
    }
}
