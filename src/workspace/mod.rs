//! The job's own temporary folder: its lock, its journal, what it stores, and its clean-up.

mod claim;
mod journal;
mod store;

use std::fs::{self, Permissions};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use claim::Claim;

pub(crate) use store::{Store, Stored, Storing};

const PREFIX: &str = "avweld-";
const JOURNAL: &str = "journal";
/// What a dead run left of a download can be gone on with for so long.
const KEPT: Duration = Duration::from_secs(24 * 3600);
/// Folders that are looked at, at most, for those of dead runs.
const LOOKED_AT: usize = 10_000;

/// A folder of mode 0700 with an unpredictable name. Dropping it removes it with all that is in it, and nothing else,
/// unless it is kept.
pub(crate) struct Workspace {
    path: PathBuf,
    claim: Claim,
    /// Somebody wants to look into it.
    keep_for_good: bool,
    /// It can be gone on with.
    keep: AtomicBool,
}

/// What a job's workspace is for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Purpose<'a> {
    /// Tells jobs apart that download; 0 for one with nothing to go on with.
    pub(crate) identity: u128,
    /// The folder of the output, where part files will stand.
    pub(crate) part_folder: Option<&'a Path>,
}

impl Workspace {
    /// Goes on in the folder that a dead run of the same job left in `parent` (the system's temporary folder by
    /// default), or makes one. On the way, folders of dead runs that nobody will come back for are cleared.
    pub(crate) fn open(parent: Option<&Path>, purpose: Purpose<'_>, keep_for_good: bool) -> Result<Self> {
        let parent = parent.map_or_else(tempfile::env::temp_dir, Path::to_owned);
        let of = |path, claim| Self { path, claim, keep_for_good, keep: AtomicBool::new(false) };
        let left = left_behind(&parent, purpose.identity);
        if let Some((path, claim)) = left {
            remove_parts(&path, &claim);
            return Ok(of(path, claim));
        }
        let part_folder = purpose.part_folder.and_then(|folder| std::path::absolute(folder).ok());
        let failed = |error: Error| {
            let kind = if error.kind() == ErrorKind::DiskFull { ErrorKind::DiskFull } else { ErrorKind::CannotCreate };
            error.of_kind(kind).with_hint("choose another folder with --temp-dir")
        };
        loop {
            let mut builder = tempfile::Builder::new();
            builder.prefix(PREFIX).disable_cleanup(true);
            #[cfg(unix)]
            builder.permissions(<Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o700));
            let made = builder
                .tempdir_in(&parent)
                .map_err(|e| failed(Error::io(format_args!("cannot create a workspace in {}", parent.display()), e)))?;
            let path = made.keep();
            match Claim::new(&path, purpose.identity, part_folder.as_deref()) {
                Ok(Some(claim)) => return Ok(of(path, claim)),
                Ok(None) => {}
                Err(error) => {
                    let _gone = fs::remove_dir_all(&path);
                    return Err(failed(error));
                }
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves the folder in place for the next run of the job.
    pub(crate) fn keep(&self) {
        self.keep.store(true, Ordering::Relaxed);
    }

    /// Begins the names of the job's part files, so that they can be told from those of others.
    pub(crate) fn part_prefix(&self) -> String {
        part_prefix(&self.path)
    }

    /// What it has stored, and goes on to store.
    pub(crate) fn store(&self) -> Result<Store> {
        Store::open(&self.path)
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if self.keep_for_good {
            self.claim.disown();
        } else if !self.keep.load(Ordering::Relaxed) {
            // What cannot be removed now is removed by a later run: the lock is free then.
            remove(&self.path);
        }
    }
}

/// Removes a workspace that was kept, unless somebody goes on in it.
pub(crate) fn clear(path: &Path) {
    if let Some(claim) = Claim::of_dead(path) {
        remove_parts(path, &claim);
        remove(path);
    }
}

/// Removes a workspace. Its lock file goes last: where this is broken off, a later run still knows the rest for ours.
fn remove(workspace: &Path) {
    for entry in fs::read_dir(workspace).into_iter().flatten().flatten() {
        let _gone = match entry.file_type() {
            _ if entry.file_name() == claim::LOCK => Ok(()),
            Ok(kind) if kind.is_dir() => fs::remove_dir_all(entry.path()),
            _ => fs::remove_file(entry.path()),
        };
    }
    let _gone = fs::remove_dir_all(workspace);
}

fn part_prefix(workspace: &Path) -> String {
    let name = workspace.file_name().unwrap_or_default().to_string_lossy();
    format!(".{name}-")
}

/// The folder that a dead run of this job left; those of others are cleared where nobody comes back for them.
fn left_behind(parent: &Path, identity: u128) -> Option<(PathBuf, Claim)> {
    let mut found = None;
    for entry in fs::read_dir(parent).ok()?.flatten().take(LOOKED_AT) {
        let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        if !ours || !entry.file_type().is_ok_and(|kind| kind.is_dir()) || !is_private(&entry) {
            continue;
        }
        let path = entry.path();
        let Some(claim) = Claim::of_dead(&path) else {
            Claim::clear_unborn(&path);
            continue;
        };
        if identity != 0 && claim.identity == identity && found.is_none() {
            found = Some((path, claim));
        } else if claim.identity == 0 || claim.idle(&path).is_some_and(|idle| idle > KEPT) {
            remove_parts(&path, &claim);
            remove(&path);
        }
    }
    found
}

/// The unfinished outputs of a dead run.
fn remove_parts(workspace: &Path, claim: &Claim) {
    let prefix = part_prefix(workspace);
    let Some(entries) = claim.part_folder.as_ref().and_then(|folder| fs::read_dir(folder).ok()) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(&prefix)) {
            let _gone = fs::remove_file(entry.path());
        }
    }
}

