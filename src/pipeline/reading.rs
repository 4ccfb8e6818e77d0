//! Where an input is demuxed: on its job's thread, or ahead of it on one of its own.

use std::collections::VecDeque;
use std::panic::resume_unwind;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, bounded};

use crate::av::LogScope;
use crate::cancel::CancelToken;
use crate::demux::{Demuxed, InputDemuxer, InputSource, Unusable};
use crate::error::{Error, Result};
use crate::options::Limits;

/// Payload that is handed over at once, so that the threads do not wake each other for each packet. More takes memory, and
/// was measured to win nothing.
const BATCH_BYTES: usize = 128 << 10;
/// What an event takes beside its payload, roughly.
const EVENT_BYTES: usize = 256;
/// Batches that wait at most.
const BATCHES: usize = 4;

/// An input's demuxer.
///
/// The events and their order are the same on any thread.
pub(super) enum Reading {
    Here(Box<InputDemuxer>),
    Ahead(Ahead),
}

/// A demuxer that reads ahead.
pub(super) struct Ahead {
    /// Of the batch at hand.
    events: VecDeque<Demuxed>,
    /// `None` once there are no more.
    batches: Option<Receiver<Vec<Demuxed>>>,
    worker: Option<JoinHandle<Result<Unusable>>>,
    unusable: Unusable,
    cancel: CancelToken,
}

impl Reading {
    pub(super) fn here(source: InputSource, limits: &Limits, cancel: &CancelToken) -> Self {
        Self::Here(Box::new(InputDemuxer::new(source, limits, cancel)))
    }

    /// Begins to read on a thread of its own, which ends with this value. The source must not make it wait for long.
    pub(super) fn ahead(source: InputSource, limits: &Limits, cancel: &CancelToken) -> Result<Self> {
        let cancel = cancel.child();
        let demuxer = InputDemuxer::new(source, limits, &cancel);
        let (sender, batches) = bounded(BATCHES);
        let work = move || read_ahead(demuxer, |batch| sender.send(batch).is_ok());
        let worker = thread::Builder::new().name("avweld-demux".to_owned()).spawn(work);
        let worker = worker.map_err(|e| Error::io("cannot start a thread", e))?;
        Ok(Self::Ahead(Ahead {
            events: VecDeque::new(),
            batches: Some(batches),
            worker: Some(worker),
            unusable: Unusable::default(),
            cancel,
        }))
    }

    /// What comes next. Blocks until it is there.
    pub(super) fn read(&mut self) -> Result<Demuxed> {
        match self {
            Self::Here(demuxer) => demuxer.read(),
            Self::Ahead(ahead) => ahead.read(),
        }
    }

    /// What could not be used, once all was read.
    pub(super) fn unusable(&self) -> &Unusable {
        match self {
            Self::Here(demuxer) => demuxer.unusable(),
            Self::Ahead(ahead) => &ahead.unusable,
        }
    }
}

impl Ahead {
    fn read(&mut self) -> Result<Demuxed> {
        loop {
            match self.events.pop_front() {
                Some(Demuxed::End) => self.join()?,
                Some(event) => return Ok(event),
                None => match self.batches.as_ref().map(Receiver::recv) {
                    Some(Ok(batch)) => self.events = batch.into(),
                    Some(Err(_)) => self.join()?,
                    None => return Ok(Demuxed::End),
                },
            }
        }
    }

    /// The thread has ended: takes what it leaves. A panic of it goes on here.
    fn join(&mut self) -> Result<()> {
        self.batches = None;
        let Some(worker) = self.worker.take() else { return Ok(()) };
        self.unusable = worker.join().unwrap_or_else(|panic| resume_unwind(panic))?;
        Ok(())
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.cancel.cancel();
        self.batches = None;
        if let Some(worker) = self.worker.take() {
            // Of an input that is given up nobody wants to know.
            let _given_up = worker.join();
        }
    }
}

