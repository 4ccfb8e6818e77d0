//! `avweld bench` from outside: what it prints, what it draws, and that it leaves nothing.
#![cfg(all(feature = "cli", target_os = "linux"))]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

fn avweld(folder: &Path) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("avweld"));
    command.current_dir(folder).stdin(Stdio::null()).env("XDG_CONFIG_HOME", folder.join("config"));
    command
}

/// Runs a bench with a folder `temp` for what it writes, which must be empty afterwards.
fn bench(folder: &Path, args: &[&str]) -> Result<Output> {
    let temp = folder.join("temp");
    fs::create_dir_all(&temp)?;
    let output = avweld(folder).args(["bench", "--temp-dir", "temp"]).args(args).output()?;
    ensure!(fs::read_dir(&temp)?.next().is_none(), "something is left in {}", temp.display());
    Ok(output)
}

/// What it printed as JSON.
fn findings(output: &Output) -> Result<Value> {
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {stderr}", output.status);
    serde_json::from_slice(&output.stdout).context("not JSON")
}

fn fixture(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(case)
}

/// Phase, jobs and concurrency of each measurement.
fn phases(findings: &Value) -> Vec<(&str, u64, u64)> {
    let row = |row: &'static str| move |value: &Value| value[row].as_u64().unwrap_or(u64::MAX);
    let rows = findings["phases"].as_array().map(Vec::as_slice).unwrap_or_default();
    rows.iter().map(|v| (v["phase"].as_str().unwrap_or("?"), row("jobs")(v), row("concurrency")(v))).collect()
}

/// Every figure of every measurement is one that a measurement can have.
fn assert_plausible(findings: &Value) {
    for row in findings["phases"].as_array().expect("phases") {
        for spread in [&row["wall_s"], &row["copy"]["wall_s"]] {
            let [min, median, max] = ["min", "median", "max"].map(|name| spread[name].as_f64().expect("seconds"));
            assert!(0.0 < min && min <= median && median <= max, "{row}");
        }
        let bytes = row["bytes"].as_u64().expect("bytes") as f64;
        let rate = row["mb_per_s"].as_f64().expect("a rate");
        let median = row["wall_s"]["median"].as_f64().expect("seconds");
        assert!((bytes / 1e6 / median - rate).abs() < rate / 1000.0, "{row}");
        assert!(row["copy"]["mb_per_s"].as_f64().is_some_and(|rate| rate > 0.0), "{row}");
        let ratio = row["copy"]["mb_per_s"].as_f64().expect("a rate") / rate;
        assert!((row["ratio_to_copy"].as_f64().expect("a ratio") - ratio).abs() < ratio / 1000.0, "{row}");
        assert!(row["cpu_s"]["user"].as_f64().is_some_and(|s| s >= 0.0), "{row}");
        // Where the peak may not be forgotten there is none to tell.
        let peak = &row["peak_memory_bytes"];
        assert!(peak.is_null() || peak.as_u64().is_some_and(|bytes| bytes > 1 << 20), "{row}");
    }
}

#[test]
fn without_arguments_but_a_size_it_measures_all_on_input_of_its_own() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let args = ["--size", "8M", "--runs", "1", "--jobs", "2", "--concurrency", "2", "--plot", "plot.svg", "--json"];
    let output = bench(folder.path(), &args)?;
    let found = findings(&output)?;
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let expected = [("merge", 1, 1), ("http", 1, 1), ("concurrency", 1, 1), ("concurrency", 2, 2)];
    let (many, others): (Vec<_>, Vec<_>) = phases(&found).into_iter().partition(|(phase, ..)| *phase == "many");
    assert_eq!(others, expected);
    // As many at once as there are cores.
    assert!(matches!(many[..], [("many", 2, 1 | 2)]), "{many:?}");
    assert_plausible(&found);
    let input = &found["input"];
    assert_eq!((&input["kind"], &input["segments"]), (&"generated".into(), &3.into()));
    let (bytes, seconds) = (input["bytes"].as_f64().unwrap_or(0.0), input["duration_s"].as_f64().unwrap_or(0.0));
    assert!((17.9..18.2).contains(&seconds), "{input}");
    assert!((3.8e6..4.4e6).contains(&(bytes * 8.0 / seconds)), "not the bit rate of a film: {input}");
    assert_eq!((&found["runs"], &found["warnings"]), (&1.into(), &Value::Array(Vec::new())));
    assert!(found["cores"].as_u64().is_some_and(|n| n > 0) && found["libav"]["libavformat"].is_string(), "{found}");

    let merged: Vec<u64> =
        found["phases"].as_array().into_iter().flatten().filter_map(|p| p["bytes"].as_u64()).collect();
    let copied: Vec<u64> =
        found["phases"].as_array().into_iter().flatten().filter_map(|p| p["copy"]["bytes"].as_u64()).collect();
    assert_eq!(merged, copied, "a copy is of the same bytes");

    let svg = fs::read_to_string(folder.path().join("plot.svg"))?;
    assert_well_formed(&svg);
    assert!(svg.contains("<title id=\"title\">") && svg.contains("aria-labelledby=\"title summary\""), "{svg}");
    assert_eq!((svg.matches("<polyline").count(), svg.matches("<circle").count()), (2, 4), "{svg}");
    Ok(())
}

