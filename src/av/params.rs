//! Codec parameters: what a decoder must know of a stream beforehand.

use std::ffi::{CStr, c_char, c_int};

use ffmpeg_next::ffi;

use super::error::no_memory;
use super::side_data::SideData;
use crate::error::Result;

unsafe extern "C" {
    // Declared with plain numbers: the library may be newer than the headers and know more codecs
    // than the Rust enum, and an enum with an unknown value is undefined behaviour.
    fn avcodec_get_name(id: c_int) -> *const c_char;
}

/// A libav codec id as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CodecId(c_int);

macro_rules! codec_ids {
    ($($name:ident = $av:ident),* $(,)?) => {
        impl CodecId {
            $(pub(crate) const $name: Self = Self(ffi::AVCodecID::$av as c_int);)*
        }
    };
}

codec_ids! {
    H264 = AV_CODEC_ID_H264,
    HEVC = AV_CODEC_ID_HEVC,
    AAC = AV_CODEC_ID_AAC,
    AAC_LATM = AV_CODEC_ID_AAC_LATM,
    AC3 = AV_CODEC_ID_AC3,
    EAC3 = AV_CODEC_ID_EAC3,
}

impl CodecId {
    pub(super) fn number(self) -> c_int {
        self.0
    }

    /// AC-3 or its enhanced form.
    pub(crate) fn is_ac3(self) -> bool {
        self == Self::AC3 || self == Self::EAC3
    }

    /// libav's name: `h264`, `aac`.
    pub(crate) fn name(self) -> String {
        // SAFETY: takes any number and returns a static string.
        unsafe { CStr::from_ptr(avcodec_get_name(self.0)) }.to_string_lossy().into_owned()
    }
}

/// What a stream carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum MediaKind {
    Video,
    Audio,
    Subtitle,
    Data,
}

impl MediaKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Subtitle => "subtitle",
            Self::Data => "data",
        }
    }
}

/// An owned `AVCodecParameters`, and what stands beside it in older versions.
///
/// Fields are read one by one: a reference to the whole would vouch for enums whose numbers Rust's may not know.
pub(crate) struct Parameters(*mut ffi::AVCodecParameters, SideData);

// SAFETY: exclusively owned memory, tied to no thread.
unsafe impl Send for Parameters {}

impl Parameters {
    /// A copy of what a stream of libav's carries.
    ///
    /// # Safety
    /// `stream` must point to a valid stream.
    pub(super) unsafe fn of_stream(stream: *const ffi::AVStream) -> Result<Self> {
        // SAFETY: the caller's promise; a stream has parameters as long as it lives.
        unsafe { Self::copy_of((*stream).codecpar, SideData::of_stream(stream)) }
    }

    /// # Safety
    /// `source` must point to valid parameters.
    unsafe fn copy_of(source: *const ffi::AVCodecParameters, side_data: SideData) -> Result<Self> {
        // SAFETY: the destination is fresh; the source is valid by the caller's promise.
        unsafe {
            let copy = Self(ffi::avcodec_parameters_alloc(), side_data);
            if copy.0.is_null() || ffi::avcodec_parameters_copy(copy.0, source) < 0 {
                return Err(no_memory());
            }
            Ok(copy)
        }
    }

    pub(crate) fn try_clone(&self) -> Result<Self> {
        // SAFETY: ours are valid.
        unsafe { Self::copy_of(self.0, self.1.clone()) }
    }

    /// Gives a stream of an output these parameters.
    ///
    /// # Safety
    /// `stream` must point to a valid stream that nothing else refers to.
    pub(super) unsafe fn copy_to(&self, stream: *mut ffi::AVStream) -> Result<()> {
        // SAFETY: the caller's promise, and ours are valid.
        unsafe {
            if ffi::avcodec_parameters_copy((*stream).codecpar, self.0) < 0 {
                return Err(no_memory());
            }
            self.1.copy_to(stream)
        }
    }

    pub(super) fn as_ptr(&self) -> *const ffi::AVCodecParameters {
        self.0
    }

    pub(crate) fn codec(&self) -> CodecId {
        // SAFETY: read as the number it is in C; see `avcodec_get_name`.
        CodecId(unsafe { (&raw const (*self.0).codec_id).cast::<c_int>().read() })
    }

    /// Says that packets are those of another codec of the same kind: their framing was taken off.
    pub(crate) fn set_codec(&mut self, codec: CodecId) {
        // SAFETY: ours are valid; written as the number it is in C, and a number that libav has a constant for.
        unsafe { (&raw mut (*self.0).codec_id).cast::<c_int>().write(codec.0) };
    }

    /// What the input's container calls the codec: four letters, or a number of its own. 0 if it does not say.
    pub(crate) fn tag(&self) -> u32 {
        // SAFETY: ours are valid.
        unsafe { (*self.0).codec_tag }
    }

