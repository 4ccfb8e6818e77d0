//! How segments ended.

use crate::container::Structure;

/// What became of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It was read to its end; `init_only`: it holds no media by itself.
    Read { structure: Structure, init_only: bool },
    /// The playlist marks it as a gap.
    Gap,
    /// It could not be had, and the job goes on without it.
    Missing { reason: String },
}

/// Told once for each segment, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SegmentEnd {
    /// Position in the input.
    pub(crate) segment: usize,
    pub(crate) ending: Ending,
    /// Media bytes read.
    pub(crate) bytes: u64,
}

impl SegmentEnd {
    /// The frame that it ended inside of goes on in the next segment.
    pub(super) fn continues(&mut self) {
        if let Ending::Read { structure: structure @ Structure::Cut { .. }, .. } = &mut self.ending {
            *structure = Structure::Whole;
        }
    }
}
