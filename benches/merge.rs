//! Whole merges, to disk and to nowhere, in bytes of input a second: of segments at the bit rate of a film, and of many
//! small packets.

#[path = "../src/bin/avweld/bench/generate.rs"]
mod generate;
#[path = "../src/bin/avweld/bench/sample.rs"]
mod sample;

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use avweld::{CancelToken, Existing, Input, Job, Options, Output};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Of the generated input.
const BYTES: u64 = 64_000_000;
/// How often the fixture's segments are listed.
const REPETITIONS: usize = 200;

/// What the generator asks between segments.
fn check(_cancel: &CancelToken) -> avweld::Result<()> {
    Ok(())
}

/// The generated input, and its bytes.
fn film(folder: &Path) -> (Input, u64) {
    let segments = generate::write(folder, BYTES / generate::SEGMENT_BYTES, &CancelToken::new()).unwrap();
    let bytes = segments.iter().map(|segment| segment.metadata().unwrap().len()).sum();
    (Input::from(folder.join("index.m3u8")), bytes)
}

/// A playlist of a fixture's segments, again and again, and the bytes that it lists.
fn small_packets() -> (Input, u64) {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/ts-h264-aac");
    let segments = ["index0.ts", "index1.ts", "index2.ts"];
    let mut text = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-PLAYLIST-TYPE:VOD\n".to_owned();
    let mut bytes = 0;
    for name in segments.iter().cycle().take(REPETITIONS * segments.len()) {
        writeln!(text, "#EXTINF:1,\n{name}").unwrap();
        bytes += fixture.join(name).metadata().unwrap().len();
    }
    (Input::PlaylistText { text: text.into_bytes(), base: fixture.display().to_string() }, bytes)
}

fn merge(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.mp4");
    for (name, (input, bytes)) in [("film", film(folder.path())), ("small packets", small_packets())] {
        let mut group = c.benchmark_group(format!("merge {name}"));
        group.throughput(Throughput::Bytes(bytes)).sample_size(10).measurement_time(Duration::from_secs(5));
        group.bench_function("to disk", |b| {
            b.iter(|| {
                let mut options = Options::default();
                options.existing = Existing::Overwrite;
                black_box(Job::new(input.clone(), &output).options(options).run().unwrap())
            });
        });
        group.bench_function("to nowhere", |b| {
            b.iter(|| black_box(Job::new(input.clone(), Output::Writer(Box::new(std::io::sink()))).run().unwrap()));
        });
        group.finish();
    }
}

criterion_group!(benches, merge);
criterion_main!(benches);
