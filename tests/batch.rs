//! `avweld batch` as scripts see it.
#![cfg(feature = "cli")]

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

/// The command under test: what was built with the tests, or a release that `AVWELD_BIN` named when they were built.
const AVWELD: &str = match option_env!("AVWELD_BIN") {
    Some(path) => path,
    None => env!("CARGO_BIN_EXE_avweld"),
};

fn avweld(folder: &Path) -> Command {
    let mut command = Command::new(AVWELD);
    // Whoever runs the tests may have a config of their own, or be an array job.
    for name in ["JOB_COMPLETION_INDEX", "SLURM_ARRAY_TASK_ID"] {
        command.env_remove(name);
    }
    command.current_dir(folder).stdin(Stdio::null()).env("XDG_CONFIG_HOME", folder.join("config"));
    command
}

/// Runs a batch with a list of that name and text.
fn batch<S: AsRef<OsStr>>(folder: &Path, name: &str, list: &str, args: impl IntoIterator<Item = S>) -> Result<Output> {
    fs::write(folder.join(name), list)?;
    avweld(folder).arg("batch").arg(name).args(args).output().context("avweld runs")
}

fn fixture(case: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(case).join("index.m3u8");
    path.display().to_string()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The reports, and the summary behind them.
fn reports(output: &Output) -> Result<(Vec<Value>, Value)> {
    let text = String::from_utf8(output.stdout.clone())?;
    let mut lines: Vec<Value> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let mut last = lines.pop().with_context(|| format!("nothing was printed: {}", stderr(output)))?;
    let mut summary = last["summary"].take();
    ensure!(summary["elapsed_s"].take().is_f64(), "no time in {last}");
    Ok((lines, summary))
}

fn summary(succeeded: u64, failed: u64, skipped: u64) -> Value {
    let jobs = succeeded + failed + skipped;
    json!({"jobs": jobs, "succeeded": succeeded, "failed": failed, "skipped": skipped, "elapsed_s": null})
}

fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder)?;
    let mut names: Vec<_> =
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect::<Result<_>>()?;
    names.sort();
    Ok(names)
}

#[test]
fn one_bad_job_hurts_no_other() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let list = format!(
        "# three jobs\n{} first\nnowhere/index.m3u8 second\n{} third\n",
        fixture("ts-h264-aac"),
        fixture("packed-aac")
    );
    let output = batch(folder.path(), "list", &list, ["--output-dir", "out/deep", "--json"])?;
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let (reports, total) = reports(&output)?;
    assert_eq!(total, summary(2, 1, 0));
    let of = |job: &str| reports.iter().find(|report| report["job"] == job).with_context(|| format!("no {job}"));
    assert_eq!(of("first")?["status"], "ok");
    assert_eq!(of("first")?["output"], "out/deep/first.mp4");
    assert_eq!(of("second")?["error"]["exit_code"], 66);
    assert_eq!(of("third")?["segments"], json!({"planned": 4, "merged": 4, "missing": []}));
    assert_eq!(names(&folder.path().join("out/deep"))?, ["first.mp4", "third.mp4"]);
    assert!(stderr(&output).starts_with("avweld: error: second: "), "{}", stderr(&output));
    Ok(())
}

#[test]
fn people_get_a_line_for_each_job_and_one_for_all() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let list = format!("{} a\n", fixture("packed-aac"));
    let output = batch(folder.path(), "list", &list, [""; 0])?;
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 0));
    let lines: Vec<String> = stderr(&output).lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("a.mp4: ") && lines[0].contains("4 of 4 segments"), "{lines:?}");
    assert!(lines[1].starts_with("1 job: 1 succeeded, 0 failed, 0 skipped, 0:00:0"), "{lines:?}");

    let output = batch(folder.path(), "list", &list, ["-q", "-y"])?;
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
    Ok(())
}

