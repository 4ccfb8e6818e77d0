//! From what a job file says to the jobs of this process: labels, inputs and outputs, all known before one begins.

use std::path::{Path, PathBuf};

use avweld::{Format, Result};

use crate::batch::jobfile::Listed;
use crate::batch::names::{self, Outputs};
use crate::batch::shard::Shard;
use crate::config::Config;
use crate::settings::{JobArgs, ServiceArgs};
use crate::source::{self, is_dash};
use crate::textfile::TextFile;

/// A job to run.
pub(crate) struct Planned {
    /// What it is called in messages and reports.
    pub(crate) label: String,
    pub(crate) input: PathBuf,
    pub(crate) output: PathBuf,
    /// Options of this job alone.
    pub(crate) args: Option<Box<JobArgs>>,
}

/// Where options come from, beside a job's own.
pub(crate) struct Layers<'a> {
    pub(crate) config: &'a Config,
    /// What stands above the jobs of the job file.
    pub(crate) defaults: &'a Config,
    /// What the command line says of each job.
    pub(crate) job: &'a JobArgs,
    /// What it says of the batch.
    pub(crate) service: &'a ServiceArgs,
}

impl<'a> Layers<'a> {
    /// The layers of one job, the lowest first.
    pub(crate) fn of<'b: 'a>(&self, own: Option<&'b JobArgs>) -> impl DoubleEndedIterator<Item = &'a JobArgs> {
        [Some(&self.config.job), Some(&self.defaults.job), own, Some(self.job)].into_iter().flatten()
    }

    fn folder(&self, own: Option<&Path>) -> PathBuf {
        let lower = self.defaults.service.output_dir.as_deref().or(self.config.service.output_dir.as_deref());
        self.service.output_dir.as_deref().or(own).or(lower).unwrap_or(Path::new("")).to_owned()
    }

    fn extension(&self, own: Option<&JobArgs>) -> &'static str {
        match self.of(own).rev().find_map(|layer| layer.output.format) {
            Some(Format::Fmp4) | None => Format::Mp4.name(),
            Some(format) => format.name(),
        }
    }
}

/// Finds every job's output, and takes those of a shard.
///
/// All of the list counts for the outputs' names, so that shards on several machines never meet in one.
///
/// # Errors
/// `Usage`, with the line, for the first job that cannot be one.
pub(crate) fn plan(jobs: Vec<Listed>, file: &TextFile, layers: &Layers, shard: Shard) -> Result<Vec<Planned>> {
    let mut outputs = Outputs::default();
    for job in &jobs {
        if let Some(output) = &job.output {
            if let Some(fault) = names::output_fault(output) {
                return Err(file.error(job.line, fault));
            }
            let path = layers.folder(job.output_dir.as_deref()).join(output);
            outputs.give(&path, job.line).map_err(|first| {
                file.error(job.line, format_args!("the output is that of the job in line {first} already"))
            })?;
        }
    }
    let mut planned = Vec::new();
    for (position, job) in jobs.into_iter().enumerate() {
        let input = input(&job, file)?;
        if let Some(fault) = job.name.as_deref().and_then(names::label_fault) {
            return Err(file.error(job.line, fault));
        }
        let folder = layers.folder(job.output_dir.as_deref());
        let (label, output) = match (job.name.clone(), &job.output) {
            (Some(label), Some(output)) => (label, folder.join(output)),
            (None, Some(output)) => (lossy_stem(Path::new(output)), folder.join(output)),
            (label, None) => {
                let label = label.unwrap_or_else(|| {
                    source::stem(&input).map_or_else(|| "output".to_owned(), |stem| stem.to_string_lossy().into_owned())
                });
                let extension = layers.extension(job.args.as_deref());
                // `lesson.mp4` is one, not `lesson.mp4.mp4`.
                let name = label.strip_suffix(extension).and_then(|name| name.strip_suffix('.')).unwrap_or(&label);
                let output = outputs.find(&folder, &names::stem(name), extension);
                (label, output)
            }
        };
        if shard.takes(position) {
            planned.push(Planned { label, input, output, args: job.args });
        }
    }
    Ok(planned)
}

fn input(job: &Listed, file: &TextFile) -> Result<PathBuf> {
    let url = Path::new(&job.url);
    if job.url.trim().is_empty() {
        return Err(file.error(job.line, "the job has no url"));
    }
    if is_dash(url) {
        return Err(file.error(job.line, "a job of a list cannot read standard input"));
    }
    source::local(url).map_err(|e| file.error(job.line, e))
}

