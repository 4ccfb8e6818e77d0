//! The config file: every option by its name, below the command line.

use std::path::Path;

use avweld::{ErrorKind, Proxies, Result};
use etcetera::BaseStrategy;
use serde::Deserialize;

use crate::args::SourceArgs;
use crate::keys;
use crate::network::{NetworkArgs, TransferArgs};
use crate::settings::{JobArgs, MessageArgs, OutputArgs, ServiceArgs, Settings};
use crate::source::usage;
use crate::textfile::{Table, TextFile};
use crate::values::ProgressStyle;

/// One layer of options from a file: the config, or what stands above the jobs of a job file.
#[derive(Deserialize, Default)]
#[serde(from = "Keys")]
pub(crate) struct Config {
    pub(crate) job: JobArgs,
    pub(crate) service: ServiceArgs,
    pub(crate) messages: MessageArgs,
    pub(crate) progress: Option<ProgressStyle>,
}

/// All keys in one table. Not `JobArgs` as one field: keys that a flattened struct takes for its own flattened ones
/// would count as taken by nobody.
#[derive(Deserialize)]
struct Keys {
    #[serde(flatten)]
    source: SourceArgs,
    #[serde(flatten)]
    network: NetworkArgs,
    #[serde(flatten)]
    transfer: TransferArgs,
    #[serde(flatten)]
    output: OutputArgs,
    #[serde(flatten)]
    service: ServiceArgs,
    #[serde(flatten)]
    messages: MessageArgs,
    progress: Option<ProgressStyle>,
    #[serde(flatten, deserialize_with = "keys::no_others")]
    _others: (),
}

impl From<Keys> for Config {
    fn from(keys: Keys) -> Self {
        let Keys { source, network, transfer, output, service, messages, progress, _others } = keys;
        Self { job: JobArgs { source, network, transfer, output }, service, messages, progress }
    }
}

impl Config {
    /// Reads the file given, none for an empty name, or else the user's own where there is one.
    ///
    /// # Errors
    /// `Usage` for a file that is malformed, with its line, or was given and cannot be read.
    pub(crate) fn load(given: Option<&Path>) -> Result<Self> {
        let file = match given {
            Some(path) if path.as_os_str().is_empty() => return Ok(Self::default()),
            Some(path) => TextFile::read(path).map_err(|e| usage(e.to_string()))?,
            None => {
                // Without a home there is no config.
                let Ok(folders) = etcetera::choose_base_strategy() else { return Ok(Self::default()) };
                match TextFile::read(&folders.config_dir().join("avweld").join("config.toml")) {
                    Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Self::default()),
                    file => file?,
                }
            }
        };
        Self::parse(&file.toml()?, &file)
    }

    /// The keys of a table, each looked at.
    pub(crate) fn parse(table: &Table, file: &TextFile) -> Result<Self> {
        let config: Self = table.read(file)?;
        check(&config.job).map_err(|message| file.error(table.line(file), message))?;
        Ok(config)
    }
}

/// What is wrong with values that were taken as they are. A key that is missing or rejected is the matter of the job
/// that needs it.
pub(crate) fn check(job: &JobArgs) -> Result<(), String> {
    match Settings::new([job], Proxies::default()) {
        Err(e) if e.kind() == ErrorKind::Usage => Err(e.to_string()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::textfile::file;
    use std::time::Duration;

    fn parse(text: &str) -> Result<Config> {
        let file = file(text);
        Config::parse(&file.toml()?, &file)
    }

    #[test]
    fn the_names_that_stay() {
        let text = "max_concurrent_downloads = 3\nmax_concurrent_merges = 2\ndownload_timeout = 300\n\
                    merge_timeout = 600\nmax_retries = 3\nretry_delay = 5\nauto_cleanup = true\ncleanup_delay = 60\n\
                    temp_dir = 't'\n";
        let config = parse(text).expect("a config");
        let service = &config.service;
        assert_eq!(service.max_concurrent_downloads.map(|n| n.get()), Some(3));
        assert_eq!(service.max_concurrent_merges.map(|n| n.get()), Some(2));
        assert_eq!(service.auto_cleanup, Some(true));
        assert_eq!(service.cleanup_delay, Some(Duration::from_secs(60)));
        let mut options = Settings::new([&config.job], Proxies::default()).expect("settings").options;
        assert_eq!(options.temp_dir.take(), Some("t".into()));
        assert_eq!(format!("{options:?}"), format!("{:?}", avweld::Options::default()));
    }

    #[test]
    fn every_option_is_a_key() {
        use clap::CommandFactory;

        // What says where options are read from, or belongs to one run.
        let no_keys = ["base-url", "config", "deep", "help", "name", "output", "shard", "timeline"];
        let command = crate::args::Cli::command();
        let options = ["merge", "batch", "inspect"].map(|name| command.find_subcommand(name).expect("a command"));
        let mut looked_at = 0;
        for option in options.into_iter().flat_map(|command| command.get_arguments()).filter_map(|arg| arg.get_long()) {
            if no_keys.contains(&option) {
                continue;
            }
            // No option takes a list of lists: a key that is there is told by another error.
            let key = option.replace(['-', '.'], "_");
            let error = parse(&format!("{key} = [[[]]]")).err().unwrap_or_else(|| panic!("{key} takes anything"));
            assert!(error.to_string().starts_with(&format!("jobs, line 1: {key}: ")), "{error}");
            assert!(!error.to_string().contains("there is no such key"), "{error}");
            looked_at += 1;
        }
        assert!(looked_at > 60, "{looked_at}");
    }

    #[test]
    fn errors_tell_line_and_key_and_no_secret() {
        for (text, expected) in [
            ("retries = 3\n\ncolour = 1", "jobs, line 3: colour: there is no such key"),
            ("\nmax_concurrent_merges = 0", "jobs, line 2: max_concurrent_merges: "),
            ("header = ['hush']", "jobs, line 1: a header has no colon"),
            ("on_gap = 'maybe'", "jobs, line 1: on_gap: unknown variant"),
            ("overwrite = true\nskip_existing = true", "jobs, line 1: overwrite and skip_existing contradict"),
            ("[network]\nretries = 3", "jobs, line 1: network: there is no such key"),
        ] {
            let error = parse(text).err().unwrap_or_else(|| panic!("{text} was taken"));
            assert!(error.to_string().starts_with(expected), "{error}");
            assert!(!error.to_string().contains("hush"), "{error}");
        }
    }

    #[test]
    fn a_config_that_was_asked_for_must_be_there() {
        assert_eq!(Config::load(Some(Path::new("nowhere.toml"))).err().map(|e| e.kind()), Some(ErrorKind::Usage));
        assert!(Config::load(Some(Path::new(""))).is_ok());
    }
}
