//! The last look at a finished file, before it is published.

use std::path::Path;

use crate::cancel::CancelToken;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::mux::{decode, verify};
use crate::options::{Format, Verify};
use crate::pipeline::{Part, Teller};
use crate::report::Verification;

/// Checks files one after the other, and adds up what was found.
pub(super) struct Check {
    format: Format,
    /// What decoding came to; `None` where it was not asked for.
    decoded: Option<Verification>,
}

impl Check {
    pub(super) fn new(format: Format, verify: Verify) -> Self {
        Self { format, decoded: (verify == Verify::Decode).then(Verification::default) }
    }

    /// Verifies a finished file, and tells its size in bytes; 0 for one that went to a stream.
    pub(super) fn file(&mut self, part: &Part, output: &Path, tell: &mut Teller, cancel: &CancelToken) -> Result<u64> {
        let Some(file) = &part.file else { return Ok(0) };
        tell.event(|job| Event::Verifying { job, output: output.to_owned() });
        let expected: Vec<_> = part.tracks.iter().map(|t| t.expected.clone()).collect();
        for note in verify(file, self.format, &expected, cancel)? {
            tell.warn(note);
        }
        if let Some(sum) = &mut self.decoded {
            let sources: Vec<_> = part.tracks.iter().map(|t| t.decoded).collect();
            let outputs = decode(file, self.format, &sources, cancel)?;
            for (n, (track, output)) in part.tracks.iter().zip(outputs).enumerate() {
                let (Some(source), Some(output)) = (track.decoded, output) else {
                    sum.undecoded_tracks += 1;
                    let (kind, codec) = (track.expected.kind.name(), &track.expected.codec);
                    tell.warn(format!("track {n} ({kind} {codec}) was not decoded: this libav has no decoder for it"));
                    continue;
                };
                sum.decoded_frames += output.frames;
                sum.errors += output.errors;
                sum.source_frames += source.tally.frames;
                sum.source_errors += source.tally.errors;
            }
        }
        file.metadata().map(|m| m.len()).map_err(|e| Error::io("cannot read the output back", e))
    }

    pub(super) fn decoded(self) -> Option<Verification> {
        self.decoded
    }
}
