//! The sample tables of one track, put together from those that libav wrote for each portion of it.
//!
//! They are kept as they are written in the end, about 8 bytes for a sample, where libav's muxer keeps nine times as
//! many. (ISO/IEC 14496-12: 8.6.1.2 `stts`, 8.6.1.3 `ctts`, 8.6.2 `stss`, 8.7.3 `stsz`, 8.7.4 `stsc`, 8.7.5 `stco` and
//! `co64`, 8.9 `sbgp` and `sgpd`; what of it libav writes, and when: `mov_write_stbl_tag` in its movenc.c.)

use std::collections::VecDeque;
use std::io::{self, Write};

/// 80 ms: what a decoder of Opus needs before it is right (RFC 7845, 4.6).
const OPUS_PREROLL_SAMPLES: u64 = 3840;
/// As many of the shortest packets, of 2.5 ms.
const OPUS_ROLL_MOST: usize = 32;

/// What was written of a track in one portion.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) packets: u32,
    /// Of these, the ones that a decoder can begin with.
    pub(super) keys: u32,
    /// Decoding time of the first and the last.
    pub(super) first_dts: i64,
    pub(super) last_dts: i64,
    /// The latest end of presentation.
    pub(super) end: i64,
}

/// Values that repeat: how often, and what.
#[derive(Debug, Default)]
struct Runs(Vec<(u32, u32)>);

impl Runs {
    fn push(&mut self, count: u32, value: u32) {
        match self.0.last_mut() {
            _ if count == 0 => {}
            Some((n, last)) if *last == value && n.checked_add(count).is_some() => *n += count,
            _ => self.0.push((count, value)),
        }
    }

    fn pop(&mut self) {
        if let Some((count, _)) = self.0.last_mut() {
            *count -= 1;
            if *count == 0 {
                self.0.pop();
            }
        }
    }

    fn count(&self) -> u64 {
        self.0.iter().map(|(count, _)| u64::from(*count)).sum()
    }

    fn sum(&self) -> u64 {
        self.0.iter().map(|(count, value)| u64::from(*count) * u64::from(*value)).sum()
    }
}

/// The tables so far.
#[derive(Debug, Default)]
pub(super) struct Tables {
    /// It tells which of its samples are sync samples, as a video track does.
    lists_sync: bool,
    durations: Runs,
    /// From decoding to presentation.
    delays: Runs,
    sizes: Vec<u32>,
    /// First chunk of a run, samples in each, sample description.
    chunk_runs: Vec<[u32; 3]>,
    /// Where each chunk is in the file.
    chunks: Vec<u64>,
    /// Samples from where decoding can begin: the first of several in a row, and how many.
    sync: Vec<(u32, u32)>,
    /// How many samples a decoder must begin earlier (8.9, `roll`); 0 where it cannot.
    roll: Runs,
    /// Opus: the samples before one may be of the portion before.
    is_opus: bool,
    last_dts: i64,
}

impl Tables {
    pub(super) fn new(lists_sync: bool, is_opus: bool) -> Self {
        Self { lists_sync, is_opus, ..Self::default() }
    }

