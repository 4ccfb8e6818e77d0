//! Many jobs at once: each output holds its own source and nothing else, and nothing is left behind.
//!
//! With `AVWELD_HEAVY=1` there are as many jobs as the project promises; by default fewer.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use avweld::{ErrorKind, Event, Job, JobHandle, JobStatus, NetworkOptions, Options, Service};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// Sources that differ, among them such with several inputs and with keys.
const SOURCES: [&str; 10] = [
    "ts-h264-aac",
    "fmp4-separate-audio",
    "aes128-rotation",
    "packed-aac",
    "packed-mp3",
    "ts-hevc-aac",
    "fmp4-two-maps",
    "discontinuity",
    "wrap-33bit",
    "ts-ac3",
];

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name).join("index.m3u8")
}

/// Folders of a test's own.
struct Folders {
    root: TempDir,
}

impl Folders {
    fn new() -> Self {
        let root = TempDir::with_prefix("avweld-test-").expect("a temporary folder");
        for name in ["out", "temp"] {
            fs::create_dir(root.path().join(name)).expect("a folder");
        }
        Self { root }
    }

    fn output(&self, name: &str) -> PathBuf {
        self.root.path().join("out").join(name)
    }

    fn temp(&self) -> PathBuf {
        self.root.path().join("temp")
    }

    fn job(&self, source_name: &str, output: &str) -> Job {
        let mut options = Options::default();
        options.temp_dir = Some(self.temp());
        Job::new(source(source_name), self.output(output)).name("video").options(options)
    }

    fn left(&self) -> Vec<String> {
        let names = |folder: PathBuf| -> Vec<String> {
            let entries = fs::read_dir(folder).expect("a folder");
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
        };
        let parts = names(self.output("")).into_iter().filter(|name| name.starts_with('.'));
        names(self.temp()).into_iter().chain(parts).collect()
    }
}

fn hash(path: &Path) -> String {
    hex::encode(Sha256::digest(fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))))
}

/// What each source gives when it is merged alone.
fn alone(folders: &Folders) -> HashMap<&'static str, String> {
    let merge = |name: &'static str| {
        let output = format!("alone-{name}.mp4");
        folders.job(name, &output).run().unwrap_or_else(|e| panic!("{name}: {e}"));
        (name, hash(&folders.output(&output)))
    };
    SOURCES.into_iter().map(merge).collect()
}

fn service(places: usize) -> Service {
    Service::builder().max_concurrent_downloads(places).max_concurrent_merges(places).build().expect("a service")
}

/// How many jobs a test takes: more where `AVWELD_HEAVY` is set.
fn scaled(jobs: usize, heavy: usize) -> usize {
    if std::env::var_os("AVWELD_HEAVY").is_some() { heavy } else { jobs }
}

#[test]
fn jobs_of_one_name_hold_their_own_source_each() {
    let folders = Folders::new();
    let alone = alone(&folders);
    let jobs = scaled(100, 1000);
    let service = service(16);
    let submit = |n: usize| service.submit(folders.job(SOURCES[n % 10], &format!("{n}.mp4")));
    let handles: Vec<JobHandle> = (0..jobs).map(submit).collect();
    for (n, handle) in handles.into_iter().enumerate() {
        let report = handle.wait().unwrap_or_else(|e| panic!("job {n}: {e}"));
        assert_eq!(report.job, "video");
        assert_eq!(hash(&folders.output(&format!("{n}.mp4"))), alone[SOURCES[n % 10]], "job {n}: {}", SOURCES[n % 10]);
    }
    assert_eq!(folders.left(), [""; 0]);
}

#[test]
fn the_number_of_workers_shows_in_no_output() {
    let mut seen: HashMap<usize, HashSet<String>> = HashMap::new();
    for workers in [1, 2, 8, 64] {
        let folders = Folders::new();
        let service = service(workers);
        let submit = |n: usize| service.submit(folders.job(SOURCES[n % 10], &format!("{n}.mp4")));
        let handles: Vec<JobHandle> = (0..30).map(submit).collect();
        for (n, handle) in handles.into_iter().enumerate() {
            handle.wait().unwrap_or_else(|e| panic!("{workers} workers, job {n}: {e}"));
            seen.entry(n).or_default().insert(hash(&folders.output(&format!("{n}.mp4"))));
        }
    }
    assert!(seen.values().all(|hashes| hashes.len() == 1), "{seen:?}");
}

#[test]
fn one_output_path_has_one_writer() {
    let folders = Folders::new();
    let service = service(4);
    let one = service.submit(folders.job("ts-h264-aac", "same.mp4"));
    let other = service.submit(folders.job("packed-aac", "same.mp4"));
    let error = other.wait().expect_err("the path is taken");
    assert_eq!(error.kind(), ErrorKind::Exists, "{error}");
    assert!(error.to_string().contains("another job"), "{error}");
    one.wait().expect("the first writes it");
    assert_eq!(folders.left(), [""; 0]);
}

