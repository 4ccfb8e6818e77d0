//! A private nginx on loopback: the server that behaves.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::certificates::{self, Certificates};

/// It serves a folder by HTTP and HTTPS, and ends when this is dropped.
pub(crate) struct Nginx {
    child: Child,
    folder: TempDir,
    ports: Ports,
    pub(crate) certificates: Certificates,
}

#[derive(Clone, Copy)]
struct Ports {
    plain: u16,
    tls: u16,
    expired: u16,
    foreign: u16,
}

/// A line of its access log.
#[derive(Debug)]
pub(crate) struct Access {
    /// `HTTP/1.1`, `HTTP/2.0`
    pub(crate) protocol: String,
    pub(crate) target: String,
    pub(crate) encoding: String,
    pub(crate) connection: u64,
}

impl Nginx {
    /// Serves this folder.
    pub(crate) fn serve(root: &Path) -> Self {
        let folder = TempDir::with_prefix("avweld-nginx-").unwrap();
        let certificates = certificates::make(folder.path());
        // Between finding a free port and listening on it another may take it: then again, on others.
        let started = (0..5).find_map(|_| {
            let [plain, tls, expired, foreign] = free_ports();
            let ports = Ports { plain, tls, expired, foreign };
            let configuration = configuration(root, &certificates, ports);
            fs::write(folder.path().join("nginx.conf"), configuration).unwrap();
            Some((start(folder.path(), ports)?, ports))
        });
        let (child, ports) = started.unwrap_or_else(|| {
            panic!("nginx does not start: {}", fs::read_to_string(folder.path().join("error.log")).unwrap_or_default())
        });
        Self { child, folder, ports, certificates }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.ports.plain)
    }

    pub(crate) fn https(&self, path: &str) -> String {
        format!("https://127.0.0.1:{}{path}", self.ports.tls)
    }

    /// By a certificate that expired.
    pub(crate) fn expired(&self, path: &str) -> String {
        format!("https://127.0.0.1:{}{path}", self.ports.expired)
    }

    /// By a certificate of another host.
    pub(crate) fn foreign(&self, path: &str) -> String {
        format!("https://127.0.0.1:{}{path}", self.ports.foreign)
    }

    pub(crate) fn authority(&self) -> &str {
        self.certificates.authority.to_str().unwrap()
    }

    pub(crate) fn tls_port(&self) -> u16 {
        self.ports.tls
    }

    /// What was asked and answered so far.
    pub(crate) fn accesses(&self) -> Vec<Access> {
        let log = fs::read_to_string(self.folder.path().join("access.log")).unwrap();
        let line = |line: &str| {
            let words: Vec<&str> = line.split(' ').collect();
            let [protocol, target, encoding, connection] = words[..] else { panic!("not a line of the log: {line}") };
            Access {
                protocol: protocol.into(),
                target: target.into(),
                encoding: encoding.into(),
                connection: connection.parse().unwrap(),
            }
        };
        log.lines().map(line).collect()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

fn free_ports<const N: usize>() -> [u16; N] {
    let listeners: [TcpListener; N] = std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

/// Debian keeps it where an ordinary user's PATH does not reach.
fn program() -> PathBuf {
    let known = ["/usr/sbin/nginx", "/usr/local/sbin/nginx"].map(PathBuf::from);
    known.into_iter().find(|path| path.exists()).unwrap_or_else(|| "nginx".into())
}

/// `None` where it ends at once: its ports are taken.
fn start(folder: &Path, ports: Ports) -> Option<Child> {
    let mut child = Command::new(program())
        .arg("-p")
        .arg(folder)
        .args(["-e", "error.log", "-c"])
        .arg(folder.join("nginx.conf"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("nginx runs; `make deps` installs it");
    let begun = Instant::now();
    // It listens on all ports before it answers on one.
    while TcpStream::connect(("127.0.0.1", ports.plain)).is_err() {
        if child.try_wait().unwrap().is_some() {
            return None;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "nginx does not listen");
        thread::sleep(Duration::from_millis(5));
    }
    // The one that listens may be another program, to which the port went.
    thread::sleep(Duration::from_millis(20));
    child.try_wait().unwrap().is_none().then_some(child)
}

fn configuration(root: &Path, certificates: &Certificates, ports: Ports) -> String {
    let root = root.display();
    let tls = |port: u16, (certificate, key): &(PathBuf, PathBuf)| {
        format!(
            "listen 127.0.0.1:{port} ssl http2; ssl_certificate {}; ssl_certificate_key {};",
            certificate.display(),
            key.display()
        )
    };
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("    {name}_temp_path temp-{name};\n"))
        .concat();
    // One process, as its end must be the end of all.
    format!(
        "\
daemon off;
master_process off;
pid nginx.pid;
error_log error.log;
events {{ worker_connections 512; }}
http {{
{temporary}
    types {{ application/vnd.apple.mpegurl m3u8; video/mp2t ts; video/mp4 mp4 m4s; text/html html; }}
    log_format own '$server_protocol $request_uri $sent_http_content_encoding- $connection';
    access_log access.log own;
    gzip on;
    gzip_types application/vnd.apple.mpegurl;
    gzip_min_length 1;
    server {{
        listen 127.0.0.1:{};
        root {root};
        location /slow/ {{ alias {root}/; limit_rate 64k; }}
        location ~ ^/up/(.*)$ {{ return 301 https://127.0.0.1:{}/$1; }}
    }}
    server {{
        {}
        root {root};
        location /few/ {{ alias {root}/; keepalive_requests 2; }}
        location ~ ^/down/(.*)$ {{ return 302 http://127.0.0.1:{}/$1; }}
    }}
    server {{
        {}
        root {root};
    }}
    server {{
        {}
        root {root};
    }}
}}
",
        ports.plain,
        ports.tls,
        tls(ports.tls, &certificates.valid),
        ports.plain,
        tls(ports.expired, &certificates.expired),
        tls(ports.foreign, &certificates.foreign),
    )
}
