//! How what is not local is fetched.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Which HTTP versions are spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum HttpVersion {
    /// HTTP/2 where the server offers it by ALPN, else HTTP/1.1.
    #[default]
    Auto,
    /// HTTP/1.1 alone.
    Http1,
}

/// Whether a server's certificate is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TlsVerification {
    /// The certificate must be valid and the server's own.
    #[default]
    On,
    /// Any certificate will do; each job warns of it.
    Off,
}

/// Which addresses a playlist may lead to, and a redirect. Judged on the address that is connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum AddressPolicy {
    /// Public addresses only, beside that of the URL the user gave.
    Public,
    /// Addresses that are no more private than that of the URL the user gave; a local playlist leads to public
    /// addresses.
    #[default]
    SameClass,
    /// Every address.
    Any,
}

/// Whether what came by https may name what comes by http.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum InsecureSegments {
    /// It may not.
    #[default]
    Refuse,
    /// It may.
    Allow,
}

/// Proxies by the scheme of what is fetched. `http://`, `https://`, `socks5://` and `socks5h://` URLs, with user
/// and password where the proxy wants them.
///
/// Behind a proxy it is the proxy that resolves names, so the address policy sees only addresses that stand in a
/// URL as such.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Proxies {
    /// For `http:`; `None`: none.
    pub http: Option<String>,
    /// For `https:`; `None`: none.
    pub https: Option<String>,
    /// Hosts that are reached without, as `NO_PROXY` lists them: names, their subdomains, addresses, networks.
    pub bypass: Option<String>,
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Their URLs may hold a password.
        write!(f, "Proxies {{ http: {}, https: {} }}", self.http.is_some(), self.https.is_some())
    }
}

/// How what is not local is fetched.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct NetworkOptions {
    /// Segments in flight for one job.
    pub concurrent_segments: usize,
    /// Requests in flight to one host, over all jobs that share a network.
    pub connections_per_host: usize,
    /// Requests in flight, over all jobs that share a network.
    pub connections: usize,
    /// Bytes a second over all jobs that share a network; `None`: as fast as it goes.
    pub limit_rate_bytes: Option<u64>,
    /// Which HTTP versions are spoken.
    pub http_version: HttpVersion,
    /// How often a request that failed for a while is made again.
    pub retries: u32,
    /// The first pause before that; it doubles each time, with jitter. A server's Retry-After outranks it.
    pub retry_delay: Duration,
    /// Until a connection stands.
    pub connect_timeout: Duration,
    /// Without a byte, before the answer's head or inside its body.
    pub read_timeout: Duration,
    /// Without progress of the whole download.
    pub download_timeout: Duration,
    /// Sent to the origin of the job's own URL; those that carry credentials to no other, the rest everywhere.
    pub headers: Vec<(String, String)>,
    /// `User-Agent`; `None`: avweld's own.
    pub user_agent: Option<String>,
    /// `Referer`; `None`: none.
    pub referer: Option<String>,
    /// A cookie file as Netscape's browsers wrote it; each cookie goes to the hosts that it names, no other.
    pub cookies: Option<PathBuf>,
    /// Proxies; none by default: the library does not read the environment.
    pub proxies: Proxies,
    /// PEM files with certificates that are trusted beside the system's.
    pub ca_certificates: Vec<PathBuf>,
    /// Whether certificates are looked at.
    pub tls_verification: TlsVerification,
    /// Which addresses a playlist may lead to.
    pub address_policy: AddressPolicy,
    /// Whether https may name http.
    pub insecure_segments: InsecureSegments,
}

impl Default for NetworkOptions {
    fn default() -> Self {
        Self {
            concurrent_segments: 8,
            connections_per_host: 8,
            connections: 64,
            limit_rate_bytes: None,
            http_version: HttpVersion::default(),
            retries: 3,
            retry_delay: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(30),
            download_timeout: Duration::from_secs(300),
            headers: Vec::new(),
            user_agent: None,
            referer: None,
            cookies: None,
            proxies: Proxies::default(),
            ca_certificates: Vec::new(),
            tls_verification: TlsVerification::default(),
            address_policy: AddressPolicy::default(),
            insecure_segments: InsecureSegments::default(),
        }
    }
}

impl fmt::Debug for NetworkOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("NetworkOptions")
            .field("concurrent_segments", &self.concurrent_segments)
            .field("connections_per_host", &self.connections_per_host)
            .field("connections", &self.connections)
            .field("limit_rate_bytes", &self.limit_rate_bytes)
            .field("http_version", &self.http_version)
            .field("retries", &self.retries)
            .field("retry_delay", &self.retry_delay)
            .field("connect_timeout", &self.connect_timeout)
            .field("read_timeout", &self.read_timeout)
            .field("download_timeout", &self.download_timeout)
            // Values are secrets.
            .field("headers", &names)
            .field("user_agent", &self.user_agent)
            .field("referer", &self.referer.is_some())
            .field("cookies", &self.cookies.is_some())
            .field("proxies", &self.proxies)
            .field("ca_certificates", &self.ca_certificates)
            .field("tls_verification", &self.tls_verification)
            .field("address_policy", &self.address_policy)
            .field("insecure_segments", &self.insecure_segments)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_shows_in_debug_output() {
        let options = NetworkOptions {
            headers: vec![("Authorization".into(), "Bearer hush".into())],
            referer: Some("https://h/?hush".into()),
            proxies: Proxies { http: Some("http://u:hush@p".into()), ..Proxies::default() },
            ..NetworkOptions::default()
        };
        let shown = format!("{options:?}");
        assert!(shown.contains("Authorization") && !shown.contains("hush"), "{shown}");
    }
}