/// Each element of a document without comments ends where it must, and every attribute has its quotes.
fn assert_well_formed(xml: &str) {
    let mut open = Vec::new();
    for tag in xml.split('<').skip(1) {
        let (tag, text) = tag.split_once('>').unwrap_or_else(|| panic!("a tag without an end: {tag}"));
        assert!(!text.contains('&') && tag.matches('"').count() % 2 == 0, "{tag}>{text}");
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "in {xml}"),
            None if tag.ends_with('/') => {}
            None => open.push(tag.split(' ').next().expect("a name")),
        }
        assert!(!open.is_empty() || text.trim().is_empty(), "text behind the end: {text}");
    }
    assert_eq!(open, [""; 0]);
}

#[test]
fn the_input_it_makes_is_media_that_decodes() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let temp = folder.path().join("temp");
    fs::create_dir(&temp)?;
    let args = ["bench", "--temp-dir", "temp", "--size", "10M", "--runs", "1000", "--only", "merge"];
    let mut child = avweld(folder.path()).args(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    // Its input is whole when its own first merge has begun to write.
    let seen = wait_for(|| {
        let made = fs::read_dir(&temp).ok()?.next()?.ok()?.path();
        fs::read_dir(made.join("out")).ok()?.next()?.ok()?;
        Some(made.join("in"))
    });
    let judged = seen.and_then(|input| {
        let list = |stream: &str| -> Result<Vec<String>> {
            let args = ["-v", "error", "-select_streams", stream, "-show_entries", "packet=pts,dts", "-of", "csv=p=0"];
            let output =
                Command::new("ffprobe").args(args).arg(input.join("index.m3u8")).output().context("ffprobe")?;
            ensure!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
            let text = String::from_utf8(output.stdout)?;
            let lines = text.lines().map(|line| line.trim_end_matches(',').to_owned());
            Ok(lines.filter(|line| !line.is_empty()).collect())
        };
        let (video, audio) = (list("v:0")?, list("a:0")?);
        let args = ["-v", "error", "-i"];
        let decoded = Command::new("ffmpeg")
            .args(args)
            .arg(input.join("index.m3u8"))
            .args(["-f", "null", "-"])
            .output()
            .context("ffmpeg")?;
        Ok((video, audio, String::from_utf8(decoded.stderr)?))
    });
    interrupt(&child)?;
    let code = child.wait()?.code();
    let (video, audio, complaints) = judged?;
    assert_eq!(code, Some(130));
    assert_eq!(complaints, "");
    assert_eq!(video.len(), 3 * 150);
    // 18 s of 1024 samples at 48 kHz, and no more than a group ahead.
    assert!((843..=852).contains(&audio.len()), "{} audio packets", audio.len());
    let dts = |line: &String| line.split(',').nth(1).and_then(|dts| dts.parse::<i64>().ok()).expect("a DTS");
    assert!(video.windows(2).all(|pair| dts(&pair[1]) - dts(&pair[0]) == 3600), "video is not even");
    assert!(audio.windows(2).all(|pair| dts(&pair[1]) - dts(&pair[0]) == 1920), "audio is not even");
    Ok(())
}

