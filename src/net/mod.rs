//! HTTP: what a job may reach, what it sends where, and how it takes an answer that fails halfway.
//!
//! A [`Network`] is what jobs share: the thread that all transfers run on, connections, the limits over all jobs and
//! on each host. A [`Client`] is one job's view of it: the job's headers, its policy and its counts.

mod address;
mod answer;
mod client;
mod cookies;
mod encoding;
mod fault;
mod host;
mod rate;
mod resolver;
mod retry_after;
mod secret;
mod transfer;
mod tries;

#[cfg(test)]
pub(crate) mod tests;

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::{Semaphore, oneshot};

use crate::cancel::CancelToken;
use crate::error::{Error, ErrorKind, Result};
use crate::options::NetworkOptions;
use client::ClientKey;
use host::Host;
use rate::Limiter;

pub(crate) use client::Client;
pub(crate) use encoding::decode;
pub(crate) use transfer::{Body, Fetched, Memory, Request, Whole};

/// How long a look-up of a name that nobody waits for any more may hold up the end of a network.
const SHUTDOWN: Duration = Duration::from_millis(100);

/// What jobs share. Cheap to clone; the thread starts with the first request and ends with the last clone.
#[derive(Clone)]
pub(crate) struct Network(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    thread: OnceLock<Result<NetThread, String>>,
}

/// What transfers need of a network.
struct Shared {
    connections: Arc<Semaphore>,
    connections_per_host: usize,
    limiter: Option<Limiter>,
    hosts: Mutex<HashMap<String, Arc<Host>>>,
    /// By all that is part of a client for good: connections are shared among equal ones only.
    clients: Mutex<HashMap<ClientKey, reqwest::Client>>,
}

struct NetThread {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Network {
    /// A network with the limits over all jobs that these options tell. Starts nothing yet.
    pub(crate) fn new(options: &NetworkOptions) -> Self {
        let shared = Shared {
            connections: Arc::new(Semaphore::new(options.connections.max(1))),
            connections_per_host: options.connections_per_host.max(1),
            limiter: options.limit_rate_bytes.map(Limiter::new),
            hosts: Mutex::default(),
            clients: Mutex::default(),
        };
        Self(Arc::new(Inner { shared: Arc::new(shared), thread: OnceLock::new() }))
    }

    /// Where transfers run. One thread: it moves bytes from sockets to files, and a second one would take the core
    /// that the merge runs on.
    fn handle(&self) -> Result<&Handle> {
        let started = self.0.thread.get_or_init(|| NetThread::start().map_err(|e| e.to_string()));
        started
            .as_ref()
            .map(|net| &net.handle)
            .map_err(|e| Error::new(ErrorKind::Io, format!("cannot start the network's thread: {e}")))
    }

    /// Runs a future on the network's thread; it ends with this call's caller, or with the network.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> Result<()> {
        self.handle()?.spawn(work);
        Ok(())
    }

    /// Runs a future on the network's thread and blocks until it is done or the job is cancelled.
    pub(crate) fn wait<T: Send + 'static>(
        &self,
        cancel: &CancelToken,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let (sender, receiver) = crossbeam_channel::bounded(1);
        let cancel = cancel.clone();
        self.spawn(async move {
            let result = tokio::select! {
                result = work => result,
                () = cancel.cancelled() => Err(Error::cancelled()),
            };
            // The receiver waits right below.
            let _gone = sender.send(result);
        })?;
        receiver.recv().unwrap_or_else(|_| Err(Error::new(ErrorKind::Internal, "a transfer panicked")))
    }
}

impl NetThread {
    fn start() -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::Builder::new().name("avweld-net".to_owned()).spawn(move || {
            // Either is the end: the word, or that nobody is left to say it.
            let _stopped = runtime.block_on(stopped);
            runtime.shutdown_timeout(SHUTDOWN);
        })?;
        Ok(Self { handle, stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for NetThread {
    fn drop(&mut self) {
        drop(self.stop.take());
        // What a transfer held may be the last of a network: then this is that thread, which ends by itself.
        if let Some(thread) = self.thread.take().filter(|thread| thread.thread().id() != thread::current().id()) {
            // It runs no code of a job but transfers, whose panics tokio catches.
            let _ended = thread.join();
        }
    }
}

impl Shared {
    fn host(&self, url: &url::Url) -> Arc<Host> {
        let name = format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(0));
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.entry(name).or_insert_with(|| Arc::new(Host::new(self.connections_per_host))).clone()
    }
}
