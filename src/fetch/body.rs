//! Bodies on their way in, and a look at whether they are what they were called.

use std::io::Read;

use super::wanted::{Kind, Wanted};
use crate::container::{
    Container, InitPrefix, PICTURE, SNIFF_BYTES, Span, Structure, Watch, init_prefix, longer_tags, sniff,
};
use crate::error::{Error, ErrorKind, Result};
use crate::net::{Body, Fetched, Whole, decode};
use crate::playlist::may_be_empty;
use crate::time::Nanos;
use crate::workspace::{Store, Stored, Storing};

const READ_BYTES: usize = 64 << 10;
/// Of AES-128 and AES-256.
const KEY_BYTES: [usize; 2] = [16, 32];
/// No key's answer unpacks to more, in bytes.
const KEY_ANSWER_BYTES: usize = 64 << 10;
/// Media may be so much shorter than announced, or by a tenth, and pass for whole.
const SHORT: Nanos = Nanos::from_ms(300);

/// A key on its way into memory.
#[derive(Default)]
pub(super) struct KeyBody(pub(super) Vec<u8>);

impl Body for KeyBody {
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

    fn judge(&mut self, fetched: &Fetched) -> Result<()> {
        if let Some(encoding) = &fetched.encoding {
            let rejected = |e: Error| e.of_kind(ErrorKind::Key).within("key rejected");
            self.0 = decode(encoding, std::mem::take(&mut self.0), KEY_ANSWER_BYTES).map_err(rejected)?;
        }
        if KEY_BYTES.contains(&self.0.len()) {
            return Ok(());
        }
        let found = match sniff(&self.0) {
            Err(what @ ("an HTML page" | "a JSON document" | "an XML document")) => what.to_owned(),
            _ => format!("{} bytes, {} or {} needed", self.0.len(), KEY_BYTES[0], KEY_BYTES[1]),
        };
        Err(Error::new(ErrorKind::Key, format!("key rejected: {found}")).with_hint("give the right key with --key"))
    }
}

/// A segment or init section on its way into the workspace.
pub(super) struct FileBody<'a> {
    storing: Storing,
    store: &'a Store,
    wanted: &'a Wanted,
    head: Vec<u8>,
    /// Where the connection's end cut the body off before, as far as anybody can tell.
    cut_at: Option<u64>,
}

/// Whether a body is all of its resource, by its bytes.
enum Proof {
    Complete,
    /// It is clearly shorter than its playlist says.
    Short {
        held: Nanos,
        announced: Nanos,
    },
    None,
}

impl<'a> FileBody<'a> {
    pub(super) fn begin(store: &'a Store, wanted: &'a Wanted) -> Result<Self> {
        Ok(Self { storing: store.begin()?, store, wanted, head: Vec::new(), cut_at: None })
    }

    pub(super) fn commit(self, fetched: &Fetched) -> Result<Stored> {
        let whole = fetched.whole == Whole::Instead;
        self.store.commit(self.storing, self.wanted.key, self.wanted.exact(), whole)
    }

    /// What came is no media: a page that tells of an error, an empty body.
    fn judge_content(&self) -> Result<()> {
        let what = match sniff(&self.head) {
            Err(_) if self.head.is_empty() && may_be_empty(self.wanted.duration) => return Ok(()),
            Err(what) if self.head.is_empty() => what,
            // What stands behind tags, and pictures in them, is looked at when it is opened.
            Err(_) if self.head.len() == SNIFF_BYTES && longer_tags(&self.head).is_some() => return Ok(()),
            // What is encrypted, or packed, is looked at when it is opened; a page of text shows all the same.
            Err(what @ ("an HTML page" | "a JSON document")) => what,
            // Media may begin behind it.
            Err(PICTURE) if self.head.len() >= SNIFF_BYTES => return Ok(()),
            Err(what)
                if self.wanted.kind == (Kind::Segment { encrypted: false }) && !self.head.starts_with(&super::GZIP) =>
            {
                what
            }
            _ => return Ok(()),
        };
        Err(Error::new(ErrorKind::Media, format!("it is {what}, not media"))
            .with_hint("get the segment again, or go on without it with --on-gap skip"))
    }

