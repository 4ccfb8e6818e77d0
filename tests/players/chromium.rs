//! Chromium opens every output in `<video>`, seeks to its middle, and plays it to its end.
//!
//! What this build has no decoder for is asked of the browser itself, and told on standard error.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Write, stderr};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::nginx::Nginx;
use crate::outputs::{Merged, merge_all};
use crate::sandbox::Sandbox;

/// How long nothing may be told. The page gives a file up after less.
const PATIENCE: Duration = Duration::from_secs(150);
/// Half a frame's time and more: durations in MP4 are in the ticks of their track.
const TOLERANCE_S: f64 = 0.05;
/// Every build plays these, so a browser that says no is at fault, or its page is.
const ALWAYS: [&str; 2] = ["h264", "aac"];

/// A browser without a window. It and the processes that it started end when this is dropped.
struct Chromium {
    child: Child,
    _profile: TempDir,
}

impl Chromium {
    fn open(url: &str) -> Self {
        let profile = TempDir::with_prefix("avweld-chromium-").unwrap();
        let child = Command::new("chromium")
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"])
            .arg("--autoplay-policy=no-user-gesture-required")
            // Without this it prints an empty page and ends.
            .arg("--remote-debugging-port=0")
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("chromium runs; `make deps` installs it");
        Self { child, _profile: profile }
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        let group = format!("kill -KILL -{}", self.child.id());
        let _killed = Command::new("sh").args(["-c", &group]).status();
        let _ended = self.child.wait();
    }
}

/// Media without an IDR picture: pictures that are shown before a key picture refer to what stands before that, and a
/// decoder that is sent into the middle complains.
const NO_ENTRY: [&str; 2] = ["h264-open-start.mp4", "h264-refresh-start.mp4"];

/// What the page told of each file, by its name; it tells by asking the server for `/told?JSON`.
fn told(nginx: &Nginx) -> BTreeMap<String, Value> {
    let targets = nginx.accesses().into_iter().map(|access| access.target);
    let queries = targets.filter_map(|target| target.strip_prefix("/told?").map(str::to_owned));
    let decode = |query: String| -> Value {
        // One pair whose key is the text.
        let (text, _) = url::form_urlencoded::parse(query.as_bytes()).next().unwrap();
        serde_json::from_str(&text).unwrap()
    };
    queries.map(decode).map(|value| (value["name"].as_str().unwrap().to_owned(), value)).collect()
}

/// What is wrong with how a file played, a line each.
fn faults(merged: &Merged, told: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    if !told["error"].is_null() {
        return vec![format!("{}: {}", merged.name, told["error"])];
    }
    let mut near = |what: &str, wanted: f64| {
        let found = told[what].as_f64().unwrap_or(f64::INFINITY);
        if (found - wanted).abs() > TOLERANCE_S {
            faults.push(format!("{}: {what}: {found}, not {wanted:.3}", merged.name));
        }
    };
    near("duration", merged.end_s);
    near("middle", merged.end_s / 2.0);
    near("end", merged.end_s);
    let mut more_than = |what: &str, least: u64| {
        if told[what].as_u64().is_none_or(|found| found <= least) {
            faults.push(format!("{}: {what}: {}", merged.name, told[what]));
        }
    };
    // The frame at the place it went to is there.
    more_than("ready", 1);
    if merged.kinds().contains(&"video") {
        more_than("width", 0);
        more_than("height", 0);
        more_than("pictures", 0);
    }
    if merged.kinds().contains(&"audio") {
        more_than("audio_bytes", 0);
    }
    faults
}

#[test]
fn every_output_plays_and_seeks_in_chromium() {
    let sandbox = Sandbox::new();
    let merged = merge_all(&sandbox);
    let files: Vec<Value> = merged.iter().map(|m| json!({"name": m.name, "codecs": m.codecs()})).collect();
    fs::write(sandbox.output("files.json"), Value::from(files).to_string()).unwrap();
    fs::write(sandbox.output("page.html"), include_str!("page.html")).unwrap();
    let nginx = Nginx::serve(&sandbox.output(""));
    let browser = Chromium::open(&nginx.url("/page.html"));

    let (mut last, mut found) = (Instant::now(), BTreeMap::new());
    while found.len() < merged.len() && last.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(200));
        let now = told(&nginx);
        if now.len() > found.len() {
            (last, found) = (Instant::now(), now);
        }
    }
    drop(browser);

    let (mut faults_of_all, mut played) = (Vec::new(), 0);
    for merged in &merged {
        let Some(told) = found.get(&merged.name) else {
            faults_of_all.push(format!("{}: the page told nothing of it", merged.name));
            continue;
        };
        if NO_ENTRY.contains(&merged.name.as_str()) && told["error"].is_string() {
            writeln!(
                stderr(),
                "NOT SEEKED: {}: as its source it has no picture to begin at behind the first",
                merged.name
            )
            .unwrap();
            continue;
        }
        let cannot: Vec<&str> = told["cannot"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if cannot.is_empty() {
            faults_of_all.extend(faults(merged, told));
            played += 1;
        } else if cannot.iter().any(|codec| ALWAYS.contains(codec)) {
            faults_of_all.push(format!("{}: the browser says that it cannot play {cannot:?}", merged.name));
        } else {
            let name = &merged.name;
            writeln!(stderr(), "NOT PLAYED: {name}: canPlayType of this Chromium says no to {}", cannot.join(", "))
                .unwrap();
        }
    }
    assert!(faults_of_all.is_empty(), "{}", faults_of_all.join("\n"));
    assert!(played >= 25, "only {played} of {} files could be played", merged.len());
}
