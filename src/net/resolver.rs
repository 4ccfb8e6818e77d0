//! Names to addresses, of which a job sees only those that it may reach: what is judged is what is connected to.

use std::io;
use std::net::{IpAddr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::{AddressClass, Reach};
use crate::error::{Error, ErrorKind, Result};

/// Resolves as the system does.
pub(super) struct Resolver {
    pub(super) reach: Reach,
    /// The names of proxies: the user gave them, wherever they are.
    pub(super) trusted: Vec<String>,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (reach, name) = (self.reach, name.as_str().to_owned());
        let trusted = self.trusted.contains(&name);
        Box::pin(async move {
            let found = look_up(&name).await?;
            let allowed: Vec<SocketAddr> =
                found.iter().filter(|ip| trusted || reach.allows(**ip)).map(|ip| SocketAddr::new(*ip, 0)).collect();
            if let (true, Some(refused)) = (allowed.is_empty(), found.first()) {
                reach.check(&name, *refused)?;
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// The addresses of a name, by the system's resolver.
async fn look_up(name: &str) -> io::Result<Vec<IpAddr>> {
    let found: Vec<IpAddr> = tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect();
    if found.is_empty() { Err(io::Error::new(io::ErrorKind::NotFound, "no address")) } else { Ok(found) }
}

/// Refuses a name of which any address is out of reach.
pub(super) async fn judge(name: &str, reach: Reach) -> Result<()> {
    look_up(name)
        .await
        .map_err(|e| unresolved(name, &e))?
        .into_iter()
        .try_for_each(|address| reach.check(name, address))
}

/// The least private class that a name's addresses are of: that much, and no more, is the user's own wish.
pub(super) async fn class_of(name: &str) -> Result<AddressClass> {
    let found = look_up(name).await.map_err(|e| unresolved(name, &e))?;
    Ok(found.into_iter().map(AddressClass::of).min().unwrap_or(AddressClass::Public))
}

fn unresolved(name: &str, error: &io::Error) -> Error {
    Error::new(ErrorKind::Network, format!("cannot resolve {name}: {}", root_cause(error)))
        .with_hint("check the name and the network")
}

/// `Name or service not known`, without what the standard library puts before it.
fn root_cause(error: &io::Error) -> String {
    let text = error.to_string();
    text.rsplit(": ").next().unwrap_or(&text).to_lowercase()
}
