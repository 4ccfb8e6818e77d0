//! Several inputs: their clocks, their breaks, and the order they are read in.

use super::*;

fn specs() -> [TrackSpec; 2] {
    [video_track(0), audio_track(1, 48_000)]
}

fn pictures(number: usize, start: i64, seconds: usize) -> Vec<Step> {
    segment(number, vec![video(0, start, seconds * 25, (25, 1))])
}

/// Audio of about so many seconds.
fn sound(number: usize, start: i64, seconds: usize) -> Vec<Step> {
    segment(number, vec![audio(1, start, (seconds * 48_000).div_ceil(1024), 48_000)])
}

fn run_two(video: Vec<Vec<Step>>, audio: Vec<Vec<Step>>) -> Outcome {
    run(&specs(), Origin::Presentation, vec![video.concat(), audio.concat()])
}

#[test]
fn inputs_with_one_clock_keep_their_offset() {
    let out = run_two(vec![pictures(0, 1_000 * S, 6)], vec![sound(0, 1_000 * S + 9_000, 6)]);
    assert_near(out.start_ms(0), 0.0, 0.0);
    assert_near(out.start_ms(1), 100.0, 0.02);
}

#[test]
fn inputs_with_two_clocks_start_together() {
    let out = run_two(vec![pictures(0, 1_000 * S, 6)], vec![sound(0, 5 * S, 6)]);
    assert_eq!((out.start_ms(0), out.start_ms(1)), (0.0, 0.0));
}

#[test]
fn an_input_without_clock_starts_with_the_others() {
    let floating = sound(0, 0, 6).into_iter().map(|step| match step {
        Step::Packet(item) => Step::Packet(Item { floating: true, wraps: false, ..item }),
        other => other,
    });
    let out = run_two(vec![pictures(0, 5 * S, 6)], vec![floating.collect()]);
    assert_eq!((out.start_ms(0), out.start_ms(1)), (0.0, 0.0));
}

#[test]
fn marked_runs_of_two_inputs_belong_together() {
    let video =
        (0..20).map(|n| [if n > 0 { MARKED(n) } else { vec![] }, pictures(n, (n as i64 * 999 * S) % WRAP, 6)].concat());
    let audio =
        (0..20).map(|n| [if n > 0 { MARKED(n) } else { vec![] }, sound(n, (n as i64 * 999 * S) % WRAP, 6)].concat());
    let out = run_two(video.collect(), audio.collect());
    for (video, audio) in out.shown_ms(0).chunks(150).zip(out.shown_ms(1).chunks(282)) {
        assert_near(audio[0] - video[0], 0.0, 0.03);
    }
    assert_near(out.end_ms(1), 20.0 * 6_016.0, 0.1);
}

#[test]
fn a_reset_of_both_inputs_is_one_reset() {
    let out = run_two(vec![pictures(0, 90 * S, 6), pictures(1, 0, 6)], vec![sound(0, 90 * S, 6), sound(1, 0, 6)]);
    assert_eq!(out.counts.resets, 1);
    assert_near(out.shown_ms(1)[282] - out.shown_ms(0)[150], 0.0, 0.03);
}

#[test]
fn segments_that_begin_at_zero_at_borders_of_their_own() {
    let video = (0..10).map(|n| pictures(n, 0, 6)).collect();
    let audio = (0..6).map(|n| sound(n, 0, 10)).collect();
    let out = run_two(video, audio);
    assert!(out.uneven_ms(0, 40.0, 21.0).is_empty(), "{:?}", out.uneven_ms(0, 40.0, 21.0));
    assert!(out.uneven_ms(1, 1024.0 / 48.0, 41.0).is_empty(), "{:?}", out.uneven_ms(1, 21.0, 41.0));
    assert_near(out.end_ms(0), 60_000.0, 100.0);
    assert_near(out.end_ms(1), 60_000.0, 150.0);
}

