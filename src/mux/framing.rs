//! AAC, H.264 and HEVC as transport streams carry them, to what MP4 and Matroska do: what each frame says of its coding goes
//! into the header once.

use super::units::Framing;
use super::{avc, hevc};
use crate::av::{BitstreamFilter, CodecId, Packet, Parameters};
use crate::container::latm_frame;
use crate::error::{Error, ErrorKind, Result};
use crate::options::Format;

/// Takes the framing off the packets of one track.
pub(super) enum Unframe {
    Adts(BitstreamFilter),
    Latm,
    StartCodes(Framing),
}

impl Unframe {
    /// `None` where the format takes packets as the input has them.
    pub(super) fn new(source: &Parameters, format: Format) -> Result<Option<Self>> {
        match source.codec() {
            _ if format == Format::Ts => Ok(None),
            CodecId::AAC if source.extradata().is_empty() => {
                Ok(Some(Self::Adts(BitstreamFilter::adts_to_asc(source)?)))
            }
            CodecId::AAC_LATM => Ok(Some(Self::Latm)),
            _ => Ok(configuration(source).map(|_| Self::StartCodes(Framing::default()))),
        }
    }

    /// One packet without its framing; `None` if nothing is left of it.
    pub(super) fn packet(&mut self, packet: Packet) -> Result<Option<Packet>> {
        match self {
            Self::Adts(filter) => filter.filter(packet),
            Self::StartCodes(framing) => framing.frame(packet).map(Some),
            Self::Latm => {
                let frame = latm_frame(packet.data()).map_err(unreadable)?;
                let payload = (!frame.payload.is_empty()).then_some(&frame.payload[..]);
                payload.map(|payload| packet.assembled([payload].into_iter())).transpose()
            }
        }
    }

    /// Brings a stream's parameters to what the output's header must say. AAC tells it by its first packet.
    pub(super) fn configure(&mut self, parameters: &mut Parameters, first: Option<&Packet>) -> Result<()> {
        match (self, first) {
            (Self::Adts(filter), Some(first)) => {
                if let Some(filtered) = filter.filter(first.try_clone()?)?
                    && let Some(config) = filtered.new_extradata()
                {
                    parameters.set_extradata(config)?;
                }
            }
            (Self::Latm, Some(first)) => {
                if let Some(config) = latm_frame(first.data()).map_err(unreadable)?.config {
                    parameters.set_extradata(&config)?;
                }
                parameters.set_codec(CodecId::AAC);
            }
            (Self::StartCodes(_), _) => {
                if let Some(record) = configuration(parameters) {
                    parameters.set_extradata(&record)?;
                }
            }
            (Self::Adts(_) | Self::Latm, None) => {}
        }
        Ok(())
    }
}

/// The record that takes the place of parameter sets between start codes; `None` for what has none.
fn configuration(parameters: &Parameters) -> Option<Vec<u8>> {
    match parameters.codec() {
        CodecId::H264 => avc::configuration(parameters.extradata()),
        CodecId::HEVC => hevc::configuration(parameters.extradata()),
        _ => None,
    }
}

fn unreadable(what: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("a LATM frame cannot be taken apart: {what}"))
        .with_hint("keep the frames as they are with --format ts")
}
