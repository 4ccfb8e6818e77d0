//! The command run on a URL, and what became of it.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::media::files_below;
use crate::sandbox::{AVWELD, Sandbox, fixture, names};
use crate::server::named;

pub(crate) const OK: i32 = 0;
pub(crate) const USAGE: i32 = 2;
pub(crate) const BAD_DATA: i32 = 65;
pub(crate) const NOT_FOUND: i32 = 66;
pub(crate) const UNSUPPORTED: i32 = 69;
pub(crate) const EXISTS: i32 = 73;
pub(crate) const TEMPORARY: i32 = 75;
pub(crate) const DENIED: i32 = 77;
pub(crate) const INTERRUPTED: i32 = 130;

/// A run that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the command reads of its environment beside its arguments.
const ENVIRONMENT: [&str; 10] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// Options that make failures quick, as far as a test does not give its own.
const QUICK: [(&str, &str); 4] =
    [("--retries", "3"), ("--retry-delay", "0.05"), ("--connect-timeout", "2"), ("--read-timeout", "2")];

/// A run that ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    /// Of a merge; null where none was printed.
    pub(crate) report: Value,
    pub(crate) out: String,
    pub(crate) said: String,
    pub(crate) took: Duration,
    pub(crate) peak_bytes: u64,
}

impl Outcome {
    /// A number of the report's `download`.
    pub(crate) fn download(&self, key: &str) -> u64 {
        self.report["download"][key].as_u64().unwrap_or_else(|| panic!("no download.{key} in {}", self.report))
    }

    /// The report's error and all that was said, in lowercase.
    pub(crate) fn words(&self) -> String {
        format!("{}\n{}", self.report["error"]["message"], self.said).to_lowercase()
    }

    /// Panics unless it succeeded.
    #[track_caller]
    pub(crate) fn succeeded(self) -> Self {
        assert!(self.code == Some(OK) && self.report["status"] == "ok", "it did not succeed: {self:#?}");
        self
    }

    /// Panics unless it failed with this code, and told so in one line and in the report.
    #[track_caller]
    pub(crate) fn failed(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "exit code of {self:#?}");
        assert_eq!(self.report["status"], "failed", "{self:#?}");
        assert_eq!(self.report["error"]["exit_code"], code, "{self:#?}");
        assert_eq!(self.report["error"]["retryable"], code == TEMPORARY, "{self:#?}");
        let errors = self.said.lines().filter(|line| line.contains("error")).count();
        assert_eq!(errors, 1, "lines that tell an error: {self:#?}");
        self
    }

    /// Panics unless the error and what was said have all these words.
    #[track_caller]
    pub(crate) fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.words().contains(&word.to_lowercase()), "no {word:?} in {self:#?}");
        }
        self
    }

    /// Panics unless the error names this segment.
    #[track_caller]
    pub(crate) fn names_segment(self, media_sequence: u64, name: &str) -> Self {
        assert_eq!(self.report["error"]["segment"], media_sequence, "{self:#?}");
        self.says(&[name])
    }
}

/// `merge URL -o out/out.mp4 --json` with quick failures, not yet run.
pub(crate) fn command(sandbox: &Sandbox, url: impl AsRef<OsStr>, arguments: &[&str]) -> Command {
    command_to(sandbox, url, "out.mp4", arguments)
}

pub(crate) fn command_to(sandbox: &Sandbox, url: impl AsRef<OsStr>, name: &str, arguments: &[&str]) -> Command {
    let mut command = sandbox.command(url, sandbox.output(name));
    quick(&mut command, arguments);
    command
}

/// Adds arguments, and quick failures where they say nothing of them; takes proxies out of the environment.
pub(crate) fn quick(command: &mut Command, arguments: &[&str]) {
    for (option, value) in QUICK.iter().filter(|(option, _)| !arguments.contains(option)) {
        command.args([option, value]);
    }
    command.args(arguments);
    for variable in ENVIRONMENT {
        command.env_remove(variable);
    }
}

/// Merges a URL to `out.mp4`.
pub(crate) fn merge(sandbox: &Sandbox, url: impl AsRef<OsStr>, arguments: &[&str]) -> Outcome {
    run(command(sandbox, url, arguments))
}

/// Merges in a sandbox of its own and panics unless it comes to the bytes of a merge from disk, with nothing left.
#[track_caller]
pub(crate) fn merges_to(clean: &[u8], url: impl AsRef<OsStr>, arguments: &[&str]) -> Outcome {
    let sandbox = Sandbox::new();
    let outcome = merge(&sandbox, url, arguments).succeeded();
    is_clean(&sandbox, clean);
    outcome
}

