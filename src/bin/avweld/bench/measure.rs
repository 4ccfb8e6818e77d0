//! Runs of merges and of plain copies in turn, with a clock beside.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use avweld::{Error, ErrorKind, Result};
use serde::Serialize;

use super::process::{self, Cpu};

/// One of several jobs, called by its number; returns the bytes that it read.
pub(super) type Job<'a> = &'a (dyn Fn(usize) -> Result<u64> + Sync);

/// What is measured: so many jobs, so many of them at a time, and the same as copies.
pub(super) struct Work<'a> {
    pub(super) jobs: usize,
    pub(super) at_once: usize,
    pub(super) merge: Job<'a>,
    pub(super) copy: Job<'a>,
    /// Takes all output away.
    pub(super) clear: &'a dyn Fn() -> Result<()>,
}

/// Middle and ends of several runs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

/// What became of one kind of runs.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Timed {
    /// Input of one run.
    pub(super) bytes: u64,
    pub(super) wall_s: Spread,
    /// A million bytes of input a second, by the median.
    pub(super) mb_per_s: f64,
}

/// What became of the merges and of the copies beside them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured {
    pub(super) merge: Timed,
    pub(super) copy: Timed,
    /// The highest of all runs; of the process, so with whatever else it holds.
    pub(super) peak_memory_bytes: Option<u64>,
    /// What was resident before the first run: what this process kept of all before.
    pub(super) memory_before_bytes: Option<u64>,
    /// The mean of a run.
    pub(super) cpu_s: Option<Cpu>,
}

/// Runs each `runs` times in turn. Output is taken away before and after each run, unmeasured.
///
/// # Errors
/// The first error of any job.
pub(super) fn in_turn(work: &Work<'_>, runs: usize, step: &mut dyn FnMut()) -> Result<Measured> {
    let (mut merges, mut copies) = (Vec::new(), Vec::new());
    let (mut merged, mut copied) = (0, 0);
    let memory_before_bytes = process::memory_bytes();
    let mut peak = Some(0);
    let mut cpu = Some(Cpu::default());
    for run in 0..runs {
        // Whichever comes second finds the disk as the first one left it: they take turns in that, too.
        for is_merge in [run % 2 == 0, run % 2 != 0] {
            (work.clear)()?;
            if is_merge {
                let forgot = process::forget_peak_memory();
                let before = Cpu::so_far();
                let (bytes, seconds) = timed(work.jobs, work.at_once, work.merge)?;
                cpu = cpu.and_then(|sum| {
                    let taken = Cpu::so_far()? - before?;
                    Some(Cpu { user: sum.user + taken.user, system: sum.system + taken.system })
                });
                peak = peak.and_then(|peak| Some(process::peak_memory_bytes().filter(|_| forgot)?.max(peak)));
                merged = bytes;
                merges.push(seconds);
            } else {
                let (bytes, seconds) = timed(work.jobs, work.at_once, work.copy)?;
                copied = bytes;
                copies.push(seconds);
            }
            (work.clear)()?;
            step();
        }
    }
    let mean = |seconds: f64| seconds / runs.max(1) as f64;
    Ok(Measured {
        merge: Timed::new(merged, &mut merges),
        copy: Timed::new(copied, &mut copies),
        peak_memory_bytes: peak,
        memory_before_bytes,
        cpu_s: cpu.map(|sum| Cpu { user: mean(sum.user), system: mean(sum.system) }),
    })
}

impl Measured {
    /// How long a merge takes for a byte of its input, a copy taken as 1.
    pub(super) fn ratio_to_copy(&self) -> f64 {
        self.copy.mb_per_s / self.merge.mb_per_s
    }
}

impl Timed {
    fn new(bytes: u64, seconds: &mut [f64]) -> Self {
        let wall_s = Spread::of(seconds);
        Self { bytes, wall_s, mb_per_s: bytes as f64 / 1e6 / wall_s.median }
    }
}

