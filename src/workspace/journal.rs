//! What of a download is complete, so that the next run of the same job need not fetch it again.
//!
//! A file that only grows, a line for each resource: its key, its exact URL's hash, its length, its content's hash
//! and the number of its file, with the line's own hash at the end. What a crash tore off at the end does not hash,
//! and is left out.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Error, Result};

/// Tells the form of the lines.
const VERSION: &str = "r1";
/// A journal is read up to this size in bytes: far more than `Limits` lets a job have.
const MAX_BYTES: u64 = 256 << 20;

/// A resource that was stored whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Of its URL without user and query, and of its byte range.
    pub(crate) key: u128,
    /// Of its whole URL.
    pub(crate) exact: u64,
    pub(crate) length: u64,
    /// Of its bytes.
    pub(crate) content: u128,
    /// Its file in the workspace.
    pub(crate) file: u64,
    /// Its bytes are all of the resource, of which a part is meant.
    pub(crate) whole: bool,
}

impl Entry {
    fn line(&self) -> String {
        let Self { key, exact, length, content, file, whole } = self;
        let text = format!("{VERSION} {key:032x} {exact:016x} {length} {content:032x} {file} {}", u8::from(*whole));
        format!("{text} {:016x}\n", xxh3_64(text.as_bytes()))
    }

    fn parse(line: &str) -> Option<Self> {
        let (text, hash) = line.rsplit_once(' ')?;
        if u64::from_str_radix(hash, 16).ok()? != xxh3_64(text.as_bytes()) {
            return None;
        }
        let fields: Vec<&str> = text.split(' ').collect();
        let [VERSION, key, exact, length, content, file, whole] = fields[..] else { return None };
        Some(Self {
            key: u128::from_str_radix(key, 16).ok()?,
            exact: u64::from_str_radix(exact, 16).ok()?,
            length: length.parse().ok()?,
            content: u128::from_str_radix(content, 16).ok()?,
            file: file.parse().ok()?,
            whole: whole == "1",
        })
    }
}

/// The journal of one workspace, open to be written on.
pub(super) struct Journal(File);

impl Journal {
    /// Opens or makes the journal; also tells what it holds, later lines of a key after earlier ones.
    pub(super) fn open(path: &Path) -> Result<(Self, Vec<Entry>)> {
        let failed = |e: io::Error| Error::io("cannot open the workspace's journal", e);
        let mut file = File::options().read(true).append(true).create(true).open(path).map_err(failed)?;
        let mut bytes = Vec::new();
        (&mut file).take(MAX_BYTES).read_to_end(&mut bytes).map_err(failed)?;
        let text = String::from_utf8_lossy(&bytes);
        let entries = text.lines().filter_map(Entry::parse).collect();
        if !bytes.is_empty() && bytes.last() != Some(&b'\n') {
            // The torn line ends here, and the next is whole.
            file.write_all(b"\n").map_err(failed)?;
        }
        Ok((Self(file), entries))
    }

    pub(super) fn append(&mut self, entry: &Entry) -> Result<()> {
        self.0.write_all(entry.line().as_bytes()).map_err(|e| Error::io("cannot write the workspace's journal", e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn entry(n: u64) -> Entry {
        Entry { key: u128::from(n) << 70, exact: n, length: n * 1000, content: 7, file: n, whole: n % 2 == 1 }
    }

    #[test]
    fn what_was_written_comes_back_but_for_a_torn_tail() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (mut journal, found) = Journal::open(&path).unwrap();
        assert!(found.is_empty());
        for n in 1..=3 {
            journal.append(&entry(n)).unwrap();
        }
        drop(journal);
        let whole = fs::read(&path).unwrap();
        let lines: Vec<usize> = (0..whole.len()).filter(|i| whole[*i] == b'\n').collect();
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let (mut journal, found) = Journal::open(&path).unwrap();
            let complete = lines.iter().filter(|end| **end <= cut).count();
            assert_eq!(found, (1..=complete as u64).map(entry).collect::<Vec<_>>(), "cut at {cut}");
            journal.append(&entry(9)).unwrap();
            assert_eq!(Journal::open(&path).unwrap().1.last(), Some(&entry(9)), "written on after a cut at {cut}");
        }
    }

    #[test]
    fn a_line_that_was_changed_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        fs::write(&path, entry(1).line().replace("1000", "1001") + &entry(2).line()).unwrap();
        assert_eq!(Journal::open(&path).unwrap().1, [entry(2)]);
    }
}
