//! What `inspect --timeline` draws: the output's time from left to right, a row for each stream.

use avweld::{InputInfo, StreamRun};

use crate::terminal::printable;

/// What the picture is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Glyphs {
    media: char,
    /// Media with a gap in it.
    gap: char,
    nothing: char,
    discontinuity: char,
    reset: char,
    axis: char,
    tick: char,
}

impl Glyphs {
    pub(crate) const UNICODE: Self =
        Self { media: '█', gap: '▒', nothing: '·', discontinuity: '┃', reset: '╳', axis: '─', tick: '┬' };
    pub(crate) const ASCII: Self =
        Self { media: '#', gap: ':', nothing: '.', discontinuity: '|', reset: 'x', axis: '-', tick: '+' };

    /// What a terminal of this locale can show.
    pub(crate) fn of_locale(variable: impl Fn(&str) -> Option<String>) -> Self {
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| variable(name).filter(|v| !v.is_empty()));
        let is_utf8 = locale.is_some_and(|l| {
            let l = l.to_ascii_lowercase();
            l.contains("utf-8") || l.contains("utf8")
        });
        if is_utf8 { Self::UNICODE } else { Self::ASCII }
    }
}

/// The narrowest picture that still tells something.
const MIN_CELLS: usize = 20;
/// A label on the axis has so many columns at least.
const LABEL_CELLS: usize = 9;
/// Distances of labels, in seconds.
const STEPS: [f64; 20] = [
    0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0,
    14_400.0, 21_600.0, 43_200.0,
];

/// One stream's part in a run, on the output's clock.
struct Stretch<'a> {
    from: f64,
    to: f64,
    /// What is added to the input's times.
    offset: f64,
    begins: &'a str,
    stream: &'a StreamRun,
}

/// A row of the picture.
struct Line<'a> {
    label: String,
    stretches: Vec<Stretch<'a>>,
}

/// Draws what was found by reading all of the media, at most so many columns wide.
pub(crate) fn picture(inputs: &[InputInfo], columns: usize, glyphs: Glyphs) -> String {
    let drawn: Vec<(&str, Vec<Line<'_>>)> = inputs.iter().map(|input| (input.uri.as_str(), lines(input))).collect();
    let all = || drawn.iter().flat_map(|(_, lines)| lines);
    let end = all().flat_map(|line| &line.stretches).map(|s| s.to).fold(0.0, f64::max);
    // Priming and open groups of pictures stand before 0.
    let start = all().flat_map(|line| &line.stretches).map(|s| s.from).fold(0.0, f64::min);
    if end <= start {
        return "nothing in it has a time\n".to_owned();
    }
    let labels = all().map(|line| line.label.chars().count()).max().unwrap_or(0) + 2;
    let cells = columns.saturating_sub(labels).max(MIN_CELLS);
    let scale = Scale { start, per_cell: (end - start) / cells as f64, cells };
    let margin = " ".repeat(labels);
    let (numbers, ruler) = axis(&scale, glyphs);
    let mut out = format!("{margin}{numbers}\n{margin}{ruler}\n");
    let mut used = String::new();
    for (uri, lines) in &drawn {
        out += &format!("{}\n", printable(uri));
        for line in lines {
            let row = cells_of(line, &scale, glyphs);
            used += &row;
            out += &format!("{:labels$}{row}\n", line.label);
        }
    }
    let legend = [
        (glyphs.media, "media"),
        (glyphs.nothing, "nothing"),
        (glyphs.gap, "a gap in it"),
        (glyphs.discontinuity, "marked discontinuity"),
        (glyphs.reset, "reset that is not marked"),
    ];
    let legend: Vec<_> = legend
        .iter()
        .filter(|(glyph, _)| used.contains(*glyph))
        .map(|(glyph, what)| format!("{glyph} {what}"))
        .collect();
    out + &format!("{margin}{}\n", legend.join("   "))
}

/// The rows of an input.
fn lines(input: &InputInfo) -> Vec<Line<'_>> {
    let mut lines: Vec<Line<'_>> = Vec::new();
    for run in input.deep.iter().flat_map(|deep| &deep.runs) {
        let Some(offset) = run.offset_s else { continue };
        for stream in &run.streams {
            let (Some(first), Some(end)) = (stream.first_s, stream.end_s) else { continue };
            let label = printable(&format!("  {} {} {}", stream.stream, stream.kind, stream.codec));
            if !lines.iter().any(|line| line.label == label) {
                lines.push(Line { label: label.clone(), stretches: Vec::new() });
            }
            let stretch = Stretch { from: first + offset, to: end + offset, offset, begins: run.begins, stream };
            if let Some(line) = lines.iter_mut().find(|line| line.label == label) {
                line.stretches.push(stretch);
            }
        }
    }
    lines
}

