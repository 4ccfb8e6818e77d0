//! Renditions as text: each part of the output gets its own, from its own 0 on.

use super::clock::{Clock, Doubts};
use super::{Content, Rendition, SubtitleFormat, mp4, ttml, webvtt};
use crate::time::Nanos;

/// Times of one cue that two segments repeat may be rounded differently.
const SAME_TIME: Nanos = Nanos::from_ms(2);

/// Cues of one time that a repetition is looked for in.
const SAME_TIME_CUES: usize = 64;

/// What becomes a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rendered {
    pub(crate) text: String,
    pub(crate) cues: u64,
}

/// A rendition as one text for each part of the output. `warn` hears of what was doubtful.
pub(crate) fn render(
    rendition: &Rendition,
    clock: &Clock,
    parts: usize,
    warn: &mut dyn FnMut(String),
) -> Vec<Rendered> {
    let (rules, doubts) = clock.rules(rendition);
    tell(rendition, doubts, warn);
    match rendition.format {
        SubtitleFormat::WebVtt => {
            let mut cues: Vec<Vec<Sorted>> = (0..parts).map(|_| Vec::new()).collect();
            let mut early = 0u64;
            for (document, rule) in rendition.documents.iter().zip(&rules) {
                let Content::WebVtt(found) = &document.content else { continue };
                for cue in found {
                    let to = rule.moves(cue.start);
                    let (start, end) = (cue.start.plus(to.by), cue.end.plus(to.by));
                    if end.0 <= 0 && cue.end > cue.start {
                        early += 1;
                        continue;
                    }
                    let text = webvtt::moved_text(&cue.text, to.by);
                    let moved = webvtt::Cue { start: start.max(Nanos::ZERO), end, text, ..cue.clone() };
                    if let Some(part) = cues.get_mut(to.part) {
                        part.push(Sorted { segment: document.segment, cue: moved });
                    }
                }
            }
            if early > 0 {
                warn(format!("{}: {early} cues end before the output begins and were left out", rendition.name));
            }
            cues.into_iter().map(|cues| webvtt_file(rendition, cues)).collect()
        }
        SubtitleFormat::Ttml => {
            let mut mergers: Vec<ttml::Merger> = (0..parts).map(|_| ttml::Merger::default()).collect();
            for (document, rule) in rendition.documents.iter().zip(&rules) {
                let Content::Ttml(found) = &document.content else { continue };
                let to = rule.moves(found.span().map_or(Nanos::ZERO, |(start, _)| start));
                if let Some(merger) = mergers.get_mut(to.part) {
                    merger.add(found, to.by);
                }
            }
            let empty = || ("<tt xmlns=\"http://www.w3.org/ns/ttml\"/>\n".to_owned(), 0);
            let files = mergers.into_iter().map(|merger| merger.finish().unwrap_or_else(empty));
            files.map(|(text, cues)| Rendered { text, cues }).collect()
        }
    }
}

fn tell(rendition: &Rendition, doubts: Doubts, warn: &mut dyn FnMut(String)) {
    let name = &rendition.name;
    if doubts.misfits > 0 {
        let what = "whose times lead far away from their place in the playlist";
        warn(format!(
            "{name}: {} segments {what}: they were placed as if nothing said what the times mean",
            doubts.misfits
        ));
    }
    if let Some(apart) = doubts.ambiguous {
        let what = "nothing says whether its times count from the start of the playlist or of the media's clock";
        warn(format!("{name}: {what}: if cues come early, then by {:.3} s", apart.seconds()));
    }
}

struct Sorted {
    segment: usize,
    cue: webvtt::Cue,
}

/// Cues in order, each once.
fn webvtt_file(rendition: &Rendition, mut cues: Vec<Sorted>) -> Rendered {
    // Stable: cues of one time stay in the order of their segments.
    cues.sort_by_key(|sorted| sorted.cue.start);
    let mut kept: Vec<Sorted> = Vec::new();
    for sorted in cues {
        let repeats = |before: &Sorted| {
            let (a, b) = (&before.cue, &sorted.cue);
            // Two of one segment are meant to be two; numbers may begin anew in each.
            before.segment != sorted.segment
                && a.start.distance(b.start) <= SAME_TIME
                && a.end.distance(b.end) <= SAME_TIME
                && (&a.settings, &a.text) == (&b.settings, &b.text)
        };
        let near = kept.iter().rev().take_while(|before| before.cue.start.distance(sorted.cue.start) <= SAME_TIME);
        if !near.take(SAME_TIME_CUES).any(repeats) {
            kept.push(sorted);
        }
    }
    let mut out: Vec<webvtt::Cue> = Vec::new();
    for Sorted { cue, .. } in kept {
        match rendition.in_samples {
            // Samples cut a cue at each border of a segment.
            true => mp4::join(&mut out, cue),
            false => out.push(cue),
        }
    }
    Rendered { text: webvtt::write(&rendition.title, &rendition.blocks, &out), cues: out.len() as u64 }
}
