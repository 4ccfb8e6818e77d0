//! A multivariant playlist: its tags are repaired, read by m3u8-rs, and resolved.
//!
//! m3u8-rs drops a tag whole if one of its attributes is odd, and gives a URI to whatever variant
//! it met last. So only attributes that it can read reach it, each EXT-X-STREAM-INF goes together
//! with its URI, and as many variants and renditions must come back as were given.

use crate::error::{Error, ErrorKind, Result};
use crate::options::Limits;
use crate::playlist::attributes::{Attributes, TagWriter};
use crate::playlist::malformed;
use crate::playlist::normalise::{Content, lines};
use crate::playlist::resolve::{Base, Slot, resolve};
use crate::playlist::types::{MultivariantPlaylist, Rendition, RenditionKind, Variant};
use crate::playlist::variables::Variables;
use crate::playlist::warnings::Warnings;

/// Says that a variant has no playlist.
const LONE_STREAM_INF: &str = "EXT-X-STREAM-INF without a URI is left out";

/// Reads a multivariant playlist.
pub(super) fn parse(
    text: &str,
    base: &Base,
    limits: &Limits,
    variables: &mut Variables<'_>,
    warnings: &mut Warnings,
) -> Result<MultivariantPlaylist> {
    let repaired = repair(text, limits, variables, warnings)?;
    let read = m3u8_rs::parse_master_playlist_res(repaired.text.as_bytes()).unwrap_or_default();
    if read.variants.len() != repaired.variants.len() || read.alternatives.len() != repaired.renditions.len() {
        let line = repaired.variants.iter().chain(&repaired.renditions).min().copied().unwrap_or(0);
        return Err(malformed(line, "the variants and renditions cannot be read from here on"));
    }
    if read.variants.is_empty() {
        return Err(Error::new(ErrorKind::Playlist, "the multivariant playlist names no variants"));
    }
    let in_line = |line: usize| move |error: Error| Error::new(error.kind(), format!("line {line}: {error}"));
    let variants = read.variants.into_iter().zip(repaired.variants);
    let variants = variants.map(|(v, line)| variant(v, base, limits).map_err(in_line(line)));
    let variants = variants.collect::<Result<Vec<_>>>()?;
    let renditions = read.alternatives.into_iter().zip(repaired.renditions);
    let renditions = renditions.filter_map(|(r, line)| {
        let kind = kind(&r.media_type).or_else(|| {
            warnings.line(line, "EXT-X-MEDIA of an unknown TYPE is left out");
            None
        })?;
        Some(rendition(r, kind, base, limits).map_err(in_line(line)))
    });
    let renditions = renditions.collect::<Result<Vec<_>>>()?;
    let has_group =
        |group: &String| renditions.iter().any(|r: &Rendition| r.kind == RenditionKind::Audio && r.group == *group);
    if !variants.iter().filter_map(|v: &Variant| v.audio_group.as_ref()).all(has_group) {
        warnings.playlist("a variant names a group of audio renditions that is not there");
    }
    Ok(MultivariantPlaylist { variants, renditions, variables: Vec::new() })
}

/// The playlist as m3u8-rs reads it, and the lines that its entries stood in.
struct Repaired {
    text: String,
    variants: Vec<usize>,
    renditions: Vec<usize>,
}

fn repair(text: &str, limits: &Limits, variables: &mut Variables<'_>, warnings: &mut Warnings) -> Result<Repaired> {
    let mut out = Repaired { text: "#EXTM3U\n".to_owned(), variants: Vec::new(), renditions: Vec::new() };
    let mut stream_inf: Option<(usize, &str)> = None;
    for line in lines(text) {
        match line.content {
            Content::Tag("EXT-X-DEFINE", list) => variables.define(line.number, list)?,
            Content::Tag("EXT-X-STREAM-INF", list) => {
                if let Some((line, _)) = stream_inf.replace((line.number, list)) {
                    warnings.line(line, LONE_STREAM_INF);
                }
            }
            Content::Tag("EXT-X-MEDIA", list) => {
                let attributes = Attributes::parse(line.number, list, variables)?;
                if media_tag(&mut out.text, line.number, &attributes, warnings) {
                    out.renditions.push(line.number);
                    within(out.renditions.len(), "renditions", limits)?;
                }
            }
            Content::Tag(..) => {}
            Content::Uri(uri) => {
                let Some((number, list)) = stream_inf.take() else {
                    warnings.line(line.number, "a URI without EXT-X-STREAM-INF is left out");
                    continue;
                };
                stream_tag(&mut out.text, number, &Attributes::parse(number, list, variables)?, warnings);
                let uri = variables.substitute(line.number, uri)?;
                if uri.starts_with('#') || uri.trim().is_empty() {
                    return Err(malformed(line.number, "the URI is empty"));
                }
                out.text.push_str(uri.trim());
                out.text.push('\n');
                out.variants.push(number);
                within(out.variants.len(), "variants", limits)?;
            }
        }
    }
    if let Some((line, _)) = stream_inf {
        warnings.line(line, LONE_STREAM_INF);
    }
    Ok(out)
}

