//! A muxer onto one of our writers. Its state is in its type: packets can only be written
//! between the header and the trailer, which libav does not check and would crash on.

use std::ffi::{CStr, CString, c_int};
use std::ptr::null_mut;

use ffmpeg_next::ffi;

use super::error::{from_code, no_memory};
use super::io::{Avio, Writer};
use super::packet::Packet;
use super::params::{CodecId, Parameters};
use crate::cancel::CancelToken;
use crate::error::{Error, ErrorKind, Result};
use crate::options::Format;
use crate::time::TimeBase;

/// Bytes that are collected before a seekable writer is called: measured best between 512 KiB and 1 MiB.
const FILE_BUFFER_BYTES: c_int = 1 << 20;
/// The same for a pipe, where a reader waits at the other end.
const PIPE_BUFFER_BYTES: c_int = 64 << 10;
/// How long packets of one track stand together in an MP4 that is not fragmented. Without, each change of track
/// would begin a chunk, and chunks take room in the sample tables.
const CHUNK_US: c_int = 500_000;

/// Tracks can be added; no byte is written.
pub(crate) struct Unstarted;
/// The header is written; packets can follow.
pub(crate) struct Writing;

/// A track to be written.
pub(crate) struct TrackSetup<'a> {
    pub(crate) parameters: &'a Parameters,
    /// The wish; the muxer may settle on another, see [`Muxer::time_base`].
    pub(crate) time_base: TimeBase,
    /// ISO 639-2 code.
    pub(crate) language: Option<&'a str>,
    pub(crate) title: Option<&'a str>,
    pub(crate) default: bool,
    pub(crate) frame_rate: Option<f64>,
}

/// An output context, and the writer it writes to.
pub(crate) struct Muxer<W: Writer, State> {
    context: *mut ffi::AVFormatContext,
    io: Avio<W>,
    format: Format,
    _state: State,
}

// SAFETY: the context and everything it points to is exclusively owned and tied to no thread; the writer is `Send`.
unsafe impl<W: Writer, State: Send> Send for Muxer<W, State> {}

impl<W: Writer> Muxer<W, Unstarted> {
    pub(crate) fn new(writer: W, format: Format, cancel: &CancelToken) -> Result<Self> {
        super::init();
        let buffer_bytes = if writer.can_seek() { FILE_BUFFER_BYTES } else { PIPE_BUFFER_BYTES };
        let io = Avio::writer(writer, buffer_bytes, cancel.clone())?;
        let name = match format {
            Format::Mp4 | Format::Fmp4 => c"mp4",
            Format::Mov => c"mov",
            Format::M4a => c"ipod",
            Format::Mkv => c"matroska",
            Format::Ts => c"mpegts",
        };
        let mut this = Self { context: null_mut(), io, format, _state: Unstarted };
        // SAFETY: the context is fresh and ours, freed on drop; `pb` stays ours (AVFMT_FLAG_CUSTOM_IO).
        unsafe {
            let code = ffi::avformat_alloc_output_context2(
                &raw mut this.context,
                std::ptr::null_mut(),
                name.as_ptr(),
                std::ptr::null(),
            );
            if code < 0 || this.context.is_null() {
                let message = format!("this libav has no muxer `{}`", name.to_string_lossy());
                return Err(Error::new(ErrorKind::Unsupported, message));
            }
            let c = &mut *this.context;
            c.pb = this.io.as_mut_ptr();
            // BITEXACT: no muxer version, no clock, no random identifiers.
            c.flags |= ffi::AVFMT_FLAG_CUSTOM_IO | ffi::AVFMT_FLAG_BITEXACT;
            // A custom writer's `min_packet_size` is 0: libav would call it after every packet.
            c.flush_packets = 0;
            if matches!(format, Format::Mp4 | Format::Mov | Format::M4a) {
                c.max_chunk_duration = CHUNK_US;
            }
            // Timestamps change in the timeline only.
            c.avoid_negative_ts = 0;
            // FLAC and Opus in MP4 count as experimental in older versions.
            c.strict_std_compliance = ffi::FF_COMPLIANCE_EXPERIMENTAL as c_int;
        }
        Ok(this)
    }

