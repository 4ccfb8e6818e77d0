//! TS packets out of a segment's bytes: in step again behind junk, without repeated ones, and with an account of
//! what is missing.
//!
//! libav takes whatever stands where a packet should begin, and each packet that is repeated for two. So the bytes
//! are put in order before it sees them, where they stand: only a segment with something to leave out is moved.

use super::psi::{self, Declared};
use super::{TS_PACKET_BYTES, TS_SYNC};

/// Bytes without two packets in a row that are looked through before they are left out.
const JUNK_BYTES: usize = 8 << 10;
/// PIDs that are followed, more than any segment has.
const MAX_PIDS: usize = 250;
const NULL_PID: u16 = 0x1fff;

/// What a segment turned out to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct TsAccount {
    /// Places with bytes that belong to no packet, or where a continuity counter tells of packets that are missing.
    pub(crate) bad_places: u64,
    /// It ended inside a packet, or in what is none.
    pub(crate) is_torn: bool,
    /// Scrambled packets of streams that were in the clear before.
    pub(crate) scrambled: u64,
}

/// Follows the segments of one session.
#[derive(Debug)]
pub(crate) struct TsPackets {
    packet_bytes: usize,
    /// One more than a PID's index; 0 for those not met.
    slots: Box<[u8; 1 << 13]>,
    pids: Vec<Pid>,
    /// Counts the calls of [`frame`](Self::frame): each has a buffer of its own.
    call: u64,
    in_junk: bool,
    account: TsAccount,
    /// Streams whose counters went on from one segment to the next, and those whose did not.
    kept_borders: u64,
    broken_borders: u64,
    /// For each PMT's PID the streams that libav knows.
    programmes: Vec<(u16, Vec<Declared>)>,
    /// PIDs that streams moved to, and the ones that libav knows them by.
    moved: Vec<(u16, u16)>,
}

/// One PID.
#[derive(Debug)]
struct Pid {
    number: u16,
    /// The continuity counter of the packet before.
    counter: Option<u8>,
    /// Where that packet stands in the buffer of a call; a copy of it once that is over.
    at: (u64, usize),
    before: [u8; TS_PACKET_BYTES],
    /// The counter was seen to count: some muxers' never does.
    counts: bool,
    packets: u64,
    gaps: u64,
    /// Bytes to come of the PES packet at hand; `None` where it told no length, as video may.
    missing: Option<u64>,
    /// PES packets that were as long as they told, and those that were not.
    kept: u64,
    broken: u64,
    carries_pes: bool,
}

/// Whether a packet goes on to libav.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Keep,
    Drop,
}

/// What stands at a place.
enum Place {
    Packet,
    /// So many bytes that belong to no whole packet.
    Junk(usize),
    /// More bytes are needed to tell.
    Unknown,
}

impl TsPackets {
    /// For packets of 188, 192 or 204 bytes.
    pub(crate) fn new(packet_bytes: usize) -> Self {
        Self {
            packet_bytes,
            slots: Box::new([0; 1 << 13]),
            pids: Vec::new(),
            call: 0,
            in_junk: false,
            account: TsAccount::default(),
            kept_borders: 0,
            broken_borders: 0,
            programmes: Vec::new(),
            moved: Vec::new(),
        }
    }

    /// A segment begins. PES packets may go on from the one before; counters need not.
    pub(crate) fn begin_segment(&mut self) {
        (self.account, self.in_junk) = (TsAccount::default(), false);
        for pid in &mut self.pids {
            (pid.packets, pid.gaps) = (0, 0);
        }
    }

    /// Moves the whole packets of some bytes to their front. Tells how many bytes those are, and how many were used;
    /// what is left wants to stand before the next bytes. `is_end`: none follow.
    pub(crate) fn frame(&mut self, buffer: &mut [u8], is_end: bool) -> (usize, usize) {
        let size = self.packet_bytes;
        let (mut from, mut to) = (0, 0);
        self.call += 1;
        while from < buffer.len() {
            match self.place(&buffer[from..], is_end) {
                Place::Packet => {
                    self.in_junk = false;
                    if from != to {
                        buffer.copy_within(from..from + size, to);
                    }
                    if self.look(buffer, to) == Verdict::Keep {
                        to += size;
                    }
                    from += size;
                }
                Place::Junk(bytes) => {
                    let is_tail = is_end && from + bytes == buffer.len();
                    self.account.is_torn |= is_tail;
                    self.account.bad_places += u64::from(!self.in_junk && !is_tail);
                    self.in_junk = true;
                    from += bytes;
                }
                Place::Unknown => break,
            }
        }
        for pid in self.pids.iter_mut().filter(|pid| pid.at.0 == self.call) {
            pid.before.copy_from_slice(&buffer[pid.at.1..pid.at.1 + TS_PACKET_BYTES]);
        }
        (to, from)
    }

