//! The command as scripts see it: what it prints where, and its exit codes.
//!
//! What takes a merge to see is tested with the merges; here it is what holds around them.
#![cfg(feature = "cli")]

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// The command under test: what was built with the tests, or a release that `AVWELD_BIN` named when they were built.
const AVWELD: &str = match option_env!("AVWELD_BIN") {
    Some(path) => path,
    None => env!("CARGO_BIN_EXE_avweld"),
};

fn avweld() -> Command {
    let mut command = Command::new(AVWELD);
    // Whoever runs the tests may have a config of their own.
    command.stdin(Stdio::null()).env("XDG_CONFIG_HOME", "/nonexistent");
    command
}

fn run_in<S: AsRef<OsStr>>(folder: &Path, args: impl IntoIterator<Item = S>) -> Result<Output> {
    avweld().current_dir(folder).args(args).output().context("avweld runs")
}

fn run<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Result<Output> {
    run_in(tempfile::tempdir()?.path(), args)
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The one object that `--json` prints.
fn report(output: &Output) -> Result<Value> {
    let text = stdout(output);
    assert_eq!(text.matches('\n').count(), 1, "not one line: {text:?}");
    serde_json::from_str(&text).with_context(|| format!("not JSON: {text:?}"))
}

#[test]
fn the_version_is_one_line_and_verbose_tells_libav_and_licences() -> Result<()> {
    let line = concat!("avweld ", env!("CARGO_PKG_VERSION"), "\n");
    for arguments in [["-V"], ["--version"]] {
        assert_eq!(stdout(&run(arguments)?), line, "{arguments:?}");
    }
    for arguments in [&["--version", "-v"][..], &["-v", "--version"], &["-Vv"], &["--version", "--verbose"]] {
        let long = stdout(&run(arguments)?);
        assert!(long.starts_with(line), "{arguments:?}: {long}");
        for needle in [
            "\nlibavformat ",
            "\nlibavcodec ",
            "\nlibavutil ",
            "\nlibav's configuration: --",
            "GPL version",
            "MIT License",
        ] {
            assert!(long.contains(needle), "{arguments:?}: no {needle:?} in {long}");
        }
    }
    Ok(())
}

#[test]
fn help_is_data_and_names_every_command() -> Result<()> {
    let help = run(["--help"])?;
    assert_eq!(help.status.code(), Some(0));
    for word in ["merge", "batch", "inspect", "bench", "completions", "man", "Examples:", "Exit codes:"] {
        assert!(stdout(&help).contains(word), "{word}");
    }
    for command in ["merge", "batch", "inspect", "bench", "completions", "man"] {
        let help = run([command, "--help"])?;
        assert_eq!((help.status.code(), stderr(&help)), (Some(0), String::new()), "{command}");
        assert!(stdout(&help).lines().all(|line| line.chars().count() <= 100), "{command}");
    }
    Ok(())
}

#[test]
fn usage_errors_exit_with_2_and_print_no_data() -> Result<()> {
    let calls: &[&[&str]] = &[
        &[],
        &["-v"],
        &["frobnicate"],
        &["merge"],
        &["merge", "a.ts", "--frobnicate"],
        &["merge", "a.ts", "-y", "--skip-existing"],
        &["merge", "a.ts", "-f", "avi"],
        &["merge", "a.ts", "--on-gap", "maybe"],
        &["merge", "a.ts", "--variant", "720px"],
        &["merge", "a.ts", "--audio", "english please"],
        &["merge", "a.ts", "--iv", "xyz"],
        &["merge", "a.ts", "-q", "-v"],
        &["merge", "a.ts", "--json", "-o", "-"],
        &["merge", "-", "-o", "x.mp4"],
        &["merge", "-", "a.ts", "--base-url", ".", "-o", "x.mp4"],
        &["merge", "a.m3u8", "--base-url", ".", "-o", "x.mp4"],
        &["merge", "a.ts", "--header", "no colon"],
        &["merge", "a.ts", "--proxy", "ftp://h"],
        &["merge", "a.ts", "--limit-rate", "0"],
        &["merge", "a.ts", "-N", "0"],
        &["merge", "a.ts", "--read-timeout", "0"],
        &["merge", "a.ts", "--retry-delay", "-1"],
        &["merge", "a.ts", "--address-policy", "none"],
        &["merge", "https://h/\n"],
        &["inspect", "a.ts", "-H", "no colon"],
        &["inspect", "a.ts", "-N", "2"],
        &["batch"],
        &["batch", "nowhere", "--shard", "4/4"],
        &["batch", "nowhere", "-j", "0"],
        &["merge", "a.ts", "--config", "nowhere.toml"],
        &["inspect"],
        &["inspect", "a.m3u8", "b.m3u8"],
        &["inspect", "-"],
        &["completions", "tcsh-ng"],
    ];
    for args in calls {
        let output = run(*args)?;
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", stderr(&output));
        assert_eq!(stdout(&output), "", "{args:?}");
        assert!(!output.stderr.is_empty(), "{args:?}");
    }
    Ok(())
}

#[test]
fn a_usage_error_of_a_job_is_in_its_report() -> Result<()> {
    let output = run(["merge", "-", "-o", "x.mp4", "--json"])?;
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(report(&output)?["error"]["kind"], "usage");
    Ok(())
}

#[test]
fn a_rejected_key_fails_the_job_before_anything_is_read() -> Result<()> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("short.key"), [7; 15])?;
    let output = run_in(folder.path(), ["merge", "a.m3u8", "--key", "short.key", "-o", "out/x.mp4", "--json"])?;
    assert_eq!(output.status.code(), Some(65));
    assert_eq!(stderr(&output), "avweld: error: key rejected: 15 bytes, 16 needed\n");
    let expected = json!({
        "job": "x", "status": "failed", "output": "out/x.mp4", "outputs": [],
        "error": {
            "kind": "key", "exit_code": 65, "message": "key rejected: 15 bytes, 16 needed",
            "segment": null, "retryable": false,
        },
    });
    assert_eq!(report(&output)?, expected);
    assert!(!folder.path().join("out").exists());

    let output = run(["inspect", "a.m3u8", "--key", "00"])?;
    assert_eq!((output.status.code(), stdout(&output)), (Some(65), String::new()));
    Ok(())
}

