//! Every packet of every fixture's output, as a list that stands beside the fixture.
//!
//! `expected.txt` is counted without avweld and says how much must be there; `packets.txt` is what avweld wrote when
//! it was last looked at packet by packet, and shows in a diff whatever a change moves by a tick or a byte.
//! `AVWELD_BLESS=1 cargo test --test merge golden` writes the lists again.
//!
//! A newer libav may know more of an input than the one that the lists were made with. Where that rightly moves packets,
//! `packets.N.txt` beside them is the list from version N of libavformat on; the fixture's row in fixtures/README.md
//! says why.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::fixtures::cases;
use crate::sandbox::{AVWELD, Sandbox, fixture};

/// The libavformat from which on some lists are others.
const NEWER: u32 = 62;

/// A line a packet, in the order of the file's tables: track, dts, pts, size, and K for a key packet.
///
/// Edit lists are left aside: how a reader applies them differs from one libav to the next.
pub(crate) fn list(path: &Path) -> String {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-of", "compact=p=0:nk=1", "-ignore_editlist", "1"])
        .args(["-show_entries", "packet=stream_index,dts,pts,size,flags"])
        .arg(path)
        .output()
        .expect("ffprobe runs; `make deps` installs it");
    assert!(output.status.success(), "ffprobe on {}", path.display());
    let mut packets: Vec<(u32, i64, String)> = Vec::new();
    for line in String::from_utf8(output.stdout).unwrap().lines().filter(|l| !l.is_empty()) {
        let field: Vec<&str> = line.split('|').collect();
        let [track, pts, dts, size, flags, ..] = field[..] else { panic!("not a packet: {line}") };
        let key = if flags.starts_with('K') { " K" } else { "" };
        packets.push((track.parse().unwrap(), dts.parse().unwrap(), format!("{track} {dts} {pts} {size}{key}")));
    }
    packets.sort_by_key(|(track, dts, _)| (*track, *dts));
    packets.into_iter().fold(String::new(), |mut text, (.., line)| {
        writeln!(text, "{line}").unwrap();
        text
    })
}

/// The major version of the libavformat that the command under test runs with.
fn libavformat() -> u32 {
    let output = Command::new(AVWELD).args(["--version", "-v"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let version = text.lines().find_map(|line| line.strip_prefix("libavformat ")).unwrap();
    version.split('.').next().unwrap().parse().unwrap()
}

#[test]
fn every_packet_is_where_it_was() {
    let mut moved = Vec::new();
    let is_newer = libavformat() >= NEWER;
    for case in cases() {
        let sandbox = Sandbox::new();
        sandbox.merge(fixture(&case).join("index.m3u8"), "merged.mp4", &[]);
        let lists = sandbox
            .outputs()
            .iter()
            .filter(|name| name.ends_with(".mp4"))
            .map(|name| format!("{name}\n{}", list(&sandbox.output(name))))
            .collect::<String>();
        let common = fixture(&case).join("packets.txt");
        let newer = fixture(&case).join(format!("packets.{NEWER}.txt"));
        if std::env::var_os("AVWELD_BLESS").is_some() {
            let differs = is_newer && fs::read_to_string(&common).is_ok_and(|text| text != lists);
            fs::write(if differs { &newer } else { &common }, &lists).unwrap();
        }
        let golden = if is_newer && newer.exists() { newer } else { common };
        let wanted = fs::read_to_string(&golden).unwrap_or_else(|e| panic!("{}: {e}", golden.display()));
        if let Some((n, (is, was))) = lists.lines().zip(wanted.lines()).enumerate().find(|(_, (a, b))| a != b) {
            moved.push(format!("{case}, line {}: {is:?} was {was:?}", n + 1));
        } else if lists.lines().count() != wanted.lines().count() {
            moved.push(format!("{case}: {} lines were {}", lists.lines().count(), wanted.lines().count()));
        }
    }
    assert!(moved.is_empty(), "{}", moved.join("\n"));
}
