//! Which variant and which of its renditions a job takes.

use std::cmp::Reverse;

use crate::error::{Error, ErrorKind, Result};
use crate::options::{AudioChoice, SubtitleChoice, VariantChoice};
use crate::playlist::types::{MultivariantPlaylist, Rendition, RenditionKind, Variant};

/// Entries that an error lists before it stops.
const LISTED: usize = 20;

/// Codecs with a picture, as RFC 6381 names begin.
const VIDEO_CODECS: [&str; 16] = [
    "avc", "hvc1", "hev1", "dvh1", "dvhe", "dva1", "dvav", "av01", "dav1", "vp08", "vp09", "vp8", "vp9", "mp4v",
    "vvc1", "vvi1",
];

/// The variant that a choice stands for.
///
/// Every choice but an index takes a variant without picture only where no other is there:
/// such variants are meant for players that run out of bandwidth. Of equals it takes the first.
///
/// # Errors
/// `Usage` for an index or a height that the playlist cannot serve.
pub(crate) fn select_variant<'a>(playlist: &'a MultivariantPlaylist, choice: &VariantChoice) -> Result<&'a Variant> {
    let mut candidates: Vec<&Variant> = playlist.variants.iter().filter(|v| !is_audio_only(v)).collect();
    if candidates.is_empty() {
        candidates = playlist.variants.iter().collect();
    }
    let selected = match choice {
        VariantChoice::Best => best(candidates),
        VariantChoice::Worst => worst(candidates),
        VariantChoice::Height(height) => by_height(&candidates, u64::from(*height)),
        VariantChoice::Kbps(kbps) => {
            let fits = candidates.iter().copied().filter(|v| v.bandwidth <= kbps.saturating_mul(1000));
            best(fits).or_else(|| worst(candidates))
        }
        VariantChoice::Index(index) => playlist.variants.get(*index),
    };
    selected.ok_or_else(|| {
        let what = match choice {
            VariantChoice::Index(index) => format!("there is no variant {index}"),
            VariantChoice::Height(_) => "the playlist tells no variant's height".to_owned(),
            _ => "there is no variant".to_owned(),
        };
        let described = playlist.variants.iter().enumerate().map(|(index, variant)| describe(index, variant));
        Error::new(ErrorKind::Usage, what).with_hint(format!("choose one by its index: {}", list(described)))
    })
}

/// A variant and those that stand in for it: the same by all attributes but the groups of renditions, at other
/// places (RFC 8216, 6.2.4).
pub(crate) fn redundant<'a>(
    playlist: &'a MultivariantPlaylist,
    variant: &'a Variant,
) -> impl Iterator<Item = &'a Variant> {
    let alike = |other: &&Variant| {
        let of = |v: &Variant| (v.bandwidth, v.average_bandwidth, v.resolution, v.frame_rate, v.codecs.clone());
        variant.bandwidth > 0 && other.location != variant.location && of(other) == of(variant)
    };
    std::iter::once(variant).chain(playlist.variants.iter().filter(alike))
}

/// The audio renditions that a choice stands for, in the playlist's order.
///
/// Only those with a playlist of their own are told: any other is in the variant's own segments.
///
/// # Errors
/// `Usage` for a language that the variant's group does not have.
pub(crate) fn select_audio<'a>(
    playlist: &'a MultivariantPlaylist,
    variant: &Variant,
    choice: &AudioChoice,
) -> Result<Vec<&'a Rendition>> {
    let is_in_group = |r: &&Rendition| r.kind == RenditionKind::Audio && variant.audio_group.as_ref() == Some(&r.group);
    let group = playlist.renditions.iter().filter(is_in_group);
    let chosen: Vec<&Rendition> = match choice {
        AudioChoice::None => Vec::new(),
        AudioChoice::All => group.collect(),
        // `min_by_key` takes the first of equals.
        AudioChoice::Default => group.min_by_key(|r| Reverse((r.default, r.autoselect))).into_iter().collect(),
        AudioChoice::Language(wanted) => {
            let chosen: Vec<_> = group.clone().filter(|r| speaks(r, wanted)).collect();
            if chosen.is_empty() {
                return Err(no_language("audio", wanted, group));
            }
            chosen
        }
    };
    Ok(chosen.into_iter().filter(|rendition| rendition.location.is_some()).collect())
}

