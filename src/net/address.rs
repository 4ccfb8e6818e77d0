//! Which addresses a job may reach.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use crate::error::{Error, ErrorKind, Result};
use crate::options::AddressPolicy;

/// How private an address is; the least private comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum AddressClass {
    /// Of the whole internet.
    Public,
    /// Of a network of one's own, and whatever else is not reachable from everywhere.
    Private,
    /// Of one link, where clouds keep the metadata of their machines.
    LinkLocal,
    /// Of this machine.
    Loopback,
}

impl AddressClass {
    /// The class of an address. An IPv6 address with an IPv4 address inside is as private as the more private of both.
    pub(super) fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self::of_v4(v4),
            IpAddr::V6(v6) => embedded(v6).map(Self::of_v4).fold(Self::of_v6(v6), Self::max),
        }
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        match address.octets() {
            // A socket that connects to 0.0.0.0 comes out at this machine.
            [0 | 127, ..] => Self::Loopback,
            // The second is where Azure answers its machines as others do at 169.254.169.254.
            [169, 254, ..] | [168, 63, 129, 16] => Self::LinkLocal,
            [10, ..]
            | [100, 64..128, ..]
            | [172, 16..32, ..]
            | [192, 0, 0 | 2, _]
            | [192, 88, 99, _]
            | [192, 168, ..]
            | [198, 18 | 19, ..]
            | [198, 51, 100, _]
            | [203, 0, 113, _]
            | [224..=255, ..] => Self::Private,
            _ => Self::Public,
        }
    }

    /// What IANA has not given out as global unicast is private.
    fn of_v6(address: Ipv6Addr) -> Self {
        match address.segments() {
            [0, 0, 0, 0, 0, 0, 0, 0 | 1] => Self::Loopback,
            [0xfe80..0xfec0, ..] => Self::LinkLocal,
            // IPv4 in other clothes: mapped, and by a translator (NAT64).
            [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => Self::Public,
            // Protocols' own, among them Teredo, and documentation.
            [0x2001, 0..0x200 | 0xdb8, ..] | [0x3fff, 0..0x1000, ..] => Self::Private,
            [0x2000..0x4000, ..] => Self::Public,
            _ => Self::Private,
        }
    }
}

/// The IPv4 addresses that an IPv6 address may lead to.
fn embedded(address: Ipv6Addr) -> impl Iterator<Item = Ipv4Addr> {
    let s = address.segments();
    let at = |high: u16, low: u16| Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    let found = match s {
        // Compatible, mapped, translated, and NAT64 with the prefix that all know.
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => {
            [at(s[6], s[7]), None]
        }
        // NAT64 with a prefix of one's own, 48 or 96 bits long (RFC 6052, 2.2). Read by the wrong length it is 0.x.
        [0x64, 0xff9b, 1, ..] => {
            [at(s[6], s[7]), at(s[3], s[4] << 8 | s[5] >> 8)].map(|v4| v4.filter(|v4| v4.octets()[0] != 0))
        }
        // 6to4.
        [0x2002, ..] => [at(s[1], s[2]), None],
        // Teredo: its server, and its client in disguise.
        [0x2001, 0, ..] => [at(s[2], s[3]), at(!s[6], !s[7])],
        _ => [None, None],
    };
    found.into_iter().flatten()
}

impl fmt::Display for AddressClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "a public",
            Self::Private => "a private",
            Self::LinkLocal => "a link-local",
            Self::Loopback => "a loopback",
        })
    }
}

/// What one job may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Reach {
    most_private: AddressClass,
}

impl Reach {
    /// What a job's playlist and its redirects may lead to. `given` is the class of the URL that the user gave,
    /// [`AddressClass::Public`] where that is a local playlist.
    pub(super) fn new(policy: AddressPolicy, given: AddressClass) -> Self {
        let most_private = match policy {
            AddressPolicy::Public => AddressClass::Public,
            AddressPolicy::SameClass => given,
            AddressPolicy::Any => AddressClass::Loopback,
        };
        Self { most_private }
    }

    /// What the origin of the URL that the user gave may resolve to, under every policy: the user named it.
    pub(super) fn up_to(given: AddressClass) -> Self {
        Self { most_private: given }
    }

    /// True if this address may be connected to.
    pub(super) fn allows(self, address: IpAddr) -> bool {
        AddressClass::of(address) <= self.most_private
    }

