//! Variables (8216bis, 4.3 and 4.4.2.3): EXT-X-DEFINE and the `{$name}` that refer to it.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::error::{Error, ErrorKind, Result};
use crate::options::Limits;
use crate::playlist::attributes::Attributes;
use crate::playlist::resolve::Base;
use crate::playlist::{malformed, values};

/// The variables of one playlist, in order of definition.
pub(super) struct Variables<'a> {
    base: &'a Base,
    imports: &'a [(String, String)],
    defined: Vec<(String, String)>,
    by_name: HashMap<String, usize>,
    /// What one substituted text may come to.
    line_bytes: usize,
    /// What all substituted text may still come to: a short playlist could otherwise unfold without end.
    budget_bytes: usize,
}

impl<'a> Variables<'a> {
    pub(super) fn new(base: &'a Base, imports: &'a [(String, String)], limits: &Limits) -> Self {
        Self {
            base,
            imports,
            defined: Vec::new(),
            by_name: HashMap::new(),
            line_bytes: limits.line_bytes,
            budget_bytes: limits.playlist_bytes,
        }
    }

    /// Takes in an EXT-X-DEFINE.
    pub(super) fn define(&mut self, line: usize, list: &str) -> Result<()> {
        let attributes = Attributes::parse(line, list, self)?;
        let imports = self.imports;
        let (name, value) = if let Some(name) = attributes.get("NAME") {
            // An empty VALUE is a value.
            (name, attributes.get_any("VALUE").unwrap_or_default().to_owned())
        } else if let Some(name) = attributes.get("QUERYPARAM") {
            let value = query_value(self.base, name).ok_or_else(|| {
                malformed(line, format!("EXT-X-DEFINE: the playlist's URL has no query parameter \"{name}\""))
                    .with_hint("give the playlist's whole URL")
            })?;
            (name, value)
        } else if let Some(name) = attributes.get("IMPORT") {
            let value = imports.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone()).ok_or_else(|| {
                malformed(line, format!("EXT-X-DEFINE: the variable \"{name}\" is not there to be imported"))
                    .with_hint("open the multivariant playlist that defines it")
            })?;
            (name, value)
        } else {
            return Err(malformed(line, "EXT-X-DEFINE without NAME, IMPORT or QUERYPARAM"));
        };
        // Such a value could leave the line or the quotes that it is put into.
        if value.contains(|c: char| c.is_control() || c == '"') {
            return Err(malformed(line, format!("the variable \"{name}\" holds a control character or a quote")));
        }
        if self.by_name.insert(name.to_owned(), self.defined.len()).is_some() {
            return Err(malformed(line, format!("the variable \"{name}\" is defined twice")));
        }
        self.defined.push((name.to_owned(), value));
        Ok(())
    }

    /// Replaces every `{$name}`; a name that is not defined is an error.
    pub(super) fn substitute<'t>(&mut self, line: usize, text: &'t str) -> Result<Cow<'t, str>> {
        if !text.contains("{$") {
            return Ok(Cow::Borrowed(text));
        }
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("{$") {
            let (before, reference) = rest.split_at(at);
            out.push_str(before);
            match reference[2..].split_once('}') {
                Some((name, after)) if is_name(name) => {
                    let value = self.by_name.get(name).and_then(|&at| self.defined.get(at));
                    let (_, value) =
                        value.ok_or_else(|| malformed(line, format!("the variable \"{name}\" is not defined")))?;
                    out.push_str(value);
                    rest = after;
                }
                _ => {
                    out.push_str("{$");
                    rest = &reference[2..];
                }
            }
            if out.len() > self.line_bytes {
                let limit = self.line_bytes;
                return Err(Error::new(
                    ErrorKind::Limit,
                    format!("line {line} with its variables is above the limit of {limit} bytes (line_bytes)"),
                ));
            }
        }
        out.push_str(rest);
        self.budget_bytes = self.budget_bytes.checked_sub(out.len()).ok_or_else(|| {
            Error::new(
                ErrorKind::Limit,
                format!("line {line}: with its variables the playlist is above its size limit (playlist_bytes)"),
            )
        })?;
        Ok(Cow::Owned(out))
    }

    /// What was defined, in order.
    pub(super) fn into_defined(self) -> Vec<(String, String)> {
        self.defined
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// A parameter of the playlist's own URL, percent-decoded. A `+` stays what it is: tokens are full of them.
fn query_value(base: &Base, name: &str) -> Option<String> {
    let Base::Url(url) = base else { return None };
    let decoded = |s: &str| values::percent_decode(s).unwrap_or_else(|| s.to_owned());
    let mut pairs = url.query()?.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(key, _)| decoded(key) == name)?;
    Some(decoded(value)).filter(|value| !value.is_empty())
}