    /// The segment is at its end.
    pub(crate) fn finish(&self) -> TsAccount {
        // Where counters are wrong all the time they tell nothing.
        let lost = self.pids.iter().filter(|pid| pid.carries_pes && pid.gaps * 4 < pid.packets).map(|pid| pid.gaps);
        TsAccount { bad_places: self.account.bad_places + lost.sum::<u64>(), ..self.account }
    }

    /// Scrambled packets of this segment, of streams that were in the clear before.
    pub(crate) fn scrambled(&self) -> u64 {
        self.account.scrambled
    }

    /// PIDs that may be sound or pictures by the PMTs, as libav knows them. `None` until all PMTs were met that a PAT names.
    pub(crate) fn media_pids(&self) -> Option<Vec<u16>> {
        let known = |(_, streams): &(u16, Vec<Declared>)| !streams.is_empty();
        let streams = self.programmes.iter().flat_map(|(_, streams)| streams).filter(|stream| stream.may_be_media);
        let is_whole = !self.programmes.is_empty() && self.programmes.iter().all(known);
        is_whole.then(|| streams.map(|stream| stream.pid).collect())
    }

    /// PIDs in the middle of a PES packet that told its length, with the bytes that are still to come, where lengths
    /// were kept so far.
    pub(crate) fn open_pes(&self) -> impl Iterator<Item = (u16, u64)> {
        let trusted = self.pids.iter().filter(|pid| pid.kept > 8 * pid.broken && pid.packets > 0);
        trusted.filter_map(|pid| Some((pid.number, pid.missing.filter(|bytes| *bytes > 0)?)))
    }

    fn lead(&self) -> usize {
        if self.packet_bytes == 192 { 4 } else { 0 }
    }

    /// In step a packet is one if the next begins behind it. Else three in a row are, or what there is of them at the
    /// end; and one in step may be the last before junk.
    fn place(&self, bytes: &[u8], is_end: bool) -> Place {
        let (size, lead) = (self.packet_bytes, self.lead());
        let is_sync = |at: usize| bytes.get(at + lead).map(|byte| *byte == TS_SYNC);
        let in_step = is_sync(0) == Some(true) && !self.in_junk;
        if bytes.len() < size {
            return if is_end { Place::Junk(bytes.len()) } else { Place::Unknown };
        }
        match is_sync(size) {
            Some(true) if in_step => return Place::Packet,
            None if in_step => return if is_end { Place::Packet } else { Place::Unknown },
            _ => {}
        }
        let begins = |at: usize| match (is_sync(at + size), is_sync(at + 2 * size)) {
            (Some(true), Some(third)) => Some(third),
            (Some(true), None) => is_end.then_some(true),
            (None, _) => is_end.then_some(at + size == bytes.len()),
            (Some(false), _) => Some(false),
        };
        // A byte inside of a packet that is whole can stand as far before the next packet as packets are long.
        let is_known = |at: usize| {
            let pid = bytes.get(at + lead..at + lead + 3).map_or(0, psi::pid);
            pid == NULL_PID || self.slots[usize::from(pid)] != 0
        };
        let first = usize::from(in_step);
        for at in memchr::memchr_iter(TS_SYNC, bytes.get(lead + first..).unwrap_or_default()).map(|at| at + first) {
            match begins(at) {
                Some(false) => {}
                _ if in_step && at < size && !is_known(at) => {}
                Some(true) | None if in_step && at >= size => return Place::Packet,
                Some(true) if at == 0 => return Place::Packet,
                None if at == 0 || in_step => return Place::Unknown,
                Some(true) | None => return Place::Junk(at),
            }
        }
        match is_end || bytes.len() > JUNK_BYTES {
            true if in_step => Place::Packet,
            true if is_end => Place::Junk(bytes.len()),
            true => Place::Junk(bytes.len() - 3 * size),
            false => Place::Unknown,
        }
    }

