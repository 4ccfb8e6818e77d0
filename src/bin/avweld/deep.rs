//! What `inspect --deep` found, as a table: a row for each stream of each run.

use avweld::{Deep, StreamRun};

use crate::table::{row, table};
use crate::terminal::{count, printable};

/// Gaps that are listed by themselves; JSON has more of them.
const LISTED_GAPS: usize = 20;
/// Missing segments that are listed.
const LISTED_MISSING: usize = 20;

/// An input's runs and streams, for people.
pub(crate) fn text(deep: &Deep) -> String {
    let mut rows = vec![row([
        "  run",
        "begins",
        "segment",
        "offset",
        "stream",
        "packets",
        "keys",
        "bytes",
        "first .. last",
        "step",
        "gaps",
        "wraps",
        "untimed",
        "DTS faults",
    ])];
    for (n, run) in deep.runs.iter().enumerate() {
        for (line, stream) in run.streams.iter().enumerate() {
            let number = format!("  {n}");
            let (segment, offset) = (run.segment.to_string(), run.offset_s.map_or("-".to_owned(), seconds));
            let run = if line == 0 { [&number, run.begins, &segment, &offset] } else { ["", "", "", ""] };
            let stream = cells(stream);
            rows.push(run.into_iter().chain(stream.iter().map(String::as_str)).map(printable).collect());
        }
    }
    let mut facts = vec![count(deep.bytes, "byte"), count(deep.resets, "reset")];
    if !deep.missing.is_empty() {
        let listed: Vec<_> = deep.missing.iter().take(LISTED_MISSING).map(u64::to_string).collect();
        let more = if deep.missing.len() > LISTED_MISSING { ", …" } else { "" };
        facts.push(format!("missing or damaged: {}{more}", listed.join(", ")));
    }
    let mut out = format!("  all of it: {}\n{}", facts.join(", "), table(&rows));
    out += &gaps(deep);
    out
}

/// The cells of a stream, behind those of its run.
fn cells(stream: &StreamRun) -> Vec<String> {
    let some = |n: u64| if n == 0 { "-".to_owned() } else { n.to_string() };
    let span = stream.first_s.zip(stream.last_s).map(|(first, last)| format!("{first:.3} .. {last:.3}"));
    let gaps = if stream.gaps == 0 { "-".to_owned() } else { format!("{} ({:.3})", stream.gaps, stream.gap_s) };
    vec![
        format!("{} {} {}", stream.stream, stream.kind, stream.codec),
        stream.packets.to_string(),
        stream.keyframes.map_or("-".to_owned(), |n| n.to_string()),
        stream.bytes.to_string(),
        span.unwrap_or("-".to_owned()),
        stream.step_s.map_or("-".to_owned(), seconds),
        gaps,
        some(stream.wraps),
        some(stream.untimed),
        some(stream.dts_faults),
    ]
}

/// The first gaps, a line each.
fn gaps(deep: &Deep) -> String {
    let streams = deep.runs.iter().enumerate().flat_map(|(n, run)| run.streams.iter().map(move |s| (n, s)));
    let all = streams.clone().map(|(_, s)| s.gaps).sum::<u64>();
    let mut out = String::new();
    let listed = streams.flat_map(|(n, s)| s.gap_list.iter().map(move |gap| (n, s.stream, gap))).take(LISTED_GAPS);
    let mut told = 0;
    for (n, stream, gap) in listed {
        told += 1;
        out += &format!("  gap of {:.3} s in run {n}, stream {stream}, at {:.3}\n", gap.duration_s, gap.at_s);
    }
    if all > told {
        out += &format!("  and {}\n", count(all - told, "further gap"));
    }
    out
}

fn seconds(value: f64) -> String {
    format!("{value:+.3}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use avweld::{Gap, Run};

    #[test]
    fn each_stream_of_each_run_is_a_row() {
        let stream = |n: usize, kind, codec: &str, first: f64| {
            let mut stream = StreamRun::default();
            (stream.stream, stream.kind, stream.codec) = (n, kind, codec.to_owned());
            (stream.packets, stream.bytes) = (150, 9000);
            (stream.first_s, stream.last_s) = (Some(first), Some(first + 5.999));
            stream
        };
        let (mut first, mut second) = (Run::default(), Run::default());
        (first.begins, first.segment, first.offset_s) = ("start", 7, Some(-46_800.021));
        first.streams = vec![stream(0, "video", "h264", 46_800.021), stream(1, "audio", "aac", 46_800.1)];
        first.streams[0].keyframes = Some(6);
        (second.begins, second.segment) = ("reset", 9);
        second.streams = vec![stream(0, "video", "h264", 0.0)];
        let video = &mut second.streams[0];
        (video.step_s, video.gaps, video.gap_s, video.wraps, video.dts_faults) = (Some(-46_806.0), 2, 0.75, 1, 3);
        let mut gap = Gap::default();
        (gap.at_s, gap.duration_s) = (2.0, 0.5);
        video.gap_list = vec![gap];
        let mut deep = Deep::default();
        (deep.bytes, deep.resets, deep.missing, deep.runs) = (27_000, 1, vec![8], vec![first, second]);
        let expected = "  \
  all of it: 27000 bytes, 1 reset, missing or damaged: 8
  run  begins  segment  offset      stream        packets  keys  bytes  first .. last           step        gaps       wraps  untimed  DTS faults
  0    start   7        -46800.021  0 video h264  150      6     9000   46800.021 .. 46806.020  -           -          -      -        -
                                    1 audio aac   150      -     9000   46800.100 .. 46806.099  -           -          -      -        -
  1    reset   9        -           0 video h264  150      -     9000   0.000 .. 5.999          -46806.000  2 (0.750)  1      -        3
  gap of 0.500 s in run 1, stream 0, at 2.000
  and 1 further gap
";
        assert_eq!(text(&deep), expected);
    }
}
