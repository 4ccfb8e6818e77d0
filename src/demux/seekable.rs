//! A segment that has to be read as a file: its index stands behind its media.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use crate::container::{MOOV_BYTES, box_header};
use crate::error::{Error, Result};
use crate::playlist::ByteRange;

/// Boxes before `moov` that are passed over, more than any file has.
const MAX_BOXES: usize = 1000;

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

    /// The body of its `moov`. `None` where none is found, or it is longer than can be looked into. It is read from the
    /// start after that.
    pub(super) fn moov(&mut self) -> Result<Option<Vec<u8>>> {
        let (mut found, mut at) = (None, 0u64);
        for _ in 0..MAX_BOXES {
            let head = self.bytes_at(at, 16)?;
            let Some(header) = box_header(&head).filter(|header| header.size > 0) else { break };
            if &header.kind == b"moov" {
                let head_bytes = if head.starts_with(&[0, 0, 0, 1]) { 16 } else { 8 };
                if header.size <= MOOV_BYTES {
                    found = Some(self.bytes_at(at + head_bytes, header.size - head_bytes)?);
                }
                break;
            }
            at = at.saturating_add(header.size);
        }
        self.seek(0);
        Ok(found)
    }

    /// So many bytes from a place on; fewer at the end.
    fn bytes_at(&mut self, at: u64, length: u64) -> Result<Vec<u8>> {
        self.seek(at);
        let length = length.min(self.size.saturating_sub(at));
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        let mut filled = 0;
        while filled < bytes.len() {
            match self.read(&mut bytes[filled..])? {
                0 => break,
                n => filled += n,
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }
}
