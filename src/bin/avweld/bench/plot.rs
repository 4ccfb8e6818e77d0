//! Throughput over concurrency as an SVG: two lines on one pair of axes.

use std::fmt::Write as _;

use super::args::Phase;
use super::report::{Findings, Row};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 420.0;
/// The axes' corners.
const LEFT: f64 = 72.0;
const RIGHT: f64 = WIDTH - 70.0;
const TOP: f64 = 56.0;
const BOTTOM: f64 = HEIGHT - 56.0;
/// The height that a name needs.
const NAME: f64 = 16.0;

/// The picture. Colours differ in brightness too, lines in their dashes, and each is named where it ends.
pub(super) fn svg(findings: &Findings) -> String {
    let rows: Vec<&Row> = findings.phases.iter().filter(|row| row.phase == Phase::Concurrency).collect();
    let most = rows.iter().map(|row| row.concurrency).max().unwrap_or(1);
    let highest = rows.iter().map(|row| row.merge.mb_per_s.max(row.copy.mb_per_s)).fold(1.0, f64::max);
    let step = nice_step(highest / 5.0);
    let top = (highest / step).ceil() * step;
    let x = |n: usize| LEFT + (RIGHT - LEFT) * (n as f64 - 0.5) / most as f64;
    let y = |mb: f64| BOTTOM - (BOTTOM - TOP) * mb / top;
    let title = format!("avweld {}: throughput over merges at once", findings.avweld);
    let summary: Vec<String> = rows
        .iter()
        .map(|row| {
            format!("{} at once: {:.0} MB/s, copies {:.0}", row.concurrency, row.merge.mb_per_s, row.copy.mb_per_s)
        })
        .collect();
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         aria-labelledby=\"title summary\" font-family=\"system-ui, sans-serif\" font-size=\"13\">\n\
         <title id=\"title\">{title}</title>\n<desc id=\"summary\">{}</desc>\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n\
         <text x=\"{LEFT}\" y=\"28\" font-size=\"16\" fill=\"#222\">{title}</text>\n",
        summary.join("; "),
    );
    let mut line = |text: std::fmt::Arguments<'_>| {
        // Writing to a string does not fail.
        let _ = writeln!(out, "{text}");
    };
    for n in 0..=(top / step).round() as u32 {
        let mb = f64::from(n) * step;
        let at = y(mb);
        line(format_args!("<path d=\"M{LEFT} {at:.1}H{RIGHT}\" stroke=\"#ddd\"/>"));
        line(format_args!(
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#444\">{mb}</text>",
            LEFT - 8.0,
            at + 4.0
        ));
    }
    for row in &rows {
        let (at, n) = (x(row.concurrency), row.concurrency);
        line(format_args!(
            "<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"#444\">{n}</text>",
            BOTTOM + 20.0
        ));
    }
    line(format_args!("<path d=\"M{LEFT} {TOP}V{BOTTOM}H{RIGHT}\" fill=\"none\" stroke=\"#444\"/>"));
    let middle = (LEFT + RIGHT) / 2.0;
    line(format_args!(
        "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\" fill=\"#222\">at once</text>",
        BOTTOM + 42.0
    ));
    let middle = (TOP + BOTTOM) / 2.0;
    line(format_args!(
        "<text transform=\"translate(20 {middle}) rotate(-90)\" text-anchor=\"middle\" fill=\"#222\">MB/s of input</text>"
    ));
    for (name, colour, dashes, of) in [
        ("copy", "#767676", "6 4", (|row| row.copy.mb_per_s) as fn(&Row) -> f64),
        ("merge", "#0a5ca8", "none", |row| row.merge.mb_per_s),
    ] {
        let points: Vec<String> =
            rows.iter().map(|row| format!("{:.1},{:.1}", x(row.concurrency), y(of(row)))).collect();
        line(format_args!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dashes}\"/>",
            points.join(" ")
        ));
        for row in &rows {
            line(format_args!(
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\" fill=\"{colour}\"/>",
                x(row.concurrency),
                y(of(row))
            ));
        }
        if let Some(last) = rows.last() {
            // Where the lines end close together their names would lie one over the other.
            let apart = y(of(last)) - y(if name == "merge" { last.copy.mb_per_s } else { last.merge.mb_per_s });
            let shift = if apart.abs() >= NAME { 0.0 } else { (NAME - apart.abs()) / 2.0 };
            let is_lower = apart > 0.0 || apart == 0.0 && name == "merge";
            let level = y(of(last)) + 4.0 + if is_lower { shift } else { -shift };
            let at = x(last.concurrency) + 10.0;
            line(format_args!("<text x=\"{at:.1}\" y=\"{level:.1}\" fill=\"{colour}\">{name}</text>"));
        }
    }
    out + "</svg>\n"
}

/// The next of 1, 2, 5, 10, 20, … that is not below.
fn nice_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.max(1.0).log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|digit| digit * power).into_iter().find(|step| *step >= least).unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round() {
        for (least, step) in [(0.1, 1.0), (1.0, 1.0), (1.1, 2.0), (3.0, 5.0), (70.0, 100.0), (120.0, 200.0)] {
            assert_eq!(nice_step(least), step, "{least}");
        }
    }
}
