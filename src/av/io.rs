//! libav's byte input and output (`AVIOContext`) on our own readers and writers.
//!
//! A callback that libav calls may not unwind and can return no more than a number. So each one
//! looks at the cancel token first, catches panics, and keeps the real error for
//! [`Avio::check`]; once a call failed, all later ones fail without touching the stream.

use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null_mut;

use ffmpeg_next::ffi;

use super::error::no_memory;
use crate::cancel::CancelToken;
use crate::error::{Error, ErrorKind, Result};

/// Where a demuxer's bytes come from.
pub(crate) trait Reader: Send {
    /// Fills the front of the buffer and returns how much; 0 at the end. Only writes to the buffer.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize>;

    /// Total size in bytes if the reader can seek; `None` if it cannot.
    fn size(&self) -> Option<u64> {
        None
    }

    /// Goes to a byte position. Called only where [`size`](Self::size) is known.
    fn seek(&mut self, _position: u64) -> Result<()> {
        Err(Error::new(ErrorKind::Internal, "this input cannot seek"))
    }
}

/// Where a muxer's bytes go to.
pub(crate) trait Writer: Send {
    /// Writes all of the bytes at the current position.
    fn write_all(&mut self, bytes: &[u8]) -> Result<()>;

    /// True if [`seek`](Self::seek) works.
    fn can_seek(&self) -> bool;

    /// Goes to a byte position, also beyond the end.
    fn seek(&mut self, position: u64) -> Result<()>;
}

/// An `AVIOContext` and the stream behind it.
pub(super) struct Avio<S> {
    context: *mut ffi::AVIOContext,
    /// What the callbacks get as `opaque`. From `Box::into_raw`; freed on drop.
    state: *mut State<S>,
}

struct State<S> {
    stream: S,
    cancel: CancelToken,
    position: u64,
    /// The end of the data as far as it is known: what was written, or the reader's size.
    end: u64,
    /// Until it is told.
    error: Option<Error>,
    /// Stays, for whoever goes on after the error was told.
    failed: Option<ErrorKind>,
}

// SAFETY: both allocations are exclusively owned and tied to no thread; the stream is `Send`.
unsafe impl<S: Send> Send for Avio<S> {}

impl<R: Reader> Avio<R> {
    pub(super) fn reader(reader: R, buffer_bytes: c_int, cancel: CancelToken) -> Result<Self> {
        let size = reader.size();
        let seek = size.is_some().then_some(seek_reader::<R> as _);
        Self::new(reader, size.unwrap_or(0), buffer_bytes, cancel, Some(read::<R>), None, seek)
    }
}

type ReadCallback = unsafe extern "C" fn(*mut c_void, *mut u8, c_int) -> c_int;
type WriteCallback = unsafe extern "C" fn(*mut c_void, *const u8, c_int) -> c_int;
type SeekCallback = unsafe extern "C" fn(*mut c_void, i64, c_int) -> i64;

impl<W: Writer> Avio<W> {
    pub(super) fn writer(writer: W, buffer_bytes: c_int, cancel: CancelToken) -> Result<Self> {
        let seek = writer.can_seek().then_some(seek_writer::<W> as _);
        Self::new(writer, 0, buffer_bytes, cancel, None, Some(write::<W>), seek)
    }
}

impl<S> Avio<S> {
    fn new(
        stream: S,
        end: u64,
        buffer_bytes: c_int,
        cancel: CancelToken,
        read: Option<ReadCallback>,
        write: Option<WriteCallback>,
        seek: Option<SeekCallback>,
    ) -> Result<Self> {
        let state = Box::new(State { stream, cancel, position: 0, end, error: None, failed: None });
        // SAFETY: the buffer is owned by the context once that exists, and freed here if it does not come to be.
        // The write callback's buffer is `*mut u8` before libavformat 61 and `*const u8` from there on: one ABI,
        // and the callback only reads, so the cast to whichever the headers name is sound.
        unsafe {
            let buffer = ffi::av_mallocz(buffer_bytes as usize).cast::<u8>();
            if buffer.is_null() {
                return Err(no_memory());
            }
            let state = Box::into_raw(state);
            let context = ffi::avio_alloc_context(
                buffer,
                buffer_bytes,
                c_int::from(write.is_some()),
                state.cast(),
                read,
                std::mem::transmute::<
                    Option<WriteCallback>,
                    Option<unsafe extern "C" fn(*mut c_void, _, c_int) -> c_int>,
                >(write),
                seek,
            );
            if context.is_null() {
                ffi::av_free(buffer.cast());
                drop(Box::from_raw(state));
                return Err(no_memory());
            }
            Ok(Self { context, state })
        }
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut ffi::AVIOContext {
        self.context
    }

    /// The error that a callback met, if one did: itself the first time, one of its kind ever after.
    ///
    /// libav may have made an end of file or nothing at all of it.
    pub(super) fn check(&mut self) -> Result<()> {
        // SAFETY: no callback runs while `self` is borrowed here.
        let state = unsafe { &mut *self.state };
        match (state.error.take(), state.failed) {
            (Some(error), _) => Err(error),
            (None, Some(kind)) => Err(Error::new(kind, "reading or writing media failed before")),
            (None, None) => Ok(()),
        }
    }

    /// An error where the job is cancelled, or as [`check`](Self::check) tells.
    ///
    /// For work on bytes that libav holds already, which calls no callback.
    pub(super) fn check_cancelled(&mut self) -> Result<()> {
        self.check()?;
        // SAFETY: as for `check`.
        unsafe { (*self.state).cancel.check() }
    }

    pub(super) fn stream(&mut self) -> &mut S {
        // SAFETY: as for `check`.
        unsafe { &mut (*self.state).stream }
    }

    /// Gives the stream back. What a writer's context still buffers must be flushed before.
    pub(super) fn into_stream(mut self) -> S {
        self.free_context();
        // SAFETY: `state` came from `Box::into_raw` and is taken over here once: `drop` finds null.
        let state = unsafe { Box::from_raw(self.state) };
        self.state = null_mut();
        state.stream
    }

    fn free_context(&mut self) {
        if !self.context.is_null() {
            // SAFETY: the context is ours; libav may have replaced its buffer, so the current one is freed.
            unsafe {
                ffi::av_freep((&raw mut (*self.context).buffer).cast());
                ffi::avio_context_free(&raw mut self.context);
            }
        }
    }
}

impl<S> Drop for Avio<S> {
    fn drop(&mut self) {
        self.free_context();
        if !self.state.is_null() {
            // SAFETY: from `Box::into_raw`, and not taken over by `into_stream`.
            drop(unsafe { Box::from_raw(self.state) });
        }
    }
}

impl<S> State<S> {
    /// Runs one callback's work behind the border: cancellation first, no panic out, the error kept.
    fn guarded<T: Into<i64>>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> i64 {
        if self.failed.is_some() {
            return i64::from(ffi::AVERROR(ffi::EIO));
        }
        let outcome = match self.cancel.check() {
            Err(error) => Err(error),
            Ok(()) => catch_unwind(AssertUnwindSafe(|| work(self))).unwrap_or_else(|payload| {
                // What was thrown may panic again when it is dropped.
                std::mem::forget(payload);
                Err(Error::new(ErrorKind::Internal, "panic while media was read or written"))
            }),
        };
        match outcome {
            Ok(value) => value.into(),
            Err(error) => {
                let code =
                    if error.kind() == ErrorKind::Cancelled { ffi::AVERROR_EXIT } else { ffi::AVERROR(ffi::EIO) };
                self.failed = Some(error.kind());
                self.error = Some(error);
                i64::from(code)
            }
        }
    }

