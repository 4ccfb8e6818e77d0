//! Which files a playlist may name.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::playlist::file_candidates;

/// Which files may be opened.
#[derive(Debug, Clone)]
pub(crate) enum PathPolicy {
    /// All: the user named every file.
    Any,
    /// None: what a playlist from the web names is on the web.
    Nothing,
    /// What a playlist in `folder` names, below one of these resolved folders once symlinks are resolved.
    Below { folder: PathBuf, roots: Vec<PathBuf> },
}

impl PathPolicy {
    /// Files below a playlist's own folder and those that were allowed beside it.
    pub(crate) fn playlist(folder: &Path, allowed: &[PathBuf]) -> Result<Self> {
        let resolve = |path: &Path| {
            fs::canonicalize(path).map_err(|e| Error::io(format_args!("cannot use folder {}", path.display()), e))
        };
        let mut roots = vec![resolve(folder)?];
        for path in allowed {
            roots.push(resolve(path)?);
        }
        Ok(Self::Below { folder: folder.to_owned(), roots })
    }

    /// Opens a file that the rules allow; also tells its size in bytes.
    pub(crate) fn open(&self, path: &Path) -> Result<(File, u64)> {
        let name = || path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let path = &match self {
            Self::Any => path.to_owned(),
            Self::Nothing => return Err(Error::new(ErrorKind::Denied, "a playlist from the web cannot name files")),
            Self::Below { folder, roots } => {
                let candidates = file_candidates(folder, path);
                let found = candidates.iter().find(|c| c.exists()).map_or(path, PathBuf::as_path);
                let inside = |real: &Path| roots.iter().any(|root| real.starts_with(root));
                let real = match fs::canonicalize(found) {
                    Ok(real) => real,
                    // Whether a file outside is there is not the playlist's to find out.
                    Err(_) if !inside(&lexically(found)) && !inside_by_parent(found, roots) => lexically(found),
                    Err(e) => return Err(Error::io(format_args!("cannot open {}", name()), e)),
                };
                if !inside(&real) {
                    let message = format!("the playlist names {}, outside of its own folder", real.display());
                    let parent = real.parent().unwrap_or(&real).display();
                    return Err(Error::new(ErrorKind::Denied, message)
                        .with_hint(format!("allow it with --allow-path {parent}")));
                }
                real
            }
        };
        let failed = |e| Error::io(format_args!("cannot open {}", name()), e);
        // Looked at before opening: opening a pipe would wait for its other end.
        if !fs::metadata(path).map_err(failed)?.is_file() {
            return Err(Error::new(ErrorKind::Denied, format!("{} is not a regular file", path.display())));
        }
        let file = File::open(path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        Ok((file, size))
    }
}

/// A file that is not there would be inside: its folder is.
fn inside_by_parent(path: &Path, roots: &[PathBuf]) -> bool {
    let parent = path.parent().and_then(|parent| fs::canonicalize(parent).ok());
    parent.is_some_and(|parent| roots.iter().any(|root| parent.starts_with(root)))
}

/// The path without `.` and `..`, as far as that can be told without looking.
fn lexically(path: &Path) -> PathBuf {
    use std::path::Component;
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute.components().fold(PathBuf::new(), |mut out, part| {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            other => out.push(other),
        }
        out
    })
}
