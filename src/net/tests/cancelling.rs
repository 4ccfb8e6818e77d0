//! Whatever a transfer waits for, a cancelled job does not.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::server::{Reply, Server, answer, cut};
use super::{options, request, run};
use crate::cancel::CancelToken;
use crate::error::ErrorKind;
use crate::net::{Client, Network};
use crate::options::NetworkOptions;

/// The promise is a quarter of a second.
const AT_ONCE: Duration = Duration::from_millis(250);

fn cancelled(options: NetworkOptions, reply: impl Fn() -> Reply + Send + Sync + 'static) {
    let server = Server::start(move |_, _| reply());
    let network = Network::new(&options);
    let client = Client::new(&network, &options, Some(&server.url("/"))).unwrap();
    let cancel = CancelToken::new();
    let (other, url) = (cancel.clone(), server.url("/a"));
    let work = move || run(&network, &client, request(&url, None), &other).map(|_| ());
    let transfer = thread::Builder::new().name("job".to_owned()).spawn(work).unwrap();
    while server.seen().is_empty() {
        thread::yield_now();
    }
    let start = Instant::now();
    cancel.cancel();
    // The network's thread ends with it.
    let error = transfer.join().unwrap().unwrap_err();
    assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}

#[test]
fn before_an_answer_inside_of_one_and_between_two_tries() {
    cancelled(options(), || Reply::Stall(Vec::new()));
    cancelled(options(), || Reply::Stall(cut("200 OK", "", 100, b"some")));
    let patient = || NetworkOptions { retry_delay: Duration::from_secs(60), ..options() };
    cancelled(patient(), || Reply::Bytes(answer("500 Internal Server Error", "", b"")));
    cancelled(patient(), || Reply::Bytes(answer("429 Too Many Requests", "Retry-After: 100\r\n", b"")));
    let slow = NetworkOptions { limit_rate_bytes: Some(1), ..options() };
    cancelled(slow, || Reply::Bytes(answer("200 OK", "", &[7; 1000])));
}

#[test]
fn a_transfer_that_waits_for_its_turn_gives_it_up() {
    let server = Server::start(|_, _| Reply::Stall(Vec::new()));
    let options = NetworkOptions { connections_per_host: 1, ..options() };
    let network = Network::new(&options);
    let client = Client::new(&network, &options, Some(&server.url("/"))).unwrap();
    let (first, second) = (CancelToken::new(), CancelToken::new());
    thread::scope(|scope| {
        let start = |cancel: &CancelToken| {
            let (network, client, cancel) = (network.clone(), client.clone(), cancel.clone());
            let request = request(&server.url("/a"), None);
            scope.spawn(move || run(&network, &client, request, &cancel).map(|_| ()))
        };
        let one = start(&first);
        while server.seen().is_empty() {
            thread::yield_now();
        }
        let two = start(&second);
        second.cancel();
        assert_eq!(two.join().unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
        assert_eq!(server.seen().len(), 1);
        first.cancel();
        assert_eq!(one.join().unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
    });
}

#[test]
fn the_last_of_a_network_may_go_on_its_own_thread() {
    let network = Network::new(&options());
    let held = Arc::new(network.clone());
    let (sender, receiver) = crossbeam_channel::bounded(1);
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    let work = async move {
        let _told = gone.await;
        drop(held);
        sender.send(()).unwrap();
    };
    network.spawn(work).unwrap();
    drop(network);
    go.send(()).unwrap();
    receiver.recv_timeout(Duration::from_secs(10)).expect("the thread does not wait for itself");
}
