//! What a user would notice, scenario by scenario. This file: streams as encoders make them, and a driver.

mod audio_exact;
mod decoding;
mod discontinuities;
mod inputs;
mod properties;
mod resets;
mod start;
mod witnesses;

use std::collections::VecDeque;

use super::*;

/// A second of MPEG's clock.
pub(super) const S: i64 = 90_000;
pub(super) const WRAP: i64 = 1 << 33;
/// A picture at 25 a second, in ticks of MPEG's clock and in milliseconds.
pub(super) const FRAME: i64 = 3_600;

/// What happens to an input.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Session(Boundary, usize),
    Skip(usize, Nanos),
    Packet(Item<usize>),
}

impl Clone for Item<usize> {
    fn clone(&self) -> Self {
        let Self { track, segment, pts, dts, duration, base, wraps, samples, priming, tolerance, floating, .. } = *self;
        let (order, fingerprint, bytes, payload) = (self.order, self.fingerprint, self.bytes, self.payload);
        Self {
            track,
            segment,
            pts,
            dts,
            duration,
            base,
            wraps,
            samples,
            priming,
            tolerance,
            floating,
            order,
            fingerprint,
            bytes,
            payload,
        }
    }
}

impl std::fmt::Debug for Item<usize> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{} {:?} {:?} {:?}", self.track, self.segment, self.pts, self.dts, self.duration)
    }
}

/// A packet of a transport stream.
pub(super) fn ts_packet(track: usize, pts: i64, dts: i64, duration: i64) -> Item<usize> {
    Item {
        track,
        segment: 0,
        pts: Some(pts.rem_euclid(WRAP)),
        dts: Some(dts.rem_euclid(WRAP)),
        duration: Some(duration),
        base: TimeBase::MPEG,
        wraps: true,
        samples: None,
        priming: Nanos::ZERO,
        tolerance: None,
        floating: false,
        order: None,
        fingerprint: 0,
        bytes: 100,
        payload: 0,
    }
}

/// Display positions in decoding order, with `b` pictures between two others.
pub(super) fn decoding_order(frames: usize, b: usize) -> Vec<usize> {
    let mut order = Vec::new();
    let mut shown = 0;
    while shown < frames {
        let reference = if shown == 0 { 0 } else { (shown + b).min(frames - 1) };
        order.push(reference);
        order.extend(shown..reference);
        shown = reference + 1;
    }
    order
}

/// Video that is presented from `start` on, two B-frames between others; `fps` as a fraction.
pub(super) fn video(track: usize, start: i64, frames: usize, fps: (i64, i64)) -> Vec<Item<usize>> {
    let at = |n: i64| start + (n * S * fps.1 + fps.0 / 2).div_euclid(fps.0);
    let order = decoding_order(frames, 2);
    let packets = order.iter().zip(0i64..).map(|(shown, n)| {
        let shown = *shown as i64;
        ts_packet(track, at(shown), at(n - 1), at(shown + 1) - at(shown))
    });
    packets.collect()
}

/// AAC from `start` on, on MPEG's clock.
pub(super) fn audio(track: usize, start: i64, frames: usize, rate_hz: i64) -> Vec<Item<usize>> {
    let at = |n: i64| start + (n * 1024 * S + rate_hz / 2).div_euclid(rate_hz);
    let packets =
        (0..frames as i64).map(|n| Item { samples: Some(1024), ..ts_packet(track, at(n), at(n), at(n + 1) - at(n)) });
    packets.collect()
}

/// Packets of one segment, interleaved by decoding time.
pub(super) fn segment(number: usize, streams: Vec<Vec<Item<usize>>>) -> Vec<Step> {
    let base = streams.iter().find_map(|s| s.first()?.dts).unwrap_or(0);
    let mut packets: Vec<Item<usize>> = streams.into_iter().flatten().collect();
    packets.sort_by_key(|item| item.dts.map_or(i64::MAX, |dts| unwrap::nearest(dts, base)));
    packets.into_iter().map(|item| Step::Packet(Item { segment: number, ..item })).collect()
}

/// One segment of 25 fps video on track 0 and 48 kHz audio on track 1, both from `start` on.
pub(super) fn av(number: usize, start: i64, seconds: f64) -> Vec<Step> {
    let frames = (seconds * 25.0).round() as usize;
    let packets = (seconds * 48_000.0 / 1024.0).ceil() as usize;
    segment(number, vec![video(0, start, frames, (25, 1)), audio(1, start, packets, 48_000)])
}

pub(super) fn video_track(input: usize) -> TrackSpec {
    TrackSpec { input, base: TimeBase::MPEG, class: TrackClass::Video }
}

pub(super) fn audio_track(input: usize, rate_hz: u32) -> TrackSpec {
    let base = TimeBase { num: 1, den: rate_hz };
    TrackSpec { input, base, class: TrackClass::Audio { sample_rate_hz: Some(rate_hz) } }
}

pub(super) const MARKED: fn(usize) -> Vec<Step> = |segment| vec![Step::Session(Boundary::Marked, segment)];

/// What came out.
pub(super) struct Outcome {
    pub(super) tracks: Vec<Vec<Stamped<usize>>>,
    pub(super) counts: Counts,
    pub(super) spans: Vec<Option<(Nanos, Nanos)>>,
    /// Of the first input.
    pub(super) epochs: Vec<Epoch>,
    specs: Vec<TrackSpec>,
    /// The most that an input kept back.
    pub(super) most_kept_bytes: usize,
}

