//! `avweld batch`.

mod display;
mod engine;
mod jobfile;
mod names;
mod plan;
mod run;
pub(crate) mod shard;

use std::sync::Arc;

use avweld::{Event, Result};

use crate::args::BatchArgs;
use crate::batch::display::Display;
use crate::batch::engine::Queue;
use crate::batch::jobfile::JobFile;
use crate::batch::plan::Layers;
use crate::batch::run::Batch;
use crate::config::Config;
use crate::network;
use crate::progress::Volume;
use crate::settings::{Messages, Service, Settings};
use crate::signals::Watch;
use crate::textfile::TextFile;
use crate::values::ProgressStyle;

/// Jobs that are handed over beside those that can run: where servers stall, others begin in their stead.
const BESIDE: usize = 32;

/// Runs the command, and returns its exit code.
pub(crate) fn run(args: &BatchArgs, config: &Config, watch: &Watch) -> Result<u8> {
    let shard = shard::chosen(args.shard, |name| std::env::var(name).ok())?;
    let file = TextFile::read(&args.list)?;
    let JobFile { defaults, jobs } = jobfile::parse(&args.list, &file)?;
    let layers = Layers { config, defaults: &defaults, job: &args.job, service: &args.service };
    let jobs = plan::plan(jobs, &file, &layers, shard)?;
    drop(file);

    let messages = Messages::new([&config.messages, &defaults.messages, &args.messages]);
    let service = Service::new([&config.service, &defaults.service, &args.service]);
    let style = args.progress.or(defaults.progress).or(config.progress).unwrap_or(ProgressStyle::Auto);
    let proxies = network::environment(|name| std::env::var_os(name));
    // The limits over all jobs are those that hold for a job without options of its own.
    let shared = Settings::new(layers.of(None), proxies.clone())?.options;
    let display = Arc::new(Display::new(style, Volume::new(messages), jobs.len() as u64));
    let shown = Arc::clone(&display);
    let mut builder = avweld::Service::builder()
        .max_concurrent_downloads(service.max_concurrent_downloads)
        .max_concurrent_merges(service.max_concurrent_merges)
        .auto_cleanup(service.auto_cleanup)
        .cleanup_delay(service.cleanup_delay)
        .network(shared.network)
        .observer(move |event: &Event| shown.before_it_begins(event));
    if let Some(bytes) = service.max_memory {
        builder = builder.memory_bytes(bytes);
    }
    let queue = Queue {
        places: service.max_concurrent_downloads.saturating_add(service.max_concurrent_merges).saturating_add(BESIDE),
        service: builder.build()?,
    };
    let batch = Batch { layers, proxies, fail_fast: service.fail_fast, json: messages.json, display, watch };
    let summary = watch.run(|| batch.run(&jobs, &queue))?;
    Ok(summary.code(watch.received()))
}
