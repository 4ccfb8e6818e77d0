//! What a bench merges, whole or in part, and what a copy of the same reads.

use std::fs;
use std::path::{Path, PathBuf};

use avweld::{CancelToken, Error, Input, Report, Result};

use super::generate;
use super::report::InputFacts;

/// An input, and the files whose bytes a copy of it takes.
pub(super) struct Source {
    origin: Origin,
    pub(super) facts: InputFacts,
}

enum Origin {
    /// A folder with segments in order and an `index.m3u8`.
    Generated { folder: PathBuf, segments: Vec<PathBuf> },
    /// The user's, and what one merge of it made.
    Given { input: Input, merged: Vec<PathBuf> },
}

/// Segments of a small merge.
pub(super) const SMALL: usize = 3;

/// Makes an input of about so many bytes in a new folder.
pub(super) fn make(folder: &Path, bytes: u64, cancel: &CancelToken) -> Result<Vec<PathBuf>> {
    fs::create_dir(folder).map_err(|e| Error::io("cannot create a folder for the bench's input", e))?;
    let segments = (bytes + generate::SEGMENT_BYTES / 2) / generate::SEGMENT_BYTES;
    generate::write(folder, segments.max(SMALL as u64), cancel)
}

impl Source {
    /// Segments that were made, which one merge has read once.
    pub(super) fn generated(folder: PathBuf, segments: Vec<PathBuf>, first: &Report) -> Self {
        Self { origin: Origin::Generated { folder, segments }, facts: facts("generated", first) }
    }

    /// The user's input, which one merge has read once, and its output, which stays.
    pub(super) fn given(input: Input, first: &Report) -> Self {
        let merged = first.outputs.clone();
        Self { origin: Origin::Given { input, merged }, facts: facts("given", first) }
    }

    pub(super) fn is_given(&self) -> bool {
        matches!(self.origin, Origin::Given { .. })
    }

    /// The whole.
    pub(super) fn whole(&self) -> (Input, Vec<PathBuf>) {
        match &self.origin {
            Origin::Generated { folder, segments } => (Input::from(folder.join("index.m3u8")), segments.clone()),
            Origin::Given { input, merged } => (input.clone(), merged.clone()),
        }
    }

    /// The n-th part of so many segments, or the whole where it cannot be divided.
    pub(super) fn part(&self, n: usize, length: usize) -> (Input, Vec<PathBuf>) {
        let Origin::Generated { folder, segments } = &self.origin else { return self.whole() };
        let length = length.min(segments.len());
        // None reaches over the end: its clock would begin anew in the middle.
        let from = n * length % (segments.len() - length + 1);
        let part = &segments[from..from + length];
        let names = part.iter().filter_map(|path| path.file_name()?.to_str());
        let text = generate::playlist(names).into_bytes();
        (Input::PlaylistText { text, base: folder.to_string_lossy().into_owned() }, part.to_vec())
    }

    /// About how many bytes a part of so many segments has.
    pub(super) fn part_bytes(&self, length: usize) -> u64 {
        match &self.origin {
            Origin::Generated { segments, .. } => {
                self.facts.bytes * length.min(segments.len()) as u64 / segments.len().max(1) as u64
            }
            Origin::Given { .. } => self.facts.bytes,
        }
    }

    /// Folder and name of a playlist that can be served; `None`: the input is none, or comes from elsewhere.
    pub(super) fn playlist(&self) -> Option<(PathBuf, String)> {
        let path = match &self.origin {
            Origin::Generated { folder, .. } => folder.join("index.m3u8"),
            Origin::Given { input: Input::Paths(paths), .. } => match &paths[..] {
                [path] if path.is_file() && path.extension().is_some_and(|e| e.eq_ignore_ascii_case("m3u8")) => {
                    path.canonicalize().ok()?
                }
                _ => return None,
            },
            Origin::Given { .. } => return None,
        };
        Some((path.parent()?.to_owned(), path.file_name()?.to_str()?.to_owned()))
    }
}

fn facts(kind: &'static str, first: &Report) -> InputFacts {
    InputFacts { kind, bytes: first.bytes_in, segments: first.segments.merged, duration_s: first.duration_s }
}
