//! What a running job tells.

use std::path::PathBuf;

use serde::Serialize;

/// Something that happened in a job. Sent in the order it happened.
///
/// Serializes as an object with its name under `event`, as `--progress json` prints it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A service took the job in.
    Queued {
        /// The job's label.
        job: String,
    },
    /// The job has a place in a service, but not yet the means: it waits until other jobs have ended. Told once.
    Waiting {
        /// The job's label.
        job: String,
        /// What there is too little of: `open_files` or `memory`.
        reason: &'static str,
    },
    /// The playlist is resolved; merging begins.
    Started {
        /// The job's label.
        job: String,
        /// Segments to merge, over all inputs.
        segments: u64,
        /// Media time of the longest input by its playlist, in seconds; `None` without a playlist.
        duration_s: Option<f64>,
    },
    /// So much came from the web. Sent a few times a second while anything is still to come.
    Downloading {
        /// The job's label.
        job: String,
        /// Segments and init sections that are complete.
        segments: u64,
        /// Segments and init sections that come from the web, over all inputs.
        segments_total: u64,
        /// Of the complete ones, those that a run before had fetched.
        resumed: u64,
        /// Bytes that came.
        bytes: u64,
        /// Bytes a second over the last moments; `None` at the start.
        bytes_per_s: Option<f64>,
        /// Requests that had to be made again.
        retries: u64,
        /// Wall-clock time until all is there, in seconds; `None` at the start.
        eta_s: Option<f64>,
    },
    /// So far so much. Sent as a segment ends, at most a few times a second.
    Progress {
        /// The job's label.
        job: String,
        /// Segments read to their end, over all inputs.
        segments: u64,
        /// Segments to merge, over all inputs.
        segments_total: u64,
        /// Media bytes read.
        bytes_in: u64,
        /// Media time written, in seconds.
        media_s: f64,
    },
    /// Trouble that the job survived; counted in the report.
    Warning {
        /// The job's label.
        job: String,
        /// One line, lowercase.
        message: String,
    },
    /// The file is complete and is being read back.
    Verifying {
        /// The job's label.
        job: String,
        /// The path it will get.
        output: PathBuf,
    },
    /// A service's job has ended: the last event of each.
    Ended {
        /// The job's label.
        job: String,
        /// What went wrong, in one line; `None` if nothing did.
        error: Option<String>,
    },
    /// The file is verified and stands at its final path.
    Published {
        /// The job's label.
        job: String,
        /// Its final path.
        output: PathBuf,
        /// Its size in bytes.
        size_bytes: u64,
    },
}

/// Listens to a job. Called on the thread that runs the job, and for [`Event::Downloading`] on the one that all
/// transfers share, so it must return soon.
pub trait Observer: Send + Sync {
    /// One event.
    fn on_event(&self, event: &Event);
}

impl<F: Fn(&Event) + Send + Sync> Observer for F {
    fn on_event(&self, event: &Event) {
        self(event);
    }
}

/// Events as messages. Those that find the channel full wait; those that find it closed are lost.
impl Observer for crossbeam_channel::Sender<Event> {
    fn on_event(&self, event: &Event) {
        // Nobody listens any more: that is the listener's choice, and no fault of the job's.
        let _closed = self.send(event.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_listens_and_may_be_closed() {
        let (sender, receiver) = crossbeam_channel::unbounded();
        let event = Event::Warning { job: "a".to_owned(), message: "b".to_owned() };
        sender.on_event(&event);
        assert_eq!(receiver.recv(), Ok(event.clone()));
        drop(receiver);
        sender.on_event(&event);
    }
}
