//! From bytes to lines: what is no playlist is refused, and what editors and servers do to text is undone.

use std::borrow::Cow;

use crate::error::{Error, ErrorKind, Result};
use crate::options::Limits;
use crate::playlist::malformed;
use crate::playlist::warnings::Warnings;

/// A line that is neither blank nor a comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// From 1, as an editor counts.
    pub(super) number: usize,
    /// What it holds.
    pub(super) content: Content<'a>,
}

/// The two kinds of line that mean something (RFC 8216, 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content<'a> {
    /// The whole name without `#`, and what follows its colon.
    Tag(&'a str, &'a str),
    /// A URI.
    Uri(&'a str),
}

/// The text of a playlist without its byte order mark, checked against the limits.
///
/// Bytes that are no UTF-8 are tolerated in comments and titles, where nothing depends on them.
pub(super) fn normalise<'a>(bytes: &'a [u8], limits: &Limits, warnings: &mut Warnings) -> Result<Cow<'a, str>> {
    if bytes.len() > limits.playlist_bytes {
        return Err(Error::new(
            ErrorKind::Limit,
            format!("a playlist of {} bytes: the limit is {} (playlist_bytes)", bytes.len(), limits.playlist_bytes),
        ));
    }
    if let Some(what) = other_than_text(bytes) {
        return Err(no_playlist(what));
    }
    if let Some((number, line)) = raw_lines(bytes).find(|(_, line)| line.len() > limits.line_bytes) {
        return Err(Error::new(
            ErrorKind::Limit,
            format!("line {number} has {} bytes: the limit is {} (line_bytes)", line.len(), limits.line_bytes),
        ));
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(lossy(bytes, warnings)?),
    };
    let text = match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim_start_matches('\u{feff}')),
        Cow::Owned(text) => Cow::Owned(text.trim_start_matches('\u{feff}').to_owned()),
    };
    check_start(&text, warnings)?;
    Ok(text)
}

/// The lines that mean something, trimmed. Lines end with LF, CR LF, or CR alone.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    // Line ends are ASCII, so that every slice of a text between them is text.
    raw_lines(text.as_bytes()).filter_map(|(number, line)| {
        let content = content(std::str::from_utf8(line).ok()?)?;
        Some(Line { number, content })
    })
}

fn content(line: &str) -> Option<Content<'_>> {
    let line = line.trim();
    let Some(tag) = line.strip_prefix('#') else {
        return (!line.is_empty()).then_some(Content::Uri(line));
    };
    if !tag.starts_with("EXT") {
        return None;
    }
    let (name, value) = tag.split_once(':').unwrap_or((tag, ""));
    Some(Content::Tag(name.trim_end(), value.trim()))
}

fn raw_lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut rest = Some(bytes);
    let mut number = 0;
    std::iter::from_fn(move || {
        let bytes = rest?;
        number += 1;
        let Some(end) = memchr::memchr2(b'\n', b'\r', bytes) else {
            rest = None;
            return Some((number, bytes));
        };
        let (line, after) = bytes.split_at(end);
        let skip = if after.starts_with(b"\r\n") { 2 } else { 1 };
        rest = Some(&after[skip..]);
        Some((number, line))
    })
}

/// Replaces what is no UTF-8, unless a tag or a URI depends on it.
fn lossy(bytes: &[u8], warnings: &mut Warnings) -> Result<String> {
    for (number, line) in raw_lines(bytes) {
        if std::str::from_utf8(line).is_ok() {
            continue;
        }
        let line = line.trim_ascii_start();
        let no_matter = line.starts_with(b"#EXTINF:") || (line.starts_with(b"#") && !line.starts_with(b"#EXT"));
        if !no_matter {
            return Err(malformed(number, "is not UTF-8").with_hint("save the playlist as UTF-8"));
        }
        warnings.line(number, "a title or comment is not UTF-8");
    }
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

/// A name for bytes that are clearly no text.
fn other_than_text(bytes: &[u8]) -> Option<&'static str> {
    let head = &bytes[..bytes.len().min(4096)];
    if head.trim_ascii().is_empty() && head.len() == bytes.len() {
        return Some("it is empty");
    }
    if head.starts_with(&[0x1f, 0x8b]) {
        return Some("it is gzip data");
    }
    if head.starts_with(&[0xff, 0xfe]) || head.starts_with(&[0xfe, 0xff]) {
        return Some("it is UTF-16 text: save it as UTF-8");
    }
    if head.first() == Some(&0x47) && head.get(188) == Some(&0x47) {
        return Some("it is an MPEG transport stream");
    }
    if head.get(4..8) == Some(b"ftyp") {
        return Some("it is an MP4 file");
    }
    head.contains(&0).then_some("it is binary data")
}

/// `#EXTM3U` comes first (RFC 8216, 4.3.1.1). Where it is missing, other tags must show that this is a playlist.
fn check_start(text: &str, warnings: &mut Warnings) -> Result<()> {
    let start = text.trim_start();
    match start.bytes().next() {
        None => return Err(no_playlist("it is empty")),
        Some(b'<') if start.contains("<MPD") => return Err(no_playlist("it is a DASH manifest")),
        Some(b'<') => return Err(no_playlist("it is an HTML or XML page")),
        Some(b'{') => return Err(no_playlist("it is JSON")),
        _ => {}
    }
    let mut tags = lines(text).filter_map(|line| match line.content {
        Content::Tag(name, _) => Some(name),
        Content::Uri(_) => None,
    });
    // `#EXTM3U` takes attributes in the lists of IPTV players: `#EXTM3U url-tvg="…"`.
    let is_header = |name: &str| name.split([' ', '\t']).next() == Some("EXTM3U");
    match tags.next() {
        Some(name) if is_header(name) => Ok(()),
        Some(name) if name == "EXTINF" || name.starts_with("EXT-X-") => {
            warnings.playlist("#EXTM3U is missing");
            Ok(())
        }
        _ if start.starts_with('[') => Err(no_playlist("it is JSON")),
        _ => Err(no_playlist("it does not begin with #EXTM3U")),
    }
}

fn no_playlist(what: &str) -> Error {
    Error::new(ErrorKind::Playlist, format!("no HLS playlist: {what}"))
}
