//! The command with long lists, several at once, with few open files, and stopped.
//!
//! Lists are short and figures wide by default; with `AVWELD_HEAVY=1`, best in a release build, they are those that
//! the project promises.
#![cfg(all(feature = "cli", target_os = "linux"))]

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

fn is_heavy() -> bool {
    std::env::var_os("AVWELD_HEAVY").is_some()
}

/// The command under test: what was built with the tests, or a release that `AVWELD_BIN` named when they were built.
const AVWELD: &str = match option_env!("AVWELD_BIN") {
    Some(path) => path,
    None => env!("CARGO_BIN_EXE_avweld"),
};

/// `avweld` with at most so many open files.
fn avweld(folder: &Path, open_files: u32) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -n {open_files} && exec \"$0\" \"$@\"")]);
    command.arg(AVWELD);
    for name in ["JOB_COMPLETION_INDEX", "SLURM_ARRAY_TASK_ID"] {
        command.env_remove(name);
    }
    command.current_dir(folder).stdin(Stdio::null()).env("XDG_CONFIG_HOME", folder.join("config"));
    command
}

fn fixture(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(case).join("index.m3u8")
}

fn is_empty(folder: &Path) -> Result<bool> {
    Ok(fs::read_dir(folder)?.next().is_none())
}

/// A folder with a list, and one for workspaces.
fn folder(list: &str) -> Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    fs::create_dir(folder.path().join("temp"))?;
    fs::write(folder.path().join("list"), list)?;
    Ok(folder)
}

#[test]
fn processes_with_one_name_and_one_folder_for_workspaces_do_not_meet() -> Result<()> {
    const CASES: [&str; 8] = [
        "ts-h264-aac",
        "packed-aac",
        "fmp4-muxed",
        "aes128",
        "packed-mp3",
        "discontinuity",
        "wrap-33bit",
        "fmp4-separate-audio",
    ];
    let folder = folder("")?;
    let run = |case: &str, output: &str| -> Result<Child> {
        fs::write(folder.path().join(case), format!("{} video\n", fixture(case).display()))?;
        let args = ["batch", case, "-q", "-y", "--temp-dir", "temp", "--output-dir", output];
        avweld(folder.path(), 1024).args(args).stderr(Stdio::piped()).spawn().context("avweld runs")
    };
    let made = |output: &str| fs::read(folder.path().join(output).join("video.mp4")).context(output.to_owned());
    let mut expected = Vec::new();
    for case in CASES {
        ensure!(run(case, "alone")?.wait()?.success(), "{case}");
        expected.push(made("alone")?);
    }
    for round in 0..if is_heavy() { 20 } else { 2 } {
        let running = CASES.iter().map(|case| run(case, &format!("out-{case}"))).collect::<Result<Vec<_>>>()?;
        for (case, child) in CASES.iter().zip(running) {
            let output = child.wait_with_output()?;
            assert!(output.status.success(), "{case}: {}", String::from_utf8_lossy(&output.stderr));
        }
        for (case, expected) in CASES.iter().zip(&expected) {
            assert!(made(&format!("out-{case}"))? == *expected, "{case}, round {round}");
        }
        assert!(is_empty(&folder.path().join("temp"))?);
    }
    Ok(())
}

/// What a batch took at most, as far as was seen between its reports.
#[derive(Debug, Default)]
struct Peak {
    resident_kib: u64,
    open_files: usize,
}

/// Runs a list of small jobs with few open files, all of which must succeed.
fn many(jobs: usize, open_files: u32, workers: &str) -> Result<Peak> {
    let folder = folder(&format!("{} video\n", fixture("packed-aac").display()).repeat(jobs))?;
    let args = ["batch", "list", "-j", workers, "--json", "--output-dir", "out", "--temp-dir", "temp"];
    let mut child = avweld(folder.path(), open_files).args(args).stdout(Stdio::piped()).spawn()?;
    let process = Path::new("/proc").join(child.id().to_string());
    let reports = BufReader::new(child.stdout.take().context("standard output")?);
    let (mut peak, mut last) = (Peak::default(), String::new());
    for (n, line) in reports.lines().enumerate() {
        last = line?;
        // Towards its end the process may be gone before all of its reports are read.
        if n % 10 == 0
            && let (Ok(status), Ok(files)) =
                (fs::read_to_string(process.join("status")), fs::read_dir(process.join("fd")))
        {
            let resident = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
            peak.resident_kib = resident.and_then(|kib| kib.parse().ok()).unwrap_or(peak.resident_kib);
            peak.open_files = peak.open_files.max(files.count());
        }
    }
    assert_eq!(child.wait()?.code(), Some(0), "{last}");
    let summary: Value = serde_json::from_str(&last)?;
    assert_eq!(summary["summary"]["succeeded"], jobs);
    assert!(is_empty(&folder.path().join("temp"))?);
    assert_eq!(fs::read_dir(folder.path().join("out"))?.count(), jobs);
    ensure!(peak.resident_kib > 0, "nothing was seen of the process");
    Ok(peak)
}

