//! What a muxer writes to: a file that can seek, or a stream that cannot.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use super::allocate::Allocation;
use super::write_back::{ToDisk, WriteBack};
use crate::av::{Reader, Writer};
use crate::error::{Error, Result};

/// The bytes' destination.
pub(crate) enum Sink {
    File(SinkFile),
    Stream(Box<dyn Write + Send>),
}

/// A file, and how far its writing has come.
pub(crate) struct SinkFile {
    file: File,
    position: u64,
    allocation: Allocation,
    /// Brings it to disk while it is written, where that is wanted.
    follow: Option<WriteBack>,
}

impl Sink {
    /// A file that can seek, and stands at its start.
    pub(crate) fn file(file: File, to_disk: ToDisk) -> Self {
        let follow = WriteBack::new(to_disk);
        Self::File(SinkFile { file, position: 0, allocation: Allocation::default(), follow })
    }
}

impl SinkFile {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.allocation.ahead(&self.file, self.position, bytes.len());
        self.file.write_all(bytes)?;
        self.position += bytes.len() as u64;
        self.follow.as_mut().map_or(Ok(()), |follow| follow.wrote(&self.file, bytes.len()))
    }

    fn seek(&mut self, position: u64) -> io::Result<()> {
        self.position = self.file.seek(SeekFrom::Start(position))?;
        Ok(())
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Takes the file's end away.
    pub(super) fn cut(&mut self, end: u64) -> Result<()> {
        let cut = self.file.set_len(end).and_then(|()| self.seek(end));
        self.allocation.cut(end);
        cut.map_err(|e| Error::io("cannot write the output", e))
    }

    /// Nothing more is written by the muxer. Blocks until what was asked to go to disk is there.
    pub(super) fn finish(mut self) -> Result<File> {
        let finished = self.follow.as_mut().map_or(Ok(()), WriteBack::finish);
        finished.map_err(|e| Error::io("cannot write the output to disk", e))?;
        // What was set aside beyond the end goes back.
        let cut = self.file.metadata().and_then(|m| self.file.set_len(m.len()));
        cut.map_err(|e| Error::io("cannot write the output", e))?;
        Ok(self.file)
    }
}

impl Writer for Sink {
    fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Self::File(file) => file.write_all(bytes),
            Self::Stream(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
        .map_err(|e| Error::io("cannot write the output", e))
    }

    fn can_seek(&self) -> bool {
        matches!(self, Self::File(..))
    }

    fn seek(&mut self, position: u64) -> Result<()> {
        match self {
            Self::File(file) => file.seek(position),
            Self::Stream(_) => Err(std::io::ErrorKind::Unsupported.into()),
        }
        .map_err(|e| Error::io("cannot seek in the output", e))
    }
}

/// A finished file, to be read back.
pub(super) struct ReadBack {
    file: File,
    size: u64,
}

impl ReadBack {
    /// Reads from the file's start.
    pub(super) fn new(file: &File) -> Result<Self> {
        let open = || {
            let mut file = file.try_clone()?;
            file.seek(SeekFrom::Start(0))?;
            let size = file.metadata()?.len();
            Ok(Self { file, size })
        };
        open().map_err(|e| Error::io("cannot read the output back", e))
    }

    pub(super) fn size_bytes(&self) -> u64 {
        self.size
    }
}

impl Reader for ReadBack {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.file.read(buffer).map_err(|e| Error::io("cannot read the output back", e))
    }

    fn size(&self) -> Option<u64> {
        Some(self.size)
    }

    fn seek(&mut self, position: u64) -> Result<()> {
        self.file.seek(SeekFrom::Start(position)).map(drop).map_err(|e| Error::io("cannot read the output back", e))
    }
}
