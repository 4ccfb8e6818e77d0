//! What a playlist says, and what the packets around say, decide what a jump means.

use super::*;

/// Segments of six seconds, each with what its playlist says of it, where they stand on the clock.
fn run_announced(starts: &[i64], pauses: &[Option<i64>]) -> Outcome {
    let steps: Vec<Step> = starts.iter().enumerate().flat_map(|(n, start)| av(n, *start, 6.0)).collect();
    let announced = pauses.iter().map(|pause| Announced {
        duration: Some(Nanos::from_ms(6_000)),
        pause: pause.map(|seconds| Nanos::from_ms(seconds * 1_000)),
    });
    run_with(&[video_track(0), audio_track(0, 48_000)], vec![(steps, announced.collect())])
}

#[test]
fn a_jump_that_the_wall_clock_explains_is_a_gap() {
    for pause in [12, 30, 3_600, 12 * 3_600] {
        let starts = [100 * S, 106 * S, (112 + pause) * S, (118 + pause) * S];
        let out = run_announced(&starts, &[None, Some(0), Some(pause), Some(0)]);
        assert_eq!(out.counts.resets, 0, "{pause}");
        assert_near(out.end_ms(0), (24 + pause) as f64 * 1e3, 40.0);
        assert_near(out.end_ms(1), out.end_ms(0), 40.0);
        // One and the same jump without witness, and with one that tells of no pause.
        for nothing in [None, Some(0)] {
            let out = run_announced(&starts, &[None, Some(0), nothing, Some(0)]);
            assert_eq!(out.counts.resets, 1, "{pause}");
            assert_near(out.end_ms(0), 24_000.0, 100.0);
        }
    }
}

#[test]
fn an_outage_that_the_wall_clock_denies_is_a_reset() {
    let starts = [100 * S, 106 * S, 120 * S, 126 * S];
    let out = run_announced(&starts, &[None, Some(0), Some(0), Some(0)]);
    assert_eq!(out.counts.resets, 1);
    assert_near(out.end_ms(0), 24_000.0, 100.0);
    let out = run_announced(&starts, &[None, None, None, None]);
    assert_eq!(out.counts.resets, 0);
    assert_near(out.end_ms(0), 32_000.0, 40.0);
}

#[test]
fn a_slide_may_stay_as_long_as_its_segment() {
    let slide = |n: i64| Step::Packet(Item { segment: n as usize, ..ts_packet(0, n * 30 * S, n * 30 * S, FRAME) });
    let announced = vec![Announced { duration: Some(Nanos::from_ms(30_000)), pause: None }; 20];
    let out = run_with(&[video_track(0)], vec![((0..20).map(slide).collect(), announced)]);
    assert_eq!(out.counts.resets, 0);
    assert_near(out.end_ms(0), 19.0 * 30_000.0 + 40.0, 1.0);
}

#[test]
fn packets_with_wild_times_move_no_other() {
    for b in [0, 2] {
        for wild in [vec![60], vec![60, 61], vec![60, 100, 140], (60..66).collect()] {
            for time in [0, 50 * S, 3_600 * S] {
                let order = decoding_order(200, b);
                let mut items: Vec<_> = (0..)
                    .zip(&order)
                    .map(|(n, shown)| ts_packet(0, 100 * S + *shown as i64 * FRAME, 100 * S + (n - 2) * FRAME, FRAME))
                    .collect();
                let wanted: Vec<i64> = items.iter().map(|item| item.pts.unwrap_or_default() - 100 * S).collect();
                for n in &wild {
                    let item: &mut Item<usize> = &mut items[*n];
                    (item.pts, item.dts) = (Some(time), Some(time));
                }
                let out =
                    run(&[video_track(0)], Origin::Presentation, vec![items.into_iter().map(Step::Packet).collect()]);
                assert_eq!(out.counts.resets, 0, "{wild:?} at {time}");
                assert!(out.counts.mended >= wild.len() as u64);
                let pairs = out.tracks[0].iter().zip(&wanted).enumerate();
                let moved: Vec<usize> = pairs.filter(|(_, (is, was))| is.pts != **was).map(|(n, _)| n).collect();
                // Of several beside each other only their order may be another.
                let beside = wild.windows(2).any(|pair| pair[1] == pair[0] + 1);
                assert!(moved.iter().all(|n| beside && wild.contains(n)), "{moved:?} of {wild:?} at {time}, {b}");
            }
        }
    }
}

#[test]
fn decoding_times_behind_presentation_are_no_jump() {
    let mut steps = Vec::new();
    for n in 0..5 {
        let mut pictures = video(0, 100 * S + n * 25 * FRAME, 25, (25, 1));
        for item in pictures.iter_mut().skip(1).step_by(2) {
            item.dts = item.dts.map(|dts| dts + 4 * FRAME);
        }
        steps.extend(pictures.into_iter().map(|item| Step::Packet(Item { segment: n as usize, ..item })));
    }
    let out = run(&[video_track(0)], Origin::Presentation, vec![steps]);
    assert_eq!(out.counts.resets, 0);
    assert_eq!(out.uneven_ms(0, 40.0, 0.0), []);
}

#[test]
fn pictures_without_a_time_are_shown_where_their_count_says() {
    // Lets pass one picture in so many with its time; the count begins anew with each group, or never does.
    for (every, group, step, b) in
        [(25, 25, 2, 2), (25, 25, 1, 5), (2, 25, 2, 2), (25, 200, 2, 2), (200, 25, 2, 2), (7, 50, 1, 0)]
    {
        let (mut items, mut wanted) = (Vec::new(), Vec::new());
        for first in (0..200).step_by(group) {
            for (n, shown) in decoding_order(group, b).into_iter().enumerate() {
                let pts = 100 * S + (first + shown) as i64 * FRAME;
                let order = PictureOrder { count: shown as i64 * step, key: n == 0 };
                wanted.push(pts - 100 * S);
                let given = (first + n) % every == 0;
                let item = ts_packet(0, pts, 0, FRAME);
                items.push(Item { pts: Some(pts).filter(|_| given), dts: None, order: Some(order), ..item });
            }
        }
        let out = run(&[video_track(0)], Origin::Presentation, vec![items.into_iter().map(Step::Packet).collect()]);
        let found: Vec<i64> = out.tracks[0].iter().map(|packet| packet.pts).collect();
        assert_eq!(found, wanted, "one in {every}, groups of {group}, counted by {step}, {b} B-frames");
    }
}
