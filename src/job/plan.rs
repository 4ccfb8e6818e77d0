//! From what the user gave to the inputs of a merge: playlists read, variant and renditions chosen, segments listed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::container::{Container, InitPrefix, init_prefix, sniff};
use crate::demux::{InputRole, InputSource};
use crate::error::{Error, ErrorKind, Result};
use crate::fetch::{Fetcher, PathPolicy, PlaylistKeys};
use crate::input::Input;
use crate::mux::TrackRole;
use crate::options::{Limits, Options};
use crate::pipeline::PlannedInput;
use crate::playlist::{
    Base, InitSection, KeyMethod, Location, MediaPlaylist, MultivariantPlaylist, Playlist, Rendition, Segment, Variant,
    parse, select_audio, select_variant,
};
use crate::time::Nanos;

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
    pub(crate) variant: Variant,
    pub(crate) renditions: Vec<Rendition>,
}

/// All that a job will read.
pub(crate) struct Plan {
    /// `multivariant`, `media` or `files`.
    pub(crate) kind: &'static str,
    pub(crate) choice: Option<Choice>,
    /// The main one first.
    pub(crate) inputs: Vec<Listed>,
    pub(crate) warnings: Vec<String>,
}

/// Reads playlists and lists segments. Opens no media but for the first bytes of files in a folder.
pub(crate) fn plan(input: &Input, options: &Options) -> Result<Plan> {
    match input {
        Input::PlaylistText { text, base } => {
            let base = text_base(base)?;
            Reader::new(base.clone(), options)?.playlist(text, "the playlist given", &base)
        }
        Input::Paths(paths) => match &paths[..] {
            [] => Err(Error::new(ErrorKind::Usage, "no input was given")),
            [path] if is_url(path) => Err(not_local(path)),
            [path] if path.is_dir() => files(&media_files(path)?, path, options),
            [path] if is_playlist(path) => playlist_file(path, options),
            paths => match paths.iter().find(|p| is_url(p)) {
                Some(url) => Err(not_local(url)),
                None => files(paths, &paths[0], options),
            },
        },
    }
}

impl Plan {
    /// The plan as the pipeline takes it.
    pub(crate) fn into_inputs(self, options: &Options, workspace: &Path) -> Vec<PlannedInput> {
        let planned = |listed: Listed| PlannedInput {
            source: InputSource {
                segments: listed.playlist.segments.into(),
                fetcher: listed.fetcher,
                role: listed.input_role,
                on_gap: options.on_gap,
                workspace: workspace.to_owned(),
            },
            role: listed.track_role,
        };
        self.inputs.into_iter().map(planned).collect()
    }

    /// Media time of the longest input, by its playlist.
    pub(crate) fn duration(&self) -> Option<Nanos> {
        self.inputs.iter().map(|i| i.playlist.duration()).collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    /// Segments over all inputs.
    pub(crate) fn segments(&self) -> u64 {
        self.inputs.iter().map(|i| i.playlist.segments.len() as u64).sum()
    }

    /// Bytes of all inputs, as far as that can be told beforehand.
    pub(crate) fn size_bytes(&self) -> u64 {
        let of = |i: &Listed| i.playlist.segments.iter().filter_map(|s| i.fetcher.size_bytes(s)).sum::<u64>();
        self.inputs.iter().map(of).sum()
    }
}

/// Reads playlists that belong together, under one policy.
struct Reader<'a> {
    options: &'a Options,
    policy: PathPolicy,
}

impl<'a> Reader<'a> {
    fn new(base: Base, options: &'a Options) -> Result<Self> {
        let policy = match &base {
            Base::Folder(folder) => PathPolicy::playlist(folder, &options.allow_paths)?,
            // What a playlist from the web names is on the web.
            Base::Url(_) => PathPolicy::Below(Vec::new()),
        };
        Ok(Self { options, policy })
    }

    fn playlist(&self, text: &[u8], name: &str, base: &Base) -> Result<Plan> {
        let parsed = parse(text, base, &self.options.limits, &[]).map_err(|e| e.within(name))?;
        let mut warnings = parsed.warnings;
        match parsed.playlist {
            Playlist::Media(media) => {
                let main = self.listed(name, media, InputRole::Everything, TrackRole::default())?;
                Ok(Plan { kind: "media", choice: None, inputs: vec![main], warnings })
            }
            Playlist::Multivariant(multivariant) => {
                let variant = select_variant(&multivariant, &self.options.variant)?.clone();
                let renditions: Vec<Rendition> =
                    select_audio(&multivariant, &variant, &self.options.audio)?.into_iter().cloned().collect();
                let role = if renditions.is_empty() { InputRole::Everything } else { InputRole::WithoutAudio };
                let imports = &multivariant.variables;
                let main = self.load(&variant.location, imports, role, TrackRole::default(), &mut warnings)?;
                let mut inputs = vec![main];
                for rendition in &renditions {
                    let Some(location) = &rendition.location else { continue };
                    let track_role = TrackRole {
                        language: rendition.language.clone(),
                        title: Some(rendition.name.clone()).filter(|name| !name.is_empty()),
                        default: rendition.default,
                    };
                    inputs.push(self.load(location, imports, InputRole::AudioOnly, track_role, &mut warnings)?);
                }
                let choice = Some(Choice { playlist: multivariant, variant, renditions });
                Ok(Plan { kind: "multivariant", choice, inputs, warnings })
            }
        }
    }

