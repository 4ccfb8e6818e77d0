//! What is in an input, without merging it.

mod deep;

use std::collections::HashSet;
use std::sync::Arc;

use serde::Serialize;

use crate::av::{LogScope, Stream};
use crate::cancel::CancelToken;
use crate::container::Container;
use crate::demux::{Demuxed, Dropped, InputDemuxer, InputRole, InputSource};
use crate::error::Result;
use crate::fetch::{Download, Settings, Used, Wanted, Web, wanted};
use crate::input::Input;
use crate::net::Network;
use crate::options::{OnGap, Options};
use crate::plan::{Choice, Listed, Plan, Purpose, plan};
use crate::playlist::{InitSection, RenditionKind, Segment};
use crate::report::Deep;
use crate::time::Nanos;
use crate::workspace::{self, Workspace};

/// What an input holds. Serializes to the JSON object that `inspect --json` prints.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct Inspection {
    /// `multivariant`, `media` or `files`.
    pub kind: &'static str,
    /// Variants of a multivariant playlist.
    pub variants: Vec<VariantInfo>,
    /// Renditions of a multivariant playlist.
    pub renditions: Vec<RenditionInfo>,
    /// The media playlists that a merge with these options would read, the main one first. One that
    /// cannot be read is not among them: a warning tells why.
    pub inputs: Vec<InputInfo>,
    /// What is odd, one line each.
    pub warnings: Vec<String>,
}

/// A variant.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct VariantInfo {
    /// Position in the playlist, from 0.
    pub index: usize,
    /// Its playlist: a URL without its query, or a path below the folder of the first playlist.
    pub uri: String,
    /// Its highest bandwidth, in bits a second; 0 if the playlist does not say.
    pub bandwidth: u64,
    /// `WIDTHxHEIGHT` in pixels; `None` if the playlist does not say, as for all that follows.
    pub resolution: Option<String>,
    /// Frames a second.
    pub frame_rate: Option<f64>,
    /// RFC 6381 names.
    pub codecs: Option<String>,
    /// Its group of audio renditions.
    pub audio_group: Option<String>,
    /// True for the one that would be merged.
    pub selected: bool,
}

/// A rendition.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RenditionInfo {
    /// `audio`, `video`, `subtitles` or `closed_captions`.
    pub kind: &'static str,
    /// Its group.
    pub group: String,
    /// Its name.
    pub name: String,
    /// Its language tag; `None` if the playlist does not say.
    pub language: Option<String>,
    /// Marked DEFAULT.
    pub default: bool,
    /// Its playlist, as a variant's; `None`: muxed into the variants.
    pub uri: Option<String>,
    /// True for those that would be merged, or written beside the output.
    pub selected: bool,
}

/// A sequence of segments.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct InputInfo {
    /// Playlist, folder or first file: its name, or for a variant or rendition its `uri`.
    pub uri: String,
    /// Number of segments.
    pub segments: u64,
    /// Media sequence number of the first; 0 without a playlist.
    pub media_sequence: u64,
    /// Sum of the durations that the playlist gives, in seconds; `None` if it does not give all, or there is none.
    pub duration_s: Option<f64>,
    /// The playlist says that it is complete; true without a playlist.
    pub ended: bool,
    /// Discontinuities that the playlist marks before any segment but the first.
    pub discontinuities: u64,
    /// Segments marked as gaps.
    pub gaps: u64,
    /// Different init sections.
    pub init_sections: u64,
    /// Encryption methods in use, each once, in order of appearance: `AES-128`, `SAMPLE-AES (FairPlay)`.
    pub encryption: Vec<String>,
    /// What the first segment's bytes are: `ts`, `fmp4`, `aac`, `mp3`, `ac3`, `eac3`; `None` if there is no telling.
    pub container: Option<&'static str>,
    /// Streams of the first segment that is no gap; empty if it could not be read.
    pub streams: Vec<StreamInfo>,
    /// What all of its media holds; `None`, and not in the JSON, unless [`inspect_deep`] looked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deep: Option<Deep>,
}

