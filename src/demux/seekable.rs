//! A segment that has to be read as a file: its index stands behind its media.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use crate::error::{Error, Result};
use crate::playlist::ByteRange;

/// A file that the demuxer seeks in, in place of a stream of segments.
pub(super) struct Seekable {
    file: File,
    start: u64,
    size: u64,
    at: u64,
}

impl Seekable {
    pub(super) fn new(file: File, range: ByteRange) -> Self {
        Self { file, start: range.offset, size: range.length, at: 0 }
    }

    pub(super) fn size_bytes(&self) -> u64 {
        self.size
    }

    pub(super) fn seek(&mut self, position: u64) {
        self.at = position;
    }

    /// Fills the front of the buffer; 0 at the end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let left = usize::try_from(self.size.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let length = left.min(buffer.len());
        let read =
            self.file.seek(SeekFrom::Start(self.start + self.at)).and_then(|_| self.file.read(&mut buffer[..length]));
        let n = read.map_err(|e| Error::io("cannot read", e))?;
        self.at += n as u64;
        Ok(n)
    }
}