/// Made by this user, and open to nobody else: in a shared folder others may set up what looks like ours.
fn is_private(entry: &fs::DirEntry) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let own = rustix::process::geteuid().as_raw();
        entry.metadata().is_ok_and(|m| m.uid() == own && m.mode() & 0o077 == 0)
    }
    #[cfg(not(unix))]
    {
        let _ = entry;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(parent: &Path, identity: u128) -> Workspace {
        Workspace::open(Some(parent), Purpose { identity, part_folder: None }, false).expect("a workspace")
    }

    fn names(parent: &Path) -> Vec<PathBuf> {
        fs::read_dir(parent).expect("the folder").flatten().map(|e| e.path()).collect()
    }

    #[cfg(unix)]
    #[test]
    fn two_of_one_place_never_meet_and_take_only_themselves_away() {
        use std::os::unix::fs::PermissionsExt;
        let parent = tempfile::tempdir().expect("a temporary folder");
        for identity in [0, 7] {
            let one = open(parent.path(), identity);
            let other = open(parent.path(), identity);
            assert_ne!(one.path(), other.path());
            assert_eq!(fs::metadata(one.path()).expect("a folder").permissions().mode() & 0o777, 0o700);
            fs::write(one.path().join("x"), "x").expect("a file");
            drop(one);
            assert_eq!(names(parent.path()), [other.path()]);
        }
    }

    #[test]
    fn the_next_run_of_a_job_takes_over_what_a_dead_one_left_and_no_other_does() {
        let parent = tempfile::tempdir().expect("a temporary folder");
        let dead = open(parent.path(), 7);
        dead.keep();
        let path = dead.path().to_owned();
        drop(dead);
        assert_ne!(open(parent.path(), 8).path(), path);
        assert_ne!(open(parent.path(), 0).path(), path);
        let next = open(parent.path(), 7);
        assert_eq!(next.path(), path);
        assert_ne!(open(parent.path(), 7).path(), path, "one at a time");
    }

    #[test]
    fn what_nobody_comes_back_for_is_cleared_with_its_part_files() {
        let parent = tempfile::tempdir().expect("a temporary folder");
        let outputs = tempfile::tempdir().expect("a temporary folder");
        let purpose = Purpose { identity: 0, part_folder: Some(outputs.path()) };
        let dead = Workspace::open(Some(parent.path()), purpose, false).expect("a workspace");
        dead.keep();
        let part = outputs.path().join(dead.part_prefix() + "abc.part");
        let (foreign, unmarked) = (outputs.path().join("film.mp4"), parent.path().join("avweld-mine"));
        fs::write(&part, "x").and_then(|()| fs::write(&foreign, "x")).expect("files");
        fs::create_dir(&unmarked).expect("a folder");
        drop(dead);
        drop(open(parent.path(), 0));
        assert_eq!(names(parent.path()), [unmarked]);
        assert_eq!(names(outputs.path()), [foreign]);
    }

    #[test]
    fn what_died_before_it_was_marked_is_cleared_and_what_is_not_ours_stays() {
        let parent = tempfile::tempdir().expect("a temporary folder");
        let folder = |name: &str| {
            let path = parent.path().join(name);
            fs::create_dir(&path).expect("a folder");
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt;
                fs::set_permissions(&path, Permissions::from_mode(0o700)).expect("permissions");
            }
            path
        };
        let (unborn, foreign, empty) = (folder("avweld-a"), folder("avweld-b"), folder("avweld-c"));
        fs::write(unborn.join(claim::LOCK), "").expect("a file");
        fs::write(foreign.join(claim::LOCK), "").and_then(|()| fs::write(foreign.join("x"), "x")).expect("files");
        drop(open(parent.path(), 0));
        let mut left = names(parent.path());
        left.sort();
        assert_eq!(left, [foreign, empty]);
    }

    #[test]
    fn what_somebody_wants_to_look_into_stays() {
        let parent = tempfile::tempdir().expect("a temporary folder");
        let kept = Workspace::open(Some(parent.path()), Purpose::default(), true).expect("a workspace");
        let path = kept.path().to_owned();
        drop(kept);
        drop(open(parent.path(), 0));
        assert_eq!(names(parent.path()), [path]);
    }

    #[test]
    fn one_that_cannot_be_made_is_told_with_what_to_do() {
        let error = Workspace::open(Some(Path::new("/nowhere")), Purpose::default(), false).err().expect("none");
        assert_eq!(error.kind(), ErrorKind::CannotCreate);
        assert!(error.to_string().ends_with("; choose another folder with --temp-dir"), "{error}");
    }
}
