//! A demuxer over one of our readers.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::null_mut;

use ffmpeg_next::ffi;

use super::error::{EOF, from_code, no_memory};
use super::io::{Avio, Reader};
use super::packet::Packet;
use super::params::{CodecId, Parameters};
use crate::cancel::CancelToken;
use crate::error::{Error, ErrorKind, Result};
use crate::time::{Nanos, TimeBase};

/// Bytes that libav asks a reader for at once.
const READ_BUFFER_BYTES: c_int = 256 << 10;

/// Decoders that may be opened, to learn a stream's parameters or to check an output; nothing else that it was built with is reachable.
const DECODERS: &CStr =
    c"h264,hevc,av1,libdav1d,libaom-av1,vp9,vp8,mpeg1video,mpeg2video,mpeg4,aac,aac_latm,mp3,mp3float,mp2,mp2float,\
      mp1,mp1float,ac3,eac3,opus,libopus,flac,alac,dca,truehd,vorbis,pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,pcm_bluray";

/// Whether a decoder is one of those.
pub(super) fn may_decode(name: &CStr) -> bool {
    DECODERS.to_bytes().split(|byte| *byte == b',').any(|listed| listed == name.to_bytes())
}

/// Reads that fail in a row with "invalid data" before the demuxer is given up.
const INVALID_IN_A_ROW: u64 = 10_000;
/// The same where all bytes are read: as many samples as a fragment may lack.
const INVALID_AT_END: u64 = 1000;

/// The demuxers in use. libav never chooses one by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DemuxerKind {
    MpegTs,
    Mp4,
    Aac,
    Mp3,
    Ac3,
    Eac3,
    Matroska,
}

impl DemuxerKind {
    fn av_name(self) -> &'static CStr {
        match self {
            Self::MpegTs => c"mpegts",
            Self::Mp4 => c"mov",
            Self::Aac => c"aac",
            Self::Mp3 => c"mp3",
            Self::Ac3 => c"ac3",
            Self::Eac3 => c"eac3",
            Self::Matroska => c"matroska",
        }
    }
}

/// How far libav may read ahead to learn what the streams are.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Probing {
    /// Up to so many bytes and so much media, less where all is known before.
    Ahead { bytes: u64, duration_us: i64 },
    /// What the header says, edit lists left aside: for reading back a file of our own.
    HeaderOnly,
}

/// A sample by a file's own index.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IndexEntry {
    pub(crate) position: u64,
    pub(crate) size: u64,
    pub(crate) key: bool,
}

/// A stream of an input.
pub(crate) struct Stream {
    pub(crate) index: usize,
    /// The container's own number: `track_ID` in MP4, PID in TS.
    pub(crate) id: u32,
    pub(crate) parameters: Parameters,
    pub(crate) time_base: TimeBase,
    /// By the container; `None` if it does not say.
    pub(crate) duration: Option<Nanos>,
    pub(crate) language: Option<String>,
    /// Average frames a second; `None` for what is no video or not known.
    pub(crate) frame_rate: Option<f64>,
    /// Timestamps wrap at 2^33.
    pub(crate) wraps: bool,
    /// A still picture that goes with audio.
    pub(crate) attached_picture: bool,
}

impl Stream {
    pub(crate) fn try_clone(&self) -> Result<Self> {
        Ok(Self { parameters: self.parameters.try_clone()?, language: self.language.clone(), ..*self })
    }

    /// AAC in LOAS frames, which MP4 and Matroska do not take either.
    pub(crate) fn is_latm(&self) -> bool {
        self.parameters.codec() == CodecId::AAC_LATM
    }

    /// AAC in ADTS frames, which MP4 and Matroska do not take: the configuration is in the frames.
    pub(crate) fn is_adts(&self) -> bool {
        self.parameters.codec() == CodecId::AAC && self.parameters.extradata().is_empty()
    }
}

/// An open input context, and the reader it reads from.
pub(crate) struct Demuxer<R: Reader> {
    context: *mut ffi::AVFormatContext,
    io: Option<Avio<R>>,
    /// What the interrupt callback looks at; boxed so that its address stays.
    _cancel: Box<CancelToken>,
    invalid_reads: u64,
    /// The stream that is to come unparsed, until its first packet came.
    unparsed: Option<usize>,
}

// SAFETY: the context and everything it points to is exclusively owned and tied to no thread; the reader is `Send`.
unsafe impl<R: Reader> Send for Demuxer<R> {}

