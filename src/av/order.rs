//! The order in which coded pictures are shown, as the pictures themselves tell it.

use std::ffi::c_int;
use std::ptr::{null, null_mut};

use ffmpeg_next::ffi;

use super::error::{from_code, no_memory};
use super::packet::Packet;
use super::params::{CodecId, Parameters};
use crate::error::Result;

/// As much as libav's parsers look at of a slice.
const SLICE_HEADER_BYTES: usize = 1024;

/// A picture, by its own headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Picture {
    /// Decoding can begin with it.
    pub(crate) key: bool,
    /// How many fields longer than one it is shown.
    pub(crate) repeated_fields: i32,
}

/// Reads picture order counts (ITU-T H.264, 8.2.1; H.265, 8.3.1), with libav's parser of the codec.
pub(crate) struct PictureOrder {
    parser: *mut ffi::AVCodecParserContext,
    context: *mut ffi::AVCodecContext,
}

// SAFETY: both are exclusively owned and tied to no thread.
unsafe impl Send for PictureOrder {}

impl PictureOrder {
    /// `None` for codecs whose pictures do not tell.
    pub(crate) fn new(parameters: &Parameters) -> Result<Option<Self>> {
        let id = match parameters.codec() {
            CodecId::H264 => ffi::AVCodecID::AV_CODEC_ID_H264,
            CodecId::HEVC => ffi::AVCodecID::AV_CODEC_ID_HEVC,
            _ => return Ok(None),
        };
        super::init();
        // SAFETY: what is allocated belongs to `this` from the moment it exists, and `drop` takes null as well.
        unsafe {
            let this = Self { parser: ffi::av_parser_init(id as c_int), context: ffi::avcodec_alloc_context3(null()) };
            if this.context.is_null() {
                return Err(no_memory());
            }
            // A libav without this parser.
            if this.parser.is_null() {
                return Ok(None);
            }
            let code = ffi::avcodec_parameters_to_context(this.context, parameters.as_ptr());
            if code < 0 {
                return Err(from_code("cannot set up a parser", code));
            }
            (*this.parser).flags |= ffi::PARSER_FLAG_COMPLETE_FRAMES;
            Ok(Some(this))
        }
    }

    /// The picture order count of a packet that holds one picture whole, counted from the last picture that begins
    /// the count anew; `None` if it does not tell. To be called for each packet of the stream, in order.
    pub(crate) fn count(&mut self, packet: &Packet) -> Option<i64> {
        self.parse(packet.data())?;
        // SAFETY: not null since `new`.
        let count = unsafe { (*self.parser).output_picture_number };
        (count != c_int::MIN).then_some(i64::from(count))
    }

    /// What libav's own demuxing would find out of such a packet, whose first slice has its header at a byte. To be called
    /// for each packet of the stream, in order.
    pub(crate) fn picture(&mut self, packet: &Packet, first_slice: usize) -> Option<Picture> {
        // The parser makes a zeroed copy of all that it is given, and looks at no more than this (h264_parser.c).
        let data = packet.data();
        self.parse(&data[..data.len().min(first_slice + SLICE_HEADER_BYTES)])?;
        // SAFETY: not null since `new`.
        let parser = unsafe { &*self.parser };
        let intra = parser.pict_type == ffi::AVPictureType::AV_PICTURE_TYPE_I as c_int;
        let key = parser.key_frame == 1 || (parser.key_frame == -1 && intra);
        Some(Picture { key, repeated_fields: parser.repeat_pict })
    }

    /// The bytes must be a packet's, or a part of one from its start.
    fn parse(&mut self, bytes: &[u8]) -> Option<()> {
        let (data, size) = (bytes.as_ptr(), c_int::try_from(bytes.len()).ok()?);
        let (mut out, mut out_size) = (null_mut(), 0);
        // SAFETY: parser and context are not null since `new`; a packet's data, and each part of it, has the padding that parsers read into,
        // and with whole frames given the output is the input.
        unsafe {
            (*self.parser).output_picture_number = c_int::MIN;
            ffi::av_parser_parse2(
                self.parser,
                self.context,
                &raw mut out,
                &raw mut out_size,
                data,
                size,
                ffi::AV_NOPTS_VALUE,
                ffi::AV_NOPTS_VALUE,
                -1,
            );
        }
        Some(())
    }
}

impl Drop for PictureOrder {
    fn drop(&mut self) {
        // SAFETY: owned; both calls take null.
        unsafe {
            if !self.parser.is_null() {
                ffi::av_parser_close(self.parser);
            }
            ffi::avcodec_free_context(&raw mut self.context);
        }
    }
}