impl Outcome {
    /// Presentation of a track's packets in milliseconds, in the order of presentation.
    pub(super) fn shown_ms(&self, track: usize) -> Vec<f64> {
        let base = self.specs[track].base;
        let ms = |ticks: i64| ticks as f64 * f64::from(base.num) * 1e3 / f64::from(base.den);
        let mut times: Vec<f64> = self.tracks[track].iter().map(|p| ms(p.pts)).collect();
        times.sort_by(f64::total_cmp);
        times
    }

    pub(super) fn start_ms(&self, track: usize) -> f64 {
        self.shown_ms(track)[0]
    }

    pub(super) fn end_ms(&self, track: usize) -> f64 {
        self.spans[track].map_or(0.0, |(_, end)| end.seconds() * 1e3)
    }

    /// Places where a track's presentation does not go on within `tolerance_ms` of `step_ms`: at, and by how much.
    pub(super) fn uneven_ms(&self, track: usize, step_ms: f64, tolerance_ms: f64) -> Vec<(f64, f64)> {
        let times = self.shown_ms(track);
        let steps = times.windows(2).map(|pair| (pair[0], pair[1] - pair[0]));
        steps.filter(|(_, step)| (step - step_ms).abs() > tolerance_ms).collect()
    }
}

/// Runs inputs through a timeline as a job does, and looks at what no output may break.
pub(super) fn run(specs: &[TrackSpec], origin: Origin, inputs: Vec<Vec<Step>>) -> Outcome {
    run_bounded(specs, origin, inputs, 1 << 20)
}

pub(super) fn run_bounded(specs: &[TrackSpec], origin: Origin, inputs: Vec<Vec<Step>>, bytes: usize) -> Outcome {
    let timeline = Timeline::new(inputs.len(), specs, origin, bytes);
    drive(timeline, specs, origin, inputs)
}

/// The same with what playlists say of the inputs' segments.
pub(super) fn run_with(specs: &[TrackSpec], inputs: Vec<(Vec<Step>, Vec<Announced>)>) -> Outcome {
    let mut timeline = Timeline::new(inputs.len(), specs, Origin::Presentation, 1 << 20);
    let announced = inputs.into_iter().enumerate().map(|(n, (steps, announced))| {
        timeline.announce(n, announced);
        steps
    });
    let steps = announced.collect();
    drive(timeline, specs, Origin::Presentation, steps)
}

fn drive(mut timeline: Timeline<usize>, specs: &[TrackSpec], origin: Origin, inputs: Vec<Vec<Step>>) -> Outcome {
    let mut inputs: Vec<VecDeque<Step>> = inputs.into_iter().map(VecDeque::from).collect();
    let mut pushed = vec![0; specs.len()];
    let mut tracks: Vec<Vec<Stamped<usize>>> = specs.iter().map(|_| Vec::new()).collect();
    let mut most_kept_bytes = 0;
    for i in 0..inputs.len() {
        timeline.begin_session(i, Boundary::Unmarked, 0);
    }
    while let Some(i) = timeline.wants() {
        match inputs[i].pop_front() {
            Some(Step::Session(boundary, segment)) => timeline.begin_session(i, boundary, segment),
            Some(Step::Skip(segment, time)) => timeline.skip(i, segment, time),
            Some(Step::Packet(mut item)) => {
                item.payload = pushed[item.track];
                // Packets differ by what they hold, unless a test says that they repeat.
                if item.fingerprint == 0 {
                    item.fingerprint = 1_000_000 + item.payload as u64;
                }
                pushed[item.track] += 1;
                timeline.push(i, item);
            }
            None => timeline.end(i),
        }
        most_kept_bytes = most_kept_bytes.max(timeline.inputs.iter().map(Input::all_kept_bytes).max().unwrap_or(0));
        while let Some(packet) = timeline.pop() {
            tracks[packet.track].push(packet);
        }
    }
    assert!(timeline.pop().is_none());
    let spans = (0..specs.len()).map(|n| timeline.span(n)).collect();
    let (counts, epochs) = (timeline.counts(), timeline.epochs(0));
    let outcome = Outcome { tracks, counts, spans, epochs, specs: specs.to_vec(), most_kept_bytes };
    let came = outcome.tracks.iter().map(Vec::len).sum::<usize>() + outcome.counts.duplicates as usize;
    assert_eq!(came, pushed.iter().sum::<usize>(), "packets are lost");
    for (spec, packets) in specs.iter().zip(&outcome.tracks) {
        for pair in packets.windows(2) {
            assert!(pair[0].payload < pair[1].payload, "order {pair:?}");
            assert!(pair[0].dts < pair[1].dts, "decoding times {pair:?}");
            let seconds = |p: &Stamped<usize>| {
                let exact = p.dts as f64 * f64::from(spec.base.num) / f64::from(spec.base.den);
                format!("{exact:.6}").parse::<f64>().unwrap_or(f64::NAN)
            };
            let length = seconds(&pair[1]) - seconds(&pair[0]);
            assert!(spec.class != TrackClass::Video || length >= 0.001, "a sample of {length} s: {pair:?}");
        }
        for packet in packets {
            assert!(packet.pts >= packet.dts && packet.duration > 0, "{packet:?}");
            assert!(origin == Origin::Presentation || packet.dts >= 0, "below 0: {packet:?}");
        }
    }
    outcome
}

pub(super) fn assert_near(found: f64, wanted: f64, tolerance: f64) {
    assert!((found - wanted).abs() <= tolerance, "{found} is not {wanted} within {tolerance}");
}

/// One input with 25 fps video on track 0 and 48 kHz audio on track 1.
pub(super) fn run_av(steps: Vec<Vec<Step>>) -> Outcome {
    run(&[video_track(0), audio_track(0, 48_000)], Origin::Presentation, vec![steps.concat()])
}
