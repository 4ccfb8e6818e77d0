//! Many jobs at once.

mod budget;
mod handle;
mod queue;
mod work;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};

use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Observer};
use crate::job::Job;
use crate::net::Network;
use crate::options::{NetworkOptions, Options};
use budget::Budget;
use handle::Slot;
use queue::Queue;
use work::{Entry, Message, Shared};

pub use handle::{JobHandle, JobStatus};

/// What a service is told before it begins. Every setting has a default.
#[must_use = "a builder does nothing until it builds"]
pub struct ServiceBuilder {
    settings: Settings,
    network: NetworkOptions,
    observer: Option<Arc<dyn Observer>>,
}

#[derive(Debug, Clone)]
struct Settings {
    max_concurrent_downloads: usize,
    max_concurrent_merges: usize,
    auto_cleanup: bool,
    cleanup_delay: Duration,
    jobs: JobDefaults,
    memory_bytes: Option<u64>,
}

/// For jobs that leave their own at the default.
#[derive(Debug, Clone, Default)]
struct JobDefaults {
    download_timeout: Option<Duration>,
    merge_timeout: Option<Duration>,
    max_retries: Option<u32>,
    retry_delay: Option<Duration>,
    temp_dir: Option<PathBuf>,
}

impl JobDefaults {
    fn apply(&self, options: &mut Options) {
        fn fill<T: PartialEq + Clone>(place: &mut T, default: &T, given: Option<&T>) {
            if let Some(given) = given.filter(|_| place == default) {
                *place = given.clone();
            }
        }
        let default = Options::default();
        let (network, usual) = (&mut options.network, &default.network);
        fill(&mut network.download_timeout, &usual.download_timeout, self.download_timeout.as_ref());
        fill(&mut network.retries, &usual.retries, self.max_retries.as_ref());
        fill(&mut network.retry_delay, &usual.retry_delay, self.retry_delay.as_ref());
        fill(&mut options.merge_timeout, &default.merge_timeout, self.merge_timeout.as_ref());
        fill(&mut options.temp_dir, &None, Some(&self.temp_dir));
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_concurrent_downloads: 3,
            max_concurrent_merges: 2,
            auto_cleanup: true,
            cleanup_delay: Duration::from_secs(60),
            jobs: JobDefaults::default(),
            memory_bytes: None,
        }
    }
}

impl ServiceBuilder {
    /// Jobs that download at a time; 3 by default. One whose servers send nothing for a second does not count.
    pub fn max_concurrent_downloads(mut self, jobs: usize) -> Self {
        self.settings.max_concurrent_downloads = jobs.max(1);
        self
    }

    /// Jobs that merge at a time, each on a thread of the service's pool; 2 by default. A job merges once its download
    /// is complete, so none waits for the network there, and leaves its place once its output is verified: it may
    /// have to wait for the disk before that gets its name.
    pub fn max_concurrent_merges(mut self, jobs: usize) -> Self {
        self.settings.max_concurrent_merges = jobs.max(1);
        self
    }

    /// Whether workspaces that were kept after a failure are removed; true by default.
    pub fn auto_cleanup(mut self, clean: bool) -> Self {
        self.settings.auto_cleanup = clean;
        self
    }

    /// How long a workspace is kept after a failure, to be resumed or looked into; 60 s by default. Those that are
    /// kept when the service stops stay, for the next run of their jobs.
    pub fn cleanup_delay(mut self, delay: Duration) -> Self {
        self.settings.cleanup_delay = delay;
        self
    }

    /// How long a download may get no further, for jobs that leave theirs at the default; 300 s by default.
    pub fn download_timeout(mut self, time: Duration) -> Self {
        self.settings.jobs.download_timeout = Some(time);
        self
    }

    /// How long a merge may take in all, for jobs that leave theirs at the default; 600 s by default.
    pub fn merge_timeout(mut self, time: Duration) -> Self {
        self.settings.jobs.merge_timeout = Some(time);
        self
    }

    /// How often a request is made again, for jobs that leave theirs at the default; 3 by default.
    pub fn max_retries(mut self, retries: u32) -> Self {
        self.settings.jobs.max_retries = Some(retries);
        self
    }

    /// The first pause before that, for jobs that leave theirs at the default; 5 s by default.
    pub fn retry_delay(mut self, delay: Duration) -> Self {
        self.settings.jobs.retry_delay = Some(delay);
        self
    }

