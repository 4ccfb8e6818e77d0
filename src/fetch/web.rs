//! What is small and is needed before anything else: playlists.

use url::Url;

use crate::cancel::CancelToken;
use crate::error::{Error, ErrorKind, Result};
use crate::net::{Body, Client, Fetched, Memory, Network, Request, decode};
use crate::options::NetworkOptions;

/// What a playlist ends with that is complete (RFC 8216, 4.3.3.4).
const END: &[u8] = b"#EXT-X-ENDLIST";

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
            let mut body = PlaylistBody::default();
            let fetched = client.fetch(&request, &mut body).await?;
            Ok((fetched, body.text.0))
        })?;
        let text = match &fetched.encoding {
            Some(encoding) => decode(encoding, body, limit_bytes)?,
            None => body,
        };
        Ok((text, fetched.url))
    }
}

/// A playlist on its way into memory.
#[derive(Default)]
struct PlaylistBody {
    text: Memory,
    /// Where the connection's end cut it off before, as far as anybody can tell.
    cut_at: Option<u64>,
}

impl Body for PlaylistBody {
    fn len(&self) -> u64 {
        self.text.len()
    }

    fn restart(&mut self) -> Result<()> {
        self.text.restart()
    }

    fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.text.push(bytes)
    }

    /// Where only the connection's end tells that this is all, half a playlist looks like a shorter one.
    fn judge(&mut self, fetched: &Fetched) -> Result<()> {
        let length = self.len();
        if fetched.framed || self.text.0.trim_ascii_end().ends_with(END) || self.cut_at == Some(length) {
            return Ok(());
        }
        self.cut_at = Some(length);
        let message = format!("the connection ended after {length} bytes, which may not be all");
        Err(Error::new(ErrorKind::Network, message).with_hint("try again"))
    }
}
