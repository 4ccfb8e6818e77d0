//! Which streams of a session are taken.

use crate::av::{MediaKind, Stream};

/// What an input is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InputRole {
    /// All that it holds.
    Everything,
    /// All but its sound, for which a rendition was chosen.
    WithoutAudio,
    /// Its sound alone: it is a rendition.
    AudioOnly,
}

/// A stream that is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dropped {
    pub(crate) kind: MediaKind,
    pub(crate) codec: String,
    pub(crate) reason: String,
}

pub(super) struct Selection {
    pub(super) taken: Vec<Stream>,
    /// libav's indexes of the others.
    pub(super) left: Vec<usize>,
    pub(super) dropped: Vec<Dropped>,
}

/// Chooses among the streams that libav found.
pub(super) fn select(streams: Vec<Stream>, programs: &[Vec<usize>], role: InputRole) -> Selection {
    let program = best_program(&streams, programs);
    let mut selection = Selection { taken: Vec::new(), left: Vec::new(), dropped: Vec::new() };
    for stream in streams {
        match refusal(&stream, program, role) {
            None => selection.taken.push(stream),
            Some(reason) => {
                selection.left.push(stream.index);
                selection.dropped.push(Dropped {
                    kind: stream.parameters.kind(),
                    codec: stream.parameters.codec().name(),
                    reason,
                });
            }
        }
    }
    selection
}

/// Of several programmes the one with the most streams that can be merged; of equals the first.
fn best_program<'a>(streams: &[Stream], programs: &'a [Vec<usize>]) -> Option<&'a [usize]> {
    let score = |program: &[usize]| {
        let of = |kind| {
            streams
                .iter()
                .any(|s| program.contains(&s.index) && s.parameters.kind() == kind && s.parameters.is_complete())
        };
        usize::from(of(MediaKind::Video)) * 2 + usize::from(of(MediaKind::Audio))
    };
    if programs.len() < 2 {
        return None;
    }
    programs.iter().map(Vec::as_slice).rev().max_by_key(|p| score(p))
}

/// Why a stream is not taken; `None` if it is.
fn refusal(stream: &Stream, program: Option<&[usize]>, role: InputRole) -> Option<String> {
    let kind = stream.parameters.kind();
    let reason = match kind {
        MediaKind::Data => "data streams have no place in the output",
        MediaKind::Subtitle => "subtitle streams inside segments are not merged",
        _ if program.is_some_and(|p| !p.contains(&stream.index)) => "it belongs to another programme",
        MediaKind::Audio if role == InputRole::WithoutAudio => "a separate audio rendition takes its place",
        MediaKind::Video if role == InputRole::AudioOnly => "only the sound of an audio rendition is merged",
        MediaKind::Video if stream.attached_picture => "it is a still picture",
        _ if !stream.parameters.is_complete() => {
            "it is declared, but no packet of it came where the streams were looked for"
        }
        _ => return None,
    };
    Some(reason.to_owned())
}
