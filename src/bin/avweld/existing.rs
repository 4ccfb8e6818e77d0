//! Outputs that exist.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use avweld::{Error, ErrorKind};

/// True if anything has that name, a dangling symlink too.
pub(crate) fn stands(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// What a job with `skip_existing` is skipped for, that failed because its output exists: made meanwhile by somebody
/// else, or the files of a merge that was split.
pub(crate) fn skipped(output: &Path, error: &Error) -> Option<PathBuf> {
    let candidates = [output.to_owned(), first_of_several(output)];
    candidates.into_iter().find(|path| error.kind() == ErrorKind::Exists && stands(path))
}

/// `NAME.000.mp4` of `NAME.mp4`.
fn first_of_several(output: &Path) -> PathBuf {
    let mut name = output.file_stem().map(OsString::from).unwrap_or_default();
    name.push(".000");
    if let Some(extension) = output.extension() {
        name.push(".");
        name.push(extension);
    }
    output.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_several_files_is_numbered_before_the_extension() {
        assert_eq!(first_of_several(Path::new("out/a.b.mp4")), Path::new("out/a.b.000.mp4"));
        assert_eq!(first_of_several(Path::new("a")), Path::new("a.000"));
    }
}