#[test]
fn an_input_of_the_user_s_is_measured_and_left_as_it_is() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let own = folder.path().join("own");
    fs::create_dir(&own)?;
    for entry in fs::read_dir(fixture("ts-h264-aac"))? {
        let entry = entry?;
        fs::copy(entry.path(), own.join(entry.file_name()))?;
    }
    let before = listing(&own)?;
    let args = ["own/index.m3u8", "--runs", "1", "--jobs", "3", "--concurrency", "2", "--json"];
    let found = findings(&bench(folder.path(), &args)?)?;
    let kinds: Vec<&str> = phases(&found).into_iter().map(|(phase, ..)| phase).collect();
    assert_eq!(kinds, ["merge", "http", "many", "concurrency", "concurrency"], "{found}");
    assert_plausible(&found);
    assert_eq!((&found["input"]["kind"], &found["input"]["segments"]), (&"given".into(), &3.into()));
    assert_eq!(listing(&own)?, before);

    // Segments alone cannot be served as a playlist, which is told.
    let args = ["own/index0.ts", "own/index1.ts", "--runs", "1", "--only", "merge,http", "--json"];
    let found = findings(&bench(folder.path(), &args)?)?;
    assert_eq!(phases(&found), [("merge", 1, 1)]);
    assert_eq!(found["warnings"], serde_json::json!(["left out: http: the input is no playlist on this machine"]));
    Ok(())
}

/// Names and contents.
fn listing(folder: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut files = fs::read_dir(folder)?
        .map(|entry| {
            let path = entry?.path();
            Ok((path.clone(), fs::read(path)?))
        })
        .collect::<Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}

#[test]
fn people_get_a_table_and_with_q_nothing_else() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let input = fixture("ts-h264-aac").join("index.m3u8").display().to_string();
    let output = bench(folder.path(), &[&input, "--runs", "2", "--only", "merge", "-q"])?;
    let text = String::from_utf8(output.stdout)?;
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].ends_with("; medians of 2 runs") && lines[2].contains("x copy"), "{text}");
    assert!(lines[3].starts_with("merge ") && lines.len() == 4, "{text}");
    Ok(())
}

#[test]
fn a_signal_ends_it_and_leaves_nothing() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let temp = folder.path().join("temp");
    fs::create_dir(&temp)?;
    // What has come up when it is interrupted: its input, an output, a download.
    for (only, place) in [("merge", "in/1.ts"), ("merge", "out"), ("http", "out")] {
        let args = ["bench", "--temp-dir", "temp", "--size", "10M", "--runs", "1000", "--only", only, "--json"];
        let mut child = avweld(folder.path()).args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let seen = wait_for(|| {
            let made = fs::read_dir(&temp).ok()?.next()?.ok()?.path().join(place);
            let is_there = made.is_file() || fs::read_dir(&made).is_ok_and(|mut files| files.next().is_some());
            is_there.then_some(())
        });
        interrupt(&child)?;
        let code = child.wait()?.code();
        seen.context(place)?;
        let output = child.wait_with_output()?;
        assert_eq!((code, output.stdout.len()), (Some(130), 0), "{place}");
        assert_eq!(String::from_utf8(output.stderr)?, "avweld: error: cancelled\n", "{place}");
        assert!(fs::read_dir(&temp)?.next().is_none(), "{place}: something is left");
    }
    Ok(())
}

/// What comes up within a time that is more than enough.
fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> Result<T> {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        ensure!(begun.elapsed() < Duration::from_secs(60), "it did not come up");
        thread::sleep(Duration::from_millis(1));
    }
}

fn interrupt(child: &std::process::Child) -> Result<()> {
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status()?;
    ensure!(status.success(), "kill: {status}");
    Ok(())
}

#[test]
fn what_cannot_be_done_is_told_before_anything_is_measured() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for (args, code, words) in [
        (&["--only", "merge", "--plot", "x.svg"][..], 2, "--plot needs --only concurrency"),
        (&["-"], 2, "standard input"),
        (&["--runs", "0"], 2, "--runs"),
        (&["--size", "0"], 2, "--size"),
        (&["--only", "most"], 2, "--only"),
        (&["--plot", "nowhere/x.svg"], 73, "cannot create nowhere/x.svg"),
        (&["nowhere.m3u8"], 66, "nowhere.m3u8"),
    ] {
        let output = bench(folder.path(), args)?;
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
        assert!(stderr.contains(words) && output.stdout.is_empty(), "{args:?}: {stderr}");
    }
    let output = avweld(folder.path()).args(["bench", "--temp-dir", "missing"]).output()?;
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot create a folder in missing"), "{output:?}");
    Ok(())
}

#[test]
fn help_tells_every_option() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let help = String::from_utf8(avweld(folder.path()).args(["bench", "--help"]).output()?.stdout)?;
    for option in
        ["--size", "--runs", "--jobs", "--concurrency", "--only", "--plot", "--temp-dir", "--json", "Examples:"]
    {
        assert!(help.contains(option), "{option}");
    }
    Ok(())
}
