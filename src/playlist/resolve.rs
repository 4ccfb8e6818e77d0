//! From a reference to a place, and which places a playlist may name at all.
//!
//! A playlist from http(s) names http(s); a local one names files and http(s). `data:` holds keys
//! and init sections. Everything else is refused here, before anything is opened; whether a file
//! lies in an allowed folder, and a host at an allowed address, is judged where it is opened.

use std::path::PathBuf;

use url::Url;

use crate::error::{Error, ErrorKind, Result};
use crate::options::Limits;
use crate::playlist::location::shown_reference;
use crate::playlist::types::Location;

/// What a playlist's references are relative to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Base {
    /// The folder of a local playlist.
    Folder(PathBuf),
    /// The URL of a playlist from http(s), after redirects.
    Url(Url),
}

/// The place in a playlist that names something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    Segment,
    InitSection,
    Key,
    Variant,
    Rendition,
}

impl Slot {
    fn name(self) -> &'static str {
        match self {
            Self::Segment => "the segment",
            Self::InitSection => "the init section",
            Self::Key => "the key",
            Self::Variant => "the variant",
            Self::Rendition => "the rendition",
        }
    }
}

/// Where a reference leads.
///
/// A relative reference of a local playlist is joined as it is written, with its query and
/// percent signs; see [`file_candidates`](super::file_candidates).
pub(super) fn resolve(reference: &str, base: &Base, slot: Slot, limits: &Limits) -> Result<Location> {
    // `Url` would strip or ignore some of these, and so read another scheme than the one judged here.
    let reference = reference.trim();
    if reference.contains(char::is_control) {
        return Err(unreadable(reference, slot, "holds control characters"));
    }
    if reference.is_empty() {
        return Err(unreadable(reference, slot, "has an empty URI"));
    }
    let scheme = scheme(reference).map(str::to_ascii_lowercase);
    match (scheme.as_deref(), base) {
        (Some("data"), _) => data(reference, slot, limits),
        (Some("http" | "https"), Base::Folder(_)) => http(Url::parse(reference), reference, slot),
        (Some("http" | "https"), Base::Url(url)) => http(url.join(reference), reference, slot),
        (Some("file"), Base::Folder(_)) => file_url(reference, slot),
        (Some("file"), Base::Url(_)) => {
            Err(denied(reference, slot, "\"file:\", which a playlist from http(s) may not name")
                .with_hint("save the playlist and merge that file if this is what you want"))
        }
        (Some(scheme), _) => {
            let error = denied(reference, slot, &format!("\"{scheme}:\", which is not allowed"));
            Err(match base {
                Base::Folder(_) if is_drive(reference) => error.with_hint("write a Windows path as file:///C:/…"),
                Base::Folder(_) => error.with_hint("a file name that holds a colon is written as ./name"),
                Base::Url(_) => error,
            })
        }
        // `//host/…` is an ordinary reference between URLs; with a backslash it is a UNC path, which `Url` takes for it.
        (None, Base::Url(_)) if begins_like_unc(reference) && !reference.starts_with("//") => {
            Err(denied(reference, slot, "a network path, which is not allowed"))
        }
        (None, Base::Url(url)) => http(url.join(reference), reference, slot),
        (None, Base::Folder(_)) if begins_like_unc(reference) => {
            Err(denied(reference, slot, "a network path, which is not allowed")
                .with_hint("put http: or https: before it if it is a URL"))
        }
        (None, Base::Folder(folder)) => Ok(Location::File(folder.join(reference))),
    }
}

/// The scheme of a reference (RFC 3986, 3.1), which includes `a` of `a:b.ts` and of `C:\a.ts`, and
/// what libav takes for one with options before the colon (`subfile,,start,0,end,9,,:`).
fn scheme(reference: &str) -> Option<&str> {
    let (scheme, _) = reference.split_once(':')?;
    let scheme = scheme.split(',').next()?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    is_scheme.then_some(scheme)
}

fn is_drive(reference: &str) -> bool {
    matches!(reference.as_bytes(), [_, b':', b'/' | b'\\', ..])
}

fn begins_like_unc(reference: &str) -> bool {
    let slash = |b: Option<&u8>| matches!(b, Some(b'/' | b'\\'));
    let bytes = reference.as_bytes();
    slash(bytes.first()) && slash(bytes.get(1))
}

fn http(joined: std::result::Result<Url, url::ParseError>, reference: &str, slot: Slot) -> Result<Location> {
    let url = joined.map_err(|e| unreadable(reference, slot, &format!("is no valid URL: {e}")))?;
    // What `Url` made of it counts, not what was looked at before.
    if !matches!(url.scheme(), "http" | "https") {
        return Err(denied(reference, slot, &format!("\"{}:\", which is not allowed", url.scheme())));
    }
    Ok(Location::Http(url))
}

fn file_url(reference: &str, slot: Slot) -> Result<Location> {
    let url = Url::parse(reference).map_err(|e| unreadable(reference, slot, &format!("is no valid URL: {e}")))?;
    match url.to_file_path() {
        Ok(path) if !path.to_string_lossy().contains('\0') => Ok(Location::File(path)),
        _ => Err(denied(reference, slot, "a \"file:\" URL of another host, which is not allowed")),
    }
}

fn data(reference: &str, slot: Slot, limits: &Limits) -> Result<Location> {
    if !matches!(slot, Slot::Key | Slot::InitSection) {
        return Err(denied(reference, slot, "\"data:\", which only keys and init sections may be"));
    }
    let url =
        data_url::DataUrl::process(reference).map_err(|_| unreadable(reference, slot, "is no valid data: URI"))?;
    let (bytes, _) = url.decode_to_vec().map_err(|_| unreadable(reference, slot, "is not valid base64"))?;
    if bytes.len() > limits.data_uri_bytes {
        let message = format!(
            "{} holds {} bytes in a data: URI: the limit is {} (data_uri_bytes)",
            slot.name(),
            bytes.len(),
            limits.data_uri_bytes
        );
        return Err(Error::new(ErrorKind::Limit, message));
    }
    Ok(Location::Data(bytes.into()))
}

fn denied(reference: &str, slot: Slot, what: &str) -> Error {
    let message = format!("{} \"{}\" is at {what}", slot.name(), shown_reference(reference));
    Error::new(ErrorKind::Denied, message)
}

fn unreadable(reference: &str, slot: Slot, what: &str) -> Error {
    Error::new(ErrorKind::Playlist, format!("{} \"{}\" {what}", slot.name(), shown_reference(reference)))
}
