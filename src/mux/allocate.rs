//! Lets the file system find room for an output ahead of what is written: for many megabytes at once, in place of each page
//! by itself.

use std::fs::File;

/// Room that is asked for at once. A file of less gets none ahead: it would gain nothing.
const STEP_BYTES: u64 = 16 << 20;

/// How far a file has room.
#[derive(Debug, Default)]
pub(super) struct Allocation {
    end: u64,
    /// The file system knows no such call, or has no more room: where that is so, writing tells.
    refused: bool,
}

impl Allocation {
    /// So many bytes are about to be written at a position.
    ///
    /// The file's size stays what was written; room that is left over goes with the next [`File::set_len`].
    pub(super) fn ahead(&mut self, file: &File, position: u64, bytes: usize) {
        let end = position.saturating_add(bytes as u64);
        if self.refused || position < STEP_BYTES || end <= self.end {
            return;
        }
        let from = position.max(self.end);
        let to = from.saturating_add(STEP_BYTES).max(end);
        self.refused = allocate(file, from, to - from).is_err();
        self.end = to;
    }

    /// The file was cut off, and with that what room it had.
    pub(super) fn cut(&mut self, end: u64) {
        self.end = self.end.min(end);
    }
}

/// A file system in memory (statfs(2)).
#[cfg(target_os = "linux")]
const TMPFS_MAGIC: i64 = 0x0102_1994;

#[cfg(target_os = "linux")]
fn allocate(file: &File, from: u64, bytes: u64) -> std::io::Result<()> {
    // There, room is memory that is filled with zeros before it is written.
    if rustix::fs::fstatfs(file)?.f_type as i64 == TMPFS_MAGIC {
        return Err(std::io::ErrorKind::Unsupported.into());
    }
    Ok(rustix::fs::fallocate(file, rustix::fs::FallocateFlags::KEEP_SIZE, from, bytes)?)
}

#[cfg(not(target_os = "linux"))]
fn allocate(_file: &File, _from: u64, _bytes: u64) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn room_ahead_is_no_part_of_the_file_and_is_given_back() {
        let mut file = tempfile::tempfile().unwrap();
        let mut allocation = Allocation::default();
        let piece = vec![7; 1 << 20];
        for n in 0..40u64 {
            allocation.ahead(&file, n << 20, piece.len());
            file.write_all(&piece).unwrap();
            let metadata = file.metadata().unwrap();
            assert_eq!(metadata.len(), (n + 1) << 20);
            assert_eq!(allocation.end > 0, n >= STEP_BYTES >> 20, "after {n} MiB");
            assert!(allocation.end <= (n << 20) + STEP_BYTES, "{n}: {}", allocation.end);
        }
        file.set_len(40 << 20).unwrap();
        // 512 bytes each; the file system may keep its own accounts in some more.
        assert!(file.metadata().unwrap().blocks() << 9 < 41 << 20);
    }

    #[test]
    fn in_memory_none_is_asked_for() {
        let memory = rustix::fs::memfd_create("output", rustix::fs::MemfdFlags::empty()).unwrap();
        let mut memory = File::from(memory);
        let mut allocation = Allocation::default();
        for n in 0..20u64 {
            allocation.ahead(&memory, n << 20, 1 << 20);
            memory.write_all(&vec![7; 1 << 20]).unwrap();
        }
        assert_eq!(memory.metadata().unwrap().blocks() << 9, 20 << 20);
    }

    #[test]
    fn where_there_is_no_such_call_none_is_made_again() {
        let (_reader, writer) = std::io::pipe().unwrap();
        let pipe = File::from(std::os::fd::OwnedFd::from(writer));
        let mut allocation = Allocation::default();
        allocation.ahead(&pipe, STEP_BYTES, 1);
        assert!(allocation.refused);
    }
}