#[test]
fn a_key_shows_in_no_message() -> Result<()> {
    let mistyped = "00112233445566778899aabbccddeefg";
    let output = run(["merge", "a.m3u8", "--key", mistyped, "-o", "x.mp4", "--json", "-vv"])?;
    assert_eq!(output.status.code(), Some(66));
    assert!(!stderr(&output).contains("0011") && !stdout(&output).contains("0011"));
    Ok(())
}

#[test]
fn a_header_or_proxy_that_cannot_be_sent_shows_in_no_message() -> Result<()> {
    for option in [["-H", "Bearer hush"], ["-H", "A: hush\r\nB: c"], ["--proxy", "ftp://u:hush@h"]] {
        for command in ["merge", "inspect"] {
            let args = [&[command, "a.m3u8", "-vv"], &option[..]].concat();
            let output = run(&args)?;
            assert_eq!(output.status.code(), Some(2), "{args:?}: {}", stderr(&output));
            assert!(!stderr(&output).contains("hush") && stdout(&output).is_empty(), "{}", stderr(&output));
        }
    }
    Ok(())
}

#[test]
fn a_server_that_is_not_there_is_worth_another_try() -> Result<()> {
    for command in ["merge", "inspect"] {
        // Nothing listens on the port for tcpmux.
        let output = run([command, "http://127.0.0.1:1/v/index.m3u8?token=hush", "--retries", "0"])?;
        assert_eq!(output.status.code(), Some(75), "{}", stderr(&output));
        assert_eq!(stdout(&output), "");
        assert!(stderr(&output).contains("cannot connect to 127.0.0.1"), "{}", stderr(&output));
        assert!(!stderr(&output).contains("hush"), "{}", stderr(&output));
    }
    Ok(())
}

#[test]
fn an_output_that_exists_is_skipped_when_asked_for() -> Result<()> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("index.mp4"), "old")?;

    // Named after the input; which is not looked at, nor need it exist.
    let output = run_in(folder.path(), ["merge", "v/index.m3u8", "--skip-existing", "--json"])?;
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
    let expected = json!({"job": "index", "status": "skipped", "output": "index.mp4", "outputs": ["index.mp4"]});
    assert_eq!(report(&output)?, expected);

    let output = run_in(folder.path(), ["merge", "v/index.m3u8", "--skip-existing", "--name", "lesson"])?;
    assert_eq!((output.status.code(), stdout(&output)), (Some(0), String::new()));
    assert_eq!(stderr(&output), "index.mp4: exists, skipped\n");

    let output = run_in(folder.path(), ["merge", "v/index.m3u8", "--skip-existing", "-q"])?;
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
    assert_eq!(fs::read(folder.path().join("index.mp4"))?, b"old");
    Ok(())
}

#[test]
fn odd_names_are_names() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for name in [&b"-x.mp4"[..], b"--json", b"a:b.mp4", b"%03d.mp4", b"a\xffb.mp4", b"a\nb\x1b.mp4"] {
        let name = OsStr::from_bytes(name);
        fs::write(folder.path().join(name), "old")?;
        let args = ["merge", "a.ts", "--skip-existing", "--json", "-o"].map(OsString::from);
        let output = run_in(folder.path(), args.iter().map(OsString::as_os_str).chain([name]))?;
        assert_eq!(output.status.code(), Some(0), "{name:?}: {}", stderr(&output));
        assert_eq!(report(&output)?["output"], name.to_string_lossy().as_ref());
    }
    let output = run_in(folder.path(), ["merge", "a.ts", "--skip-existing", "-o", "a\nb\x1b.mp4"])?;
    assert_eq!(stderr(&output), "a\\nb\\u{1b}.mp4: exists, skipped\n");
    Ok(())
}

