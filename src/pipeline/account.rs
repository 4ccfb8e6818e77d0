//! What an input's streams are like at the source: runs, gaps, resets, counted packet by packet. Pure.

use crate::av::{MediaKind, Parameters};
use crate::report::{Gap, Run, StreamRun};
use crate::time::{Nanos, TimeBase};
use crate::timeline::{BACK_AT_BORDER, BACK_INSIDE, Epoch, FORWARD, Item, PERIOD, nearest_wrapped};

/// Time without a packet that counts as a gap.
const GAP: Nanos = Nanos::from_ms(100);
/// Gaps of a stream's run that are listed; the rest is counted.
const LISTED_GAPS: usize = 100;
/// Runs of an input that are told apart, so that no input decides how much memory this takes: of further resets there is
/// the number alone.
const MAX_RUNS: usize = 20_000;

/// A stream while it is read.
#[derive(Default)]
struct Reading {
    run: usize,
    segment: usize,
    /// Where the last packet stood, and the next is expected; `None` at a run's start.
    last: Option<Nanos>,
    next: Option<Nanos>,
    last_dts: Option<i64>,
    /// The last timestamp that wraps, unwrapped.
    reference_ticks: Option<i64>,
    /// Whole periods of the clock that this is beyond 33 bits.
    periods: Option<i64>,
}

/// What is told of a stream apart from its packets.
pub(super) struct StreamKind {
    pub(super) kind: MediaKind,
    pub(super) codec: String,
}

impl StreamKind {
    pub(super) fn of(parameters: &Parameters) -> Self {
        Self { kind: parameters.kind(), codec: parameters.codec().name() }
    }
}

/// A run, and what it takes to find the epoch that it is.
struct Counted {
    begins: &'static str,
    segment: usize,
    start: Option<Nanos>,
    newest_ticks: Option<i64>,
    streams: Vec<StreamRun>,
}

/// How a run begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begins {
    Discontinuity,
    Reset,
}

/// The account of one input.
#[derive(Default)]
pub(super) struct Account {
    kinds: Vec<StreamKind>,
    reading: Vec<Reading>,
    runs: Vec<Counted>,
    /// Jumps of the clock that are not marked.
    resets: u64,
}

impl Account {
    /// What a stream carries from now on.
    pub(super) fn stream(&mut self, stream: usize, kind: StreamKind) {
        if stream < self.kinds.len() {
            self.kinds[stream] = kind;
        } else {
            self.kinds.push(kind);
            self.reading.push(Reading { run: self.runs.len().saturating_sub(1), ..Reading::default() });
        }
    }

    /// All streams go over to another clock.
    pub(super) fn begin_run(&mut self, begins: Begins, segment: usize) {
        self.resets += u64::from(begins == Begins::Reset);
        let run = self.open(begins, segment);
        for reading in &mut self.reading {
            *reading = Reading { run, segment, ..Reading::default() };
        }
    }

    fn open(&mut self, begins: Begins, segment: usize) -> usize {
        let begins = match (self.runs.len(), begins) {
            (0, _) => "start",
            (_, Begins::Discontinuity) => "discontinuity",
            (_, Begins::Reset) => "reset",
        };
        if self.runs.len() < MAX_RUNS {
            self.runs.push(Counted { begins, segment, start: None, newest_ticks: None, streams: Vec::new() });
        }
        self.runs.len() - 1
    }