/// Where times stand in a row.
struct Scale {
    start: f64,
    per_cell: f64,
    cells: usize,
}

impl Scale {
    /// The cell that a time falls in.
    fn cell(&self, at: f64) -> usize {
        // A hair's breadth, so that what begins at a border of two cells is not drawn into the first for its rounding.
        (((at - self.start) / self.per_cell + 1e-6).max(0.0) as usize).min(self.cells - 1)
    }

    /// The cells that a span touches by more than its rounding.
    fn cells(&self, from: f64, to: f64) -> std::ops::RangeInclusive<usize> {
        let last = (((to - self.start) / self.per_cell - 1e-6).max(0.0) as usize).min(self.cells - 1);
        self.cell(from)..=last.max(self.cell(from))
    }
}

fn cells_of(line: &Line<'_>, scale: &Scale, glyphs: Glyphs) -> String {
    let mut row = vec![glyphs.nothing; scale.cells];
    let mut fill = |range: std::ops::RangeInclusive<usize>, glyph: char| row[range].fill(glyph);
    for stretch in &line.stretches {
        fill(scale.cells(stretch.from, stretch.to), glyphs.media);
        for gap in &stretch.stream.gap_list {
            let (from, to) = (gap.at_s + stretch.offset, gap.at_s + gap.duration_s + stretch.offset);
            let touched = scale.cells(from, to);
            fill(touched.clone(), glyphs.gap);
            // Cells that are all gap.
            if touched.end() - touched.start() > 1 {
                fill(touched.start() + 1..=touched.end() - 1, glyphs.nothing);
            }
        }
    }
    // Marks stand above all else, so that none is hidden by what follows it closely.
    for stretch in &line.stretches {
        match stretch.begins {
            "discontinuity" => row[scale.cell(stretch.from)] = glyphs.discontinuity,
            "reset" => row[scale.cell(stretch.from)] = glyphs.reset,
            _ => {}
        }
    }
    row.into_iter().collect()
}

/// The labels of the axis, and the line below them.
fn axis(scale: &Scale, glyphs: Glyphs) -> (String, String) {
    let least = scale.per_cell * LABEL_CELLS as f64;
    let step = STEPS.into_iter().find(|step| *step >= least).unwrap_or_else(|| (least / 86_400.0).ceil() * 86_400.0);
    let mut numbers = String::new();
    let mut ruler = vec![glyphs.axis; scale.cells];
    let mut n = (scale.start / step).ceil();
    while (n * step - scale.start) / scale.per_cell < scale.cells as f64 - 0.5 {
        let at = n * step;
        let cell = scale.cell(at);
        ruler[cell] = glyphs.tick;
        let label = label(at, step);
        if cell + label.len() <= scale.cells {
            let width = numbers.chars().count();
            numbers += &" ".repeat(cell.saturating_sub(width));
            numbers += &label;
        }
        n += 1.0;
    }
    (numbers, ruler.into_iter().collect())
}