/// A stream of a sequence's first segment: those that can be merged first, then those that cannot.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StreamInfo {
    /// `video`, `audio`, `subtitle` or `data`.
    pub kind: &'static str,
    /// libav's name of the codec.
    pub codec: String,
    /// Language tag by the container; `None` if it does not say.
    pub language: Option<String>,
    /// Width in pixels; `None` for what is no video or would be left out of a merge.
    pub width: Option<u32>,
    /// Height in pixels; `None` as for the width.
    pub height: Option<u32>,
    /// Samples a second; `None` for what is no audio or would be left out of a merge.
    pub sample_rate_hz: Option<u32>,
    /// Number of channels; `None` as for the sample rate.
    pub channels: Option<u32>,
}

/// Looks into an input: its playlists, and the first segment of each sequence. Blocks; reads no more than that.
///
/// Once the first playlist is read, what a merge would be refused for is told in
/// [`warnings`](Inspection::warnings) instead: encryption that is not supported, a variant that is not
/// a local file, a first segment that cannot be read.
///
/// # Errors
/// `NotFound`, `Denied` or `Io` for an input that cannot be read, `Playlist` or `Limit` for a first playlist
/// that is malformed or too large, `Usage` for a variant or language that it does not have, `Unsupported` for
/// a URL. Without a playlist also what [`Job::run`](crate::Job::run) would say of the first file.
pub fn inspect(input: &Input, options: &Options) -> Result<Inspection> {
    look(input, options, &CancelToken::new(), |plan, warnings, web| {
        let mut inputs = Vec::new();
        for listed in plan.inputs {
            let mut info = facts(&listed);
            match first_segment(listed, options, web) {
                Ok(Some((container, streams))) => (info.container, info.streams) = (Some(container.name()), streams),
                Ok(None) => {}
                // Without a playlist the file is all there is to look into.
                Err(error) if plan.kind == "files" => return Err(error),
                Err(error) => warnings.push(error.to_string()),
            }
            inputs.push(info);
        }
        Ok(inputs)
    })
}

/// Looks into an input and reads all of its media: [`InputInfo::deep`] tells of each stretch on one clock, and of
/// each stream in it, how it is at the source. Blocks until all is read; of what comes from the web, files in a
/// temporary folder are gone when this returns.
///
/// A segment that is missing or damaged, and a sequence that cannot be read on, are told in
/// [`warnings`](Inspection::warnings), and the rest is read.
///
/// # Errors
/// As [`inspect`]; and `Cancelled`, `Io`, `DiskFull` and `Internal` while the media is read.
pub fn inspect_deep(input: &Input, options: &Options, cancel: &CancelToken) -> Result<Inspection> {
    look(input, options, cancel, |plan, warnings, web| deep::inputs(plan, options, web, warnings))
}

/// Reads the playlists; `media` looks into the media of what a merge would read, and may add warnings.
fn look(
    input: &Input,
    options: &Options,
    cancel: &CancelToken,
    media: impl FnOnce(Plan, &mut Vec<String>, &Web) -> Result<Vec<InputInfo>>,
) -> Result<Inspection> {
    let _log = LogScope::enter();
    let network = Network::new(&options.network);
    let web = Web::new(&network, &options.network, input.url().as_ref(), cancel)?;
    let mut plan = plan(input, options, Purpose::Inspect, &web)?;
    let (variants, renditions) = plan.choice.as_ref().map(entries).unwrap_or_default();
    let (kind, mut warnings) = (plan.kind, std::mem::take(&mut plan.warnings));
    let inputs = media(plan, &mut warnings, &web)?;
    Ok(Inspection { kind, variants, renditions, inputs, warnings })
}

/// What a multivariant playlist lists.
fn entries(choice: &Choice) -> (Vec<VariantInfo>, Vec<RenditionInfo>) {
    let variants = choice.playlist.variants.iter().enumerate().map(|(index, variant)| VariantInfo {
        index,
        uri: variant.location.display_from(&choice.base),
        bandwidth: variant.bandwidth,
        resolution: variant.resolution.map(|(width, height)| format!("{width}x{height}")),
        frame_rate: variant.frame_rate,
        codecs: variant.codecs.clone(),
        audio_group: variant.audio_group.clone(),
        selected: index == choice.variant,
    });
    let renditions = choice.playlist.renditions.iter().enumerate().map(|(index, rendition)| RenditionInfo {
        kind: match rendition.kind {
            RenditionKind::Audio => "audio",
            RenditionKind::Video => "video",
            RenditionKind::Subtitles => "subtitles",
            RenditionKind::ClosedCaptions => "closed_captions",
        },
        group: rendition.group.clone(),
        name: rendition.name.clone(),
        language: rendition.language.clone(),
        default: rendition.default,
        uri: rendition.location.as_ref().map(|location| location.display_from(&choice.base)),
        selected: choice.renditions.contains(&index),
    });
    (variants.collect(), renditions.collect())
}

