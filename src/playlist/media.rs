//! A media playlist: m3u8-rs reads the tags, and what applies to a segment is carried to it.
//!
//! m3u8-rs keeps only the last KEY and the last MAP before a segment. So each of these tags is
//! given to it with a URI line of its own, a *mark*, which makes every one of them come back, in
//! order; as many marks must come back as were given. This is done in batches, which bounds memory.

use std::collections::HashMap;
use std::sync::Arc;

use crate::cancel::CancelToken;
use crate::error::{Error, ErrorKind, Result};
use crate::options::Limits;
use crate::playlist::attributes::{Attributes, TagWriter};
use crate::playlist::header::Header;
use crate::playlist::keys::Keys;
use crate::playlist::location::shown_reference;
use crate::playlist::normalise::{Content, lines};
use crate::playlist::resolve::{Base, Slot, resolve};
use crate::playlist::types::{ByteRange, InitSection, MediaPlaylist, Segment};
use crate::playlist::values::Extinf;
use crate::playlist::variables::Variables;
use crate::playlist::warnings::Warnings;
use crate::playlist::{malformed, values};
use crate::time::Nanos;

/// Marks given to m3u8-rs at once: what it makes of them stays in the processor's cache.
const BATCH_MARKS: usize = 32;

/// Reads a media playlist.
pub(super) fn parse(
    text: &str,
    base: &Base,
    limits: &Limits,
    variables: &mut Variables<'_>,
    warnings: &mut Warnings,
    cancel: &CancelToken,
) -> Result<MediaPlaylist> {
    let header = Header::read(text, limits, warnings)?;
    if !header.ended {
        warnings.playlist("the playlist is not ended (no EXT-X-ENDLIST): it is taken as it is now");
    }
    let mut reader = Reader {
        base,
        limits,
        cancel,
        warnings,
        sequence_known: header.sequence_known,
        media: MediaPlaylist {
            target_duration: header.target_duration,
            media_sequence: header.media_sequence,
            segments: Vec::new(),
            ended: header.ended,
        },
        keys: Keys::default(),
        init: None,
        range_ends: HashMap::new(),
    };
    reader.read(text, variables)?;
    if reader.media.segments.is_empty() {
        return Err(Error::new(ErrorKind::Playlist, "the playlist names no segments"));
    }
    Ok(reader.media)
}

/// What m3u8-rs is to read next, and what it is not asked.
struct Batch {
    text: String,
    marks: Vec<Mark>,
}

struct Mark {
    line: usize,
    kind: MarkKind,
}

enum MarkKind {
    Key,
    InitSection,
    /// With its EXTINF, for which the `f32` of m3u8-rs is too coarse.
    Segment(Option<Nanos>),
}

impl Batch {
    fn new() -> Self {
        Self { text: "#EXTM3U\n".to_owned(), marks: Vec::with_capacity(BATCH_MARKS) }
    }

    fn mark(&mut self, line: usize, kind: MarkKind, uri: &str) {
        self.text.push_str(uri);
        self.text.push('\n');
        self.marks.push(Mark { line, kind });
    }
}

/// Tags that apply to the next segment alone.
#[derive(Default)]
struct Pending {
    text: String,
    /// The line of an EXTINF, and its duration.
    extinf: Option<(usize, Option<Nanos>)>,
}

/// Says that the segment of an EXTINF is not there, be it for a cut or a slip.
const LONE_EXTINF: &str = "EXTINF without a URI";

struct Reader<'a> {
    base: &'a Base,
    limits: &'a Limits,
    cancel: &'a CancelToken,
    warnings: &'a mut Warnings,
    sequence_known: bool,
    media: MediaPlaylist,
    keys: Keys,
    init: Option<Arc<InitSection>>,
    /// Where the last byte range of each resource ended, by its URI as written.
    range_ends: HashMap<String, u64>,
}

