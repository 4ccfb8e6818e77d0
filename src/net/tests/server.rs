//! A server on loopback that answers as a test says, byte for byte.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use url::Url;

/// What is done with one request.
pub(crate) enum Reply {
    /// These bytes, and the connection's end.
    Bytes(Vec<u8>),
    /// These bytes, and then nothing until the client goes away.
    Stall(Vec<u8>),
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) head: String,
}

impl Seen {
    /// The values of a header, joined; empty without one.
    pub(crate) fn header(&self, name: &str) -> String {
        let values = self.head.lines().filter_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        });
        values.collect::<Vec<_>>().join(" | ")
    }
}

type Script = dyn Fn(usize, &Seen) -> Reply + Send + Sync;

/// Ends with its test.
pub(crate) struct Server {
    port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// `script` gets the number of the request, from 0, and the request.
    pub(crate) fn start(script: impl Fn(usize, &Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (seen, stop) = (Arc::<Mutex<Vec<Seen>>>::default(), Arc::<AtomicBool>::default());
        let script: Arc<Script> = Arc::new(script);
        let (log, stopped) = (seen.clone(), stop.clone());
        let thread = named(move || {
            let mut connections = Vec::new();
            for stream in listener.incoming().flatten() {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                let (log, script, stopped) = (log.clone(), script.clone(), stopped.clone());
                connections.push(named(move || serve(stream, &log, &*script, &stopped)));
            }
            connections.into_iter().for_each(|connection| connection.join().expect("no panic in the server"));
        });
        Self { port, seen, stop, thread: Some(thread) }
    }

    pub(crate) fn url(&self, path: &str) -> Url {
        Url::parse(&format!("http://127.0.0.1:{}{path}", self.port)).expect("a URL")
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no panic").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _woken = TcpStream::connect(("127.0.0.1", self.port));
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(thread::panicking() || matches!(ended, Some(Ok(()))), "the server panicked");
    }
}

fn named(work: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    thread::Builder::new().name("test-server".to_owned()).spawn(work).expect("a thread")
}

fn serve(mut stream: TcpStream, log: &Mutex<Vec<Seen>>, script: &Script, stopped: &AtomicBool) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let seen = Seen { path, head };
    let number = {
        let mut log = log.lock().expect("no panic");
        log.push(seen.clone());
        log.len() - 1
    };
    match script(number, &seen) {
        Reply::Bytes(bytes) => drop(stream.write_all(&bytes)),
        Reply::Stall(bytes) => {
            let _sent = stream.write_all(&bytes);
            let _set = stream.set_read_timeout(Some(Duration::from_millis(20)));
            // A read that ends without an error is the client's end.
            while !stopped.load(Ordering::SeqCst) && stream.read(&mut byte).is_err() {}
        }
    }
}

/// An answer whose length is told.
pub(crate) fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    cut(status, headers, body.len(), body)
}

/// An answer that tells another length than its body has.
pub(crate) fn cut(status: &str, headers: &str, length: usize, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n");
    [head.as_bytes(), body].concat()
}

/// An answer whose end is the connection's.
pub(crate) fn endless(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.0 {status}\r\n{headers}\r\n").as_bytes(), body].concat()
}