    /// Adds a track; they are numbered from 0 in the order they are added.
    pub(crate) fn add_track(&mut self, track: &TrackSetup<'_>) -> Result<()> {
        // SAFETY: the new stream belongs to the context; parameters are copied; dictionaries copy their strings.
        unsafe {
            let stream = ffi::avformat_new_stream(self.context, std::ptr::null());
            if stream.is_null() {
                return Err(no_memory());
            }
            track.parameters.copy_to(stream)?;
            let s = &mut *stream;
            (*s.codecpar).codec_tag = self.codec_tag(track.parameters.codec());
            s.time_base = rational(track.time_base);
            if track.default {
                s.disposition |= ffi::AV_DISPOSITION_DEFAULT;
            }
            if let Some(rate) = track.frame_rate {
                s.avg_frame_rate = ffi::av_d2q(rate, 1_001_000);
            }
            // What players show as an MP4 track's name is its handler's.
            let handler = track.title.filter(|_| self.is_mp4());
            for (key, value) in [(c"language", track.language), (c"title", track.title), (c"handler_name", handler)] {
                if let Some(value) = value.and_then(|v| CString::new(v).ok()) {
                    ffi::av_dict_set(&raw mut s.metadata, key.as_ptr(), value.as_ptr(), 0);
                }
            }
        }
        Ok(())
    }

    fn is_mp4(&self) -> bool {
        matches!(self.format, Format::Mp4 | Format::Fmp4 | Format::Mov | Format::M4a)
    }

    /// 0 lets the muxer choose by codec; the input container's tag means nothing here. Apple's players
    /// take HEVC as `hvc1` only.
    fn codec_tag(&self, codec: CodecId) -> u32 {
        if self.is_mp4() && codec == CodecId::HEVC { u32::from_le_bytes(*b"hvc1") } else { 0 }
    }

    /// Leaves the first bytes of the output free: the header comes behind them.
    pub(crate) fn reserve(&mut self, bytes: u64) -> Result<()> {
        let position = i64::try_from(bytes).unwrap_or(i64::MAX);
        // SAFETY: `pb` is our open context.
        let code = unsafe { ffi::avio_seek(self.io.as_mut_ptr(), position, 0) };
        if code < 0 {
            self.io.check()?;
            let code = c_int::try_from(code).unwrap_or(ffi::AVERROR_UNKNOWN);
            return Err(from_code("cannot seek in the output", code));
        }
        self.io.check()
    }

    /// Writes the header.
    pub(crate) fn write_header(mut self) -> Result<Muxer<W, Writing>> {
        // Edit lists are counted in this: milliseconds would round where a track begins by up to half of one.
        let timescale = (c"movie_timescale", c"90000");
        let options: &[(&CStr, &CStr)] = match self.format {
            Format::Fmp4 => &[
                timescale,
                (c"movflags", c"frag_keyframe+delay_moov+default_base_moof"),
                // Audio alone has no key frames to cut at, and would be kept in memory to its end.
                (c"frag_duration", if self.has_video() { c"0" } else { c"2000000" }),
            ],
            _ if self.is_mp4() => &[timescale],
            _ => &[],
        };
        let mut dictionary = null_mut();
        // SAFETY: keys and values are terminated and copied; the dictionary is freed below.
        let (code, unknown) = unsafe {
            for (key, value) in options {
                ffi::av_dict_set(&raw mut dictionary, key.as_ptr(), value.as_ptr(), 0);
            }
            let code = ffi::avformat_write_header(self.context, &raw mut dictionary);
            let unknown = ffi::av_dict_count(dictionary);
            ffi::av_dict_free(&raw mut dictionary);
            (code, unknown)
        };
        self.io.check_cancelled()?;
        if code < 0 {
            let error = from_code(&format!("cannot begin a {} file", self.format.name()), code);
            // No byte was at fault: it is the tracks that the muxer refused.
            let refused = error.kind() == ErrorKind::Media;
            return Err(if refused { error.of_kind(ErrorKind::Unsupported) } else { error });
        }
        if unknown > 0 {
            return Err(Error::new(ErrorKind::Internal, "the muxer did not take all of its options"));
        }
        let this = std::mem::ManuallyDrop::new(self);
        // SAFETY: `this` is never dropped, so context and io have one owner, the returned muxer.
        let io = unsafe { std::ptr::read(&raw const this.io) };
        Ok(Muxer { context: this.context, io, format: this.format, _state: Writing })
    }

