//! AAC in LOAS frames (ISO/IEC 14496-3, 1.7), as broadcasts carry it: the configuration comes along every now and
//! then, and neither it nor the payload need begin at a byte. MP4 and Matroska take the two apart.

/// Bytes of an AudioSyncStream's header.
const SYNC_BYTES: usize = 3;
const SBR: u32 = 5;
const PS: u32 = 29;

/// What one frame holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LatmFrame {
    /// The AudioSpecificConfig, if it comes with this frame.
    pub(crate) config: Option<Vec<u8>>,
    /// A raw data block.
    pub(crate) payload: Vec<u8>,
}

/// Takes one frame apart; `Err` tells what is the matter with it, for a message.
pub(crate) fn latm_frame(bytes: &[u8]) -> Result<LatmFrame, &'static str> {
    const CUT: &str = "it is cut short";
    let length = match bytes.first_chunk::<SYNC_BYTES>() {
        Some(&[0x56, b, c]) if b & 0xe0 == 0xe0 => usize::from(b & 0x1f) << 8 | usize::from(c),
        _ => return Err("it has no sync word"),
    };
    let element = bytes.get(SYNC_BYTES..SYNC_BYTES + length).ok_or(CUT)?;
    let mut bits = Bits { bytes: element, at: 0 };
    let same_mux = bits.read(1).ok_or(CUT)? == 1;
    let config = if same_mux { None } else { Some(stream_mux_config(&mut bits)?) };
    let mut payload_bytes = 0;
    loop {
        let more = bits.read(8).ok_or(CUT)?;
        payload_bytes += more as usize;
        if more != 255 {
            break;
        }
    }
    let start = bits.at;
    bits.skip(payload_bytes * 8).ok_or(CUT)?;
    Ok(LatmFrame { config, payload: bits.copy(start, bits.at) })
}