impl<R: Reader> Demuxer<R> {
    /// Opens a reader with the named demuxer and reads ahead until the streams are known. Blocks on the reader.
    ///
    /// On failure the reader comes back with the error.
    pub(crate) fn open(
        reader: R,
        kind: DemuxerKind,
        probing: Probing,
        cancel: &CancelToken,
    ) -> Result<Self, (Error, Option<R>)> {
        super::init();
        let io = Avio::reader(reader, READ_BUFFER_BYTES, cancel.clone()).map_err(|e| (e, None))?;
        let cancel = Box::new(cancel.clone());
        // SAFETY: takes nothing.
        let context = unsafe { ffi::avformat_alloc_context() };
        let mut this = Self { context, io: Some(io), _cancel: cancel, invalid_reads: 0, unparsed: None };
        let opened = this.open_context(kind, probing);
        // What the reader met is the truth, whatever libav made of it.
        match this.io.as_mut().map_or(Ok(()), Avio::check).and(opened) {
            Ok(()) => Ok(this),
            Err(error) => Err((error, this.into_reader())),
        }
    }

    fn open_context(&mut self, kind: DemuxerKind, probing: Probing) -> Result<()> {
        if self.context.is_null() {
            return Err(no_memory());
        }
        let io = self.io.as_mut().ok_or_else(no_memory)?;
        io.check_cancelled()?;
        // SAFETY: the context is fresh and ours. `avformat_open_input` frees it and nulls the pointer when it fails;
        // `pb` is ours throughout (AVFMT_FLAG_CUSTOM_IO). The cancel token outlives the context.
        unsafe {
            let c = &mut *self.context;
            c.pb = io.as_mut_ptr();
            c.flags |= ffi::AVFMT_FLAG_CUSTOM_IO;
            c.interrupt_callback = ffi::AVIOInterruptCB {
                callback: Some(interrupted),
                opaque: (&raw const *self._cancel).cast_mut().cast(),
            };
            c.io_open = Some(refuse_open);
            if let Probing::Ahead { bytes, duration_us } = probing {
                c.probesize = i64::try_from(bytes).unwrap_or(i64::MAX);
                c.max_analyze_duration = duration_us;
            }
            // The timeline unwraps 33-bit timestamps itself: here a jump back would come out as +2^33.
            c.correct_ts_overflow = 0;
            c.codec_whitelist = ffi::av_strdup(DECODERS.as_ptr());
            c.format_whitelist = ffi::av_strdup(kind.av_name().as_ptr());
            // No protocol at all.
            c.protocol_whitelist = ffi::av_strdup(c"none".as_ptr());
            let format = ffi::av_find_input_format(kind.av_name().as_ptr());
            if format.is_null() {
                let message = format!("this libav has no demuxer `{}`", kind.av_name().to_string_lossy());
                return Err(Error::new(ErrorKind::Unsupported, message));
            }
            // The whitelist holds names as the demuxer itself lists them ("mov,mp4,m4a,…").
            ffi::av_freep((&raw mut c.format_whitelist).cast());
            c.format_whitelist = ffi::av_strdup((*format).name);
            let mut options = null_mut();
            if matches!((probing, kind), (Probing::HeaderOnly, DemuxerKind::Mp4)) {
                ffi::av_dict_set(&raw mut options, c"ignore_editlist".as_ptr(), c"1".as_ptr(), 0);
            }
            let code = ffi::avformat_open_input(&raw mut self.context, c"".as_ptr(), format, &raw mut options);
            ffi::av_dict_free(&raw mut options);
            if code < 0 {
                return Err(from_code("cannot open the media", code));
            }
            let code = match probing {
                Probing::Ahead { .. } => ffi::avformat_find_stream_info(self.context, null_mut()),
                Probing::HeaderOnly => 0,
            };
            if code < 0 {
                return Err(from_code("cannot find out what the streams are", code));
            }
        }
        Ok(())
    }

    /// The streams known so far, in libav's order.
    pub(crate) fn streams(&self) -> Result<Vec<Stream>> {
        (0..self.stream_count()).map(|index| self.stream(index)).collect()
    }

    pub(crate) fn stream_count(&self) -> usize {
        // SAFETY: the context is open.
        unsafe { (*self.context).nb_streams as usize }
    }