impl Spread {
    /// Of at least one value.
    fn of(values: &mut [f64]) -> Self {
        values.sort_by(f64::total_cmp);
        let n = values.len();
        let at = |n: usize| values.get(n).copied().unwrap_or(f64::NAN);
        let median = if n % 2 == 1 { at(n / 2) } else { (at((n / 2).wrapping_sub(1)) + at(n / 2)) / 2.0 };
        Self { median, min: at(0), max: at(n.wrapping_sub(1)) }
    }
}

/// Bytes and seconds of all jobs together.
fn timed(jobs: usize, at_once: usize, job: Job<'_>) -> Result<(u64, f64)> {
    let started = Instant::now();
    let bytes = if jobs == 1 { job(0)? } else { together(jobs, at_once, job)? };
    Ok((bytes, started.elapsed().as_secs_f64()))
}

fn together(jobs: usize, at_once: usize, job: Job<'_>) -> Result<u64> {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(None);
    let work = || {
        let mut bytes = 0;
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= jobs {
                return bytes;
            }
            match job(n) {
                Ok(read) => bytes += read,
                Err(error) => {
                    // No further job begins.
                    next.store(jobs, Ordering::Relaxed);
                    let mut failed = failed.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                    *failed = Some(match failed.take() {
                        Some(first) => error.or_worse(first),
                        None => error,
                    });
                    return bytes;
                }
            }
        }
    };
    let bytes = thread::scope(|scope| {
        let start = |n| thread::Builder::new().name(format!("bench-{n}")).spawn_scoped(scope, work);
        let threads = (0..at_once.min(jobs)).map(start).collect::<Result<Vec<_>, _>>();
        let threads = threads.map_err(|e| Error::io("cannot start a thread", e))?;
        let panicked = || Error::new(ErrorKind::Internal, "a thread of the bench panicked");
        threads.into_iter().map(|thread| thread.join().map_err(|_| panicked())).sum::<Result<u64>>()
    })?;
    match failed.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()) {
        Some(error) => Err(error),
        None => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let of = |values: &[f64]| Spread::of(&mut values.to_vec());
        assert_eq!(of(&[3.0, 1.0, 2.0]), Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(of(&[4.0, 1.0, 2.0, 3.0]), Spread { median: 2.5, min: 1.0, max: 4.0 });
        assert_eq!(of(&[1.5]), Spread { median: 1.5, min: 1.5, max: 1.5 });
    }

    #[test]
    fn merges_and_copies_take_turns_and_each_begins_without_output() {
        let log = Mutex::new(String::new());
        let note = |what: char| log.lock().expect("a log").push(what);
        let job = |what: char| {
            move |_| {
                note(what);
                Ok(10)
            }
        };
        let (merge, copy) = (job('m'), job('c'));
        let clear = || {
            note('.');
            Ok(())
        };
        let mut steps = 0;
        let work = Work { jobs: 1, at_once: 1, merge: &merge, copy: &copy, clear: &clear };
        let measured = in_turn(&work, 2, &mut || steps += 1).expect("measured");
        assert_eq!(*log.lock().expect("a log"), ".m..c..c..m.");
        assert_eq!((steps, measured.merge.bytes, measured.copy.bytes), (4, 10, 10));
    }

    #[test]
    fn jobs_run_as_many_at_a_time_as_asked_for_and_each_once() {
        let barrier = std::sync::Barrier::new(3);
        let seen = Mutex::new(Vec::new());
        let bytes = together(6, 3, &|n| {
            barrier.wait();
            seen.lock().expect("a list").push(n);
            Ok(1)
        });
        assert_eq!(bytes.expect("no error"), 6);
        let mut seen = seen.into_inner().expect("a list");
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn the_first_fault_ends_the_rest() {
        let error = together(1000, 2, &|n| if n == 3 { Err(Error::new(ErrorKind::Media, "no")) } else { Ok(1) });
        assert_eq!(error.map_err(|e| e.kind()), Err(ErrorKind::Media));
    }
}
