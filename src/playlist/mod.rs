//! Playlists: m3u8-rs in, our own resolved types out.
//!
//! The text is brought into a form that m3u8-rs reads without loss (`normalise`, `attributes`,
//! `values`); what it reads is carried forward to each segment (`media`, `keys`) and resolved
//! (`resolve`). Nothing here touches the network or the file system.

mod attributes;
mod header;
mod keys;
mod location;
mod media;
mod multivariant;
mod normalise;
mod resolve;
mod select;
#[cfg(test)]
mod tests;
mod types;
mod values;
mod variables;
mod warnings;

pub(crate) use location::file_candidates;
pub(crate) use resolve::Base;
pub(crate) use select::{redundant, select_audio, select_subtitles, select_variant};
pub(crate) use types::*;
pub(crate) use values::default_iv;

use crate::cancel::CancelToken;
use crate::error::{Error, ErrorKind, Result};
use crate::options::Limits;
use normalise::{Content, lines};
use variables::Variables;
use warnings::Warnings;

/// Reads a playlist of either kind.
///
/// `imports` are the variables of the multivariant playlist that named this one
/// ([`MultivariantPlaylist::variables`]); empty where there is none.
///
/// # Errors
/// `Playlist` for text that is malformed or no playlist, `Limit` where a limit is reached,
/// `Denied` for a location that a playlist from `base` may not name, `Cancelled`.
pub(crate) fn parse(
    text: &[u8],
    base: &Base,
    limits: &Limits,
    imports: &[(String, String)],
    cancel: &CancelToken,
) -> Result<Parsed> {
    cancel.check()?;
    let mut warnings = Warnings::default();
    let text = normalise::normalise(text, limits, &mut warnings)?;
    let mut variables = Variables::new(base, imports, limits);
    let playlist = if is_multivariant(&text)? {
        let mut playlist = multivariant::parse(&text, base, limits, &mut variables, &mut warnings)?;
        playlist.variables = variables.into_defined();
        Playlist::Multivariant(playlist)
    } else {
        Playlist::Media(media::parse(&text, base, limits, &mut variables, &mut warnings, cancel)?)
    };
    Ok(Parsed { playlist, warnings: warnings.into_lines() })
}

/// Tells the kinds apart by their tags (RFC 8216, 4.1): the URIs of the one are segments,
/// those of the other playlists, so a playlist with the tags of both has no meaning.
fn is_multivariant(text: &str) -> Result<bool> {
    let (mut streams, mut segments, mut either) = (None, None, None);
    for line in lines(text) {
        let Content::Tag(name, _) = line.content else { continue };
        match name {
            "EXT-X-STREAM-INF" => streams = streams.or(Some(line.number)),
            "EXTINF" => segments = segments.or(Some(line.number)),
            // These may have strayed into the other kind.
            "EXT-X-TARGETDURATION" => either = either.or(Some(false)),
            "EXT-X-I-FRAME-STREAM-INF" | "EXT-X-MEDIA" | "EXT-X-SESSION-DATA" | "EXT-X-SESSION-KEY" => {
                either = either.or(Some(true));
            }
            _ => {}
        }
    }
    match (streams, segments) {
        (Some(stream), Some(segment)) => Err(Error::new(
            ErrorKind::Playlist,
            format!("lists both variants (line {stream}) and segments (line {segment}): it can be only one"),
        )),
        (Some(_), None) => Ok(true),
        (None, Some(_)) => Ok(false),
        (None, None) => Ok(either.unwrap_or(false)),
    }
}

/// The error of a line that cannot be read.
fn malformed(line: usize, message: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Playlist, format!("line {line}: {message}"))
}
