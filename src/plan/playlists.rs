//! Playlists to sequences of segments: a multivariant one, and the media playlists it leads to.

use std::fs;
use std::path::{Path, PathBuf};

use url::Url;

use super::{Choice, Listed, Plan, Purpose, fetcher, file_name};
use crate::demux::InputRole;
use crate::error::{Error, ErrorKind, Result};
use crate::fetch::{PathPolicy, PlaylistKeys, Web};
use crate::mux::TrackRole;
use crate::options::{Limits, Options};
use crate::playlist::{
    Base, Location, MediaPlaylist, MultivariantPlaylist, Playlist, Rendition, Variant, parse, redundant, select_audio,
    select_subtitles, select_variant,
};

/// Reads playlists that belong together, under one policy.
struct Reader<'a> {
    options: &'a Options,
    base: Base,
    policy: PathPolicy,
    purpose: Purpose,
    web: &'a Web,
    warnings: Vec<String>,
}

impl<'a> Reader<'a> {
    fn new(base: Base, options: &'a Options, purpose: Purpose, web: &'a Web) -> Result<Self> {
        let policy = match &base {
            Base::Folder(folder) => PathPolicy::playlist(folder, &options.allow_paths)?,
            Base::Url(_) => PathPolicy::Nothing,
        };
        Ok(Self { options, base, policy, purpose, web, warnings: Vec::new() })
    }

    fn playlist(mut self, text: &[u8], name: &str) -> Result<Plan> {
        let parsed =
            parse(text, &self.base, &self.options.limits, &[], &self.web.cancel).map_err(|e| e.within(name))?;
        self.warnings.extend(parsed.warnings);
        let mut subtitles = Vec::new();
        let (kind, choice, inputs) = match parsed.playlist {
            Playlist::Media(media) => {
                let base = self.base.clone();
                let main = self.listed(name, &base, media, InputRole::Everything, TrackRole::default())?;
                ("media", None, vec![main])
            }
            Playlist::Multivariant(multivariant) => {
                let (choice, inputs) = self.multivariant(multivariant, &mut subtitles)?;
                ("multivariant", Some(choice), inputs)
            }
        };
        Ok(Plan { kind, choice, inputs, subtitles, warnings: self.warnings })
    }

    fn multivariant(
        &mut self,
        playlist: MultivariantPlaylist,
        subtitles: &mut Vec<Listed>,
    ) -> Result<(Choice, Vec<Listed>)> {
        let selected = select_variant(&playlist, &self.options.variant)?;
        let imports = &playlist.variables;
        let (variant, main) = self.variant(&playlist, selected, imports)?;
        let renditions = select_audio(&playlist, variant, &self.options.audio)?;
        let chosen_subtitles = select_subtitles(&playlist, variant, &self.options.subtitles)?;
        let mut inputs = Vec::from_iter(main);
        for rendition in &renditions {
            let Some(location) = &rendition.location else { continue };
            let listed = self.load(location, imports, InputRole::AudioOnly, track_role(rendition));
            inputs.extend(self.tolerated(listed)?);
        }
        for rendition in &chosen_subtitles {
            let Some(location) = &rendition.location else { continue };
            let listed = self.load(location, imports, InputRole::Everything, track_role(rendition));
            subtitles.extend(self.tolerated(listed)?);
        }
        // By identity: a playlist may hold entries that are equal.
        let chosen = |r| renditions.iter().chain(&chosen_subtitles).any(|chosen| std::ptr::eq(*chosen, r));
        let rendition_positions = (0..).zip(&playlist.renditions).filter(|(_, r)| chosen(*r)).map(|(n, _)| n).collect();
        let variant = playlist.variants.iter().position(|v| std::ptr::eq(v, variant)).unwrap_or(0);
        Ok((Choice { base: self.base.clone(), variant, renditions: rendition_positions, playlist }, inputs))
    }

