//! Marked discontinuities, one input.

use super::*;

/// Audio minus video, in milliseconds, at the start of each run of `frames` and `packets`.
fn skew_ms(out: &Outcome, frames: usize, packets: usize) -> Vec<f64> {
    let (video, audio) = (out.shown_ms(0), out.shown_ms(1));
    video.chunks(frames).zip(audio.chunks(packets)).map(|(v, a)| a[0] - v[0]).collect()
}

#[test]
fn the_next_run_begins_where_the_one_before_ends() {
    let out = run_av(vec![av(0, 50 * S, 6.0), MARKED(1), av(1, 9_000 * S, 6.0), MARKED(2), av(2, 3 * S, 6.0)]);
    // 282 packets of audio are 16 ms longer than 150 pictures.
    assert!(skew_ms(&out, 150, 282).iter().all(|skew| skew.abs() < 0.03));
    assert_eq!(out.uneven_ms(0, 40.0, 0.03).len(), 2);
    assert!(out.uneven_ms(1, 1024.0 / 48.0, 0.03).is_empty());
    assert_near(out.end_ms(1), 18_048.0, 0.1);
    assert_eq!(out.counts, Counts::default());
}

#[test]
fn many_runs_add_up_in_every_time_base() {
    for den in [90_000, 48_000, 1_000] {
        let base = TimeBase { num: 1, den };
        let specs = [TrackSpec { base, ..video_track(0) }, TrackSpec { base, ..audio_track(0, 48_000) }];
        let runs = (0..300usize).flat_map(|n| {
            let mut steps = if n > 0 { MARKED(n) } else { Vec::new() };
            steps.extend(av(n, (n as i64 * 7_919 * S) % WRAP, 2.0));
            steps
        });
        let out = run(&specs, Origin::Presentation, vec![runs.collect()]);
        // 94 packets: 2005.33 ms.
        assert_near(out.end_ms(1), 300.0 * 94.0 * 1024.0 / 48.0, 1.5);
        let tick_ms = 1_000.0 / f64::from(den);
        assert!(skew_ms(&out, 50, 94).iter().all(|skew| skew.abs() <= 2.0 * tick_ms + 0.02));
    }
}

#[test]
fn a_run_keeps_its_own_offset_of_audio() {
    let late = |number, start: i64, by: i64| {
        segment(number, vec![video(0, start, 150, (25, 1)), audio(1, start + by, 280, 48_000)])
    };
    let out = run_av(vec![late(0, 0, 4_500), MARKED(1), late(1, 77 * S, 18_000), MARKED(2), late(2, 5 * S, -9_000)]);
    let skew = skew_ms(&out, 150, 280);
    for (found, wanted) in skew.into_iter().zip([50.0, 200.0, -100.0]) {
        assert_near(found, wanted, 0.03);
    }
}

#[test]
fn tiny_runs_are_shorter_than_what_is_looked_ahead_at() {
    let runs = (0..40).map(|n| [MARKED(n), av(n, (n as i64 * 1_234 * S) % WRAP, 0.12)].concat()).collect::<Vec<_>>();
    let out = run_av(runs);
    // Three pictures, six packets of audio: the audio is 8 ms longer.
    assert_near(out.end_ms(1), 40.0 * 6.0 * 1024.0 / 48.0, 0.1);
    assert!(skew_ms(&out, 3, 6).iter().all(|skew| skew.abs() < 0.03));
}

#[test]
fn a_run_without_audio_begins_after_all_of_the_one_before() {
    let only_audio = segment(1, vec![audio(1, 500 * S, 280, 48_000)]);
    let short_audio = segment(0, vec![video(0, 0, 250, (25, 1)), audio(1, 0, 280, 48_000)]);
    let out = run_av(vec![short_audio, MARKED(1), only_audio, MARKED(2), av(2, 9 * S, 6.0)]);
    assert_near(out.shown_ms(1)[280], 10_000.0, 0.1);
    assert_near(out.shown_ms(0)[250], 10_000.0 + 280.0 * 1024.0 / 48.0, 0.1);
    assert_near(skew_ms(&out, 250, 560)[1], 0.0, 0.1);
}

