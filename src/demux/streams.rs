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

/// libav's name of MPEG-H 3D audio.
pub(super) const MPEG_H: &str = "mpegh_3d_audio";

/// Why a track is not taken that could be.
const EMPTY: &str = "it is declared, and holds nothing";

/// Why a stream is not taken that no table names.
const UNNAMED: &str = "no table calls it sound or pictures, and nothing tells how to decode it";

/// What a container's own tables say of its streams, by its own numbers of them.
#[derive(Debug, Default)]
pub(super) struct Declared {
    /// Tracks of MP4 without a sample.
    pub(super) empty: Vec<u32>,
    /// PIDs that may be sound or pictures; `None` where nothing is known of that.
    pub(super) media: Option<Vec<u16>>,
}

impl Declared {
    /// No table names this PID as sound or pictures: what libav takes it for is a guess.
    pub(super) fn is_unnamed(&self, id: u32) -> bool {
        self.media.as_ref().is_some_and(|pids| pids.iter().all(|pid| u32::from(*pid) != id))
    }
}

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
    /// A stream that began inside a session, and that no table names.
    pub(super) fn unnamed(kind: MediaKind, codec: String) -> Self {
        Self { kind, codec, reason: UNNAMED.to_owned() }
    }

    /// A track of the output that nothing came for.
    pub(crate) fn without_packets(kind: MediaKind, codec: String) -> Self {
        Self { kind, codec, reason: "it is declared, and no packet of it came".to_owned() }
    }

    /// It is declared, and was not there when the session began.
    pub(crate) fn never_came(&self) -> bool {
        self.reason == NEVER_CAME
    }
}

/// Chooses among the streams that libav found.
pub(super) fn select(streams: Vec<Stream>, programs: &[Vec<usize>], declared: &Declared, role: InputRole) -> Selection {
    let program = best_program(&streams, programs);
    let mut selection =
        Selection { taken: Vec::new(), left: Vec::new(), awaited: Vec::new(), dropped: Vec::new(), unreadable: None };
    for stream in streams {
        if let Some((kind, codec)) = unreadable(&stream.parameters)
            && is_wanted(kind, role)
        {
            selection.unreadable = selection.unreadable.or(Some((kind, codec)));
            selection.left.push(stream.index);
            let reason = "this libav cannot read it".to_owned();
            selection.dropped.push(Dropped { kind, codec: codec.to_owned(), reason });
            continue;
        }
        match refusal(&stream, program, declared, role) {
            None => selection.taken.push(stream),
            Some(reason) => {
                let awaited = reason == NEVER_CAME || reason == UNNAMED;
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

/// Media that libav takes for something else, or cannot tell how it is decoded: by what the container calls it, in a
/// transport stream a registration or a stream type (ISO/IEC 13818-1, 2.4.4.9 and 2.6.8), in MP4 a sample entry
/// (ISO/IEC 23008-3, 20.5). What a newer libav can read is of its own kind and name.
fn unreadable(parameters: &Parameters) -> Option<(MediaKind, &'static str)> {
    let tag = parameters.tag().to_le_bytes();
    match (&tag, parameters.kind()) {
        (b"AV01", MediaKind::Data) => Some((MediaKind::Video, "av1")),
        (b"VVC " | [0x33, 0, 0, 0], MediaKind::Data) => Some((MediaKind::Video, "vvc")),
        (b"HEVC", MediaKind::Data) => Some((MediaKind::Video, "hevc")),
        (b"AC-4", MediaKind::Data) => Some((MediaKind::Audio, "ac4")),
        // libav guesses from the bytes what an unknown type is.
        ([0x2d | 0x2e, 0, 0, 0], MediaKind::Data | MediaKind::Audio) | (b"mha1" | b"mha2" | b"mhm1" | b"mhm2", _)
            if parameters.codec().name() != MPEG_H || !parameters.is_complete() =>
        {
            Some((MediaKind::Audio, MPEG_H))
        }
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
fn refusal(stream: &Stream, program: Option<&[usize]>, declared: &Declared, role: InputRole) -> Option<String> {
    let kind = stream.parameters.kind();
    let reason = match kind {
        MediaKind::Data => "data streams have no place in the output",
        MediaKind::Subtitle => "subtitle streams inside segments are not merged",
        _ if program.is_some_and(|p| !p.contains(&stream.index)) => "it belongs to another programme",
        MediaKind::Audio if role == InputRole::WithoutAudio => "a separate audio rendition takes its place",
        MediaKind::Video if role == InputRole::AudioOnly => "only the sound of an audio rendition is merged",
        MediaKind::Video if stream.attached_picture => "it is a still picture",
        _ if declared.empty.contains(&stream.id) => EMPTY,
        _ if !stream.parameters.is_complete() && declared.is_unnamed(stream.id) => UNNAMED,
        _ if !stream.parameters.is_complete() => NEVER_CAME,
        _ => return None,
    };
    Some(reason.to_owned())
}
