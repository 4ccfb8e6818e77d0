//! The `moov` of a file that was written in portions: the first portion's, with the sample tables of all, and durations
//! and bit rates of the whole. (ISO/IEC 14496-12, 8.2 to 8.7; ISO/IEC 14496-14, 5.6. What libav makes of them:
//! `mov_write_moov_tag` in its movenc.c.)

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::ops::Range;

use super::tables::{Span, Tables};
use crate::error::{Error, ErrorKind, Result};

/// Bytes that are collected before they are written.
const BUFFER_BYTES: usize = 1 << 20;
/// Durations from here on are written with 64 bits, as libav does: some readers take the others as signed.
const LONG: u64 = i32::MAX as u64;
const SAMPLE_TABLE: &[&[u8; 4]] = &[b"mdia", b"minf", b"stbl"];
const DESCRIPTIONS: &[&[u8; 4]] = &[b"mdia", b"minf", b"stbl", b"stsd"];

/// The `moov` of all portions so far.
pub(super) struct Moov {
    root: Node,
    /// Of each track the latest end of presentation: in the first portion, and in all.
    ends: Vec<(i64, i64)>,
}

impl Moov {
    /// Begins with the first portion's `moov`, in which each track must be.
    pub(super) fn begin(moov: &[u8], spans: &[Option<Span>]) -> Result<Self> {
        let (kind, body) = boxes(moov).and_then(|boxes| boxes.into_iter().next()).ok_or_else(malformed)?;
        let mut root = Node::read(kind, body).ok_or_else(malformed)?;
        let mut traks = 0;
        for trak in root.traks() {
            let is_video = trak.is_video().ok_or_else(malformed)?;
            let is_opus = trak.find(DESCRIPTIONS).is_some_and(|stsd| stsd.body.get(12..16) == Some(b"Opus"));
            trak.find(SAMPLE_TABLE).ok_or_else(malformed)?.tables = Some(Box::new(Tables::new(is_video, is_opus)));
            traks += 1;
        }
        if traks != spans.len() {
            return Err(malformed());
        }
        let ends = spans.iter().map(|span| span.map_or((0, 0), |span| (span.end, span.end))).collect();
        let mut this = Self { root, ends };
        this.join(moov, spans)?;
        Ok(this)
    }

    /// Adds the next portion's: of each track, what was written of it; `None` where nothing was.
    pub(super) fn join(&mut self, moov: &[u8], spans: &[Option<Span>]) -> Result<()> {
        let mut left = spans.to_vec();
        let traks = descend(moov, &[b"moov"]).and_then(boxes).ok_or_else(malformed)?;
        for (_, trak) in traks.into_iter().filter(|(kind, _)| kind == b"trak") {
            let track = track_number(trak).ok_or_else(malformed)?;
            let span = left.get_mut(track).and_then(Option::take).ok_or_else(malformed)?;
            let boxes = descend(trak, SAMPLE_TABLE).and_then(boxes).ok_or_else(malformed)?;
            let (stsd, tables) = boxes.split_first().ok_or_else(malformed)?;
            let joined = self.root.traks().nth(track).ok_or_else(malformed)?;
            let described = joined.find(DESCRIPTIONS).ok_or_else(malformed)?;
            // Only bit rates may differ.
            if stsd.0 != described.kind || stsd.1.len() != described.body.len() {
                return Err(odd("sample descriptions that change"));
            }
            let joined = joined.find(SAMPLE_TABLE).and_then(|stbl| stbl.tables.as_mut()).ok_or_else(malformed)?;
            joined.join(tables, span).map_err(|what| odd(&what))?;
            self.ends[track].1 = self.ends[track].1.max(span.end);
        }
        if left.iter().any(Option::is_some) { Err(malformed()) } else { Ok(()) }
    }

    /// Brings durations and bit rates to those of the whole, of tracks announced with such rates: nothing more is joined.
    pub(super) fn complete(&mut self, announced: &[u32]) -> Result<()> {
        self.try_complete(announced).ok_or_else(malformed)
    }

