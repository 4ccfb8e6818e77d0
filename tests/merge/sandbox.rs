//! Folders of a test's own, and the command run in them.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// The command under test: what was built with the tests, or a release that `AVWELD_BIN` named when they were built.
pub(crate) const AVWELD: &str = match option_env!("AVWELD_BIN") {
    Some(path) => path,
    None => env!("CARGO_BIN_EXE_avweld"),
};

/// The command, not yet run, and blind to whatever config the user has who runs the tests.
pub(crate) fn avweld() -> Command {
    let mut command = Command::new(AVWELD);
    command.env("XDG_CONFIG_HOME", "/nonexistent");
    command
}

/// `in`, `out` and `temp` below a temporary folder, which goes when this does.
pub(crate) struct Sandbox {
    root: TempDir,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        let root = TempDir::with_prefix("avweld-test-").unwrap();
        for folder in ["in", "out", "temp"] {
            fs::create_dir(root.path().join(folder)).unwrap();
        }
        Self { root }
    }

    pub(crate) fn input(&self) -> PathBuf {
        self.root.path().join("in")
    }

    pub(crate) fn output(&self, name: &str) -> PathBuf {
        self.root.path().join("out").join(name)
    }

    pub(crate) fn temp(&self) -> PathBuf {
        self.root.path().join("temp")
    }

    /// `merge INPUT -o OUTPUT --json --temp-dir TEMP`, not yet run.
    pub(crate) fn command(&self, input: impl AsRef<OsStr>, output: impl AsRef<OsStr>) -> Command {
        let mut command = avweld();
        self.arguments(&mut command, input, output);
        command
    }

    /// The same behind a program that starts it: a shell with limits, strace.
    pub(crate) fn arguments(&self, command: &mut Command, input: impl AsRef<OsStr>, output: impl AsRef<OsStr>) {
        command.arg("merge").arg(input).arg("-o").arg(output).args(["--json", "--progress", "none", "--temp-dir"]);
        command.arg(self.temp()).env("NO_COLOR", "1").env("XDG_CONFIG_HOME", "/nonexistent");
    }

    /// Runs a merge to `name` and gives its report; panics where it fails or leaves something behind.
    pub(crate) fn merge(&self, input: impl AsRef<OsStr>, name: &str, arguments: &[&str]) -> Value {
        let output = self.command(input.as_ref(), self.output(name)).args(arguments).output().unwrap();
        let report = report(&output);
        assert!(
            output.status.success() && report["status"] == "ok",
            "{:?}: {}\n{report}\n{}",
            input.as_ref(),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(names(&self.temp()), [""; 0], "left in the folder for workspaces");
        report
    }

    /// What stands in the output folder.
    pub(crate) fn outputs(&self) -> Vec<String> {
        names(&self.output(""))
    }
}

/// The one JSON object that a run printed.
pub(crate) fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| {
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        panic!("no report on standard output: {e}; {}\n{out}\n{err}", output.status)
    })
}

/// The names in a folder, in order.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// A folder of fixtures/.
pub(crate) fn fixture(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(case)
}

/// The files of a fixture, copied to be spoiled.
pub(crate) fn copy_fixture(case: &str, to: &Path) {
    for name in names(&fixture(case)) {
        fs::copy(fixture(case).join(&name), to.join(&name)).unwrap();
    }
}