    /// Adds the boxes that follow `stsd` in a portion's `stbl`.
    ///
    /// # Errors
    /// What is odd about them. They may have been added in part then.
    pub(super) fn join(&mut self, boxes: &[([u8; 4], &[u8])], span: Span) -> Result<(), String> {
        let before = self.samples();
        if before > 0 {
            // libav could not know when the next portion would begin: it took the packet's own duration.
            let distance = span.first_dts.checked_sub(self.last_dts).and_then(|d| u32::try_from(d).ok());
            self.durations.pop();
            self.durations.push(1, distance.ok_or("decoding times that go back")?);
        }
        let (mut delayed, mut synced, mut roll, mut groups) = (false, false, None, None);
        for (kind, body) in boxes {
            let name = String::from_utf8_lossy(kind);
            let odd = || format!("a box `{name}` that is not as expected");
            match kind {
                b"stts" => pairs(body, 0).ok_or_else(odd)?.for_each(|(count, value)| self.durations.push(count, value)),
                b"ctts" => {
                    delayed = true;
                    pairs(body, 0).ok_or_else(odd)?.for_each(|(count, value)| self.delays.push(count, value));
                }
                b"stsz" => self.join_sizes(body).ok_or_else(odd)?,
                b"stsc" => self.join_chunk_runs(body).ok_or_else(odd)?,
                b"stco" => self.chunks.extend(entries::<4>(body, 4).ok_or_else(odd)?.map(|e| u64::from(number(e)))),
                b"co64" => self.chunks.extend(entries::<8>(body, 4).ok_or_else(odd)?.map(|e| u64::from_be_bytes(*e))),
                b"stss" => {
                    (synced, self.lists_sync) = (true, true);
                    for entry in entries::<4>(body, 4).ok_or_else(odd)? {
                        self.join_sync(number(entry).checked_add(before).ok_or_else(odd)?, 1);
                    }
                }
                b"sgpd" => groups = Some(roll_groups(body).ok_or_else(odd)?),
                b"sbgp" => roll = Some(pairs(body, 4).filter(|_| body.get(4..8) == Some(b"roll")).ok_or_else(odd)?),
                _ => return Err(format!("a box `{name}`, which is not known")),
            }
        }
        if !delayed {
            self.delays.push(span.packets, 0);
        }
        match (synced, span.keys) {
            (true, _) | (false, 0) => {}
            // libav writes the box only where some are and some are not.
            (false, keys) if keys == span.packets || !self.lists_sync => self.join_sync(before + 1, span.packets),
            (false, _) => return Err("no list of its key pictures".to_owned()),
        }
        for (count, group) in roll.into_iter().flatten().filter(|_| !self.is_opus) {
            let distance = match group.checked_sub(1) {
                None => 0,
                Some(n) => {
                    *groups.as_deref().and_then(|g| g.get(n as usize)).ok_or("a sample group that is missing")?
                }
            };
            self.roll.push(count, distance);
        }
        self.last_dts = span.last_dts;
        let written = u64::from(before) + u64::from(span.packets);
        let counts = [self.durations.count(), self.delays.count(), self.sizes.len() as u64];
        let rolls = self.roll.count();
        if counts.iter().any(|count| *count != written) || (rolls != 0 && rolls != written) {
            return Err(format!("{counts:?} samples by its tables, where {written} were written"));
        }
        Ok(())
    }

    /// Nothing more is joined.
    pub(super) fn complete(&mut self) {
        if self.is_opus {
            self.roll = opus_roll(&self.durations);
        }
    }

    fn join_sizes(&mut self, body: &[u8]) -> Option<()> {
        let (size, count) = (number(body.get(4..)?.first_chunk()?), number(body.get(8..)?.first_chunk()?));
        if size == 0 {
            self.sizes.extend(entries::<4>(body, 8)?.map(number));
        } else {
            self.sizes.extend(std::iter::repeat_n(size, count as usize));
        }
        Some(())
    }

    fn join_chunk_runs(&mut self, body: &[u8]) -> Option<()> {
        // `stsc` stands before `stco`, whose chunks are not yet there.
        let before = u32::try_from(self.chunks.len()).ok()?;
        for entry in entries::<12>(body, 4)? {
            let [first, samples, description] =
                [0, 4, 8].map(|at| number(entry[at..].first_chunk().unwrap_or(&[0; 4])));
            if self.chunk_runs.last().is_none_or(|run| run[1..] != [samples, description]) {
                self.chunk_runs.push([first.checked_add(before)?, samples, description]);
            }
        }
        Some(())
    }

    fn join_sync(&mut self, first: u32, count: u32) {
        match self.sync.last_mut() {
            Some((start, n)) if *start + *n == first => *n += count,
            _ => self.sync.push((first, count)),
        }
    }

    fn samples(&self) -> u32 {
        u32::try_from(self.sizes.len()).unwrap_or(u32::MAX)
    }

    /// Bytes of all samples.
    pub(super) fn media_bytes(&self) -> u64 {
        self.sizes.iter().map(|size| u64::from(*size)).sum()
    }

    /// Duration of all samples in ticks, as they are decoded.
    pub(super) fn duration(&self) -> u64 {
        self.durations.sum()
    }

