//! What this process took: memory and the processor's time, as far as the system tells.

use std::fs;
use std::ops::Sub;

use serde::Serialize;

/// The processor's time in seconds, of all threads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(super) struct Cpu {
    pub(super) user: f64,
    pub(super) system: f64,
}

impl Sub for Cpu {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self { user: self.user - before.user, system: self.system - before.system }
    }
}

impl Cpu {
    /// What was taken so far; `None` where there is no /proc. Counted in ticks, mostly of 10 ms.
    pub(super) fn so_far() -> Option<Self> {
        let per_second = rustix::param::clock_ticks_per_second();
        parse_stat(&fs::read_to_string("/proc/self/stat").ok()?, per_second as f64)
    }
}

fn parse_stat(stat: &str, ticks_per_second: f64) -> Option<Cpu> {
    // The name, in parentheses, may hold anything. Behind it the state is the third field, and these the 14th and 15th.
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace().skip(11);
    let mut seconds = || Some(fields.next()?.parse::<f64>().ok()? / ticks_per_second);
    Some(Cpu { user: seconds()?, system: seconds()? })
}

/// Forgets the peak so far; `false` where that is not permitted or not known.
pub(super) fn forget_peak_memory() -> bool {
    fs::write("/proc/self/clear_refs", "5").is_ok()
}

/// The most memory that was resident since the peak was forgotten, in bytes.
pub(super) fn peak_memory_bytes() -> Option<u64> {
    memory(&fs::read_to_string("/proc/self/status").ok()?, "VmHWM:")
}

/// The memory that is resident now, in bytes.
pub(super) fn memory_bytes() -> Option<u64> {
    memory(&fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")
}

fn memory(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// Bytes free for this user on the file system of a folder; `None` where that cannot be told.
pub(super) fn free_bytes(folder: &std::path::Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    stat.f_bavail.checked_mul(stat.f_frsize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 1 0 5 6 7";
        assert_eq!(parse_stat(stat, 100.0), Some(Cpu { user: 2.5, system: 0.5 }));
        assert_eq!(parse_stat("7 (a) S 1", 100.0), None);
        assert_eq!(parse_stat("", 100.0), None);
    }

    #[test]
    fn memory_is_in_bytes() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t 1 kB\n";
        assert_eq!((memory(status, "VmHWM:"), memory(status, "VmRSS:")), (Some(2 << 20), Some(1024)));
        assert_eq!(memory("Name:\tx\n", "VmHWM:"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_is_seen() {
        let before = Cpu::so_far().expect("times");
        assert!(before.user >= 0.0 && peak_memory_bytes().expect("a peak") > 1 << 20);
        assert!(free_bytes(std::path::Path::new("/")).is_some());
    }
}