    fn has_video(&self) -> bool {
        // SAFETY: libav keeps `nb_streams` streams, each with parameters.
        unsafe {
            let c = &*self.context;
            (0..c.nb_streams as usize).any(|i| {
                let kind = (&raw const (*(**c.streams.add(i)).codecpar).codec_type).cast::<c_int>().read();
                kind == ffi::AVMediaType::AVMEDIA_TYPE_VIDEO as c_int
            })
        }
    }
}

impl<W: Writer> Muxer<W, Writing> {
    /// The time base that a track's packets must have.
    pub(crate) fn time_base(&self, track: usize) -> Result<TimeBase> {
        // SAFETY: the index is checked against `nb_streams`.
        let base = unsafe {
            let c = &*self.context;
            (track < c.nb_streams as usize).then(|| (**c.streams.add(track)).time_base)
        };
        base.and_then(|b| TimeBase::new(b.num, b.den))
            .ok_or_else(|| Error::new(ErrorKind::Internal, format!("track {track} has no time base")))
    }

    /// Writes one packet, interleaved by decoding time with those of the other tracks.
    pub(crate) fn write(&mut self, mut packet: Packet) -> Result<()> {
        self.io.check_cancelled()?;
        // SAFETY: context and packet are valid; the payload is taken over.
        let code = unsafe { ffi::av_interleaved_write_frame(self.context, packet.as_mut_ptr()) };
        self.outcome("cannot write a packet", code)
    }

    /// Writes what is still held back, and the trailer, and gives the writer back.
    pub(crate) fn finish(mut self) -> Result<W> {
        self.io.check_cancelled()?;
        // SAFETY: the header was written: `Self` exists only then.
        let code = unsafe { ffi::av_write_trailer(self.context) };
        self.outcome("cannot complete the file", code)?;
        // SAFETY: `pb` is our open context.
        unsafe { ffi::avio_flush(self.io.as_mut_ptr()) };
        self.outcome("cannot complete the file", 0)?;
        self.free();
        let this = std::mem::ManuallyDrop::new(self);
        // SAFETY: `this` is never dropped, and its context is freed.
        Ok(unsafe { std::ptr::read(&raw const this.io) }.into_stream())
    }

    fn outcome(&mut self, doing: &str, code: c_int) -> Result<()> {
        self.io.check()?;
        if code < 0 { Err(from_code(doing, code)) } else { Ok(()) }
    }
}

impl<W: Writer, State> Muxer<W, State> {
    fn free(&mut self) {
        if !self.context.is_null() {
            // SAFETY: ours; `pb` is not touched by this call and freed by `io` after.
            unsafe { ffi::avformat_free_context(self.context) };
            self.context = null_mut();
        }
    }
}

impl<W: Writer, State> Drop for Muxer<W, State> {
    fn drop(&mut self) {
        self.free();
    }
}

fn rational(base: TimeBase) -> ffi::AVRational {
    let part = |n: u32| c_int::try_from(n).unwrap_or(c_int::MAX);
    ffi::AVRational { num: part(base.num), den: part(base.den) }
}
