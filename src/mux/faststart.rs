//! `moov` before `mdat`, without writing the media twice.
//!
//! The muxer begins behind some reserved room and puts `moov` at the end, where its size is known.
//! It is then copied into the room, and the file cut off where it stood: the media stays where it is,
//! so that no chunk offset changes. Only where the room turns out too small does the media move.
//! Of a file that was written in portions it never stood at the end, and comes from memory. (ISO/IEC 14496-12, 8.1 and
//! 8.7.5.)

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::moov::Moov;
use crate::error::{Error, ErrorKind, Result};

/// Bytes that are moved at once where the media has to move.
const MOVE_BYTES: usize = 4 << 20;

/// A box's place in the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) kind: [u8; 4],
    pub(super) start: u64,
    pub(super) size: u64,
}

/// A `moov` that is to be written.
enum Index {
    /// As libav wrote it.
    Whole(Vec<u8>),
    /// Of several portions.
    Joined(Moov),
}

impl Index {
    fn size(&self) -> u64 {
        match self {
            Self::Whole(bytes) => bytes.len() as u64,
            Self::Joined(moov) => moov.size(),
        }
    }

    /// Tells that the media moves up. `None` if the index is malformed, or an offset leaves its 32 bits.
    fn move_media(&mut self, distance: u64) -> Option<()> {
        match self {
            Self::Whole(bytes) => move_chunk_offsets(bytes, distance),
            Self::Joined(moov) => moov.move_media(distance),
        }
    }

    fn write(&self, file: &File, at: u64) -> io::Result<()> {
        match self {
            Self::Whole(bytes) => file.write_all_at(bytes, at),
            Self::Joined(moov) => moov.write(file, at),
        }
    }
}

/// Puts `moov` to the front of a file that a muxer wrote behind `reserved` bytes of room: `joined`, or what stands behind
/// the media.
pub(super) fn arrange(file: &File, reserved: u64, joined: Option<Moov>) -> Result<()> {
    let failed = |e: io::Error| Error::io("cannot move the index to the front of the output", e);
    let malformed = || Error::new(ErrorKind::Internal, "the muxer wrote a file without an index");
    let boxes = top_level(file, reserved).map_err(failed)?;
    let find = |kind: &[u8; 4]| boxes.iter().find(|b| &b.kind == kind).copied();
    let ftyp = find(b"ftyp").ok_or_else(malformed)?;
    let (mut index, media_end) = match joined {
        Some(moov) => (Index::Joined(moov), file.metadata().map_err(failed)?.len()),
        None => {
            let moov = find(b"moov").ok_or_else(malformed)?;
            (Index::Whole(read(file, moov).map_err(failed)?), moov.start)
        }
    };
    let front = read(file, ftyp).map_err(failed)?;
    let media_start = ftyp.start + ftyp.size;
    let index_end = front.len() as u64 + index.size();
    let mut distance = index_end.saturating_sub(media_start);
    // What is left over must hold a box's head, or be nothing.
    if (1..8).contains(&(media_start + distance - index_end)) {
        distance = index_end + 8 - media_start;
    }
    if distance > 0 {
        index.move_media(distance).ok_or_else(malformed)?;
        move_up(file, media_start, media_end, distance).map_err(failed)?;
    }
    let spare = media_start + distance - index_end;
    let write = || {
        file.write_all_at(&front, 0)?;
        index.write(file, front.len() as u64)?;
        if spare > 0 {
            let spare = u32::try_from(spare).map_err(|_| io::ErrorKind::FileTooLarge)?;
            file.write_all_at(&[spare.to_be_bytes(), *b"free"].concat(), index_end)?;
        }
        file.set_len(media_end + distance)
    };
    write().map_err(failed)
}

/// The boxes from a position to the end of the file.
pub(super) fn top_level(file: &File, mut start: u64) -> io::Result<Vec<Place>> {
    let end = file.metadata()?.len();
    let mut boxes = Vec::new();
    while start + 8 <= end {
        let mut header = [0; 16];
        let length = usize::try_from(end - start).unwrap_or(16).min(16);
        file.read_exact_at(&mut header[..length], start)?;
        let [a, b, c, d, kind @ .., _, _, _, _, _, _, _, _] = header;
        let size = match u32::from_be_bytes([a, b, c, d]) {
            0 => end - start,
            1 => header.last_chunk().map_or(0, |size| u64::from_be_bytes(*size)),
            size => u64::from(size),
        };
        if size < 8 || size > end - start {
            return Err(io::ErrorKind::InvalidData.into());
        }
        boxes.push(Place { kind, start, size });
        start += size;
    }
    Ok(boxes)
}

