//! What the command does to the machine it runs on: processes, files, descriptors, a full disk, signals.
#![cfg(target_os = "linux")]

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::expected::Expected;
use crate::judge;
use crate::sandbox::{AVWELD, Sandbox, avweld, fixture, names, report};

const IO: i32 = 74;

/// Where the program and its libraries live, and what the kernel tells.
const SYSTEM: [&str; 9] =
    ["/usr/lib", "/lib", "/etc/ld.so", "/proc/", "/sys/", "/dev/null", "/dev/urandom", "/etc/ssl/", "/etc/gnutls/"];

#[test]
fn one_process_runs_and_opens_nothing_foreign() {
    for case in ["ts-h264-aac", "fmp4-separate-audio", "aes128", "packed-aac"] {
        let sandbox = Sandbox::new();
        let mut strace = Command::new("strace");
        // A log for each thread: in a common one a call may be cut in two by another's.
        strace.args([
            "-ff",
            "-y",
            "-qq",
            "-s",
            "4096",
            "-e",
            "trace=execve,execveat,open,openat,openat2,creat,connect",
        ]);
        strace.arg("-o").arg(sandbox.input().join("log")).arg(AVWELD);
        sandbox.arguments(&mut strace, fixture(case).join("index.m3u8"), sandbox.output("out.mp4"));
        let output = strace.output().expect("strace runs; `make deps` installs it");
        assert_eq!(report(&output)["status"], "ok", "{case}");

        let logs = names(&sandbox.input());
        let log: String = logs.iter().map(|l| fs::read_to_string(sandbox.input().join(l)).unwrap()).collect();
        let calls: Vec<&str> = log.lines().filter(|l| !l.contains(" = -1 ")).collect();
        let of = |name: &str| calls.iter().filter(|l| l.starts_with(name)).count();
        assert_eq!(of("execve"), 1, "{case}: processes\n{log}");
        assert_eq!(of("connect"), 0, "{case}: connections\n{log}");
        let opens = || calls.iter().filter(|l| l.starts_with("open") || l.starts_with("creat"));
        let own: Vec<PathBuf> = vec![fixture(case), sandbox.output(""), sandbox.temp()];
        let foreign: Vec<_> = opens().filter(|l| !opened(l).is_some_and(|path| is_ours(&path, &own))).collect();
        assert!(foreign.is_empty(), "{case}: opened\n{foreign:#?}");
        let playlist = opens().any(|l| opened(l).is_some_and(|path| path.ends_with("index.m3u8")));
        assert!(playlist, "{case}: strace did not see the playlist opened:\n{log}");
    }
}

/// The path of a line of `strace -y`, which shows what a descriptor stands for: `openat(5</folder>, "name", …`.
fn opened(line: &str) -> Option<PathBuf> {
    let (before, rest) = line.split_once('"')?;
    let folder = before.split_once('<').map_or("", |(_, folder)| folder.trim_end_matches([' ', ',', '>']));
    Some(Path::new(folder).join(rest.split_once('"')?.0))
}

fn is_ours(path: &Path, own: &[PathBuf]) -> bool {
    let text = path.to_string_lossy();
    own.iter().any(|folder| path.starts_with(folder)) || SYSTEM.iter().any(|prefix| text.starts_with(prefix))
}

#[test]
fn the_filter_for_foreign_files_can_fail() {
    let line = r#"openat(AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC) = 3"#;
    assert!(!is_ours(&opened(line).unwrap(), &["/in".into()]));
    let line = r#"openat(AT_FDCWD</cwd>, "/in/a.ts", O_RDONLY|O_CLOEXEC) = 3</in/a.ts>"#;
    assert!(is_ours(&opened(line).unwrap(), &["/in".into()]));
    let line = r#"openat(5</in>, "a.ts", O_RDONLY|O_CLOEXEC) = 6</in/a.ts>"#;
    assert!(is_ours(&opened(line).unwrap(), &["/in".into()]));
    assert!(!is_ours(&opened(line).unwrap(), &["/out".into()]));
}

/// A playlist that names the three segments of the plain case again and again.
fn long_playlist(folder: &Path, rounds: usize) -> PathBuf {
    for i in 0..3 {
        let name = format!("index{i}.ts");
        fs::copy(fixture("ts-h264-aac").join(&name), folder.join(&name)).unwrap();
    }
    let mut text = String::from("#EXTM3U\n#EXT-X-TARGETDURATION:1\n");
    for round in 0..rounds {
        let head = if round == 0 { "" } else { "#EXT-X-DISCONTINUITY\n" };
        writeln!(text, "{head}#EXTINF:1,\nindex0.ts\n#EXTINF:1,\nindex1.ts\n#EXTINF:1,\nindex2.ts").unwrap();
    }
    text.push_str("#EXT-X-ENDLIST\n");
    fs::write(folder.join("long.m3u8"), text).unwrap();
    folder.join("long.m3u8")
}