    /// A packet; `missing`: media known to be missing before it.
    pub(super) fn packet(&mut self, stream: usize, item: &Item<()>, is_key: bool, missing: Nanos) {
        if self.runs.is_empty() {
            self.open(Begins::Discontinuity, item.segment);
        }
        let reading = &self.reading[stream];
        let mut times = Times::of(item, reading.reference_ticks.or(self.runs[reading.run].newest_ticks));
        let step = reading.step(item.segment, &times, missing);
        if let Some(at) = times.stands.filter(|_| step.is_some()) {
            let run = self.run_behind(stream, item.segment, at);
            self.reading[stream] = Reading { run, ..Reading::default() };
            times = Times::of(item, self.runs[run].newest_ticks.or(times.dts));
        }
        let reading = &mut self.reading[stream];
        let run = &mut self.runs[reading.run];
        let counted = match run.streams.iter().position(|s| s.stream == stream) {
            Some(n) => &mut run.streams[n],
            None => {
                let StreamKind { kind, codec } = &self.kinds[stream];
                run.streams.push(StreamRun {
                    stream,
                    kind: kind.name(),
                    codec: codec.clone(),
                    keyframes: (*kind == MediaKind::Video).then_some(0),
                    step_s: step.map(Nanos::seconds),
                    ..StreamRun::default()
                });
                let newest = run.streams.len() - 1;
                &mut run.streams[newest]
            }
        };
        counted.packets += 1;
        counted.bytes += item.bytes as u64;
        counted.keyframes = counted.keyframes.map(|n| n + u64::from(is_key));
        reading.count(item, &times, counted);
        run.newest_ticks = reading.reference_ticks.or(run.newest_ticks);
        run.start = match (run.start, times.shown) {
            (Some(start), Some(shown)) => Some(start.min(shown)),
            (start, shown) => start.or(shown),
        };
    }

    /// The run that a stream goes on in whose clock jumps: one that another stream found before, or a new one.
    fn run_behind(&mut self, stream: usize, segment: usize, at: Nanos) -> usize {
        let now = self.reading[stream].run;
        let found = self.runs.iter().enumerate().skip(now + 1).find(|(_, run)| {
            run.begins == "reset"
                && run.segment.abs_diff(segment) <= 1
                && run.start.is_some_and(|start| start.distance(at) <= FORWARD)
                && run.streams.iter().all(|s| s.stream != stream)
        });
        match found {
            Some((n, _)) => n,
            None => {
                self.resets += 1;
                self.open(Begins::Reset, segment)
            }
        }
    }

    /// The runs, with what a merge's timeline made of them, and the number of resets among them. `number` gives a
    /// segment's media sequence number.
    pub(super) fn finish(self, epochs: &[Epoch], number: impl Fn(usize) -> u64) -> (Vec<Run>, u64) {
        let mut resets = self.resets;
        let mut epochs = epochs.iter().peekable();
        let mut present: Option<&Epoch> = None;
        let runs = self.runs.into_iter().map(|mut run| {
            run.streams.sort_by_key(|s| s.stream);
            // The timeline knows more of a jump, and may have let it stand.
            if let Some(start) = run.start {
                let is_here = |e: &&Epoch| e.segment <= run.segment && apart(e.start, start).0 <= FORWARD;
                match epochs.peek() {
                    Some(next) if present.is_none() || is_here(next) => present = epochs.next(),
                    Some(_) | None if run.begins == "reset" => {
                        run.begins = "jump";
                        resets -= 1;
                    }
                    _ => {}
                }
            }
            let offset = run.start.zip(present).map(|(start, epoch)| epoch.offset.minus(apart(epoch.start, start).1));
            Run {
                segment: number(run.segment),
                begins: run.begins,
                offset_s: offset.map(Nanos::seconds),
                streams: run.streams,
            }
        });
        (runs.collect(), resets)
    }
}

/// A packet's times on its input's unwrapped clock.
struct Times {
    dts: Option<i64>,
    pts: Option<i64>,
    /// Where it stands in its stream, and when it is shown.
    stands: Option<Nanos>,
    shown: Option<Nanos>,
    length: Nanos,
}

impl Times {
    /// The times nearest to a reference, where they wrap.
    fn of(item: &Item<()>, reference: Option<i64>) -> Self {
        let near = |ticks: Option<i64>, reference: Option<i64>| match (ticks, reference.filter(|_| item.wraps)) {
            (Some(ticks), Some(reference)) => Some(nearest_wrapped(ticks, reference)),
            (ticks, _) => ticks,
        };
        let time = |ticks: i64| Nanos::from_ticks(ticks, item.base);
        let dts = near(item.dts, reference);
        let pts = near(item.pts, dts.or(reference));
        let (stands, shown) = (dts.or(pts).map(time), pts.or(dts).map(time));
        Self { dts, pts, stands, shown, length: item.duration.map_or(Nanos::ZERO, time) }
    }
}

impl Reading {
    /// How far the clock jumps at a packet; `None` if it goes on.
    fn step(&self, segment: usize, times: &Times, missing: Nanos) -> Option<Nanos> {
        let (at, next, last) = (times.stands?, self.next?, self.last?);
        let distance = at.minus(next);
        let back = if segment == self.segment { BACK_INSIDE } else { BACK_AT_BORDER };
        ((distance < Nanos(-back.0) && at <= last) || distance > FORWARD.plus(missing)).then_some(distance)
    }

