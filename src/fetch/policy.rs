//! Which files a playlist may name.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};

/// The folders that files may be opened below.
#[derive(Debug, Clone)]
pub(crate) enum PathPolicy {
    /// The user named every file.
    Any,
    /// Only files below these folders, after symlinks are resolved. The folders are resolved themselves.
    Below(Vec<PathBuf>),
}

impl PathPolicy {
    /// Files below a playlist's own folder and those that were allowed beside it.
    pub(crate) fn playlist(folder: &Path, allowed: &[PathBuf]) -> Result<Self> {
        let resolve = |path: &Path| {
            fs::canonicalize(path).map_err(|e| Error::io(format_args!("cannot use folder {}", path.display()), e))
        };
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let mut folders = vec![resolve(folder)?];
        for path in allowed {
            folders.push(resolve(path)?);
        }
        Ok(Self::Below(folders))
    }

    /// Opens a file that the rules allow; also tells its size in bytes.
    pub(crate) fn open(&self, path: &Path) -> Result<(File, u64)> {
        let name = || path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let path = &match self {
            Self::Any => path.to_owned(),
            Self::Below(folders) => {
                let found = existing(path);
                let real = fs::canonicalize(&found).or_else(|e| {
                    // What is not there may still lie outside, and saying so is no news to anybody.
                    let outside = folders.iter().all(|f| !lexically(&found).starts_with(f)) && found.has_root();
                    if outside {
                        Ok(lexically(&found))
                    } else {
                        Err(Error::io(format_args!("cannot open {}", name()), e))
                    }
                })?;
                if !folders.iter().any(|folder| real.starts_with(folder)) {
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

/// The path as it is written, or else without the query that a saved playlist's names often still carry.
fn existing(path: &Path) -> PathBuf {
    if !path.exists()
        && let Some(text) = path.to_str()
        && let Some((plain, _)) = text.split_once(['?', '#'])
        && Path::new(plain).exists()
    {
        return plain.into();
    }
    path.to_owned()
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
