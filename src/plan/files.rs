//! Files and folders to one sequence of segments.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Listed, Plan, fetcher, file_name};
use crate::container::{Container, InitPrefix, init_prefix, sniff};
use crate::demux::InputRole;
use crate::error::{Error, ErrorKind, Result};
use crate::fetch::{Fetcher, PathPolicy, PlaylistKeys};
use crate::mux::TrackRole;
use crate::options::Options;
use crate::playlist::{InitSection, Location, MediaPlaylist, Segment};

/// What a folder's media files end in.
const MEDIA_EXTENSIONS: [&str; 20] = [
    "ts", "m2ts", "mts", "m2t", "tsv", "m4s", "mp4", "m4a", "m4v", "m4f", "cmfv", "cmfa", "cmft", "mov", "aac", "adts",
    "mp3", "ac3", "ec3", "eac3",
];

/// The media files of a folder, in natural order.
pub(super) fn folder(path: &Path, options: &Options) -> Result<Plan> {
    files(&media_files(path)?, path, options)
}

/// Media files in the order given, as one sequence of segments.
pub(super) fn files(paths: &[PathBuf], name: &Path, options: &Options) -> Result<Plan> {
    let fetcher = fetcher(PathPolicy::Any, options, PlaylistKeys::Absent);
    let mut segments: Vec<Segment> = paths.iter().zip(0..).map(|(path, n)| media_file(path, n)).collect();
    for path in paths {
        fs::metadata(path).map_err(|e| Error::io(format_args!("cannot open {}", path.display()), e))?;
    }
    lead_with_init_section(&mut segments, &fetcher)?;
    if segments.len() > options.limits.segments {
        let message = format!("{} files are more than the limit of {}", segments.len(), options.limits.segments);
        return Err(Error::new(ErrorKind::Limit, message));
    }
    let playlist = MediaPlaylist { segments, ended: true, ..MediaPlaylist::default() };
    let main = Listed {
        name: file_name(name),
        playlist,
        fetcher,
        input_role: InputRole::Everything,
        track_role: TrackRole::default(),
    };
    Ok(Plan { kind: "files", choice: None, inputs: vec![main], subtitles: Vec::new(), warnings: Vec::new() })
}

fn media_file(path: &Path, media_sequence: u64) -> Segment {
    Segment {
        media_sequence,
        location: Location::File(path.to_owned()),
        byte_range: None,
        duration: None,
        discontinuity: false,
        gap: false,
        key: None,
        init: None,
        program_date_time: None,
    }
}

/// Fragments need their init section first, and its name may sort anywhere: where the first file is a
/// fragment and a single other holds nothing but an init section, that one is the fragments'.
fn lead_with_init_section(segments: &mut Vec<Segment>, fetcher: &Fetcher) -> Result<()> {
    let prefix = |segment: &Segment| -> Result<Option<InitPrefix>> {
        let bytes = fetcher.open(segment)?;
        let is_mp4 = sniff(bytes.head()).is_ok_and(|found| found.container == Container::Mp4);
        Ok(is_mp4.then(|| init_prefix(bytes.head(), bytes.head_is_all())))
    };
    let Some(first) = segments.first() else { return Ok(()) };
    if !prefix(first).is_ok_and(|p| p == Some(InitPrefix::None)) {
        return Ok(());
    }
    let mut found = Vec::new();
    for (n, segment) in segments.iter().enumerate() {
        if prefix(segment).is_ok_and(|p| p == Some(InitPrefix::Only)) {
            found.push(n);
        }
    }
    if let [n] = found[..] {
        let init = Arc::new(InitSection { location: segments.remove(n).location, byte_range: None, key: None });
        for segment in segments {
            segment.init = Some(init.clone());
        }
    }
    Ok(())
}

/// The media files of a folder in natural order: `2.ts` before `10.ts`.
fn media_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |e| Error::io(format_args!("cannot read folder {}", folder.display()), e);
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
        if path.is_file() && MEDIA_EXTENSIONS.contains(&extension.as_str()) {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(Error::new(ErrorKind::NotFound, format!("folder {} holds no media files", folder.display()))
            .with_hint(format!("files ending in {} are taken", MEDIA_EXTENSIONS.join(", "))));
    }
    alphanumeric_sort::sort_path_slice(&mut paths);
    Ok(paths)
}
