//! A rendition's segments, read one after the other.

use std::collections::HashSet;
use std::sync::Arc;

use super::mp4::{self, Coding, Sample, Track};
use super::{Content, Document, Rendition, SubtitleFormat, ttml, webvtt};
use crate::cancel::CancelToken;
use crate::container::{Container, InitPrefix, init_prefix, sniff};
use crate::error::{Error, ErrorKind, Result};
use crate::fetch::Fetcher;
use crate::options::OnGap;
use crate::playlist::{InitSection, Segment};
use crate::time::Nanos;

/// Read at a time.
const BLOCK_BYTES: usize = 64 << 10;

/// A subtitle rendition as it was planned.
pub(crate) struct Source {
    /// Its playlist, as messages call it.
    pub(crate) name: String,
    pub(crate) segments: Arc<[Segment]>,
    pub(crate) fetcher: Arc<Fetcher>,
    pub(crate) on_gap: OnGap,
    /// Bytes of all segments together, at most.
    pub(crate) limit_bytes: usize,
}

/// What is read so far.
struct Reader<'a> {
    source: &'a Source,
    out: Rendition,
    format: Option<SubtitleFormat>,
    /// The init section at hand, and the track that it describes.
    init: Option<(Arc<InitSection>, Track)>,
    known_blocks: HashSet<String>,
    left_bytes: usize,
    malformed: u64,
    /// The decoding time that the fragments so far come to, in ticks of their track.
    decoded: u64,
}

/// Reads a rendition whole. Blocks. `warn` hears of what was survived.
///
/// # Errors
/// As for media: a segment that cannot be had or is no subtitles, where gaps fail; a limit; a cancellation.
pub(crate) fn read(source: &Source, warn: &mut dyn FnMut(String), cancel: &CancelToken) -> Result<Rendition> {
    let out = Rendition {
        name: source.name.clone(),
        segments: source.segments.clone(),
        documents: Vec::new(),
        format: SubtitleFormat::WebVtt,
        title: String::new(),
        blocks: Vec::new(),
        in_samples: false,
        missing: Vec::new(),
        bytes: 0,
    };
    let mut reader = Reader {
        source,
        out,
        format: None,
        init: None,
        known_blocks: HashSet::new(),
        left_bytes: source.limit_bytes,
        malformed: 0,
        decoded: 0,
    };
    for (position, segment) in source.segments.iter().enumerate() {
        cancel.check()?;
        let sequence = segment.media_sequence;
        if segment.gap {
            warn(format!("{}: segment {sequence} is marked as a gap and is left out", source.name));
            reader.out.missing.push(sequence);
            continue;
        }
        match reader.segment(position, segment) {
            Ok(()) => {}
            Err(error) if may_be_left_out(&error) && source.on_gap == OnGap::Skip => {
                warn(format!("{}: left out: {error}", source.name));
                reader.out.missing.push(sequence);
            }
            Err(error) => return Err(error),
        }
    }
    if reader.malformed > 0 {
        warn(format!("{}: {} malformed cues were left out", source.name, reader.malformed));
    }
    let Reader { mut out, format, .. } = reader;
    out.format = format.unwrap_or(SubtitleFormat::WebVtt);
    Ok(out)
}

/// An error that is a segment's own, and leaves the rest as it is.
fn may_be_left_out(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Media | ErrorKind::Network | ErrorKind::Timeout | ErrorKind::Forbidden)
}

fn bad(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Media, message)
        .with_hint("get the segment again, or go on with what is there with --on-gap skip")
}

