//! Which EXT-X-KEY applies: of several the one with the key itself, until another takes its place.

use std::sync::Arc;

use crate::error::Result;
use crate::options::Limits;
use crate::playlist::resolve::{Base, Slot, resolve};
use crate::playlist::types::{Key, KeyMethod};
use crate::playlist::{malformed, values};

/// The keys in force (RFC 8216, 4.3.2.4): one for each KEYFORMAT, of which two matter here.
#[derive(Default)]
pub(super) struct Keys {
    /// The last with KEYFORMAT `identity` or none, and its METHOD.
    identity: Option<(m3u8_rs::KeyMethod, Arc<Key>)>,
    /// The last with another KEYFORMAT.
    other: Option<Arc<Key>>,
    /// A segment or init section came after the last EXT-X-KEY.
    used: bool,
}

impl Keys {
    /// Takes in an EXT-X-KEY.
    pub(super) fn add(&mut self, tag: m3u8_rs::Key, line: usize, base: &Base, limits: &Limits) -> Result<()> {
        if tag.method == m3u8_rs::KeyMethod::None {
            *self = Self::default();
            return Ok(());
        }
        let format = tag.keyformat.as_deref().filter(|format| *format != "identity");
        let Some(format) = format else {
            let key = identity_key(&tag, line, base, limits)?;
            // A playlist may repeat its key before each segment: it stays one and the same.
            match &self.identity {
                Some((_, known)) if **known == key => {}
                _ => self.identity = Some((tag.method, Arc::new(key))),
            }
            self.used = false;
            return Ok(());
        };
        // Lines beside each other give one key in several formats. A later one with another
        // method cannot: it is the end of the key before it.
        if self.used && self.identity.as_ref().is_some_and(|(method, _)| *method != tag.method) {
            self.identity = None;
        }
        self.other = Some(Arc::new(unsupported(format!("{} ({})", tag.method, system(format)))));
        self.used = false;
        Ok(())
    }

    /// The key that applies to what comes next; `None`: it is not encrypted.
    pub(super) fn in_force(&mut self) -> Option<Arc<Key>> {
        self.used = true;
        self.identity.as_ref().map(|(_, key)| key).or(self.other.as_ref()).cloned()
    }
}

fn identity_key(tag: &m3u8_rs::Key, line: usize, base: &Base, limits: &Limits) -> Result<Key> {
    let method = match &tag.method {
        m3u8_rs::KeyMethod::AES128 => KeyMethod::Aes128,
        m3u8_rs::KeyMethod::Other(name) if name == KeyMethod::Aes256.name() => KeyMethod::Aes256,
        other => return Ok(unsupported(other.to_string())),
    };
    let iv = tag.iv.as_deref().map(values::iv).transpose();
    let iv = iv.map_err(|what| malformed(line, format!("the key's IV {what}")))?;
    let location = tag.uri.as_deref().map(|uri| resolve(uri, base, Slot::Key, limits)).transpose()?;
    Ok(Key { method, location, iv })
}

/// A key that is never fetched, so that its URI (`skd://…`) is none of our business.
fn unsupported(name: String) -> Key {
    Key { method: KeyMethod::Unsupported(name), location: None, iv: None }
}

/// The name that a user knows a KEYFORMAT by.
fn system(format: &str) -> &str {
    match format.to_ascii_lowercase().as_str() {
        "com.apple.streamingkeydelivery" => "FairPlay",
        "urn:uuid:edef8ba9-79d6-4ace-a3c8-27dcd51d21ed" | "com.widevine" => "Widevine",
        "urn:uuid:9a04f079-9840-4286-ab92-e65be0885f95" | "com.microsoft.playready" => "PlayReady",
        "urn:uuid:e2719d58-a985-b3c9-781a-b030af78d30e" | "org.w3.clearkey" => "ClearKey",
        _ => format,
    }
}