#[test]
fn a_panic_is_that_jobs_error_and_the_others_go_on() {
    let folders = Folders::new();
    let service = service(4);
    let submit = |n: usize| {
        let job = folders.job(SOURCES[n % 10], &format!("{n}.mp4"));
        let job = if n % 64 == 20 {
            job.observer(|event: &Event| {
                if matches!(event, Event::Started { .. }) {
                    std::panic::resume_unwind(Box::new("a fault of the listener's"));
                }
            })
        } else {
            job
        };
        service.submit(job)
    };
    let handles: Vec<JobHandle> = (0..64).map(submit).collect();
    let outcomes: Vec<_> = handles.into_iter().map(JobHandle::wait).collect();
    for (n, outcome) in outcomes.iter().enumerate() {
        match outcome {
            Err(error) if n == 20 => assert_eq!(error.kind(), ErrorKind::Internal, "{error}"),
            Err(error) => panic!("job {n}: {error}"),
            Ok(_) => assert_ne!(n, 20),
        }
    }
    assert_eq!(folders.left(), [""; 0]);
}

#[test]
fn a_cancelled_job_is_back_at_once_wherever_it_is() {
    let folders = Folders::new();
    let jobs = scaled(60, 200);
    let service = service(2);
    let mut waits = Vec::new();
    for n in 0..jobs {
        let before: Vec<JobHandle> =
            (0..3).map(|i| service.submit(folders.job("discontinuity", &format!("{n}-{i}.mp4")))).collect();
        let handle = service.submit(folders.job("ts-h264-aac", &format!("{n}.mp4")));
        // Wherever the job has come to by then: in the queue, in its plan, in the middle of the merge, at its end.
        let moment = Instant::now() + Duration::from_micros((n as u64 * 7919) % 12_000);
        while Instant::now() < moment {
            thread::yield_now();
        }
        let since = Instant::now();
        handle.cancel();
        let outcome = handle.wait();
        waits.push(since.elapsed());
        if let Err(error) = outcome {
            assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
            assert!(!folders.output(&format!("{n}.mp4")).exists());
        }
        before.into_iter().for_each(|handle| drop(handle.wait().expect("not cancelled")));
    }
    waits.sort();
    println!(
        "{jobs} moments: median {:?}, 99th {:?}, most {:?}",
        waits[jobs / 2],
        waits[jobs * 99 / 100],
        waits[jobs - 1]
    );
    assert!(waits[waits.len() * 99 / 100] < Duration::from_millis(250), "{waits:?}");
    service.stop();
    assert_eq!(folders.left(), [""; 0]);
}

#[test]
fn a_budget_of_memory_lets_one_merge_at_a_time_and_the_others_hear_why_they_wait() {
    let folders = Folders::new();
    let service = Service::builder().max_concurrent_merges(4).memory_bytes(1).build().expect("a service");
    let events = service.events();
    let submit = |n: usize| service.submit(folders.job("discontinuity", &format!("{n}.mp4")).name(format!("{n}")));
    let handles: Vec<JobHandle> = (0..20).map(submit).collect();
    handles.into_iter().for_each(|handle| drop(handle.wait().expect("it merges")));
    let (mut merging, mut waited) = (HashSet::new(), HashSet::new());
    for event in events.try_iter() {
        match event {
            Event::Started { job, .. } => {
                assert!(merging.is_empty(), "{job} beside {merging:?}");
                merging.insert(job);
            }
            Event::Published { job, .. } => assert!(merging.remove(&job)),
            Event::Waiting { job, reason } => {
                assert_eq!(reason, "memory");
                assert!(waited.insert(job.clone()), "{job} was told twice");
            }
            _ => {}
        }
    }
    assert!(!waited.is_empty());
}

/// Serves a fixture's files below any folder, each after a delay; those that it is told to stall on never. Ends when
/// it is dropped.
struct Server {
    address: SocketAddr,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(fixture: &str, delay: Duration, stalls_on: &'static str) -> Self {
        let folder = source(fixture).with_file_name("");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let over = Arc::new(AtomicBool::new(false));
        let ended = over.clone();
        let thread = thread::Builder::new().name("server".to_owned());
        let thread = thread.spawn(move || {
            thread::scope(|scope| {
                let mut stalled = Vec::new();
                while let (Ok((stream, _)), false) = (listener.accept(), ended.load(Ordering::Relaxed)) {
                    let name = asked_for(&stream);
                    if !stalls_on.is_empty() && name.ends_with(stalls_on) {
                        stalled.push(stream);
                    } else {
                        let path = folder.join(name);
                        scope.spawn(move || answer(stream, &path, delay));
                    }
                }
            });
        });
        let thread = thread.expect("a thread");
        Self { address, over, thread: Some(thread) }
    }

