//! One compressed frame.

use std::ffi::c_int;

use ffmpeg_next::ffi;

use super::error::no_memory;
use crate::error::Result;

/// Flag bits that travel from input to output; the rest is libav's own business.
const KEY: c_int = ffi::AV_PKT_FLAG_KEY as c_int;

/// A packet that owns a reference to its payload.
///
/// A fresh one is made for each read: a libav packet used again keeps what it is not told to drop.
pub(crate) struct Packet(*mut ffi::AVPacket);

// SAFETY: the packet is exclusively owned, and its reference-counted buffer may be released from any thread
// (libavutil/buffer.h: references are thread-safe).
unsafe impl Send for Packet {}

impl Packet {
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: takes nothing.
        let packet = unsafe { ffi::av_packet_alloc() };
        if packet.is_null() { Err(no_memory()) } else { Ok(Self(packet)) }
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut ffi::AVPacket {
        self.0
    }

    fn get(&self) -> &ffi::AVPacket {
        // SAFETY: not null since `new`, and exclusively owned.
        unsafe { &*self.0 }
    }

    fn get_mut(&mut self) -> &mut ffi::AVPacket {
        // SAFETY: as for `get`.
        unsafe { &mut *self.0 }
    }

    /// A second packet with the same payload.
    pub(crate) fn try_clone(&self) -> Result<Self> {
        let copy = Self::new()?;
        // SAFETY: both packets are valid.
        let code = unsafe { ffi::av_packet_ref(copy.0, self.0) };
        if code < 0 { Err(no_memory()) } else { Ok(copy) }
    }

    /// A packet like this one whose payload is put together from parts.
    pub(crate) fn assembled<'a>(&self, parts: impl Iterator<Item = &'a [u8]> + Clone) -> Result<Self> {
        let other = Self::new()?;
        let bytes = c_int::try_from(parts.clone().map(<[u8]>::len).sum::<usize>()).map_err(|_| no_memory())?;
        // SAFETY: both packets are valid, and copying properties leaves a payload as it is. The new payload has as many
        // bytes as the parts.
        unsafe {
            if ffi::av_new_packet(other.0, bytes) < 0 || ffi::av_packet_copy_props(other.0, self.0) < 0 {
                return Err(no_memory());
            }
            let mut to = (*other.0).data;
            for part in parts {
                std::ptr::copy_nonoverlapping(part.as_ptr(), to, part.len());
                to = to.add(part.len());
            }
        }
        Ok(other)
    }

    pub(crate) fn stream(&self) -> usize {
        usize::try_from(self.get().stream_index).unwrap_or(0)
    }

    pub(crate) fn set_stream(&mut self, index: usize) {
        self.get_mut().stream_index = c_int::try_from(index).unwrap_or(c_int::MAX);
    }

    /// Presentation time in ticks of the stream.
    pub(crate) fn pts(&self) -> Option<i64> {
        present(self.get().pts)
    }

    /// Decoding time in ticks of the stream.
    pub(crate) fn dts(&self) -> Option<i64> {
        present(self.get().dts)
    }

    /// Duration in ticks of the stream; `None` if it is not known.
    pub(crate) fn duration(&self) -> Option<i64> {
        let duration = self.get().duration;
        (duration > 0).then_some(duration)
    }

    pub(crate) fn set_times(&mut self, pts: i64, dts: i64, duration: i64) {
        let packet = self.get_mut();
        packet.pts = pts;
        packet.dts = dts;
        packet.duration = duration;
    }

    /// Byte position of the packet's start in the input; `None` where libav does not know.
    pub(crate) fn position(&self) -> Option<u64> {
        u64::try_from(self.get().pos).ok()
    }

    /// Sets what is known of the packet beside its times.
    pub(crate) fn describe(&mut self, key: bool, duration: Option<i64>) {
        let packet = self.get_mut();
        packet.flags = if key { packet.flags | KEY } else { packet.flags & !KEY };
        packet.duration = duration.unwrap_or(0);
    }

    pub(crate) fn is_key(&self) -> bool {
        self.get().flags & KEY != 0
    }

    /// Drops the flags and the position, which mean nothing in the output, except for the key flag.
    pub(crate) fn reset_for_output(&mut self) {
        let packet = self.get_mut();
        packet.flags &= KEY;
        packet.pos = -1;
    }

    /// Leaves out the payload's end, from `bytes` on. What is beyond the payload is not zeroed, as the buffer may be shared.
    pub(crate) fn truncate(&mut self, bytes: usize) {
        let packet = self.get_mut();
        packet.size = c_int::try_from(bytes).map_or(packet.size, |bytes| bytes.min(packet.size));
    }

    pub(crate) fn data(&self) -> &[u8] {
        let packet = self.get();
        match usize::try_from(packet.size) {
            // SAFETY: libav keeps `data` valid for `size` bytes as long as the packet lives.
            Ok(size @ 1..) if !packet.data.is_null() => unsafe { std::slice::from_raw_parts(packet.data, size) },
            _ => &[],
        }
    }

    /// The payload of a packet that shares it with no other; `None` if it is shared.
    pub(crate) fn data_mut(&mut self) -> Option<&mut [u8]> {
        let packet = self.get_mut();
        let size = usize::try_from(packet.size).ok()?;
        // SAFETY: a buffer that nobody else refers to may be written; libav keeps `data` valid for `size` bytes.
        unsafe {
            let own = !packet.buf.is_null() && ffi::av_buffer_is_writable(packet.buf) == 1;
            (own && !packet.data.is_null()).then(|| std::slice::from_raw_parts_mut(packet.data, size))
        }
    }

    /// Samples at the packet's start that are not to be played (AV_PKT_DATA_SKIP_SAMPLES): encoder priming.
    pub(crate) fn skipped_samples(&self) -> u32 {
        let data = self.side_data(ffi::AVPacketSideDataType::AV_PKT_DATA_SKIP_SAMPLES);
        data.and_then(|d| d.first_chunk()).map_or(0, |d| u32::from_le_bytes(*d))
    }

    /// The codec configuration that begins with this packet (AV_PKT_DATA_NEW_EXTRADATA).
    pub(crate) fn new_extradata(&self) -> Option<&[u8]> {
        self.side_data(ffi::AVPacketSideDataType::AV_PKT_DATA_NEW_EXTRADATA)
    }

    /// It comes with what it would take to decrypt it (AV_PKT_DATA_ENCRYPTION_INFO).
    pub(crate) fn is_encrypted(&self) -> bool {
        self.side_data(ffi::AVPacketSideDataType::AV_PKT_DATA_ENCRYPTION_INFO).is_some()
    }

    /// Drops all side data.
    pub(crate) fn clear_side_data(&mut self) {
        // SAFETY: the packet is valid.
        unsafe { ffi::av_packet_free_side_data(self.0) };
    }

    fn side_data(&self, kind: ffi::AVPacketSideDataType) -> Option<&[u8]> {
        if self.get().side_data_elems == 0 {
            return None;
        }
        let mut size = 0;
        // SAFETY: the packet is valid; the returned buffer belongs to it and has `size` bytes.
        unsafe {
            let data = ffi::av_packet_get_side_data(self.0, kind, &raw mut size);
            (!data.is_null()).then(|| std::slice::from_raw_parts(data, size))
        }
    }
}

impl Drop for Packet {
    fn drop(&mut self) {
        // SAFETY: owned and not null; sets our copy to null.
        unsafe { ffi::av_packet_free(&raw mut self.0) };
    }
}

fn present(ticks: i64) -> Option<i64> {
    (ticks != ffi::AV_NOPTS_VALUE).then_some(ticks)
}
