//! What a merge is compared with: the same bytes, read and written by this process, and brought to disk in the same way.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use avweld::{CancelToken, Error, ErrorKind, Result};

use super::check;

/// Read and written at once.
const PIECE: usize = 1 << 20;
/// A merge asks for so much to be brought to disk while it goes on, so a copy does.
const STEP: u64 = 16 << 20;

/// Puts files one behind the other into a new one, which gets its name when it is on disk; returns its length in bytes.
pub(super) fn copy(files: &[PathBuf], to: &Path, cancel: &CancelToken) -> Result<u64> {
    let failed = |e| Error::io("cannot copy the input", e);
    let part = to.with_extension("part");
    let target = File::create_new(&part).map_err(failed)?;
    let bytes = thread::scope(|scope| {
        let (sender, steps) = sync_channel(1);
        let written_back = thread::Builder::new()
            .name("bench-write".to_owned())
            .spawn_scoped(scope, || write_back(&target, steps))
            .map_err(failed)?;
        let mut ask = || {
            // One that still waits covers this step, too; a thread that has ended tells why below.
            let _asked = sender.try_send(());
        };
        let bytes = pieces(files, &target, cancel, &mut ask);
        drop(sender);
        let panicked = || Error::new(ErrorKind::Internal, "the thread that writes to disk panicked");
        written_back.join().map_err(|_| panicked())?.map_err(failed)?;
        bytes
    })?;
    // Not `std::io::copy` between the two, which may let the file system share the bytes and copy none.
    target.sync_all().and_then(|()| fs::rename(&part, to)).map_err(failed)?;
    let folder = to.parent().unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    Ok(bytes)
}

fn write_back(target: &File, steps: Receiver<()>) -> io::Result<()> {
    steps.iter().try_for_each(|()| target.sync_data())
}

fn pieces(files: &[PathBuf], mut target: &File, cancel: &CancelToken, step: &mut dyn FnMut()) -> Result<u64> {
    let failed = |e| Error::io("cannot copy the input", e);
    let mut buffer = vec![0; PIECE];
    let (mut bytes, mut since) = (0, 0);
    for file in files {
        let mut source = File::open(file).map_err(failed)?;
        loop {
            check(cancel)?;
            let read = source.read(&mut buffer).map_err(failed)?;
            if read == 0 {
                break;
            }
            target.write_all(&buffer[..read]).map_err(failed)?;
            bytes += read as u64;
            since += read as u64;
            if since >= STEP {
                since = 0;
                step();
            }
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_holds_its_files_one_behind_the_other() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let files = [("a", &b"one"[..]), ("b", b""), ("c", b"two")].map(|(name, content)| {
            fs::write(dir.path().join(name), content).expect("a file");
            dir.path().join(name)
        });
        let to = dir.path().join("all.copy");
        assert_eq!(copy(&files, &to, &CancelToken::new()).expect("a copy"), 6);
        assert_eq!(fs::read(&to).expect("the copy"), b"onetwo");
    }

    #[test]
    fn a_cancelled_copy_gets_no_name() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let file = dir.path().join("a");
        fs::write(&file, "x").expect("a file");
        let cancel = CancelToken::new();
        cancel.cancel();
        let to = dir.path().join("all.copy");
        assert_eq!(copy(&[file], &to, &cancel).map_err(|e| e.kind()), Err(ErrorKind::Cancelled));
        assert!(!to.exists());
    }
}
