//! A transport stream's tables (ISO/IEC 13818-1, 2.4.4), as far as they tell what its PIDs carry.

/// What the tables in a segment's start say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Tables {
    /// The PIDs of the tables themselves: PAT and PMTs.
    pub(crate) table_pids: Vec<u16>,
    /// PID and stream type of each elementary stream.
    pub(crate) streams: Vec<(u16, u8)>,
}

impl Tables {
    /// The first PAT and the PMTs that it names. Empty where there are none; a table that goes on in another packet
    /// is read as far as its first goes.
    pub(crate) fn read(head: &[u8], packet_bytes: usize) -> Self {
        let lead = if packet_bytes == 192 { 4 } else { 0 };
        let mut tables = Self::default();
        for packet in head.chunks_exact(packet_bytes).filter_map(|p| p.get(lead..lead + 188)) {
            let Some((pid, section)) = section(packet) else { continue };
            match (section.first(), tables.table_pids.as_slice()) {
                (Some(0), []) if pid == 0 => {
                    let programmes = body(section, 8).chunks_exact(4).filter(|p| (p[0], p[1]) != (0, 0));
                    let pids = programmes.map(|p| u16::from(p[2] & 0x1f) << 8 | u16::from(p[3]));
                    tables.table_pids = std::iter::once(0).chain(pids).collect();
                }
                (Some(2), [_, programmes @ ..]) if programmes.contains(&pid) => tables.add_streams(section),
                _ => {}
            }
        }
        tables
    }

    fn add_streams(&mut self, section: &[u8]) {
        let skip = section.get(10..12).map_or(0, |b| usize::from(b[0] & 0x0f) << 8 | usize::from(b[1]));
        let mut rest = body(section, 12 + skip);
        while let [kind, high, low, info_high, info_low, ..] = *rest {
            let pid = u16::from(high & 0x1f) << 8 | u16::from(low);
            if self.streams.iter().all(|(known, _)| *known != pid) {
                self.streams.push((pid, kind));
            }
            let length = 5 + (usize::from(info_high & 0x0f) << 8 | usize::from(info_low));
            rest = rest.get(length..).unwrap_or_default();
        }
    }

    /// A PID carries something else here than there: the demuxer would take the one for the other.
    pub(crate) fn contradict(&self, other: &Self) -> bool {
        self.streams.iter().any(|(pid, kind)| other.streams.iter().any(|(p, k)| p == pid && k != kind))
    }
}

/// PID and section of a packet in which a section begins.
fn section(packet: &[u8]) -> Option<(u16, &[u8])> {
    let [0x47, high, low, control, ..] = *packet else { return None };
    if high & 0x40 == 0 || control & 0x10 == 0 {
        return None;
    }
    let skip = if control & 0x20 != 0 { 1 + usize::from(*packet.get(4)?) } else { 0 };
    let payload = packet.get(4 + skip..)?;
    Some((u16::from(high & 0x1f) << 8 | u16::from(low), payload.get(1 + usize::from(*payload.first()?)..)?))
}

/// A section from a byte on, without its checksum.
fn body(section: &[u8], from: usize) -> &[u8] {
    let length = section.get(1..3).map_or(0, |b| usize::from(b[0] & 0x0f) << 8 | usize::from(b[1]));
    let end = (3 + length).saturating_sub(4).min(section.len());
    section.get(from..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(pid: u16, section: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x47, 0x40 | (pid >> 8) as u8, pid as u8, 0x10, 0];
        packet.extend_from_slice(section);
        packet.resize(188, 0xff);
        packet
    }

    fn stream(types: [u8; 2]) -> Vec<u8> {
        let pat = [0, 0xb0, 13, 0, 1, 0xc1, 0, 0, 0, 1, 0xf0, 0, 0, 0, 0, 0];
        let pmt = [
            2, 0xb0, 26, 0, 1, 0xc1, 0, 0, 0xe1, 0, 0xf0, 0, types[0], 0xe1, 0, 0xf0, 3, 5, 1, 7, types[1], 0xe1, 1,
            0xf0, 0, 0, 0, 0, 0,
        ];
        [packet(0, &pat), packet(0x1000, &pmt)].concat()
    }

    #[test]
    fn tells_what_each_pid_carries() {
        let tables = Tables::read(&stream([0x1b, 0x0f]), 188);
        assert_eq!(tables.table_pids, [0, 0x1000]);
        assert_eq!(tables.streams, [(0x100, 0x1b), (0x101, 0x0f)]);
        assert!(tables.contradict(&Tables::read(&stream([0x24, 0x0f]), 188)));
        assert!(!tables.contradict(&tables) && !tables.contradict(&Tables::default()));
    }

    #[test]
    fn takes_tables_that_end_anywhere() {
        let whole = stream([0x1b, 0x0f]);
        for at in 0..188 {
            let mut cut = whole.clone();
            cut[188 + at..].fill(0xff);
            Tables::read(&cut, 188);
            cut[188 + at..].fill(0);
            Tables::read(&cut, 188);
            Tables::read(&whole[..188 + at], 188);
        }
    }
}
