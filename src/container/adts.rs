//! The header of an ADTS frame (ISO/IEC 13818-7, 6.2).

/// Bytes of a header without its checksum.
pub(super) const HEADER_BYTES: usize = 7;
/// Samples of one raw data block, for each channel.
const BLOCK_SAMPLES: u32 = 1024;
const RATES_HZ: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];

/// What a frame's header tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    /// Bytes of header and body.
    pub(super) length: u64,
    /// For each channel.
    pub(super) samples: u32,
    /// `None` for a rate that is not in the table.
    pub(super) rate_hz: Option<u32>,
}

/// Reads a header; `None` if it is none.
pub(super) fn frame(header: &[u8; HEADER_BYTES]) -> Option<Frame> {
    let h = header;
    let length = u64::from(h[3] & 3) << 11 | u64::from(h[4]) << 3 | u64::from(h[5]) >> 5;
    let is_frame = h[0] == 0xff && h[1] & 0xf6 == 0xf0 && length >= HEADER_BYTES as u64;
    is_frame.then(|| Frame {
        length,
        samples: BLOCK_SAMPLES * (u32::from(h[6] & 3) + 1),
        rate_hz: RATES_HZ.get(usize::from(h[2] >> 2 & 0xf)).copied(),
    })
}