pub(super) fn read(file: &File, place: Place) -> io::Result<Vec<u8>> {
    let size = usize::try_from(place.size).map_err(|_| io::ErrorKind::OutOfMemory)?;
    let mut bytes = vec![0; size];
    file.read_exact_at(&mut bytes, place.start)?;
    Ok(bytes)
}

/// Moves `start..end` up, from its end backwards, as the two places overlap.
fn move_up(file: &File, start: u64, mut end: u64, distance: u64) -> io::Result<()> {
    let mut buffer = vec![0; MOVE_BYTES];
    while end > start {
        let length = usize::try_from(end - start).unwrap_or(MOVE_BYTES).min(MOVE_BYTES);
        end -= length as u64;
        file.read_exact_at(&mut buffer[..length], end)?;
        file.write_all_at(&buffer[..length], end + distance)?;
    }
    Ok(())
}

/// Adds to every chunk offset in a `moov`. `None` if it is malformed, or an offset leaves its 32 bits.
fn move_chunk_offsets(bytes: &mut [u8], distance: u64) -> Option<()> {
    let mut at = 0;
    while at < bytes.len() {
        let size = u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?) as usize;
        let kind = *bytes.get(at + 4..)?.first_chunk::<4>()?;
        let body = bytes.get_mut(at + 8..at.checked_add(size)?)?;
        match &kind {
            b"moov" | b"trak" | b"mdia" | b"minf" | b"stbl" => move_chunk_offsets(body, distance)?,
            b"stco" => {
                for entry in body.get_mut(8..)?.chunks_exact_mut(4) {
                    let old = u32::from_be_bytes(*entry.first_chunk()?);
                    entry.copy_from_slice(&u32::try_from(u64::from(old) + distance).ok()?.to_be_bytes());
                }
            }
            b"co64" => {
                for entry in body.get_mut(8..)?.chunks_exact_mut(8) {
                    let old = u64::from_be_bytes(*entry.first_chunk()?);
                    entry.copy_from_slice(&old.checked_add(distance)?.to_be_bytes());
                }
            }
            _ => {}
        }
        at += size.max(8);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mp4_box(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        [&(8 + body.len() as u32).to_be_bytes()[..], kind, body].concat()
    }

    /// `ftyp`, `mdat`, and a `moov` whose one chunk offset points at the media, all behind the room.
    fn written(room: u64, padding: usize) -> File {
        let ftyp = mp4_box(b"ftyp", b"isom");
        let mdat = mp4_box(b"mdat", b"the media");
        let chunk = room as u32 + ftyp.len() as u32 + 8;
        let stco = mp4_box(b"stco", &[&[0; 4][..], &1u32.to_be_bytes(), &chunk.to_be_bytes()].concat());
        let stbl = [mp4_box(b"stbl", &stco), mp4_box(b"udta", &vec![1; padding])].concat();
        let moov = mp4_box(b"moov", &mp4_box(b"trak", &mp4_box(b"mdia", &mp4_box(b"minf", &stbl))));
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&[ftyp, mdat, moov].concat(), room).unwrap();
        file
    }

    #[test]
    fn moov_comes_first_and_chunk_offsets_point_at_the_media_whatever_the_room() {
        let moov_bytes = 8 * 6 + 12 + 50;
        for room in
            [0, 8, 40, moov_bytes - 9, moov_bytes - 1, moov_bytes, moov_bytes + 1, moov_bytes + 7, moov_bytes + 8, 4096]
        {
            let file = written(room, 50 - 8);
            arrange(&file, room, None).unwrap();
            let boxes = top_level(&file, 0).unwrap();
            let kinds: Vec<&[u8]> = boxes.iter().map(|b| &b.kind[..]).filter(|k| *k != b"free").collect();
            assert_eq!(kinds, [b"ftyp", b"moov", b"mdat"], "room {room}");
            let moov = read(&file, boxes[1]).unwrap();
            let at = moov.windows(4).position(|w| w == b"stco").unwrap() + 12;
            let offset = u32::from_be_bytes(*moov[at..].first_chunk().unwrap());
            let mut media = [0; 9];
            file.read_exact_at(&mut media, u64::from(offset)).unwrap();
            assert_eq!(&media, b"the media", "room {room}");
        }
    }
}
