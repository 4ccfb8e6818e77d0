//! One job's view of the network: what it may reach, and what it sends where.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime};

use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, NoProxy, Proxy};
use tokio::sync::OnceCell;
use url::Url;

use super::address::{AddressClass, Reach, literal};
use super::cookies::Cookies;
use super::resolver::{self, Resolver, class_of};
use super::{Network, Shared, secret};
use crate::error::{Error, ErrorKind, Result};
use crate::options::{AddressPolicy, HttpVersion, InsecureSegments, NetworkOptions, Proxies, TlsVerification};

/// What is sent where the user says nothing.
const USER_AGENT: &str = concat!("avweld/", env!("CARGO_PKG_VERSION"));

/// Headers of one exchange. Copied out of a browser with the rest they would make it fail.
const OUR_OWN: [HeaderName; 10] = [
    header::ACCEPT_ENCODING,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::RANGE,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// A job's client. Cheap to clone; blocks nobody.
#[derive(Clone)]
pub(crate) struct Client(Arc<State>);

struct State {
    shared: Arc<Shared>,
    options: NetworkOptions,
    /// The URL that the user gave; `None` for a local playlist.
    origin: Option<Url>,
    /// How private that is.
    class: OnceCell<AddressClass>,
    headers: Vec<(HeaderName, HeaderValue)>,
    cookies: Cookies,
    counts: Atomics,
}

#[derive(Default)]
struct Atomics {
    requests: AtomicU64,
    retries: AtomicU64,
    bytes: AtomicU64,
}

/// What a job's transfers came to so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    pub(crate) requests: u64,
    pub(crate) retries: u64,
    pub(crate) bytes: u64,
}

/// What is part of a reqwest client for good.
#[derive(PartialEq, Eq, Hash, Clone)]
pub(super) struct ClientKey {
    reach: Reach,
    http_version: HttpVersion,
    connect_timeout: Duration,
    proxies: Proxies,
    ca_certificates: Vec<PathBuf>,
    tls_verification: TlsVerification,
}