/// Panics unless the output is this and nothing else is left.
#[track_caller]
pub(crate) fn is_clean(sandbox: &Sandbox, clean: &[u8]) {
    assert_eq!(sandbox.outputs(), ["out.mp4"], "in the output folder");
    let left = files_below(&sandbox.temp());
    assert_eq!(names(&sandbox.temp()), [""; 0], "left in the folder for workspaces: {left:?}");
    let merged = fs::read(sandbox.output("out.mp4")).unwrap();
    assert!(merged == clean, "{} bytes, not the {} of a merge from disk", merged.len(), clean.len());
}

/// Merges in a sandbox of its own and panics unless it fails for good, with nothing left.
#[track_caller]
pub(crate) fn refused(code: i32, url: impl AsRef<OsStr>, arguments: &[&str]) -> Outcome {
    let sandbox = Sandbox::new();
    let outcome = merge(&sandbox, url, arguments).failed(code);
    assert_eq!(sandbox.outputs(), [""; 0], "left in the output folder by {outcome:#?}");
    if code != TEMPORARY {
        assert_eq!(names(&sandbox.temp()), [""; 0], "left in the folder for workspaces by {outcome:#?}");
    }
    outcome
}

/// Runs a command to its end. Panics where it hangs.
pub(crate) fn run(mut command: Command) -> Outcome {
    Running::start(&mut command).wait()
}

/// A run under way; it is killed when this is dropped.
pub(crate) struct Running {
    child: Child,
    begun: Instant,
    out: Option<thread::JoinHandle<String>>,
    said: Option<thread::JoinHandle<String>>,
    peak_bytes: u64,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let out = child.stdout.take().map(|pipe| named("stdout", move || text(pipe)));
        let said = child.stderr.take().map(|pipe| named("stderr", move || text(pipe)));
        Self { child, begun: Instant::now(), out, said, peak_bytes: 0 }
    }

    /// Sends `INT` or `TERM`.
    pub(crate) fn signal(&self, signal: &str) {
        let kill = format!("kill -{signal} {}", self.child.id());
        // It may have ended by itself; the outcome tells.
        let _ended = Command::new("sh").args(["-c", &kill]).stderr(Stdio::null()).status().unwrap();
    }

    /// Kills it, sooner than a signal by a shell could.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    pub(crate) fn wait(mut self) -> Outcome {
        let status = self.ended();
        let took = self.begun.elapsed();
        let out = self.out.take().unwrap().join().unwrap();
        let said = self.said.take().unwrap().join().unwrap();
        let report = serde_json::from_str(&out).unwrap_or(Value::Null);
        Outcome { code: status.code(), report, out, said, took, peak_bytes: self.peak_bytes }
    }

    fn ended(&mut self) -> ExitStatus {
        let status = format!("/proc/{}/status", self.child.id());
        loop {
            let peak = fs::read_to_string(&status).ok().and_then(|text| peak_bytes(&text));
            self.peak_bytes = self.peak_bytes.max(peak.unwrap_or(0));
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(self.begun.elapsed() < PATIENCE, "it hangs");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Nothing to do where it ended.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

/// `VmHWM:     1234 kB`; `None` on systems without.
fn peak_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? << 10)
}

fn text(mut pipe: impl Read) -> String {
    let mut bytes = Vec::new();
    pipe.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What a merge of this local input comes to.
pub(crate) fn from_disk(input: &Path, arguments: &[&str]) -> Vec<u8> {
    let sandbox = Sandbox::new();
    sandbox.merge(input, "out.mp4", arguments);
    fs::read(sandbox.output("out.mp4")).unwrap()
}

/// What a merge of this fixture from disk comes to.
pub(crate) fn clean(case: &str) -> Vec<u8> {
    from_disk(&fixture(case).join("index.m3u8"), &[])
}

/// Checks each row of a table and panics at the end with the names of those that failed.
#[track_caller]
pub(crate) fn each<T>(rows: impl IntoIterator<Item = (String, T)>, check: impl Fn(T)) {
    let (mut count, mut failed) = (0, Vec::new());
    for (name, row) in rows {
        count += 1;
        if catch_unwind(AssertUnwindSafe(|| check(row))).is_err() {
            eprintln!("^ row: {name}");
            failed.push(name);
        }
    }
    println!("{} of {count} rows passed", count - failed.len());
    assert!(failed.is_empty(), "{} of {count} rows failed, see above: {failed:#?}", failed.len());
}

/// The command itself with other arguments than those of a merge.
pub(crate) fn avweld(arguments: &[&str]) -> Command {
    let mut command = Command::new(AVWELD);
    command.args(arguments).env("NO_COLOR", "1");
    for variable in ENVIRONMENT {
        command.env_remove(variable);
    }
    command
}