/// `0.5`, `1:05`, `2:00:00`.
fn label(seconds: f64, step: f64) -> String {
    if step < 1.0 {
        return format!("{seconds:.1}");
    }
    let whole = seconds.round() as i64;
    let (h, m, s) = (whole / 3600, whole / 60 % 60, whole % 60);
    if h > 0 { format!("{h}:{m:02}:{s:02}") } else { format!("{m}:{s:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use avweld::{Deep, Gap, Run};

    fn stream(n: usize, kind: &'static str, codec: &str, first: f64, end: f64) -> StreamRun {
        let mut stream = StreamRun::default();
        (stream.stream, stream.kind, stream.codec) = (n, kind, codec.to_owned());
        (stream.first_s, stream.end_s) = (Some(first), Some(end));
        stream
    }

    fn run(begins: &'static str, offset: f64, streams: Vec<StreamRun>) -> Run {
        let mut run = Run::default();
        (run.begins, run.offset_s, run.streams) = (begins, Some(offset), streams);
        run
    }

    fn input(uri: &str, runs: Vec<Run>) -> InputInfo {
        let (mut input, mut deep) = (InputInfo::default(), Deep::default());
        deep.runs = runs;
        (input.uri, input.deep) = (uri.to_owned(), Some(deep));
        input
    }

    #[test]
    fn runs_gaps_and_marks_stand_where_they_are() {
        let mut gap = Gap::default();
        (gap.at_s, gap.duration_s) = (102.0, 2.0);
        let mut first = stream(0, "video", "h264", 100.0, 110.0);
        first.gap_list = vec![gap];
        let runs = vec![
            run("start", -100.0, vec![first, stream(1, "audio", "aac", 101.0, 110.0)]),
            run(
                "discontinuity",
                10.0,
                vec![stream(0, "video", "h264", 0.0, 10.0), stream(1, "audio", "aac", 0.0, 10.0)],
            ),
            run("reset", 20.0, vec![stream(0, "video", "h264", 0.0, 20.0)]),
        ];
        let expected = "                0:00      0:10      0:20      0:30
                +---------+---------+---------+---------
v.m3u8
  0 video h264  ##::######|#########x###################
  1 audio aac   .#########|#########....................
                # media   . nothing   : a gap in it   | marked discontinuity   x reset that is not marked
";
        assert_eq!(picture(&[input("v.m3u8", runs)], 56, Glyphs::ASCII), expected);
    }

    #[test]
    fn several_inputs_share_the_axis() {
        let inputs = [
            input("v.m3u8", vec![run("start", 0.0, vec![stream(0, "video", "h264", 0.0, 3.0)])]),
            input("a.m3u8", vec![run("start", -9.0, vec![stream(0, "audio", "aac", 9.5, 12.0)])]),
            input("unread.m3u8", Vec::new()),
        ];
        let expected = "                0:00      0:01      0:02
                ┬─────────┬─────────┬─────────
v.m3u8
  0 video h264  ██████████████████████████████
a.m3u8
  0 audio aac   ·····█████████████████████████
unread.m3u8
                █ media   · nothing
";
        assert_eq!(picture(&inputs, 46, Glyphs::UNICODE), expected);
    }

    #[test]
    fn a_long_gap_is_empty_inside() {
        let mut gap = Gap::default();
        (gap.at_s, gap.duration_s) = (1.5, 7.0);
        let mut video = stream(0, "video", "h264", 0.0, 20.0);
        video.gap_list = vec![gap];
        let drawn = picture(&[input("v", vec![run("start", 0.0, vec![video])])], 36, Glyphs::ASCII);
        assert!(drawn.contains("  #:......:###########\n"), "{drawn}");
    }

    #[test]
    fn what_has_no_time_is_said() {
        assert_eq!(picture(&[input("v", Vec::new())], 80, Glyphs::ASCII), "nothing in it has a time\n");
    }

    #[test]
    fn labels_fit_and_long_recordings_have_hours() {
        for (end, last) in [(0.9, "0.5"), (30.0 * 3600.0, "24:00:00"), (400.0 * 86_400.0, "6480:00:00")] {
            let all = input("v", vec![run("start", 0.0, vec![stream(0, "video", "h264", 0.0, end)])]);
            let drawn = picture(&[all], 56, Glyphs::ASCII);
            let numbers = drawn.lines().next().unwrap_or_default().trim_start().to_owned();
            assert!(numbers.contains(last), "{end}: {numbers}");
            assert!(drawn.lines().take(4).all(|line| line.chars().count() <= 56), "{drawn}");
        }
    }

    #[test]
    fn the_locale_says_what_can_be_shown() {
        let of = |pairs: &'static [(&str, &str)]| {
            Glyphs::of_locale(|name| pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
        };
        assert_eq!(of(&[("LANG", "de_DE.UTF-8")]), Glyphs::UNICODE);
        assert_eq!(of(&[("LC_ALL", "C"), ("LANG", "de_DE.UTF-8")]), Glyphs::ASCII);
        assert_eq!(of(&[("LC_ALL", ""), ("LANG", "C.utf8")]), Glyphs::UNICODE);
        assert_eq!(of(&[]), Glyphs::ASCII);
    }
}
