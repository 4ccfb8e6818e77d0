//! What all jobs of a service may hold together, in open files and memory, and so how many may be at work at once.

/// Files that are open beside those of jobs: the standard streams, the network's own, those of libraries.
const OTHER_FILES: u64 = 32;
/// A connection's socket, and the file that it fills.
const CONNECTION_FILES: u64 = 2;
/// A workspace's lock, and its journal.
const DOWNLOAD_FILES: u64 = 2;
/// A workspace's lock, and for moments the playlist or another workspace.
const PLAN_FILES: u64 = 2;
/// A workspace's lock and journal, the output written and read back, and a segment of each of some inputs.
const MERGE_FILES: u64 = 8;
/// The peak of a large merge, as measured: packets held back, the muxer's tables and libav's buffers.
const MERGE_BYTES: u64 = 64 << 20;

/// How many may be at work at once, each at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Budget {
    /// Connections, over all downloads.
    pub(super) connections: usize,
    /// Jobs that are being planned, or are planned and wait.
    pub(super) plans: Share,
    /// Jobs that download, those that have stalled included.
    pub(super) downloads: Share,
    /// Jobs that merge.
    pub(super) merges: Share,
}

/// What there is for one kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Share {
    /// So many at once.
    pub(super) most: usize,
    /// What more would be too much of.
    pub(super) reason: &'static str,
}

impl Budget {
    /// For a process that may hold so many files open, and jobs that may take so many bytes of memory; `None`: no
    /// limit.
    pub(super) fn new(open_files: Option<u64>, memory_bytes: Option<u64>) -> Self {
        let files = open_files.map_or(u64::MAX, |most| most.saturating_sub(OTHER_FILES));
        // Half of them are for merges, which need the most; the rest is for what leads up to them.
        let within = |files: u64, each: u64| Share { most: at_least_one(files / each), reason: "open_files" };
        let by_memory = Share { most: at_least_one(memory_bytes.unwrap_or(u64::MAX) / MERGE_BYTES), reason: "memory" };
        let by_files = within(files / 2, MERGE_FILES);
        Self {
            connections: within(files / 4, CONNECTION_FILES).most,
            plans: within(files / 8, PLAN_FILES),
            downloads: within(files / 8, DOWNLOAD_FILES),
            merges: if by_memory.most < by_files.most { by_memory } else { by_files },
        }
    }
}

fn at_least_one(most: u64) -> usize {
    usize::try_from(most).unwrap_or(usize::MAX).max(1)
}

/// Files that this process may have open; `None`: no limit.
pub(super) fn open_files() -> Option<u64> {
    #[cfg(unix)]
    {
        rustix::process::getrlimit(rustix::process::Resource::Nofile).current
    }
    #[cfg(not(unix))]
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(budget: Budget) -> [usize; 4] {
        [budget.connections, budget.plans.most, budget.downloads.most, budget.merges.most]
    }

    #[test]
    fn all_that_may_be_at_work_fits_into_the_limit() {
        assert_eq!(numbers(Budget::new(Some(256), None)), [28, 14, 14, 14]);
        for limit in [128, 256, 1024, 65_536] {
            let [connections, plans, downloads, merges] = numbers(Budget::new(Some(limit), None)).map(|n| n as u64);
            let files = connections * CONNECTION_FILES + downloads * DOWNLOAD_FILES + merges * MERGE_FILES;
            assert!(OTHER_FILES + files + plans * PLAN_FILES <= limit, "{limit}");
        }
    }

    #[test]
    fn one_of_each_may_always_work_and_without_limits_any_number() {
        assert_eq!(numbers(Budget::new(Some(0), Some(0))), [1; 4]);
        assert!(numbers(Budget::new(None, None)).iter().all(|most| *most > 1 << 30));
    }

    #[test]
    fn the_scarcer_of_the_two_is_the_reason() {
        let merges = |files, memory| Budget::new(Some(files), Some(memory)).merges;
        assert_eq!(merges(1024, 256 << 20), Share { most: 4, reason: "memory" });
        assert_eq!(merges(64, 256 << 20), Share { most: 2, reason: "open_files" });
    }
}