impl Client {
    /// A client for a job whose input is at `origin`; `None` for a local playlist.
    ///
    /// # Errors
    /// `Usage` for headers or a cookie file that cannot be used, `NotFound` or `Io` for one that cannot be read.
    pub(crate) fn new(network: &Network, options: &NetworkOptions, origin: Option<&Url>) -> Result<Self> {
        let mut headers = Vec::new();
        for (name, value) in &options.headers {
            secret::check_header(name, value)?;
            let unusable = || Error::new(ErrorKind::Usage, "a header that HTTP cannot carry");
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unusable())?;
            if !OUR_OWN.contains(&name) {
                headers.push((name, HeaderValue::from_str(value).map_err(|_| unusable())?));
            }
        }
        let cookies = match &options.cookies {
            Some(path) => {
                let named = |e: Error| e.within(format_args!("cookie file {}", path.display()));
                let text = fs::read_to_string(path).map_err(|e| Error::io("cannot read it", e)).map_err(named)?;
                Cookies::parse(&text, SystemTime::now()).map_err(named)?
            }
            None => Cookies::default(),
        };
        Ok(Self(Arc::new(State {
            shared: network.0.shared.clone(),
            options: options.clone(),
            origin: origin.cloned(),
            class: OnceCell::new(),
            headers,
            cookies,
            counts: Atomics::default(),
        })))
    }

    pub(crate) fn options(&self) -> &NetworkOptions {
        &self.0.options
    }

    /// What was transferred so far.
    pub(crate) fn counts(&self) -> Counts {
        let counts = &self.0.counts;
        let of = |n: &AtomicU64| n.load(Ordering::Relaxed);
        Counts { requests: of(&counts.requests), retries: of(&counts.retries), bytes: of(&counts.bytes) }
    }

    pub(super) fn count_request(&self) {
        self.0.counts.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_retry(&self) {
        self.0.counts.retries.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_bytes(&self, bytes: usize) {
        self.0.counts.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }

    /// Judges by the URL alone what a playlist at `base` names, before anything is sent; the addresses of names are
    /// judged where they are connected to.
    ///
    /// # Errors
    /// `Denied`.
    pub(crate) fn judge(&self, base: Option<&Url>, url: &Url) -> Result<()> {
        if base.is_some_and(|base| base.scheme() == "https") && url.scheme() == "http" {
            self.judge_insecure("the playlist, which came by https, names", url)?;
        }
        let class = self.0.origin.as_ref().and_then(|origin| origin.host()).and_then(literal).map(AddressClass::of);
        // A name's class is not known yet; what it may come to is judged when it is.
        let class = class.unwrap_or(match self.0.origin {
            Some(_) => AddressClass::Loopback,
            None => AddressClass::Public,
        });
        super::address::judge(url, self.reach(url, class))
    }

    pub(super) fn judge_redirect(&self, from: &Url, to: &Url) -> Result<()> {
        if from.scheme() == "https" && to.scheme() == "http" {
            self.judge_insecure("a server redirects from https to", to)?;
        }
        Ok(())
    }

    fn judge_insecure(&self, what: &str, url: &Url) -> Result<()> {
        match self.0.options.insecure_segments {
            InsecureSegments::Allow => Ok(()),
            InsecureSegments::Refuse => {
                let message = format!("{what} {}, which is not encrypted", secret::shown(url));
                Err(Error::new(ErrorKind::Denied, message).with_hint("allow it with --allow-insecure-segments"))
            }
        }
    }

    /// What a request to a URL may connect to, where the user's own URL is of this class.
    fn reach(&self, url: &Url, class: AddressClass) -> Reach {
        let is_origin = || {
            let place = |url: &Url| (url.host_str().map(str::to_owned), url.port_or_known_default());
            self.0.origin.as_ref().is_some_and(|origin| place(origin) == place(url))
        };
        match self.0.options.address_policy {
            AddressPolicy::Public if is_origin() => Reach::up_to(class),
            policy => Reach::new(policy, class),
        }
    }

    /// The class of the user's own URL, looked up once: an answer that changes later is judged by the first.
    async fn class(&self) -> Result<AddressClass> {
        let look = async || {
            let Some(origin) = &self.0.origin else { return Ok(AddressClass::Public) };
            let Some(host) = origin.host() else { return Ok(AddressClass::Public) };
            match (literal(host.clone()), host) {
                (Some(address), _) => Ok(AddressClass::of(address)),
                // The proxy resolves it, and nothing is asked of the local resolver that the user did not want asked.
                (None, url::Host::Domain(_)) if self.is_proxied(origin) => Ok(AddressClass::Public),
                (None, url::Host::Domain(name)) => class_of(name).await,
                (None, _) => Ok(AddressClass::Public),
            }
        };
        self.0.class.get_or_try_init(look).await.copied()
    }

    fn is_proxied(&self, url: &Url) -> bool {
        let proxies = &self.0.options.proxies;
        let proxy = if url.scheme() == "https" { &proxies.https } else { &proxies.http };
        proxy.as_ref().is_some_and(|proxy| !proxy.is_empty())
    }

    fn names_proxy(&self, host: &str) -> bool {
        let proxies = &self.0.options.proxies;
        let is_host = |proxy: &String| Url::parse(proxy).is_ok_and(|proxy| proxy.host_str() == Some(host));
        [&proxies.http, &proxies.https].into_iter().flatten().any(is_host)
    }

    /// The reqwest client for a URL, after the URL was judged.
    pub(super) async fn connector(&self, url: &Url) -> Result<reqwest::Client> {
        let needs_class = self.0.options.address_policy != AddressPolicy::Any;
        let class = if needs_class { self.class().await? } else { AddressClass::Public };
        let reach = self.reach(url, class);
        super::address::judge(url, reach)?;
        // The resolver lets a proxy's name through, which a playlist may name as well as any other.
        if let Some(url::Host::Domain(name)) = url.host()
            && self.names_proxy(name)
        {
            resolver::judge(name, reach).await?;
        }
        let options = &self.0.options;
        let key = ClientKey {
            reach,
            http_version: options.http_version,
            connect_timeout: options.connect_timeout,
            proxies: options.proxies.clone(),
            ca_certificates: options.ca_certificates.clone(),
            tls_verification: options.tls_verification,
        };
        let mut clients = self.0.shared.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        let client = key.build()?;
        clients.insert(key, client.clone());
        Ok(client)
    }

    fn is_own(&self, url: &Url) -> bool {
        self.0.origin.as_ref().is_some_and(|origin| origin.origin() == url.origin())
    }

    /// The URL with the user and password of the one that the user gave, if it is of the same origin and has none.
    pub(super) fn with_user(&self, url: &Url) -> Url {
        let mut url = url.clone();
        if let Some(origin) = self.0.origin.as_ref().filter(|_| self.is_own(&url))
            && url.username().is_empty()
            && url.password().is_none()
        {
            // Neither fails for a URL with a host.
            let _set = (url.set_username(origin.username()), url.set_password(origin.password()));
        }
        url
    }

    /// What is sent to a URL: to the user's own origin all of it, to others nothing that may be a credential.
    pub(super) fn headers_for(&self, url: &Url) -> Result<HeaderMap> {
        let is_own = self.is_own(url);
        let mut headers = HeaderMap::new();
        let agent = self.0.options.user_agent.as_deref().unwrap_or(USER_AGENT);
        let value = |text: &str, what: &str| {
            HeaderValue::from_str(text)
                .map_err(|_| Error::new(ErrorKind::Usage, format!("{what} holds what HTTP cannot carry")))
        };
        for (name, value) in &self.0.headers {
            let is_secret = secret::carries_credentials(name.as_str());
            if is_own || !(is_secret || name == header::HOST) {
                let mut value = value.clone();
                value.set_sensitive(is_secret);
                headers.append(name, value);
            }
        }
        // A header that was given as such outranks the option.
        if !headers.contains_key(header::USER_AGENT) {
            headers.insert(header::USER_AGENT, value(agent, "--user-agent")?);
        }
        if let Some(referer) = self.0.options.referer.as_ref().filter(|_| !headers.contains_key(header::REFERER)) {
            headers.insert(header::REFERER, value(referer, "--referer")?);
        }
        if let Some(cookies) = self.0.cookies.header(url) {
            // A request has one such header (RFC 6265, 5.4).
            let given = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes);
            let all = given.chain([cookies.as_bytes()]).collect::<Vec<_>>().join(&b"; "[..]);
            let unusable = |_| Error::new(ErrorKind::Usage, "a cookie holds what HTTP cannot carry");
            let mut value = HeaderValue::from_bytes(&all).map_err(unusable)?;
            value.set_sensitive(true);
            headers.insert(header::COOKIE, value);
        }
        Ok(headers)
    }
}