#[test]
fn jobs_of_one_name_each_get_their_own_source() -> Result<()> {
    const ROUNDS: usize = 5;
    let cases = ["ts-h264-aac", "packed-aac", "fmp4-muxed", "aes128", "packed-mp3"];
    let folder = tempfile::tempdir()?;
    let merged = |input: &str| -> Result<Vec<u8>> {
        let output = avweld(folder.path()).args(["merge", input, "-o", "one.mp4", "-y", "-q"]).output()?;
        ensure!(output.status.success(), "{}", stderr(&output));
        Ok(fs::read(folder.path().join("one.mp4"))?)
    };
    let expected = cases.iter().map(|case| merged(&fixture(case))).collect::<Result<Vec<_>>>()?;
    let lines: Vec<String> = cases.iter().map(|case| format!("{} video\n", fixture(case))).collect();
    let list = lines.concat().repeat(ROUNDS);

    fs::create_dir(folder.path().join("temp"))?;
    for workers in ["1", "16"] {
        let args = ["-j", workers, "--output-dir", workers, "--temp-dir", "temp", "--json"];
        let output = batch(folder.path(), "list", &list, args)?;
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert_eq!(reports(&output)?.1, summary(cases.len() as u64 * ROUNDS as u64, 0, 0));
        for n in 0..cases.len() * ROUNDS {
            let name = if n == 0 { "video.mp4".to_owned() } else { format!("video-{}.mp4", n + 1) };
            let made = fs::read(folder.path().join(workers).join(&name))?;
            assert!(made == expected[n % cases.len()], "{name} with {workers} workers");
        }
        assert_eq!(names(&folder.path().join(workers))?.len(), cases.len() * ROUNDS);
    }
    assert_eq!(names(&folder.path().join("temp"))?, [""; 0]);
    Ok(())
}

#[test]
fn the_layers_of_options_lie_over_each_other() -> Result<()> {
    let folder = tempfile::tempdir()?;
    fs::create_dir_all(folder.path().join("config/avweld"))?;
    let config = "format = 'ts'\noutput_dir = 'config-dir'\njson = true\n";
    fs::write(folder.path().join("config/avweld/config.toml"), config)?;
    let list = format!(
        "output_dir = 'list-dir'\n[[job]]\nurl = '{0}'\nname = 'a'\n[[job]]\nurl = '{0}'\nname = 'b'\nformat = 'm4a'\n\
         [[job]]\nurl = '{0}'\noutput = 'deep/c.mkv'\nformat = 'mkv'\noutput_dir = 'own'\n",
        fixture("packed-aac")
    );
    let outputs = |output: &Output| -> Result<BTreeSet<String>> {
        let (reports, _) = reports(output)?;
        Ok(reports.iter().map(|report| report["output"].as_str().unwrap_or_default().to_owned()).collect())
    };
    let set = |names: [&str; 3]| BTreeSet::from(names.map(str::to_owned));

    let output = batch(folder.path(), "list.toml", &list, [""; 0])?;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(outputs(&output)?, set(["list-dir/a.ts", "list-dir/b.m4a", "own/deep/c.mkv"]));

    let output = batch(folder.path(), "list.toml", &list, ["--output-dir", "cli", "-f", "mp4"])?;
    assert_eq!(outputs(&output)?, set(["cli/a.mp4", "cli/b.mp4", "cli/deep/c.mkv"]));

    // The config is that of `merge` too, and can be left out.
    let merge = |args: &[&str]| avweld(folder.path()).arg("merge").arg(fixture("packed-aac")).args(args).output();
    assert_eq!(merge(&[])?.status.code(), Some(0));
    assert!(folder.path().join("index.ts").exists());
    let output = merge(&["--config", ""])?;
    assert!(output.stdout.is_empty() && folder.path().join("index.mp4").exists(), "{}", stderr(&output));
    Ok(())
}

