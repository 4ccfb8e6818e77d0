//! SIGINT and SIGTERM: the first cancels the running job, a second ends the process at once.
//! SIGXFSZ: a file that grows beyond the process's limit is an error, not the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::thread::{self, JoinHandle};

use avweld::{CancelToken, Error, Result};
use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::{Handle, Signals};
use signal_hook::low_level;

use crate::exit;

/// Watches for signals as long as it lives.
pub(crate) struct Watch {
    state: Arc<State>,
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    token: CancelToken,
    /// True while a job runs that cleans up behind itself when it is cancelled.
    running: AtomicBool,
    /// The signal that cancelled the job; 0 for none.
    first: AtomicI32,
}

#[derive(Debug, PartialEq, Eq)]
enum Action {
    Cancel,
    Exit,
}

impl State {
    fn on_signal(&self, signal: i32) -> Action {
        // Without a job there is nothing to clean up, and whatever blocks (a read of standard input,
        // a full pipe) would not look at the token.
        if !self.running.load(Ordering::SeqCst) {
            return Action::Exit;
        }
        match self.first.compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) => {
                self.token.cancel();
                Action::Cancel
            }
            Err(_) => Action::Exit,
        }
    }
}

impl Watch {
    /// Installs the handlers.
    pub(crate) fn install() -> Result<Self> {
        let failed = |e| Error::io("cannot watch for signals", e);
        // Left to itself, the signal for a file beyond the limit (`ulimit -f`) kills the process, and what it had
        // half written stays behind. With any handler the write fails with EFBIG instead, and the job ends as it
        // does on a full disk. The flag is looked at by nobody.
        signal_hook::flag::register(SIGXFSZ, Arc::default()).map_err(failed)?;
        let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(failed)?;
        let handle = signals.handle();
        let state = Arc::new(State::default());
        let seen = Arc::clone(&state);
        let thread = thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                for signal in signals.forever() {
                    if seen.on_signal(signal) == Action::Exit {
                        // No exit hooks and no destructors: another thread may be in the middle of anything.
                        low_level::exit(exit::by_signal(signal).into());
                    }
                }
            })
            .map_err(failed)?;
        Ok(Self { state, handle, thread: Some(thread) })
    }

    /// The token that the first signal cancels.
    pub(crate) fn token(&self) -> CancelToken {
        self.state.token.clone()
    }

    /// Runs a job that holds the token. Only meanwhile does a signal cancel; otherwise it ends the process.
    pub(crate) fn run<T>(&self, job: impl FnOnce() -> T) -> T {
        self.state.running.store(true, Ordering::SeqCst);
        let result = job();
        self.state.running.store(false, Ordering::SeqCst);
        result
    }

    /// The signal that cancelled the job.
    pub(crate) fn received(&self) -> Option<i32> {
        match self.state.first.load(Ordering::SeqCst) {
            0 => None,
            signal => Some(signal),
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            // A panic in there has been printed already, and nothing is left to be done about it.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_signal_cancels_and_the_second_exits() {
        let state = State::default();
        state.running.store(true, Ordering::SeqCst);
        assert_eq!(state.on_signal(SIGTERM), Action::Cancel);
        assert!(state.token.is_cancelled());
        assert_eq!(state.on_signal(SIGINT), Action::Exit);
        assert_eq!(state.first.load(Ordering::SeqCst), SIGTERM);
    }

    #[test]
    fn without_a_job_a_signal_exits() {
        let state = State::default();
        assert_eq!(state.on_signal(SIGINT), Action::Exit);
        assert!(!state.token.is_cancelled());
    }

    #[test]
    fn a_watch_ends_with_its_thread() {
        let watch = Watch::install().expect("handlers can be installed");
        assert_eq!(watch.run(|| 7), 7);
        assert_eq!(watch.received(), None);
    }
}