    /// Takes down what a packet tells (ISO/IEC 13818-1, 2.4.3.2).
    fn look(&mut self, buffer: &mut [u8], at: usize) -> Verdict {
        let start = at + self.lead();
        let Some(packet) = buffer.get(start..start + TS_PACKET_BYTES) else { return Verdict::Keep };
        let (number, control) = (psi::pid(packet), packet[3]);
        if number == NULL_PID || control & 0x10 == 0 {
            return Verdict::Keep;
        }
        let Some(slot) = self.slot(number) else { return Verdict::Keep };
        let pid = &mut self.pids[slot];
        if control & 0xc0 != 0 && pid.carries_pes {
            self.account.scrambled += 1;
            self.account.bad_places += u64::from(self.account.scrambled == 1);
            return Verdict::Drop;
        }
        let payload = payload(packet);
        let counter = control & 0xf;
        let is_new_count = control & 0x20 != 0 && packet[4] > 0 && packet[5] & 0x80 != 0;
        match pid.counter {
            // Many packagers begin to count anew in each segment.
            Some(before) if pid.packets == 0 && pid.carries_pes => {
                if counter == (before + 1) & 0xf {
                    self.kept_borders += 1;
                } else if !is_new_count {
                    self.broken_borders += 1;
                    let tells = self.kept_borders >= 2 && self.broken_borders * 4 <= self.kept_borders + 2;
                    self.account.bad_places += u64::from(tells);
                }
            }
            Some(_) if pid.packets == 0 => {}
            Some(before) if counter == before && !is_new_count => {
                let last = if pid.at.0 == self.call { &buffer[pid.at.1..][..TS_PACKET_BYTES] } else { &pid.before[..] };
                // ISO/IEC 13818-1, 2.4.3.3: a packet may be sent twice.
                let counts = pid.counts || packet[1] & 0x40 != 0;
                if counts && self::payload(last) == payload && last[1] == packet[1] {
                    return Verdict::Drop;
                }
            }
            Some(before) if counter == (before + 1) & 0xf => pid.counts = true,
            Some(_) if !is_new_count => pid.gaps += 1,
            _ => {}
        }
        let (is_first, begins) = (pid.packets == 0, packet[1] & 0x40 != 0);
        pid.counter = Some(counter);
        pid.at = (self.call, start);
        pid.packets += 1;
        if begins && payload.starts_with(&[0, 0, 1]) {
            pid.begin_pes(payload, is_first);
        } else if let Some(missing) = &mut pid.missing {
            *missing = missing.saturating_sub(payload.len() as u64);
        }
        if begins
            && let Some(section) = psi::section(packet)
            && self.table(number, section) == Verdict::Drop
        {
            return Verdict::Drop;
        }
        if let Some((_, known)) = self.moved.iter().find(|(moved, _)| *moved == number) {
            let [high, low] = known.to_be_bytes();
            buffer[start + 1] = buffer[start + 1] & 0xe0 | high;
            buffer[start + 2] = low;
        }
        Verdict::Keep
    }

    /// libav makes a new stream of one that moves to another PID. Where a table does no more than that, it is kept from
    /// libav, and packets are given the PID that they had.
    fn table(&mut self, number: u16, section: &[u8]) -> Verdict {
        if number == 0 {
            for pid in psi::pat(section).unwrap_or_default() {
                if self.programmes.len() < MAX_PIDS && self.programmes.iter().all(|(known, _)| *known != pid) {
                    self.programmes.push((pid, Vec::new()));
                }
            }
            return Verdict::Keep;
        }
        let Some((_, known)) = self.programmes.iter_mut().find(|(pid, _)| *pid == number) else { return Verdict::Keep };
        let Some(now) = psi::pmt(section) else { return Verdict::Keep };
        let is_move = known.len() == now.len() && known.iter().zip(&now).all(|(a, b)| a.stream_type == b.stream_type);
        self.moved.retain(|(_, to)| known.iter().all(|stream| stream.pid != *to));
        if !is_move {
            *known = now;
            return Verdict::Keep;
        }
        let moves = known.iter().zip(&now).filter(|(known, now)| known.pid != now.pid).map(|(k, n)| (n.pid, k.pid));
        let before = self.moved.len();
        self.moved.extend(moves);
        if self.moved.len() > before { Verdict::Drop } else { Verdict::Keep }
    }

    fn slot(&mut self, number: u16) -> Option<usize> {
        let slot = &mut self.slots[usize::from(number)];
        if *slot == 0 {
            if self.pids.len() >= MAX_PIDS {
                return None;
            }
            self.pids.push(Pid::new(number));
            *slot = self.pids.len() as u8;
        }
        Some(usize::from(*slot) - 1)
    }
}