impl Reader<'_> {
    fn read(&mut self, text: &str, variables: &mut Variables<'_>) -> Result<()> {
        let mut batch = Batch::new();
        let mut pending = Pending::default();
        for line in lines(text) {
            match line.content {
                Content::Tag("EXT-X-DEFINE", list) => variables.define(line.number, list)?,
                Content::Tag("EXT-X-KEY", list) => {
                    key_tag(&mut batch.text, &Attributes::parse(line.number, list, variables)?);
                    batch.mark(line.number, MarkKind::Key, "-");
                }
                Content::Tag("EXT-X-MAP", list) => {
                    map_tag(&mut batch.text, line.number, &Attributes::parse(line.number, list, variables)?)?;
                    batch.mark(line.number, MarkKind::InitSection, "-");
                }
                Content::Tag(name, value) => self.segment_tag(line.number, name, value, &mut pending)?,
                Content::Uri(uri) => {
                    let Pending { text, extinf } = std::mem::take(&mut pending);
                    if extinf.is_none() {
                        self.warnings.line(line.number, "a URI without EXTINF is taken as a segment");
                    }
                    let uri = variables.substitute(line.number, uri)?;
                    // As a variable may put it there, where m3u8-rs would take it for a tag.
                    if uri.starts_with('#') || uri.trim().is_empty() {
                        return Err(malformed(line.number, "the URI is empty"));
                    }
                    batch.text.push_str(&text);
                    batch.mark(line.number, MarkKind::Segment(extinf.and_then(|(_, d)| d)), uri.trim());
                }
            }
            if batch.marks.len() >= BATCH_MARKS {
                self.cancel.check()?;
                self.take_batch(&mut batch)?;
            }
        }
        if let Some((line, _)) = pending.extinf {
            self.warnings.line(line, LONE_EXTINF);
        }
        self.take_batch(&mut batch)
    }

    fn segment_tag(&mut self, line: usize, name: &str, value: &str, pending: &mut Pending) -> Result<()> {
        match name {
            "EXTINF" => {
                let duration = match values::extinf(value) {
                    Extinf::Duration(duration) => Some(duration),
                    Extinf::DecimalComma(duration) => {
                        self.warnings.line(line, "EXTINF with a decimal comma");
                        Some(duration)
                    }
                    Extinf::Nonsense => {
                        self.warnings.line(line, "EXTINF is no usable duration");
                        None
                    }
                };
                if let Some((line, _)) = pending.extinf.replace((line, duration)) {
                    self.warnings.line(line, LONE_EXTINF);
                }
            }
            "EXT-X-BYTERANGE" => {
                let (length, offset) =
                    values::byte_range(value).map_err(|what| malformed(line, format!("EXT-X-BYTERANGE {what}")))?;
                pending.text.push_str(&format!("#EXT-X-BYTERANGE:{}\n", written(length, offset)));
            }
            "EXT-X-DISCONTINUITY" | "EXT-X-GAP" => pending.text.push_str(&format!("#{name}\n")),
            "EXT-X-PROGRAM-DATE-TIME" => {
                pending.text.push_str(&format!("#EXT-X-PROGRAM-DATE-TIME:{}\n", values::rfc3339(value)));
            }
            _ => {}
        }
        Ok(())
    }

    fn take_batch(&mut self, batch: &mut Batch) -> Result<()> {
        let Batch { text, marks } = std::mem::replace(batch, Batch::new());
        let read = m3u8_rs::parse_media_playlist_res(text.as_bytes());
        let read = read.map(|playlist| playlist.segments).unwrap_or_default();
        if read.len() != marks.len() {
            let line = marks.first().map_or(0, |mark| mark.line);
            let message = format!("{} of {} entries can be read from here on", read.len(), marks.len());
            return Err(malformed(line, message));
        }
        // An error of a key or an init section tells the segment that it was to serve.
        let names = marks.iter().zip(&read).filter(|(mark, _)| matches!(mark.kind, MarkKind::Segment(_)));
        let names: Vec<String> = names.map(|(_, segment)| segment.uri.clone()).collect();
        let first = self.media.segments.len();
        for (mark, segment) in marks.into_iter().zip(read) {
            let index = self.media.segments.len();
            let taken = match mark.kind {
                MarkKind::Key => self.key(segment.key, mark.line),
                MarkKind::InitSection => self.init_section(segment.map, mark.line),
                MarkKind::Segment(duration) => self.segment(segment, duration, mark.line),
            };
            taken.map_err(|error| match (names.get(index - first), self.sequence(index)) {
                (Some(name), Ok(sequence)) => error.with_segment(sequence, shown_reference(name)),
                _ => error,
            })?;
        }
        Ok(())
    }

    fn key(&mut self, key: Option<m3u8_rs::Key>, line: usize) -> Result<()> {
        let key = key.ok_or_else(|| malformed(line, "EXT-X-KEY without METHOD"))?;
        self.keys.add(key, line, self.base, self.limits)
    }

    fn init_section(&mut self, map: Option<m3u8_rs::Map>, line: usize) -> Result<()> {
        let map = map.ok_or_else(|| malformed(line, "EXT-X-MAP without URI"))?;
        let location = resolve(&map.uri, self.base, Slot::InitSection, self.limits)?;
        // Without an offset it begins at the resource's first byte (RFC 8216, 4.3.2.5).
        let byte_range =
            map.byte_range.map(|range| checked_range(range.offset.unwrap_or(0), range.length, line)).transpose()?;
        let key = self.keys.in_force();
        if key.as_ref().is_some_and(|key| key.is_supported() && key.iv.is_none()) {
            return Err(malformed(line, "an encrypted init section (EXT-X-MAP) whose key has no IV"));
        }
        let init = InitSection { location, byte_range, key };
        if self.init.as_deref() != Some(&init) {
            self.init = Some(Arc::new(init));
        }
        Ok(())
    }

    fn segment(&mut self, read: m3u8_rs::MediaSegment, duration: Option<Nanos>, line: usize) -> Result<()> {
        let media_sequence = self.sequence(self.media.segments.len())?;
        let location = resolve(&read.uri, self.base, Slot::Segment, self.limits)?;
        let byte_range = read.byte_range.map(|range| self.byte_range(&read.uri, &range, line)).transpose()?;
        let key = self.keys.in_force();
        if !self.sequence_known && key.as_ref().is_some_and(|key| key.is_supported() && key.iv.is_none()) {
            return Err(malformed(line, "the IV is the media sequence number, which the playlist does not tell")
                .with_hint("correct EXT-X-MEDIA-SEQUENCE"));
        }
        let has_tag = |name: &str| read.unknown_tags.iter().any(|tag| tag.tag == name);
        let time = read.program_date_time.and_then(|time| time.timestamp_nanos_opt());
        if time.is_none() && (read.program_date_time.is_some() || has_tag("X-PROGRAM-DATE-TIME")) {
            self.warnings.line(line, "EXT-X-PROGRAM-DATE-TIME of this segment is no usable time");
        }
        self.media.segments.push(Segment {
            media_sequence,
            location,
            byte_range,
            duration,
            discontinuity: read.discontinuity,
            gap: has_tag("X-GAP"),
            key,
            init: self.init.clone(),
            program_date_time: time.map(Nanos),
        });
        Ok(())
    }

    /// The media sequence number of a segment by its index.
    fn sequence(&self, index: usize) -> Result<u64> {
        let sequence = u64::try_from(index).ok().and_then(|index| self.media.media_sequence.checked_add(index));
        sequence.ok_or_else(|| Error::new(ErrorKind::Playlist, "the media sequence numbers go beyond 64 bits"))
    }

    /// A range without offset begins where the last one of the same resource ended.
    ///
    /// The first of a resource must have one (RFC 8216, 4.3.2.2). Players begin at 0 where it
    /// has none, and so do we, with a warning.
    fn byte_range(&mut self, uri: &str, range: &m3u8_rs::ByteRange, line: usize) -> Result<ByteRange> {
        let offset = match (range.offset, self.range_ends.get(uri)) {
            (Some(offset), _) => offset,
            (None, Some(&end)) => end,
            (None, None) => {
                self.warnings.line(line, "the first EXT-X-BYTERANGE of a resource has no offset: taken as 0");
                0
            }
        };
        let range = checked_range(offset, range.length, line)?;
        match self.range_ends.get_mut(uri) {
            Some(end) => *end = range.offset + range.length,
            None => {
                self.range_ends.insert(uri.to_owned(), range.offset + range.length);
            }
        }
        Ok(range)
    }
}

