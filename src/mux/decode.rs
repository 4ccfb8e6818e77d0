//! Decodes a finished file, and compares with what came of decoding its source.

use std::fs::File;

use super::sink::ReadBack;
use super::verify::demuxer_kind;
use crate::av::{Decoder, Demuxer, LogScope, Probing, Tally};
use crate::cancel::CancelToken;
use crate::error::{Error, ErrorKind, Result};
use crate::options::Format;

/// What is read of a transport stream at most to learn its parameters: other formats have them in the header.
const PROBING: Probing = Probing::Ahead { bytes: 5 << 20, duration_us: 5_000_000 };

/// What came of decoding the packets of a track as they came from the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SourceDecoded {
    pub(crate) tally: Tally,
    /// Pictures that its decoder held back at first.
    pub(crate) video_delay: i32,
}

/// Decodes each track of a file of which the source was decoded; `None` for the others. Blocks.
///
/// # Errors
/// `Media` for a track that gives more errors than its source, or another number of frames; `Io`; `Cancelled`.
pub(crate) fn decode(
    file: &File,
    format: Format,
    sources: &[Option<SourceDecoded>],
    cancel: &CancelToken,
) -> Result<Vec<Option<Tally>>> {
    let _log = LogScope::enter();
    let probing = if format == Format::Ts { PROBING } else { Probing::HeaderOnly };
    let mut demuxer =
        Demuxer::open(ReadBack::new(file)?, demuxer_kind(format), probing, cancel).map_err(|(error, _)| error)?;
    let mut decoders = Vec::new();
    for (n, source) in sources.iter().enumerate() {
        decoders.push(match source {
            Some(source) => Decoder::open(&demuxer.stream(n)?.parameters, source.video_delay)?,
            None => None,
        });
    }
    while let Some(packet) = demuxer.read()? {
        if let Some(Some(decoder)) = decoders.get_mut(packet.stream()) {
            decoder.decode(&packet)?;
        }
    }
    let tallies: Vec<_> = decoders.into_iter().map(|decoder| decoder.map(Decoder::finish)).collect();
    for (n, (source, output)) in sources.iter().zip(&tallies).enumerate() {
        if let Some(source) = source {
            compare(source.tally, output.unwrap_or_default()).map_err(|e| e.with_stream(format!("track {n}")))?;
        }
    }
    Ok(tallies)
}

/// A source's own errors are no fault of the output: it was damaged, or begins in the middle of a group of pictures.
fn compare(source: Tally, output: Tally) -> Result<()> {
    let fault = if output.errors > source.errors {
        format!("{} errors, {} in the source", output.errors, source.errors)
    } else if output.frames != source.frames {
        format!("{} frames, {} from the source", output.frames, source.frames)
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::Media, format!("the output does not decode as its source does: {fault}"))
        .with_hint("try another format with --format; --verify read writes the output all the same"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_may_have_the_errors_of_its_source_and_no_more() {
        let tally = |frames, errors| Tally { frames, errors };
        let cases = [
            (tally(50, 0), tally(50, 0), None),
            (tally(50, 3), tally(50, 3), None),
            (tally(50, 3), tally(50, 2), None),
            (tally(50, 3), tally(50, 4), Some("4 errors, 3 in the source")),
            (tally(50, 0), tally(49, 0), Some("49 frames, 50 from the source")),
            (tally(50, 0), tally(51, 0), Some("51 frames, 50 from the source")),
            (tally(50, 0), tally(0, 0), Some("0 frames, 50 from the source")),
        ];
        for (source, output, fault) in cases {
            let told = compare(source, output).err().map(|e| (e.kind(), e.to_string()));
            match (told, fault) {
                (None, None) => {}
                (Some((ErrorKind::Media, message)), Some(words)) => assert!(message.contains(words), "{message}"),
                (told, fault) => panic!("{source:?} and {output:?} gave {told:?}, not {fault:?}"),
            }
        }
    }
}