    fn try_complete(&mut self, announced: &[u32]) -> Option<()> {
        let movie_ticks = self.root.find(&[b"mvhd"])?.timescale()?;
        let mut longest = 0;
        for ((trak, (first_end, end)), announced) in self.root.traks().zip(&self.ends).zip(announced) {
            let mdhd = trak.find(&[b"mdia", b"mdhd"])?;
            let ticks = mdhd.timescale().filter(|ticks| *ticks > 0)?;
            let in_movie = |time: u64| {
                u64::try_from((u128::from(time) * u128::from(movie_ticks)).div_ceil(u128::from(ticks))).ok()
            };
            let (first_end, end) = (u64::try_from(*first_end).ok()?, u64::try_from(*end).ok()?);
            let first = mdhd.duration()?;
            let all = first.checked_add(end.checked_sub(first_end)?)?;
            mdhd.set_duration(all)?;
            // Each grows by as much as the whole does: what the first portion's leaves out, at its start, the whole does.
            let tkhd = trak.find(&[b"tkhd"])?;
            let shown = tkhd.duration()?.checked_add(in_movie(end)?.checked_sub(in_movie(first_end)?)?)?;
            tkhd.set_duration(shown)?;
            longest = longest.max(shown);
            if let Some(elst) = trak.find(&[b"edts", b"elst"]) {
                elst.lengthen_last_edit(in_movie(all)?.checked_sub(in_movie(first)?)?)?;
            }
            let tables = trak.find(SAMPLE_TABLE)?.tables.as_mut()?;
            tables.complete();
            let bits = u128::from(tables.media_bytes()) * 8 * u128::from(ticks);
            let rate = bits.checked_div(u128::from(tables.duration())).unwrap_or(0);
            let rate = u32::try_from(rate).unwrap_or(u32::MAX);
            let is_video = trak.is_video()?;
            set_bit_rates(&mut trak.find(DESCRIPTIONS)?.body, is_video, *announced, rate)?;
        }
        let mvhd = self.root.find(&[b"mvhd"])?;
        let longest = longest.max(mvhd.duration()?);
        mvhd.set_duration(longest)
    }

    /// Bytes that [`write`](Self::write) writes.
    pub(super) fn size(&self) -> u64 {
        self.root.size()
    }

    /// Tells that the media has moved up; `None` if that is too far.
    pub(super) fn move_media(&mut self, distance: u64) -> Option<()> {
        self.root.traks().try_for_each(|trak| trak.find(SAMPLE_TABLE)?.tables.as_mut()?.move_chunks(distance))
    }

    /// Writes the box to a place in a file.
    pub(super) fn write(&self, mut file: &File, at: u64) -> io::Result<()> {
        file.seek(SeekFrom::Start(at))?;
        let mut to = BufWriter::with_capacity(BUFFER_BYTES, file);
        self.root.write(&mut to)?;
        to.flush()
    }

    /// Writes the box to a file's end.
    pub(super) fn append(&self, file: &File) -> Result<()> {
        let written = file.metadata().and_then(|metadata| self.write(file, metadata.len()));
        written.map_err(|e| Error::io("cannot write the output's index", e))
    }
}

/// A box: bytes, or boxes, and in `stbl` the tables behind them.
struct Node {
    kind: [u8; 4],
    body: Vec<u8>,
    children: Vec<Node>,
    tables: Option<Box<Tables>>,
}

impl Node {
    /// Keeps a box, of `stbl` without its tables.
    fn read(kind: [u8; 4], body: &[u8]) -> Option<Self> {
        let mut this = Self { kind, body: Vec::new(), children: Vec::new(), tables: None };
        match &kind {
            b"moov" | b"trak" | b"edts" | b"mdia" | b"minf" | b"stbl" => {
                let kept = |child: &[u8; 4]| &kind != b"stbl" || child == b"stsd";
                let children = boxes(body)?.into_iter().filter(|(kind, _)| kept(kind));
                this.children = children.map(|(kind, body)| Self::read(kind, body)).collect::<Option<_>>()?;
            }
            _ => this.body = body.to_vec(),
        }
        Some(this)
    }

    fn traks(&mut self) -> impl Iterator<Item = &mut Self> {
        self.children.iter_mut().filter(|child| &child.kind == b"trak")
    }

    fn find(&mut self, path: &[&[u8; 4]]) -> Option<&mut Self> {
        let Some((kind, rest)) = path.split_first() else { return Some(self) };
        self.children.iter_mut().find(|child| child.kind == **kind)?.find(rest)
    }

    fn is_video(&mut self) -> Option<bool> {
        self.find(&[b"mdia", b"hdlr"])?.body.get(8..12).map(|handler| handler == b"vide")
    }