    /// Tells that the media has moved up; `None` if that is too far.
    pub(super) fn move_chunks(&mut self, distance: u64) -> Option<()> {
        self.chunks.iter_mut().try_for_each(|chunk| {
            *chunk = chunk.checked_add(distance)?;
            Some(())
        })
    }

    /// From half of what 32 bits hold: the index may yet push the media up.
    fn is_wide(&self) -> bool {
        self.chunks.last().is_some_and(|last| *last > u64::from(u32::MAX / 2))
    }

    /// The sync samples, where some are and some are not.
    fn listed_sync(&self) -> u32 {
        let count = self.sync.iter().map(|(_, count)| count).sum();
        if self.lists_sync && count < self.samples() { count } else { 0 }
    }

    fn equal_size(&self) -> Option<u32> {
        let first = *self.sizes.first()?;
        self.sizes.iter().all(|size| *size == first).then_some(first)
    }

    fn is_delayed(&self) -> bool {
        self.delays.0.iter().any(|(_, delay)| *delay != 0)
    }

    fn groups(&self) -> usize {
        self.roll.0.iter().filter(|(_, distance)| *distance != 0).count()
    }

    /// Bytes that [`write`](Self::write) writes.
    pub(super) fn size(&self) -> u64 {
        let table = |header: usize, count: usize, each: usize| header + count * each;
        let mut bytes = table(16, self.durations.0.len(), 8) + table(16, self.chunk_runs.len(), 12);
        bytes += table(20, if self.equal_size().is_some() { 0 } else { self.sizes.len() }, 4);
        bytes += table(16, self.chunks.len(), if self.is_wide() { 8 } else { 4 });
        bytes += if self.is_delayed() { table(16, self.delays.0.len(), 8) } else { 0 };
        bytes += if self.listed_sync() > 0 { table(16, self.listed_sync() as usize, 4) } else { 0 };
        bytes += if self.groups() > 0 { table(24, self.groups(), 2) + table(20, self.roll.0.len(), 8) } else { 0 };
        bytes as u64
    }

    /// Writes the boxes in libav's order.
    pub(super) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        header(to, b"stts", 16, self.durations.0.len(), 8)?;
        write_pairs(to, &self.durations)?;
        if self.listed_sync() > 0 {
            header(to, b"stss", 16, self.listed_sync() as usize, 4)?;
            for sample in self.sync.iter().flat_map(|(first, count)| *first..first + count) {
                to.write_all(&sample.to_be_bytes())?;
            }
        }
        if self.is_delayed() {
            header(to, b"ctts", 16, self.delays.0.len(), 8)?;
            write_pairs(to, &self.delays)?;
        }
        header(to, b"stsc", 16, self.chunk_runs.len(), 12)?;
        for value in self.chunk_runs.as_flattened() {
            to.write_all(&value.to_be_bytes())?;
        }
        self.write_sizes(to)?;
        if self.is_wide() {
            header(to, b"co64", 16, self.chunks.len(), 8)?;
            self.chunks.iter().try_for_each(|chunk| to.write_all(&chunk.to_be_bytes()))?;
        } else {
            header(to, b"stco", 16, self.chunks.len(), 4)?;
            // It is not wide: each is below half of this.
            self.chunks.iter().try_for_each(|chunk| to.write_all(&(*chunk as u32).to_be_bytes()))?;
        }
        if self.groups() > 0 { self.write_groups(to) } else { Ok(()) }
    }

    fn write_sizes(&self, to: &mut impl Write) -> io::Result<()> {
        let equal = self.equal_size();
        let listed = if equal.is_some() { &[] } else { &self.sizes[..] };
        to.write_all(&(20 + 4 * listed.len() as u32).to_be_bytes())?;
        to.write_all(b"stsz\0\0\0\0")?;
        to.write_all(&equal.unwrap_or(0).to_be_bytes())?;
        to.write_all(&self.samples().to_be_bytes())?;
        listed.iter().try_for_each(|size| to.write_all(&size.to_be_bytes()))
    }

    fn write_groups(&self, to: &mut impl Write) -> io::Result<()> {
        to.write_all(&(24 + 2 * self.groups() as u32).to_be_bytes())?;
        to.write_all(b"sgpd\x01\0\0\0roll\0\0\0\x02")?;
        to.write_all(&(self.groups() as u32).to_be_bytes())?;
        for (_, distance) in self.roll.0.iter().filter(|(_, distance)| *distance != 0) {
            // How many samples later decoding is right, and so less than nothing.
            to.write_all(&(*distance as u16).wrapping_neg().to_be_bytes())?;
        }
        to.write_all(&(20 + 8 * self.roll.0.len() as u32).to_be_bytes())?;
        to.write_all(b"sbgp\0\0\0\0roll")?;
        to.write_all(&(self.roll.0.len() as u32).to_be_bytes())?;
        let mut group = 0u32;
        for (count, distance) in &self.roll.0 {
            group += u32::from(*distance != 0);
            to.write_all(&count.to_be_bytes())?;
            to.write_all(&(if *distance == 0 { 0 } else { group }).to_be_bytes())?;
        }
        Ok(())
    }
}

