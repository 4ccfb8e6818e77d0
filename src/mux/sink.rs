//! What a muxer writes to: a file that can seek, or a stream that cannot.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

use super::write_back::WriteBack;
use crate::av::{Reader, Writer};
use crate::error::{Error, Result};
use crate::options::Fsync;

/// The bytes' destination.
pub(crate) enum Sink {
    /// With what brings it to disk while it is written, where that is wanted.
    File(File, Option<WriteBack>),
    Stream(Box<dyn Write + Send>),
}

impl Sink {
    /// A file that can seek.
    pub(crate) fn file(file: File, fsync: Fsync) -> Self {
        Self::File(file, (fsync == Fsync::On).then(WriteBack::default))
    }
}

impl Writer for Sink {
    fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Self::File(file, follow) => file.write_all(bytes).and_then(|()| match follow {
                Some(follow) => follow.wrote(file, bytes.len()),
                None => Ok(()),
            }),
            Self::Stream(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
        .map_err(|e| Error::io("cannot write the output", e))
    }

    fn can_seek(&self) -> bool {
        matches!(self, Self::File(..))
    }

    fn seek(&mut self, position: u64) -> Result<()> {
        match self {
            Self::File(file, _) => file.seek(SeekFrom::Start(position)).map(drop),
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
