//! An HTTP/1.1 server on loopback that answers by script and remembers what it was asked.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::fault::{Answer, Site};
use crate::reply::{Files, Sent};

/// The largest head of a request that is read.
const HEAD_BYTES: usize = 256 << 10;
/// A connection on which nothing comes for so long is closed: nothing of a test outlives it for long.
const IDLE: Duration = Duration::from_secs(60);

/// A request, as it came and as it was answered. Times count from the server's start.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// The host of a target in absolute form, which proxies get.
    pub(crate) host: Option<String>,
    /// Without the query.
    pub(crate) path: String,
    /// Without the question mark.
    pub(crate) query: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
    /// Connections are counted from 0.
    pub(crate) connection: u64,
    /// Requests on this connection before this one.
    pub(crate) nth_on_connection: usize,
    /// Requests of this path before this one.
    pub(crate) nth: usize,
    pub(crate) at: Duration,
    /// When the last piece of the answer was handed over; `None`: it is not done, or was broken off.
    pub(crate) answered: Option<Duration>,
    pub(crate) status: u16,
    /// Bytes of the body that were handed over.
    pub(crate) sent_bytes: u64,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Path and query.
    pub(crate) fn target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }

    /// All of it as one text, to look for secrets in.
    pub(crate) fn text(&self) -> String {
        let headers: String = self.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        format!("{} {:?} {}\n{headers}", self.method, self.host, self.target())
    }
}

/// A running server; it ends when this is dropped, and with it every connection.
pub(crate) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

pub(crate) struct Shared {
    begun: Instant,
    site: Site,
    log: Mutex<Vec<Request>>,
    /// Open connections; `None`: the server is at its end.
    open: Mutex<Option<HashMap<u64, TcpStream>>>,
    accepted: AtomicUsize,
    ended: Condvar,
}