impl ClientKey {
    fn build(&self) -> Result<reqwest::Client> {
        let mut trusted = Vec::new();
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .http2_adaptive_window(true)
            .connect_timeout(self.connect_timeout)
            .tcp_nodelay(true);
        if self.http_version == HttpVersion::Http1 {
            builder = builder.http1_only();
        }
        let bypass = self.proxies.bypass.as_deref();
        // For reqwest an asterisk is every name, and no address.
        let bypasses_all = bypass.is_some_and(|hosts| hosts.split(',').any(|host| host.trim() == "*"));
        let bypass = bypass.and_then(NoProxy::from_string);
        for (url, is_https) in [(&self.proxies.http, false), (&self.proxies.https, true)] {
            let Some(url) = url.as_deref().filter(|url| !url.is_empty() && !bypasses_all) else { continue };
            // The URL may hold a password, and so shows in no message.
            let unusable = || {
                Error::new(ErrorKind::Usage, "the proxy's URL cannot be used")
                    .with_hint("give http://, https://, socks5:// or socks5h://, a host and a port")
            };
            let parsed = Url::parse(url).map_err(|_| unusable())?;
            trusted.extend(parsed.host_str().map(str::to_owned));
            let proxy = if is_https { Proxy::https(url) } else { Proxy::http(url) };
            builder = builder.proxy(proxy.map_err(|_| unusable())?.no_proxy(bypass.clone()));
        }
        for path in &self.ca_certificates {
            let named = |e: Error| e.within(format_args!("certificate file {}", path.display()));
            let pem = fs::read(path).map_err(|e| named(Error::io("cannot read it", e)))?;
            let certificates = Certificate::from_pem_bundle(&pem).ok().filter(|found| !found.is_empty());
            let certificates = certificates.ok_or_else(|| {
                named(Error::new(ErrorKind::Usage, "it holds no certificate").with_hint("give one in PEM"))
            })?;
            builder = builder.tls_certs_merge(certificates);
        }
        if self.tls_verification == TlsVerification::Off {
            builder = builder.tls_danger_accept_invalid_certs(true);
        }
        builder.dns_resolver(Resolver { reach: self.reach, trusted }).build().map_err(|error| {
            Error::new(ErrorKind::Io, "cannot set up HTTPS")
                .with_hint("install the system's CA certificates (apt: ca-certificates), or name some with --cacert")
                .with_source(error.without_url())
        })
    }
}