/// StreamMuxConfig (1.7.3.1); gives the AudioSpecificConfig.
fn stream_mux_config(bits: &mut Bits<'_>) -> Result<Vec<u8>, &'static str> {
    const CUT: &str = "its configuration is cut short";
    const SEVERAL: &str = "it holds several sub-frames, programmes or layers, which is not supported";
    let version = bits.read(1).ok_or(CUT)?;
    if version == 1 {
        if bits.read(1).ok_or(CUT)? == 1 {
            return Err("its multiplex is of an unknown version");
        }
        bits.value().ok_or(CUT)?;
    }
    let one_timing = bits.read(1).ok_or(CUT)? == 1;
    // Sub-frames, programmes, layers: one less than there are.
    if !one_timing || bits.read(6 + 4 + 3).ok_or(CUT)? != 0 {
        return Err(SEVERAL);
    }
    let config = if version == 1 {
        let length = bits.value().ok_or(CUT)? as usize;
        let start = bits.at;
        bits.skip(length).ok_or(CUT)?;
        bits.copy(start, bits.at)
    } else {
        let start = bits.at;
        audio_specific_config(bits).ok_or("its configuration is of a kind that is not supported")?;
        bits.copy(start, bits.at)
    };
    // Frame length type 0: each frame tells its length.
    if bits.read(3).ok_or(CUT)? != 0 {
        return Err("its frames do not tell their length");
    }
    bits.skip(8).ok_or(CUT)?;
    let has_other_data = bits.read(1).ok_or(CUT)? == 1;
    if has_other_data && version == 1 {
        bits.value().ok_or(CUT)?;
    } else if has_other_data {
        while bits.read(1 + 8).ok_or(CUT)? >> 8 == 1 {}
    }
    if bits.read(1).ok_or(CUT)? == 1 {
        bits.skip(8).ok_or(CUT)?;
    }
    Ok(config)
}

/// Goes to the end of an AudioSpecificConfig (1.6.2.1) of the kinds that are broadcast; `None` for others.
fn audio_specific_config(bits: &mut Bits<'_>) -> Option<()> {
    let mut object_type = bits.object_type()?;
    bits.sample_rate()?;
    let channels = bits.read(4)?;
    if matches!(object_type, SBR | PS) {
        bits.sample_rate()?;
        object_type = bits.object_type()?;
    }
    // GASpecificConfig (4.4.1) of Main, LC, SSR and LTP; with 0 channels a description of them follows.
    if !matches!(object_type, 1..=4) || channels == 0 {
        return None;
    }
    bits.skip(1)?;
    let depends_on_core = bits.read(1)? == 1;
    if depends_on_core {
        bits.skip(14)?;
    }
    let is_extended = bits.read(1)? == 1;
    if is_extended {
        bits.skip(1)?;
    }
    Some(())
}

/// Reads bits, the highest of a byte first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    /// Up to 32 bits.
    fn read(&mut self, count: usize) -> Option<u32> {
        let from = self.at;
        self.skip(count)?;
        Some((from..self.at).fold(0, |value, at| value << 1 | u32::from(self.bit(at))))
    }

    fn bit(&self, at: usize) -> u8 {
        self.bytes.get(at / 8).map_or(0, |byte| byte >> (7 - at % 8) & 1)
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.at = self.at.checked_add(count).filter(|at| *at <= self.bytes.len() * 8)?;
        Some(())
    }

    /// LatmGetValue (1.7.3.1).
    fn value(&mut self) -> Option<u32> {
        let bytes = self.read(2)? as usize + 1;
        self.read(bytes * 8)
    }

    fn object_type(&mut self) -> Option<u32> {
        match self.read(5)? {
            31 => Some(32 + self.read(6)?),
            object_type => Some(object_type),
        }
    }

    fn sample_rate(&mut self) -> Option<()> {
        if self.read(4)? == 15 { self.skip(24) } else { Some(()) }
    }

    /// Some of the bits as bytes, the last filled up with zeros.
    fn copy(&self, from: usize, to: usize) -> Vec<u8> {
        let shift = from % 8;
        let first = from / 8;
        let mut out: Vec<u8> = (0..(to - from).div_ceil(8))
            .map(|n| {
                let byte = |at: usize| u16::from(self.bytes.get(at).copied().unwrap_or(0));
                ((byte(first + n) << 8 | byte(first + n + 1)) >> (8 - shift)) as u8
            })
            .collect();
        let used = (to - from) % 8;
        if let Some(last) = out.last_mut().filter(|_| used > 0) {
            *last &= 0xff << (8 - used);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Bits from text: `0`, `1`, and what groups them.
    fn bits(text: &str) -> Vec<u8> {
        let bits: Vec<u8> = text.bytes().filter(|b| matches!(b, b'0' | b'1')).map(|b| b - b'0').collect();
        bits.chunks(8).map(|c| c.iter().enumerate().fold(0, |byte, (n, bit)| byte | bit << (7 - n))).collect()
    }

    fn loas(element: &[u8]) -> Vec<u8> {
        [&[0x56, 0xe0, element.len() as u8], element].concat()
    }

    // LC, 48 kHz, two channels: 0x11 0x90.
    const LC: &str = "00010 0011 0010 000";

    #[test]
    fn configuration_and_payload_come_out() {
        let payload = "00000010 10101011 11001101";
        let lc = vec![0x11, 0x90];
        for (name, mux, config) in [
            ("a frame without configuration", "1".to_owned(), None),
            ("version 0", format!("0 0 1 000000 0000 000 {LC} 000 11111111 0 0"), Some(lc.clone())),
            (
                "version 1, with a fullness, other data and a checksum",
                format!("0 1 0 00 00000001 1 000000 0000 000 00 00010000 {LC} 000 11111111 1 00 00000000 1 10101010"),
                Some(lc),
            ),
            (
                "other data of two bytes",
                format!("0 0 1 000000 0000 000 {LC} 000 11111111 1 1 00000000 0 00001000 0"),
                Some(vec![0x11, 0x90]),
            ),
            (
                "SBR, told explicitly: 24 kHz, 48 kHz behind",
                "0 0 1 000000 0000 000 00101 0110 0001 0011 00010 000 000 11111111 0 0".to_owned(),
                Some(vec![0x2b, 0x09, 0x88, 0x00]),
            ),
        ] {
            let frame = latm_frame(&loas(&bits(&format!("{mux} {payload}")))).expect(name);
            assert_eq!(frame, LatmFrame { config, payload: vec![0xab, 0xcd] }, "{name}");
        }
    }

    #[test]
    fn what_cannot_be_taken_apart_is_told() {
        for (bytes, what) in [
            (vec![0xff, 0xf1, 0, 0], "sync word"),
            (vec![0x56, 0xe0, 4, 0x80], "cut short"),
            (loas(&bits(&format!("0 0 1 000001 0000 000 {LC} 000 11111111 0 0 00000000"))), "several"),
            (loas(&bits("0 0 1 000000 0000 000 11111 001010 0011 0010 0000 00000000")), "kind"),
        ] {
            let error = latm_frame(&bytes).expect_err(what);
            assert!(error.contains(what), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd(mut bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            drop(latm_frame(&bytes));
            bytes.splice(0..0, [0x56, 0xe0, bytes.len().min(255) as u8]);
            drop(latm_frame(&bytes));
        }
    }
}
