//! Job files: TOML, JSON Lines, or lines of text, to jobs as they are written there.

use std::path::{Path, PathBuf};

use avweld::Result;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::args::SourceArgs;
use crate::config::{self, Config};
use crate::keys;
use crate::network::{NetworkArgs, TransferArgs};
use crate::settings::{JobArgs, OutputArgs};
use crate::source::{is_dash, usage};
use crate::textfile::TextFile;

/// What a job file says.
pub(crate) struct JobFile {
    /// What stands above the jobs.
    pub(crate) defaults: Config,
    /// The jobs, in the order of the file; at least one.
    pub(crate) jobs: Vec<Listed>,
}

/// A job as it is written.
pub(crate) struct Listed {
    /// The line it begins in, from 1.
    pub(crate) line: usize,
    pub(crate) url: String,
    pub(crate) name: Option<String>,
    pub(crate) output: Option<String>,
    pub(crate) output_dir: Option<PathBuf>,
    /// Options of this job alone; most have none, and lists may be long.
    pub(crate) args: Option<Box<JobArgs>>,
}

/// The keys of a job. Why its groups stand one by one is told at those of the config.
#[derive(Deserialize)]
struct Keys {
    #[serde(default, deserialize_with = "keys::secret")]
    url: Option<String>,
    name: Option<String>,
    output: Option<String>,
    output_dir: Option<PathBuf>,
    #[serde(flatten)]
    source: SourceArgs,
    #[serde(flatten)]
    network: NetworkArgs,
    #[serde(flatten)]
    transfer: TransferArgs,
    #[serde(flatten)]
    output_args: OutputArgs,
    #[serde(flatten, deserialize_with = "keys::no_others")]
    _others: (),
}

