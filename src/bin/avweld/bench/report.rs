//! What a bench came to: one object of JSON, or a table.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::args::Phase;
use super::measure::{Measured, Spread, Timed};
use super::process::Cpu;
use crate::terminal::{clock, count};

/// All of it.
#[derive(Serialize)]
pub(super) struct Findings {
    pub(super) avweld: &'static str,
    pub(super) libav: BTreeMap<&'static str, String>,
    pub(super) cores: usize,
    pub(super) input: InputFacts,
    pub(super) runs: usize,
    pub(super) phases: Vec<Row>,
    pub(super) warnings: Vec<String>,
}

/// What was merged.
#[derive(Serialize, Clone)]
pub(super) struct InputFacts {
    /// `generated` or `given`.
    pub(super) kind: &'static str,
    pub(super) bytes: u64,
    pub(super) segments: u64,
    pub(super) duration_s: f64,
}

/// One measurement.
#[derive(Serialize)]
pub(super) struct Row {
    pub(super) phase: Phase,
    pub(super) jobs: usize,
    pub(super) concurrency: usize,
    #[serde(flatten)]
    pub(super) merge: Timed,
    pub(super) copy: Timed,
    /// For each byte of input; a copy is 1.
    pub(super) ratio_to_copy: f64,
    pub(super) peak_memory_bytes: Option<u64>,
    pub(super) memory_before_bytes: Option<u64>,
    pub(super) cpu_s: Option<Cpu>,
}

impl Row {
    pub(super) fn new(phase: Phase, jobs: usize, concurrency: usize, measured: Measured) -> Self {
        Self {
            phase,
            jobs,
            concurrency,
            merge: measured.merge,
            copy: measured.copy,
            ratio_to_copy: measured.ratio_to_copy(),
            peak_memory_bytes: measured.peak_memory_bytes,
            memory_before_bytes: measured.memory_before_bytes,
            cpu_s: measured.cpu_s,
        }
    }
}

impl Findings {
    /// For people.
    pub(super) fn text(&self) -> String {
        let InputFacts { kind, bytes, segments, duration_s } = &self.input;
        let (megabytes, segments) = (megabytes(*bytes), count(*segments, "segment"));
        let mut out = format!(
            "avweld {} on {}, input {kind}: {megabytes} MB, {segments}, {}; medians of {}\n\n",
            self.avweld,
            count(self.cores as u64, "core"),
            clock(*duration_s),
            count(self.runs as u64, "run"),
        );
        let head = [
            "",
            "jobs",
            "at once",
            "MB",
            "s",
            "min-max",
            "MB/s",
            "copy MB/s",
            "x copy",
            "peak MiB",
            "user s",
            "system s",
        ];
        let mut rows = vec![head.map(str::to_owned)];
        rows.extend(self.phases.iter().map(Row::cells));
        let widths: Vec<usize> =
            (0..head.len()).map(|n| rows.iter().map(|row| row[n].chars().count()).max().unwrap_or(0)).collect();
        for row in &rows {
            let mut line = format!("{:w$}", row[0], w = widths[0]);
            for (cell, width) in row.iter().zip(&widths).skip(1) {
                // Writing to a string does not fail.
                let _ = write!(line, "  {cell:>width$}");
            }
            out += line.trim_end();
            out.push('\n');
        }
        out
    }
}

impl Row {
    fn cells(&self) -> [String; 12] {
        let Spread { median, min, max } = self.merge.wall_s;
        let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        [
            self.phase.name().to_owned(),
            self.jobs.to_string(),
            self.concurrency.to_string(),
            megabytes(self.merge.bytes),
            format!("{median:.3}"),
            format!("{min:.3}-{max:.3}"),
            rate(self.merge.mb_per_s),
            rate(self.copy.mb_per_s),
            format!("{:.2}", self.ratio_to_copy),
            or_dash(self.peak_memory_bytes.map(|bytes| format!("{:.0}", bytes as f64 / f64::from(1 << 20)))),
            or_dash(self.cpu_s.map(|cpu| format!("{:.2}", cpu.user))),
            or_dash(self.cpu_s.map(|cpu| format!("{:.2}", cpu.system))),
        ]
    }
}

fn rate(mb_per_s: f64) -> String {
    if mb_per_s < 10.0 { format!("{mb_per_s:.1}") } else { format!("{mb_per_s:.0}") }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_line_for_each_measurement_and_its_columns_are_aligned() {
        let spread = Spread { median: 0.5, min: 0.25, max: 1.0 };
        let timed = |mb_per_s| Timed { bytes: 50_000_000, wall_s: spread, mb_per_s };
        let measured = |peak_memory_bytes| Measured {
            merge: timed(100.0),
            copy: timed(150.0),
            peak_memory_bytes,
            memory_before_bytes: Some(1 << 20),
            cpu_s: Some(Cpu { user: 0.25, system: 0.125 }),
        };
        let findings = Findings {
            avweld: "1.0.0",
            libav: BTreeMap::new(),
            cores: 2,
            input: InputFacts { kind: "generated", bytes: 50_000_000, segments: 16, duration_s: 96.0 },
            runs: 5,
            phases: vec![
                Row::new(Phase::Merge, 1, 1, measured(Some(64 << 20))),
                Row::new(Phase::Concurrency, 16, 16, measured(None)),
            ],
            warnings: Vec::new(),
        };
        let text = findings.text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            "avweld 1.0.0 on 2 cores, input generated: 50.0 MB, 16 segments, 0:01:36.000; medians of 5 runs"
        );
        assert_eq!(
            lines[3].split_whitespace().collect::<Vec<_>>(),
            ["merge", "1", "1", "50.0", "0.500", "0.250-1.000", "100", "150", "1.50", "64", "0.25", "0.12"]
        );
        assert!(lines[4].contains("  -  "), "{text}");
        assert!(lines[2..].iter().all(|line| line.chars().count() == lines[2].chars().count()), "{text}");
    }
}
