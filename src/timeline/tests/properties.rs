//! Whatever comes: no panic, no packet lost, an order that muxers take, an end.

use proptest::prelude::*;

use super::*;

fn ticks() -> impl Strategy<Value = Option<i64>> {
    prop_oneof![
        4 => (0..40i64).prop_map(|n| Some(n * FRAME)),
        2 => (0..WRAP).prop_map(Some),
        1 => any::<i64>().prop_map(Some),
        1 => prop::sample::select(vec![i64::MIN, i64::MIN + 1, -1, 0, i64::MAX - 1, i64::MAX]).prop_map(Some),
        1 => Just(None),
    ]
}

fn base() -> impl Strategy<Value = TimeBase> {
    let pairs = vec![(1, 90_000), (1, 48_000), (1, 1_000), (1, 1), (1_001, 30_000), (u32::MAX, 1), (1, u32::MAX)];
    prop::sample::select(pairs).prop_map(|(num, den)| TimeBase { num, den })
}

fn packet(tracks: std::ops::Range<usize>) -> impl Strategy<Value = Step> {
    let order = prop::option::of((prop_oneof![-5..60i64, any::<i64>()], any::<bool>()));
    let flags = (any::<bool>(), any::<bool>(), prop::option::of(0..3_000u32), 0..6usize, 0..3u64, order);
    (tracks, ticks(), ticks(), ticks(), base(), flags).prop_map(|(track, pts, dts, duration, base, flags)| {
        let (wraps, floating, samples, segment, fingerprint, order) = flags;
        let order = order.map(|(count, key)| PictureOrder { count, key });
        // No other clock wraps.
        let wraps = wraps && base == TimeBase::MPEG;
        let usual = ts_packet(track, 0, 0, FRAME);
        Step::Packet(Item { segment, pts, dts, duration, base, wraps, samples, floating, fingerprint, order, ..usual })
    })
}

fn step(tracks: std::ops::Range<usize>) -> impl Strategy<Value = Step> {
    let boundary = prop::sample::select(vec![Boundary::Marked, Boundary::Unmarked, Boundary::Restart]);
    prop_oneof![
        20 => packet(tracks),
        1 => (boundary, 0..6usize).prop_map(|(boundary, segment)| Step::Session(boundary, segment)),
        1 => (0..6usize, any::<i64>()).prop_map(|(segment, time)| Step::Skip(segment, Nanos(time))),
    ]
}

fn steps(tracks: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(tracks), 0..120)
}

/// What a playlist says, true or not.
fn announced() -> impl Strategy<Value = Vec<Announced>> {
    let time =
        || prop::option::of(prop_oneof![0..20_000i64, any::<i64>()].prop_map(|ms| Nanos(ms.saturating_mul(1_000_000))));
    prop::collection::vec((time(), time()).prop_map(|(duration, pause)| Announced { duration, pause }), 0..6)
}

/// Healthy segments of a stream at any start, each run marked.
fn runs() -> impl Strategy<Value = Vec<(i64, usize)>> {
    prop::collection::vec((0..WRAP, 1..60usize), 1..12)
}

proptest! {
    #[test]
    fn anything_comes_out_in_order(first in steps(0..2), second in steps(2..4), lowest in any::<bool>()) {
        let origin = if lowest { Origin::Lowest } else { Origin::Presentation };
        let specs = [video_track(0), audio_track(0, 44_100), video_track(1), audio_track(1, 48_000)];
        let out = run_bounded(&specs, origin, vec![first, second], 2_000);
        prop_assert!(out.most_kept_bytes <= 2_100);
    }

    #[test]
    fn whatever_a_playlist_says_no_packet_is_lost(steps in steps(0..2), announced in announced()) {
        run_with(&[video_track(0), audio_track(0, 48_000)], vec![(steps, announced)]);
    }

    #[test]
    fn marked_runs_add_up(runs in runs()) {
        let steps = runs.iter().enumerate().flat_map(|(n, (start, frames))| {
            let mut steps = if n > 0 { MARKED(n) } else { Vec::new() };
            steps.extend(segment(n, vec![video(0, *start, *frames, (25, 1))]));
            steps
        });
        let out = run(&[video_track(0)], Origin::Presentation, vec![steps.collect()]);
        let frames: usize = runs.iter().map(|(_, frames)| frames).sum();
        prop_assert!((out.end_ms(0) - frames as f64 * 40.0).abs() < 0.5);
        prop_assert!(out.uneven_ms(0, 40.0, 0.05).is_empty());
    }

    #[test]
    fn healthy_media_is_only_moved(start in 0..WRAP, offset in -S..S, seconds in 1..40usize) {
        let streams = vec![video(0, start, seconds * 25, (25, 1)), audio(1, start + offset, seconds * 46, 48_000)];
        let out = run_av(vec![segment(0, streams)]);
        prop_assert_eq!(out.counts, Counts::default());
        prop_assert!((out.start_ms(1) - out.start_ms(0) - offset as f64 / 90.0).abs() < 0.05);
        prop_assert!(out.start_ms(0).min(out.start_ms(1)).abs() < 0.05);
        prop_assert!(out.uneven_ms(0, 40.0, 0.02).is_empty());
    }
}