    /// Loads the variant that was chosen, or one that stands in for it: the same by all that the playlist tells, at
    /// another place.
    fn variant<'p>(
        &mut self,
        playlist: &'p MultivariantPlaylist,
        selected: &'p Variant,
        imports: &[(String, String)],
    ) -> Result<(&'p Variant, Option<Listed>)> {
        let mut candidates = redundant(playlist, selected).peekable();
        loop {
            let Some(variant) = candidates.next() else { return Ok((selected, None)) };
            let has_audio = !select_audio(playlist, variant, &self.options.audio)?.is_empty();
            let role = if has_audio { InputRole::WithoutAudio } else { InputRole::Everything };
            match self.load(&variant.location, imports, role, TrackRole::default()) {
                Err(error) if candidates.peek().is_some() && is_out_of_reach(error.kind()) => {
                    self.warnings.push(format!("another variant of the same kind is taken: {error}"));
                }
                loaded => return Ok((variant, self.tolerated(loaded)?)),
            }
        }
    }

    /// Trouble that a merge is refused for, and that a look only tells.
    fn tolerated<T>(&mut self, result: Result<T>) -> Result<Option<T>> {
        match (result, self.purpose) {
            (Ok(value), _) => Ok(Some(value)),
            (Err(error), Purpose::Merge) => Err(error),
            (Err(error), _) if error.kind() == ErrorKind::Cancelled => Err(error),
            (Err(error), Purpose::Inspect) => {
                self.warnings.push(error.to_string());
                Ok(None)
            }
        }
    }

    /// Reads the media playlist of a variant or rendition.
    fn load(
        &mut self,
        location: &Location,
        imports: &[(String, String)],
        role: InputRole,
        track_role: TrackRole,
    ) -> Result<Listed> {
        let name = location.display_from(&self.base);
        let limits = &self.options.limits;
        let read = || match location {
            Location::File(path) => {
                let text = self.policy.open(path).and_then(|(file, size)| read_limited(file, size, limits))?;
                Ok((text, Base::Folder(folder_of(path))))
            }
            Location::Http(url) => {
                self.judge(&self.base, location)?;
                let (text, url) = self.web.text(url, limits.playlist_bytes)?;
                Ok((text, Base::Url(url)))
            }
            Location::Data(_) => Err(Error::new(ErrorKind::Denied, "a playlist inside a playlist")),
        };
        let (text, base) = read().map_err(|e| e.within(&name))?;
        let parsed = parse(&text, &base, limits, imports, &self.web.cancel).map_err(|e| e.within(&name))?;
        self.warnings.extend(parsed.warnings.into_iter().map(|w| format!("{name}: {w}")));
        match parsed.playlist {
            Playlist::Media(media) => self.listed(&name, &base, media, role, track_role),
            Playlist::Multivariant(_) => {
                Err(Error::new(ErrorKind::Playlist, format!("{name} is a multivariant playlist inside another")))
            }
        }
    }

    /// Whether the policy lets a playlist lead there, as far as the URL tells.
    fn judge(&self, base: &Base, location: &Location) -> Result<()> {
        let base = match base {
            Base::Url(url) => Some(url),
            Base::Folder(_) => None,
        };
        match location {
            Location::Http(url) => self.web.client.judge(base, url),
            Location::File(_) | Location::Data(_) => Ok(()),
        }
    }

    fn listed(
        &mut self,
        name: &str,
        base: &Base,
        playlist: MediaPlaylist,
        input_role: InputRole,
        track_role: TrackRole,
    ) -> Result<Listed> {
        let mergeable = refuse_empty(name, &playlist).and_then(|()| self.refuse_encryption(&playlist));
        self.tolerated(mergeable)?;
        let reachable = self.refuse_places(base, &playlist);
        self.tolerated(reachable)?;
        let keyed = playlist.segments.iter().any(|s| s.key.is_some());
        let keys = if keyed { PlaylistKeys::Present } else { PlaylistKeys::Absent };
        let fetcher = fetcher(self.policy.clone(), self.options, keys);
        Ok(Listed { name: name.to_owned(), playlist, fetcher, input_role, track_role })
    }
}

