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
            error.as_kind(kind).with_hint("choose another folder with --temp-dir")
        })
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}