#[test]
fn a_reset_of_one_input_leaves_the_other_alone() {
    let out = run_two(vec![pictures(0, 90 * S, 6), pictures(1, 0, 30)], vec![sound(0, 90 * S, 36)]);
    assert_eq!(out.counts.resets, 1);
    assert!(out.uneven_ms(0, 40.0, 0.03).is_empty());
    assert!(out.uneven_ms(1, 1024.0 / 48.0, 0.03).is_empty());
}

#[test]
fn an_input_may_have_nothing_in_a_run() {
    let video = vec![pictures(0, 0, 6), MARKED(1), pictures(1, 500 * S, 30), MARKED(2), pictures(2, 7 * S, 6)];
    let audio = vec![sound(0, 0, 6), MARKED(1), MARKED(2), sound(2, 7 * S, 6)];
    let out = run_two(video, audio);
    let start = out.shown_ms(0)[900];
    assert_near(start, 36_016.0, 0.1);
    assert_near(out.shown_ms(1)[282], start, 0.1);
}

#[test]
fn a_run_that_one_input_misses_is_left_as_a_hole() {
    let video = vec![pictures(0, 0, 6), MARKED(1), pictures(1, 500 * S, 30), MARKED(2), pictures(2, 7 * S, 6)];
    // Only the second mark is heard of, as all of the run between is missing.
    let missing = vec![Step::Skip(1, Nanos::from_ms(30_000))];
    let audio = vec![sound(0, 0, 6), missing, MARKED(2), sound(2, 7 * S, 6)];
    let out = run_two(video, audio);
    assert_near(out.shown_ms(1)[282], out.shown_ms(0)[900], 0.1);
    assert_near(out.shown_ms(0)[900], 36_016.0, 20.0);
}

#[test]
fn inputs_may_end_while_the_start_is_looked_for() {
    let few = pictures(0, 0, 1).into_iter().take(3).collect();
    let out = run_two(vec![few], vec![sound(0, 0, 6)]);
    assert_eq!((out.tracks[0].len(), out.start_ms(0), out.start_ms(1)), (3, 0.0, 0.0));
    let out = run_two(vec![], vec![sound(0, 50 * S, 6)]);
    assert_eq!((out.tracks[0].len(), out.start_ms(1)), (0, 0.0));
}

#[test]
fn late_audio_stands_where_it_belongs() {
    let video = video(0, 100 * S, 1_000, (25, 1));
    let audio = audio(1, 120 * S, 900, 48_000);
    let out = run_av(vec![segment(0, vec![video, audio])]);
    assert_eq!(out.start_ms(0), 0.0);
    assert_near(out.start_ms(1), 20_000.0, 0.02);
    assert!(out.counts.resets == 0 && out.uneven_ms(0, 40.0, 0.02).is_empty());
}

#[test]
fn inputs_are_read_in_step() {
    let steps = vec![pictures(0, 0, 60), sound(0, 0, 60)];
    let mut timeline = Timeline::new(2, &specs(), Origin::Presentation, 1 << 20);
    let mut inputs: Vec<VecDeque<Step>> = steps.into_iter().map(VecDeque::from).collect();
    while let Some(i) = timeline.wants() {
        match inputs[i].pop_front() {
            Some(Step::Packet(item)) => timeline.push(i, item),
            _ => timeline.end(i),
        }
        let positions: Vec<Nanos> = timeline.inputs.iter().map(|input| input.position).collect();
        if timeline.inputs.iter().all(|input| !input.ended && !input.is_opening()) {
            assert!(positions[0].distance(positions[1]) <= Nanos::from_ms(500), "{positions:?}");
        }
    }
}

#[test]
fn what_is_kept_back_is_bounded() {
    // Audio never comes, and time does not pass.
    let mut still = pictures(0, 0, 600);
    for step in &mut still {
        if let Step::Packet(item) = step {
            (item.pts, item.dts, item.bytes) = (None, None, 1_000);
        }
    }
    let specs = [video_track(0), audio_track(0, 48_000)];
    let out = run_bounded(&specs, Origin::Presentation, vec![still], 50_000);
    assert!(out.most_kept_bytes <= 51_000, "{}", out.most_kept_bytes);
}
