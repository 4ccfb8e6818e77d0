//! Bodies on their way in, and a look at whether they are what they were called.

use std::io::Read;

use super::wanted::{Kind, Wanted};
use crate::container::{SNIFF_BYTES, Structure, Watch, sniff};
use crate::error::{Error, ErrorKind, Result};
use crate::net::{Body, Fetched, Whole};
use crate::workspace::{Store, Stored, Storing};

const READ_BYTES: usize = 64 << 10;
const BLOCK_BYTES: u64 = 16;
const KEY_BYTES: usize = 16;

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

    fn judge(&mut self, _: &Fetched) -> Result<()> {
        if self.0.len() == KEY_BYTES {
            return Ok(());
        }
        let found = match sniff(&self.0) {
            Err(what @ ("an HTML page" | "a JSON document" | "an XML document")) => what.to_owned(),
            _ => format!("{} bytes, {KEY_BYTES} needed", self.0.len()),
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
            Err(what) if self.head.is_empty() => what,
            // What is encrypted, or packed, is looked at when it is opened; a page of text shows all the same.
            Err(what @ ("an HTML page" | "a JSON document")) => what,
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
    fn judge_end(&mut self) -> Result<()> {
        let length = self.storing.len();
        if self.is_complete()? || self.cut_at == Some(length) {
            return Ok(());
        }
        self.cut_at = Some(length);
        Err(Error::new(ErrorKind::Network, format!("the connection ended after {length} bytes, which are not all"))
            .with_hint("try again"))
    }

    fn is_complete(&self) -> Result<bool> {
        if matches!(self.wanted.kind, Kind::Segment { encrypted: true } | Kind::Init { encrypted: true }) {
            return Ok(self.storing.len().is_multiple_of(BLOCK_BYTES));
        }
        let Ok(found) = sniff(&self.head) else { return Ok(true) };
        let mut watch = Watch::new(found.container);
        let mut file = self.storing.reader(self.store)?;
        std::io::copy(&mut (&mut file).take(found.skip as u64), &mut std::io::sink()).map_err(unreadable)?;
        let mut buffer = vec![0; READ_BYTES];
        loop {
            match file.read(&mut buffer).map_err(unreadable)? {
                0 => break,
                n => watch.feed(&buffer[..n]),
            }
        }
        Ok(watch.finish() == Structure::Whole)
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
        self.storing.write(bytes)
    }

    fn judge(&mut self, fetched: &Fetched) -> Result<()> {
        if let Some(encoding) = fetched.encoding.as_deref().filter(|e| !matches!(*e, "gzip" | "x-gzip" | "identity")) {
            let message = format!("the server packed it as \"{encoding}\", which was not asked for");
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        // Of a whole resource instead of a part, the part may be anywhere.
        if fetched.whole == Whole::Instead {
            return Ok(());
        }
        self.judge_content()?;
        if fetched.framed { Ok(()) } else { self.judge_end() }
    }
}
