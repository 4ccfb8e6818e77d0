//! The job's own temporary folder.

use std::fs::Permissions;
use std::path::Path;

use tempfile::TempDir;

use crate::error::{Error, ErrorKind, Result};

/// A folder of mode 0700 with an unpredictable name. Dropping it removes it with all that is in it, and nothing else.
pub(crate) struct Workspace(TempDir);

impl Workspace {
    /// Makes the folder in `parent`, or in the system's temporary folder.
    pub(crate) fn create(parent: Option<&Path>, keep: bool) -> Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("avweld-").disable_cleanup(keep);
        #[cfg(unix)]
        builder.permissions(<Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o700));
        let made = match parent {
            Some(parent) => builder.tempdir_in(parent),
            None => builder.tempdir(),
        };
        made.map(Self).map_err(|e| {
            let parent = parent.map_or_else(|| "the system's temporary folder".into(), |p| p.display().to_string());
            let error = Error::io(format_args!("cannot create a workspace in {parent}"), e);
            let kind = if error.kind() == ErrorKind::DiskFull { ErrorKind::DiskFull } else { ErrorKind::CannotCreate };
            error.of_kind(kind).with_hint("choose another folder with --temp-dir")
        })
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[cfg(unix)]
    #[test]
    fn two_of_one_place_never_meet_and_take_only_themselves_away() {
        use std::os::unix::fs::PermissionsExt;
        let parent = tempfile::tempdir().expect("a temporary folder");
        let one = Workspace::create(Some(parent.path()), false).expect("a workspace");
        let other = Workspace::create(Some(parent.path()), false).expect("a workspace");
        assert_ne!(one.path(), other.path());
        assert_eq!(fs::metadata(one.path()).expect("a folder").permissions().mode() & 0o777, 0o700);
        fs::write(one.path().join("x"), "x").expect("a file");
        drop(one);
        let left: Vec<_> = fs::read_dir(parent.path()).expect("the folder").flatten().map(|e| e.path()).collect();
        assert_eq!(left, [other.path()]);
    }

    #[test]
    fn one_that_cannot_be_made_is_told_with_what_to_do() {
        let error = Workspace::create(Some(Path::new("/nowhere")), false).err().expect("no workspace");
        assert_eq!(error.kind(), ErrorKind::CannotCreate);
        assert!(error.to_string().ends_with("; choose another folder with --temp-dir"), "{error}");
    }
}
