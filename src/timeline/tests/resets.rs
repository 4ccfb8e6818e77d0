//! Clock jumps that nothing marks, gaps and overlaps, one input.

use super::*;

#[test]
fn each_segment_may_begin_at_zero() {
    for seconds in [6.0, 2.0, 0.24] {
        let count = 20;
        let out = run_av((0..count).map(|n| av(n, 0, seconds)).collect());
        assert_eq!((out.counts.resets, out.counts.duplicates), (count as u64 - 1, 0), "{seconds}");
        let packets = (seconds * 48_000.0 / 1024.0).ceil();
        assert_near(out.end_ms(1), count as f64 * packets * 1024.0 / 48.0, 1.0);
        assert_eq!(out.uneven_ms(0, 40.0, 22.0), []);
    }
}

#[test]
fn the_same_segments_listed_twice() {
    let pair = || [av(0, 100 * S, 6.0), av(1, 106 * S, 6.0)].concat();
    let again = pair().into_iter().map(|step| match step {
        Step::Packet(item) => Step::Packet(Item { segment: item.segment + 2, ..item }),
        other => other,
    });
    let out = run_av(vec![pair(), again.collect()]);
    assert_eq!((out.counts.resets, out.counts.duplicates), (1, 0));
    assert_near(out.end_ms(0), 24_000.0, 40.0);
}

#[test]
fn jumps_of_hours_and_of_seconds() {
    for to in [5 * 3600 * S, 20 * 3600 * S, 97 * S, 99 * S, 117 * S, 0] {
        let out = run_av(vec![av(0, 100 * S, 6.0), av(1, to, 6.0)]);
        assert_eq!(out.counts.resets, 1, "to {to}");
        assert_near(out.end_ms(0), 12_000.0, 40.0);
        assert!(out.uneven_ms(0, 40.0, 20.0).is_empty());
    }
}

#[test]
fn a_jump_inside_a_segment() {
    let out = run_av(vec![av(0, 100 * S, 6.0), av(0, 0, 6.0)]);
    assert_eq!(out.counts.resets, 1);
    assert_near(out.end_ms(0), 12_000.0, 40.0);
}

#[test]
fn packets_of_the_old_clock_may_come_after_the_first_of_the_new() {
    // The last half second of audio is interleaved behind the pictures of the new clock.
    for (from, to, number) in [(100 * S, 0, 1), (100 * S, 0, 0), (21 * 3600 * S, S, 1), (0, 19 * 3600 * S, 1)] {
        let old = segment(0, vec![video(0, from, 150, (25, 1)), audio(1, from, 258, 48_000)]);
        let late = segment(number, vec![audio(1, from + 258 * 1_920, 24, 48_000)]);
        let early = segment(number, vec![video(0, to, 12, (25, 1))]);
        let sound = segment(number, vec![video(0, to + 12 * FRAME, 138, (25, 1)), audio(1, to, 282, 48_000)]);
        let out = run_av(vec![old, early, late, sound]);
        assert_eq!(out.counts.resets, 1);
        let (video, audio) = (out.shown_ms(0), out.shown_ms(1));
        assert_near(audio[282] - video[150], 0.0, 0.05);
        assert!(out.uneven_ms(1, 1024.0 / 48.0, 0.05).is_empty());
        assert_near(out.end_ms(1), 12_032.0, 0.1);
    }
}

#[test]
fn all_audio_of_a_short_segment_may_come_late() {
    // Each segment's audio is one burst that comes behind the first pictures of the next segment.
    let pictures = |n| segment(n, vec![video(0, 0, 6, (25, 1))]);
    let sound = |n| segment(n, vec![audio(1, 0, 12, 48_000)]);
    let steps = (0..20).map(|n| if n == 0 { pictures(0) } else { [pictures(n), sound(n - 1)].concat() });
    let out = run_av(steps.chain([sound(19)]).collect());
    let (video, audio) = (out.shown_ms(0), out.shown_ms(1));
    for (video, audio) in video.chunks(6).zip(audio.chunks(12)) {
        assert_near(audio[0], video[0], 0.1);
    }
    assert_near(out.end_ms(1), 20.0 * 256.0, 0.1);
}