    fn av_stream(&self, index: usize) -> Result<*mut ffi::AVStream> {
        if index >= self.stream_count() {
            return Err(Error::new(ErrorKind::Internal, format!("there is no stream {index}")));
        }
        // SAFETY: below `nb_streams`.
        Ok(unsafe { *(*self.context).streams.add(index) })
    }

    /// One stream as it is known now.
    pub(crate) fn stream(&self, index: usize) -> Result<Stream> {
        let stream = self.av_stream(index)?;
        // SAFETY: the stream belongs to the open context.
        unsafe {
            let s = &*stream;
            let rate = s.avg_frame_rate;
            let time_base = TimeBase::new(s.time_base.num, s.time_base.den).unwrap_or(TimeBase::MPEG);
            Ok(Stream {
                index,
                id: s.id.cast_unsigned(),
                parameters: Parameters::of_stream(stream)?,
                time_base,
                duration: (s.duration > 0).then(|| Nanos::from_ticks(s.duration, time_base)),
                language: metadata(s.metadata, c"language"),
                frame_rate: (rate.num > 0 && rate.den > 0).then(|| f64::from(rate.num) / f64::from(rate.den)),
                wraps: s.pts_wrap_bits == 33,
                attached_picture: s.disposition & ffi::AV_DISPOSITION_ATTACHED_PIC != 0,
            })
        }
    }

    /// The samples of a stream as the container's index lists them. Empty where it has none.
    pub(crate) fn index(&self, stream: usize) -> Result<impl Iterator<Item = IndexEntry>> {
        let stream = self.av_stream(stream)?;
        // SAFETY: the stream belongs to the open context.
        let count = unsafe { ffi::avformat_index_get_entries_count(stream) };
        Ok((0..count).filter_map(move |n| {
            // SAFETY: as above; an entry is valid until the demuxer reads on, and is copied at once.
            let entry = unsafe { ffi::avformat_index_get_entry(stream, n).as_ref() }?;
            Some(IndexEntry {
                position: u64::try_from(entry.pos).ok()?,
                size: u64::try_from(entry.size()).ok()?,
                key: entry.flags() & ffi::AVINDEX_KEYFRAME as c_int != 0,
            })
        }))
    }

    /// The streams of each programme, in the order of the programme numbers in the stream. Empty outside TS.
    pub(crate) fn programs(&self) -> Vec<Vec<usize>> {
        // SAFETY: libav keeps `nb_programs` programmes, each with `nb_stream_indexes` indexes.
        unsafe {
            let c = &*self.context;
            (0..c.nb_programs as usize)
                .map(|p| {
                    let program = &**c.programs.add(p);
                    (0..program.nb_stream_indexes as usize).map(|s| *program.stream_index.add(s) as usize).collect()
                })
                .collect()
        }
    }

    /// Gives the streams what an earlier context found out of them, and lets one, of H.264, come as the container has
    /// it, not searched for the borders of pictures: out of TS each packet is a PES packet then, or a piece of one.
    /// Before the first read. False if the streams are not the same ones.
    pub(crate) fn adopt(&mut self, known: &[Stream], unparsed: usize) -> Result<bool> {
        if self.stream_count() != known.len() {
            return Ok(false);
        }
        for stream in known {
            let to = self.av_stream(stream.index)?;
            // SAFETY: the stream belongs to the open context, and both sets of parameters are valid.
            unsafe {
                if (*to).id.cast_unsigned() != stream.id {
                    return Ok(false);
                }
                let code = ffi::avcodec_parameters_copy((*to).codecpar, stream.parameters.as_ptr());
                if code < 0 {
                    return Err(from_code("cannot set up a stream", code));
                }
                // With its first packet libav looks for the codec's parser, once; this one has none
                // (libavformat/demux.c, read_frame_internal).
                if stream.index == unparsed {
                    (*(*to).codecpar).codec_id = ffi::AVCodecID::AV_CODEC_ID_BIN_DATA;
                }
            }
        }
        self.unparsed = Some(unparsed);
        Ok(true)
    }

    /// Lets the demuxer drop a stream's data unassembled.
    pub(crate) fn discard(&mut self, index: usize) -> Result<()> {
        let stream = self.av_stream(index)?;
        // SAFETY: the stream belongs to the open context.
        unsafe { (*stream).discard = ffi::AVDiscard::AVDISCARD_ALL };
        Ok(())
    }

