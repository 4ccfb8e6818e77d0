//! Gets a large output to disk while it is still being written, so that the wait at its end is short.
//!
//! A file must be on disk before it gets its name. Left to itself, the system begins with that when it is asked to be
//! done, and the job would wait for gigabytes.

use std::fs::File;
use std::io;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Sender, bounded};

/// So much is written between two requests; what is smaller is quickly on disk anyway. The disk stands still until the
/// first: with 64 MiB a merge of 560 MB took a sixth longer.
const STEP_BYTES: u64 = 16 << 20;

/// Requests that may wait where the writing is held back: with fewer the disk would stand still between two.
const WAITING: usize = 2;

/// How a file gets to disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ToDisk {
    /// When the system likes.
    Later,
    /// While it is written. The writing never waits for it.
    Beside,
    /// While it is written. The writing waits where the disk falls behind, so that little is left at the end: for what
    /// comes no faster than that anyway.
    Close,
}

/// Follows the writing of one file. A file of less than a step costs nothing.
pub(crate) struct WriteBack {
    /// The writing may be held back.
    holds: bool,
    written: u64,
    worker: Option<(Sender<()>, JoinHandle<io::Result<()>>)>,
}

impl WriteBack {
    /// `None` where nothing is to be done.
    pub(super) fn new(to_disk: ToDisk) -> Option<Self> {
        (to_disk != ToDisk::Later).then_some(Self { holds: to_disk == ToDisk::Close, written: 0, worker: None })
    }

    /// So many bytes more were written. Blocks only where the writing is held back.
    pub(super) fn wrote(&mut self, file: &File, bytes: usize) -> io::Result<()> {
        self.written += bytes as u64;
        if self.written < STEP_BYTES {
            return Ok(());
        }
        self.written = 0;
        if self.worker.is_none() {
            let file = file.try_clone()?;
            let (sender, steps) = bounded::<()>(if self.holds { WAITING } else { 1 });
            let work = move || {
                steps.iter().try_for_each(|()| {
                    // What waits by now is done with this one.
                    steps.try_iter().for_each(drop);
                    file.sync_data()
                })
            };
            self.worker = Some((sender, thread::Builder::new().name("avweld-write".to_owned()).spawn(work)?));
        }
        if let Some((sender, _)) = &self.worker {
            // One that still waits covers this step, too; a worker that has ended tells why in the end.
            let _asked = if self.holds { sender.send(()).is_ok() } else { sender.try_send(()).is_ok() };
        }
        Ok(())
    }

    /// Nothing more is written. Blocks until the last request is done, and tells the first that failed: the system
    /// tells a fault once, to whoever asks first.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        let Some((sender, worker)) = self.worker.take() else { return Ok(()) };
        drop(sender);
        worker.join().unwrap_or_else(|_| Err(io::Error::other("the thread that writes to disk panicked")))
    }
}

impl Drop for WriteBack {
    fn drop(&mut self) {
        // Of a file that is given up nobody wants to know.
        let _given_up = self.finish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_small_file_needs_no_thread_and_a_large_one_ends_on_disk() {
        let mut file = tempfile::tempfile().unwrap();
        let mut follow = WriteBack::new(ToDisk::Beside).unwrap();
        let step = vec![7; 1 << 20];
        for n in 0..STEP_BYTES >> 20 {
            assert!(follow.worker.is_none(), "after {n} MiB");
            file.write_all(&step).unwrap();
            follow.wrote(&file, step.len()).unwrap();
        }
        assert!(follow.worker.is_some());
        follow.finish().unwrap();
        assert!(follow.worker.is_none());
    }

    #[test]
    fn writing_waits_for_a_disk_that_is_behind_only_where_it_shall() {
        for (to_disk, asked) in [(ToDisk::Beside, WAITING), (ToDisk::Close, 10)] {
            let file = tempfile::tempfile().unwrap();
            let (sender, steps) = bounded(WAITING);
            let no_disk = thread::Builder::new().spawn(|| Ok(())).unwrap();
            let mut follow = WriteBack::new(to_disk).unwrap();
            follow.worker = Some((sender, no_disk));
            let mut write = move || (0..10).for_each(|_| follow.wrote(&file, STEP_BYTES as usize).unwrap());
            let taken = match to_disk {
                ToDisk::Close => thread::scope(|scope| {
                    let writing = thread::Builder::new().spawn_scoped(scope, write).unwrap();
                    let taken = steps.iter().count();
                    writing.join().unwrap();
                    taken
                }),
                _ => {
                    write();
                    drop(write);
                    steps.iter().count()
                }
            };
            assert_eq!(taken, asked, "{to_disk:?}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_fault_of_the_disk_is_told() {
        // It takes every byte, and can bring none to a disk.
        let (_reader, writer) = io::pipe().unwrap();
        let file = File::from(std::os::fd::OwnedFd::from(writer));
        for to_disk in [ToDisk::Beside, ToDisk::Close] {
            let mut follow = WriteBack::new(to_disk).unwrap();
            for _ in 0..10 {
                follow.wrote(&file, STEP_BYTES as usize).unwrap();
            }
            assert!(follow.finish().is_err(), "{to_disk:?}");
        }
        assert!(WriteBack::new(ToDisk::Later).is_none());
    }
}