    fn size(&self) -> u64 {
        let inside: u64 = self.children.iter().map(Self::size).sum();
        8 + self.body.len() as u64 + inside + self.tables.as_ref().map_or(0, |tables| tables.size())
    }

    fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let size = u32::try_from(self.size()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        to.write_all(&size.to_be_bytes())?;
        to.write_all(&self.kind)?;
        to.write_all(&self.body)?;
        self.children.iter().try_for_each(|child| child.write(to))?;
        self.tables.as_ref().map_or(Ok(()), |tables| tables.write(to))
    }

    /// `mvhd`, `tkhd`, `mdhd`: the version, two dates, a timescale or a track number, and the duration.
    fn is_long(&self) -> bool {
        self.body.first() == Some(&1)
    }

    /// Where the dates end.
    fn dates_end(&self) -> usize {
        if self.is_long() { 20 } else { 12 }
    }

    fn timescale(&self) -> Option<u32> {
        number(&self.body, self.dates_end())
    }

    fn duration_place(&self) -> Range<usize> {
        let at = self.dates_end() + if &self.kind == b"tkhd" { 8 } else { 4 };
        at..at + if self.is_long() { 8 } else { 4 }
    }

    fn duration(&self) -> Option<u64> {
        self.body.get(self.duration_place()).map(unsigned)
    }

    fn set_duration(&mut self, duration: u64) -> Option<()> {
        if !self.is_long() && duration >= LONG {
            let (at, dates) = (self.duration_place(), self.body.get(4..12)?);
            let dates = dates.chunks_exact(4).flat_map(|date| unsigned(date).to_be_bytes()).collect::<Vec<_>>();
            let middle = self.body.get(12..at.start)?;
            self.body = [&[1], self.body.get(1..4)?, &dates, middle, &[0; 8], self.body.get(at.end..)?].concat();
        }
        let place = self.duration_place();
        store(self.body.get_mut(place)?, duration)
    }

    /// `elst`: each edit has a duration, a time, which is -1 for none, and a rate.
    fn lengthen_last_edit(&mut self, by: u64) -> Option<()> {
        let (width, each) = if self.is_long() { (8, 20) } else { (4, 12) };
        let last = self.body.len().checked_sub(each).filter(|last| *last >= 8)?;
        let duration = unsigned(self.body.get(last..last + width)?).checked_add(by)?;
        if self.is_long() || duration < LONG {
            return store(&mut self.body[last..last + width], duration);
        }
        let mut long = [&[1], self.body.get(1..8)?].concat();
        for (n, edit) in self.body[8..].chunks_exact(12).enumerate() {
            let is_last = 8 + n * 12 == last;
            let time = i64::from(i32::from_be_bytes(*edit[4..].first_chunk()?));
            long.extend(if is_last { duration } else { unsigned(&edit[..4]) }.to_be_bytes());
            long.extend(time.to_be_bytes());
            long.extend(&edit[8..]);
        }
        self.body = long;
        Some(())
    }
}

/// Where the sample entry of an `stsd` tells the highest bit rate, and behind it the average: in `btrt`, and in MPEG-4's
/// descriptors in `esds` as libav writes them, which QuickTime has inside of `wave`.
fn bit_rates(stsd: &[u8], is_video: bool) -> Vec<usize> {
    fn among(boxes: &[u8], mut at: usize, places: &mut Vec<usize>) {
        while let Some(size) = number(boxes, at).filter(|size| *size >= 8) {
            match boxes.get(at + 4..at + 8) {
                Some(b"btrt") => places.push(at + 12),
                Some(b"esds") if (boxes.get(at + 12), boxes.get(at + 20)) == (Some(&3), Some(&4)) => {
                    places.push(at + 30)
                }
                Some(b"wave") => among(boxes, at + 8, places),
                _ => {}
            }
            at += size as usize;
        }
    }
    let fields = match (is_video, stsd.get(24..26)) {
        (true, _) => 78,
        // Of sound QuickTime's versions tell more.
        (false, Some([0, 1])) => 28 + 16,
        (false, Some([0, 2])) => 28 + 36,
        (false, _) => 28,
    };
    let mut places = Vec::new();
    among(stsd, 8 + 8 + fields, &mut places);
    places
}

