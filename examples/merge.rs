//! Merges a playlist with options of its own, and prints what came of it.
//!
//! `cargo run --example merge -- index.m3u8 out.mp4`

use anyhow::{Context, Result, bail};
use avweld::{AudioChoice, Existing, Job, OnGap, Options, VariantChoice};

fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [input, output] = &arguments[..] else { bail!("usage: merge INPUT OUTPUT") };

    // Each option has a default; a struct literal is not possible, so that there can be more of them one day.
    let mut options = Options::default();
    options.existing = Existing::Overwrite;
    options.variant = VariantChoice::Height(720);
    options.audio = AudioChoice::All;
    // Segments that cannot be had leave a hole in the output, and the report lists them.
    options.on_gap = OnGap::Skip;

    let input = std::path::Path::new(input);
    let report = Job::new(input, output).options(options).run().with_context(|| format!("{}", input.display()))?;

    println!("{}: {:.3} s, {} bytes", report.output.display(), report.duration_s, report.size_bytes);
    for track in &report.tracks {
        println!("  {} {}: {} packets, {:.3} s", track.kind, track.codec, track.packets, track.duration_s);
    }
    if !report.segments.missing.is_empty() {
        println!("  without segments {:?}", report.segments.missing);
    }
    for warning in &report.warnings {
        println!("  warning: {warning}");
    }
    Ok(())
}
