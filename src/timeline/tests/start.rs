//! The start of an output, and clocks that wrap.

use super::*;

#[test]
fn starts_at_zero_and_keeps_the_offset_of_audio() {
    let streams = vec![video(0, 10 * S, 50, (25, 1)), audio(1, 10 * S + 4_500, 90, 48_000)];
    for origin in [Origin::Presentation, Origin::Lowest] {
        let specs = [video_track(0), audio_track(0, 48_000)];
        let out = run(&specs, origin, vec![segment(0, streams.clone())]);
        let lead = if origin == Origin::Lowest { 40.0 } else { 0.0 };
        assert_near(out.start_ms(0), lead, 0.0);
        assert_near(out.start_ms(1), lead + 50.0, 0.02);
        assert_eq!(out.counts, Counts::default());
    }
}

#[test]
fn priming_comes_before_zero_where_it_can() {
    let base = TimeBase { num: 1, den: 48_000 };
    let mut sound: Vec<_> =
        (0..90).map(|n| Item { base, wraps: false, ..ts_packet(1, n * 1024, n * 1024, 1024) }).collect();
    sound[0].priming = Nanos::from_ticks(1024, base);
    let pictures: Vec<_> = (0..50).map(|n| ts_packet(0, 1_920 + n * FRAME, 1_920 + n * FRAME, FRAME)).collect();
    let input = segment(0, vec![pictures, sound]);
    let specs = [video_track(0), audio_track(0, 48_000)];
    let out = run(&specs, Origin::Presentation, vec![input.clone()]);
    assert_eq!((out.tracks[1][0].pts, out.tracks[0][0].pts), (-1024, 0));
    let out = run(&specs, Origin::Lowest, vec![input]);
    assert_eq!((out.tracks[1][0].pts, out.tracks[0][0].pts), (0, 1_920));
}

#[test]
fn sound_that_stands_behind_all_pictures_of_a_long_fragment_is_not_hidden() {
    // It begins earlier than they do; the container interleaves by fragments only.
    for seconds in [3, 12, 25] {
        let pictures = segment(0, vec![video(0, 10 * S, seconds * 25, (25, 1))]);
        let sound = segment(0, vec![audio(1, 10 * S - 3 * S, (seconds + 3) * 47, 48_000)]);
        let out = run_av(vec![pictures, sound]);
        assert_near(out.start_ms(1), 0.0, 0.02);
        assert_near(out.start_ms(0), 3_000.0, 0.02);
    }
}

#[test]
fn sound_that_comes_too_late_to_be_shown_is_counted() {
    let pictures = segment(0, vec![video(0, 10 * S, 40 * 25, (25, 1))]);
    let sound = segment(0, vec![audio(1, 10 * S - 3 * S, 43 * 47, 48_000)]);
    for (origin, hidden) in [(Origin::Presentation, 3 * 48_000 / 1024), (Origin::Lowest, 0)] {
        let input = [pictures.clone(), sound.clone()].concat();
        let out = run(&[video_track(0), audio_track(0, 48_000)], origin, vec![input]);
        assert_eq!(out.counts.hidden, hidden, "{origin:?}");
        assert_eq!(out.start_ms(1) < 0.0, hidden > 0);
    }
}

#[test]
fn a_track_that_never_comes_is_waited_for_through_half_a_minute() {
    let pictures = segment(0, vec![video(0, 10 * S, 40 * 25, (25, 1))]);
    let out = run_av(vec![pictures]);
    assert_eq!((out.start_ms(0), out.tracks[0].len()), (0.0, 1_000));
    let seconds = out.most_kept_bytes / 100 / 25;
    assert!((29..=31).contains(&seconds), "{seconds} s are kept back");
}

#[test]
fn made_up_decoding_times_are_not_below_zero_either() {
    let mut pictures = video(0, 0, 50, (25, 1));
    pictures.iter_mut().for_each(|item| item.dts = None);
    let input = pictures.into_iter().map(Step::Packet).collect();
    let out = run(&[video_track(0)], Origin::Lowest, vec![input]);
    assert!(out.uneven_ms(0, 40.0, 0.02).is_empty());
}

#[test]
fn a_clock_may_wrap_anywhere() {
    // Inside, at the first picture, and between the decoding and the presentation of one.
    for before in [S, 0, FRAME / 2, 5 * FRAME + 1] {
        let out = run_av(vec![av(0, WRAP - before, 6.0), av(1, WRAP - before + 6 * S, 6.0)]);
        assert_eq!((out.start_ms(0), out.counts.resets), (0.0, 0));
        assert!(out.uneven_ms(0, 40.0, 0.02).is_empty());
        assert_near(out.end_ms(0), 12_000.0, 0.1);
    }
}

#[test]
fn two_inputs_may_wrap_at_different_places() {
    let specs = [video_track(0), audio_track(1, 48_000)];
    let video = segment(0, vec![video(0, WRAP - 900, 150, (25, 1))]);
    let audio = segment(0, vec![audio(1, WRAP + 900, 280, 48_000)]);
    let out = run(&specs, Origin::Presentation, vec![video, audio]);
    assert_eq!(out.start_ms(0), 0.0);
    assert_near(out.start_ms(1), 20.0, 0.02);
}

#[test]
fn thirty_hours_last_thirty_hours() {
    for base in [0, 13 * 3600 * S] {
        let second =
            |n: i64| vec![ts_packet(0, base + n * S, base + n * S, S), ts_packet(1, base + n * S, base + n * S, S)];
        let steps = (0..30 * 3600).flat_map(|n| segment(n / 6, vec![second(n as i64)])).collect();
        let out = run(&[video_track(0), audio_track(0, 48_000)], Origin::Presentation, vec![steps]);
        assert_eq!((out.start_ms(0), out.end_ms(0), out.end_ms(1)), (0.0, 30.0 * 3.6e6, 30.0 * 3.6e6));
        assert_eq!(out.counts, Counts::default());
    }
}

#[test]
fn a_wrap_and_a_discontinuity_together() {
    let out = run_av(vec![av(0, WRAP - S, 6.0), MARKED(1), av(1, WRAP / 2 + 5, 6.0), MARKED(2), av(2, WRAP - 9, 6.0)]);
    assert_near(out.end_ms(0), 18_000.0, 40.0);
    assert_eq!(out.counts.resets, 0);
}
