//! What is small and is needed before anything else: playlists.

use url::Url;

use crate::cancel::CancelToken;
use crate::error::Result;
use crate::net::{Client, Memory, Network, Request, decode};
use crate::options::NetworkOptions;

/// A job's way into the web.
#[derive(Clone)]
pub(crate) struct Web {
    pub(crate) network: Network,
    pub(crate) client: Client,
    pub(crate) cancel: CancelToken,
}

impl Web {
    /// For a job whose input is at `origin`; `None` for a local one. Connects to nothing.
    pub(crate) fn new(
        network: &Network,
        options: &NetworkOptions,
        origin: Option<&Url>,
        cancel: &CancelToken,
    ) -> Result<Self> {
        let client = Client::new(network, options, origin)?;
        Ok(Self { network: network.clone(), client, cancel: cancel.clone() })
    }

    /// A text of at most `limit_bytes`, unpacked, and where it came from after redirects. Blocks.
    pub(crate) fn text(&self, url: &Url, limit_bytes: usize) -> Result<(Vec<u8>, Url)> {
        let request = Request { url: url.clone(), range: None, encodings: true, limit_bytes: limit_bytes as u64 };
        let client = self.client.clone();
        let (fetched, body) = self.network.wait(&self.cancel, async move {
            let mut body = Memory::default();
            let fetched = client.fetch(&request, &mut body).await?;
            Ok((fetched, body.0))
        })?;
        let text = match &fetched.encoding {
            Some(encoding) => decode(encoding, body, limit_bytes)?,
            None => body,
        };
        Ok((text, fetched.url))
    }
}