fn track_role(rendition: &Rendition) -> TrackRole {
    TrackRole {
        language: rendition.language.clone(),
        title: Some(rendition.name.clone()).filter(|name| !name.is_empty()),
        default: rendition.default,
    }
}

impl Reader<'_> {
    /// Places that the policy does not allow are refused before any media is fetched.
    fn refuse_places(&self, base: &Base, playlist: &MediaPlaylist) -> Result<()> {
        let (mut key, mut init) = (None, None);
        for segment in playlist.segments.iter().filter(|s| !s.gap) {
            self.web.cancel.check()?;
            let named = |e: Error| e.with_segment(segment.media_sequence, segment.location.display());
            self.judge(base, &segment.location).map_err(named)?;
            // The same for most segments.
            if segment.key != key {
                key = segment.key.clone();
                segment
                    .keys()
                    .filter_map(|k| k.location.as_ref())
                    .try_for_each(|l| self.judge(base, l))
                    .map_err(named)?;
            }
            if segment.init != init {
                init = segment.init.clone();
                init.iter().try_for_each(|init| self.judge(base, &init.location)).map_err(named)?;
            }
        }
        Ok(())
    }

    /// Encryption that is not done is refused by name, before any media is opened.
    fn refuse_encryption(&self, playlist: &MediaPlaylist) -> Result<()> {
        for segment in &playlist.segments {
            self.web.cancel.check()?;
            if let Some(key) = segment.keys().find(|key| !key.is_supported()) {
                let message = format!("encrypted with {}, which is not supported", key.method.name());
                return Err(Error::new(ErrorKind::Unsupported, message)
                    .with_segment(segment.media_sequence, segment.location.display()));
            }
        }
        Ok(())
    }
}

/// What another place may still have.
fn is_out_of_reach(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Network | ErrorKind::Timeout | ErrorKind::NotFound | ErrorKind::Forbidden)
}

fn refuse_empty(name: &str, playlist: &MediaPlaylist) -> Result<()> {
    if playlist.segments.iter().all(|s| s.gap) {
        return Err(Error::new(ErrorKind::Playlist, format!("{name} lists no segment that could be merged")));
    }
    Ok(())
}

/// The playlist of a file.
pub(super) fn file(path: &Path, options: &Options, purpose: Purpose, web: &Web) -> Result<Plan> {
    let name = file_name(path);
    let base = Base::Folder(folder_of(path));
    let (file, size) = PathPolicy::Any.open(path)?;
    let text = read_limited(file, size, &options.limits).map_err(|e| e.within(&name))?;
    Reader::new(base, options, purpose, web)?.playlist(&text, &name)
}

/// The playlist of a URL.
pub(super) fn url(url: &Url, options: &Options, purpose: Purpose, web: &Web) -> Result<Plan> {
    let name = Location::Http(url.clone()).display();
    let (text, found) = web.text(url, options.limits.playlist_bytes).map_err(|e| e.within(&name))?;
    Reader::new(Base::Url(found), options, purpose, web)?.playlist(&text, &name)
}

/// A playlist that was given as text.
pub(super) fn text(text: &[u8], base: &str, options: &Options, purpose: Purpose, web: &Web) -> Result<Plan> {
    Reader::new(text_base(base)?, options, purpose, web)?.playlist(text, "the playlist given")
}

/// Reads a playlist's text, not more than the limit and one byte, for the parser to refuse.
fn read_limited(file: fs::File, size: u64, limits: &Limits) -> Result<Vec<u8>> {
    use std::io::Read;
    let limit = limits.playlist_bytes as u64 + 1;
    let mut text = Vec::with_capacity(usize::try_from(size.min(limit)).unwrap_or(0));
    file.take(limit).read_to_end(&mut text).map_err(|e| Error::io("cannot read", e))?;
    Ok(text)
}

/// By its name, or by its first bytes where the name says nothing.
pub(super) fn is_playlist(path: &Path) -> bool {
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
