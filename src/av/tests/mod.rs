//! Tests of the fence, on readers and writers that fail where they are told to.

mod cancel;
mod decoding;
mod forced;
mod packets;
mod reading;
mod threads;
mod writing;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::*;
use crate::cancel::CancelToken;
use crate::error::{Error, ErrorKind, Result};
use crate::options::Format;
use crate::time::rescale_ticks;

const ALL_KINDS: [DemuxerKind; 7] = [
    DemuxerKind::MpegTs,
    DemuxerKind::Mp4,
    DemuxerKind::Aac,
    DemuxerKind::Mp3,
    DemuxerKind::Ac3,
    DemuxerKind::Eac3,
    DemuxerKind::Matroska,
];
const AHEAD: Probing = Probing::Ahead { bytes: 5_000_000, duration_us: 20_000_000 };
/// What a failing reader or writer says of itself.
const STORY: &str = "the seventh segment is torn";

fn fixture(path: &str) -> Vec<u8> {
    std::fs::read(format!("{}/fixtures/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn joined(folder: &str, names: &[&str]) -> Vec<u8> {
    names.iter().flat_map(|name| fixture(&format!("{folder}/{name}"))).collect()
}

fn ts() -> Vec<u8> {
    joined("ts-h264-aac", &["index0.ts", "index1.ts", "index2.ts"])
}

fn fmp4() -> Vec<u8> {
    joined("fmp4-muxed", &["index-init.mp4", "index0.m4s", "index1.m4s", "index2.m4s"])
}

/// What happens at one call of a reader or writer.
#[derive(Clone)]
enum Fault {
    Error,
    Panic,
    Cancel(CancelToken),
}

impl Fault {
    fn strike(&self) -> Result<()> {
        match self {
            Self::Error => Err(Error::new(ErrorKind::Key, STORY)),
            Self::Panic => panic!("a test's panic"),
            Self::Cancel(token) => {
                token.cancel();
                Ok(())
            }
        }
    }
}

/// Counts calls, and strikes at one of them.
#[derive(Clone, Default)]
struct Trap {
    at: Option<(usize, Fault)>,
    calls: Arc<AtomicUsize>,
    /// Those of the calls that seek.
    seeks: Arc<AtomicUsize>,
    drops: Arc<AtomicUsize>,
}

impl Trap {
    fn at(call: usize, fault: &Fault) -> Self {
        Self { at: Some((call, fault.clone())), ..Self::default() }
    }

    fn call(&self) -> Result<()> {
        let n = self.calls.fetch_add(1, Ordering::SeqCst);
        match &self.at {
            Some((at, fault)) if *at == n => fault.strike(),
            _ => Ok(()),
        }
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    fn drops(&self) -> usize {
        self.drops.load(Ordering::SeqCst)
    }

    fn struck(&self) -> bool {
        self.at.as_ref().is_some_and(|(at, _)| self.calls() > *at)
    }
}

/// Reads from memory, a few bytes at a time.
struct Source {
    bytes: Arc<Vec<u8>>,
    at: usize,
    seekable: bool,
    trap: Trap,
}

impl Source {
    fn new(bytes: impl Into<Arc<Vec<u8>>>, trap: &Trap) -> Self {
        Self { bytes: bytes.into(), at: 0, seekable: false, trap: trap.clone() }
    }

    fn seekable(mut self) -> Self {
        self.seekable = true;
        self
    }
}

impl Reader for Source {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.trap.call()?;
        let left = self.bytes.get(self.at..).unwrap_or_default();
        let n = left.len().min(buffer.len()).min(if self.seekable { 64 << 10 } else { 4 << 10 });
        buffer[..n].copy_from_slice(&left[..n]);
        self.at += n;
        Ok(n)
    }

    fn size(&self) -> Option<u64> {
        self.seekable.then_some(self.bytes.len() as u64)
    }

    fn seek(&mut self, position: u64) -> Result<()> {
        self.trap.seeks.fetch_add(1, Ordering::SeqCst);
        self.trap.call()?;
        self.at = position as usize;
        Ok(())
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.trap.drops.fetch_add(1, Ordering::SeqCst);
    }
}

/// Writes to memory.
struct Memory {
    bytes: Arc<Mutex<Vec<u8>>>,
    at: usize,
    seekable: bool,
    trap: Trap,
}

impl Memory {
    fn new(seekable: bool, trap: &Trap) -> Self {
        Self { bytes: Arc::default(), at: 0, seekable, trap: trap.clone() }
    }
}

impl Writer for Memory {
    fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        self.trap.call()?;
        let mut all = self.bytes.lock().unwrap();
        let end = self.at + bytes.len();
        if all.len() < end {
            all.resize(end, 0);
        }
        all[self.at..end].copy_from_slice(bytes);
        self.at = end;
        Ok(())
    }

    fn can_seek(&self) -> bool {
        self.seekable
    }

    fn seek(&mut self, position: u64) -> Result<()> {
        self.trap.seeks.fetch_add(1, Ordering::SeqCst);
        self.trap.call()?;
        self.at = position as usize;
        Ok(())
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.trap.drops.fetch_add(1, Ordering::SeqCst);
    }
}

fn open<R: Reader>(reader: R, kind: DemuxerKind) -> Result<Demuxer<R>> {
    Demuxer::open(reader, kind, AHEAD, &CancelToken::new()).map_err(|(error, _)| error)
}

fn read_all<R: Reader>(demuxer: &mut Demuxer<R>) -> Result<Vec<Packet>> {
    std::iter::from_fn(|| demuxer.read().transpose()).collect()
}

/// All packets of some media.
fn packets_of(bytes: Vec<u8>, kind: DemuxerKind) -> Result<(Vec<Stream>, Vec<Packet>)> {
    let _scope = LogScope::enter();
    let mut demuxer = open(Source::new(bytes, &Trap::default()), kind)?;
    let packets = read_all(&mut demuxer)?;
    Ok((demuxer.streams()?, packets))
}

/// No stream with parameters and no packet of one comes out of it.
fn gives_nothing(bytes: Vec<u8>, kind: DemuxerKind, case: &str) {
    if let Ok((streams, packets)) = packets_of(bytes, kind) {
        let usable = packets.iter().filter(|p| streams[p.stream()].parameters.is_complete()).count();
        assert_eq!(usable, 0, "{case}: packets come out");
    }
}

fn muxer<W: Writer>(
    writer: W,
    format: Format,
    streams: &[Stream],
    cancel: &CancelToken,
) -> Result<Muxer<W, Unstarted>> {
    let mut muxer = Muxer::new(writer, format, cancel)?;
    for stream in streams {
        muxer.add_track(&TrackSetup {
            parameters: &stream.parameters,
            time_base: stream.time_base,
            language: Some("eng"),
            title: Some("a title"),
            default: true,
            frame_rate: stream.frame_rate,
        })?;
    }
    Ok(muxer)
}

/// Writes fMP4 input so many times behind itself.
fn write_times<W: Writer>(writer: W, format: Format, times: i64, cancel: &CancelToken) -> Result<W> {
    let (streams, packets) = packets_of(fmp4(), DemuxerKind::Mp4)?;
    let mut muxer = muxer(writer, format, &streams, cancel)?.write_header()?;
    for turn in 0..times {
        for packet in &packets {
            let stream = packet.stream();
            let (from, to) = (streams[stream].time_base, muxer.time_base(stream)?);
            let shift = turn * 4 * i64::from(from.den);
            let ticks = |t: Option<i64>| rescale_ticks(t.unwrap_or(0) + shift, from, to);
            let mut copy = packet.try_clone()?;
            copy.set_times(ticks(packet.pts()), ticks(packet.dts()), 0);
            copy.clear_side_data();
            copy.reset_for_output();
            muxer.write(copy)?;
        }
    }
    muxer.finish()
}

fn expect_told<T>(outcome: Result<T>, fault: &Fault, case: &str) {
    let error = outcome.err().unwrap_or_else(|| panic!("{case}: no error"));
    match fault {
        Fault::Error => assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Key, STORY), "{case}"),
        Fault::Panic => assert_eq!(error.kind(), ErrorKind::Internal, "{case}: {error}"),
        Fault::Cancel(_) => assert_eq!(error.kind(), ErrorKind::Cancelled, "{case}: {error}"),
    }
}
