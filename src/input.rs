//! What a job reads and where it writes.

use std::ffi::OsStr;
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};

use url::Url;

/// What a job reads.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Input {
    /// One `http:` or `https:` URL of a playlist, one playlist (`.m3u8`, `.m3u`), one folder (its media files in natural order,
    /// `2.ts` before `10.ts`), or media files in the order given. Which it is, is looked up when the job runs.
    Paths(Vec<PathBuf>),
    /// The text of a playlist, and the folder or URL that its references are relative to.
    PlaylistText {
        /// The playlist.
        text: Vec<u8>,
        /// A folder's path, or a URL.
        base: String,
    },
}

impl Input {
    /// Several media files, or a single path of any kind.
    pub fn paths(paths: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        Self::Paths(paths.into_iter().map(Into::into).collect())
    }

    /// The URL that the user gave, where it is one.
    pub(crate) fn url(&self) -> Option<Url> {
        match self {
            Self::Paths(paths) => match &paths[..] {
                [path] => web_url(path),
                _ => None,
            },
            Self::PlaylistText { base, .. } => web_url(Path::new(base)),
        }
    }
}

/// A path that is an `http:` or `https:` URL.
pub(crate) fn web_url(path: &Path) -> Option<Url> {
    let text = path.to_str()?;
    let is_web = ["http://", "https://"].iter().any(|s| text.get(..s.len()).is_some_and(|t| t.eq_ignore_ascii_case(s)));
    let url = Url::parse(text).ok().filter(|_| is_web && !text.contains(char::is_control));
    url.filter(|url| url.has_host())
}

impl From<&Path> for Input {
    fn from(path: &Path) -> Self {
        Self::Paths(vec![path.to_owned()])
    }
}

impl From<PathBuf> for Input {
    fn from(path: PathBuf) -> Self {
        Self::Paths(vec![path])
    }
}

impl From<&PathBuf> for Input {
    fn from(path: &PathBuf) -> Self {
        Self::Paths(vec![path.clone()])
    }
}

impl From<&str> for Input {
    fn from(path: &str) -> Self {
        Self::Paths(vec![path.into()])
    }
}

impl From<String> for Input {
    fn from(path: String) -> Self {
        Self::Paths(vec![path.into()])
    }
}

/// Where a job writes.
#[non_exhaustive]
pub enum Output {
    /// A file. It appears only when it is complete and verified.
    Path(PathBuf),
    /// A stream that cannot seek, such as standard output. It is written as the media is
    /// read, so what a failed job wrote so far stays written. Takes the formats `fmp4`
    /// (the default), `ts` and `mkv`.
    Writer(Box<dyn Write + Send>),
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => f.debug_tuple("Path").field(path).finish(),
            Self::Writer(_) => f.write_str("Writer"),
        }
    }
}

impl<P: AsRef<OsStr> + ?Sized> From<&P> for Output {
    fn from(path: &P) -> Self {
        Self::Path(PathBuf::from(path))
    }
}

impl From<PathBuf> for Output {
    fn from(path: PathBuf) -> Self {
        Self::Path(path)
    }
}