fn lossy_stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::jobfile::{self, JobFile};
    use crate::batch::shard;
    use crate::textfile::file;
    use avweld::ErrorKind;

    fn planned(text: &str, job: &JobArgs, folder: Option<&str>, shard: &str) -> Result<Vec<Planned>> {
        let file = file(text);
        let JobFile { defaults, jobs } = jobfile::parse(Path::new("-"), &file)?;
        let shard = shard::chosen(shard.parse().ok(), |_| None)?;
        let service = ServiceArgs { output_dir: folder.map(PathBuf::from), ..ServiceArgs::default() };
        let layers = Layers { config: &Config::default(), defaults: &defaults, job, service: &service };
        plan(jobs, &file, &layers, shard)
    }

    fn outputs(text: &str) -> Vec<String> {
        let jobs = planned(text, &JobArgs::default(), None, "").expect("a plan");
        jobs.iter().map(|job| job.output.display().to_string()).collect()
    }

    #[test]
    fn outputs_are_named_after_the_job_or_its_url() {
        let text = "https://h/v/index.m3u8?t=1 Lesson 1/2\nhttps://h/w/index.m3u8\nx/index.m3u8\nhttps://h/\n";
        assert_eq!(outputs(text), ["Lesson 1_2.mp4", "index.mp4", "index-2.mp4", "output.mp4"]);
        let jobs = planned(text, &JobArgs::default(), None, "").expect("a plan");
        assert_eq!(jobs[0].label, "Lesson 1/2");
        assert_eq!(jobs[2].label, "index");
    }

    #[test]
    fn a_hundred_jobs_of_one_name_have_a_hundred_outputs() {
        let mut all = outputs(&"a.m3u8 video\n".repeat(100));
        assert_eq!((all[0].as_str(), all[1].as_str(), all[99].as_str()), ("video.mp4", "video-2.mp4", "video-100.mp4"));
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 100);
    }

    #[test]
    fn the_layers_say_where_outputs_go_and_what_they_are() {
        let text = "output_dir = 'd'\nformat = 'mkv'\n[[job]]\nurl = 'a.m3u8'\n[[job]]\nurl = 'b.m3u8'\noutput_dir = 'own'\n\
                    format = 'ts'\n[[job]]\nurl = 'c.m3u8'\noutput = 'x/y.mov'\n";
        assert_eq!(outputs(text), ["d/a.mkv", "own/b.ts", "d/x/y.mov"]);
        let mut cli = JobArgs::default();
        cli.output.format = Some(Format::Fmp4);
        let jobs = planned(text, &cli, Some("cli"), "").expect("a plan");
        let outputs: Vec<_> = jobs.iter().map(|job| job.output.to_str().expect("UTF-8")).collect();
        assert_eq!(outputs, ["cli/a.mp4", "cli/b.mp4", "cli/x/y.mov"]);
        assert_eq!(jobs[2].label, "y");
    }

    #[test]
    fn shards_name_outputs_by_the_whole_list() {
        let text = "a.m3u8 video\n".repeat(5);
        let of = |shard| {
            let jobs = planned(&text, &JobArgs::default(), None, shard).expect("a plan");
            jobs.iter().map(|job| job.output.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(of("0/2"), ["video.mp4", "video-3.mp4", "video-5.mp4"]);
        assert_eq!(of("1/2"), ["video-2.mp4", "video-4.mp4"]);
        assert_eq!(of("7/9"), [""; 0]);
    }

    #[test]
    fn jobs_that_cannot_be_are_told_with_their_line() {
        for (text, expected) in [
            ("a.m3u8\nb.m3u8 ../x\n", "jobs, line 2: the name leads out of the output folder"),
            (&format!("a.m3u8\n\nb.m3u8 {}\n", "x".repeat(300)), "jobs, line 3: the name has 300 bytes"),
            ("{\"url\": \"a\", \"name\": \"\"}", "jobs, line 1: the name is empty"),
            ("{\"url\": \"\"}", "jobs, line 1: the job has no url"),
            ("- x\n", "jobs, line 1: a job of a list cannot read standard input"),
            ("{\"url\": \"https://h/hush\\u0000\"}", "jobs, line 1: the URL of an input contains control characters"),
            ("{\"url\": \"a\", \"output\": \"../a\"}", "jobs, line 1: the output leads out of the output folder"),
            (
                "{\"url\": \"a\", \"output\": \"a.mp4\"}\n{\"url\": \"b\"}\n{\"url\": \"c\", \"output\": \"./a.mp4\"}",
                "jobs, line 3: the output is that of the job in line 1 already",
            ),
        ] {
            let error =
                planned(text, &JobArgs::default(), None, "").err().unwrap_or_else(|| panic!("{text} was taken"));
            assert_eq!(error.kind(), ErrorKind::Usage);
            assert!(error.to_string().starts_with(expected), "{error}\n{expected}");
            assert!(!error.to_string().contains("hush"), "{error}");
        }
    }
}
