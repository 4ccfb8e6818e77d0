//! Names of outputs. A job's name is a label: whatever it says, its file lies in the output folder.

use std::collections::{HashMap, HashSet};
use std::path::{Component, Path, PathBuf};

use crate::terminal::is_unprintable;

/// What a name, of a job or of a file, may have in bytes: file systems take 255, and an extension and a number follow.
const MOST_BYTES: usize = 200;

/// What is wrong with a label, so that no file should be named after it.
pub(crate) fn label_fault(label: &str) -> Option<String> {
    if label.trim().is_empty() {
        return Some("the name is empty".to_owned());
    }
    if label.len() > MOST_BYTES {
        return Some(format!("the name has {} bytes; {MOST_BYTES} are the most", label.len()));
    }
    let parent = label.split(['/', '\\']).any(|part| part.trim() == "..");
    parent.then(|| "the name leads out of the output folder; a name is a label and no path".to_owned())
}

/// What is wrong with a job's `output`, a path below the output folder.
pub(crate) fn output_fault(output: &str) -> Option<String> {
    let path = Path::new(output);
    if output.chars().any(char::is_control) {
        return Some("the output has control characters in its name".to_owned());
    }
    if !path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Some("the output leads out of the output folder; say that folder with output_dir".to_owned());
    }
    if output == "-" || output.ends_with('/') || path.file_name().is_none() {
        return Some("the output is no file; name one in the output folder".to_owned());
    }
    let long = path.components().map(|part| part.as_os_str().len()).find(|bytes| *bytes > MOST_BYTES);
    long.map(|bytes| format!("a name in the output has {bytes} bytes; {MOST_BYTES} are the most"))
}

/// A file's name without its extension, from a label: one component that no system or shell takes for anything else.
pub(crate) fn stem(label: &str) -> String {
    let clean: String =
        label.trim().chars().map(|c| if matches!(c, '/' | '\\') || is_unprintable(c) { '_' } else { c }).collect();
    let mut end = clean.len().min(MOST_BYTES);
    while !clean.is_char_boundary(end) {
        end -= 1;
    }
    // Windows drops what ends a name so.
    let clean = clean[..end].trim_end_matches([' ', '.']);
    let device = clean.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    match clean.strip_prefix(['-', '.']) {
        Some(rest) => format!("_{rest}"),
        None if clean.is_empty() => "output".to_owned(),
        None if is_device(&device) => format!("_{clean}"),
        None => clean.to_owned(),
    }
}

/// Names that are devices on Windows, whatever the folder and the extension.
fn is_device(name: &str) -> bool {
    matches!(name, "CON" | "PRN" | "AUX" | "NUL")
        || name.strip_prefix("COM").or(name.strip_prefix("LPT")).is_some_and(|n| matches!(n.as_bytes(), [b'1'..=b'9']))
}

/// The outputs of a batch: no two of one path.
#[derive(Default)]
pub(crate) struct Outputs {
    /// Paths that the list gives, each with its line.
    given: HashMap<PathBuf, usize>,
    /// All paths, as file systems see them that do not tell upper case from lower.
    taken: HashSet<PathBuf>,
    /// How far the numbers of a name have come.
    numbers: HashMap<PathBuf, usize>,
}

impl Outputs {
    /// Takes a path that the list gives. If another job has it, returns that one's line.
    pub(crate) fn give(&mut self, path: &Path, line: usize) -> Result<(), usize> {
        let path = plain(path);
        self.taken.insert(folded(&path));
        match self.given.insert(path, line) {
            Some(first) => Err(first),
            None => Ok(()),
        }
    }

    /// Finds a path for a name: `NAME.mp4`, or where others have that, `NAME-2.mp4`, …
    pub(crate) fn find(&mut self, folder: &Path, stem: &str, extension: &str) -> PathBuf {
        let number = self.numbers.entry(folded(&plain(&folder.join(format!("{stem}.{extension}"))))).or_default();
        loop {
            *number += 1;
            let path = folder.join(match *number {
                1 => format!("{stem}.{extension}"),
                n => format!("{stem}-{n}.{extension}"),
            });
            if self.taken.insert(folded(&plain(&path))) {
                return path;
            }
        }
    }
}

