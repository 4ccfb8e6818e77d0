//! Resources in a workspace, each in a file of its own.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use xxhash_rust::xxh3::Xxh3;

use super::JOURNAL;
use super::journal::{Entry, Journal};
use crate::error::{Error, Result};

const FOLDER: &str = "segments";
const READ_BYTES: usize = 256 << 10;

/// The files of a workspace and the journal of those that are complete. Names are counters of our own.
pub(crate) struct Store {
    folder: PathBuf,
    state: Mutex<State>,
}

struct State {
    journal: Journal,
    /// From runs before, by key, not yet looked into.
    left: HashMap<u128, Vec<Entry>>,
    next_file: u64,
}

/// A complete resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) file: u64,
    pub(crate) length: u64,
    /// The file holds all of the resource, of which a part is meant.
    pub(crate) whole: bool,
}

/// A resource that is being written.
pub(crate) struct Storing {
    file: File,
    number: u64,
    hash: Xxh3,
    length: u64,
}

impl Store {
    pub(super) fn open(workspace: &Path) -> Result<Self> {
        let folder = workspace.join(FOLDER);
        fs::create_dir_all(&folder).map_err(|e| Error::io("cannot create a folder in the workspace", e))?;
        let (journal, entries) = Journal::open(&workspace.join(JOURNAL))?;
        let next_file = entries.iter().map(|e| e.file.saturating_add(1)).max().unwrap_or(0);
        let mut left: HashMap<u128, Vec<Entry>> = HashMap::new();
        for entry in entries {
            left.entry(entry.key).or_default().push(entry);
        }
        Ok(Self { folder, state: Mutex::new(State { journal, left, next_file }) })
    }

    /// A resource that a run before stored whole, if it is still what it was. Reads all of it.
    ///
    /// `exact` is the hash of its URL. `None` for `exact`: the path alone will do, as the query holds a token.
    pub(crate) fn recall(&self, key: u128, exact: Option<u64>) -> Option<Stored> {
        let entries = self.state().left.get(&key)?.clone();
        let fits = |e: &&Entry| exact.is_none_or(|exact| exact == e.exact);
        let good = |e: &&Entry| hash(&self.path(e.file)).is_some_and(|found| found == (e.content, e.length));
        let found = entries.iter().rev().filter(fits).find(good)?;
        Some(Stored { file: found.file, length: found.length, whole: found.whole })
    }

    /// True if a run before left anything.
    pub(crate) fn has_left(&self) -> bool {
        !self.state().left.is_empty()
    }

    /// Begins a resource.
    pub(crate) fn begin(&self) -> Result<Storing> {
        let mut state = self.state();
        let number = state.next_file;
        state.next_file += 1;
        drop(state);
        let path = self.path(number);
        // A run before may have left one unfinished under this number.
        let file = File::create(&path).map_err(|e| Error::io("cannot create a file in the workspace", e))?;
        Ok(Storing { file, number, hash: Xxh3::new(), length: 0 })
    }

    /// The resource is complete.
    pub(crate) fn commit(&self, storing: Storing, key: u128, exact: u64, whole: bool) -> Result<Stored> {
        let Storing { number, hash, length, .. } = storing;
        let entry = Entry { key, exact, length, content: hash.digest128(), file: number, whole };
        self.state().journal.append(&entry)?;
        Ok(Stored { file: number, length, whole })
    }

    /// Opens a complete resource.
    pub(crate) fn read(&self, stored: Stored) -> Result<File> {
        File::open(self.path(stored.file)).map_err(|e| Error::io("cannot open a file in the workspace", e))
    }

    /// Deletes a resource that nobody wants any more. Where that fails it goes with the workspace.
    pub(crate) fn remove(&self, stored: Stored) {
        let _gone = fs::remove_file(self.path(stored.file));
    }

    fn path(&self, file: u64) -> PathBuf {
        self.folder.join(file.to_string())
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Storing {
    pub(crate) fn len(&self) -> u64 {
        self.length
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|e| {
            let hint = "free some room, or choose another folder with --temp-dir";
            Error::io("cannot write to the workspace", e).with_hint(hint)
        })?;
        self.hash.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Drops what was written.
    pub(crate) fn restart(&mut self) -> Result<()> {
        use std::io::Seek;
        let emptied = self.file.set_len(0).and_then(|()| self.file.rewind());
        emptied.map_err(|e| Error::io("cannot write to the workspace", e))?;
        self.hash.reset();
        self.length = 0;
        Ok(())
    }

    /// What was written so far, to be looked at: a second descriptor of its own position.
    pub(crate) fn reader(&self, store: &Store) -> Result<File> {
        File::open(store.path(self.number)).map_err(|e| Error::io("cannot read in the workspace", e))
    }
}

/// Hash and length of a file; `None` if it cannot be read.
fn hash(path: &Path) -> Option<(u128, u64)> {
    let mut file = File::open(path).ok()?;
    let (mut hash, mut length) = (Xxh3::new(), 0);
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Some((hash.digest128(), length)),
            Ok(n) => {
                hash.update(&buffer[..n]);
                length += n as u64;
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store_one(store: &Store, key: u128, bytes: &[u8]) -> Stored {
        let mut storing = store.begin().unwrap();
        storing.write(b"a false start").unwrap();
        storing.restart().unwrap();
        storing.write(bytes).unwrap();
        store.commit(storing, key, 1, false).unwrap()
    }

    #[test]
    fn what_was_stored_is_recalled_unless_it_was_changed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let one = store_one(&store, 5, b"one");
        let two = store_one(&store, 6, b"two");
        let unfinished = store.begin().unwrap();
        assert_eq!(store.recall(5, None), None, "this run's own is known without");
        drop((store, unfinished));

        let store = Store::open(folder.path()).unwrap();
        assert!(store.has_left());
        fs::write(folder.path().join(FOLDER).join(two.file.to_string()), "twe").unwrap();
        assert_eq!(store.recall(5, None), Some(one));
        assert_eq!(store.recall(5, Some(1)), Some(one));
        assert_eq!(store.recall(5, Some(2)), None, "another query");
        assert_eq!(store.recall(6, None), None, "spoiled");
        assert_eq!(store.recall(7, None), None, "unknown");
        let mut text = String::new();
        store.read(one).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "one");
        assert_ne!(store_one(&store, 8, b"x").file, one.file);
    }
}
