//! `avweld batch`.

mod display;
mod engine;
mod jobfile;
mod names;
mod plan;
mod run;
pub(crate) mod shard;

use avweld::{Result, Service};

use crate::args::BatchArgs;
use crate::batch::display::Display;
use crate::batch::jobfile::JobFile;
use crate::batch::plan::Layers;
use crate::batch::run::Batch;
use crate::config::Config;
use crate::network;
use crate::progress::Volume;
use crate::settings::{self, Messages, Settings};
use crate::signals::Watch;
use crate::textfile::TextFile;
use crate::values::ProgressStyle;

/// Runs the command, and returns its exit code.
pub(crate) fn run(args: &BatchArgs, config: &Config, watch: &Watch) -> Result<u8> {
    let shard = shard::chosen(args.shard, |name| std::env::var(name).ok())?;
    let file = TextFile::read(&args.list)?;
    let JobFile { defaults, jobs } = jobfile::parse(&args.list, &file)?;
    let layers = Layers { config, defaults: &defaults, job: &args.job, service: &args.service };
    let jobs = plan::plan(jobs, &file, &layers, shard)?;
    drop(file);

    let messages = Messages::new([&config.messages, &defaults.messages, &args.messages]);
    let settings = settings::Service::new([&config.service, &defaults.service, &args.service]);
    let style = args.progress.or(defaults.progress).or(config.progress).unwrap_or(ProgressStyle::Auto);
    let proxies = network::environment(|name| std::env::var_os(name));
    let service = Service::builder()
        .max_concurrent_downloads(settings.max_concurrent_downloads)
        .max_concurrent_merges(settings.max_concurrent_merges)
        .auto_cleanup(settings.auto_cleanup)
        .cleanup_delay(settings.cleanup_delay)
        .network(Settings::new(layers.of(None), proxies.clone())?.options.network)
        .build()?;
    let batch = Batch {
        layers,
        proxies,
        fail_fast: settings.fail_fast,
        places: engine::places(&settings),
        json: messages.json,
        display: Display::new(style, Volume::new(messages), jobs.len() as u64),
        watch,
    };
    let summary = watch.run(|| {
        let summary = batch.run(&jobs, &service);
        service.stop();
        summary
    })?;
    Ok(summary.code(watch.received()))
}
