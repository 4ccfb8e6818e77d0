//! AVERROR codes as our errors.

use std::ffi::{CStr, c_char, c_int};

use ffmpeg_next::ffi;

use crate::error::{Error, ErrorKind};

/// End of file, as libav's functions return it.
pub(super) const EOF: c_int = ffi::AVERROR_EOF;

/// The error of a libav call that returned a negative code; `doing` is what was tried.
pub(super) fn from_code(doing: &str, code: c_int) -> Error {
    let errno = ffi::AVUNERROR(code);
    let kind = match code {
        ffi::AVERROR_INVALIDDATA | ffi::AVERROR_EOF => ErrorKind::Media,
        ffi::AVERROR_EXIT => ErrorKind::Cancelled,
        ffi::AVERROR_PATCHWELCOME
        | ffi::AVERROR_DEMUXER_NOT_FOUND
        | ffi::AVERROR_MUXER_NOT_FOUND
        | ffi::AVERROR_DECODER_NOT_FOUND
        | ffi::AVERROR_BSF_NOT_FOUND => ErrorKind::Unsupported,
        _ if errno == ffi::ENOMEM => ErrorKind::Internal,
        // EIO too: what truly went wrong with reading or writing is known from our own reader or writer,
        // and told in place of this; demuxers call a frame cut short an I/O error.
        _ => ErrorKind::Media,
    };
    let mut message = format!("{doing}: {}", text(code));
    if let Some(line) = super::log::last_error() {
        message.push_str(" (libav: ");
        message.push_str(&line);
        message.push(')');
    }
    Error::new(kind, message)
}

/// libav's own words for a code. (`ffmpeg_next::Error` has none before its global `init`, which races.)
fn text(code: c_int) -> String {
    let mut buffer: [c_char; ffi::AV_ERROR_MAX_STRING_SIZE] = [0; ffi::AV_ERROR_MAX_STRING_SIZE];
    // SAFETY: the buffer's length is passed along; libav terminates what it writes, for unknown codes too.
    unsafe {
        ffi::av_strerror(code, buffer.as_mut_ptr(), buffer.len());
        CStr::from_ptr(buffer.as_ptr()).to_string_lossy().to_lowercase()
    }
}

/// The error of an allocation inside libav that failed.
pub(super) fn no_memory() -> Error {
    Error::new(ErrorKind::Internal, "libav could not allocate memory")
}
