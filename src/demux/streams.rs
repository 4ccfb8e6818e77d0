//! Which streams of a session are taken.

use crate::av::{MediaKind, Parameters, Stream};

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

/// Why a stream is not taken that is declared and could be.
const NEVER_CAME: &str = "it is declared, but no packet of it came where the streams were looked for";

pub(super) struct Selection {
    pub(super) taken: Vec<Stream>,
    /// libav's indexes of those that never are.
    pub(super) left: Vec<usize>,
    /// libav's indexes of those that would be, if a packet of them came.
    pub(super) awaited: Vec<usize>,
    pub(super) dropped: Vec<Dropped>,
    /// What the input has of a kind, and libav cannot read.
    pub(super) unreadable: Option<(MediaKind, &'static str)>,
}

impl Dropped {
    /// It is declared, and was not there when the session began.
    pub(crate) fn never_came(&self) -> bool {
        self.reason == NEVER_CAME
    }
}

/// Chooses among the streams that libav found.
pub(super) fn select(streams: Vec<Stream>, programs: &[Vec<usize>], role: InputRole) -> Selection {
    let program = best_program(&streams, programs);
    let mut selection =
        Selection { taken: Vec::new(), left: Vec::new(), awaited: Vec::new(), dropped: Vec::new(), unreadable: None };
    for stream in streams {
        if let Some((kind, codec)) = unreadable(&stream.parameters)
            && is_wanted(kind, role)
        {
            selection.unreadable = selection.unreadable.or(Some((kind, codec)));
            selection.left.push(stream.index);
            let reason = "this libav cannot read it from a transport stream".to_owned();
            selection.dropped.push(Dropped { kind, codec: codec.to_owned(), reason });
            continue;
        }
        match refusal(&stream, program, role) {
            None => selection.taken.push(stream),
            Some(reason) => {
                let awaited = reason == NEVER_CAME;
                if awaited { &mut selection.awaited } else { &mut selection.left }.push(stream.index);
                selection.dropped.push(Dropped {
                    kind: stream.parameters.kind(),
                    codec: stream.parameters.codec().name(),
                    reason,
                });
            }
        }
    }
    // A second language that is left out is a note; a film without its pictures is none.
    selection.unreadable =
        selection.unreadable.filter(|(kind, _)| !selection.taken.iter().any(|s| s.parameters.kind() == *kind));
    selection
}

fn is_wanted(kind: MediaKind, role: InputRole) -> bool {
    matches!(
        (kind, role),
        (_, InputRole::Everything)
            | (MediaKind::Video, InputRole::WithoutAudio)
            | (MediaKind::Audio, InputRole::AudioOnly)
    )
}

/// Media that libav takes for data, told by what the transport stream calls it: a registration, or a stream type
/// (ISO/IEC 13818-1, 2.4.4.9 and 2.6.8). What a newer libav can read is of its own kind.
fn unreadable(parameters: &Parameters) -> Option<(MediaKind, &'static str)> {
    if parameters.kind() != MediaKind::Data {
        return None;
    }
    match &parameters.tag().to_le_bytes() {
        b"AV01" => Some((MediaKind::Video, "av1")),
        b"VVC " | [0x33, 0, 0, 0] => Some((MediaKind::Video, "vvc")),
        b"HEVC" => Some((MediaKind::Video, "hevc")),
        b"AC-4" => Some((MediaKind::Audio, "ac4")),
        [0x2d | 0x2e, 0, 0, 0] => Some((MediaKind::Audio, "mpegh_3d_audio")),
        _ => None,
    }
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
        _ if !stream.parameters.is_complete() => NEVER_CAME,
        _ => return None,
    };
    Some(reason.to_owned())
}
