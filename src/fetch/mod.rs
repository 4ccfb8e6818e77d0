//! Where segment bytes come from: the web, files and `data:` URIs, their parts, decrypted.

mod body;
mod cbc;
mod download;
mod policy;
#[cfg(test)]
mod tests;
mod wanted;
mod web;

use std::collections::HashMap;
use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use crate::container::SNIFF_BYTES;
use crate::error::{Error, ErrorKind, Result};
use crate::options::{KeyOverride, Limits};
use crate::playlist::{ByteRange, InitSection, Key, KeyMethod, Location, Segment, default_iv};
use cbc::{AesKey, CbcReader};

pub(crate) use download::{Download, Listener, Progress, Refresh, Settings, Used};
pub(crate) use policy::PathPolicy;
pub(crate) use wanted::{Sequence, Wanted, wanted, without_query};
pub(crate) use web::Web;

/// The first bytes of a gzip body with the one method there is (RFC 1952, 2.3.1).
const GZIP: [u8; 3] = [0x1f, 0x8b, 8];

/// No key is longer.
const MOST_KEY_BYTES: u64 = 64;

/// Bytes of a picture that media may be hidden behind.
const DISGUISE_BYTES: u64 = 4 << 20;

/// Opens what a playlist names, by the rules of its job.
pub(crate) struct Fetcher {
    policy: PathPolicy,
    limits: Limits,
    given: KeyOverride,
    playlist_keys: PlaylistKeys,
    /// Each key is read once.
    keys: Mutex<HashMap<Location, Vec<u8>>>,
    /// What comes from the web, once it is planned.
    download: OnceLock<Arc<Download>>,
}

/// Whether the playlist has EXT-X-KEY tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlaylistKeys {
    Present,
    Absent,
}

/// A segment that is being read: from its first byte, decrypted and inflated.
pub(crate) struct SegmentBytes {
    head: Vec<u8>,
    head_is_all: bool,
    at: usize,
    rest: Box<dyn Read + Send>,
    /// The file and the part of it that holds the segment, where it can be read as it stands.
    plain: Option<(File, ByteRange)>,
}

impl Fetcher {
    pub(crate) fn new(policy: PathPolicy, limits: Limits, given: KeyOverride, playlist_keys: PlaylistKeys) -> Self {
        Self { policy, limits, given, playlist_keys, keys: Mutex::default(), download: OnceLock::new() }
    }

    /// Takes what comes from the web from here. Only the first call counts.
    pub(crate) fn take_from(&self, download: &Arc<Download>) {
        self.download.get_or_init(|| download.clone());
    }

    /// The user gave the key of all segments.
    pub(crate) fn has_key(&self) -> bool {
        self.given.key.is_some()
    }

    /// Opening a segment may mean to wait for it.
    pub(crate) fn waits(&self) -> bool {
        self.download.get().is_some()
    }

    /// Opens a segment and reads its first bytes. Blocks until they are there.
    pub(crate) fn open(&self, segment: &Segment) -> Result<SegmentBytes> {
        let in_segment = |e: Error| e.with_segment(segment.media_sequence, segment.location.display());
        self.open_segment(segment).map_err(in_segment)
    }

    fn open_segment(&self, segment: &Segment) -> Result<SegmentBytes> {
        let (raw, range) = self.open_location(&segment.location, segment.byte_range).map_err(missing_for_good)?;
        let cipher = self.cipher(segment.key.as_deref(), Some(segment.media_sequence))?;
        let plain = match (&raw, cipher) {
            (Raw::File(file), None) => Some((file.try_clone().map_err(|e| Error::io("cannot open", e))?, range)),
            _ => None,
        };
        SegmentBytes::start(decrypted(raw.reader(range)?, cipher), plain, &self.limits)
    }

    /// Nothing of a segment will be read any more, as far as anybody can tell.
    pub(crate) fn release(&self, segment: &Segment) {
        if let (Location::Http(url), Some(download)) = (&segment.location, self.download.get()) {
            download.release(url, segment.byte_range);
        }
    }

    /// Reads an init section whole.
    pub(crate) fn read_init(&self, init: &InitSection) -> Result<Vec<u8>> {
        let named = |e: Error| e.within(format_args!("init section {}", init.location.display()));
        let limit = self.limits.init_section_bytes;
        let read = || {
            let opened = self.open_location(&init.location, init.byte_range).map_err(missing_for_good);
            // What a download failed of says already of what.
            let (raw, range) =
                if matches!(init.location, Location::Http(_)) { opened? } else { opened.map_err(named)? };
            let cipher = self.cipher(init.key.as_deref(), None).map_err(named)?;
            let mut bytes = Vec::new();
            let mut reader = decrypted(raw.reader(range).map_err(named)?, cipher).take(limit + 1);
            reader.read_to_end(&mut bytes).map_err(|e| named(Error::io("cannot read", e)))?;
            Ok(bytes)
        };
        let bytes = read()?;
        match bytes.len() as u64 {
            0 => Err(named(Error::new(ErrorKind::Media, "empty"))),
            n if n > limit => Err(named(Error::new(ErrorKind::Limit, format!("larger than {limit} bytes")))),
            _ => Ok(bytes),
        }
    }