/// Brings the first portion's bit rates to those of the whole. The highest that libav tells is what the stream was
/// announced with, or the average where that is more.
fn set_bit_rates(stsd: &mut [u8], is_video: bool, announced: u32, average: u32) -> Option<()> {
    for at in bit_rates(stsd, is_video) {
        let (highest, before) = (number(stsd, at)?, number(stsd, at + 4)?);
        if before > 0 {
            let highest = if highest > before { highest } else { announced };
            store(stsd.get_mut(at..at + 4)?, highest.max(average).into())?;
            store(stsd.get_mut(at + 4..at + 8)?, average.into())?;
        }
    }
    Some(())
}

/// The boxes that stand in a row; `None` where they are not whole.
fn boxes(mut bytes: &[u8]) -> Option<Vec<([u8; 4], &[u8])>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let (head, rest) = bytes.split_at_checked(8)?;
        let (body, rest) = rest.split_at_checked((number(head, 0)? as usize).checked_sub(8)?)?;
        found.push((*head.last_chunk()?, body));
        bytes = rest;
    }
    Some(found)
}

/// What is in a box inside of others.
fn descend<'a>(bytes: &'a [u8], path: &[&[u8; 4]]) -> Option<&'a [u8]> {
    let Some((kind, rest)) = path.split_first() else { return Some(bytes) };
    descend(boxes(bytes)?.into_iter().find(|(found, _)| found == *kind)?.1, rest)
}

/// A `trak`'s number from 0 on. libav counts from 1 on, also what it leaves out as nothing was written to it.
fn track_number(trak: &[u8]) -> Option<usize> {
    let tkhd = Node::read(*b"tkhd", descend(trak, &[b"tkhd"])?)?;
    Some(tkhd.timescale()?.checked_sub(1)? as usize)
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn unsigned(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

fn store(place: &mut [u8], value: u64) -> Option<()> {
    let bytes = value.to_be_bytes();
    let (above, value) = bytes.split_at(bytes.len() - place.len());
    place.copy_from_slice(value);
    above.iter().all(|byte| *byte == 0).then_some(())
}

fn odd(what: &str) -> Error {
    Error::new(ErrorKind::Internal, format!("the muxer wrote an index with {what}"))
}

fn malformed() -> Error {
    odd("boxes that are not as expected")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_that_32_bits_do_not_hold_makes_its_box_longer() {
        let mut mdhd = Node::read(*b"mdhd", &[&[0; 4][..], &[1; 8], &[0, 0, 0, 9], &[7; 4], &[5; 4]].concat()).unwrap();
        mdhd.set_duration(LONG - 1).unwrap();
        assert_eq!((mdhd.size(), mdhd.timescale(), mdhd.duration()), (32, Some(9), Some(LONG - 1)));
        mdhd.set_duration(LONG).unwrap();
        assert_eq!((mdhd.size(), mdhd.timescale(), mdhd.duration()), (44, Some(9), Some(LONG)));
        assert_eq!(mdhd.body[..8], [1, 0, 0, 0, 0, 0, 0, 0]);
        assert!(mdhd.body.ends_with(&[5; 4]));
        mdhd.set_duration(1 << 40).unwrap();
        assert_eq!((mdhd.size(), mdhd.duration()), (44, Some(1 << 40)));
    }

    #[test]
    fn the_last_edit_is_the_one_that_grows_and_an_empty_one_stays_empty() {
        let edits = [
            &[0; 4][..],
            &[0, 0, 0, 2],
            &[0, 0, 0, 9],
            &[255; 4],
            &[0, 1, 0, 0],
            &[0, 0, 0, 8],
            &[0, 0, 0, 3],
            &[0, 1, 0, 0],
        ];
        let mut elst = Node::read(*b"elst", &edits.concat()).unwrap();
        elst.lengthen_last_edit(4).unwrap();
        assert_eq!(elst.body[20..24], [0, 0, 0, 12]);
        elst.lengthen_last_edit(1 << 32).unwrap();
        let long = [&[1, 0, 0, 0, 0, 0, 0, 2][..], &9u64.to_be_bytes(), &[255; 8], &[0, 1, 0, 0]].concat();
        assert_eq!(elst.body[..28], long);
        assert_eq!(elst.body[28..36], (12u64 + (1 << 32)).to_be_bytes());
        assert_eq!(elst.body[36..], [0, 0, 0, 0, 0, 0, 0, 3, 0, 1, 0, 0]);
        elst.lengthen_last_edit(1).unwrap();
        assert_eq!(elst.body[28..36], (13u64 + (1 << 32)).to_be_bytes());
    }
}
