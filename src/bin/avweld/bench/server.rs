//! A small HTTP/1.1 server on loopback, for one folder: what a merge by HTTP is measured against.

use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use avweld::{Error, Result};
use url::Url;

/// More connections than these are closed at once; a job has fewer.
const CONNECTIONS: usize = 64;
/// The largest head of a request that is read, and how long one may take.
const HEAD_BYTES: u64 = 16 << 10;
const IDLE: Duration = Duration::from_secs(30);

/// It ends, with all its connections, when this is dropped.
pub(super) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    root: PathBuf,
    /// Paths begin with it, so that no other user of the machine reads along.
    token: String,
    ended: AtomicBool,
    open: Mutex<HashMap<u64, TcpStream>>,
}

impl Server {
    /// Serves a folder on a free port of 127.0.0.1.
    pub(super) fn start(root: &Path) -> Result<Self> {
        let failed = |e| Error::io("cannot serve the bench's input on 127.0.0.1", e);
        let root = root.canonicalize().map_err(failed)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        // The standard library's hashers begin with random keys of the system.
        let token = format!("{:016x}{:016x}", RandomState::new().hash_one(0), RandomState::new().hash_one(1));
        let shared = Arc::new(Shared { root, token, ended: AtomicBool::new(false), open: Mutex::default() });
        let serving = Arc::clone(&shared);
        let accept = move || accept(&listener, &serving);
        let accepting = thread::Builder::new().name("bench-accept".to_owned()).spawn(accept).map_err(failed)?;
        Ok(Self { address, shared, accepting: Some(accepting) })
    }

    /// The URL of a file in the folder.
    pub(super) fn url(&self, name: &str) -> Option<String> {
        let mut url = Url::parse(&format!("http://{}/", self.address)).ok()?;
        url.path_segments_mut().ok()?.clear().extend([self.shared.token.as_str(), name]);
        Some(url.into())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // It waits for a connection, so it gets one. Where that fails it has ended already.
        drop(TcpStream::connect(self.address));
        for stream in self.shared.open().values() {
            let _closed_already = stream.shutdown(Shutdown::Both);
        }
        if let Some(thread) = self.accepting.take() {
            // A panic in there has printed itself.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, HashMap<u64, TcpStream>> {
        self.open.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Keeps a connection, to end it; `None`: it is not to be served.
    fn take(&self, n: u64, stream: &TcpStream) -> Option<()> {
        let mut open = self.open();
        if open.len() >= CONNECTIONS || self.ended.load(Ordering::SeqCst) {
            return None;
        }
        open.insert(n, stream.try_clone().ok()?);
        Some(())
    }

    /// The file that a request's target names; `None` if it is none of the folder's.
    fn file(&self, target: &str) -> Option<File> {
        let rest = target.strip_prefix('/')?.strip_prefix(&self.token)?.strip_prefix('/')?;
        let path = Url::from_directory_path(&self.root).ok()?.join(&format!("./{rest}")).ok()?.to_file_path().ok()?;
        let below = path.strip_prefix(&self.root).ok()?;
        let plain = below.components().all(|part| matches!(part, Component::Normal(_)));
        File::open(&path).ok().filter(|file| plain && file.metadata().is_ok_and(|m| m.is_file()))
    }
}

fn accept(listener: &TcpListener, shared: &Shared) {
    thread::scope(|scope| {
        for n in 0.. {
            let stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(e) if matches!(e.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted) => continue,
                // Without it requests are refused, and the merge tells of that.
                Err(_) => return,
            };
            if shared.ended.load(Ordering::SeqCst) {
                return;
            }
            if shared.take(n, &stream).is_some() {
                let serve = move || {
                    // A connection that breaks is the client's to tell.
                    let _broken = serve(&stream, shared);
                    shared.open().remove(&n);
                };
                let name = format!("bench-serve-{n}");
                if thread::Builder::new().name(name).spawn_scoped(scope, serve).is_err() {
                    shared.open().remove(&n);
                }
            }
        }
    });
}

/// Answers the requests of one connection.
fn serve(mut stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_write_timeout(Some(IDLE))?;
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    while let Some(request) = Request::read(&mut reader)? {
        let found = shared.file(&request.target).filter(|_| request.method == "GET");
        let Some(mut file) = found else {
            stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")?;
            continue;
        };
        let size = file.metadata()?.len();
        let (from, to) = request.range.filter(|(from, _)| *from < size).unwrap_or((0, u64::MAX));
        let length = to.saturating_add(1).min(size).saturating_sub(from);
        let status = match request.range {
            Some(_) => {
                format!("206 Partial Content\r\nContent-Range: bytes {from}-{}/{size}", (from + length).max(1) - 1)
            }
            None => "200 OK".to_owned(),
        };
        file.seek(SeekFrom::Start(from))?;
        stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n").as_bytes())?;
        // From file to socket inside the system, where it can.
        io::copy(&mut file.take(length), &mut stream)?;
    }
    Ok(())
}

struct Request {
    method: String,
    /// Without the query.
    target: String,
    /// First and last byte wanted.
    range: Option<(u64, u64)>,
}

impl Request {
    /// The next one; `None` where the client is done or sends what is no request.
    fn read(reader: impl BufRead) -> io::Result<Option<Self>> {
        let mut lines = reader.take(HEAD_BYTES).lines();
        let Some(first) = lines.next().transpose()? else { return Ok(None) };
        let mut words = first.split(' ');
        let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(None) };
        let target = target.split(['?', '#']).next().unwrap_or_default().to_owned();
        let mut request = Self { method: method.to_owned(), target, range: None };
        for line in lines {
            let line = line?;
            if line.is_empty() {
                return Ok(Some(request));
            }
            match line.split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("range") => request.range = range(value.trim()),
                _ => {}
            }
        }
        Ok(None)
    }
}