    /// Counts what a packet's times say, and goes on behind it.
    fn count(&mut self, item: &Item<()>, times: &Times, counted: &mut StreamRun) {
        let Times { dts, pts, .. } = *times;
        let later_than_shown = dts.zip(pts).is_some_and(|(dts, pts)| dts > pts);
        let not_after_last = dts.zip(self.last_dts).is_some_and(|(dts, last)| dts <= last);
        counted.dts_faults += u64::from(later_than_shown || not_after_last);
        if let Some(ticks) = dts.or(pts).filter(|_| item.wraps) {
            let periods = ticks.div_euclid(PERIOD);
            counted.wraps += u64::from(self.periods.is_some_and(|before| before < periods));
            self.periods = Some(periods);
            self.reference_ticks = Some(ticks);
        }
        let (Some(at), Some(shown)) = (times.stands, times.shown) else {
            counted.untimed += 1;
            self.next = self.next.map(|next| next.plus(times.length));
            return;
        };
        if let Some(next) = self.next {
            let gap = at.minus(next);
            let before = next.minus(self.last.unwrap_or(next));
            if gap > GAP.max(before) {
                counted.gaps += 1;
                counted.gap_s += gap.seconds();
                if counted.gap_list.len() < LISTED_GAPS {
                    counted.gap_list.push(Gap { at_s: next.seconds(), duration_s: gap.seconds() });
                }
            }
        }
        let (first, last, end) = (shown.seconds(), shown.seconds(), shown.plus(times.length).seconds());
        counted.first_s = Some(counted.first_s.map_or(first, |before| before.min(first)));
        counted.last_s = Some(counted.last_s.map_or(last, |before| before.max(last)));
        counted.end_s = Some(counted.end_s.map_or(end, |before| before.max(end)));
        self.segment = item.segment;
        (self.last, self.next) = (Some(at), Some(at.plus(times.length)));
        self.last_dts = dts.or(self.last_dts);
    }
}