#[test]
fn missing_media_leaves_a_hole_at_a_runs_end() {
    let missing = vec![Step::Skip(1, Nanos::from_ms(6_000)), Step::Skip(2, Nanos::from_ms(6_000))];
    let out = run_av(vec![av(0, 0, 6.0), missing, MARKED(3), av(3, 800 * S, 6.0)]);
    assert_near(out.shown_ms(0)[150], 18_016.0, 0.1);
    assert_near(out.shown_ms(1)[282], 18_016.0, 0.1);
}

#[test]
fn missing_media_explains_a_long_jump() {
    let missing = |n: usize| Step::Skip(n, Nanos::from_ms(6_000));
    let out = run_av(vec![av(0, 0, 6.0), (1..=5).map(missing).collect(), av(6, 36 * S, 6.0)]);
    assert_eq!(out.counts.resets, 0);
    assert_near(out.shown_ms(0)[150], 36_000.0, 0.1);
    assert_near(out.end_ms(0), 42_000.0, 0.1);
}

#[test]
fn a_segment_listed_twice_is_played_twice() {
    let mut tiny = av(0, 0, 0.12);
    for (step, n) in tiny.iter_mut().zip(1..) {
        if let Step::Packet(item) = step {
            item.fingerprint = n;
        }
    }
    let again = |number: usize| {
        tiny.iter().cloned().map(move |step| match step {
            Step::Packet(item) => Step::Packet(Item { segment: number, ..item }),
            other => other,
        })
    };
    let restart = |n: usize| vec![Step::Session(Boundary::Restart, n)];
    let out = run_av(vec![tiny.clone(), restart(1), again(1).collect(), restart(2), again(2).collect()]);
    assert_eq!((out.counts.duplicates, out.counts.resets), (0, 2));
    assert_near(out.end_ms(1), 18.0 * 1024.0 / 48.0, 0.1);
}

#[test]
fn each_epoch_tells_where_its_clock_was_put() {
    let wrap = WRAP - 3 * S;
    let steps = vec![av(0, 50 * S, 6.0), MARKED(1), av(1, wrap, 6.0), av(2, wrap + 6 * S, 6.0), av(3, 9 * S, 6.0)];
    let out = run_av([steps, vec![av(4, 700 * S, 6.0)]].concat());
    let ms = |n: Nanos| (n.0 as f64 / 1e6).round();
    let found: Vec<_> = out.epochs.iter().map(|e| (e.segment, ms(e.start), ms(e.start.plus(e.offset)))).collect();
    // A clock that wraps goes on, whole periods away; audio is 16 ms longer than the pictures of each run.
    assert_eq!(found[..2], [(0, 50_000.0, 0.0), (1, -3_000.0, 6_016.0)]);
    assert_eq!((found.len(), found[2].0, found[2].1), (3, 4, 700_000.0));
    assert!((found[2].2 - 24_016.0).abs() < 40.0, "{found:?}");
}

#[test]
fn a_rate_that_the_codec_gets_wrong_leaves_no_holes_between_runs() {
    // 29.97 pictures a second, each said to last a 25th.
    let steps = (0..50).flat_map(|n| {
        let mut steps = if n > 0 { MARKED(n) } else { Vec::new() };
        let pictures = video(0, n as i64 * 1_000 * S, 60, (30_000, 1_001));
        steps.extend(segment(n, vec![pictures.into_iter().map(|p| Item { duration: Some(FRAME), ..p }).collect()]));
        steps
    });
    let out = run(&[video_track(0)], Origin::Presentation, vec![steps.collect()]);
    assert_near(out.end_ms(0), 50.0 * 60.0 * 1001.0 / 30.0, 0.1);
    assert_eq!(out.uneven_ms(0, 1001.0 / 30.0, 0.02), []);
}