    /// [`allows`](Self::allows) as an error; `host` is the name that resolved to the address, or the address itself.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Denied`], with the host and the address's class.
    pub(super) fn check(self, host: &str, address: IpAddr) -> Result<()> {
        if self.allows(address) {
            return Ok(());
        }
        let message = format!("{host} is {} address, and the job may not reach those", AddressClass::of(address));
        Err(Error::new(ErrorKind::Denied, message)
            .with_hint("allow it with --address-policy any if you trust the playlist"))
    }
}

/// The address that a host stands for without a resolver: one written as such, in whatever spelling, and
/// `localhost` with all that is below it (RFC 6761, 6.3).
pub(super) fn literal(host: Host<&str>) -> Option<IpAddr> {
    match host {
        Host::Ipv4(v4) => Some(v4.into()),
        Host::Ipv6(v6) => Some(v6.into()),
        Host::Domain(name) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            let local = name == "localhost" || name.ends_with(".localhost");
            if local { Some(Ipv4Addr::LOCALHOST.into()) } else { name.parse().ok() }
        }
    }
}

/// Refuses a URL whose host is an address out of reach. A name passes: it is for the resolver to judge.
///
/// # Errors
///
/// As [`Reach::check`].
pub(super) fn judge(url: &Url, reach: Reach) -> Result<()> {
    match url.host().and_then(literal) {
        Some(address) => reach.check(url.host_str().unwrap_or_default(), address),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use AddressClass::{LinkLocal, Loopback, Private, Public};

    const PUBLIC_ONLY: Reach = Reach { most_private: Public };

    fn class(host: &str) -> Option<AddressClass> {
        let url = Url::parse(&format!("http://{host}/v.ts")).unwrap_or_else(|e| panic!("{host}: {e}"));
        let class = literal(url.host().unwrap()).map(AddressClass::of);
        let refused = judge(&url, PUBLIC_ONLY).is_err();
        assert_eq!(refused, class.is_some_and(|c| c > Public), "{host}");
        class
    }

    #[test]
    fn every_spelling_of_this_machine_is_loopback() {
        let spellings = [
            "127.0.0.1",
            "127.1",
            "127.0.1",
            "127.255.255.254",
            "2130706433",
            "017700000001",
            "0x7f000001",
            "0X7F000001",
            "0x7f.1",
            "0x7f.0x0.0x0.0x1",
            "0177.0.0.1",
            "0177.0.0.0x1",
            "00000177.0.0.01",
            "127.0.0.0x",
            "127.0.0.1.",
            "127.0.0.1..",
            "127.1.",
            "2130706433.",
            "0",
            "0.0.0.0",
            "0.0.0.7",
            "0x0",
            "user:pass@127.0.0.1:8080",
            "8.8.8.8@127.0.0.1",
            "１２７.０.０.１",
            "127。0。0。1",
            "127．0．0．1",
            "①②⑦.⓪.⓪.①",
            "%31%32%37.0.0.1",
            "127%2e0%2e0%2e1",
            "0x7f%2E1",
            "127.0\t.0.1",
            "localhost",
            "LOCALHOST",
            "localhost.",
            "LocalHost..",
            "a.localhost",
            "a.b.LOCALHOST.",
            "ｌｏｃａｌｈｏｓｔ",
            "%6cocalhost",
            "local\u{ad}host",
            "[::1]",
            "[0:0:0:0:0:0:0:1]",
            "[0000::0001]",
            "[::]",
            "[::0.0.0.1]",
            "[::127.0.0.1]",
            "[::7f00:1]",
            "[::ffff:127.0.0.1]",
            "[::FFFF:7F00:1]",
            "[::ffff:0:127.0.0.1]",
            "[::ffff:0.0.0.0]",
            "[64:ff9b::127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[64:ff9b:1::127.0.0.1]",
            "[64:ff9b:1:7f00:0:100::]",
            "[2002:7f00:1::]",
            "[2002:7f00:0001:1234::1]",
            "[2001:0:4136:e378:8000:63bf:80ff:fffe]",
            "[2001:0:7f00:1::]",
        ];
        for host in spellings {
            assert_eq!(class(host), Some(Loopback), "{host}");
        }
    }

    #[test]
    fn other_classes_are_told_by_their_blocks() {
        let cases = [
            ("169.254.169.254", LinkLocal),
            ("0xa9fea9fe", LinkLocal),
            ("168.63.129.16", LinkLocal),
            ("[fe80::1]", LinkLocal),
            ("[febf::1]", LinkLocal),
            ("[::ffff:169.254.169.254]", LinkLocal),
            ("[64:ff9b::a9fe:a9fe]", LinkLocal),
            ("[2002:a9fe:a9fe::]", LinkLocal),
            ("10.0.0.1", Private),
            ("0xa000001", Private),
            ("172.16.0.1", Private),
            ("172.31.255.255", Private),
            ("192.168.257", Private),
            ("100.64.0.1", Private),
            ("100.127.255.255", Private),
            ("192.0.0.8", Private),
            ("192.0.2.1", Private),
            ("198.18.0.1", Private),
            ("198.19.255.255", Private),
            ("198.51.100.1", Private),
            ("203.0.113.1", Private),
            ("192.88.99.1", Private),
            ("224.0.0.1", Private),
            ("239.255.255.250", Private),
            ("240.0.0.1", Private),
            ("255.255.255.255", Private),
            ("4294967295", Private),
            ("[fc00::1]", Private),
            ("[fd00:ec2::254]", Private),
            ("[fec0::1]", Private),
            ("[ff02::1]", Private),
            ("[100::1]", Private),
            ("[2001:db8::1]", Private),
            ("[3fff::1]", Private),
            ("[5f00::1]", Private),
            ("[2001:2::1]", Private),
            ("[::8.8.8.8]", Private),
            ("[::ffff:10.0.0.1]", Private),
            ("[2002:c0a8:101::]", Private),
            ("[64:ff9b::192.168.1.1]", Private),
            ("[64:ff9b:1::8.8.8.8]", Private),
            ("[64:ff9b:1:808:8:800::]", Private),
            ("8.8.8.8", Public),
            ("134744072", Public),
            ("100.63.255.255", Public),
            ("100.128.0.0", Public),
            ("172.15.0.1", Public),
            ("172.32.0.1", Public),
            ("192.0.1.1", Public),
            ("198.17.0.1", Public),
            ("223.255.255.255", Public),
            ("126.0.0.1", Public),
            ("128.0.0.1", Public),
            ("[2606:4700::1111]", Public),
            ("[2001:4860:4860::8888]", Public),
            ("[2a00::1]", Public),
            ("[::ffff:8.8.8.8]", Public),
            ("[64:ff9b::8.8.8.8]", Public),
            ("[2002:808:808::1]", Public),
        ];
        for (host, expected) in cases {
            assert_eq!(class(host), Some(expected), "{host}");
        }
    }

    #[test]
    fn names_are_left_to_the_resolver() {
        for host in
            ["example.com", "localhost.example.com", "notlocalhost", "127.0.0.1.nip.io", "localhost.localdomain"]
        {
            assert_eq!(class(host), None, "{host}");
        }
    }

    #[test]
    fn what_no_parser_agrees_on_is_no_url() {
        let hosts = ["256.0.0.1", "1.2.3.4.5", "0x100000000", "[fe80::1%25eth0]", "[::1", "127.0.0.1%00", "08.0.0.1"];
        for host in hosts {
            match Url::parse(&format!("http://{host}/")) {
                Err(_) => {}
                Ok(url) => panic!("{host} is {url}"),
            }
        }
    }

    #[test]
    fn a_policy_reaches_as_far_as_it_says() {
        use AddressPolicy as Policy;
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let all = ["8.8.8.8", "10.0.0.1", "169.254.0.1", "127.0.0.1"].map(address);
        let reached = |reach: Reach| all.iter().filter(|a| reach.allows(**a)).count();
        assert_eq!(reached(Reach::new(Policy::Public, Loopback)), 1);
        assert_eq!(reached(Reach::up_to(Loopback)), 4);
        assert_eq!(
            [Public, Private, LinkLocal, Loopback].map(|c| reached(Reach::new(Policy::SameClass, c))),
            [1, 2, 3, 4]
        );
        assert_eq!(reached(Reach::new(Policy::Any, Public)), 4);
    }

    #[test]
    fn a_refusal_names_the_host_and_its_class_and_no_secret() {
        let url = Url::parse("http://u:hush@0x7f.1:81/hush?hush").unwrap();
        let error = judge(&url, PUBLIC_ONLY).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied);
        let text = error.to_string();
        assert!(text.starts_with("127.0.0.1 is a loopback address"), "{text}");
        assert!(text.contains("--address-policy any") && !text.contains("hush"), "{text}");
        let error = PUBLIC_ONLY.check("cdn.example", "192.168.0.1".parse().unwrap()).unwrap_err();
        assert!(error.to_string().starts_with("cdn.example is a private address"), "{error}");
    }
}