#[test]
fn completions_for_every_shell() -> Result<()> {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = run(["completions", shell])?;
        assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()), "{shell}");
        assert!(stdout(&output).contains("skip-existing"), "{shell}");
    }
    Ok(())
}

#[test]
fn the_man_page_is_roff() -> Result<()> {
    let output = run(["man"])?;
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
    assert!(stdout(&output).contains(".TH avweld 1"));
    Ok(())
}

#[test]
fn a_reader_that_is_gone_is_no_error() -> Result<()> {
    let (reader, writer) = std::io::pipe()?;
    drop(reader);
    let output = avweld().arg("man").stdout(writer).stderr(Stdio::piped()).spawn()?.wait_with_output()?;
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
    Ok(())
}

#[cfg(target_os = "linux")]
#[test]
fn standard_output_that_is_full_is_an_error() -> Result<()> {
    let full = fs::File::options().write(true).open("/dev/full")?;
    let output = avweld().arg("man").stdout(full).stderr(Stdio::piped()).spawn()?.wait_with_output()?;
    assert_eq!(output.status.code(), Some(74));
    assert!(stderr(&output).starts_with("avweld: error: cannot write to standard output: "), "{}", stderr(&output));
    Ok(())
}

/// While standard input is read no job runs that could be cancelled: the signal ends the process at once.
#[test]
fn a_file_size_limit_is_an_error_and_not_the_end() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let script = "ulimit -f 1; exec \"$0\" man > page";
    let output = Command::new("sh").current_dir(folder.path()).args(["-c", script]).arg(AVWELD).output()?;
    assert_eq!(output.status.code(), Some(74), "{}", stderr(&output));
    assert!(stderr(&output).contains("cannot write to standard output: file too large"), "{}", stderr(&output));
    Ok(())
}

#[cfg(target_os = "linux")]
#[test]
fn signals_end_the_wait_for_standard_input() -> Result<()> {
    use std::time::{Duration, Instant};

    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let mut child =
            avweld().args(["merge", "-", "--base-url", ".", "-o", "x.mp4"]).stdin(Stdio::piped()).spawn()?;
        // Held open: `wait` would close it, and the command would read its end.
        let stdin = child.stdin.take();
        let started = Instant::now();
        while !has_thread(child.id(), "signals")? {
            assert!(started.elapsed() < Duration::from_secs(30), "nobody waits for {signal}");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(Command::new("kill").args(["-s", signal, &child.id().to_string()]).status()?.success());
        assert_eq!(child.wait()?.code(), Some(code), "{signal}");
        drop(stdin);
    }
    Ok(())
}

/// True if a process has a thread of that name. The one for signals begins after the handlers stand.
#[cfg(target_os = "linux")]
fn has_thread(process: u32, name: &str) -> Result<bool> {
    let names = fs::read_dir(format!("/proc/{process}/task"))?
        .map(|task| Ok(fs::read_to_string(task?.path().join("comm"))?))
        .collect::<Result<Vec<_>>>()?;
    Ok(names.iter().any(|comm| comm.trim_end() == name))
}

/// What a look into all of the media prints, for people.
#[test]
fn inspect_shows_runs_and_draws_the_timeline() -> Result<()> {
    let index = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/unmarked-reset/index.m3u8");
    let mut command = avweld();
    command.args(["inspect", index, "--deep", "--timeline"]).env("LC_ALL", "C").env("COLUMNS", "60");
    let output = command.output().context("avweld runs")?;
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
    let text = stdout(&output);
    for words in ["2 resets", "run  begins  segment  offset", "0 video h264  25", "1 audio aac"] {
        assert!(text.contains(words), "no {words:?} in\n{text}");
    }
    // Three segments of a second on one clock each: the picture has two resets, a third of its width apart.
    let (_, picture) = text.split_once("\n\n").context("a picture")?;
    let video = picture.lines().find(|line| line.starts_with("  0 video h264")).context("a row of the picture")?;
    let resets: Vec<_> = video.char_indices().filter(|(_, c)| *c == 'x').map(|(at, _)| at).collect();
    assert!(matches!(resets[..], [a, b] if (12..=16).contains(&(b - a))), "{picture}");
    assert!(picture.contains("reset that is not marked") && picture.lines().all(|line| line.len() <= 80), "{picture}");
    let json = report(&run(["inspect", index, "--timeline", "--json"])?)?;
    assert_eq!(json["inputs"][0]["deep"]["resets"], 2);
    assert!(report(&run(["inspect", index, "--json"])?)?["inputs"][0].get("deep").is_none());
    Ok(())
}
