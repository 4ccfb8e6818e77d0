//! Damaged segments: no crash, no hang, and never a success that lacks what the undamaged ones hold.
//!
//! A mutant is a list of 40 segments, the fixtures' over and over, of which one to three are damaged; its number is
//! the seed of all that is by chance in it. `AVWELD_HEAVY=1` tries 2000 of them, and `AVWELD_MUTANT=1234` only that
//! one, whose folder it leaves in place.

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Write as _, stderr};
use std::mem;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::Value;

use crate::boxes;
use crate::judge;
use crate::sandbox::{Sandbox, fixture, names};

const SEGMENTS: usize = 40;
/// How long a merge may take, which needs a small part of a second.
const HANG: Duration = Duration::from_secs(10);
/// Media and playlist that are no such; nothing supported; a limit.
const REFUSED: [i32; 2] = [65, 69];
/// What is damaged: each with its extension and init section.
const BASES: [(&str, &str, Option<&str>); 6] = [
    ("ts-h264-aac", "ts", None),
    ("fmp4-muxed", "m4s", Some("index-init.mp4")),
    ("packed-aac", "aac", None),
    ("ts-hevc-aac", "ts", None),
    ("fmp4-hevc", "m4s", Some("index-init.mp4")),
    ("ts-ac3", "ts", None),
];

type Packets = BTreeMap<String, u64>;

/// The whole segments of a fixture, and what each holds by ffprobe.
struct Base {
    extension: &'static str,
    init: Option<Vec<u8>>,
    segments: Vec<(Vec<u8>, Packets)>,
}

impl Base {
    fn read((case, extension, init): (&str, &'static str, Option<&str>)) -> Self {
        let folder = fixture(case);
        let init = init.map(|name| fs::read(folder.join(name)).unwrap());
        let probe = |name: &String| {
            let data = fs::read(folder.join(name)).unwrap();
            let whole = tempfile::NamedTempFile::new().unwrap();
            fs::write(whole.path(), [init.as_deref().unwrap_or_default(), &data].concat()).unwrap();
            let packets = judge::tracks(whole.path()).into_iter().map(|track| (track.kind, track.packets)).collect();
            (data, packets)
        };
        let segments =
            names(&folder).iter().filter(|name| name.ends_with(&format!(".{extension}"))).map(probe).collect();
        Self { extension, init, segments }
    }
}

/// What a segment is made of: TS packets, boxes, ADTS frames.
fn units(data: &[u8]) -> Vec<Range<usize>> {
    let mut units = Vec::new();
    let mut at = 0;
    while at < data.len() {
        let rest = &data[at..];
        let length = match rest {
            [0x47, ..] => 188,
            [b'I', b'D', b'3', ..] => 10 + rest[6..10].iter().fold(0, |size, byte| size << 7 | usize::from(*byte)),
            [0xff, second, ..] if second & 0xf6 == 0xf0 => {
                usize::from(rest[3] & 3) << 11 | usize::from(rest[4]) << 3 | usize::from(rest[5] >> 5)
            }
            _ => u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize,
        };
        assert!(length > 0, "a unit without length at {at}");
        units.push(at..data.len().min(at + length));
        at += length;
    }
    units
}

/// Damages a segment, and says how.
fn damage(data: &mut Vec<u8>, rng: &mut Rng) -> &'static str {
    let units = units(data);
    let (first, second) = (rng.usize(..units.len()), rng.usize(..units.len()));
    let unit = units[first].clone();
    let place = rng.usize(..data.len());
    match rng.u8(..10) {
        0 => {
            for _ in 0..rng.usize(1..=20) {
                data[rng.usize(..place + 1)] ^= 1 << rng.u8(..8);
            }
            "bits flipped"
        }
        1 => {
            // In the first bytes of a unit stands what it is and how long.
            data[(unit.start + rng.usize(..20)).min(place.max(unit.start))] ^= 1 << rng.u8(..8);
            "a bit of a head flipped"
        }
        2 => {
            data.truncate((unit.start + rng.usize(..3)).saturating_sub(1));
            "cut at a border, or one byte beside it"
        }
        3 => {
            data.truncate(place);
            "cut anywhere"
        }
        4 => {
            let copy = data[unit.clone()].to_vec();
            data.splice(unit.end..unit.end, copy);
            "a unit doubled"
        }
        5 => {
            data.drain(unit.start..units[(first + rng.usize(..5)).min(units.len() - 1)].end);
            "units dropped"
        }
        6 => {
            let mut order: Vec<Range<usize>> = units.clone();
            let (from, to) = (first.min(second), first.max(second) + 1);
            rng.shuffle(&mut order[from..to]);
            *data = order.iter().flat_map(|range| data[range.clone()].to_vec()).collect();
            "units shuffled"
        }
        7 => {
            let junk: Vec<u8> = (0..rng.usize(1..=400)).map(|_| rng.u8(..)).collect();
            let at = if rng.bool() { unit.start } else { place };
            data.splice(at..at, junk);
            "junk inserted"
        }
        8 => {
            data.drain(..place);
            "the front is missing"
        }
        _ => {
            let end = data.len().min(place + rng.usize(1..=2000));
            data[place..end].fill(if rng.bool() { 0 } else { 0xff });
            "a stretch overwritten"
        }
    }
}

/// A list of segments with damage, and what it must give at least.
struct Mutant {
    playlist: PathBuf,
    least: Packets,
    arguments: &'static [&'static str],
    what: String,
}

