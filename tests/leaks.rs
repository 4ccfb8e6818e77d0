//! What a service leaves in its process: nothing. Alone in its file, so that no other test's threads are counted.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use avweld::{ErrorKind, Job, JobHandle, Options, Service};

/// Threads and open descriptors of this process.
fn held() -> (usize, usize) {
    let count = |folder: &str| fs::read_dir(folder).expect("a folder of /proc").count();
    (count("/proc/self/task"), count("/proc/self/fd"))
}

#[test]
fn cancelled_jobs_leave_no_thread_no_descriptor_and_no_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // It takes connections and requests, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/index.m3u8", silent.local_addr().expect("an address"));
    thread::scope(|scope| {
        let server = scope.spawn(|| {
            let mut taken = Vec::new();
            while let Ok((mut stream, _)) = silent.accept() {
                let mut word = [0; 4];
                if stream.read(&mut word).is_ok_and(|n| &word[..n] == b"STOP") {
                    break;
                }
                taken.push(stream);
            }
        });
        let before = held();
        for round in 0..20_u64 {
            let service = Service::builder().temp_dir(folder.path()).build().expect("a service");
            let local = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/discontinuity/index.m3u8");
            let job = |n: u64| {
                let output = folder.path().join(format!("{round}-{n}.mp4"));
                let input = if n.is_multiple_of(2) { url.clone() } else { local.to_string_lossy().into_owned() };
                Job::new(input, output).options(Options::default())
            };
            let handles: Vec<JobHandle> = (0..12).map(|n| service.submit(job(n))).collect();
            let moment = Instant::now() + Duration::from_micros(round * 1_700);
            while Instant::now() < moment {
                thread::yield_now();
            }
            let since = Instant::now();
            handles.iter().for_each(JobHandle::cancel);
            for error in handles.into_iter().filter_map(|handle| handle.wait().err()) {
                assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
            }
            assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
            service.stop();
        }
        // The silent server's own ends of connections that are closed on ours by now.
        use std::io::Write;
        let mut stop = std::net::TcpStream::connect(silent.local_addr().expect("an address")).expect("a connection");
        stop.write_all(b"STOP").expect("it listens");
        server.join().expect("no panic");
        drop(stop);
        // A thread that was joined may stand in /proc for moments yet.
        let until = Instant::now() + Duration::from_secs(2);
        let is_back = |(threads, descriptors): (usize, usize)| threads < before.0 && descriptors <= before.1;
        while !is_back(held()) && Instant::now() < until {
            thread::yield_now();
        }
        let (threads, descriptors) = held();
        assert!(threads < before.0, "{threads} threads, {} before with the server's own", before.0);
        assert!(descriptors <= before.1, "{descriptors} descriptors, {} before", before.1);
    });
    let left: Vec<String> = fs::read_dir(folder.path())
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| !name.ends_with(".mp4") || name.starts_with('.'))
        .collect();
    assert_eq!(left, [""; 0]);
}