impl Reader<'_> {
    fn segment(&mut self, position: usize, segment: &Segment) -> Result<()> {
        let bytes = self.bytes(segment)?;
        self.left_bytes -= bytes.len();
        self.out.bytes += bytes.len() as u64;
        self.take(position, segment, &bytes)
            .map_err(|e| e.with_segment(segment.media_sequence, segment.location.display()))
    }

    /// All bytes of a segment.
    fn bytes(&self, segment: &Segment) -> Result<Vec<u8>> {
        let in_segment = |e: Error| e.with_segment(segment.media_sequence, segment.location.display());
        let mut open = self.source.fetcher.open(segment)?;
        let mut bytes = Vec::new();
        let mut block = vec![0; BLOCK_BYTES];
        loop {
            let n = open.read(&mut block).map_err(in_segment)?;
            if n == 0 {
                return Ok(bytes);
            }
            if bytes.len() + n > self.left_bytes {
                let limit = self.source.limit_bytes;
                let message = format!("the subtitles have more than {limit} bytes");
                return Err(in_segment(Error::new(ErrorKind::Limit, message)));
            }
            bytes.extend_from_slice(&block[..n]);
        }
    }

    fn take(&mut self, position: usize, segment: &Segment, bytes: &[u8]) -> Result<()> {
        if webvtt::is_webvtt(bytes) {
            self.is(SubtitleFormat::WebVtt)?;
            let file = webvtt::parse(&String::from_utf8_lossy(bytes));
            self.malformed += file.malformed;
            self.header(file.title, file.blocks);
            self.push(position, file.zero, Content::WebVtt(file.cues));
            return Ok(());
        }
        if ttml::is_ttml(bytes) {
            self.is(SubtitleFormat::Ttml)?;
            let document = ttml_document(bytes, None)?;
            self.push(position, None, Content::Ttml(Box::new(document)));
            return Ok(());
        }
        match sniff(bytes) {
            Ok(found) if found.container == Container::Mp4 => self.fragments(position, segment, bytes),
            Ok(found) => Err(bad(format!("no subtitles but {} in it", found.container.name()))),
            Err(what) => Err(bad(format!("no subtitles in it: {what}"))),
        }
    }

    /// Subtitles in fragmented MP4: what they say stands on the media's own clock.
    fn fragments(&mut self, position: usize, segment: &Segment, bytes: &[u8]) -> Result<()> {
        let track = self.track(segment, bytes)?;
        let (samples, whole) = mp4::samples(bytes, &track, &mut self.decoded);
        if !whole {
            return Err(bad("it is damaged: what it lists and what it holds do not fit together"));
        }
        match track.coding {
            Coding::WebVtt => {
                self.is(SubtitleFormat::WebVtt)?;
                self.out.in_samples = true;
                let (title, blocks) = mp4::header_blocks(&track);
                self.header(title, blocks);
                self.push(position, Some(Nanos::ZERO), Content::WebVtt(mp4::cues(&samples)));
            }
            Coding::Ttml => {
                self.is(SubtitleFormat::Ttml)?;
                for Sample { start, end, data } in samples.into_iter().filter(|s| !s.data.is_empty()) {
                    let document = ttml_document(data, Some((start, end)))?;
                    self.push(position, Some(Nanos::ZERO), Content::Ttml(Box::new(document)));
                }
            }
        }
        Ok(())
    }

    /// The track that a segment's samples belong to: of its init section, or of its own start.
    fn track(&mut self, segment: &Segment, bytes: &[u8]) -> Result<Track> {
        if let InitPrefix::Length(end) = init_prefix(bytes, true)
            && let Some(track) = mp4::track(&bytes[..end.min(bytes.len())])
        {
            return Ok(track);
        }
        let Some(init) = &segment.init else {
            return Err(bad("it needs an init section, and the playlist names none"));
        };
        if let Some((known, track)) = &self.init
            && known == init
        {
            return Ok(track.clone());
        }
        let track = mp4::track(&self.source.fetcher.read_init(init)?).ok_or_else(|| {
            let message = format!("init section {} describes no WebVTT and no TTML", init.location.display());
            Error::new(ErrorKind::Unsupported, message).with_hint("leave them out with --subtitles none")
        })?;
        self.init = Some((init.clone(), track.clone()));
        Ok(track)
    }

    /// All segments of a rendition are of one kind.
    fn is(&mut self, format: SubtitleFormat) -> Result<()> {
        match self.format.get_or_insert(format) {
            known if *known == format => Ok(()),
            _ => Err(bad("the rendition changes between WebVTT and TTML")),
        }
    }

    fn header(&mut self, title: String, blocks: Vec<String>) {
        if self.out.title.is_empty() {
            self.out.title = title;
        }
        for block in blocks {
            if self.known_blocks.insert(block.clone()) {
                self.out.blocks.push(block);
            }
        }
    }

    fn push(&mut self, segment: usize, zero: Option<Nanos>, content: Content) {
        self.out.documents.push(Document { segment, zero, content });
    }
}

fn ttml_document(bytes: &[u8], shown: Option<(Nanos, Nanos)>) -> Result<ttml::Document> {
    let text = std::str::from_utf8(bytes).map_err(|_| bad("a TTML document that is not UTF-8"))?;
    ttml::parse(text, shown).map_err(|what| bad(format!("a TTML document that cannot be read: {what}")))
}
