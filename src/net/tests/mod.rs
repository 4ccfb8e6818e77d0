//! A client against servers that misbehave.

mod cancelling;
mod origins;
pub(crate) mod server;
mod transfers;

use std::time::Duration;

use url::Url;

use super::{Client, Fetched, Memory, Network, Request};
use crate::cancel::CancelToken;
use crate::error::Result;
use crate::options::NetworkOptions;

/// Quick to try again, and quick to give up.
pub(crate) fn options() -> NetworkOptions {
    NetworkOptions {
        retry_delay: Duration::from_millis(1),
        read_timeout: Duration::from_secs(20),
        ..NetworkOptions::default()
    }
}

fn request(url: &Url, range: Option<std::ops::Range<u64>>) -> Request {
    Request { url: url.clone(), range, encodings: false, limit_bytes: 1 << 20 }
}

/// Fetches with a network and a client of its own.
fn fetch(options: &NetworkOptions, origin: &Url, request: Request) -> Result<(Fetched, Vec<u8>)> {
    let network = Network::new(options);
    let client = Client::new(&network, options, Some(origin))?;
    run(&network, &client, request, &CancelToken::new())
}

fn run(network: &Network, client: &Client, request: Request, cancel: &CancelToken) -> Result<(Fetched, Vec<u8>)> {
    let client = client.clone();
    network.wait(cancel, async move {
        let mut body = Memory::default();
        let fetched = client.fetch(&request, &mut body).await?;
        Ok((fetched, body.0))
    })
}