fn checked_range(offset: u64, length: u64, line: usize) -> Result<ByteRange> {
    match offset.checked_add(length) {
        Some(_) => Ok(ByteRange { offset, length }),
        None => Err(malformed(line, "the byte range ends beyond 64 bits")),
    }
}

/// A byte range as m3u8-rs reads it whole.
fn written(length: u64, offset: Option<u64>) -> String {
    offset.map_or_else(|| length.to_string(), |offset| format!("{length}@{offset}"))
}

fn key_tag(text: &mut String, attributes: &Attributes<'_>) {
    let method = attributes.get("METHOD");
    // m3u8-rs refuses METHOD=NONE unless there is an IV.
    let iv = if method == Some("NONE") { Some("0x0") } else { attributes.get("IV") };
    TagWriter::new(text, "EXT-X-KEY")
        .bare("METHOD", method)
        .quoted("URI", attributes.get("URI"))
        .bare("IV", iv)
        .quoted("KEYFORMAT", attributes.get("KEYFORMAT"))
        .end();
}

fn map_tag(text: &mut String, line: usize, attributes: &Attributes<'_>) -> Result<()> {
    let range = attributes.get("BYTERANGE").map(values::byte_range).transpose();
    let range = range.map_err(|what| malformed(line, format!("the BYTERANGE of EXT-X-MAP {what}")))?;
    let range = range.map(|(length, offset)| written(length, offset));
    TagWriter::new(text, "EXT-X-MAP").quoted("URI", attributes.get("URI")).quoted("BYTERANGE", range.as_deref()).end();
    Ok(())
}
