//! What a server serves, and the ways in which it fails at it.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::reply::{End, Files, Framing, Reply};
use crate::sandbox::{fixture, names};
use crate::server::{Request, Server};

/// How a request is answered.
pub(crate) type Answer = Arc<dyn Fn(&Request, &Files) -> Reply + Send + Sync>;

/// Files, and scripts for those that are not served in the ordinary way.
#[derive(Clone, Default)]
pub(crate) struct Site {
    pub(crate) files: Files,
    pub(crate) scripts: HashMap<String, Vec<Answer>>,
    pub(crate) always: HashMap<String, Answer>,
    pub(crate) every: Option<Answer>,
}

impl Site {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The files of a fixture, at the top.
    pub(crate) fn fixture(case: &str) -> Self {
        names(&fixture(case))
            .iter()
            .fold(Self::new(), |site, name| site.put(&format!("/{name}"), fs::read(fixture(case).join(name)).unwrap()))
    }

    pub(crate) fn put(mut self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.put(path, content.into());
        self
    }

    /// The n-th request of the path gets the n-th answer; those after the last are served in the ordinary way.
    pub(crate) fn on(mut self, path: &str, script: impl IntoIterator<Item = Answer>) -> Self {
        self.scripts.entry(path.to_owned()).or_default().extend(script);
        self
    }

    /// Every request of the path gets this answer, but for those with a script.
    pub(crate) fn always(mut self, path: &str, answer: Answer) -> Self {
        self.always.insert(path.to_owned(), answer);
        self
    }

    /// Every request gets this answer for which nothing else is said.
    pub(crate) fn every(mut self, answer: Answer) -> Self {
        self.every = Some(answer);
        self
    }

    pub(crate) fn start(self) -> Server {
        self.start_at("127.0.0.1")
    }

    pub(crate) fn start_at(self, ip: &str) -> Server {
        Server::start(ip, self)
    }
}

/// An answer made anew for each request.
pub(crate) fn answer(make: impl Fn(&Request, &Files) -> Reply + Send + Sync + 'static) -> Answer {
    Arc::new(make)
}

/// The ordinary answer, changed.
pub(crate) fn changed(change: impl Fn(Reply) -> Reply + Send + Sync + 'static) -> Answer {
    Arc::new(move |request, files| change(files.reply(request)))
}

/// The ordinary answer.
pub(crate) fn good() -> Answer {
    changed(|reply| reply)
}

/// The ordinary answer with another end.
pub(crate) fn ending(end: End) -> Answer {
    changed(move |reply| reply.end(end))
}

/// The ordinary answer after a time.
pub(crate) fn late(time: Duration) -> Answer {
    changed(move |reply| reply.delay(time))
}

/// The ordinary answer in pieces.
pub(crate) fn paced(bytes: usize, pause: Duration) -> Answer {
    changed(move |reply| reply.pace(bytes, pause))
}

pub(crate) fn framed(framing: Framing) -> Answer {
    changed(move |reply| reply.framing(framing))
}

/// The whole file, whatever range was asked for, from a server that knows no ranges.
pub(crate) fn no_ranges() -> Answer {
    answer(|request, files| files.whole(&request.path).without("Accept-Ranges"))
}

/// A status and a page that tells it.
pub(crate) fn status(code: u16) -> Answer {
    answer(move |_, _| page(code))
}

pub(crate) fn page(code: u16) -> Reply {
    Reply::new(code, format!("<html><body>{code}</body></html>\n").into_bytes()).header("Content-Type", "text/html")
}

/// A status with one header more.
pub(crate) fn status_with(code: u16, name: &'static str, value: impl Into<String>) -> Answer {
    let value = value.into();
    answer(move |_, _| page(code).header(name, value.clone()))
}

/// Status 200 with this in place of the file.
pub(crate) fn instead(content: impl Into<Vec<u8>>) -> Answer {
    let content: Arc<[u8]> = content.into().into();
    answer(move |_, _| Reply::new(200, Arc::clone(&content)))
}

pub(crate) fn redirect(code: u16, location: impl Into<String>) -> Answer {
    let location = location.into();
    answer(move |_, _| Reply::new(code, *b"").header("Location", location.clone()))
}

pub(crate) fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(content: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(content, ruzstd::encoding::CompressionLevel::Fastest)
}

/// A brotli stream of blocks that are stored as they are.
pub(crate) fn brotli(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (i, block) in content.chunks(1 << 16).enumerate() {
        // Only the first block has the bit for the window's size before its own: not the last, four nibbles for the
        // length less one, stored.
        let header = (block.len() as u32 - 1) << 3 | 1 << 19;
        let header = if i == 0 { header << 1 } else { header };
        out.extend_from_slice(&header.to_le_bytes()[..3]);
        out.extend_from_slice(block);
    }
    // The last block, and it is empty.
    out.push(if content.is_empty() { 6 } else { 3 });
    out
}
