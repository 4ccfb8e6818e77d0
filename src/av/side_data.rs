//! What a stream says beside its codec parameters: rotation, HDR metadata.
//!
//! From FFmpeg 6.1 on it is part of the codec parameters and copied with them; before, it belongs to the stream,
//! and would get lost.

use ffmpeg_next::ffi;

use crate::error::Result;

#[cfg(not(stream_side_data))]
#[derive(Clone)]
pub(super) struct SideData;

#[cfg(not(stream_side_data))]
impl SideData {
    /// # Safety
    /// None is needed: the same as where there is something to copy.
    pub(super) unsafe fn of_stream(_stream: *const ffi::AVStream) -> Self {
        Self
    }

    /// # Safety
    /// As for `of_stream`.
    pub(super) unsafe fn copy_to(&self, _stream: *mut ffi::AVStream) -> Result<()> {
        Ok(())
    }
}

/// What muxers look at.
#[cfg(stream_side_data)]
const KINDS: [ffi::AVPacketSideDataType; 6] = [
    ffi::AVPacketSideDataType::AV_PKT_DATA_DISPLAYMATRIX,
    ffi::AVPacketSideDataType::AV_PKT_DATA_STEREO3D,
    ffi::AVPacketSideDataType::AV_PKT_DATA_SPHERICAL,
    ffi::AVPacketSideDataType::AV_PKT_DATA_MASTERING_DISPLAY_METADATA,
    ffi::AVPacketSideDataType::AV_PKT_DATA_CONTENT_LIGHT_LEVEL,
    ffi::AVPacketSideDataType::AV_PKT_DATA_DOVI_CONF,
];

#[cfg(stream_side_data)]
#[derive(Clone)]
pub(super) struct SideData(Vec<(ffi::AVPacketSideDataType, Vec<u8>)>);

#[cfg(stream_side_data)]
impl SideData {
    /// # Safety
    /// `stream` must point to a valid stream.
    pub(super) unsafe fn of_stream(stream: *const ffi::AVStream) -> Self {
        let found = KINDS.into_iter().filter_map(|kind| {
            let mut size = 0;
            // SAFETY: the caller's promise; the buffer belongs to the stream, has `size` bytes and is copied at once.
            unsafe {
                let data = ffi::av_stream_get_side_data(stream, kind, &raw mut size);
                (!data.is_null()).then(|| (kind, std::slice::from_raw_parts(data, size).to_vec()))
            }
        });
        Self(found.collect())
    }

    /// # Safety
    /// `stream` must point to a valid stream that nothing else refers to.
    pub(super) unsafe fn copy_to(&self, stream: *mut ffi::AVStream) -> Result<()> {
        for (kind, bytes) in &self.0 {
            // SAFETY: the caller's promise; the new buffer has the size that was asked for.
            unsafe {
                let data = ffi::av_stream_new_side_data(stream, *kind, bytes.len());
                if data.is_null() {
                    return Err(super::error::no_memory());
                }
                std::ptr::copy_nonoverlapping(bytes.as_ptr(), data, bytes.len());
            }
        }
        Ok(())
    }
}