    /// The absolute position that an lseek-like call asks for; `None` where it makes no sense.
    fn target(&self, offset: i64, whence: c_int) -> Option<u64> {
        let from = match whence & !ffi::AVSEEK_FORCE {
            0 => 0,
            1 => self.position,
            2 => self.end,
            _ => return None,
        };
        from.checked_add_signed(offset)
    }
}

unsafe extern "C" fn read<R: Reader>(opaque: *mut c_void, buffer: *mut u8, length: c_int) -> c_int {
    // SAFETY: `opaque` is the state given to `avio_alloc_context`; libav calls from one thread at a time, and the
    // buffer has `length` bytes. Readers only write to it (see the trait), so what it held does not matter.
    let (state, buffer) = unsafe {
        let length = usize::try_from(length).unwrap_or(0);
        (&mut *opaque.cast::<State<R>>(), std::slice::from_raw_parts_mut(buffer, length))
    };
    let code = state.guarded(|state| {
        let n = state.stream.read(buffer)?;
        if n > buffer.len() {
            // libav would go on with memory that nobody wrote to.
            return Err(Error::new(ErrorKind::Internal, "a reader claims to have read more than was asked for"));
        }
        state.position += n as u64;
        Ok(if n == 0 { ffi::AVERROR_EOF } else { c_int::try_from(n).unwrap_or(0) })
    });
    c_int::try_from(code).unwrap_or(c_int::MIN)
}

unsafe extern "C" fn write<W: Writer>(opaque: *mut c_void, buffer: *const u8, length: c_int) -> c_int {
    // SAFETY: as for `read`; the buffer is only read.
    let (state, bytes) = unsafe {
        let length = usize::try_from(length).unwrap_or(0);
        (&mut *opaque.cast::<State<W>>(), std::slice::from_raw_parts(buffer, length))
    };
    let code = state.guarded(|state| {
        state.stream.write_all(bytes)?;
        state.position += bytes.len() as u64;
        state.end = state.end.max(state.position);
        Ok(length)
    });
    c_int::try_from(code).unwrap_or(c_int::MIN)
}

unsafe extern "C" fn seek_reader<R: Reader>(opaque: *mut c_void, offset: i64, whence: c_int) -> i64 {
    // SAFETY: as for `read`.
    unsafe { seek::<R>(opaque, offset, whence, R::seek) }
}

unsafe extern "C" fn seek_writer<W: Writer>(opaque: *mut c_void, offset: i64, whence: c_int) -> i64 {
    // SAFETY: as for `write`.
    unsafe { seek::<W>(opaque, offset, whence, W::seek) }
}

/// # Safety
/// `opaque` must be the `State<S>` of a live context, and no other reference to it may exist.
unsafe fn seek<S>(opaque: *mut c_void, offset: i64, whence: c_int, seek: fn(&mut S, u64) -> Result<()>) -> i64 {
    // SAFETY: the caller's promise.
    let state = unsafe { &mut *opaque.cast::<State<S>>() };
    if whence & !ffi::AVSEEK_FORCE == ffi::AVSEEK_SIZE {
        return i64::try_from(state.end).unwrap_or(i64::MAX);
    }
    let Some(target) = state.target(offset, whence).filter(|t| i64::try_from(*t).is_ok()) else {
        return i64::from(ffi::AVERROR(ffi::EINVAL));
    };
    state.guarded(|state| {
        seek(&mut state.stream, target)?;
        state.position = target;
        Ok(i64::try_from(target).unwrap_or(i64::MAX))
    })
}
