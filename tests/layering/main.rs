//! Holds src/ to its layers and to the invariants that can be read from the source text.

mod rules;
mod tokens;

use std::fs;
use std::path::{Path, PathBuf};

use rules::{faults, has_layer};

#[test]
fn src_keeps_its_layers() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&src, &mut files);
    assert!(files.len() >= 10, "only {} files below src: the check looks at the wrong place", files.len());
    let mut found = Vec::new();
    for file in files {
        let name = file.strip_prefix(&src).unwrap().to_str().unwrap().replace('\\', "/");
        let top = name.split(['/', '.']).next().unwrap();
        if !has_layer(top) {
            found.push(format!("src/{name}: module `{top}` has no layer: give it one in tests/layering"));
        }
        found.extend(faults(&name, &fs::read_to_string(&file).unwrap()));
    }
    assert!(found.is_empty(), "{} faults:\n{}", found.len(), found.join("\n"));
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
}

/// Each of these must be found, by a message with these words.
#[test]
fn faults_are_found() {
    let cases = [
        ("time.rs", "use crate::job::Job;", "`time` (layer 1) uses `job` (layer 8)"),
        ("cancel.rs", "use crate::time::Nanos;", "`cancel` (layer 1) uses `time` (layer 1)"),
        ("demux/ts.rs", "use crate::{error::Error, mux::Muxer};", "uses `mux` (layer 6)"),
        ("av/mod.rs", "fn f(x: crate::pipeline::Stage) {}", "uses `pipeline`"),
        ("av/io.rs", "use super::super::job::Job;", "uses `job`"),
        ("av/mod.rs", "use super::job::Job;", "uses `job`"),
        ("time.rs", "use super::{error::Error, options::Limits};", "uses `options`"),
        ("job.rs", "use crate::Options;", "uses `lib` (layer 10) by `Options`"),
        ("job.rs", "use crate::surprise::X;", "`surprise` has no layer"),
        ("job.rs", "fn f() { unsafe { g() } }", "`unsafe` outside src/av"),
        ("av/mod.rs", "use std::process::Command;", "a process is spawned"),
        ("bin/avweld/main.rs", "use std::process::{self, Command};", "a process is spawned"),
        ("av/mod.rs", "unsafe { libc::fork() };", "a process is spawned"),
        ("job.rs", "fn f() { println!(\"x\") }", "the library prints"),
        ("job.rs", "fn f() { dbg!(1); }", "the library prints"),
        ("job.rs", "fn f() { write(std::io::stdout()) }", "the library prints"),
        ("job.rs", "use m3u8_rs::Playlist;", "`m3u8_rs` outside playlist"),
        ("mux/mod.rs", "use ffmpeg_next::Packet;", "`ffmpeg_next` outside av"),
        ("job.rs", "fn f() -> anyhow::Result<()> { g() }", "`anyhow` outside bin"),
        ("job.rs", "let x = std::env::var(\"X\");", "reads the environment"),
        ("job.rs", "use std::{env, fs};", "reads the environment"),
        ("job.rs", "std::process::exit(1)", "ends the process"),
        ("job.rs", "use std::process::{abort};", "ends the process"),
        ("pipeline/part.rs", "packet.set_times(0, 0, 0);", "timestamps are set outside src/mux"),
        ("bin/avweld/main.rs", "#[allow(dead_code)] fn f() {}", "`#[allow]`"),
        ("job.rs", "#![cfg_attr(test, allow(dead_code))]", "`#[allow]`"),
        ("job.rs", "fn f() { todo!() }", "`todo!`"),
        ("job.rs", "#[cfg(test)] mod tests { fn f() { todo!() } }", "`todo!`"),
        ("job.rs", "#[cfg(test)] mod tests { } use crate::service::X;", "uses `service`"),
        ("job.rs", "/* a /* b */ */ use crate::service::X;", "uses `service`"),
        ("job.rs", "const C: char = '\"'; use crate::service::X; // \"", "uses `service`"),
    ];
    for (path, source, words) in cases {
        let found = faults(path, source);
        assert!(found.iter().any(|f| f.contains(words)), "{source:?} in {path} gave {found:?}, not {words:?}");
    }
}

/// None of these is a fault.
#[test]
fn what_is_allowed_passes() {
    let cases = [
        ("job.rs", "use crate::error::{Error, ErrorKind, Result};"),
        ("pipeline/mod.rs", "use crate::{av, demux::Demuxer, mux::{self, Muxer}};"),
        ("av/io.rs", "use super::packet::Packet; use crate::av::error; unsafe fn f() {}"),
        ("playlist/parse.rs", "use m3u8_rs::Playlist; use super::types::Segment;"),
        ("lib.rs", "pub use job::Job; fn v() -> u32 { ffmpeg_next::format::version() }"),
        ("job.rs", "// use crate::service::X; println!() unsafe\n/// `#[allow(x)]`\nfn f() {}"),
        ("job.rs", "const A: &str = \"use crate::service::X; \\\" todo!()\";"),
        ("job.rs", "const A: &str = r#\"unsafe \" println!(\"x\")\"#; const B: &[u8] = b\"unsafe\";"),
        ("job.rs", "fn f<'a>(x: &'a str) -> char { 'u' }"),
        ("job.rs", "#[cfg(test)] mod tests { use super::*; use crate::service::X; fn f() { println!(\"\") } }"),
        ("playlist/tests/hostile.rs", "use crate::job::Job; fn f() { println!(\"\") }"),
        ("job.rs", "const V: &str = env!(\"CARGO_PKG_VERSION\");"),
        ("bin/avweld/main.rs", "use clap::Command; fn f() { Command::new(\"x\"); std::process::exit(2); println!() }"),
        ("bin/avweld/main.rs", "use crate::args::Args; use super::messages; use anyhow::Result;"),
    ];
    for (path, source) in cases {
        let found = faults(path, source);
        assert!(found.is_empty(), "{source:?} in {path} gave {found:?}");
    }
}