/// How many samples of Opus a decoder must begin earlier, as libav reckons: as many as last 80 ms, and 0 where fewer
/// come before. Nothing where those are more than can be.
fn opus_roll(durations: &Runs) -> Runs {
    let (mut roll, mut before) = (Runs::default(), VecDeque::new());
    for duration in durations.0.iter().flat_map(|(count, duration)| std::iter::repeat_n(*duration, *count as usize)) {
        let mut lasted = 0;
        let enough = before.iter().rev().position(|duration| {
            lasted += u64::from(*duration);
            lasted >= OPUS_PREROLL_SAMPLES
        });
        if enough.is_none() && before.len() == OPUS_ROLL_MOST {
            return Runs::default();
        }
        roll.push(1, enough.map_or(0, |n| n as u32 + 1));
        if before.len() == OPUS_ROLL_MOST {
            before.pop_front();
        }
        before.push_back(duration);
    }
    roll
}

/// The head of a table whose entries follow it.
fn header(to: &mut impl Write, kind: &[u8; 4], head: usize, count: usize, each: usize) -> io::Result<()> {
    let size = u32::try_from(head + count * each).map_err(|_| io::ErrorKind::FileTooLarge)?;
    to.write_all(&size.to_be_bytes())?;
    to.write_all(kind)?;
    to.write_all(&[0; 4])?;
    to.write_all(&(count as u32).to_be_bytes())
}

fn write_pairs(to: &mut impl Write, runs: &Runs) -> io::Result<()> {
    runs.0.iter().try_for_each(|(count, value)| {
        to.write_all(&count.to_be_bytes())?;
        to.write_all(&value.to_be_bytes())
    })
}

fn number(bytes: &[u8; 4]) -> u32 {
    u32::from_be_bytes(*bytes)
}

/// Entries of a table of version 0, whose number stands at `at`; `None` if there are not just as many.
fn entries<const N: usize>(body: &[u8], at: usize) -> Option<std::slice::Iter<'_, [u8; N]>> {
    let count = number(body.get(at..)?.first_chunk()?) as usize;
    let (entries, rest) = body.get(at + 4..)?.as_chunks::<N>();
    (number(body.first_chunk()?) == 0 && entries.len() == count && rest.is_empty()).then(|| entries.iter())
}

/// Entries of two numbers, behind a head that may be longer.
fn pairs(body: &[u8], longer: usize) -> Option<impl Iterator<Item = (u32, u32)>> {
    let entries = entries::<8>(body, 4 + longer)?;
    Some(entries.map(|[a, b, c, d, rest @ ..]| (u32::from_be_bytes([*a, *b, *c, *d]), number(rest))))
}

/// What each `roll` group says: how many samples before one its decoder must begin.
fn roll_groups(body: &[u8]) -> Option<Vec<u32>> {
    let groups = body.strip_prefix(b"\x01\0\0\0roll\0\0\0\x02")?;
    let (groups, count) = (groups.get(4..)?, number(groups.first_chunk()?));
    let (groups, rest) = groups.as_chunks::<2>();
    let distance = |group: &[u8; 2]| u32::from(i16::from_be_bytes(*group).unsigned_abs());
    (groups.len() == count as usize && rest.is_empty()).then(|| groups.iter().map(distance).collect())
}