#[test]
fn a_long_list_takes_no_more_memory_or_files_than_a_short_one() -> Result<()> {
    // The process grows at its start, until every thread has had work of every kind.
    let (jobs, growth_kib) = if is_heavy() { (2_500, 0) } else { (125, 8 << 10) };
    let (short, long) = (many(jobs, 256, "4")?, many(jobs * 4, 256, "4")?);
    println!("{jobs} jobs: {short:?}; {} jobs: {long:?}", jobs * 4);
    let more = long.resident_kib.saturating_sub(short.resident_kib);
    assert!(more < jobs as u64 * 3 + growth_kib, "{jobs} jobs: {short:?}, four times as many: {long:?}");
    assert!(long.open_files <= short.open_files + 16, "{jobs} jobs: {short:?}, four times as many: {long:?}");
    Ok(())
}

#[test]
fn more_workers_than_open_files_allow_wait_and_say_so() -> Result<()> {
    let peak = many(100, 64, "64")?;
    assert!(peak.open_files < 64, "{peak:?}");
    let folder = folder(&format!("{} video\n", fixture("packed-aac").display()).repeat(20))?;
    let args = ["batch", "list", "-j", "16", "-v", "--max-memory", "100MiB", "--output-dir", "out"];
    let output = avweld(folder.path(), 1024).args(args).output()?;
    let told = String::from_utf8(output.stderr)?;
    assert!(output.status.success() && told.contains("video: waiting for memory\n"), "{told}");
    Ok(())
}

/// Nine thousand segments.
fn long_playlist(folder: &Path) -> Result<()> {
    let mut text = String::from("#EXTM3U\n#EXT-X-TARGETDURATION:1\n");
    for round in 0..3_000 {
        let head = if round == 0 { "" } else { "#EXT-X-DISCONTINUITY\n" };
        writeln!(text, "{head}#EXTINF:1,\nindex0.ts\n#EXTINF:1,\nindex1.ts\n#EXTINF:1,\nindex2.ts")?;
    }
    text.push_str("#EXT-X-ENDLIST\n");
    for name in ["index0.ts", "index1.ts", "index2.ts"] {
        fs::copy(fixture("ts-h264-aac").with_file_name(name), folder.join(name))?;
    }
    Ok(fs::write(folder.join("long.m3u8"), text)?)
}

#[test]
fn a_signal_ends_a_list_of_long_jobs_soon() -> Result<()> {
    const JOBS: usize = 200;
    // Without optimization a playlist of this length takes long to read.
    let most = Duration::from_millis(if cfg!(debug_assertions) { 1_000 } else { 250 });
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let folder = folder(&"long.m3u8 video\n".repeat(JOBS))?;
        long_playlist(folder.path())?;
        let args = ["batch", "list", "--json", "--progress", "json", "--output-dir", "out", "--temp-dir", "temp"];
        let mut child = avweld(folder.path(), 256).args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let mut events = BufReader::new(child.stderr.take().context("standard error")?).lines();
        let under_way = events.by_ref().find(|line| line.as_ref().is_ok_and(|line| line.contains("\"progress\"")));
        ensure!(under_way.is_some(), "no job began");
        let since = Instant::now();
        ensure!(Command::new("kill").args(["-s", signal, &child.id().to_string()]).status()?.success());
        // What it says to the last must not be what it waits for.
        let output = thread::scope(|scope| {
            scope.spawn(|| events.for_each(drop));
            child.wait_with_output()
        })?;
        let took = since.elapsed();
        println!("SIG{signal}: {took:?}");
        assert_eq!(output.status.code(), Some(code));
        assert!(took < most, "SIG{signal}: {took:?}");
        let text = String::from_utf8(output.stdout)?;
        let lines: Vec<Value> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        let cancelled = lines.iter().filter(|line| line["error"]["kind"] == "cancelled").count();
        assert_eq!((lines.len(), cancelled), (JOBS + 1, JOBS));
        assert!(is_empty(&folder.path().join("temp"))? && is_empty(&folder.path().join("out"))?);
    }
    Ok(())
}