#[test]
fn only_one_stream_jumps() {
    let old = av(0, 100 * S, 6.0);
    let mixed = segment(1, vec![video(0, 0, 500, (25, 1))]);
    let sound = segment(1, vec![audio(1, 106 * S + 1_440, 937, 48_000)]);
    let both: Vec<Step> =
        mixed.into_iter().zip(sound.chunks(2)).flat_map(|(v, a)| [vec![v], a.to_vec()].concat()).collect();
    let out = run_av(vec![old, both]);
    assert_eq!(out.counts.resets, 1);
    assert!(out.uneven_ms(1, 1024.0 / 48.0, 0.05).is_empty());
    assert!(out.uneven_ms(0, 40.0, 20.0).is_empty());
}

#[test]
fn a_gap_keeps_its_length() {
    let out = run_av(vec![av(0, 0, 6.0), av(1, 15 * S, 6.0)]);
    assert_eq!(out.counts, Counts::default());
    assert_near(out.shown_ms(0)[150], 15_000.0, 0.01);
    assert_near(out.shown_ms(1)[282], 15_000.0, 0.01);
}

#[test]
fn packets_repeated_at_a_border_are_left_out() {
    let named = |steps: Vec<Step>, from: u64| -> Vec<Step> {
        let mut numbers = from..;
        let name = |step| match step {
            Step::Packet(item) => Step::Packet(Item { fingerprint: numbers.next().unwrap_or(0), ..item }),
            other => other,
        };
        steps.into_iter().map(name).collect()
    };
    let first = named(segment(0, vec![audio(1, 0, 100, 48_000)]), 1);
    // Its first five packets are the last five of the one before.
    let second = named(segment(1, vec![audio(1, 95 * 1_920, 100, 48_000)]), 96);
    let out = run_av(vec![first, second]);
    assert_eq!((out.counts.duplicates, out.counts.resets, out.counts.mended), (5, 0, 0));
    assert!(out.uneven_ms(1, 1024.0 / 48.0, 0.01).is_empty());
}

#[test]
fn packets_of_unknown_length_that_share_a_time_are_no_repetitions() {
    let silent = |step| match step {
        Step::Packet(item) => Step::Packet(Item { pts: Some(S), dts: Some(S), duration: None, fingerprint: 7, ..item }),
        other => other,
    };
    let steps: Vec<Step> = segment(0, vec![audio(1, 0, 5, 48_000)]).into_iter().map(silent).collect();
    assert_eq!(run_av(vec![steps]).counts.duplicates, 0);
}

#[test]
fn a_length_that_is_far_too_long_is_no_jump_back() {
    let mut steps = av(0, 0, 6.0);
    for step in steps.iter_mut().step_by(7) {
        if let Step::Packet(item) = step {
            item.duration = Some(9 * S);
        }
    }
    let out = run_av(vec![steps, av(1, 6 * S, 6.0)]);
    assert_eq!(out.counts.resets, 0);
    assert_near(out.end_ms(0), 12_000.0, 0.1);
}

#[test]
fn a_single_wild_timestamp_does_little_harm() {
    for wild in [i64::MAX, i64::MIN, i64::MAX / 2] {
        let mut steps = av(0, 0, 6.0);
        if let Step::Packet(item) = &mut steps[200] {
            (item.wraps, item.dts) = (false, Some(wild));
        }
        let out = run_av(vec![steps, av(1, 6 * S, 6.0)]);
        assert_near(out.end_ms(0), 12_000.0, 50.0);
    }
}

#[test]
fn still_pictures_on_a_clock_that_begins_again_are_no_repetition() {
    let still = |n: usize| {
        let name = |step| match step {
            Step::Packet(item) => Step::Packet(Item { fingerprint: 1 + item.track as u64, ..item }),
            other => other,
        };
        av(n, 0, 0.24).into_iter().map(name).collect()
    };
    let out = run_av((0..10).map(still).collect());
    assert_eq!((out.counts.duplicates, out.counts.resets), (0, 9));
    assert_near(out.end_ms(1), 10.0 * 256.0, 0.1);
}