impl Pid {
    fn new(number: u16) -> Self {
        Self {
            number,
            counter: None,
            at: (0, 0),
            before: [0; TS_PACKET_BYTES],
            counts: false,
            packets: 0,
            gaps: 0,
            missing: None,
            kept: 0,
            broken: 0,
            carries_pes: false,
        }
    }

    /// `is_first` in its segment: what the one before left open is that segment's affair.
    fn begin_pes(&mut self, pes: &[u8], is_first: bool) {
        self.carries_pes = true;
        match self.missing {
            Some(0) => self.kept += 1,
            Some(_) if !is_first => self.broken += 1,
            _ => {}
        }
        let declared = pes.get(4..6).map_or(0, |length| u64::from(u16::from_be_bytes([length[0], length[1]])));
        self.missing = (declared > 0).then(|| declared.saturating_sub(pes.len() as u64 - 6));
    }
}

/// The payload of a packet; empty where it has none.
pub(super) fn payload(packet: &[u8]) -> &[u8] {
    let adaptation = if packet[3] & 0x20 != 0 { usize::from(packet[4]) + 1 } else { 0 };
    if packet[3] & 0x10 == 0 { &[] } else { packet.get(4 + adaptation..).unwrap_or_default() }
}

/// Whether the first packet of a PID goes on with a PES packet that the segment before began; `None` if none is there.
pub(crate) fn goes_on(head: &[u8], packet_bytes: usize, pid: u16) -> Option<bool> {
    let lead = if packet_bytes == 192 { 4 } else { 0 };
    let packets = head.chunks_exact(packet_bytes).filter_map(|p| p.get(lead..lead + TS_PACKET_BYTES));
    let of_pid =
        |p: &&[u8]| p[0] == TS_SYNC && u16::from_be_bytes([p[1] & 0x1f, p[2]]) == pid && !payload(p).is_empty();
    packets.into_iter().find(of_pid).map(|p| p[1] & 0x40 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SEGMENT: &[u8] = include_bytes!("../../fixtures/ts-h264-aac/index1.ts");
    const SEGMENT_BEFORE: &[u8] = include_bytes!("../../fixtures/ts-h264-aac/index0.ts");
    /// The audio moves from PID 0x101 to 0x1f1 in its middle.
    const MOVED: &[u8] = include_bytes!("../../fixtures/borders-pmt-moves-pids/1.ts");

    /// What goes on to libav of some bytes that come in pieces, and the account.
    fn framed(packet_bytes: usize, bytes: &[u8], piece: usize) -> (Vec<u8>, TsAccount, Vec<(u16, u64)>) {
        let mut packets = TsPackets::new(packet_bytes);
        packets.begin_segment();
        let (mut out, mut waiting) = (Vec::new(), Vec::new());
        for piece in bytes.chunks(piece).chain([&[][..]]) {
            waiting.extend_from_slice(piece);
            let (written, used) = packets.frame(&mut waiting, piece.is_empty());
            out.extend_from_slice(&waiting[..written]);
            waiting.drain(..used);
        }
        assert!(waiting.is_empty());
        (out, packets.finish(), packets.open_pes().collect())
    }

    fn packets() -> Vec<&'static [u8]> {
        SEGMENT.chunks(TS_PACKET_BYTES).collect()
    }

    proptest! {
        #[test]
        fn whole_packets_go_through_as_they_are(piece in 1usize..3000) {
            for (size, lead) in [(188, 0), (192, 4), (204, 0)] {
                let bytes: Vec<u8> =
                    packets().iter().flat_map(|p| [&[0x47; 16][..lead], p, &[0x47; 16][..size - lead - 188]].concat()).collect();
                prop_assert_eq!(framed(size, &bytes, piece), (bytes.clone(), TsAccount::default(), vec![]));
            }
        }

        #[test]
        fn junk_costs_no_packet(at in 1usize..50, junk in prop::collection::vec(any::<u8>(), 1..400), piece in 50usize..3000) {
            let mut parts = packets();
            parts.insert(at, &junk);
            let (out, account, _) = framed(188, &parts.concat(), piece);
            // Junk of a packet's length that begins with a sync byte is a packet as far as can be told.
            prop_assume!(junk.len() % 188 != 0 && junk.iter().filter(|b| **b == TS_SYNC).count() == 0);
            prop_assert!(out == SEGMENT, "{} bytes", out.len());
            prop_assert_eq!(account, TsAccount { bad_places: 1, ..TsAccount::default() });
        }

        #[test]
        fn no_bytes_are_too_odd(bytes in prop::collection::vec(prop_oneof![Just(TS_SYNC), any::<u8>()], 0..3000), piece in 1usize..900) {
            for size in [188, 192, 204] {
                let (out, ..) = framed(size, &bytes, piece);
                prop_assert_eq!(out.len() % size, 0);
            }
        }
    }

    #[test]
    fn junk_with_a_sync_byte_costs_no_packet_either() {
        let junk = b"\x47junk".repeat(9);
        let mut parts = packets();
        parts.insert(9, &junk);
        parts.insert(30, &junk[..40]);
        let (out, account, _) = framed(188, &parts.concat(), 4096);
        assert!(out == SEGMENT && account.bad_places == 2, "{} bytes, {account:?}", out.len());
    }

    #[test]
    fn a_packet_sent_twice_is_taken_once() {
        let twice: Vec<u8> = packets().iter().flat_map(|p| [*p, *p].concat()).collect();
        for piece in [188, 1000, 1 << 20] {
            let (out, account, _) = framed(188, &twice, piece);
            assert!(out == SEGMENT && account == TsAccount::default(), "{} bytes, {account:?}", out.len());
        }
    }

    #[test]
    fn counters_that_never_count_lose_no_packet() {
        let mut bytes = SEGMENT.to_vec();
        bytes.chunks_mut(188).for_each(|packet| packet[3] &= 0xf0);
        assert_eq!(framed(188, &bytes, 1000), (bytes.clone(), TsAccount::default(), vec![]));
    }

    #[test]
    fn a_packet_that_is_missing_is_told() {
        for lost in [5, 12, 20, 36] {
            let mut parts = packets();
            parts.remove(lost);
            let (_, account, _) = framed(188, &parts.concat(), 1000);
            assert_eq!(account.bad_places, 1, "without packet {lost}");
        }
    }

    #[test]
    fn an_end_inside_a_pes_packet_is_told_by_its_length() {
        let parts = packets();
        let (.., open) = framed(188, &parts[..parts.len() - 1].concat(), 1000);
        assert!(matches!(open[..], [(0x101, bytes)] if bytes < 184), "{open:?}");
        let next = [parts[parts.len() - 1], parts[0]].concat();
        assert_eq!(goes_on(&next, 188, 0x101), Some(true));
        assert_eq!(goes_on(SEGMENT, 188, 0x101), Some(false));
        assert_eq!(goes_on(SEGMENT, 188, 0x200), None);
    }

    #[test]
    fn a_stream_that_moves_keeps_its_pid() {
        let (out, account, _) = framed(188, MOVED, 1000);
        let pids = |bytes: &[u8]| bytes.chunks(188).map(psi::pid).collect::<std::collections::BTreeSet<_>>();
        assert_eq!(pids(MOVED), [0, 0x100, 0x101, 0x1f1, 0x1000].into());
        assert_eq!(pids(&out), [0, 0x100, 0x101, 0x1000].into());
        // All but the table that tells of it.
        assert_eq!((out.len() + 188, account), (MOVED.len(), TsAccount::default()));
    }

    /// Damage told of each of several segments of one session.
    fn told(segments: &[&[u8]]) -> Vec<u64> {
        let mut packets = TsPackets::new(188);
        let mut one = |segment: &&[u8]| {
            packets.begin_segment();
            packets.frame(&mut segment.to_vec(), true);
            packets.finish().bad_places
        };
        segments.iter().map(&mut one).collect()
    }

    #[test]
    fn counters_over_borders_tell_of_a_cut_where_they_went_on_before() {
        let [a, b, c] = [SEGMENT_BEFORE, SEGMENT, include_bytes!("../../fixtures/ts-h264-aac/index2.ts")];
        assert_eq!(told(&[a, b, c]), [0, 0, 0]);
        // Five packets of sound are gone from its end.
        assert_eq!(told(&[a, &b[..b.len() - 5 * 188], c]), [0, 0, 1]);
        // The same segment over and over: its counters begin anew each time.
        assert_eq!(told(&[b, b, b, b]), [0; 4]);
    }

    #[test]
    fn what_is_scrambled_from_somewhere_on_is_counted() {
        let mut bytes = SEGMENT.to_vec();
        bytes.chunks_mut(188).skip(20).filter(|p| p[1] & 0x1f == 1).for_each(|packet| packet[3] |= 0x80);
        let (out, account, _) = framed(188, &bytes, 1000);
        assert_eq!((out.len() / 188, account.scrambled), (20, 32));
    }
}
