//! Whose a folder is: a lock that lives as long as its process, and a marker inside of it.
//!
//! A folder is looked at by others only through its lock file. It holds the marker once it is locked, so that what
//! is marked and free is what a process that died left behind.

use std::fs::{self, File, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

pub(super) const LOCK: &str = "lock";
const MARKER: &str = "avweld workspace 1";
/// A lock file holds a path and a number.
const MAX_BYTES: u64 = 16 << 10;

/// A folder's lock, held.
pub(super) struct Claim {
    file: File,
    /// Which job's work it holds; 0 for one that cannot be gone on with.
    pub(super) identity: u128,
    /// The folder where the job's part files stand.
    pub(super) part_folder: Option<PathBuf>,
}

impl Claim {
    /// Claims a folder that was just made. `None` where somebody took it for a dead one and cleared it.
    pub(super) fn new(folder: &Path, identity: u128, part_folder: Option<&Path>) -> Result<Option<Self>> {
        let failed = |e| Error::io("cannot lock the workspace", e);
        let mut file =
            File::options().read(true).write(true).create_new(true).open(folder.join(LOCK)).map_err(failed)?;
        file.lock().map_err(failed)?;
        if !is_linked(&file) {
            return Ok(None);
        }
        // A name that is no UTF-8 cannot be told to the next run, which then leaves that file alone.
        let shown = part_folder.and_then(Path::to_str).unwrap_or_default();
        file.write_all(format!("{MARKER}\n{identity:032x}\n{shown}\n").as_bytes()).map_err(failed)?;
        Ok(Some(Self { file, identity, part_folder: part_folder.map(Path::to_owned) }))
    }

    /// Takes over a folder that was left behind; `None` for any other: in use, not marked, not there any more.
    pub(super) fn of_dead(folder: &Path) -> Option<Self> {
        let mut file = File::options().read(true).write(true).open(folder.join(LOCK)).ok()?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => return None,
        }
        let mut text = String::new();
        (&mut file).take(MAX_BYTES).read_to_string(&mut text).ok()?;
        let mut lines = text.lines();
        if !is_linked(&file) || lines.next() != Some(MARKER) {
            return None;
        }
        let identity = u128::from_str_radix(lines.next()?, 16).ok()?;
        let part_folder = lines.next().filter(|line| !line.is_empty()).map(PathBuf::from);
        Some(Self { file, identity, part_folder })
    }

    /// Clears a folder whose maker died between the lock and the marker: there is nothing in it but the lock file, and
    /// that is empty and free. Any other folder stays.
    pub(super) fn clear_unborn(folder: &Path) {
        let Ok(file) = File::options().read(true).write(true).open(folder.join(LOCK)) else { return };
        let is_free = file.try_lock().is_ok() && is_linked(&file);
        let is_empty = file.metadata().is_ok_and(|metadata| metadata.len() == 0);
        if is_free && is_empty && fs::read_dir(folder).is_ok_and(|entries| entries.count() == 1) {
            let _gone = fs::remove_file(folder.join(LOCK)).and_then(|()| fs::remove_dir(folder));
        }
    }

    /// How long ago the folder was last worked in; `None` if that cannot be told.
    pub(super) fn idle(&self, folder: &Path) -> Option<std::time::Duration> {
        let modified = |path: &Path| fs::metadata(path).and_then(|m| m.modified()).ok();
        let last = [folder.join(super::JOURNAL), folder.join(LOCK)].iter().filter_map(|path| modified(path)).max()?;
        last.elapsed().ok()
    }
}

impl Claim {
    /// Takes the marker away: from now on the folder is nobody's. A byte stays, as an empty file is what a maker leaves
    /// who died too early.
    pub(super) fn disown(&self) {
        let _cut = self.file.set_len(1);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Closing would do the same, were the descriptor not shared with a child of the calling program.
        let _unlocked = self.file.unlock();
    }
}

/// The file is still in its folder.
fn is_linked(file: &File) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        file.metadata().is_ok_and(|m| m.nlink() > 0)
    }
    #[cfg(not(unix))]
    {
        let _ = file;
        true
    }
}