#[test]
fn a_list_that_is_wrong_begins_no_job() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let good = fixture("packed-aac");
    let job = format!("[[job]]\nurl = '{good}'\n");
    let cases: [(&str, Vec<u8>, &str); 9] = [
        ("list", "".into(), "list, line 1: the file names no job"),
        ("list", format!("{good} good\n{good} ../x\n").into(), "list, line 2: the name leads out"),
        ("list", format!("{good} a\n{good} {}\n", "x".repeat(300)).into(), "list, line 2: the name has 300 bytes"),
        ("list", format!("{good} a\nhtps://h/?token=hush\n").into(), "list, line 2: the URL of an input is not one of"),
        ("list", [good.as_bytes(), b" good\n\n\xff\n"].concat(), "list, line 3: this is not UTF-8"),
        ("list.toml", format!("{job}colour = 1\n").into(), "list.toml, line 3: colour: "),
        ("list.toml", format!("{job}[[job]]\nname = 'x'\n").into(), "list.toml, line 3: the job has no url"),
        ("list.toml", "retries = 1\n".into(), "list.toml, line 1: the file names no job"),
        (
            "list.jsonl",
            "{\"url\": \"a\", \"output\": \"x.mp4\"}\n\n{\"url\": \"b\", \"output\": \"./x.mp4\"}\n".into(),
            "list.jsonl, line 3: the output is that of the job in line 1",
        ),
    ];
    for (name, text, expected) in cases {
        fs::write(folder.path().join(name), text)?;
        let output = avweld(folder.path()).args(["batch", name, "--output-dir", "out", "--json"]).output()?;
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).starts_with(&format!("avweld: error: {expected}")), "{}", stderr(&output));
        assert!(!stderr(&output).contains("hush"), "{}", stderr(&output));
        assert!(output.stdout.is_empty() && !folder.path().join("out").exists(), "{expected}");
    }
    let output = avweld(folder.path()).args(["batch", "nowhere.toml"]).output()?;
    assert_eq!(output.status.code(), Some(66));
    Ok(())
}

#[test]
fn outputs_that_exist_are_refused_skipped_or_replaced() -> Result<()> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("a.mp4"), "old")?;
    let list = format!("{0} a\n{0} b\n", fixture("packed-aac"));
    let output = batch(folder.path(), "list", &list, ["--json"])?;
    assert_eq!((output.status.code(), reports(&output)?.1), (Some(3), summary(1, 1, 0)));
    let output = batch(folder.path(), "list", &list, ["--json", "--skip-existing"])?;
    assert_eq!((output.status.code(), reports(&output)?.1), (Some(0), summary(0, 0, 2)));
    assert_eq!(fs::read(folder.path().join("a.mp4"))?, b"old");
    let output = batch(folder.path(), "list", &list, ["--json", "-y"])?;
    assert_eq!((output.status.code(), reports(&output)?.1), (Some(0), summary(2, 0, 0)));
    assert_ne!(fs::read(folder.path().join("a.mp4"))?, b"old");
    Ok(())
}

#[test]
fn shards_do_the_list_together() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let list = format!("{} video\n", fixture("packed-aac")).repeat(5);
    let arrays: [&[(&str, &str)]; 2] = [
        &[("JOB_COMPLETION_INDEX", "0"), ("JOB_COMPLETION_COUNT", "3")],
        &[("SLURM_ARRAY_TASK_ID", "2"), ("SLURM_ARRAY_TASK_COUNT", "3"), ("SLURM_ARRAY_TASK_MIN", "1")],
    ];
    fs::write(folder.path().join("list"), list)?;
    for variables in arrays {
        let mut command = avweld(folder.path());
        command.args(["batch", "list", "--output-dir", "out"]).envs(variables.iter().copied());
        assert!(command.output()?.status.success(), "{variables:?}");
    }
    assert_eq!(names(&folder.path().join("out"))?, ["video-2.mp4", "video-4.mp4", "video-5.mp4", "video.mp4"]);
    let output = avweld(folder.path()).args(["batch", "list", "--output-dir", "out", "--shard", "2/3"]).output()?;
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(names(&folder.path().join("out"))?.len(), 5);

    let output = avweld(folder.path()).args(["batch", "list"]).env("JOB_COMPLETION_INDEX", "0").output()?;
    assert_eq!(output.status.code(), Some(2), "each pod would do the whole list");
    Ok(())
}