/// `bytes=FROM-TO` or `bytes=FROM-`; what else there is may be answered with the whole.
fn range(value: &str) -> Option<(u64, u64)> {
    let (from, to) = value.strip_prefix("bytes=")?.split_once('-')?;
    let to = if to.is_empty() { u64::MAX } else { to.parse().ok()? };
    Some((from.parse().ok()?, to)).filter(|(from, to)| from <= to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// What a server answers to these bytes on one connection.
    fn ask(server: &Server, request: &str) -> String {
        let mut stream = TcpStream::connect(server.address).expect("a connection");
        stream.write_all(request.as_bytes()).expect("a request");
        stream.shutdown(Shutdown::Write).expect("its end");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    #[test]
    fn files_of_the_folder_are_served_and_no_others() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let root = dir.path().join("root");
        fs::create_dir(&root).expect("a folder");
        fs::write(root.join("a b.ts"), "segment").expect("a file");
        fs::write(dir.path().join("secret"), "hush").expect("a file");
        let server = Server::start(&root).expect("a server");
        let url = Url::parse(&server.url("a b.ts").expect("a URL")).expect("a URL");
        let get = |target: &str, more: &str| ask(&server, &format!("GET {target} HTTP/1.1\r\n{more}\r\n"));
        let whole = get(url.path(), "");
        assert!(whole.starts_with("HTTP/1.1 200 OK\r\n") && whole.ends_with("\r\n\r\nsegment"), "{whole}");
        let part = get(url.path(), "Range: bytes=1-3\r\n");
        assert!(part.contains(" 206 ") && part.contains("bytes 1-3/7") && part.ends_with("\r\n\r\negm"), "{part}");
        let token = &server.shared.token;
        for target in [
            "/a%20b.ts",
            &format!("/{token}/"),
            &format!("/{token}/../secret"),
            &format!("/{token}/%2e%2e/secret"),
            &format!("/{token}/..%2fsecret"),
            &format!("/{token}//etc/passwd"),
        ] {
            assert!(get(target, "").starts_with("HTTP/1.1 404"), "{target}");
        }
        assert_eq!(ask(&server, "nonsense\r\n\r\n"), "");
    }

    #[test]
    fn one_connection_serves_several_requests_and_ends_with_the_server() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        fs::write(dir.path().join("a"), "x").expect("a file");
        let server = Server::start(dir.path()).expect("a server");
        let path = Url::parse(&server.url("a").expect("a URL")).expect("a URL").path().to_owned();
        let answers = ask(&server, &format!("GET {path} HTTP/1.1\r\n\r\n").repeat(3));
        assert_eq!(answers.matches("200 OK").count(), 3, "{answers}");
        let mut idle = TcpStream::connect(server.address).expect("a connection");
        idle.write_all(format!("GET {path} HTTP/1.1\r\n\r\n").as_bytes()).expect("a request");
        idle.read_exact(&mut [0; 10]).expect("an answer");
        let address = server.address;
        drop(server);
        let mut rest = Vec::new();
        // Its end, in whichever way the system tells it.
        let _reset = idle.read_to_end(&mut rest);
        assert!(TcpStream::connect(address).is_err());
    }
}
