//! From what the user gave to the inputs of a merge: playlists read, variant and renditions chosen, segments listed.
//!
//! A merge and a look into an input read the same playlists by the same rules. They differ in what they
//! make of trouble: a merge is refused, a look tells it and goes on ([`Purpose`]).

mod files;
mod playlists;
mod range;

use std::path::Path;
use std::sync::Arc;

use crate::demux::{InputRole, InputSource};
use crate::error::{Error, ErrorKind, Result};
use crate::fetch::{Fetcher, PathPolicy, PlaylistKeys, Sequence, Wanted, Web, wanted};
use crate::input::{Input, web_url};
use crate::mux::TrackRole;
use crate::options::Options;
use crate::playlist::{Base, MediaPlaylist, MultivariantPlaylist};
use crate::time::Nanos;

/// What an input is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// What cannot be merged is refused.
    Merge,
    /// What cannot be merged, or not be read beside the first playlist, becomes a warning.
    Inspect,
}

/// One sequence of segments that will be merged.
pub(crate) struct Listed {
    /// Playlist, folder or first file, without query.
    pub(crate) name: String,
    pub(crate) playlist: MediaPlaylist,
    pub(crate) fetcher: Arc<Fetcher>,
    pub(crate) input_role: InputRole,
    pub(crate) track_role: TrackRole,
}

/// A multivariant playlist, and what was chosen from it.
pub(crate) struct Choice {
    pub(crate) playlist: MultivariantPlaylist,
    /// What its references are relative to.
    pub(crate) base: Base,
    /// Position of the variant.
    pub(crate) variant: usize,
    /// Positions of the renditions, subtitles among them.
    pub(crate) renditions: Vec<usize>,
}

/// All that a job will read.
pub(crate) struct Plan {
    /// `multivariant`, `media` or `files`.
    pub(crate) kind: &'static str,
    pub(crate) choice: Option<Choice>,
    /// The main one first.
    pub(crate) inputs: Vec<Listed>,
    /// Subtitle renditions, which are written beside the output.
    pub(crate) subtitles: Vec<Listed>,
    pub(crate) warnings: Vec<String>,
}

/// Reads playlists and lists segments. Opens no media but for the first bytes of files in a folder.
pub(crate) fn plan(input: &Input, options: &Options, purpose: Purpose, web: &Web) -> Result<Plan> {
    let mut plan = read(input, options, purpose, web)?;
    if let Some(range) = options.range {
        range::cut(&mut plan, range)?;
    }
    Ok(plan)
}

fn read(input: &Input, options: &Options, purpose: Purpose, web: &Web) -> Result<Plan> {
    match input {
        Input::PlaylistText { text, base } => playlists::text(text, base, options, purpose, web),
        Input::Paths(paths) => match &paths[..] {
            [] => Err(Error::new(ErrorKind::Usage, "no input was given")),
            [path] if looks_like_url(path) => match web_url(path) {
                Some(url) => playlists::url(&url, options, purpose, web),
                None => {
                    Err(Error::new(ErrorKind::Usage, "the URL cannot be read").with_hint("check its host and port"))
                }
            },
            [path] if path.is_dir() => files::folder(path, options),
            [path] if playlists::is_playlist(path) => playlists::file(path, options, purpose, web),
            paths if paths.iter().any(|path| looks_like_url(path)) => {
                Err(Error::new(ErrorKind::Usage, "a URL cannot be merged with other inputs")
                    .with_hint("give the URL of one playlist"))
            }
            paths => files::files(paths, &paths[0], options),
        },
    }
}

impl Listed {
    /// As far as it matters for what comes from the web.
    pub(crate) fn sequence(&self) -> Sequence<'_> {
        Sequence { segments: &self.playlist.segments, is_text: false, key_given: self.fetcher.has_key() }
    }

    /// The sequence as a demuxer takes it.
    pub(crate) fn into_source(self, options: &Options, workspace: &Path) -> InputSource {
        InputSource {
            segments: self.playlist.segments.into(),
            fetcher: self.fetcher,
            role: self.input_role,
            on_gap: options.on_gap,
            workspace: workspace.to_owned(),
        }
    }
}

impl Plan {
    /// Media time of the longest input, by its playlist.
    pub(crate) fn duration(&self) -> Option<Nanos> {
        self.inputs.iter().map(|i| i.playlist.duration()).collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    /// Segments over all inputs.
    pub(crate) fn segments(&self) -> u64 {
        self.inputs.iter().map(|i| i.playlist.segments.len() as u64).sum()
    }

    /// All that comes from the web.
    pub(crate) fn wanted(&self) -> Vec<Wanted> {
        let subtitles = self.subtitles.iter().map(|listed| Sequence { is_text: true, ..listed.sequence() });
        wanted(&self.inputs.iter().map(Listed::sequence).chain(subtitles).collect::<Vec<_>>())
    }

    /// Bytes of all inputs, as far as that can be told beforehand.
    pub(crate) fn size_bytes(&self) -> u64 {
        let of = |i: &Listed| i.playlist.segments.iter().filter_map(|s| i.fetcher.size_bytes(s)).sum::<u64>();
        self.inputs.iter().map(of).sum()
    }
}

/// For all segments of one playlist: each key is read once.
fn fetcher(policy: PathPolicy, options: &Options, keys: PlaylistKeys) -> Arc<Fetcher> {
    Arc::new(Fetcher::new(policy, options.limits.clone(), options.key.clone(), keys))
}

fn looks_like_url(path: &Path) -> bool {
    let text = path.to_string_lossy();
    ["http://", "https://"]
        .iter()
        .any(|scheme| text.get(..scheme.len()).is_some_and(|s| s.eq_ignore_ascii_case(scheme)))
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