    pub(crate) fn kind(&self) -> MediaKind {
        // SAFETY: as for `codec`.
        match unsafe { (&raw const (*self.0).codec_type).cast::<c_int>().read() } {
            0 => MediaKind::Video,
            1 => MediaKind::Audio,
            3 => MediaKind::Subtitle,
            _ => MediaKind::Data,
        }
    }

    /// The codec's configuration as the container carries it; empty where it travels in the stream.
    pub(crate) fn extradata(&self) -> &[u8] {
        // SAFETY: ours are valid; libav keeps `extradata` valid for `extradata_size` bytes.
        unsafe {
            match (usize::try_from((*self.0).extradata_size), (*self.0).extradata) {
                (Ok(size @ 1..), data) if !data.is_null() => std::slice::from_raw_parts(data, size),
                _ => &[],
            }
        }
    }

    pub(crate) fn set_extradata(&mut self, bytes: &[u8]) -> Result<()> {
        let padding = ffi::AV_INPUT_BUFFER_PADDING_SIZE as usize;
        let size = c_int::try_from(bytes.len()).map_err(|_| no_memory())?;
        // SAFETY: the new buffer has room for the bytes and the zeroed padding that libav's parsers rely on;
        // the old one belongs to these parameters and is freed by libav's own allocator.
        unsafe {
            let buffer = ffi::av_mallocz(bytes.len() + padding).cast::<u8>();
            if buffer.is_null() {
                return Err(no_memory());
            }
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer, bytes.len());
            ffi::av_freep((&raw mut (*self.0).extradata).cast());
            (*self.0).extradata = buffer;
            (*self.0).extradata_size = size;
        }
        Ok(())
    }

    /// Width and height in pixels; `None` for what is no video or not known.
    pub(crate) fn size(&self) -> Option<(u32, u32)> {
        // SAFETY: ours are valid.
        let (width, height) = unsafe { ((*self.0).width, (*self.0).height) };
        match (u32::try_from(width), u32::try_from(height)) {
            (Ok(width @ 1..), Ok(height @ 1..)) => Some((width, height)),
            _ => None,
        }
    }

    /// Samples a second; `None` for what is no audio or not known.
    pub(crate) fn sample_rate_hz(&self) -> Option<u32> {
        // SAFETY: ours are valid.
        u32::try_from(unsafe { (*self.0).sample_rate }).ok().filter(|rate| *rate > 0)
    }

    /// Bits a second as announced; 0 where nothing is known.
    pub(crate) fn bit_rate(&self) -> u32 {
        // SAFETY: ours are valid.
        u32::try_from(unsafe { (*self.0).bit_rate }).unwrap_or(0)
    }

    /// Number of channels; `None` for what is no audio or not known.
    pub(crate) fn channels(&self) -> Option<u32> {
        // SAFETY: ours are valid.
        u32::try_from(unsafe { (*self.0).ch_layout.nb_channels }).ok().filter(|n| *n > 0)
    }

    /// Samples that a packet of this size decodes to; `None` where the codec does not tell.
    pub(crate) fn packet_samples(&self, packet_bytes: usize) -> Option<u32> {
        let bytes = c_int::try_from(packet_bytes).ok()?;
        // SAFETY: reads the parameters only.
        let samples = unsafe { ffi::av_get_audio_frame_duration2(self.0, bytes) };
        u32::try_from(samples).ok().filter(|n| *n > 0)
    }

    /// Pictures that a decoder holds back at least, to bring them into the order they are shown in; 0 where nothing
    /// is known of it.
    pub(crate) fn video_delay(&self) -> i32 {
        // SAFETY: ours are valid.
        unsafe { (*self.0).video_delay }
    }

    /// Enough is known of the stream for a container to describe it.
    pub(crate) fn is_complete(&self) -> bool {
        match self.kind() {
            MediaKind::Video => self.size().is_some(),
            MediaKind::Audio => self.sample_rate_hz().is_some() && self.channels().is_some(),
            MediaKind::Subtitle | MediaKind::Data => true,
        }
    }

    /// One track can hold packets of both: the same codec in the same configuration.
    pub(crate) fn fits(&self, other: &Self) -> bool {
        self.codec() == other.codec()
            && self.size() == other.size()
            && self.sample_rate_hz() == other.sample_rate_hz()
            && self.channels() == other.channels()
            && self.extradata() == other.extradata()
    }

    /// For messages: `h264 1280x720`, `aac 48000 Hz 2 channels`.
    pub(crate) fn describe(&self) -> String {
        let mut text = self.codec().name();
        if let Some((width, height)) = self.size() {
            text.push_str(&format!(" {width}x{height}"));
        }
        if let Some(rate) = self.sample_rate_hz() {
            text.push_str(&format!(" {rate} Hz"));
        }
        if let Some(channels) = self.channels() {
            text.push_str(&format!(" {channels} channels"));
        }
        text
    }
}

impl Drop for Parameters {
    fn drop(&mut self) {
        // SAFETY: owned; sets our copy to null. Null is taken.
        unsafe { ffi::avcodec_parameters_free(&raw mut self.0) };
    }
}
