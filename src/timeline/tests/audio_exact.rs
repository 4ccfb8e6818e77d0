//! Audio exact to the sample.

use super::*;

fn run_audio(rate_hz: u32, items: Vec<Item<usize>>) -> Outcome {
    let spec = TrackSpec { input: 0, ..audio_track(0, rate_hz) };
    let steps = items.into_iter().map(|item| Step::Packet(Item { track: 0, ..item })).collect();
    run(&[spec], Origin::Presentation, vec![steps])
}

/// Distances of packets other than 1024 samples.
fn uneven_steps(out: &Outcome) -> Vec<i64> {
    let steps = out.tracks[0].windows(2).map(|pair| pair[1].pts - pair[0].pts);
    steps.filter(|step| *step != 1024).collect()
}

#[test]
fn rounding_of_the_clock_is_not_heard() {
    for rate in [44_100, 48_000, 22_050] {
        for round in [1, 90] {
            let mut items = audio(0, 12_345 * round, 3_000, rate);
            for item in &mut items {
                item.pts = item.pts.map(|pts| (pts + round / 2) / round * round);
                item.dts = item.pts;
            }
            let out = run_audio(rate as u32, items);
            assert_eq!(uneven_steps(&out), [], "{rate} Hz rounded to {round}");
            assert!(out.tracks[0].iter().all(|packet| packet.duration == 1024));
            assert_eq!(out.counts, Counts::default());
        }
    }
}

#[test]
fn a_hole_stays_a_hole() {
    let mut items = audio(0, 0, 200, 48_000);
    for item in items.iter_mut().skip(100) {
        item.pts = item.pts.map(|pts| pts + 4_500);
        item.dts = item.pts;
    }
    assert_eq!(uneven_steps(&run_audio(48_000, items)), [1024 + 2_400]);
}

#[test]
fn packets_of_no_told_length_are_as_long_as_the_one_before() {
    let mut items = audio(0, 0, 200, 48_000);
    for item in items.iter_mut() {
        (item.samples, item.duration) = (None, None);
        item.pts = item.pts.map(|pts| pts + if pts > 96_000 { 180_000 } else { 0 });
        item.dts = item.pts;
    }
    let out = run_audio(48_000, items);
    let lengths: Vec<i64> = out.tracks[0].iter().skip(1).map(|packet| packet.duration).collect();
    assert!(lengths.iter().all(|length| length.abs_diff(1024) <= 1), "{lengths:?}");
}

#[test]
fn packets_without_times_follow() {
    let mut items = audio(0, 0, 300, 44_100);
    for (n, item) in items.iter_mut().enumerate().filter(|(n, _)| n % 6 != 0) {
        (item.pts, item.dts, item.segment) = (None, None, n / 60);
    }
    assert_eq!(uneven_steps(&run_audio(44_100, items)), []);
}

#[test]
fn ten_hours_of_segments_do_not_drift() {
    // Segments cut at 6 s of video; audio goes on over the borders, the clock counts in 90 kHz.
    let (segments, rate) = (6_000i64, 44_100);
    let packets = (segments * 6 * rate / 1024) as usize;
    let mut sound = audio(1, 0, packets, rate).into_iter().peekable();
    let mut steps = Vec::new();
    for n in 0..segments {
        let pictures: Vec<_> = (0..6).map(|k| ts_packet(0, (n * 6 + k) * S, (n * 6 + k) * S, S)).collect();
        let mut own = Vec::new();
        // The transport stream's clock wraps on the way.
        while let Some(item) = sound.next_if(|_| own.len() as i64 + n * 6 * rate / 1024 < (n + 1) * 6 * rate / 1024) {
            own.push(item);
        }
        steps.extend(segment(n as usize, vec![pictures, own]));
    }
    let specs = [video_track(0), audio_track(0, rate as u32)];
    let out = run(&specs, Origin::Presentation, vec![steps]);
    assert_eq!(out.end_ms(0), 36_000_000.0);
    let steps = out.tracks[1].windows(2).filter(|pair| pair[1].pts - pair[0].pts != 1024).count();
    assert_eq!((steps, out.tracks[1][0].pts), (0, 0));
    assert_near(out.end_ms(1), packets as f64 * 1024.0 / 44.1, 0.1);
}

#[test]
fn a_clock_that_runs_slow_is_followed() {
    // Timestamps gain 100 ppm on the samples: never more than a millisecond apart.
    let mut items = audio(0, 0, 20_000, 48_000);
    for (item, n) in items.iter_mut().zip(0i64..) {
        item.pts = item.pts.map(|pts| pts + n * 1_920 / 10_000);
        item.dts = item.pts;
    }
    let wanted = items[19_999].pts.unwrap_or(0) as f64 / 90.0;
    let out = run_audio(48_000, items);
    assert_near(out.shown_ms(0)[19_999], wanted, 1.1);
}

/// Packed audio: a tag at the start of each segment, the rest counted.
fn tagged(deviation: fn(i64) -> i64) -> Vec<Item<usize>> {
    let frame = Nanos::from_ticks(1024, TimeBase { num: 1, den: 44_100 });
    let segments = (0..20i64).flat_map(|n| {
        let start = n * 258 * 1024 * S / 44_100;
        (0..258).map(move |k| {
            let mut item = Item { samples: Some(1024), tolerance: Some(frame), ..ts_packet(0, 0, 0, 2_090) };
            let at = (k == 0).then_some(start + deviation(n));
            (item.segment, item.pts, item.dts) = (n as usize, at, at);
            item
        })
    });
    segments.collect()
}

#[test]
fn tags_that_are_a_little_off_leave_no_gap() {
    let out = run_audio(44_100, tagged(|n| 500_000 + [0, 900, -700, 1_500][n as usize % 4]));
    assert_eq!(uneven_steps(&out), []);
}

#[test]
fn a_tag_two_seconds_later_is_a_gap() {
    let out = run_audio(44_100, tagged(|n| 500_000 + if n >= 10 { 2 * S } else { 0 }));
    let uneven = uneven_steps(&out);
    assert_eq!(uneven.len(), 1);
    assert_near(uneven[0] as f64, 1024.0 + 88_200.0, 2.0);
}

#[test]
fn an_overlap_is_squeezed_and_what_follows_is_in_sync() {
    let mut items = audio(0, 0, 200, 48_000);
    for item in items.iter_mut().skip(100) {
        item.pts = item.pts.map(|pts| pts - 9_000);
        (item.dts, item.segment) = (item.pts, 1);
    }
    let out = run_audio(48_000, items);
    assert_eq!(out.counts.resets, 0);
    assert_near(out.shown_ms(0)[199], 199.0 * 1024.0 / 48.0 - 100.0, 0.1);
}