impl Keys {
    fn listed(self, line: usize, file: &TextFile) -> Result<Listed> {
        let Self { url, name, output, output_dir, source, network, transfer, output_args, _others } = self;
        let Some(url) = url else { return Err(file.error(line, "the job has no url")) };
        let args = JobArgs { source, network, transfer, output: output_args };
        if args.transfer.limit_rate.is_some() {
            let message = "limit_rate is for all jobs together; say it above them, or on the command line";
            return Err(file.error(line, message));
        }
        config::check(&args).map_err(|message| file.error(line, message))?;
        let args = (args != JobArgs::default()).then(|| Box::new(args));
        Ok(Listed { line, url, name, output, output_dir, args })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Syntax {
    Toml,
    JsonLines,
    Text,
}

impl Syntax {
    /// By the file's extension, else by how it begins.
    fn of(path: &Path, text: &str) -> Self {
        let extension = if is_dash(path) { None } else { path.extension() };
        match extension.map(|e| e.to_ascii_lowercase()).as_ref().and_then(|e| e.to_str()) {
            Some("toml") => return Self::Toml,
            Some("jsonl" | "ndjson" | "json") => return Self::JsonLines,
            Some("txt") => return Self::Text,
            _ => {}
        }
        match text.trim_start().chars().next() {
            Some('{') => Self::JsonLines,
            Some('[') => Self::Toml,
            // Defaults and comments may stand above the jobs.
            _ if text.lines().any(|line| line.trim_start().starts_with("[[job")) => Self::Toml,
            _ => Self::Text,
        }
    }
}

/// Reads what a job file says.
///
/// # Errors
/// `Usage`, with the line, for the first thing that is wrong.
pub(crate) fn parse(path: &Path, file: &TextFile) -> Result<JobFile> {
    let (defaults, jobs) = match Syntax::of(path, &file.text) {
        Syntax::Toml => toml(file)?,
        Syntax::JsonLines => (Config::default(), lines(file, json)?),
        Syntax::Text => (Config::default(), text(file)?),
    };
    if jobs.is_empty() {
        return Err(file.error(1, "the file names no job"));
    }
    Ok(JobFile { defaults, jobs })
}

fn toml(file: &TextFile) -> Result<(Config, Vec<Listed>)> {
    let mut table = file.toml()?;
    let jobs = table.take_tables("job", file)?;
    let defaults = Config::parse(&table, file)?;
    let jobs = jobs.iter().map(|job| job.read::<Keys>(file)?.listed(job.line(file), file)).collect::<Result<_>>()?;
    Ok((defaults, jobs))
}

fn text(file: &TextFile) -> Result<Vec<Listed>> {
    if file.text.trim_start().starts_with("#EXTM3U") {
        let message = format!("{} is a playlist and no list of jobs; merge it with 'avweld merge'", file.name);
        return Err(usage(message));
    }
    lines(file, |line, number, _| {
        if line.starts_with('#') {
            return Ok(None);
        }
        let (url, name) = line.split_once([' ', '\t']).map_or((line, None), |(url, name)| (url, Some(name.trim())));
        let (url, name) = (url.to_owned(), name.map(str::to_owned));
        Ok(Some(Listed { line: number, url, name, output: None, output_dir: None, args: None }))
    })
}

fn json(line: &str, number: usize, file: &TextFile) -> Result<Option<Listed>> {
    // Looked at first: the parser would show what else stands there, and that may be a secret.
    if !line.starts_with('{') {
        return Err(file.error(number, "this is no JSON object; write one on each line, {\"url\": \"…\"}"));
    }
    let Pairs(pairs) = serde_json::from_str(line).map_err(|e| {
        let told = e.to_string();
        let told = told.split(" at line ").next().unwrap_or_default();
        file.error(number, format_args!("column {}: {told}", e.column()))
    })?;
    let keys: Keys = keys::read(&pairs).map_err(|fault| file.error(number, fault.message))?;
    keys.listed(number, file).map(Some)
}

/// What each line says that is not blank.
fn lines(file: &TextFile, parse: impl Fn(&str, usize, &TextFile) -> Result<Option<Listed>>) -> Result<Vec<Listed>> {
    let numbered = file.text.lines().map(str::trim).zip(1..).filter(|(line, _)| !line.is_empty());
    numbered.filter_map(|(line, number)| parse(line, number, file).transpose()).collect()
}

/// A JSON object as it is written: a key that stands twice is there twice.
struct Pairs(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Pairs;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(Collect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::textfile::file;
    use avweld::{ErrorKind, OnGap, Proxies};

    fn jobs(name: &str, text: &str) -> Result<JobFile> {
        parse(Path::new(name), &file(text))
    }

    fn error(name: &str, text: &str) -> String {
        let error = jobs(name, text).err().unwrap_or_else(|| panic!("{text} was taken"));
        assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
        assert!(!error.to_string().contains("hush"), "{error}");
        error.to_string()
    }

    fn rows(jobs: &JobFile) -> Vec<(usize, &str, Option<&str>)> {
        jobs.jobs.iter().map(|job| (job.line, job.url.as_str(), job.name.as_deref())).collect()
    }

    #[test]
    fn lines_of_text_are_urls_with_a_name_or_without() {
        let text = "# a list\n\nhttps://h/a.m3u8?t=1#x  Lesson 1: why \r\n\thttps://h/b.m3u8\tb\n  # no more\nv/c.m3u8";
        let jobs = jobs("jobs", text).expect("jobs");
        let expected = [
            (3, "https://h/a.m3u8?t=1#x", Some("Lesson 1: why")),
            (4, "https://h/b.m3u8", Some("b")),
            (6, "v/c.m3u8", None),
        ];
        assert_eq!(rows(&jobs), expected);
    }

    #[test]
    fn toml_has_defaults_and_jobs() {
        let text = "# a course\nretry_delay = 1\noutput_dir = 'out'\nmax_concurrent_merges = 4\n\n[[job]]\nurl = 'a.m3u8'\n\n\
                    [[job]]\nname = 'b'\nurl = 'b.m3u8'\non_gap = 'skip'\noutput = 'x/b.mkv'\nheaders.A = '1'\n";
        let jobs = jobs("-", text).expect("jobs");
        assert_eq!(rows(&jobs), [(6, "a.m3u8", None), (9, "b.m3u8", Some("b"))]);
        assert_eq!(jobs.defaults.service.output_dir, Some("out".into()));
        assert_eq!(jobs.defaults.service.max_concurrent_merges.map(|n| n.get()), Some(4));
        assert!(jobs.jobs[0].args.is_none());
        assert_eq!(jobs.jobs[1].output.as_deref(), Some("x/b.mkv"));
        let layers = [Some(&jobs.defaults.job), jobs.jobs[1].args.as_deref()].into_iter().flatten();
        let options = crate::settings::Settings::new(layers, Proxies::default()).expect("settings").options;
        assert_eq!(options.on_gap, OnGap::Skip);
        assert_eq!(options.network.headers, [("A".to_owned(), "1".to_owned())]);
        assert_eq!(options.network.retry_delay.as_secs(), 1);
    }

    #[test]
    fn json_lines_have_a_job_each() {
        let text = "\n{\"url\": \"a.m3u8\", \"name\": \"a\"}\n\n \
                    {\"url\":\"b.m3u8\",\"output_dir\":\"o\",\"headers\":{\"A\":\"1\"},\"format\":\"mkv\",\"name\":null}\n";
        for name in ["-", "x.jsonl", "x.JSON", "x.ndjson"] {
            let jobs = jobs(name, text).expect("jobs");
            assert_eq!(rows(&jobs), [(2, "a.m3u8", Some("a")), (4, "b.m3u8", None)]);
            assert_eq!(jobs.jobs[1].output_dir, Some("o".into()));
            let args = jobs.jobs[1].args.as_ref().expect("options");
            assert_eq!(args.output.format, Some(avweld::Format::Mkv));
            assert_eq!(args.network.header, Some(vec!["A: 1".to_owned()]));
        }
    }

    #[test]
    fn the_syntax_is_that_of_the_extension_or_the_beginning() {
        for (name, text, syntax) in [
            ("a.toml", "{", Syntax::Toml),
            ("a.txt", "[[job]]", Syntax::Text),
            ("a.list", " \n{", Syntax::JsonLines),
            ("-", "[[job]]", Syntax::Toml),
            ("-", "# x\nretries = 1\n[[job]]", Syntax::Toml),
            ("-", "https://h/[[job]]", Syntax::Text),
            ("-", "", Syntax::Text),
        ] {
            assert_eq!(Syntax::of(Path::new(name), text), syntax, "{name} {text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (name, text, expected) in [
            ("-", "", "jobs, line 1: the file names no job"),
            ("a.toml", "retries = 3\n", "jobs, line 1: the file names no job"),
            ("a.txt", "# nothing\n\n", "jobs, line 1: the file names no job"),
            (
                "-",
                "#EXTM3U\n#EXTINF:6,\na.ts?hush\n",
                "jobs is a playlist and no list of jobs; merge it with 'avweld merge'",
            ),
            ("a.toml", "[[job]]\nurl = 'a'\n\n[[job]]\nname = 'hush'\n", "jobs, line 4: the job has no url"),
            ("a.toml", "[[job]]\nurl = 'a'\ncolour = 'hush'\n", "jobs, line 3: colour: there is no such key"),
            (
                "a.toml",
                "[[job]]\nurl = 'a'\nmax_concurrent_merges = 2\n",
                "jobs, line 3: max_concurrent_merges: there is no",
            ),
            ("a.toml", "colour = 1\n[[job]]\nurl = 'a'\n", "jobs, line 1: colour: there is no such key"),
            ("a.toml", "[[job]]\nurl = 'a'\nheader = 'hush'\n", "jobs, line 1: a header has no colon"),
            (
                "a.jsonl",
                "{\"url\": \"a\", \"limit_rate\": \"4M\"}",
                "jobs, line 1: limit_rate is for all jobs together",
            ),
            ("a.toml", "[[job]]\nurl = 7\n", "jobs, line 2: url: give text, in quotes"),
            ("a.toml", "[[job]]\nurl = hush\n", "jobs, line 2: "),
            (
                "a.jsonl",
                "{\"url\": \"a\"}\n{\"url\": \"a\" \"hush\"}\n",
                "jobs, line 2: column 13: expected `,` or `}`",
            ),
            ("a.jsonl", "{\"url\": \"a\"}\n\"hush\"\n", "jobs, line 2: this is no JSON object"),
            ("a.jsonl", "{\"url\": \"a\"}\n\n{\"name\": \"b\"}", "jobs, line 3: the job has no url"),
            ("a.jsonl", "{\"url\": \"a\", \"url\": \"hush\"}", "jobs, line 1: duplicate field `url`"),
            ("a.jsonl", "{\"url\": \"a\", \"retries\": \"x\"}", "jobs, line 1: retries: invalid type"),
        ] {
            let error = error(name, text);
            assert!(error.starts_with(expected), "{error}\n{expected}");
        }
    }
}