    /// The next packet; `None` at the end. Blocks on the reader.
    pub(crate) fn read(&mut self) -> Result<Option<Packet>> {
        let mut in_a_row: u64 = 0;
        loop {
            self.io.as_mut().map_or(Ok(()), Avio::check_cancelled)?;
            let mut packet = Packet::new()?;
            // SAFETY: context and packet are valid.
            let code = unsafe { ffi::av_read_frame(self.context, packet.as_mut_ptr()) };
            // A reader's error may come out as the end of the file, or cut a packet short: ours is the truth.
            self.io.as_mut().map_or(Ok(()), Avio::check)?;
            match code {
                0.. => {
                    if self.unparsed == Some(packet.stream()) {
                        self.unparsed = None;
                        let stream = self.av_stream(packet.stream())?;
                        // Times that are missing or contradict each other shall stay so: libav mends them for all codecs
                        // but a few, of which this one is not asked for more (libavformat/demux.c, compute_pkt_fields).
                        // SAFETY: the stream belongs to the open context.
                        unsafe { (*(*stream).codecpar).codec_id = ffi::AVCodecID::AV_CODEC_ID_HEVC };
                    }
                    return Ok(Some(packet));
                }
                EOF => return Ok(None),
                ffi::AVERROR_INVALIDDATA
                    if in_a_row < if self.is_at_end() { INVALID_AT_END } else { INVALID_IN_A_ROW } =>
                {
                    in_a_row += 1;
                    self.invalid_reads += 1;
                }
                // It is told of, not passed over.
                ffi::AVERROR_INVALIDDATA => {
                    self.invalid_reads -= in_a_row;
                    return Err(from_code("cannot read the media", code));
                }
                // A damaged header asks for more memory than any packet takes: that is the media's fault, not ours.
                _ if ffi::AVUNERROR(code) == ffi::ENOMEM => {
                    return Err(Error::new(ErrorKind::Media, "a packet in it claims more bytes than can be"));
                }
                _ => return Err(from_code("cannot read the media", code)),
            }
        }
    }

    /// The reader has no more to give.
    fn is_at_end(&self) -> bool {
        // SAFETY: the context is open, and its `pb` ours.
        unsafe { (*self.context).pb.as_ref().is_some_and(|io| io.eof_reached != 0) }
    }

    /// How often libav met data that it could not make sense of and went on behind it.
    pub(crate) fn invalid_reads(&self) -> u64 {
        self.invalid_reads
    }

    /// The reader, between two reads.
    pub(crate) fn reader(&mut self) -> Option<&mut R> {
        self.io.as_mut().map(Avio::stream)
    }

    /// Closes the context and gives the reader back.
    pub(crate) fn into_reader(mut self) -> Option<R> {
        self.close();
        self.io.take().map(Avio::into_stream)
    }

    fn close(&mut self) {
        if !self.context.is_null() {
            // SAFETY: ours; with AVFMT_FLAG_CUSTOM_IO this leaves `pb` alone, which is freed after.
            unsafe { ffi::avformat_close_input(&raw mut self.context) };
        }
    }
}

impl<R: Reader> Drop for Demuxer<R> {
    fn drop(&mut self) {
        self.close();
    }
}

/// # Safety
/// `dictionary` must be null or valid.
unsafe fn metadata(dictionary: *const ffi::AVDictionary, key: &CStr) -> Option<String> {
    // SAFETY: the caller's promise; entries hold terminated strings.
    unsafe {
        let entry = ffi::av_dict_get(dictionary, key.as_ptr(), std::ptr::null(), 0);
        if entry.is_null() {
            return None;
        }
        let value = CString::from(CStr::from_ptr((*entry).value)).into_string().ok()?;
        (!value.is_empty() && value != "und").then_some(value)
    }
}

unsafe extern "C" fn interrupted(opaque: *mut c_void) -> c_int {
    // SAFETY: the token is boxed in the demuxer that owns the context.
    c_int::from(unsafe { (*opaque.cast::<CancelToken>()).is_cancelled() })
}

/// No file or URL that media names is ever opened.
unsafe extern "C" fn refuse_open(
    _context: *mut ffi::AVFormatContext,
    _io: *mut *mut ffi::AVIOContext,
    _url: *const c_char,
    _flags: c_int,
    _options: *mut *mut ffi::AVDictionary,
) -> c_int {
    ffi::AVERROR(ffi::EPERM)
}
