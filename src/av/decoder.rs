//! Decoding, to see whether a stream can be: frames are counted and thrown away.

use std::ffi::c_int;

use ffmpeg_next::ffi;

use super::demuxer::may_decode;
use super::error::{EOF, no_memory};
use super::log;
use super::packet::Packet;
use super::params::Parameters;
use crate::error::Result;

/// Pictures larger than this are not decoded, as the input alone would decide how much memory they take.
const MAX_PIXELS: i64 = 1 << 26;
/// Failures of a decoder for one packet, after which the next packet is tried.
const MAX_FAILURES: usize = 16;

unsafe extern "C" {
    // Declared with a plain number for the same reason as `avcodec_get_name`.
    #[link_name = "avcodec_find_decoder"]
    fn find_decoder(id: c_int) -> *const ffi::AVCodec;
}

/// What came of decoding a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tally {
    /// Frames that the decoder gave: pictures, or blocks of samples.
    pub(crate) frames: u64,
    /// Packets at which it returned an error, complained, or marked a frame as damaged.
    pub(crate) errors: u64,
}

/// A decoder, whose frames are counted. It runs on the thread that calls it and on no other, so that what it
/// logs can be told from the rest, and the same packets give the same counts.
pub(crate) struct Decoder {
    context: *mut ffi::AVCodecContext,
    frame: *mut ffi::AVFrame,
    tally: Tally,
}

// SAFETY: exclusively owned, tied to no thread between two calls.
unsafe impl Send for Decoder {}

impl Decoder {
    /// Opens a decoder; `None` where this libav has none for the stream.
    ///
    /// `video_delay` is how many pictures it holds back at least until it knows better
    /// ([`Parameters::video_delay`]): two decoders count the same only if they begin with the same.
    pub(crate) fn open(parameters: &Parameters, video_delay: i32) -> Result<Option<Self>> {
        super::init();
        // SAFETY: takes any number.
        let codec = unsafe { find_decoder(parameters.codec().number()) };
        // SAFETY: null, or a static description whose name is a terminated string.
        let is_listed = !codec.is_null() && may_decode(unsafe { std::ffi::CStr::from_ptr((*codec).name) });
        if !is_listed {
            return Ok(None);
        }
        // SAFETY: takes nothing, or a static description; what they return is freed by `drop`.
        let (context, frame) = unsafe { (ffi::avcodec_alloc_context3(codec), ffi::av_frame_alloc()) };
        let this = Self { context, frame, tally: Tally::default() };
        if context.is_null() || frame.is_null() {
            return Err(no_memory());
        }
        // SAFETY: the context is fresh and ours; the parameters are valid.
        let open = || unsafe {
            let code = ffi::avcodec_parameters_to_context(context, parameters.as_ptr());
            if code < 0 {
                return code;
            }
            let c = &raw mut *context;
            (*c).has_b_frames = video_delay;
            (*c).thread_count = 1;
            (*c).max_pixels = MAX_PIXELS;
            // All that is in a packet shall come out: pictures before the first key picture, and samples that an
            // edit list hides.
            (*c).flags |= ffi::AV_CODEC_FLAG_OUTPUT_CORRUPT as c_int;
            (*c).flags2 |= ffi::AV_CODEC_FLAG2_SHOW_ALL as c_int | ffi::AV_CODEC_FLAG2_SKIP_MANUAL as c_int;
            ffi::avcodec_open2(context, codec, std::ptr::null_mut())
        };
        let (code, _) = log::listening(open);
        Ok((code >= 0).then_some(this))
    }

    /// Decodes a packet. That it cannot be decoded is counted and no error.
    pub(crate) fn decode(&mut self, packet: &Packet) -> Result<()> {
        // To libav one without data would mean the end.
        if packet.data().is_empty() {
            return Ok(());
        }
        let mut packet = packet.try_clone()?;
        // An edit list marks packets to be thrown away when they are decoded.
        packet.reset_for_output();
        self.step(packet.as_mut_ptr());
        Ok(())
    }

    /// Takes what the decoder holds back, and tells what came of all.
    pub(crate) fn finish(mut self) -> Tally {
        self.step(std::ptr::null_mut());
        self.tally
    }

    fn step(&mut self, packet: *mut ffi::AVPacket) {
        let (is_clean, complaints) = log::listening(|| self.send(packet));
        self.tally.errors += u64::from(!is_clean || complaints);
    }

    /// Sends a packet, or none for the end, and takes all frames that are ready. False if anything was wrong.
    fn send(&mut self, packet: *mut ffi::AVPacket) -> bool {
        // SAFETY: context and frame are valid; the packet is, or null.
        let mut is_clean = unsafe { ffi::avcodec_send_packet(self.context, packet) } >= 0;
        let mut failures = 0;
        while failures < MAX_FAILURES {
            // SAFETY: as above; the frame is emptied first.
            match unsafe { ffi::avcodec_receive_frame(self.context, self.frame) } {
                0 => {
                    self.tally.frames += 1;
                    // SAFETY: the frame is valid.
                    let (errors, flags) = unsafe { ((*self.frame).decode_error_flags, (*self.frame).flags) };
                    is_clean &= errors == 0 && flags & ffi::AV_FRAME_FLAG_CORRUPT as c_int == 0;
                }
                code if code == EOF || code == ffi::AVERROR(ffi::EAGAIN) => break,
                _ => {
                    failures += 1;
                    is_clean = false;
                }
            }
        }
        is_clean
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: owned; both set our copy to null, and take null.
        unsafe {
            ffi::av_frame_free(&raw mut self.frame);
            ffi::avcodec_free_context(&raw mut self.context);
        }
    }
}