/// The subtitle renditions that a choice stands for, in the playlist's order.
///
/// # Errors
/// `Usage` for a language that the variant's group does not have.
pub(crate) fn select_subtitles<'a>(
    playlist: &'a MultivariantPlaylist,
    variant: &Variant,
    choice: &SubtitleChoice,
) -> Result<Vec<&'a Rendition>> {
    let is_in_group =
        |r: &&Rendition| r.kind == RenditionKind::Subtitles && variant.subtitle_group.as_ref() == Some(&r.group);
    // One without a playlist says nothing: RFC 8216, 4.3.4.1, wants a URI.
    let group = playlist.renditions.iter().filter(is_in_group).filter(|r| r.location.is_some());
    match choice {
        SubtitleChoice::None => Ok(Vec::new()),
        SubtitleChoice::All => Ok(group.collect()),
        SubtitleChoice::Default => Ok(group.filter(|r| r.default).collect()),
        SubtitleChoice::Language(wanted) => {
            let chosen: Vec<_> = group.clone().filter(|r| speaks(r, wanted)).collect();
            if chosen.is_empty() { Err(no_language("subtitles", wanted, group)) } else { Ok(chosen) }
        }
    }
}

/// Highest bandwidth; of equals the higher picture, the higher frame rate, the first.
fn best<'a>(variants: impl IntoIterator<Item = &'a Variant>) -> Option<&'a Variant> {
    variants.into_iter().reduce(|best, v| if rank(v) > rank(best) { v } else { best })
}

fn worst<'a>(variants: impl IntoIterator<Item = &'a Variant>) -> Option<&'a Variant> {
    variants.into_iter().reduce(|worst, v| if rank(v) < rank(worst) { v } else { worst })
}

fn rank(variant: &Variant) -> (u64, Option<u64>, f64) {
    (variant.bandwidth, variant.resolution.map(|(_, height)| height), variant.frame_rate.unwrap_or(0.0))
}

/// The best of this height, else of the nearest below, else of the lowest there is.
fn by_height<'a>(variants: &[&'a Variant], wanted: u64) -> Option<&'a Variant> {
    let heights = || variants.iter().filter_map(|v| v.resolution).map(|(_, height)| height);
    let height = heights().filter(|height| *height <= wanted).max().or_else(|| heights().min())?;
    best(variants.iter().copied().filter(|v| v.resolution.is_some_and(|(_, h)| h == height)))
}

/// True if the playlist says that there is no picture; one that says nothing is taken to have one.
fn is_audio_only(variant: &Variant) -> bool {
    let is_video = |codec: &str| VIDEO_CODECS.iter().any(|prefix| codec.trim().starts_with(prefix));
    let codecs = variant.codecs.as_deref();
    variant.resolution.is_none() && codecs.is_some_and(|codecs| !codecs.to_ascii_lowercase().split(',').any(is_video))
}

/// True if a rendition's language is the wanted one or a form of it: `en` also takes `en-US`.
fn speaks(rendition: &Rendition, wanted: &str) -> bool {
    let Some(language) = rendition.language.as_deref() else { return false };
    match language.get(..wanted.len()) {
        Some(start) if start.eq_ignore_ascii_case(wanted) => {
            matches!(language.as_bytes().get(wanted.len()), None | Some(b'-'))
        }
        _ => false,
    }
}

fn no_language<'a>(what: &str, wanted: &str, group: impl Iterator<Item = &'a Rendition>) -> Error {
    let mut languages: Vec<&str> = group.filter_map(|r| r.language.as_deref()).collect();
    languages.sort_unstable();
    languages.dedup();
    let hint = match languages.is_empty() {
        true => format!("the variant names no {what} with a language"),
        false => format!("there are: {}", list(languages.into_iter().map(str::to_owned))),
    };
    Error::new(ErrorKind::Usage, format!("no {what} in the language \"{wanted}\"")).with_hint(hint)
}

fn describe(index: usize, variant: &Variant) -> String {
    let kbps = variant.bandwidth / 1000;
    match variant.resolution {
        Some((width, height)) => format!("{index} ({width}x{height}, {kbps} kbit/s)"),
        None => format!("{index} ({kbps} kbit/s)"),
    }
}

fn list(entries: impl Iterator<Item = String>) -> String {
    let mut entries: Vec<String> = entries.take(LISTED + 1).collect();
    if entries.len() > LISTED {
        entries[LISTED] = "…".to_owned();
    }
    entries.join(", ")
}