#[test]
fn two_thousand_segments_need_few_descriptors() {
    const ROUNDS: u64 = 667;
    let sandbox = Sandbox::new();
    let input = long_playlist(&sandbox.input(), ROUNDS as usize);
    let mut shell = limited("ulimit -n 64");
    sandbox.arguments(&mut shell, input, sandbox.output("out.mp4"));
    let output = shell.output().unwrap();
    let report = report(&output);
    assert_eq!(report["status"], "ok", "{report}");
    assert_eq!(report["segments"]["merged"], 3 * ROUNDS);
    let plain = Expected::parse(&fs::read_to_string(fixture("ts-h264-aac/expected.txt")).unwrap());
    for (track, once) in judge::tracks(&sandbox.output("out.mp4")).iter().zip(&plain.outputs[0]) {
        assert_eq!(track.packets, once.packets * ROUNDS, "{}", track.kind);
        assert!(track.faults.is_empty(), "{}: {:?}", track.kind, track.faults);
    }
    assert_eq!(names(&sandbox.temp()), [""; 0]);
}

/// The command behind a shell that sets a limit first and then becomes it.
fn limited(limit: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{limit}; exec \"$@\""), "sh", AVWELD]);
    shell
}

#[test]
fn a_full_disk_leaves_nothing() {
    let sandbox = Sandbox::new();
    // A file of more than a few KiB fails with EFBIG, as a quota would; the signal is ignored as servers do.
    let mut shell = limited("trap '' XFSZ; ulimit -f 8");
    sandbox.arguments(&mut shell, fixture("ts-h264-aac/index.m3u8"), sandbox.output("out.mp4"));
    let output = shell.arg("-q").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(IO), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert_eq!(report(&output)["error"]["kind"], "disk_full");
    assert_eq!(sandbox.outputs(), [""; 0]);
    assert_eq!(names(&sandbox.temp()), [""; 0]);
}

#[test]
fn a_full_pipe_target_is_told() {
    let sandbox = Sandbox::new();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = avweld()
        .args(["merge", "-o", "-", "-q", "--temp-dir"])
        .args([sandbox.temp(), fixture("ts-h264-aac/index.m3u8")])
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(IO), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(names(&sandbox.temp()), [""; 0]);
}

#[test]
fn a_closed_pipe_is_no_error() {
    let sandbox = Sandbox::new();
    let input = long_playlist(&sandbox.input(), 200);
    let mut child = avweld()
        .args(["merge", "-o", "-", "-q", "--temp-dir"])
        .args([sandbox.temp(), input])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 16];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(names(&sandbox.temp()), [""; 0]);
}

#[test]
fn a_signal_cancels_and_leaves_nothing() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let sandbox = Sandbox::new();
        // Long enough that it cannot be done before the signal comes: 30 000 segments.
        let input = long_playlist(&sandbox.input(), 10_000);
        let mut child = avweld()
            .arg("merge")
            .arg(input)
            .arg("-o")
            .arg(sandbox.output("out.mp4"))
            .args(["--json", "--progress", "json", "--temp-dir"])
            .arg(sandbox.temp())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut events = BufReader::new(child.stderr.take().unwrap()).lines();
        let under_way = events.by_ref().map(Result::unwrap).find(|line| line.contains("\"progress\""));
        assert!(under_way.is_some(), "no progress event");
        let sent = Command::new("sh").args(["-c", &format!("kill -{signal} {}", child.id())]).status().unwrap();
        assert!(sent.success(), "the merge ended before SIG{signal}");
        let rest: Vec<String> = events.map(Result::unwrap).collect();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code), "SIG{signal}: {rest:?}");
        assert_eq!(report(&output)["error"]["kind"], "cancelled");
        assert_eq!(sandbox.outputs(), [""; 0]);
        assert_eq!(names(&sandbox.temp()), [""; 0]);
    }
}

#[test]
fn an_output_is_brought_to_disk_before_it_gets_its_name_unless_that_is_not_wanted() {
    let syncs = |arguments: &[&str]| {
        let sandbox = Sandbox::new();
        let trace = sandbox.output("trace");
        let mut command = Command::new("strace");
        command.args(["-f", "-e", "trace=fsync,fdatasync,rename,renameat2,link,linkat", "-o"]).arg(&trace);
        command.arg(AVWELD);
        sandbox.arguments(&mut command, fixture("ts-h264-aac").join("index.m3u8"), sandbox.output("out.mp4"));
        let output = command.args(arguments).output().expect("strace runs; `make deps` installs it");
        assert_eq!(report(&output)["status"], "ok");
        let trace = std::fs::read_to_string(trace).unwrap();
        let calls: Vec<&str> =
            trace.lines().filter_map(|l| l.split_whitespace().nth(1)?.split_once('(')).map(|c| c.0).collect();
        calls.iter().map(|call| call.contains("sync")).collect::<Vec<bool>>()
    };
    assert_eq!(syncs(&[]), [true, false, true], "file, name, folder");
    assert_eq!(syncs(&["--no-fsync"]), [false]);
}
