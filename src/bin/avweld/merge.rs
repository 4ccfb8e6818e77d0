//! `avweld merge`.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use avweld::{Error, Job, Output, Report, Result};

use crate::args::MergeArgs;
use crate::config::Config;
use crate::existing;
use crate::exit;
use crate::network;
use crate::progress::{Progress, Volume};
use crate::report::{self, Unfinished};
use crate::settings::{Messages, Settings};
use crate::signals::Watch;
use crate::source::{self, is_dash, usage};
use crate::terminal;
use crate::values::ProgressStyle;

/// How a merge ended that did not fail.
enum Outcome {
    Done(Box<Report>),
    Skipped(PathBuf),
    /// Whoever read standard output has had enough.
    ReaderGone,
}

/// Runs the command; `messages` are those of the command line over those of the config.
pub(crate) fn run(args: &MergeArgs, config: &Config, messages: Messages, watch: &Watch) -> Result<()> {
    let settings = Settings::new([&config.job, &args.job], network::environment(|name| std::env::var_os(name)));
    let format = settings.as_ref().ok().and_then(|settings| settings.options.format);
    let output = args.output.clone().unwrap_or_else(|| source::default_output(&args.inputs, format));
    if messages.json && is_dash(&output) {
        return Err(usage("--json and -o - both want standard output; write the media to a file"));
    }
    let label = args.name.clone().unwrap_or_else(|| label(&output));
    let style = args.progress.or(config.progress).unwrap_or(ProgressStyle::Auto);
    let progress = Arc::new(Progress::new(style, Volume::new(messages)));
    let result = settings.and_then(|settings| merge(args, settings, &output, &label, &progress, watch));
    progress.finish();
    match result {
        Ok(Outcome::Done(report)) if messages.json => report::print(&report::with_utf8_paths(*report)),
        Ok(Outcome::Done(report)) => {
            if progress.volume() > Volume::Quiet {
                report::summary(&report, !progress.shows_warnings()).iter().for_each(terminal::say);
            }
            Ok(())
        }
        Ok(Outcome::Skipped(existing)) => {
            if messages.json {
                report::print(&Unfinished::skipped(&label, &existing))?;
            } else if progress.volume() > Volume::Quiet {
                terminal::say(format!("{}: exists, skipped", terminal::printable_path(&existing)));
            }
            Ok(())
        }
        Ok(Outcome::ReaderGone) => Ok(()),
        Err(error) => {
            if messages.json {
                let code = exit::code(error.kind(), watch.received());
                // The job's own error is the one to tell, also where its report cannot be written.
                let _ = report::print(&Unfinished::failed(&label, &output, &error, code));
            }
            Err(error)
        }
    }
}

fn merge(
    args: &MergeArgs,
    settings: Settings,
    output: &Path,
    label: &str,
    progress: &Arc<Progress>,
    watch: &Watch,
) -> Result<Outcome> {
    let to_stdout = is_dash(output);
    let skip_existing = settings.skip_existing;
    if skip_existing && !to_stdout && existing::stands(output) {
        return Ok(Outcome::Skipped(output.to_owned()));
    }
    let reader_gone = Arc::new(AtomicBool::new(false));
    let target = if to_stdout { stdout(&reader_gone)? } else { Output::Path(output.to_owned()) };
    let input = source::input(&args.inputs, args.base_url.as_deref())?;
    let observer = Arc::clone(progress);
    let job = Job::new(input, target)
        .name(label)
        .options(settings.options)
        .observer(move |event: &avweld::Event| observer.on_event(event))
        .cancel_token(watch.token());
    match watch.run(|| job.run()) {
        Ok(report) => Ok(Outcome::Done(Box::new(report))),
        Err(_) if reader_gone.load(Ordering::Relaxed) => Ok(Outcome::ReaderGone),
        Err(error) if skip_existing => existing::skipped(output, &error).map(Outcome::Skipped).ok_or(error),
        Err(error) => Err(error),
    }
}