impl Mutant {
    fn make(number: u64, bases: &[Base], folder: &Path) -> Self {
        let mut rng = Rng::with_seed(number);
        let base = &bases[usize::try_from(number).unwrap() % bases.len()];
        let damaged: Vec<usize> = (0..rng.usize(1..=3)).map(|_| rng.usize(..SEGMENTS)).collect();
        let is_marked = rng.bool();
        let mut text = String::from("#EXTM3U\n#EXT-X-TARGETDURATION:2\n");
        let (mut least, mut what) =
            (Packets::new(), format!("{}, {}", base.extension, if is_marked { "marked" } else { "not marked" }));
        let mut init = base.init.clone();
        if let Some(init) = &mut init {
            // Without it nothing can be read, so nothing can be missed.
            if rng.u8(..20) == 0 {
                write!(what, "; init: {}", damage(init, &mut rng)).unwrap();
            }
            fs::write(folder.join("init.mp4"), init).unwrap();
            text.push_str("#EXT-X-MAP:URI=\"init.mp4\"\n");
        }
        for n in 0..SEGMENTS {
            let (whole, packets) = &base.segments[n % base.segments.len()];
            let mut data = whole.clone();
            if damaged.contains(&n) {
                write!(what, "; segment {n}: {}", damage(&mut data, &mut rng)).unwrap();
            }
            if data == *whole && init == base.init {
                for (kind, packets) in packets {
                    *least.entry(kind.clone()).or_default() += packets;
                }
            }
            let name = format!("{n:02}.{}", base.extension);
            fs::write(folder.join(&name), data).unwrap();
            if is_marked && n > 0 && n % base.segments.len() == 0 {
                text.push_str("#EXT-X-DISCONTINUITY\n");
            }
            writeln!(text, "#EXTINF:1,\n{name}").unwrap();
        }
        text.push_str("#EXT-X-ENDLIST\n");
        let playlist = folder.join("index.m3u8");
        fs::write(&playlist, text).unwrap();
        let arguments: &[&str] = if rng.bool() { &["--on-gap", "skip"] } else { &[] };
        Self { playlist, least, arguments, what }
    }
}

/// Waits for the exit code. `None`: it did not end by itself, or a signal ended it.
fn wait(child: &mut Child) -> Option<i32> {
    let begun = Instant::now();
    while begun.elapsed() < HANG {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        thread::sleep(Duration::from_millis(3));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    None
}

/// Merges a mutant. Panics where that ends as it must not.
fn check(sandbox: &Sandbox, mutant: &Mutant) {
    let [report, said] = ["report.json", "said.txt"].map(|name| sandbox.input().join(name));
    let mut command = sandbox.command(&mutant.playlist, sandbox.output("out.mp4"));
    command.args(mutant.arguments).stdout(File::create(&report).unwrap()).stderr(File::create(&said).unwrap());
    let code = wait(&mut command.spawn().unwrap());
    let said = fs::read_to_string(said).unwrap();
    let code = code.unwrap_or_else(|| panic!("a hang or a signal: {said}"));
    assert!(!said.contains("panicked"), "{said}");
    assert_eq!(names(&sandbox.temp()), [""; 0], "left in the folder for workspaces");
    if code != 0 {
        assert!(REFUSED.contains(&code), "exit code {code}: {said}");
        assert_eq!(sandbox.outputs(), [""; 0], "left in the folder for outputs");
        return;
    }
    let report: Value = serde_json::from_str(&fs::read_to_string(report).unwrap()).unwrap();
    let mut found = Packets::new();
    for output in report["outputs"].as_array().unwrap() {
        for track in boxes::read(Path::new(output.as_str().unwrap())).tracks {
            let kind = if track.handler.to_string() == "vide" { "video" } else { "audio" };
            *found.entry(kind.to_owned()).or_default() += track.samples;
        }
    }
    for (kind, least) in &mutant.least {
        let packets = found.get(kind).copied().unwrap_or(0);
        assert!(packets >= *least, "{packets} packets of {kind}, and the undamaged segments hold {least}\n{report}");
    }
}

#[test]
fn no_mutant_crashes_hangs_or_loses_what_is_undamaged() {
    let one = env::var("AVWELD_MUTANT").ok().map(|number| number.parse::<u64>().unwrap());
    let count = if env::var_os("AVWELD_HEAVY").is_some() { 2000 } else { 60 };
    let numbers = one.map_or(0..count, |number| number..number + 1);
    let bases = BASES.map(Base::read);
    let next = AtomicU64::new(numbers.start);
    let work = || {
        let mut failed = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= numbers.end {
                return failed;
            }
            let sandbox = Sandbox::new();
            let mutant = Mutant::make(number, &bases, &sandbox.input());
            if catch_unwind(AssertUnwindSafe(|| check(&sandbox, &mutant))).is_err() {
                failed.push(format!("mutant {number}: {}; {:?}", mutant.what, mutant.arguments));
            }
            if one.is_some() {
                writeln!(stderr(), "{}: {:?}", mutant.what, sandbox.input()).unwrap();
                mem::forget(sandbox);
            }
        }
    };
    let mut failed: Vec<String> = thread::scope(|scope| {
        let threads = [scope.spawn(work), scope.spawn(work)];
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    failed.sort();
    assert!(failed.is_empty(), "{} failed, see above:\n{}", failed.len(), failed.join("\n"));
}