    /// Only the connection's end told that this is all. A body that ends in the middle of something is asked for
    /// again; where it ends there again, that is what the server has.
    fn judge_end(&mut self, fetched: &Fetched) -> Result<()> {
        let length = self.storing.len();
        match self.proof(fetched)? {
            Proof::Complete => return Ok(()),
            Proof::Short { held, announced } => {
                let (held, announced) = (held.seconds(), announced.seconds());
                let message = format!("it is cut short: the connection ended after {held:.3} s of {announced:.3} s");
                return Err(Error::new(ErrorKind::Media, message)
                    .with_hint("get the segment again, or go on without it with --on-gap skip"));
            }
            Proof::None if self.cut_at == Some(length) => return Ok(()),
            Proof::None => {}
        }
        self.cut_at = Some(length);
        Err(Error::new(ErrorKind::Network, format!("the connection ended after {length} bytes, which may not be all"))
            .with_hint("try again"))
    }

    /// What the bytes themselves tell. Of most kinds it is nothing.
    fn proof(&self, fetched: &Fetched) -> Result<Proof> {
        let is_init = match self.wanted.kind {
            _ if fetched.whole == Whole::Instead => return Ok(Proof::None),
            Kind::Segment { encrypted: false } => false,
            Kind::Init { encrypted: false } => true,
            Kind::Segment { .. } | Kind::Init { .. } | Kind::Text | Kind::Key => return Ok(Proof::None),
        };
        let Ok(found) = sniff(&self.head) else { return Ok(Proof::None) };
        let (mut watch, mut span) = (Watch::new(found.container), Span::new(found.container));
        let mut file = self.storing.reader(self.store)?;
        std::io::copy(&mut (&mut file).take(found.skip as u64), &mut std::io::sink()).map_err(unreadable)?;
        let mut buffer = vec![0; READ_BYTES];
        loop {
            match file.read(&mut buffer).map_err(unreadable)? {
                0 => break,
                n => {
                    watch.feed(&buffer[..n]);
                    span.feed(&buffer[..n]);
                }
            }
        }
        let span = span.finish();
        if let (false, Some(announced), Some(held)) = (is_init, self.wanted.duration, span.duration)
            && announced.minus(held) > SHORT.max(Nanos(announced.0 / 10))
        {
            return Ok(Proof::Short { held, announced });
        }
        let is_complete = match found.container {
            _ if watch.finish() != Structure::Whole || watch.awaits_media() || span.is_open => false,
            Container::Mp4 => !is_init || init_prefix(&self.head, true) != InitPrefix::None,
            // Without a length the structure is all there is.
            _ => is_init || span.duration.is_some(),
        };
        Ok(if is_complete { Proof::Complete } else { Proof::None })
    }

    /// Packed bytes are unpacked as a segment is read: those of a part, and what is encrypted, would not come out.
    fn judge_encoding(&self, fetched: &Fetched) -> Result<()> {
        let Some(encoding) = &fetched.encoding else { return Ok(()) };
        let is = |name: &str| encoding.eq_ignore_ascii_case(name);
        let unpacked = self.wanted.kind == (Kind::Segment { encrypted: false }) && self.wanted.range.is_none();
        if is("identity") || (unpacked && (is("gzip") || is("x-gzip"))) {
            return Ok(());
        }
        let message = format!("the server packed it as \"{encoding}\", which was not asked for");
        Err(Error::new(ErrorKind::Unsupported, message))
    }
}

fn unreadable(error: std::io::Error) -> Error {
    Error::io("cannot read in the workspace", error)
}

impl Body for FileBody<'_> {
    fn len(&self) -> u64 {
        self.storing.len()
    }

    fn restart(&mut self) -> Result<()> {
        self.head.clear();
        self.storing.restart()
    }

    fn push(&mut self, bytes: &[u8]) -> Result<()> {
        let wanted = SNIFF_BYTES.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..wanted]);
        // What is no media may have no end. Of a part it may be sent whole, and then begins with anything.
        if wanted > 0 && self.head.len() == SNIFF_BYTES && self.wanted.range.is_none() {
            self.judge_content()?;
        }
        self.storing.write(bytes)
    }

    fn judge(&mut self, fetched: &Fetched) -> Result<()> {
        self.judge_encoding(fetched)?;
        // Of a whole resource instead of a part, the part may be anywhere.
        if fetched.whole == Whole::AsAsked {
            self.judge_content()?;
        }
        if fetched.framed { Ok(()) } else { self.judge_end(fetched) }
    }
}