fn within(count: usize, of: &str, limits: &Limits) -> Result<()> {
    if count > limits.variants {
        let message = format!("more than {} {of}: that is the limit (variants)", limits.variants);
        return Err(Error::new(ErrorKind::Limit, message));
    }
    Ok(())
}

fn stream_tag(text: &mut String, line: usize, attributes: &Attributes<'_>, warnings: &mut Warnings) {
    let is_number = |value: &&str| value.parse::<u64>().is_ok();
    let bandwidth = attributes.get("BANDWIDTH").filter(is_number);
    if bandwidth.is_none() {
        warnings.line(line, "EXT-X-STREAM-INF without a usable BANDWIDTH: taken as 0");
    }
    let resolution = attributes.get("RESOLUTION").map(str::to_ascii_lowercase);
    let is_rate = |value: &&str| value.parse::<f64>().is_ok_and(|rate| rate.is_finite() && rate > 0.0);
    TagWriter::new(text, "EXT-X-STREAM-INF")
        .bare("BANDWIDTH", bandwidth.or(Some("0")))
        .bare("AVERAGE-BANDWIDTH", attributes.get("AVERAGE-BANDWIDTH").filter(is_number))
        .bare("RESOLUTION", resolution.as_deref().filter(|value| value.parse::<m3u8_rs::Resolution>().is_ok()))
        .bare("FRAME-RATE", attributes.get("FRAME-RATE").filter(is_rate))
        .quoted("CODECS", attributes.get("CODECS"))
        .quoted("AUDIO", attributes.get("AUDIO"))
        .quoted("SUBTITLES", attributes.get("SUBTITLES"))
        .end();
}

/// False if the tag lacks what tells its rendition from others.
fn media_tag(text: &mut String, line: usize, attributes: &Attributes<'_>, warnings: &mut Warnings) -> bool {
    let (Some(kind), Some(group)) = (attributes.get("TYPE"), attributes.get("GROUP-ID")) else {
        warnings.line(line, "EXT-X-MEDIA without TYPE or GROUP-ID is left out");
        return false;
    };
    if kind.contains(['"', ',']) || group.contains('"') {
        warnings.line(line, "EXT-X-MEDIA with a misplaced quote is left out");
        return false;
    }
    // m3u8-rs wants closed captions to have an INSTREAM-ID and no URI; neither is of use here.
    let captions = kind == "CLOSED-CAPTIONS";
    let language = attributes.get("LANGUAGE");
    let name = [attributes.get("NAME"), language].into_iter().flatten().find(|name| !name.contains('"'));
    let yes = |name: &str| attributes.is_yes(name).then_some("YES");
    TagWriter::new(text, "EXT-X-MEDIA")
        .bare("TYPE", Some(kind))
        .quoted("GROUP-ID", Some(group))
        .quoted("NAME", name.or(Some(group)))
        .quoted("LANGUAGE", language)
        .quoted("URI", attributes.get("URI").filter(|_| !captions))
        .bare("DEFAULT", yes("DEFAULT"))
        .bare("AUTOSELECT", yes("AUTOSELECT"))
        .quoted("INSTREAM-ID", captions.then_some("CC1"))
        .end();
    true
}

fn variant(read: m3u8_rs::VariantStream, base: &Base, limits: &Limits) -> Result<Variant> {
    Ok(Variant {
        location: resolve(&read.uri, base, Slot::Variant, limits)?,
        bandwidth: read.bandwidth,
        average_bandwidth: read.average_bandwidth,
        resolution: read.resolution.map(|r| (r.width, r.height)),
        frame_rate: read.frame_rate,
        codecs: read.codecs,
        audio_group: read.audio,
        subtitle_group: read.subtitles,
    })
}

fn kind(read: &m3u8_rs::AlternativeMediaType) -> Option<RenditionKind> {
    use m3u8_rs::AlternativeMediaType as Read;
    match read {
        Read::Audio => Some(RenditionKind::Audio),
        Read::Video => Some(RenditionKind::Video),
        Read::Subtitles => Some(RenditionKind::Subtitles),
        Read::ClosedCaptions => Some(RenditionKind::ClosedCaptions),
        Read::Other(_) => None,
    }
}

fn rendition(read: m3u8_rs::AlternativeMedia, kind: RenditionKind, base: &Base, limits: &Limits) -> Result<Rendition> {
    let location = read.uri.map(|uri| resolve(&uri, base, Slot::Rendition, limits)).transpose()?;
    Ok(Rendition {
        kind,
        group: read.group_id,
        name: read.name,
        language: read.language,
        default: read.default,
        autoselect: read.autoselect,
        location,
    })
}