    /// Where workspaces are made, for jobs that do not say; the system's temporary folder by default.
    pub fn temp_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.settings.jobs.temp_dir = Some(folder.into());
        self
    }

    /// What merges may take of memory together, in bytes; no limit by default. A merge counts as 64 MiB, which few
    /// reach. One merges at any rate.
    ///
    /// Of open files no more are used than the process may have (`RLIMIT_NOFILE` as the service begins), less some for
    /// all else; services side by side do not know of each other. A job that waits for either is told once by
    /// [`Event::Waiting`].
    pub fn memory_bytes(mut self, most: u64) -> Self {
        self.settings.memory_bytes = Some(most);
        self
    }

    /// Of these the limits over all jobs: connections, connections a host, bytes a second. All else is each job's own.
    pub fn network(mut self, options: NetworkOptions) -> Self {
        self.network = options;
        self
    }

    /// Who hears of all jobs' events, beside each job's own observer. A job's events come in their order, those of
    /// several jobs as they happen; calls come from several threads.
    pub fn observer(mut self, observer: impl Observer + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Begins the service: a thread for the queue, and the pool that merges.
    ///
    /// # Errors
    /// `Io` where the system gives no more threads.
    pub fn build(self) -> Result<Service> {
        Service::start(self)
    }
}

/// Runs many jobs: downloads and merges side by side, each job with a workspace of its own.
///
/// Usable with an async runtime and without one. Services share nothing: any number may stand side by side in a process.
/// Dropped, it [stops](Self::stop).
pub struct Service {
    shared: Arc<Shared>,
    messages: Sender<Message>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").finish_non_exhaustive()
    }
}

impl Service {
    /// A service with the defaults, to be changed before it is built.
    pub fn builder() -> ServiceBuilder {
        ServiceBuilder { settings: Settings::default(), network: NetworkOptions::default(), observer: None }
    }

    fn start(builder: ServiceBuilder) -> Result<Self> {
        let ServiceBuilder { settings, mut network, observer } = builder;
        let budget = Budget::new(budget::open_files(), settings.memory_bytes);
        network.connections = network.connections.min(budget.connections);
        let cannot = |what: &str, e: &dyn fmt::Display| Error::new(ErrorKind::Io, format!("cannot start {what}: {e}"));
        let (messages, inbox) = crossbeam_channel::unbounded();
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(settings.max_concurrent_merges.min(budget.merges.most))
            .thread_name(|n| format!("avweld-merge-{n}"))
            // Each job catches its own; what gets here must not end the process.
            .panic_handler(|_| {})
            .build()
            .map_err(|e| cannot("the pool that merges", &e))?;
        let shared = Arc::new(Shared { network: Network::new(&network), observers: work::Observers::new(observer) });
        let queue = Queue::new(settings, budget, shared.clone(), messages.clone(), pool);
        let thread = thread::Builder::new().name("avweld-queue".to_owned());
        let thread = thread.spawn(move || queue.run(&inbox)).map_err(|e| cannot("the queue", &e))?;
        Ok(Self { shared, messages, thread: Some(thread) })
    }

    /// Takes a job in. Returns at once; the job begins as soon as there is a place for it.
    ///
    /// Two jobs may have one name, one input and one folder. Of two that name one output path, the second ends with
    /// `Exists` before it reads anything.
    pub fn submit(&self, job: Job) -> JobHandle {
        let slot = Arc::new(Slot::new(job.token().child()));
        let entry = Entry { job, slot: slot.clone() };
        self.shared.observers.tell(&Event::Queued { job: entry.job.label() });
        if self.messages.send(Message::Submit(Box::new(entry))).is_err() {
            slot.settle(Err(Error::new(ErrorKind::Cancelled, "the service has stopped")));
        }
        JobHandle::new(slot, self.messages.clone())
    }

    /// All jobs' events from here on. A receiver that is not read grows; dropped, it costs nothing more.
    pub fn events(&self) -> Receiver<Event> {
        self.shared.observers.subscribe()
    }

    /// Cancels what runs and what waits, and returns when all of it has ended. Blocks for moments.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // A queue that is gone has nothing left to end.
        let _gone = self.messages.send(Message::Stop);
        if let Some(thread) = self.thread.take() {
            // It runs no code of a job.
            let _ended = thread.join();
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_job_sets_itself_outranks_the_service() {
        let builder = Service::builder().max_retries(7).retry_delay(Duration::from_secs(1)).temp_dir("t");
        let mut options = Options::default();
        options.network.retries = 2;
        builder.settings.jobs.apply(&mut options);
        assert_eq!((options.network.retries, options.network.retry_delay), (2, Duration::from_secs(1)));
        assert_eq!(options.temp_dir, Some("t".into()));
        assert_eq!(options.merge_timeout, Options::default().merge_timeout);
    }
}
