//! How a location is shown, and where a saved one is looked for. Queries hold tokens, so they never show.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::playlist::resolve::Base;
use crate::playlist::types::Location;
use crate::playlist::values::percent_decode;

/// A reference is shown up to this length, in characters.
const SHOWN_CHARS: usize = 160;

impl Location {
    /// A short name for messages: a file's name, a URL without user, query and fragment, or `data:`.
    pub(crate) fn display(&self) -> String {
        match self {
            Self::File(path) => {
                let path = without_query(path);
                let name = Path::new(&path).file_name();
                shortened(&name.map_or(path.as_str().into(), |name| name.to_string_lossy()))
            }
            Self::Data(_) => "data:".to_owned(),
            Self::Http(url) => {
                let mut shown = format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default());
                if let Some(port) = url.port() {
                    shown.push_str(&format!(":{port}"));
                }
                shown.push_str(url.path());
                shortened(&shown)
            }
        }
    }

    /// The same as its playlist sees it, which tells `low/index.m3u8` from `high/index.m3u8`.
    pub(crate) fn display_from(&self, base: &Base) -> String {
        match (self, base) {
            (Self::File(path), Base::Folder(folder)) => match path.strip_prefix(folder) {
                Ok(below) => shortened(&without_query(below)),
                Err(_) => self.display(),
            },
            _ => self.display(),
        }
    }
}

/// A saved `seg.ts?token=…` keeps its token to itself.
fn without_query(path: &Path) -> String {
    path.to_string_lossy().split('?').next().unwrap_or_default().to_owned()
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // These bytes may be a key.
            Self::Data(bytes) => write!(f, "Data({} bytes)", bytes.len()),
            Self::File(_) => write!(f, "File({:?})", self.display()),
            Self::Http(_) => write!(f, "Http({:?})", self.display()),
        }
    }
}

/// A reference as a playlist writes it, without user, query and fragment.
pub(super) fn shown_reference(reference: &str) -> String {
    if reference.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:")) {
        return "data:".to_owned();
    }
    let reference = reference.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = reference.split_once("//") else { return shortened(reference) };
    let authority = rest.split('/').next().unwrap_or_default();
    match authority.rsplit_once('@') {
        Some((user, _)) => shortened(&format!("{scheme}//{}", &rest[user.len() + 1..])),
        None => shortened(reference),
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The names under which a file that a local playlist names may have been saved, the likeliest first.
///
/// Downloaders keep `seg%201.ts?t=1` as it is, or drop the query, or undo the percent-encoding.
/// `folder` is the playlist's; a path that is not below it stands as it is. What comes back is
/// not judged: a decoded `%2e%2e%2f` leads out of the folder.
pub(crate) fn file_candidates(folder: &Path, path: &Path) -> Vec<PathBuf> {
    let mut candidates = vec![path.to_owned()];
    let Some(name) = path.strip_prefix(folder).ok().and_then(Path::to_str) else { return candidates };
    let without_query = name.split(['?', '#']).next().filter(|n| *n != name && !n.is_empty());
    let decoded = |name: &str| percent_decode(name).filter(|decoded| !decoded.contains(char::is_control));
    let names = [
        without_query.map(str::to_owned),
        decoded(without_query.unwrap_or(name)),
        without_query.and_then(|_| decoded(name)),
    ];
    candidates.extend(names.into_iter().flatten().map(|name| folder.join(name)));
    candidates
}