/// How far two times lie apart, whole periods of a clock that wraps left aside, and how much that is.
fn apart(ours: Nanos, theirs: Nanos) -> (Nanos, Nanos) {
    let period = Nanos::from_ticks(PERIOD, TimeBase::MPEG);
    let periods = (theirs.minus(ours).0 as f64 / period.0 as f64).round() as i64;
    let whole = Nanos(period.0.saturating_mul(periods));
    (theirs.minus(ours).distance(whole), whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts packets of 40 ms at these times in ms, each with its segment, as one stream of video.
    fn account(packets: &[(usize, i64)]) -> Account {
        let mut account = Account::default();
        account.stream(0, StreamKind { kind: MediaKind::Video, codec: "h264".to_owned() });
        for (n, (segment, ms)) in packets.iter().enumerate() {
            account.packet(0, &item(*segment, Some(ms * 90), 10), n % 5 == 0, Nanos::ZERO);
        }
        account
    }

    fn item(segment: usize, ticks: Option<i64>, bytes: usize) -> Item<()> {
        Item {
            track: 0,
            segment,
            pts: ticks.map(|t| t.rem_euclid(PERIOD)),
            dts: ticks.map(|t| t.rem_euclid(PERIOD)),
            duration: Some(3600),
            base: TimeBase::MPEG,
            wraps: true,
            samples: None,
            priming: Nanos::ZERO,
            tolerance: None,
            floating: false,
            order: None,
            fingerprint: 0,
            bytes,
            payload: (),
        }
    }

    fn runs(account: Account, epochs: &[Epoch]) -> (Vec<Run>, u64) {
        account.finish(epochs, |segment| segment as u64 + 7)
    }

    /// Epochs that begin in these segments at these times in ms.
    fn epochs<const N: usize>(starts: [(usize, i64); N]) -> [Epoch; N] {
        starts.map(|(segment, ms)| Epoch { segment, start: Nanos::from_ms(ms), offset: Nanos::from_ms(-ms) })
    }

    #[test]
    fn a_stream_without_trouble_is_one_run() {
        let times: Vec<_> = (0..10).map(|n| (n / 5, 10_000 + n as i64 * 40)).collect();
        let [run] = &runs(account(&times), &epochs([(0, 10_000)])).0[..] else { panic!("not one run") };
        assert_eq!((run.segment, run.begins, run.offset_s), (7, "start", Some(-10.0)));
        let [video] = &run.streams[..] else { panic!("not one stream") };
        assert_eq!((video.packets, video.keyframes, video.bytes), (10, Some(2), 100));
        assert_eq!((video.first_s, video.last_s, video.end_s), (Some(10.0), Some(10.36), Some(10.4)));
        assert_eq!((video.gaps, video.wraps, video.dts_faults, video.untimed, video.step_s), (0, 0, 0, 0, None));
    }

    #[test]
    fn a_clock_that_begins_again_is_a_reset_and_says_how_far_it_went() {
        let account = account(&[(0, 0), (0, 40), (0, 80), (0, 120), (0, 160), (1, 0), (1, 40)]);
        let (found, resets) = runs(account, &epochs([(0, 0), (1, 0)]));
        let told: Vec<_> = found.iter().map(|r| (r.segment, r.begins, r.streams[0].step_s)).collect();
        assert_eq!((resets, told), (1, vec![(7, "start", None), (8, "reset", Some(-0.2))]));
    }

    #[test]
    fn a_jump_that_the_timeline_lets_stand_is_no_reset() {
        let account = account(&[(0, 0), (0, 40), (1, 60_000), (1, 60_040), (2, 0), (2, 40)]);
        let (found, resets) = runs(account, &epochs([(0, 0), (2, 0)]));
        let told: Vec<_> = found.iter().map(|r| (r.begins, r.offset_s)).collect();
        assert_eq!((resets, told), (1, vec![("start", Some(0.0)), ("jump", Some(0.0)), ("reset", Some(0.0))]));
    }

    #[test]
    fn streams_that_jump_at_one_place_share_the_run() {
        let mut account = Account::default();
        for (n, kind) in [MediaKind::Video, MediaKind::Audio].into_iter().enumerate() {
            account.stream(n, StreamKind { kind, codec: String::new() });
        }
        for (segment, ms) in [(0, 50_000), (0, 50_040), (1, 500), (1, 540)] {
            for stream in 0..2 {
                account.packet(stream, &item(segment, Some(ms * 90 + stream as i64), 1), true, Nanos::ZERO);
            }
        }
        let (found, resets) = runs(account, &epochs([(0, 50_000), (1, 500)]));
        assert_eq!((resets, found.iter().map(|r| r.streams.len()).collect::<Vec<_>>()), (1, vec![2, 2]));
        assert_eq!(found[1].streams[1].keyframes, None);
    }

    #[test]
    fn gaps_faults_and_missing_times_are_counted() {
        let mut account = account(&[(0, 0), (0, 40), (0, 540), (0, 540)]);
        account.packet(0, &item(0, None, 1), false, Nanos::ZERO);
        let (found, _) = runs(account, &[]);
        let video = &found[0].streams[0];
        assert_eq!((video.gaps, video.gap_list[0].at_s, video.dts_faults, video.untimed), (1, 0.08, 1, 1));
        assert!((video.gap_s - 0.46).abs() < 1e-9);
    }

    #[test]
    fn a_wrap_is_no_reset() {
        let before = PERIOD / 90 - 60;
        let account = account(&[(0, before), (0, before + 40), (0, before + 80), (1, before + 120)]);
        let (found, resets) = runs(account, &[]);
        assert_eq!(resets, 0);
        assert_eq!((found.len(), found[0].streams[0].wraps, found[0].streams[0].packets), (1, 1, 4));
    }

    #[test]
    fn a_discontinuity_begins_a_run_whatever_the_times_say() {
        let mut account = account(&[(0, 0), (0, 40)]);
        account.begin_run(Begins::Discontinuity, 1);
        account.packet(0, &item(1, Some(80 * 90), 1), true, Nanos::ZERO);
        let (found, resets) = runs(account, &epochs([(0, 0), (1, 80)]));
        let told: Vec<_> = found.iter().map(|r| (r.begins, r.offset_s)).collect();
        assert_eq!((resets, told), (0, vec![("start", Some(0.0)), ("discontinuity", Some(-0.08))]));
    }
}
