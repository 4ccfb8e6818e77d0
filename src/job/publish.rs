//! The way of a finished file to its final path: verified, on disk, and there in one step.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::{Error, ErrorKind, Result};
use crate::mux::{Sink, ToDisk};
use crate::options::{Existing, Fsync};

/// The files of a job, under temporary names in the folder of their target. Dropped, they are gone.
pub(crate) struct PartFiles {
    target: PathBuf,
    existing: Existing,
    fsync: Fsync,
    parts: Vec<NamedTempFile>,
    /// What stands beside the parts, with its final path.
    beside: Vec<(NamedTempFile, PathBuf)>,
    /// Begins their names, so that a later run can tell those that a killed one left.
    prefix: String,
}

impl PartFiles {
    /// Refuses a target that exists or cannot be made, before anything is read.
    pub(crate) fn prepare(target: PathBuf, existing: Existing, fsync: Fsync) -> Result<Self> {
        let folder = folder_of(&target);
        if target.file_name().is_none() || target.is_dir() {
            return Err(Error::new(ErrorKind::CannotCreate, format!("{} is a folder", target.display()))
                .with_hint("name a file in it with -o"));
        }
        if !folder.is_dir() {
            let message = format!("cannot create {}: its folder does not exist", target.display());
            return Err(Error::new(ErrorKind::CannotCreate, message).with_hint("create the folder first"));
        }
        let prefix = ".avweld-".to_owned();
        let this = Self { target, existing, fsync, parts: Vec::new(), beside: Vec::new(), prefix };
        this.refuse_existing(&this.target)?;
        Ok(this)
    }

    /// Refuses a path that exists and may not be replaced.
    pub(crate) fn refuse_existing(&self, path: &Path) -> Result<()> {
        refuse_existing(path, self.existing)
    }

    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// The folder of the target.
    pub(crate) fn folder(&self) -> &Path {
        folder_of(&self.target)
    }

    /// Lets the names of part files begin like this.
    pub(crate) fn named(&mut self, prefix: String) {
        self.prefix = prefix;
    }

    /// The n-th part file, opened for writing. Those that had this number or a higher one are removed.
    pub(crate) fn create(&mut self, n: usize, to_disk: ToDisk) -> Result<Sink> {
        self.parts.truncate(n);
        let part = self.temporary()?;
        let file = part.as_file().try_clone().map_err(|e| cannot_create(&self.target, e))?;
        self.parts.push(part);
        Ok(Sink::file(file, to_disk))
    }

    fn temporary(&self) -> Result<NamedTempFile> {
        let folder = folder_of(&self.target);
        let mut builder = tempfile::Builder::new();
        builder.prefix(&self.prefix).suffix(".part");
        // As any program's output: by the umask, not private as temporary files are.
        #[cfg(unix)]
        builder.permissions(<Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o666));
        builder.tempfile_in(folder).map_err(|e| cannot_create(&self.target, e))
    }

    /// A small file that will be published with the parts, under a path in their folder.
    pub(crate) fn add_beside(&mut self, path: PathBuf, text: &str) -> Result<()> {
        let file = self.temporary()?;
        file.as_file().write_all(text.as_bytes()).map_err(|e| Error::io("cannot write the subtitles", e))?;
        self.beside.push((file, path));
        Ok(())
    }

    /// Final paths of the parts: the target itself, or `NAME.000.mp4`, … where there are several.
    pub(crate) fn targets(&self) -> Vec<PathBuf> {
        match self.parts.len() {
            0 | 1 => vec![self.target.clone()],
            n => (0..n).map(|i| numbered(&self.target, i)).collect(),
        }
    }

    /// Gives the parts their final names; what was there before is replaced in one step, or refused.
    ///
    /// With [`Fsync::On`] all data is on disk before the first name appears, and the names are when this returns.
    /// The parts come last; where one of several names fails, those that were new are taken back.
    pub(crate) fn publish(&mut self) -> Result<()> {
        let targets = self.targets();
        let folder = folder_of(&self.target).to_owned();
        let existing = self.existing;
        let parts = self.parts.drain(..).zip(targets);
        let files: Vec<(NamedTempFile, PathBuf)> = self.beside.drain(..).chain(parts).collect();
        for (_, target) in &files {
            refuse_existing(target, existing)?;
        }
        for (file, _) in files.iter().filter(|_| self.fsync == Fsync::On) {
            file.as_file().sync_all().map_err(|e| Error::io("cannot write the output to disk", e))?;
        }
        let mut published: Vec<PathBuf> = Vec::new();
        for (file, target) in files {
            let persisted = match existing {
                Existing::Refuse => file.persist_noclobber(&target),
                Existing::Overwrite => file.persist(&target),
            };
            if let Err(e) = persisted {
                if existing == Existing::Refuse {
                    // What cannot be taken back is told of by nothing but its presence.
                    published.iter().for_each(|path| drop(fs::remove_file(path)));
                }
                return Err(match e.error.kind() {
                    std::io::ErrorKind::AlreadyExists => exists(&target),
                    _ => cannot_create(&target, e.error),
                });
            }
            published.push(target);
        }
        if self.fsync == Fsync::Off {
            return Ok(());
        }
        // Without this the name itself may be lost with the power.
        File::open(&folder)
            .and_then(|f| f.sync_all())
            .map_err(|e| Error::io("cannot write the output's folder to disk", e))
    }
}

fn refuse_existing(path: &Path, existing: Existing) -> Result<()> {
    if existing == Existing::Refuse && fs::symlink_metadata(path).is_ok() {
        return Err(exists(path));
    }
    Ok(())
}

fn exists(path: &Path) -> Error {
    Error::new(ErrorKind::Exists, format!("{} exists", path.display()))
        .with_hint("replace it with -y, or name another with -o")
}

fn cannot_create(path: &Path, error: std::io::Error) -> Error {
    let error = Error::io(format_args!("cannot create {}", path.display()), error);
    match error.kind() {
        ErrorKind::DiskFull => error,
        _ => error.of_kind(ErrorKind::CannotCreate),
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// `out.mp4` as `out.007.mp4`.
fn numbered(path: &Path, n: usize) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!(".{n:03}"));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_the_extension() {
        assert_eq!(numbered(Path::new("a/b.mp4"), 7), Path::new("a/b.007.mp4"));
        assert_eq!(numbered(Path::new("b"), 0), Path::new("b.000"));
    }
}
