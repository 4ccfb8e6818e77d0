//! The queue: who may begin, and what becomes of those that ended. One thread owns all of it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::Settings;
use super::budget::{Budget, Share};
use super::handle::JobStatus;
use super::work::{Entry, Message, Running, Shared};
use crate::cancel::CancelToken;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::job::{Job, Prepared, Verified, guarded};
use crate::pipeline::Cores;
use crate::report::Report;
use crate::workspace;

/// Plans that are made beside the downloads: a playlist that does not come holds nobody up.
const PLANS_BESIDE: usize = 8;
/// Downloads that have stalled do not count, up to so many.
const MAX_STALLED: usize = 32;
/// Outputs that may wait for the disk beside the merges.
const PUBLISHED_BESIDE: usize = 16;
/// How often tokens of the submitters' own are looked at, and kept workspaces.
const TICK: std::time::Duration = std::time::Duration::from_millis(100);

pub(super) struct Queue {
    settings: Settings,
    budget: Budget,
    shared: Arc<Shared>,
    messages: Sender<Message>,
    pool: rayon::ThreadPool,
    waiting: VecDeque<(Running, Job)>,
    planning: usize,
    planned: VecDeque<(Running, Box<Prepared>)>,
    downloading: usize,
    stalled: usize,
    ready: VecDeque<(Running, Box<Prepared>)>,
    merging: usize,
    /// Outputs that wait for the disk: no merge does.
    publishing: usize,
    /// Of jobs that have not ended: what cancels them, and their output paths.
    active: HashMap<u64, CancelToken>,
    claims: HashSet<PathBuf>,
    submitted: u64,
    threads: Vec<JoinHandle<()>>,
    /// Workspaces that were kept, and when their time is up.
    kept: VecDeque<(Instant, PathBuf)>,
    stopping: bool,
}

impl Queue {
    pub(super) fn new(
        settings: Settings,
        budget: Budget,
        shared: Arc<Shared>,
        messages: Sender<Message>,
        pool: rayon::ThreadPool,
    ) -> Self {
        Self {
            settings,
            budget,
            shared,
            messages,
            pool,
            waiting: VecDeque::new(),
            planning: 0,
            planned: VecDeque::new(),
            downloading: 0,
            stalled: 0,
            ready: VecDeque::new(),
            merging: 0,
            publishing: 0,
            active: HashMap::new(),
            claims: HashSet::new(),
            submitted: 0,
            threads: Vec::new(),
            kept: VecDeque::new(),
            stopping: false,
        }
    }

    /// Until the service stops and all that ran has ended.
    pub(super) fn run(mut self, inbox: &Receiver<Message>) {
        while !(self.stopping && self.is_idle()) {
            match inbox.recv_timeout(TICK) {
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.drop_cancelled();
            self.begin();
            self.clean();
        }
        // Whoever submitted as the service stopped must not wait for ever.
        while let Ok(message) = inbox.try_recv() {
            self.take(message);
        }
        self.drop_cancelled();
        for thread in self.threads.drain(..) {
            // What a job did wrong is its own error by now.
            let _ended = thread.join();
        }
    }

    fn is_idle(&self) -> bool {
        let at_work = self.planning + self.downloading + self.merging + self.publishing;
        at_work == 0 && self.waiting.is_empty() && self.planned.is_empty() && self.ready.is_empty()
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Submit(entry) => self.submit(*entry),
            Message::Look => {}
            Message::Planned(running, outcome) => {
                self.planning -= 1;
                match outcome {
                    Ok(prepared) if prepared.needs_download() => self.planned.push_back((running, prepared)),
                    Ok(prepared) => self.make_ready(running, prepared),
                    Err(error) => self.end(running, Err(error)),
                }
            }
            Message::Stalled(true) => self.stalled += 1,
            Message::Stalled(false) => self.stalled -= 1,
            Message::Downloaded(running, outcome) => {
                self.downloading -= 1;
                match outcome {
                    Ok(prepared) => self.make_ready(running, prepared),
                    Err(error) => self.end(running, Err(error)),
                }
            }
            Message::Verified(running, verified) => {
                self.merging -= 1;
                self.publishing += 1;
                self.publish(running, verified);
            }
            Message::Failed(running, error, workspace) => {
                self.merging -= 1;
                self.keep(Some(workspace));
                self.end(running, Err(error));
            }
            Message::Published(running, outcome, kept) => {
                self.publishing -= 1;
                self.keep(kept);
                self.end(running, *outcome);
            }
            Message::Kept(path) => self.keep(Some(path)),
            Message::Stop => {
                self.stopping = true;
                self.active.values().for_each(CancelToken::cancel);
            }
        }
    }

