//! The stages of a merge one by one, in bytes of input a second: `cargo bench --features bench --bench stages`.
//!
//! They are private to the library; the feature `bench` shows them, and nothing else has a use for it.

#[path = "../src/bin/avweld/bench/generate.rs"]
mod generate;
#[path = "../src/bin/avweld/bench/sample.rs"]
mod sample;

use std::hint::black_box;
use std::time::Duration;

use avweld::{CancelToken, Stages};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

/// Of the generated input.
const BYTES: u64 = 64_000_000;

/// What the generator asks between segments.
fn check(_cancel: &CancelToken) -> avweld::Result<()> {
    Ok(())
}

fn stages(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let segments = generate::write(folder.path(), BYTES / generate::SEGMENT_BYTES, &CancelToken::new()).unwrap();
    let bytes = segments.iter().map(|segment| segment.metadata().unwrap().len()).sum();
    let stages = Stages::read(&folder.path().join("index.m3u8")).unwrap();
    assert!(stages.timeline() > 5_000, "only {} packets", stages.timeline());
    assert_eq!(stages.demux().unwrap(), stages.timeline());
    let mut group = c.benchmark_group("stages");
    group.throughput(Throughput::Bytes(bytes)).sample_size(10).measurement_time(Duration::from_secs(3));
    group.bench_function("demux", |b| b.iter(|| black_box(stages.demux().unwrap())));
    group.bench_function("timeline", |b| b.iter(|| black_box(stages.timeline())));
    group.bench_function("mux to nowhere", |b| b.iter(|| stages.mux_to_nowhere().unwrap()));
    group.bench_function("mux to file", |b| {
        let file = || tempfile::tempfile_in(folder.path()).unwrap();
        b.iter_batched(file, |file| stages.mux_to_file(file).unwrap(), BatchSize::PerIteration);
    });
    group.finish();
}

criterion_group!(benches, stages);
criterion_main!(benches);
