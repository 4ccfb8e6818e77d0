//! Subtitle renditions: WebVTT and IMSC read from their segments, put on the output's clock, and written as text.
//!
//! A rendition's segments become [`Rendition::documents`], each with times of its own (`read`, `webvtt`, `mp4`,
//! `ttml`). Once the media is merged, [`Clock`] tells where each of them stands on the output, and `render` makes one
//! text for each part of the output. Nothing here knows libav: subtitles are text, and MP4 is a wrapping of it.

mod clock;
mod mp4;
mod read;
mod render;
#[cfg(test)]
mod tests;
mod ttml;
mod webvtt;
mod xml;

pub(crate) use clock::Clock;
pub(crate) use read::{Source, read};
pub(crate) use render::render;

use crate::playlist::Segment;
use crate::time::Nanos;
use std::sync::Arc;

/// What subtitles are written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SubtitleFormat {
    WebVtt,
    Ttml,
}

impl SubtitleFormat {
    /// The extension of its files.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::WebVtt => "vtt",
            Self::Ttml => "ttml",
        }
    }
}

/// A rendition that was read whole.
pub(crate) struct Rendition {
    /// As it is called in messages.
    pub(crate) name: String,
    segments: Arc<[Segment]>,
    documents: Vec<Document>,
    pub(crate) format: SubtitleFormat,
    /// What the first WebVTT file says behind its `WEBVTT`.
    title: String,
    /// STYLE, REGION and NOTE blocks of all WebVTT files, each once.
    blocks: Vec<String>,
    /// Cues came in samples of MP4.
    in_samples: bool,
    /// Media sequence numbers of the segments that are not there.
    pub(crate) missing: Vec<u64>,
    /// Bytes read.
    pub(crate) bytes: u64,
}

/// What one segment, or one sample of it, holds.
struct Document {
    /// Position of its segment.
    segment: usize,
    /// Where its time 0 stands on the media's clock; `None` if nothing says so.
    zero: Option<Nanos>,
    content: Content,
}

enum Content {
    WebVtt(Vec<webvtt::Cue>),
    Ttml(Box<ttml::Document>),
}

impl Document {
    /// Its first time and its last, on its own clock; `None` if it has none.
    fn span(&self) -> Option<(Nanos, Nanos)> {
        match &self.content {
            Content::WebVtt(cues) => {
                let start = cues.iter().map(|cue| cue.start).min()?;
                Some((start, cues.iter().map(|cue| cue.end).max()?))
            }
            Content::Ttml(document) => document.span(),
        }
    }
}