/// A path without `.` and `..`, so that one file has one path, as far as that can be told without looking.
fn plain(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(out.components().next_back(), Some(Component::Normal(_))) => {
                out.pop();
            }
            part => out.push(part),
        }
    }
    out
}

fn folded(path: &Path) -> PathBuf {
    path.to_string_lossy().to_lowercase().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_becomes_one_harmless_component() {
        for (label, expected) in [
            ("Lesson 1: why?", "Lesson 1: why?"),
            ("a/b\\c", "a_b_c"),
            ("/etc/passwd", "_etc_passwd"),
            ("-rf", "_rf"),
            (".hidden", "_hidden"),
            ("...", "output"),
            ("a. .", "a"),
            ("con", "_con"),
            ("NUL.tar", "_NUL.tar"),
            ("lpt9", "_lpt9"),
            ("com0", "com0"),
            ("console", "console"),
            ("a\0b\nc\u{202e}d\u{7f}", "a_b_c_d_"),
            ("  ", "output"),
            ("é日本", "é日本"),
            ("%03d", "%03d"),
        ] {
            assert_eq!(stem(label), expected, "{label:?}");
        }
        let long = stem(&"日".repeat(100));
        assert!(long.len() <= MOST_BYTES && long.chars().all(|c| c == '日'));
    }

    #[test]
    fn no_label_leads_out_of_the_folder() {
        let parts = ["..", ".", "/", "\\", "a", " ", "-", "\0", "\n", "CON", "~", "\u{202e}", "C:", "é", "…"];
        let mut labels = Vec::new();
        for a in parts {
            for b in parts {
                labels.extend(parts.map(|c| format!("{a}{b}{c}")));
            }
        }
        assert!(labels.len() > 200);
        for label in labels {
            let path = Path::new("out").join(format!("{}.mp4", stem(&label)));
            assert_eq!(path.components().count(), 2, "{label:?}: {path:?}");
            assert!(path.starts_with("out") && !stem(&label).starts_with(['-', '.']), "{label:?}: {path:?}");
            assert!(path.components().all(|part| matches!(part, Component::Normal(_))), "{label:?}: {path:?}");
        }
    }

    #[test]
    fn labels_that_are_no_labels_are_refused() {
        assert_eq!(label_fault("Lesson 3/4"), None);
        assert_eq!(label_fault("a..b"), None);
        for bad in ["../x", "a/../b", "..", "..\\x", "a/..", " ", "/ .. /", &"x".repeat(300)] {
            assert!(label_fault(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn outputs_stay_below_their_folder() {
        for good in ["a.mp4", "a/b.mkv", "./a.mp4", "-x.mp4", "a:b.mp4", "..a.mp4", "CON"] {
            assert_eq!(output_fault(good), None, "{good}");
        }
        let long = format!("{}.mp4", "x".repeat(300));
        for bad in ["", ".", "..", "../a.mp4", "a/../../b.mp4", "/a.mp4", "-", "a/", "a\nb.mp4", "a\0", &long] {
            assert!(output_fault(bad).is_some(), "{bad:?}");
        }
    }

    #[test]
    fn equal_names_are_numbered_in_order() {
        let mut outputs = Outputs::default();
        assert_eq!(outputs.give(Path::new("out/video-2.mp4"), 7), Ok(()));
        let mut found = |folder: &str, stem: &str| outputs.find(Path::new(folder), stem, "mp4");
        assert_eq!(found("out", "video"), Path::new("out/video.mp4"));
        assert_eq!(found("out", "video"), Path::new("out/video-3.mp4"));
        assert_eq!(found("./out", "Video"), Path::new("./out/Video-4.mp4"));
        assert_eq!(found("other", "video"), Path::new("other/video.mp4"));
        assert_eq!(found("out", "video-3"), Path::new("out/video-3-2.mp4"));
    }

    #[test]
    fn a_path_given_twice_tells_the_first_line() {
        let mut outputs = Outputs::default();
        assert_eq!(outputs.give(Path::new("out/a.mp4"), 3), Ok(()));
        assert_eq!(outputs.give(Path::new("out/A.mp4"), 4), Ok(()));
        assert_eq!(outputs.give(Path::new("./x/../out/./a.mp4"), 5), Err(3));
    }
}