impl Server {
    /// Listens on a free port of this address and answers from the site.
    pub(crate) fn start(ip: &str, site: Site) -> Self {
        let listener = TcpListener::bind((ip, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            begun: Instant::now(),
            site,
            log: Mutex::default(),
            open: Mutex::new(Some(HashMap::new())),
            accepted: AtomicUsize::new(0),
            ended: Condvar::new(),
        });
        let serving = Arc::clone(&shared);
        let accepting = named("accept", move || accept(&listener, &serving));
        Self { address, shared, accepting: Some(accepting) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT/path`
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What was asked so far, in the order it came.
    pub(crate) fn requests(&self) -> Vec<Request> {
        lock(&self.shared.log).clone()
    }

    /// Requests of this path.
    pub(crate) fn requests_of(&self, path: &str) -> Vec<Request> {
        self.requests().into_iter().filter(|request| request.path == path).collect()
    }

    /// How many requests this picks out.
    pub(crate) fn count(&self, picked: impl Fn(&Request) -> bool) -> usize {
        self.requests().iter().filter(|request| picked(request)).count()
    }

    /// The most requests that were being answered at one time, of those that this picks out.
    pub(crate) fn most_at_once(&self, picked: impl Fn(&Request) -> bool) -> usize {
        let mut edges = Vec::new();
        for request in self.requests().iter().filter(|request| picked(request)) {
            edges.push((request.at, 1));
            edges.extend(request.answered.map(|at| (at, -1)));
        }
        // Of one instant the ends come first: what ended cannot be in the way of what begins.
        edges.sort();
        let running = edges.iter().scan(0, |now, (_, step)| {
            *now += step;
            Some(*now)
        });
        running.max().unwrap_or(0).try_into().unwrap()
    }

    /// How many connections were made, also those on which nothing was asked.
    pub(crate) fn connections(&self) -> usize {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// Waits until this many requests that this picks out were answered. Panics after 30 s.
    pub(crate) fn wait_for(&self, many: usize, picked: impl Fn(&Request) -> bool) {
        let begun = Instant::now();
        while self.count(|request| request.answered.is_some() && picked(request)) < many {
            assert!(begun.elapsed() < Duration::from_secs(30), "the server waited for {many} requests in vain");
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for stream in lock(&self.shared.open).take().into_iter().flatten().map(|(_, stream)| stream) {
            // The other end may have gone before: all the same.
            let _gone = stream.shutdown(Shutdown::Both);
        }
        self.shared.ended.notify_all();
        // Wakes the accepting thread, which then sees that this is the end.
        let _woken = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let joined = accepting.join();
            assert!(joined.is_ok() || thread::panicking(), "the server panicked, see above");
        }
    }
}

impl Shared {
    /// Waits; false if the server ended meanwhile.
    pub(crate) fn pause(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut open = lock(&self.open);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if open.is_none() || left.is_zero() {
                return open.is_some();
            }
            open = self.ended.wait_timeout(open, left).unwrap().0;
        }
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }
}

/// A lock that a failed assertion of another thread does not take away.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

pub(crate) fn named<T: Send + 'static>(name: &str, run: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    thread::Builder::new().name(name.to_owned()).spawn(run).unwrap()
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut serving = Vec::new();
    for (id, stream) in (0..).zip(listener.incoming()) {
        let Ok(stream) = stream else { continue };
        match (lock(&shared.open).as_mut(), stream.try_clone()) {
            (Some(open), Ok(clone)) => open.insert(id, clone),
            (None, _) => break,
            (_, Err(_)) => continue,
        };
        shared.accepted.fetch_add(1, Ordering::Relaxed);
        let connection = Arc::clone(shared);
        serving.push(named("serve", move || {
            // An error is the client's going away, or ours at the end.
            let _gone = serve(&connection, id, stream);
            if let Some(open) = lock(&connection.open).as_mut() {
                open.remove(&id);
            }
        }));
    }
    let panicked = serving.into_iter().map(JoinHandle::join).filter(Result::is_err).count();
    assert!(panicked == 0, "{panicked} connections panicked, see above");
}

/// Answers the requests of one connection.
fn serve(shared: &Shared, connection: u64, mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_write_timeout(Some(IDLE))?;
    let mut pending = Vec::new();
    for nth_on_connection in 0.. {
        let Some(head) = read_head(&mut stream, &mut pending)? else { break };
        let Some(mut request) = parse(&head) else {
            return stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        };
        let place = {
            let mut log = lock(&shared.log);
            request.connection = connection;
            request.nth_on_connection = nth_on_connection;
            request.nth = log.iter().filter(|before| before.path == request.path).count();
            request.at = shared.now();
            log.push(request.clone());
            log.len() - 1
        };
        let reply = shared.site.answer(&request);
        let note = |sent: Sent| {
            let entry = &mut lock(&shared.log)[place];
            entry.status = sent.status;
            entry.sent_bytes = sent.bytes;
            if sent.is_last {
                entry.answered = Some(shared.now());
            }
        };
        if !reply.send(&mut stream, &request, shared, note)? {
            break;
        }
    }
    Ok(())
}

/// The bytes up to the empty line; `None` at the end of the connection. What follows stays pending.
pub(crate) fn read_head(stream: &mut TcpStream, pending: &mut Vec<u8>) -> io::Result<Option<String>> {
    loop {
        if let Some(end) = pending.windows(4).position(|window| window == b"\r\n\r\n") {
            let head: Vec<u8> = pending.drain(..end + 4).collect();
            return Ok(Some(String::from_utf8_lossy(&head).into_owned()));
        }
        let mut piece = [0; 4096];
        let n = stream.read(&mut piece)?;
        if n == 0 || pending.len() > HEAD_BYTES {
            return Ok(None);
        }
        pending.extend_from_slice(&piece[..n]);
    }
}

fn parse(head: &str) -> Option<Request> {
    let mut lines = head.split("\r\n");
    let first: Vec<&str> = lines.next()?.split(' ').collect();
    let [method, target, "HTTP/1.1"] = first[..] else { return None };
    let (host, target) = match target.strip_prefix("http://") {
        Some(rest) => {
            let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
            (Some(host.to_owned()), path)
        }
        None => (None, target),
    };
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (target, None),
    };
    let headers = lines.filter_map(|line| line.split_once(": ")).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    Some(Request {
        method: method.to_owned(),
        host,
        path: path.to_owned(),
        query,
        headers,
        connection: 0,
        nth_on_connection: 0,
        nth: 0,
        at: Duration::ZERO,
        answered: None,
        status: 0,
        sent_bytes: 0,
    })
}

impl Site {
    /// What this request gets: the n-th of a scripted path the n-th answer of its script, every other one the
    /// answer for all, or the file.
    fn answer(&self, request: &Request) -> crate::reply::Reply {
        let scripted = self.scripts.get(&request.path).and_then(|script| script.get(request.nth));
        let answer: Option<&Answer> = scripted.or_else(|| self.always.get(&request.path)).or(self.every.as_ref());
        let files: &Files = &self.files;
        match answer {
            Some(answer) => answer(request, files),
            None => files.reply(request),
        }
    }
}