    /// Size of what a segment is read from, in bytes, before decryption; `None` where that cannot be told.
    pub(crate) fn size_bytes(&self, segment: &Segment) -> Option<u64> {
        match (&segment.byte_range, &segment.location) {
            (Some(range), _) => Some(range.length),
            (None, Location::File(path)) => Some(path.metadata().ok()?.len()),
            _ => None,
        }
    }

    fn open_location(&self, location: &Location, range: Option<ByteRange>) -> Result<(Raw, ByteRange)> {
        let (raw, size) = match location {
            Location::File(path) => {
                let (file, size) = self.policy.open(path)?;
                (Raw::File(file), size)
            }
            Location::Data(bytes) => (Raw::Data(bytes.clone()), bytes.len() as u64),
            Location::Http(url) => {
                let (file, part) = self.download()?.open(url, range)?;
                return Ok((Raw::File(file), part));
            }
        };
        let whole = ByteRange { offset: 0, length: size };
        let range = range.unwrap_or(whole);
        match range.offset.checked_add(range.length) {
            Some(end) if end <= size => Ok((raw, range)),
            _ => {
                let ByteRange { offset, length } = range;
                let message = format!("byte range {length}@{offset} reaches beyond the end of {size} bytes");
                Err(Error::new(ErrorKind::Media, message))
            }
        }
    }

    fn download(&self) -> Result<&Download> {
        let unplanned = || Error::new(ErrorKind::Internal, "nothing was planned to be downloaded");
        self.download.get().map(Arc::as_ref).ok_or_else(unplanned)
    }

    /// Key and IV, if these bytes are encrypted.
    fn cipher(&self, key: Option<&Key>, media_sequence: Option<u64>) -> Result<Option<Cipher>> {
        let Some(key) = key else {
            // Media that nothing calls encrypted is decrypted where the user gives a key, unless the playlist tells
            // encrypted segments from clear ones itself.
            let sequence = media_sequence.filter(|_| self.playlist_keys == PlaylistKeys::Absent);
            return Ok(self.given.key.zip(sequence).map(|(key, sequence)| Cipher {
                key: AesKey::Aes128(key),
                iv: self.given.iv.unwrap_or_else(|| default_iv(sequence)),
            }));
        };
        let (bytes, source) = match (self.given.key, &key.location) {
            _ if !key.is_supported() => {
                let message = format!("encrypted with {}, which is not supported", key.method.name());
                return Err(Error::new(ErrorKind::Unsupported, message));
            }
            (Some(given), _) => (given.to_vec(), "--key".to_owned()),
            (None, Some(location)) => (self.key(location)?, location.display()),
            (None, None) => {
                return Err(Error::new(ErrorKind::Key, "the playlist names no key").with_hint("give one with --key"));
            }
        };
        let wrong = |needed: usize| rejected(&source, &format!("{} bytes, {needed} needed", bytes.len()));
        let aes = match key.method {
            KeyMethod::Aes256 => AesKey::Aes256(bytes.as_slice().try_into().map_err(|_| wrong(32))?),
            _ => AesKey::Aes128(bytes.as_slice().try_into().map_err(|_| wrong(16))?),
        };
        let iv = self.given.iv.or(key.iv).or(media_sequence.map(default_iv));
        let iv = iv.ok_or_else(|| Error::new(ErrorKind::Playlist, "an encrypted init section needs an IV"))?;
        Ok(Some(Cipher { key: aes, iv }))
    }

    /// A key's bytes, however many: each is read once.
    fn key(&self, location: &Location) -> Result<Vec<u8>> {
        let mut keys = self.keys.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(key) = keys.get(location) {
            return Ok(key.clone());
        }
        let read = || match location {
            Location::Http(url) => self.download()?.key(url),
            _ => {
                let (raw, range) = self.open_location(location, None)?;
                if range.length > MOST_KEY_BYTES {
                    return Err(Error::new(ErrorKind::Media, format!("{} bytes are no key", range.length)));
                }
                let mut bytes = Vec::new();
                let cannot = |e| Error::io("cannot read the key", e);
                raw.reader(range)?.take(MOST_KEY_BYTES).read_to_end(&mut bytes).map_err(cannot)?;
                Ok(bytes)
            }
        };
        let key = read().map_err(|e: Error| match e.kind() {
            ErrorKind::NotFound | ErrorKind::Media | ErrorKind::Io => rejected(&location.display(), &e.to_string()),
            _ => e,
        })?;
        keys.insert(location.clone(), key.clone());
        Ok(key)
    }
}

#[derive(Clone, Copy)]
struct Cipher {
    key: AesKey,
    iv: [u8; 16],
}

fn decrypted(reader: Box<dyn Read + Send>, cipher: Option<Cipher>) -> Box<dyn Read + Send> {
    match cipher {
        Some(Cipher { key, iv }) => Box::new(CbcReader::new(reader, &key, &iv)),
        None => reader,
    }
}