    /// Reads the media playlist of a variant or rendition.
    fn load(
        &self,
        location: &Location,
        imports: &[(String, String)],
        role: InputRole,
        track_role: TrackRole,
        warnings: &mut Vec<String>,
    ) -> Result<Listed> {
        let name = location.display();
        let path = match location {
            Location::File(path) => path,
            _ => {
                return Err(
                    Error::new(ErrorKind::Unsupported, format!("{name} is not a local file")).with_hint(LOCAL_HINT)
                );
            }
        };
        let limits = &self.options.limits;
        let text = self.policy.open(path).and_then(|(file, size)| read_limited(file, size, limits));
        let text = text.map_err(|e| e.within(&name))?;
        let base = Base::Folder(folder_of(path));
        let parsed = parse(&text, &base, limits, imports).map_err(|e| e.within(&name))?;
        warnings.extend(parsed.warnings.into_iter().map(|w| format!("{name}: {w}")));
        match parsed.playlist {
            Playlist::Media(media) => self.listed(&name, media, role, track_role),
            Playlist::Multivariant(_) => {
                Err(Error::new(ErrorKind::Playlist, format!("{name} is a multivariant playlist inside another")))
            }
        }
    }

    fn listed(
        &self,
        name: &str,
        playlist: MediaPlaylist,
        input_role: InputRole,
        track_role: TrackRole,
    ) -> Result<Listed> {
        if playlist.segments.iter().all(|s| s.gap) {
            return Err(Error::new(ErrorKind::Playlist, format!("{name} lists no segment that could be merged")));
        }
        refuse_encryption(&playlist)?;
        let keyed = playlist.segments.iter().any(|s| s.key.is_some());
        let keys = if keyed { PlaylistKeys::Present } else { PlaylistKeys::Absent };
        let fetcher = fetcher(self.policy.clone(), self.options, keys);
        Ok(Listed { name: name.to_owned(), playlist, fetcher, input_role, track_role })
    }
}

const LOCAL_HINT: &str = "this version merges local files: download the media first";

fn fetcher(policy: PathPolicy, options: &Options, keys: PlaylistKeys) -> Arc<Fetcher> {
    Arc::new(Fetcher::new(policy, options.limits.clone(), options.key.clone(), keys))
}

/// Encryption that is not done is refused by name, before any media is opened.
fn refuse_encryption(playlist: &MediaPlaylist) -> Result<()> {
    for segment in &playlist.segments {
        let keys = segment.key.iter().chain(segment.init.iter().filter_map(|init| init.key.as_ref()));
        for key in keys {
            if let KeyMethod::Unsupported(name) = &key.method {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    format!("encrypted with {name}, which is not supported"),
                )
                .with_segment(segment.media_sequence, segment.location.display()));
            }
        }
    }
    Ok(())
}

fn playlist_file(path: &Path, options: &Options) -> Result<Plan> {
    let name = file_name(path);
    let base = Base::Folder(folder_of(path));
    let opened = PathPolicy::Any.open(path);
    let text =
        opened.and_then(|(file, size)| read_limited(file, size, &options.limits)).map_err(|e| e.within(&name))?;
    Reader::new(base.clone(), options)?.playlist(&text, &name, &base)
}

/// Reads a playlist's text, not more than the limit and one byte, for the parser to refuse.
fn read_limited(file: fs::File, size: u64, limits: &Limits) -> Result<Vec<u8>> {
    use std::io::Read;
    let limit = limits.playlist_bytes as u64 + 1;
    let mut text = Vec::with_capacity(usize::try_from(size.min(limit)).unwrap_or(0));
    file.take(limit).read_to_end(&mut text).map_err(|e| Error::io("cannot read", e))?;
    Ok(text)
}

/// Media files in the order given, as one sequence of segments.
fn files(paths: &[PathBuf], name: &Path, options: &Options) -> Result<Plan> {
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
    Ok(Plan { kind: "files", choice: None, inputs: vec![main], warnings: Vec::new() })
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

const MEDIA_EXTENSIONS: [&str; 20] = [
    "ts", "m2ts", "mts", "m2t", "tsv", "m4s", "mp4", "m4a", "m4v", "m4f", "cmfv", "cmfa", "cmft", "mov", "aac", "adts",
    "mp3", "ac3", "ec3", "eac3",
];

/// By its name, or by its first bytes where the name says nothing.
fn is_playlist(path: &Path) -> bool {
    use std::io::Read;
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
    if ["m3u8", "m3u"].contains(&extension.as_str()) {
        return true;
    }
    let mut head = [0; 10];
    let regular = path.is_file();
    let read = regular.then(|| fs::File::open(path).and_then(|mut f| f.read(&mut head)).ok()).flatten();
    let head = head[..read.unwrap_or(0)].strip_prefix(b"\xef\xbb\xbf").unwrap_or(&head[..read.unwrap_or(0)]);
    head.starts_with(b"#EXTM3U")
}

fn is_url(path: &Path) -> bool {
    let text = path.to_string_lossy();
    ["http://", "https://"]
        .iter()
        .any(|scheme| text.get(..scheme.len()).is_some_and(|s| s.eq_ignore_ascii_case(scheme)))
}

fn not_local(url: &Path) -> Error {
    let name = match url::Url::parse(&url.to_string_lossy()) {
        Ok(url) => Location::Http(url).display(),
        Err(_) => "the URL".to_owned(),
    };
    Error::new(ErrorKind::Unsupported, format!("{name} is not a local file")).with_hint(LOCAL_HINT)
}

fn text_base(base: &str) -> Result<Base> {
    match url::Url::parse(base) {
        Ok(url) if ["http", "https"].contains(&url.scheme()) => Ok(Base::Url(url)),
        Ok(url) if url.scheme() == "file" => url
            .to_file_path()
            .map(Base::Folder)
            .map_err(|()| Error::new(ErrorKind::Usage, format!("{base} is no folder of this machine"))),
        _ => Ok(Base::Folder(base.into())),
    }
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