/// Reads until the end of the input, or until nobody wants more.
fn read_ahead(mut demuxer: InputDemuxer, give: impl Fn(Vec<Demuxed>) -> bool) -> Result<Unusable> {
    let _log = LogScope::enter();
    let (mut batch, mut bytes, mut more) = (Vec::new(), 0, true);
    while more {
        let event = match demuxer.read() {
            Ok(event) => event,
            // What came before it is used up before it is told.
            Err(error) => {
                give(batch);
                return Err(error);
            }
        };
        more = !matches!(event, Demuxed::End);
        bytes += EVENT_BYTES;
        if let Demuxed::Packet(packet) = &event {
            bytes += packet.packet.data().len();
        }
        batch.push(event);
        if bytes >= BATCH_BYTES || !more {
            bytes = 0;
            more &= give(std::mem::take(&mut batch));
        }
    }
    Ok(demuxer.unusable().clone())
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    use super::*;
    use crate::demux::{Ending, InputRole};
    use crate::error::ErrorKind;
    use crate::fetch::{Fetcher, PathPolicy, PlaylistKeys};
    use crate::options::{KeyOverride, OnGap};
    use crate::playlist::{Location, Segment};

    /// A segment whose bytes are in a file below `fixtures`, or those given.
    fn segment(media_sequence: u64, location: Location, discontinuity: bool) -> Segment {
        Segment {
            media_sequence,
            location,
            byte_range: None,
            duration: None,
            discontinuity,
            gap: false,
            key: None,
            init: None,
            program_date_time: None,
        }
    }

    fn file(name: &str) -> Location {
        Location::File(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name))
    }

    fn source(segments: Vec<Segment>) -> InputSource {
        let fetcher = Fetcher::new(PathPolicy::Any, Limits::default(), KeyOverride::default(), PlaylistKeys::Absent);
        InputSource {
            segments: segments.into(),
            fetcher: Arc::new(fetcher),
            role: InputRole::Everything,
            on_gap: OnGap::Fail,
            workspace: Path::new("").to_owned(),
        }
    }

    /// The three segments of a fixture, so many times, each time behind a discontinuity.
    fn repeated(times: u64) -> Vec<Segment> {
        let each = |n| segment(n, file(&format!("ts-h264-aac/index{}.ts", n % 3)), n % 3 == 0);
        (0..3 * times).map(each).collect()
    }

    /// What comes, a line an event, until the end or the error.
    fn all(mut reading: Reading) -> (Vec<String>, Option<Error>) {
        let mut lines = Vec::new();
        loop {
            lines.push(match reading.read() {
                Ok(Demuxed::Session { first_segment, streams, .. }) => format!("{first_segment}: {}", streams.len()),
                Ok(Demuxed::Packet(p)) => {
                    format!("{} {} {:?} {:?}", p.stream, p.segment, p.packet.dts(), p.packet.data())
                }
                Ok(Demuxed::SegmentEnd(end)) => {
                    format!("{} ends: {}", end.segment, matches!(end.ending, Ending::Read { .. }))
                }
                Ok(Demuxed::End) => {
                    let is_at_work = matches!(&reading, Reading::Ahead(Ahead { worker: Some(_), .. }));
                    assert!(!is_at_work, "at the end it is known what could not be used");
                    assert!(matches!(reading.read(), Ok(Demuxed::End)), "the end stays the end");
                    return (lines, None);
                }
                Err(error) => return (lines, Some(error)),
            });
        }
    }

    fn both(segments: &[Segment]) -> [(Vec<String>, Option<Error>); 2] {
        let (limits, cancel) = (Limits::default(), CancelToken::new());
        [
            all(Reading::here(source(segments.to_vec()), &limits, &cancel)),
            all(Reading::ahead(source(segments.to_vec()), &limits, &cancel).unwrap()),
        ]
    }

    #[test]
    fn on_any_thread_the_same_comes_in_the_same_order() {
        let [here, ahead] = both(&repeated(20));
        assert!(here.0.len() > 1000, "{}", here.0.len());
        assert!(here.0 == ahead.0, "events differ");
        assert!(here.1.is_none() && ahead.1.is_none());
    }

    #[test]
    fn an_error_comes_behind_what_was_read_before_it() {
        let mut segments = repeated(3);
        segments.push(segment(9, file("ts-h264-aac/missing.ts"), false));
        let [here, ahead] = both(&segments);
        let (here_error, ahead_error) = (here.1.unwrap(), ahead.1.unwrap());
        assert_eq!(here_error.to_string(), ahead_error.to_string());
        assert!(here_error.to_string().contains("missing.ts"), "{here_error}");
        assert!(here.0 == ahead.0, "events differ");
    }

    #[test]
    fn the_thread_ends_with_whoever_reads() {
        let cancel = CancelToken::new();
        let mut reading = Reading::ahead(source(repeated(2000)), &Limits::default(), &cancel).unwrap();
        assert!(matches!(reading.read(), Ok(Demuxed::Session { .. })));
        // Waits for the thread, which could go on for long.
        drop(reading);
        assert!(!cancel.is_cancelled());
    }

    #[test]
    fn cancelling_the_job_ends_it() {
        let cancel = CancelToken::new();
        let mut reading = Reading::ahead(source(repeated(2000)), &Limits::default(), &cancel).unwrap();
        assert!(matches!(reading.read(), Ok(Demuxed::Session { .. })));
        cancel.cancel();
        let error = loop {
            match reading.read() {
                Ok(Demuxed::End) => panic!("read to its end"),
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::Cancelled);
    }

    #[test]
    fn a_panic_goes_on_where_it_is_read() {
        let (sender, batches) = bounded::<Vec<Demuxed>>(1);
        drop(sender);
        let worker = thread::Builder::new().spawn(|| panic!("of the demuxer")).unwrap();
        let mut ahead = Ahead {
            events: VecDeque::new(),
            batches: Some(batches),
            worker: Some(worker),
            unusable: Unusable::default(),
            cancel: CancelToken::new(),
        };
        let read = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| ahead.read().map(drop)));
        assert_eq!(read.unwrap_err().downcast_ref(), Some(&"of the demuxer"));
    }
}
