//! The bytes of a session as they are read.

use super::Feed;
use crate::av::Reader;
use crate::container::Container;
use crate::demux::open::scrambled;
use crate::demux::seekable::Seekable;
use crate::error::{Error, ErrorKind, Result};

/// Scrambled packets of a segment from which on they are no damage.
const SCRAMBLED_PACKETS: u64 = 8;
/// Bytes of packed audio that are looked through at once.
const PACKED_PIECE_BYTES: usize = 32 << 10;

impl Feed {
    /// Reads from the open segment; 0 at its end.
    fn read_segment(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let Some(open) = &mut self.open else { return Ok(0) };
        if let Some(packed) = self.session.as_mut().and_then(|session| session.packed.as_mut()) {
            let mut piece = [0; PACKED_PIECE_BYTES];
            while self.carry.is_empty() {
                let n = open.bytes.read(&mut piece)?;
                if n == 0 {
                    return Ok(0);
                }
                open.read_bytes += n as u64;
                packed.feed(&piece[..n], &mut self.carry);
            }
            let n = self.carry.len().min(buffer.len());
            buffer[..n].copy_from_slice(&self.carry[..n]);
            self.carry.drain(..n);
            return Ok(n);
        }
        let (Some(packets), Container::MpegTs { packet_bytes }) = (&mut self.packets, open.container) else {
            let n = open.bytes.read(buffer)?;
            open.watch.feed(&buffer[..n]);
            self.tracks.extend(open.watch.take_tracks());
            for listed in open.watch.take_listed() {
                self.fragments.add(self.marks.len().saturating_sub(1), listed);
            }
            open.read_bytes += n as u64;
            return Ok(n);
        };
        // In whole packets.
        loop {
            let waiting = self.carry.len();
            let room = buffer.split_at_mut_checked(waiting).filter(|(_, room)| !room.is_empty());
            let Some((front, room)) = room else {
                return Err(Error::new(ErrorKind::Internal, "a read of too few bytes for a packet"));
            };
            front.copy_from_slice(&self.carry);
            let n = open.bytes.read(room)?;
            open.read_bytes += n as u64;
            let (written, used) = packets.frame(&mut buffer[..waiting + n], n == 0);
            self.carry.clear();
            self.carry.extend_from_slice(&buffer[used..waiting + n]);
            if packets.scrambled() >= SCRAMBLED_PACKETS {
                return Err(scrambled());
            }
            let at = open.media_at;
            open.media_at += written as u64;
            let kept = match self.cut.filter(|cut| cut.segment == open.segment && at < cut.at) {
                Some(cut) => keep_tables(&mut buffer[..written], packet_bytes, cut.at - at, &open.tables.table_pids),
                None => written,
            };
            self.cut_bytes += (written - kept) as u64;
            let kept = self.glimpse.as_mut().map_or(kept, |glimpse| glimpse.keep(&mut buffer[..kept]));
            if kept > 0 || n == 0 {
                return Ok(kept);
            }
        }
    }

    fn read_init_bytes(&mut self, buffer: &mut [u8]) -> usize {
        let Some(session) = &mut self.session else { return 0 };
        let left = &session.init[session.init_at..];
        let n = left.len().min(buffer.len());
        buffer[..n].copy_from_slice(&left[..n]);
        session.init_at += n;
        n
    }
}

/// Of the packets before `until`, leaves those of some PIDs alone; tells how many bytes are left in all.
fn keep_tables(packets: &mut [u8], packet_bytes: usize, until: u64, pids: &[u16]) -> usize {
    let lead = if packet_bytes == 192 { 4 } else { 0 };
    let mut kept = 0;
    for at in (0..packets.len()).step_by(packet_bytes) {
        let is_table = matches!(packets[at + lead..], [_, high, low, ..] if pids.contains(&(u16::from(high & 0x1f) << 8 | u16::from(low))));
        if at as u64 >= until || is_table {
            packets.copy_within(at..at + packet_bytes, kept);
            kept += packet_bytes;
        }
    }
    kept
}

impl Reader for Feed {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if let Some(seekable) = &mut self.seekable {
            return seekable.read(buffer);
        }
        let n = self.read_init_bytes(buffer);
        if n > 0 {
            self.offset += n as u64;
            return Ok(n);
        }
        loop {
            if self.reading {
                let segment = self.open.as_ref().map_or(0, |open| open.segment);
                let n = self.read_segment(buffer).map_err(|e| self.at(segment, e))?;
                if n > 0 {
                    self.offset += n as u64;
                    return Ok(n);
                }
                if let Some(open) = self.open.take() {
                    self.end_segment(open)?;
                }
            }
            if !self.open_next()? || !self.open.as_ref().is_some_and(|open| self.belongs(open)) {
                self.exhausted = true;
                return Ok(0);
            }
            self.begin_segment();
        }
    }

    fn size(&self) -> Option<u64> {
        self.seekable.as_ref().map(Seekable::size_bytes)
    }

    fn seek(&mut self, position: u64) -> Result<()> {
        if let Some(seekable) = &mut self.seekable {
            seekable.seek(position);
        }
        Ok(())
    }
}
