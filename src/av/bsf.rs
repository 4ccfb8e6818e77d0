//! Bitstream filters: what turns packets from one container's framing into another's.

use std::ffi::CStr;

use ffmpeg_next::ffi;

use super::error::{EOF, from_code, no_memory};
use super::packet::Packet;
use super::params::Parameters;
use crate::error::{Error, ErrorKind, Result};

/// One filter of one track.
pub(crate) struct BitstreamFilter(*mut ffi::AVBSFContext);

// SAFETY: exclusively owned, tied to no thread.
unsafe impl Send for BitstreamFilter {}

impl BitstreamFilter {
    /// AAC with ADTS headers to AAC as MP4 and Matroska carry it (libavcodec/aac_adtstoasc_bsf.c).
    pub(crate) fn adts_to_asc(parameters: &Parameters) -> Result<Self> {
        Self::new(c"aac_adtstoasc", parameters)
    }

    fn new(name: &'static CStr, parameters: &Parameters) -> Result<Self> {
        super::init();
        // SAFETY: the name is terminated; the context is freed by `drop` from the moment it exists.
        unsafe {
            let filter = ffi::av_bsf_get_by_name(name.as_ptr());
            if filter.is_null() {
                let name = name.to_string_lossy();
                return Err(Error::new(ErrorKind::Unsupported, format!("this libav has no filter `{name}`")));
            }
            let mut context = std::ptr::null_mut();
            if ffi::av_bsf_alloc(filter, &raw mut context) < 0 {
                return Err(no_memory());
            }
            let this = Self(context);
            let code = ffi::avcodec_parameters_copy((*context).par_in, parameters.as_ptr());
            let code = if code < 0 { code } else { ffi::av_bsf_init(context) };
            if code < 0 { Err(from_code("cannot set up a bitstream filter", code)) } else { Ok(this) }
        }
    }

    /// Filters one packet into one. `None` where the filter takes the packet and gives none.
    pub(crate) fn filter(&mut self, mut packet: Packet) -> Result<Option<Packet>> {
        // SAFETY: context and packets are valid; `send` takes the payload over, `receive` fills the emptied packet.
        unsafe {
            let code = ffi::av_bsf_send_packet(self.0, packet.as_mut_ptr());
            if code < 0 {
                return Err(from_code("a bitstream filter refused a packet", code));
            }
            match ffi::av_bsf_receive_packet(self.0, packet.as_mut_ptr()) {
                0 => Ok(Some(packet)),
                code if code == EOF || code == ffi::AVERROR(ffi::EAGAIN) => Ok(None),
                code => Err(from_code("a bitstream filter failed", code)),
            }
        }
    }
}

impl Drop for BitstreamFilter {
    fn drop(&mut self) {
        // SAFETY: owned; sets our copy to null.
        unsafe { ffi::av_bsf_free(&raw mut self.0) };
    }
}
