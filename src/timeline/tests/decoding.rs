//! Decoding times that no muxer takes.

use super::*;

fn run_video(items: Vec<Item<usize>>) -> Outcome {
    let steps = items.into_iter().map(Step::Packet).collect();
    run(&[video_track(0)], Origin::Presentation, vec![steps])
}

/// Distances of decoding times other than a picture's length.
fn uneven_steps(out: &Outcome) -> Vec<i64> {
    let steps = out.tracks[0].windows(2).map(|pair| pair[1].dts - pair[0].dts);
    steps.filter(|step| (step - FRAME).abs() > 1).collect()
}

fn with_b_frames(b: usize) -> Vec<Item<usize>> {
    let order = decoding_order(400, b);
    let packets = order.iter().zip(0i64..);
    packets.map(|(shown, n)| ts_packet(0, S + *shown as i64 * FRAME, S + (n - 2) * FRAME, FRAME)).collect()
}

#[test]
fn sound_times_stay_as_they_are() {
    let out = run_video(with_b_frames(2));
    assert_eq!(out.counts.mended, 0);
    assert!(uneven_steps(&out).is_empty() && out.uneven_ms(0, 40.0, 0.0).is_empty());
}

#[test]
fn missing_or_presentation_times_are_rebuilt_evenly() {
    for b in [0, 1, 2, 3, 7] {
        for missing in [true, false] {
            let mut items = with_b_frames(b);
            items.iter_mut().for_each(|item| item.dts = item.pts.filter(|_| !missing));
            let out = run_video(items);
            assert_eq!(uneven_steps(&out), [], "{b} B-frames, missing: {missing}");
            assert!(out.uneven_ms(0, 40.0, 0.0).is_empty());
        }
    }
}

#[test]
fn b_frames_that_begin_late_cost_one_adjustment() {
    let mut items: Vec<_> = (0..100).map(|n| ts_packet(0, n * FRAME, n * FRAME, FRAME)).collect();
    items.extend(decoding_order(300, 3).iter().map(|n| ts_packet(0, (100 + *n as i64) * FRAME, 0, FRAME)));
    items.iter_mut().for_each(|item| item.dts = None);
    let out = run_video(items);
    assert!(uneven_steps(&out).len() <= 4, "{:?}", uneven_steps(&out));
    assert!(out.uneven_ms(0, 40.0, 0.0).is_empty());
}

#[test]
fn late_decoding_times_are_rebuilt() {
    let mut items = with_b_frames(2);
    items.iter_mut().for_each(|item| item.dts = item.dts.map(|dts| dts + 5 * FRAME));
    let out = run_video(items);
    assert!(out.uneven_ms(0, 40.0, 0.0).is_empty());
    assert_eq!(uneven_steps(&out), []);
}

#[test]
fn doubled_and_jittering_decoding_times() {
    let jitters: [fn(i64) -> i64; 4] = [
        |n| if n % 2 == 1 { -FRAME } else { 0 },
        |n| if n % 2 == 1 { 1 - FRAME } else { 0 },
        |n| n % 2,
        |n| if n == 60 { -FRAME } else { 0 },
    ];
    for jitter in jitters {
        let mut items = with_b_frames(2);
        for (item, n) in items.iter_mut().zip(0..) {
            item.dts = item.dts.map(|dts| dts + jitter(n));
        }
        let out = run_video(items);
        assert!(out.uneven_ms(0, 40.0, 0.0).is_empty());
    }
    // A single pair of equal times is mended where it stands.
    let mut items = with_b_frames(2);
    items[60].dts = items[59].dts;
    assert!(run_video(items).counts.mended <= 1);
}

#[test]
fn pictures_without_any_time() {
    let mut items: Vec<_> = (0..400).map(|n| ts_packet(0, n * FRAME, n * FRAME, FRAME)).collect();
    for item in items.iter_mut().skip(1).step_by(2) {
        (item.pts, item.dts) = (None, None);
    }
    let out = run_video(items);
    assert!(out.uneven_ms(0, 40.0, 0.0).is_empty());
    assert_eq!(uneven_steps(&out), []);
}

#[test]
fn one_presentation_time_far_too_early_moves_no_other() {
    let mut items = with_b_frames(2);
    items[100].pts = items[100].pts.map(|pts| pts - S / 2 * 5);
    let wanted: Vec<_> = items.iter().filter_map(|item| item.pts).collect();
    let out = run_video(items);
    let first = wanted[0];
    let moved = out.tracks[0].iter().zip(&wanted).filter(|(packet, pts)| packet.pts != **pts - first).count();
    assert_eq!(moved, 1);
}

#[test]
fn a_presentation_time_hours_away_is_not_believed() {
    let mut items = with_b_frames(2);
    items[100].pts = items[100].pts.map(|pts| pts + 3_600 * S);
    let out = run_video(items);
    assert_near(out.end_ms(0), 16_000.0, 0.1);
}

#[test]
fn the_frame_rate_of_ntsc_stays_exact() {
    let steps = segment(0, vec![video(0, 7, 3_000, (30_000, 1_001))]);
    let out = run(&[video_track(0)], Origin::Presentation, vec![steps]);
    assert_near(out.end_ms(0), 100_100.0, 0.05);
    assert_eq!(out.counts.mended, 0);
}

#[test]
fn decoding_times_that_a_jump_back_cost_are_those_of_presentation() {
    // libav takes away the first decoding times behind a jump back, and gives the next pictures those of the ones
    // before, until eight in a row were in order.
    for (fps, first) in [(2, 4), (2, 20), (25, 60)] {
        let frame = S / fps;
        let run =
            |start: i64, count: i64| (0..count).map(move |n| ts_packet(0, start + n * frame, start + n * frame, frame));
        let mut items: Vec<_> = run(3 * S, first).collect();
        items.extend(run(0, 12).zip(0i64..).map(|(item, n)| {
            let late = Some((n - 1) * frame).filter(|dts| *dts >= 0);
            Item { segment: 1, dts: if n < 8 { late } else { item.dts }, ..item }
        }));
        let out = run_video(items);
        assert_eq!(out.counts.resets, 1);
        let delays: Vec<i64> = out.tracks[0].iter().map(|packet| packet.pts - packet.dts).collect();
        assert_eq!(delays, vec![0; (first + 12) as usize], "{fps} pictures a second");
        assert!(out.uneven_ms(0, 1e3 / fps as f64, 0.02).is_empty());
    }
}

#[test]
fn the_last_picture_is_as_long_as_those_before_a_hole() {
    // Neither container nor codec tells a length, and a picture is missing before the last one.
    for missing in [vec![], vec![58], vec![57, 58], vec![30, 56]] {
        let items = video(0, 0, 60, (30_000, 1_001)).into_iter();
        let lost = |item: &Item<usize>| missing.iter().any(|n| item.pts == Some((n * 1_001 * S + 15_000) / 30_000));
        let items = items.filter(|item| !lost(item)).map(|item| Item { duration: None, ..item });
        let out = run_video(items.collect());
        assert_near(out.end_ms(0), 60.0 * 1001.0 / 30.0, 0.1);
    }
}
