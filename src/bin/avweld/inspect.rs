//! `avweld inspect`.

use avweld::{InputInfo, Inspection, Result, StreamInfo};

use crate::args::InspectArgs;
use crate::config::Config;
use crate::deep;
use crate::network;
use crate::report;
use crate::settings::{Messages, Settings};
use crate::signals::Watch;
use crate::source;
use crate::table::{row, table};
use crate::terminal::{self, clock, count, printable, warning_line};
use crate::timeline::{Glyphs, picture};

/// Runs the command; `messages` are those of the command line over those of the config.
pub(crate) fn run(args: &InspectArgs, config: &Config, messages: Messages, watch: &Watch) -> Result<()> {
    let proxies = network::environment(|name| std::env::var_os(name));
    let mut options = Settings::new([&config.job], proxies)?.options;
    source::apply(&args.source, &mut options)?;
    args.network.apply(&mut options.network)?;
    let input = source::input(std::slice::from_ref(&args.input), args.base_url.as_deref())?;
    let inspection = match args.deep || args.timeline {
        true => watch.run(|| avweld::inspect_deep(&input, &options, &watch.token()))?,
        false => avweld::inspect(&input, &options)?,
    };
    if messages.json {
        return report::print(&inspection);
    }
    let mut out = text(&inspection, args.deep);
    if args.timeline {
        let variable = |name: &str| std::env::var(name).ok();
        out += &format!("\n{}", picture(&inspection.inputs, terminal::columns(variable), Glyphs::of_locale(variable)));
    }
    terminal::data(out.as_bytes())?;
    if !messages.quiet {
        inspection.warnings.iter().for_each(|message| terminal::say(warning_line(message)));
    }
    Ok(())
}

/// The findings for people.
fn text(inspection: &Inspection, with_deep: bool) -> String {
    let mut out = String::new();
    if !inspection.variants.is_empty() {
        out += "variants (* would be merged)\n";
        let mut rows = vec![row(["", "#", "size", "fps", "kbit/s", "codecs", "audio", "uri"])];
        rows.extend(inspection.variants.iter().map(|v| {
            row([
                mark(v.selected),
                &v.index.to_string(),
                or_dash(v.resolution.as_deref()),
                or_dash(v.frame_rate.map(number).as_deref()),
                &(v.bandwidth / 1000).to_string(),
                or_dash(v.codecs.as_deref()),
                or_dash(v.audio_group.as_deref()),
                &v.uri,
            ])
        }));
        out += &table(&rows);
        out.push('\n');
    }
    if !inspection.renditions.is_empty() {
        out += "renditions (* would be merged)\n";
        let mut rows = vec![row(["", "kind", "group", "name", "language", "default", "uri"])];
        rows.extend(inspection.renditions.iter().map(|r| {
            row([
                mark(r.selected),
                r.kind,
                &r.group,
                &r.name,
                or_dash(r.language.as_deref()),
                if r.default { "yes" } else { "no" },
                r.uri.as_deref().unwrap_or("(in the variants)"),
            ])
        }));
        out += &table(&rows);
        out.push('\n');
    }
    let input = |input: &InputInfo| {
        let deep = input.deep.as_ref().filter(|_| with_deep).map(deep::text);
        sequence(input, inspection.kind) + &deep.unwrap_or_default()
    };
    let inputs: Vec<_> = inspection.inputs.iter().map(input).collect();
    out + &inputs.join("\n")
}

/// One sequence of segments.
fn sequence(input: &InputInfo, kind: &str) -> String {
    let mut facts = vec![count(input.segments, "segment")];
    if kind != "files" {
        facts.push(format!("numbered from {}", input.media_sequence));
        facts.extend(input.duration_s.map(clock));
        facts.push(if input.ended { "complete" } else { "not ended: still growing, or cut off" }.to_owned());
    }
    let mut rows = vec![row(["  segments", &facts.join(", ")])];
    let counted =
        [(input.discontinuities, "discontinuities"), (input.gaps, "gaps"), (input.init_sections, "init sections")];
    let counted: Vec<_> = counted.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{what}: {n}")).collect();
    if !counted.is_empty() {
        rows.push(row(["  marks", &counted.join(", ")]));
    }
    if !input.encryption.is_empty() {
        rows.push(row(["  encryption", &input.encryption.join(", ")]));
    }
    rows.push(row(["  container", input.container.unwrap_or("cannot tell")]));
    rows.extend(input.streams.iter().map(|stream| row(["  stream", &describe(stream)])));
    format!("{}\n{}", printable(&input.uri), table(&rows))
}

fn describe(stream: &StreamInfo) -> String {
    let mut facts = vec![format!("{} {}", stream.kind, stream.codec)];
    if let (Some(width), Some(height)) = (stream.width, stream.height) {
        facts.push(format!("{width}x{height}"));
    }
    facts.extend(stream.sample_rate_hz.map(|hz| format!("{hz} Hz")));
    facts.extend(stream.channels.map(|n| count(n.into(), "channel")));
    facts.extend(stream.language.clone());
    facts.join(", ")
}

fn mark(selected: bool) -> &'static str {
    if selected { "*" } else { "" }
}

fn or_dash(text: Option<&str>) -> &str {
    text.unwrap_or("-")
}

/// Three decimals at most, and none that say nothing: `29.97`, `25`.
fn number(value: f64) -> String {
    format!("{value:.3}").trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_rates_are_short() {
        assert_eq!(number(29.97), "29.97");
        assert_eq!(number(25.0), "25");
        assert_eq!(number(100.0), "100");
        assert_eq!(number(23.976_023), "23.976");
    }

    #[test]
    fn a_sequence_of_a_playlist_tells_where_it_begins() {
        let mut input = InputInfo::default();
        input.uri = "v/index.m3u8".into();
        input.segments = 10;
        input.media_sequence = 7;
        input.duration_s = Some(60.0);
        input.ended = true;
        input.discontinuities = 1;
        input.container = Some("ts");
        assert_eq!(
            sequence(&input, "media"),
            "v/index.m3u8\n  segments   10 segments, numbered from 7, 0:01:00.000, complete\n  marks      discontinuities: 1\n  container  ts\n"
        );
        assert!(!sequence(&input, "files").contains("numbered"));
    }
}