    fn submit(&mut self, entry: Entry) {
        let Entry { mut job, slot } = entry;
        let path = job.output_path().and_then(|path| std::path::absolute(path).ok());
        let taken = path.as_ref().is_some_and(|path| !self.claims.insert(path.clone()));
        self.submitted += 1;
        let claim = path.clone().filter(|_| !taken);
        let running = Running { id: self.submitted, label: job.label(), slot, claim, told: false };
        self.active.insert(running.id, running.slot.cancel.clone());
        if self.stopping {
            running.slot.cancel.cancel();
        }
        match path {
            Some(path) if taken => {
                let message = format!("{} is being written by another job of this service", path.display());
                self.end(running, Err(Error::new(ErrorKind::Exists, message).with_hint("name another output")));
            }
            _ => {
                let token = running.slot.cancel.clone();
                self.settings.jobs.apply(job.options_mut());
                let job = job.joined(token, self.shared.clone());
                self.waiting.push_back((running, job));
            }
        }
    }

    fn make_ready(&mut self, running: Running, prepared: Box<Prepared>) {
        running.slot.advance(JobStatus::Ready);
        self.ready.push_back((running, prepared));
    }

    /// Jobs that were cancelled while they waited end here; those at work end by themselves.
    fn drop_cancelled(&mut self) {
        let is_cancelled = |running: &Running| running.slot.cancel.is_cancelled();
        let mut ended = Vec::new();
        for n in (0..self.waiting.len()).rev() {
            if is_cancelled(&self.waiting[n].0) {
                ended.extend(self.waiting.remove(n).map(|(running, _)| (running, None)));
            }
        }
        for queue in [&mut self.planned, &mut self.ready] {
            for n in (0..queue.len()).rev() {
                if is_cancelled(&queue[n].0) {
                    ended.extend(queue.remove(n).map(|(running, prepared)| (running, Some(prepared))));
                }
            }
        }
        for (running, prepared) in ended {
            let error = match prepared {
                Some(prepared) => prepared.give_up(Error::cancelled()),
                None => Error::cancelled(),
            };
            self.end(running, Err(error));
        }
    }

    /// Begins whatever there is a place for.
    fn begin(&mut self) {
        self.threads.retain(|thread| !thread.is_finished());
        let most = self.settings.max_concurrent_downloads;
        // What is planned and waits holds a workspace: no more than can be of use soon.
        let enough = most + self.settings.max_concurrent_merges;
        loop {
            let held = self.planning + self.planned.len() + self.ready.len();
            let free =
                (most + PLANS_BESIDE).saturating_sub(self.planning).min((enough + PLANS_BESIDE).saturating_sub(held));
            let waiting = self.waiting.iter_mut().map(|(running, _)| running);
            if !may_begin(&self.shared, free, self.budget.plans, held, waiting) {
                break;
            }
            let Some((running, job)) = self.waiting.pop_front() else { break };
            self.planning += 1;
            running.slot.advance(JobStatus::Downloading);
            self.work("avweld-plan", running, |shared, running, _| {
                let token = running.slot.cancel.clone();
                let outcome = guarded(&token, || job.prepare(&shared.network).map(Box::new));
                Message::Planned(running, outcome)
            });
        }
        loop {
            let free = (most + self.stalled.min(MAX_STALLED)).saturating_sub(self.downloading);
            let planned = self.planned.iter_mut().map(|(running, _)| running);
            if !may_begin(&self.shared, free, self.budget.downloads, self.downloading, planned) {
                break;
            }
            let Some((running, prepared)) = self.planned.pop_front() else { break };
            self.downloading += 1;
            self.work("avweld-download", running, |_, running, messages| download(running, prepared, &messages));
        }
        loop {
            let most = self.settings.max_concurrent_merges;
            // Where the disk is slower than the merges, they wait for it.
            let free = most.min((most + PUBLISHED_BESIDE).saturating_sub(self.publishing)).saturating_sub(self.merging);
            let ready = self.ready.iter_mut().map(|(running, _)| running);
            if !may_begin(&self.shared, free, self.budget.merges, self.merging + self.publishing, ready) {
                break;
            }
            let Some((running, prepared)) = self.ready.pop_front() else { break };
            self.merging += 1;
            running.slot.advance(JobStatus::Merging);
            let messages = self.messages.clone();
            let to_come = self.ready.len() + self.planned.len() + self.waiting.len();
            let cores = Cores::for_each_of(self.merging + to_come);
            self.pool.spawn(move || {
                let token = running.slot.cancel.clone();
                let workspace = prepared.workspace().to_owned();
                let message = match guarded(&token, || prepared.merge(cores)) {
                    Ok(verified) => Message::Verified(running, Box::new(verified)),
                    Err(error) => Message::Failed(running, error, workspace),
                };
                // The queue is there until all jobs have ended.
                let _gone = messages.send(message);
            });
        }
    }