fn rejected(source: &str, what: &str) -> Error {
    let error = Error::new(ErrorKind::Key, format!("key rejected: {source}: {what}"));
    error.with_hint("give the right key with --key")
}

/// What the playlist lists and its place does not hold is corrupt input rather than a wrong argument.
fn missing_for_good(error: Error) -> Error {
    if error.kind() == ErrorKind::NotFound {
        error.of_kind(ErrorKind::Media).with_hint("put it in place, or go on without it with --on-gap skip")
    } else {
        error
    }
}

enum Raw {
    File(File),
    Data(Arc<[u8]>),
}

impl Raw {
    fn reader(self, range: ByteRange) -> Result<Box<dyn Read + Send>> {
        Ok(match self {
            Self::File(mut file) => {
                if range.offset > 0 {
                    file.seek(SeekFrom::Start(range.offset)).map_err(|e| Error::io("cannot seek", e))?;
                }
                Box::new(file.take(range.length))
            }
            Self::Data(bytes) => {
                let mut cursor = Cursor::new(bytes);
                cursor.set_position(range.offset);
                Box::new(cursor.take(range.length))
            }
        })
    }
}

impl SegmentBytes {
    fn start(mut rest: Box<dyn Read + Send>, plain: Option<(File, ByteRange)>, limits: &Limits) -> Result<Self> {
        let (mut head, mut head_is_all) = read_head(&mut rest)?;
        let mut plain = plain;
        if head.starts_with(&GZIP) {
            plain = None;
            let packed = Cursor::new(head).chain(rest);
            let limit = limits.inflated_segment_bytes;
            rest = Box::new(Bounded { reader: flate2::read::MultiGzDecoder::new(packed), left: limit, limit });
            (head, head_is_all) = read_head(&mut rest)?;
        }
        Ok(Self { head, head_is_all, at: 0, rest, plain })
    }

    /// The first bytes: [`SNIFF_BYTES`], or more once [`look_further`](Self::look_further) was called.
    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }

    /// Makes the head as long as a picture may be that disguises media. Nothing may have been read yet.
    pub(crate) fn look_further(&mut self) -> Result<()> {
        let wanted = DISGUISE_BYTES.saturating_sub(self.head.len() as u64);
        let read =
            (&mut self.rest).take(wanted).read_to_end(&mut self.head).map_err(|e| Error::io("cannot read", e))?;
        self.head_is_all = (read as u64) < wanted;
        Ok(())
    }

    /// The first bytes are all there are.
    pub(crate) fn head_is_all(&self) -> bool {
        self.head_is_all
    }

    /// Makes the head longer; false if it cannot become any longer.
    pub(crate) fn lengthen_head(&mut self, bytes: usize) -> Result<bool> {
        let more = bytes.saturating_sub(self.head.len()) as u64;
        let read = (&mut self.rest).take(more).read_to_end(&mut self.head);
        let read = read.map_err(|e| Error::io("cannot read", e))?;
        self.head_is_all = (read as u64) < more;
        Ok(read > 0)
    }

    /// Drops the next bytes, which must be part of the head.
    pub(crate) fn skip(&mut self, bytes: usize) {
        self.at = (self.at + bytes).min(self.head.len());
    }

    /// The next bytes; 0 at the end.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let left = &self.head[self.at..];
        if !left.is_empty() {
            let n = left.len().min(buffer.len());
            buffer[..n].copy_from_slice(&left[..n]);
            self.at += n;
            return Ok(n);
        }
        loop {
            match self.rest.read(buffer) {
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::io("cannot read", e)),
                Ok(n) => return Ok(n),
            }
        }
    }

    /// The segment as a file that can seek: its own where it stands there as it is, else a copy in `folder`.
    pub(crate) fn into_file(mut self, folder: &Path) -> Result<(File, ByteRange)> {
        if let Some(plain) = self.plain {
            return Ok(plain);
        }
        let spooled = tempfile::tempfile_in(folder).and_then(|mut file| {
            let length = std::io::copy(&mut Cursor::new(self.head).chain(&mut self.rest), &mut file)?;
            Ok((file, ByteRange { offset: 0, length }))
        });
        spooled.map_err(|e| Error::io("cannot spool the segment in the workspace", e))
    }
}

/// Reads up to [`SNIFF_BYTES`]; true if that was all.
fn read_head(reader: &mut impl Read) -> Result<(Vec<u8>, bool)> {
    let mut head = Vec::new();
    let wanted = SNIFF_BYTES as u64;
    let read = reader.take(wanted).read_to_end(&mut head);
    read.map_err(|e| Error::io("cannot read", e))?;
    let all = (head.len() as u64) < wanted;
    Ok((head, all))
}

/// Fails where more comes than a limit allows.
struct Bounded<R> {
    reader: R,
    left: u64,
    limit: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.reader.read(buffer)?;
        self.left = self.left.checked_sub(n as u64).ok_or_else(|| {
            let message = format!("its gzip body inflates to more than {} bytes", self.limit);
            std::io::Error::other(Error::new(ErrorKind::Limit, message))
        })?;
        Ok(n)
    }
}
