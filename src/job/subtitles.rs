//! Subtitles beside the output: read before the media is merged, written once its clock is known.

use std::path::{Path, PathBuf};

use super::publish::PartFiles;
use crate::cancel::CancelToken;
use crate::error::{Error, ErrorKind, Result};
use crate::options::Options;
use crate::pipeline::{Part, Teller};
use crate::plan::Listed;
use crate::playlist::Segment;
use crate::report::SubtitleReport;
use crate::subtitle::{Clock, Rendition, Source, read, render};

/// Letters of a rendition's language or name that get into a file's name.
const TAG_CHARS: usize = 40;
/// The longest file name that file systems have.
const NAME_BYTES: usize = 255;

/// A rendition, and what it is called.
struct Beside {
    language: Option<String>,
    name: String,
    /// Its part of the file's name: `en.vtt`.
    suffix: String,
    rendition: Rendition,
}

/// The subtitle renditions of a job.
#[derive(Default)]
pub(super) struct Subtitles(Vec<Beside>);

impl Subtitles {
    /// Reads all renditions, so that one that cannot be had fails the job before its media is merged.
    pub(super) fn read(
        listed: Vec<Listed>,
        options: &Options,
        files: &PartFiles,
        tell: &mut Teller,
        cancel: &CancelToken,
    ) -> Result<Self> {
        let mut this = Self::default();
        for listed in listed {
            let source = Source {
                name: listed.name,
                segments: listed.playlist.segments.into(),
                fetcher: listed.fetcher,
                on_gap: options.on_gap,
                limit_bytes: options.limits.subtitle_bytes,
            };
            let rendition = read(&source, &mut |message| tell.warn(message), cancel)?;
            let (language, name) = (listed.track_role.language, listed.track_role.title.unwrap_or_default());
            let tag = [language.as_deref().unwrap_or_default(), &name].map(sanitised);
            let tag = tag.into_iter().find(|tag| !tag.is_empty()).unwrap_or_else(|| "und".to_owned());
            let extension = rendition.format.extension();
            let suffix = (1..)
                .map(|n| if n == 1 { format!("{tag}.{extension}") } else { format!("{tag}.{n}.{extension}") })
                // Some file systems do not tell `EN` from `en`.
                .find(|suffix| !this.0.iter().any(|b| b.suffix.eq_ignore_ascii_case(suffix)))
                .unwrap_or_default();
            for target in files.targets() {
                let path = beside(&target, &suffix);
                if path.file_name().is_some_and(|name| name.len() > NAME_BYTES) {
                    let message =
                        format!("the output's name is too long to get subtitles beside it: {}", path.display());
                    return Err(Error::new(ErrorKind::CannotCreate, message)
                        .with_hint("choose a shorter one with -o, or none with --subtitles none"));
                }
                files.refuse_existing(&path)?;
            }
            this.0.push(Beside { language, name, suffix, rendition });
        }
        Ok(this)
    }

    /// A stream has no place beside it.
    pub(super) fn leave_out(listed: &mut Vec<Listed>, tell: &mut Teller) {
        for listed in listed.drain(..) {
            tell.warn(format!(
                "{}: subtitles are left out, as the output is a stream with nothing beside it",
                listed.name
            ));
        }
    }

    /// Bytes read.
    pub(super) fn bytes(&self) -> u64 {
        self.0.iter().map(|beside| beside.rendition.bytes).sum()
    }

    /// Writes a file of each rendition for each part, to be published with them; `main`: the main input's segments.
    pub(super) fn write(
        self,
        main: &[Segment],
        parts: &[Part],
        files: &mut PartFiles,
        tell: &mut Teller,
    ) -> Result<Vec<SubtitleReport>> {
        let clock = Clock::new(main, parts.iter().map(|part| &part.epochs[..]));
        let targets = files.targets();
        let mut by_part: Vec<Vec<SubtitleReport>> = targets.iter().map(|_| Vec::new()).collect();
        for Beside { language, name, suffix, rendition } in self.0 {
            let rendered = render(&rendition, &clock, parts.len(), &mut |message| tell.warn(message));
            for ((target, file), reports) in targets.iter().zip(rendered).zip(&mut by_part) {
                let path = beside(target, &suffix);
                files.add_beside(path.clone(), &file.text)?;
                let (language, name, missing) = (language.clone(), name.clone(), rendition.missing.clone());
                reports.push(SubtitleReport { language, name, path, cues: file.cues, missing });
            }
        }
        Ok(by_part.into_iter().flatten().collect())
    }
}

/// `out.mp4` as `out.en.vtt`.
fn beside(target: &Path, suffix: &str) -> PathBuf {
    let mut name = target.file_stem().unwrap_or_default().to_owned();
    name.push(".");
    name.push(suffix);
    target.with_file_name(name)
}

/// A language or name as it may stand in a file's name: letters, digits and `-`, others as `_`.
fn sanitised(text: &str) -> String {
    let fit = |c: char| if c.is_alphanumeric() || c == '-' { c } else { '_' };
    let tag: String = text.trim().chars().take(TAG_CHARS).map(fit).collect();
    tag.trim_matches(['_', '-']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_beside_the_output() {
        assert_eq!(beside(Path::new("a/b.c.mp4"), "en.vtt"), Path::new("a/b.c.en.vtt"));
        for (text, tag) in [
            ("pt-BR", "pt-BR"),
            ("../../x", "x"),
            ("English (CC)", "English__CC"),
            ("..", ""),
            ("Français", "Français"),
        ] {
            assert_eq!(sanitised(text), tag, "{text}");
        }
        assert_eq!(sanitised(&"é".repeat(300)).len(), 80);
    }
}