    fn publish(&mut self, running: Running, verified: Box<Verified>) {
        self.work("avweld-publish", running, |_, running, _| {
            let token = running.slot.cancel.clone();
            let workspace = verified.workspace().to_owned();
            let outcome = guarded(&token, || verified.publish());
            let kept = outcome.is_err().then_some(workspace);
            Message::Published(running, Box::new(outcome), kept)
        });
    }

    /// Runs a part of a job that waits for the network or the disk, on a thread of its own.
    fn work(
        &mut self,
        name: &str,
        running: Running,
        work: impl FnOnce(Arc<Shared>, Running, Sender<Message>) -> Message + Send + 'static,
    ) {
        let (shared, messages) = (self.shared.clone(), self.messages.clone());
        let (hand, over) = crossbeam_channel::bounded::<Running>(1);
        let body = move || {
            if let Ok(running) = over.recv() {
                let message = work(shared, running, messages.clone());
                let _gone = messages.send(message);
            }
        };
        match thread::Builder::new().name(name.to_owned()).spawn(body) {
            Ok(thread) => {
                self.threads.push(thread);
                // The thread waits for it.
                let _taken = hand.send(running);
            }
            Err(e) => {
                let error = Error::io("cannot start a thread for the job", e);
                match name {
                    "avweld-plan" => self.planning -= 1,
                    "avweld-publish" => self.publishing -= 1,
                    _ => self.downloading -= 1,
                }
                self.end(running, Err(error));
            }
        }
    }

    fn end(&mut self, running: Running, outcome: Result<Report>) {
        self.active.remove(&running.id);
        if let Some(path) = &running.claim {
            self.claims.remove(path);
        }
        let error = outcome.as_ref().err().map(ToString::to_string);
        self.shared.observers.tell(&Event::Ended { job: running.label, error });
        running.slot.settle(outcome);
    }

    fn keep(&mut self, path: Option<PathBuf>) {
        if let Some(path) = path.filter(|path| self.settings.auto_cleanup && path.exists()) {
            self.kept.push_back((Instant::now() + self.settings.cleanup_delay, path));
        }
    }

    /// Removes the workspaces whose time is up, unless somebody goes on in them.
    fn clean(&mut self) {
        while self.kept.front().is_some_and(|(until, _)| *until <= Instant::now()) {
            if let Some((_, path)) = self.kept.pop_front() {
                workspace::clear(&path);
            }
        }
    }
}

/// Whether one more may begin where the settings leave `free` places. Those of the waiting that the budget alone keeps
/// from their places are told so.
fn may_begin<'a>(
    shared: &Shared,
    free: usize,
    share: Share,
    at_work: usize,
    waiting: impl Iterator<Item = &'a mut Running>,
) -> bool {
    if at_work < share.most {
        return free > 0;
    }
    for running in waiting.take(free).filter(|running| !running.told) {
        running.told = true;
        shared.observers.tell(&Event::Waiting { job: running.label.clone(), reason: share.reason });
    }
    false
}

/// Fetches all that a job needs.
fn download(running: Running, mut prepared: Box<Prepared>, messages: &Sender<Message>) -> Message {
    let token: CancelToken = running.slot.cancel.clone();
    let mut is_stalled = false;
    let fetched = guarded(&token, || {
        prepared.begin_download()?;
        prepared.wait_for_download(&mut |stalled| {
            is_stalled = stalled;
            let _gone = messages.send(Message::Stalled(stalled));
        })
    });
    if is_stalled {
        let _gone = messages.send(Message::Stalled(false));
    }
    let outcome = match fetched {
        Ok(()) => Ok(prepared),
        Err(error) => {
            let error = prepared.give_up(error);
            let workspace = prepared.workspace().to_owned();
            drop(prepared);
            let _gone = messages.send(Message::Kept(workspace));
            Err(error)
        }
    };
    Message::Downloaded(running, outcome)
}