/// Media that takes longer to merge than a signal to arrive: nine thousand segments.
fn long_playlist(folder: &Path) -> Result<PathBuf> {
    let mut text = String::from("#EXTM3U\n#EXT-X-TARGETDURATION:1\n");
    for round in 0..3_000 {
        let head = if round == 0 { "" } else { "#EXT-X-DISCONTINUITY\n" };
        writeln!(text, "{head}#EXTINF:1,\nindex0.ts\n#EXTINF:1,\nindex1.ts\n#EXTINF:1,\nindex2.ts")?;
    }
    text.push_str("#EXT-X-ENDLIST\n");
    for name in ["index0.ts", "index1.ts", "index2.ts"] {
        fs::copy(Path::new(&fixture("ts-h264-aac")).with_file_name(name), folder.join(name))?;
    }
    fs::write(folder.join("long.m3u8"), text)?;
    Ok(folder.join("long.m3u8"))
}

#[test]
fn the_first_failure_cancels_the_batch_if_that_is_asked_for() -> Result<()> {
    let folder = tempfile::tempdir()?;
    long_playlist(folder.path())?;
    let list = format!("long.m3u8 a\nnowhere.m3u8 b\n{}", "long.m3u8 c\n".repeat(100));
    let output = batch(folder.path(), "list", &list, ["--fail-fast", "--json", "--output-dir", "out"])?;
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let (reports, total) = reports(&output)?;
    assert_eq!(total, summary(0, 102, 0));
    let kinds: Vec<_> = reports.iter().filter_map(|report| report["error"]["kind"].as_str()).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "cancelled").count(), 101, "{kinds:?}");
    assert_eq!(names(&folder.path().join("out"))?, [""; 0]);
    let told = stderr(&output);
    let lines: Vec<_> = told.lines().collect();
    assert_eq!(lines.len(), 2, "{told}");
    assert!(
        lines[0].starts_with("avweld: error: b: ") && lines[1].starts_with("101 jobs cancelled, as another failed;")
    );
    Ok(())
}

#[test]
fn a_signal_cancels_what_runs_and_what_waits() -> Result<()> {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let folder = tempfile::tempdir()?;
        long_playlist(folder.path())?;
        fs::create_dir(folder.path().join("temp"))?;
        fs::write(folder.path().join("list"), "long.m3u8 video\n".repeat(6))?;
        let args =
            ["batch", "list", "-j", "2", "--json", "--progress", "json", "--output-dir", "out", "--temp-dir", "temp"];
        let mut child = avweld(folder.path()).args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let mut events = BufReader::new(child.stderr.take().context("standard error")?).lines();
        let under_way = events.by_ref().find(|line| line.as_ref().is_ok_and(|line| line.contains("\"progress\"")));
        assert!(under_way.is_some(), "no job began");
        assert!(Command::new("kill").args(["-s", signal, &child.id().to_string()]).status()?.success());
        let rest = events.collect::<Result<Vec<_>, _>>()?;
        let output = child.wait_with_output()?;
        assert_eq!(output.status.code(), Some(code), "SIG{signal}: {rest:?}");
        let (reports, total) = reports(&output)?;
        assert_eq!(total, summary(0, 6, 0));
        assert!(rest.iter().any(|line| line.starts_with("6 jobs cancelled; the same command with")), "{rest:?}");
        assert!(reports.iter().all(|report| report["error"]["exit_code"] == code), "{reports:?}");
        assert_eq!(names(&folder.path().join("out"))?, [""; 0]);
        assert_eq!(names(&folder.path().join("temp"))?, [""; 0]);
    }
    Ok(())
}

#[test]
fn a_reader_that_is_gone_stops_no_job() -> Result<()> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("list"), format!("{} a\n", fixture("packed-aac")))?;
    let (reader, writer) = std::io::pipe()?;
    drop(reader);
    let output = avweld(folder.path()).args(["batch", "list", "--json"]).stdout(writer).output()?;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(folder.path().join("a.mp4").exists());
    Ok(())
}