/// What the playlist alone tells.
fn facts(listed: &Listed) -> InputInfo {
    let playlist = &listed.playlist;
    let mut encryption: Vec<String> = Vec::new();
    for method in playlist.segments.iter().flat_map(Segment::keys).map(|key| key.method.name()) {
        if !encryption.iter().any(|known| known == method) {
            encryption.push(method.to_owned());
        }
    }
    let init_sections: HashSet<&InitSection> = playlist.segments.iter().filter_map(|s| s.init.as_deref()).collect();
    InputInfo {
        uri: listed.name.clone(),
        segments: playlist.segments.len() as u64,
        media_sequence: playlist.media_sequence,
        duration_s: playlist.duration().map(Nanos::seconds),
        ended: playlist.ended,
        discontinuities: playlist.discontinuities(),
        gaps: playlist.segments.iter().filter(|s| s.gap).count() as u64,
        init_sections: init_sections.len() as u64,
        encryption,
        container: None,
        streams: Vec::new(),
        deep: None,
    }
}

/// Container and streams of the first segment that is there; `None` if there is none, or none that can be read.
fn first_segment(mut listed: Listed, options: &Options, web: &Web) -> Result<Option<(Container, Vec<StreamInfo>)>> {
    listed.playlist.segments.retain(|segment| !segment.gap);
    listed.playlist.segments.truncate(1);
    // That was told when the playlist was read.
    if listed.playlist.segments.iter().flat_map(Segment::keys).any(|key| !key.is_supported()) {
        return Ok(None);
    }
    // Its streams are of interest, not which of them a merge would take from here.
    listed.input_role = InputRole::Everything;
    let workspace = Workspace::open(options.temp_dir.as_deref(), workspace::Purpose::default(), options.keep_temp)?;
    let wanted = wanted(&[listed.sequence()]);
    let _download = if wanted.is_empty() {
        None
    } else {
        Some(download(&[&listed], wanted, OnGap::Fail, options, &workspace, web)?)
    };
    let source = InputSource { on_gap: OnGap::Fail, ..listed.into_source(options, workspace.path()) };
    let mut demuxer = InputDemuxer::new(source, &options.limits, &CancelToken::new());
    loop {
        match demuxer.read()? {
            Demuxed::Session { container, streams, dropped, .. } => {
                let streams = streams.into_iter().map(taken).chain(dropped.into_iter().map(left_out)).collect();
                return Ok(Some((container, streams)));
            }
            Demuxed::End => return Ok(None),
            Demuxed::Packet(_) | Demuxed::SegmentEnd(_) => {}
        }
    }
}

/// Fetches what is wanted of some sequences. Dropped, it ends.
fn download(
    listed: &[&Listed],
    wanted: Vec<Wanted>,
    on_gap: OnGap,
    options: &Options,
    workspace: &Workspace,
    web: &Web,
) -> Result<Arc<Download>> {
    let settings = Settings {
        client: web.client.clone(),
        store: workspace.store()?,
        cancel: web.cancel.clone(),
        on_gap,
        limits: options.limits.clone(),
        refresh: None,
        listener: None,
        used: if options.keep_temp { Used::Kept } else { Used::Deleted },
    };
    let download = Arc::new(Download::start(&web.network, wanted, settings)?);
    listed.iter().for_each(|listed| listed.fetcher.take_from(&download));
    Ok(download)
}

fn taken(stream: Stream) -> StreamInfo {
    let size = stream.parameters.size();
    StreamInfo {
        kind: stream.parameters.kind().name(),
        codec: stream.parameters.codec().name(),
        language: stream.language,
        width: size.map(|(width, _)| width),
        height: size.map(|(_, height)| height),
        sample_rate_hz: stream.parameters.sample_rate_hz(),
        channels: stream.parameters.channels(),
    }
}

fn left_out(stream: Dropped) -> StreamInfo {
    StreamInfo {
        kind: stream.kind.name(),
        codec: stream.codec,
        language: None,
        width: None,
        height: None,
        sample_rate_hz: None,
        channels: None,
    }
}
