//! Whole merges of a small playlist, to disk and to memory, in bytes of input a second.
//!
//! The segments are listed many times over, so that what is measured is the merge and not its start.

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::{Path, PathBuf};

use avweld::{Existing, Input, Job, Options, Output};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// How often the fixture's segments are listed.
const REPETITIONS: usize = 200;

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/ts-h264-aac")
}

/// A playlist of the fixture's segments, again and again, and the bytes that it lists.
fn playlist() -> (Input, u64) {
    let segments = ["index0.ts", "index1.ts", "index2.ts"];
    let mut text = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-PLAYLIST-TYPE:VOD\n".to_owned();
    let mut bytes = 0;
    for name in segments.iter().cycle().take(REPETITIONS * segments.len()) {
        writeln!(text, "#EXTINF:1,\n{name}").unwrap();
        bytes += fixture().join(name).metadata().unwrap().len();
    }
    (Input::PlaylistText { text: text.into_bytes(), base: fixture().display().to_string() }, bytes)
}

fn merge(c: &mut Criterion) {
    let (input, bytes) = playlist();
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.mp4");
    let mut group = c.benchmark_group("merge");
    group.throughput(Throughput::Bytes(bytes)).sample_size(20);
    group.bench_function("to disk", |b| {
        b.iter(|| {
            let mut options = Options::default();
            options.existing = Existing::Overwrite;
            black_box(Job::new(input.clone(), &output).options(options).run().unwrap())
        });
    });
    group.bench_function("to memory", |b| {
        b.iter(|| black_box(Job::new(input.clone(), Output::Writer(Box::new(std::io::sink()))).run().unwrap()));
    });
    group.finish();
}

criterion_group!(benches, merge);
criterion_main!(benches);