    fn url(&self, folder: &str) -> String {
        format!("http://{}/{folder}/index.m3u8", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // Nothing else wakes it.
        drop(TcpStream::connect(self.address));
        drop(self.thread.take().map(JoinHandle::join));
    }
}

/// The last part of a request's path; empty where there is none.
fn asked_for(stream: &TcpStream) -> String {
    drop(stream.set_read_timeout(Some(Duration::from_secs(5))));
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let path = lines.next().and_then(|line| line.split(' ').nth(1).map(str::to_owned)).unwrap_or_default();
    lines.take_while(|line| !line.is_empty()).for_each(drop);
    path.rsplit('/').next().unwrap_or_default().to_owned()
}

/// One that has gone away is not waited for.
fn answer(mut stream: TcpStream, path: &Path, delay: Duration) {
    thread::sleep(delay);
    let (status, body) = fs::read(path).map_or(("404 Not Found", Vec::new()), |body| ("200 OK", body));
    let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    let _gone = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
}

/// How long thirty-one downloads take, beside one more where its URL is given.
fn time_beside(stalled: Option<&str>) -> Duration {
    let folders = Folders::new();
    let server = Server::start("packed-aac", Duration::from_millis(500), "");
    let mut network = NetworkOptions::default();
    (network.connections, network.connections_per_host) = (64, 64);
    let service = Service::builder().network(network).build().expect("a service");
    let job = |url: &str, output: &str| {
        let mut options = Options::default();
        options.temp_dir = Some(folders.temp());
        service.submit(Job::new(url, folders.output(output)).options(options))
    };
    let since = Instant::now();
    let stalled = stalled.map(|url| job(url, "stalled.mp4"));
    let others: Vec<JobHandle> = (0..31).map(|n| job(&server.url(&n.to_string()), &format!("{n}.mp4"))).collect();
    others.into_iter().for_each(|handle| drop(handle.wait().expect("it is served")));
    let took = since.elapsed();
    if let Some(handle) = stalled {
        assert_ne!(handle.status(), JobStatus::Ended);
        handle.cancel();
        assert_eq!(handle.wait().expect_err("it is cancelled").kind(), ErrorKind::Cancelled);
    }
    service.stop();
    assert_eq!(folders.left(), [""; 0]);
    took
}

#[test]
fn a_server_that_stalls_holds_up_no_other_job() {
    for stalls_on in ["index.m3u8", ".aac"] {
        let silent = Server::start("packed-aac", Duration::ZERO, stalls_on);
        let url = silent.url("silent");
        // Whatever else the machine does at the time is in the figures: it must be seen once in three times.
        let mut figures = Vec::new();
        let as_fast = (0..3).any(|_| {
            let (without, with) = (time_beside(None), time_beside(Some(&url)));
            println!("stalled on {stalls_on}: {with:.2?}, without {without:.2?}");
            figures.push((without, with));
            with <= without.mul_f64(1.1)
        });
        assert!(as_fast, "stalled on {stalls_on}: {figures:?}");
    }
}

#[test]
fn stopping_ends_all_and_tells_everyone() {
    let folders = Folders::new();
    let service = service(2);
    let handles: Vec<JobHandle> =
        (0..200).map(|n| service.submit(folders.job("discontinuity", &format!("{n}.mp4")))).collect();
    let since = Instant::now();
    service.stop();
    assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
    let mut cancelled = 0;
    for handle in handles {
        assert_eq!(handle.status(), JobStatus::Ended);
        match handle.wait() {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
                cancelled += 1;
            }
        }
    }
    assert!(cancelled > 0);
    assert_eq!(folders.left(), [""; 0]);
}

#[test]
fn events_come_in_order_and_handles_are_futures() {
    let folders = Folders::new();
    let service = service(2);
    let events = service.events();
    let job = folders.job("ts-h264-aac", "a.mp4").name("a");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let report = runtime.block_on(service.submit(job)).expect("it merges");
    assert_eq!(report.segments.merged, 3);
    let names: Vec<&str> = events
        .try_iter()
        .map(|event| match event {
            Event::Queued { .. } => "queued",
            Event::Started { .. } => "started",
            Event::Progress { .. } => "progress",
            Event::Verifying { .. } => "verifying",
            Event::Published { .. } => "published",
            Event::Ended { error: None, .. } => "ended",
            other => panic!("{other:?}"),
        })
        .filter(|name| *name != "progress")
        .collect();
    assert_eq!(names, ["queued", "started", "verifying", "published", "ended"]);
}

#[test]
fn services_side_by_side_do_not_disturb_each_other() {
    let folders = Folders::new();
    let (one, other) = (service(2), service(2));
    let heard = Arc::new(AtomicU64::new(0));
    let submit = |service: &Service, n: usize| {
        let heard = heard.clone();
        let job = folders.job("ts-h264-aac", &format!("{n}.mp4")).observer(move |event: &Event| {
            heard.fetch_add(u64::from(matches!(event, Event::Published { .. })), Ordering::Relaxed);
        });
        service.submit(job)
    };
    let stopped: Vec<JobHandle> = (0..20).map(|n| submit(&one, n)).collect();
    let kept: Vec<JobHandle> = (20..40).map(|n| submit(&other, n)).collect();
    one.stop();
    let merged = stopped.into_iter().filter(|h| h.status() == JobStatus::Ended).filter_map(|h| h.wait().ok()).count();
    for handle in kept {
        handle.wait().expect("the other service goes on");
    }
    assert_eq!(heard.load(Ordering::Relaxed), 20 + merged as u64);
    assert_eq!(folders.left(), [""; 0]);
}
