//! Proxies on loopback that pass bytes on: HTTP's CONNECT and absolute form, and SOCKS5.
//!
//! Names are not resolved: whatever is asked for, the bytes go to the one address that the test gave.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use base64::Engine as _;

use crate::server::{named, read_head};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Http,
    Socks5,
}

/// How the proxy takes those that come.
#[derive(Debug, Clone)]
pub(crate) enum Manners {
    Open,
    /// Only with this user and password.
    Password(&'static str, &'static str),
    /// Everyone gets this status, or SOCKS's general failure.
    Refuse(u16),
}

/// A running proxy; it ends when this is dropped.
pub(crate) struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
    accepting: Option<JoinHandle<()>>,
}

struct State {
    kind: Kind,
    manners: Manners,
    to: SocketAddr,
    /// What was asked for: heads of requests, or `HOST:PORT` of SOCKS.
    asked: Mutex<Vec<String>>,
    /// Open connections; `None`: the end.
    open: Mutex<Option<Vec<TcpStream>>>,
}

impl Proxy {
    pub(crate) fn start(kind: Kind, manners: Manners, to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State { kind, manners, to, asked: Mutex::default(), open: Mutex::new(Some(Vec::new())) });
        let serving = Arc::clone(&state);
        let accepting = named("proxy", move || {
            let mut threads = Vec::new();
            for stream in listener.incoming().flatten() {
                if !serving.keep(&stream) {
                    break;
                }
                let state = Arc::clone(&serving);
                threads.push(named("proxied", move || {
                    let _gone = state.serve(stream);
                }));
            }
            for thread in threads {
                thread.join().unwrap();
            }
        });
        Self { address, state, accepting: Some(accepting) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.state.asked.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        for stream in self.state.open.lock().unwrap().take().into_iter().flatten() {
            let _gone = stream.shutdown(Shutdown::Both);
        }
        let _woken = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ended = accepting.join();
        }
    }
}

impl State {
    /// Remembers a connection for the end; false if that has come.
    fn keep(&self, stream: &TcpStream) -> bool {
        match (self.open.lock().unwrap().as_mut(), stream.try_clone()) {
            (Some(open), Ok(clone)) => {
                open.push(clone);
                true
            }
            _ => false,
        }
    }

    fn serve(self: &Arc<Self>, mut client: TcpStream) -> io::Result<()> {
        client.set_read_timeout(Some(Duration::from_secs(60)))?;
        let first = match self.kind {
            Kind::Http => self.http(&mut client)?,
            Kind::Socks5 => self.socks(&mut client)?,
        };
        let Some(first) = first else { return Ok(()) };
        let mut server = TcpStream::connect(self.to)?;
        if !self.keep(&server) {
            return Ok(());
        }
        server.write_all(&first)?;
        let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
        // Of a tunnel nothing is looked at; else each request's head is.
        let is_tunnel = self.kind == Kind::Socks5 || !first.starts_with(b"GET ");
        let state = Arc::clone(self);
        let up = named("up", move || {
            let _gone = match is_tunnel {
                true => io::copy(&mut from_client, &mut to_server).map(drop),
                false => state.pass_heads(&mut from_client, &mut to_server),
            };
            let _gone = to_server.shutdown(Shutdown::Write);
        });
        let _gone = io::copy(&mut server, &mut client);
        let _gone = client.shutdown(Shutdown::Both);
        up.join().unwrap();
        Ok(())
    }

    /// What is to be sent on first; `None` where the client was turned away.
    fn http(&self, client: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
        let mut pending = Vec::new();
        let Some(head) = read_head(client, &mut pending)? else { return Ok(None) };
        self.asked.lock().unwrap().push(head.clone());
        let refused = match &self.manners {
            Manners::Open => None,
            Manners::Refuse(status) => Some(*status),
            Manners::Password(user, password) => {
                let wanted = format!("Basic {}", base64(&format!("{user}:{password}")));
                (!head.contains(&wanted)).then_some(407)
            }
        };
        if let Some(status) = refused {
            let said = "Proxy-Authenticate: Basic realm=\"test\"\r\nContent-Length: 0\r\nConnection: close";
            client.write_all(format!("HTTP/1.1 {status} No\r\n{said}\r\n\r\n").as_bytes())?;
            return Ok(None);
        }
        if head.starts_with("CONNECT ") {
            client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
            return Ok(Some(pending));
        }
        Ok(Some([passed_on(&head), pending].concat()))
    }

    /// The requests after the first of a connection, which have no bodies.
    fn pass_heads(&self, client: &mut TcpStream, server: &mut TcpStream) -> io::Result<()> {
        let mut pending = Vec::new();
        while let Some(head) = read_head(client, &mut pending)? {
            self.asked.lock().unwrap().push(head.clone());
            server.write_all(&passed_on(&head))?;
        }
        Ok(())
    }

    fn socks(&self, client: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
        let [_version, methods] = read::<2>(client)?;
        let mut offered = vec![0; methods.into()];
        client.read_exact(&mut offered)?;
        if let Manners::Password(user, password) = self.manners {
            client.write_all(&[5, 2])?;
            let [_version, length] = read::<2>(client)?;
            let given_user = read_text(client, length)?;
            let [length] = read::<1>(client)?;
            let is_right = (given_user.as_str(), read_text(client, length)?.as_str()) == (user, password);
            client.write_all(&[1, u8::from(!is_right)])?;
            if !is_right {
                return Ok(None);
            }
        } else {
            client.write_all(&[5, 0])?;
        }
        let [_version, _command, _reserved, kind] = read::<4>(client)?;
        let host = match kind {
            1 => std::net::Ipv4Addr::from(read::<4>(client)?).to_string(),
            4 => std::net::Ipv6Addr::from(read::<16>(client)?).to_string(),
            _ => {
                let [length] = read::<1>(client)?;
                read_text(client, length)?
            }
        };
        let port = u16::from_be_bytes(read::<2>(client)?);
        self.asked.lock().unwrap().push(format!("{host}:{port}"));
        let refuses = matches!(self.manners, Manners::Refuse(_));
        client.write_all(&[5, u8::from(refuses), 0, 1, 0, 0, 0, 0, 0, 0])?;
        Ok((!refuses).then(Vec::new))
    }
}

/// The server that follows takes targets in absolute form as they are. What is the proxy's own business goes no
/// further.
fn passed_on(head: &str) -> Vec<u8> {
    let own = |line: &&str| !line.to_ascii_lowercase().starts_with("proxy-");
    head.split("\r\n").filter(own).collect::<Vec<_>>().join("\r\n").into_bytes()
}

fn read<const N: usize>(stream: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn read_text(stream: &mut TcpStream, length: u8) -> io::Result<String> {
    let mut bytes = vec![0; length.into()];
    stream.read_exact(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

pub(crate) fn base64(text: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(text)
}
