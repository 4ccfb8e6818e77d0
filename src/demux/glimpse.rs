//! A session's start with no more than the beginning of each picture: while libav finds out what the streams are, it decodes
//! the first picture for what its header says, and a whole one takes longer than all the rest of a short segment.

/// TS packets of a PES packet that are shown: parameter sets, supplemental information and the first slice's header.
const SHOWN_PACKETS: u32 = 16;

/// Leaves out most of one PID's packets.
pub(super) struct Glimpse {
    pid: u16,
    packet_bytes: usize,
    /// Packets of the present PES packet.
    shown: u32,
}

impl Glimpse {
    /// `packet_bytes`: as in [`crate::container::Container::MpegTs`].
    pub(super) fn new(pid: u16, packet_bytes: usize) -> Self {
        Self { pid, packet_bytes, shown: 0 }
    }

    /// Moves what is shown of whole packets to the front; tells how many bytes that is.
    pub(super) fn keep(&mut self, packets: &mut [u8]) -> usize {
        let lead = if self.packet_bytes == 192 { 4 } else { 0 };
        let mut kept = 0;
        for at in (0..packets.len()).step_by(self.packet_bytes) {
            if let Some([_, high, low, ..]) = packets.get(at + lead..)
                && u16::from(high & 0x1f) << 8 | u16::from(*low) == self.pid
            {
                let begins = high & 0x40 != 0;
                self.shown = if begins { 1 } else { self.shown.saturating_add(1) };
                if self.shown > SHOWN_PACKETS {
                    continue;
                }
            }
            let end = packets.len().min(at + self.packet_bytes);
            packets.copy_within(at..end, kept);
            kept += end - at;
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_long_is_cut_and_all_else_stays() {
        for packet_bytes in [188, 192, 204] {
            let lead = if packet_bytes == 192 { 4 } else { 0 };
            let packet = |pid: u16, begins: bool, number: u8| {
                let mut packet = vec![number; packet_bytes];
                packet[lead..lead + 3].copy_from_slice(&[0x47, u8::from(begins) << 6 | (pid >> 8) as u8, pid as u8]);
                packet
            };
            // A picture of 20 packets, one of sound of 20 in between, and a short picture.
            let mut all = Vec::new();
            for n in 0..20 {
                all.push(packet(0x100, n == 0, n));
                all.push(packet(0x101, n == 0, 100 + n));
            }
            all.extend((0..3).map(|n| packet(0x100, n == 0, 50 + n)));
            let mut glimpse = Glimpse::new(0x100, packet_bytes);
            let mut shown = Vec::new();
            // However the packets are dealt out.
            for piece in all.chunks(7) {
                let mut bytes = piece.concat();
                let kept = glimpse.keep(&mut bytes);
                shown.extend(bytes[..kept].chunks(packet_bytes).map(<[u8]>::to_vec));
            }
            let number = |p: &Vec<u8>| p[packet_bytes - 1];
            let expected: Vec<_> = all.iter().filter(|p| !(16..20).contains(&number(p))).cloned().collect();
            assert_eq!(shown, expected, "{packet_bytes}");
        }
    }
}