/// The output's name without its extension.
fn label(output: &Path) -> String {
    let stem = if is_dash(output) { None } else { output.file_stem() };
    stem.map_or_else(|| "output".to_owned(), |stem| stem.to_string_lossy().into_owned())
}

/// Standard output as a job writes to it.
fn stdout(reader_gone: &Arc<AtomicBool>) -> Result<Output> {
    let stdout = io::stdout();
    if stdout.is_terminal() {
        return Err(usage("standard output is a terminal; redirect it to a file or pipe it to a player"));
    }
    // The bare descriptor: `Stdout` looks for line ends, which media has none of.
    let fd = stdout.as_fd().try_clone_to_owned().map_err(|e| Error::io("cannot write to standard output", e))?;
    Ok(Output::Writer(Box::new(Pipe { file: File::from(fd), reader_gone: Arc::clone(reader_gone) })))
}

/// A pipe that notes when nobody reads it any more: the job fails of it, the command does not.
struct Pipe {
    file: File,
    reader_gone: Arc<AtomicBool>,
}

impl Pipe {
    fn note<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if result.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::BrokenPipe) {
            self.reader_gone.store(true, Ordering::Relaxed);
        }
        result
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.file.write(bytes);
        self.note(result)
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.file.flush();
        self.note(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use crate::textfile::file;
    use avweld::{
        AddressPolicy, AudioChoice, Existing, Faststart, Fsync, HttpVersion, InsecureSegments, NetworkOptions,
        OnChange, OnDiscontinuity, OnGap, Options, Proxies, Resume, SubtitleChoice, TlsVerification, VariantChoice,
        Verify,
    };
    use clap::Parser;
    use std::time::Duration;

    fn settings(config: &str, args: &str) -> Settings {
        let file = file(config);
        let config = Config::parse(&file.toml().expect("TOML"), &file).expect("a config");
        let Some(Command::Merge(args)) = Cli::try_parse_from(args.split(' ')).expect("the arguments parse").command
        else {
            panic!("not a merge")
        };
        Settings::new([&config.job, &args.job], Proxies::default()).expect("the options are valid")
    }

    fn parsed(args: &str) -> Options {
        settings("", args).options
    }

    #[test]
    fn without_options_the_library_defaults_hold() {
        assert_eq!(format!("{:?}", parsed("avweld merge a.ts")), format!("{:?}", Options::default()));
    }

    #[test]
    fn every_option_reaches_the_library() {
        let options = parsed(
            "avweld merge a.ts -f ts -y --no-faststart --no-fsync --no-resume --verify decode --temp-dir t --keep-temp --on-gap skip --on-discontinuity split \
             --on-change fail --variant 720p --audio de --subtitles all --iv 1 --key 00000000000000000000000000000001 --allow-path p --range 1-2",
        );
        assert_eq!(options.format, Some(avweld::Format::Ts));
        assert_eq!(options.existing, Existing::Overwrite);
        assert_eq!((options.faststart, options.fsync, options.resume), (Faststart::Off, Fsync::Off, Resume::Off));
        assert_eq!(options.verify, Verify::Decode);
        assert_eq!((options.temp_dir, options.keep_temp), (Some("t".into()), true));
        assert_eq!(options.on_gap, OnGap::Skip);
        assert_eq!(options.on_discontinuity, OnDiscontinuity::Split);
        assert_eq!(options.on_change, OnChange::Fail);
        assert_eq!(options.variant, VariantChoice::Height(720));
        assert_eq!(options.audio, AudioChoice::Language("de".into()));
        assert_eq!(options.subtitles, SubtitleChoice::All);
        assert_eq!(options.key.key, options.key.iv);
        assert_eq!(options.key.iv.map(|iv| iv[15]), Some(1));
        assert_eq!(options.allow_paths, [PathBuf::from("p")]);
        assert_eq!(
            options.range.map(|r| (r.start, r.end)),
            Some((Duration::from_secs(1), Some(Duration::from_secs(2))))
        );
    }

    #[test]
    fn every_option_of_the_network_reaches_the_library() {
        let options = parsed(
            "avweld merge a.ts -H A:1 --header B:2 --user-agent u --referer r --cookies c --proxy socks5h://p:1 \
             --insecure --cacert x --cacert y --http1.1 -N 4 --retries 7 --retry-delay 0.5 --connect-timeout 1 \
             --read-timeout 2 --download-timeout 3 --merge-timeout 4.5 --limit-rate 4M --address-policy any \
             --allow-insecure-segments",
        );
        assert_eq!(options.merge_timeout, Duration::from_millis(4500));
        let mut expected = NetworkOptions::default();
        expected.headers = [("A", "1"), ("B", "2")].map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        expected.user_agent = Some("u".into());
        expected.referer = Some("r".into());
        expected.cookies = Some("c".into());
        expected.proxies.http = Some("socks5h://p:1".into());
        expected.proxies.https = Some("socks5h://p:1".into());
        expected.tls_verification = TlsVerification::Off;
        expected.ca_certificates = vec!["x".into(), "y".into()];
        expected.http_version = HttpVersion::Http1;
        expected.concurrent_segments = 4;
        expected.retries = 7;
        expected.retry_delay = Duration::from_millis(500);
        expected.connect_timeout = Duration::from_secs(1);
        expected.read_timeout = Duration::from_secs(2);
        expected.download_timeout = Duration::from_secs(3);
        expected.limit_rate_bytes = Some(4_000_000);
        expected.address_policy = AddressPolicy::Any;
        expected.insecure_segments = InsecureSegments::Allow;
        // Not `assert_eq`: its message would show no more, as values that may be secrets are left out of it.
        assert!(options.network == expected, "{:#?}\n{expected:#?}", options.network);
    }

    #[test]
    fn what_can_be_switched_on_can_be_switched_off() {
        let options = parsed("avweld merge a.ts --insecure=false --http1.1=false --allow-insecure-segments=false");
        assert!(options.network == NetworkOptions::default(), "{:#?}", options.network);
    }

    #[test]
    fn the_command_line_wins_over_the_config() {
        let config =
            "variant = '720p'\nheaders = { A = '1', B = '2' }\nmax_retries = 7\nskip_existing = true\ninsecure = true";
        let settings = settings(config, "avweld merge a.ts --variant worst -H b:3 -y --insecure=false");
        assert_eq!(settings.options.variant, VariantChoice::Worst);
        let headers = [("A", "1"), ("b", "3")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(settings.options.network.headers, headers);
        assert_eq!(settings.options.network.retries, 7);
        assert_eq!(settings.options.network.tls_verification, TlsVerification::On);
        assert_eq!((settings.options.existing, settings.skip_existing), (Existing::Overwrite, false));
    }

    #[test]
    fn the_environment_s_proxies_reach_the_library() {
        let proxies = Proxies { https: Some("http://p:1".into()), ..Proxies::default() };
        let settings = Settings::new(&[], proxies.clone()).expect("settings");
        assert_eq!(settings.options.network.proxies, proxies);
    }

    #[test]
    fn labels_are_the_names_of_outputs() {
        assert_eq!(label(Path::new("out/lesson-01.mp4")), "lesson-01");
        assert_eq!(label(Path::new("-")), "output");
    }

    #[test]
    fn a_pipe_notes_that_its_reader_is_gone() {
        let (reader, writer) = io::pipe().expect("a pipe");
        drop(reader);
        let reader_gone = Arc::new(AtomicBool::new(false));
        let fd = writer.as_fd().try_clone_to_owned().expect("a descriptor");
        let mut pipe = Pipe { file: File::from(fd), reader_gone: Arc::clone(&reader_gone) };
        assert!(pipe.write(b"x").is_err());
        assert!(reader_gone.load(Ordering::Relaxed));
    }
}
