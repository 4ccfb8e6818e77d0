//! Attribute lists (RFC 8216, 4.2), repaired for m3u8-rs: it drops a whole tag for one empty
//! string, or for quotes where it expects none, and reads on into the next line for a `=`.

use std::borrow::Cow;
use std::fmt::Write;

use crate::error::Result;
use crate::playlist::variables::Variables;

/// The attributes of one tag, with variables substituted.
pub(super) struct Attributes<'a>(Vec<(&'a str, Cow<'a, str>)>);

impl<'a> Attributes<'a> {
    /// Splits a list. What is no `NAME=value` is left out.
    pub(super) fn parse(line: usize, list: &'a str, variables: &mut Variables<'_>) -> Result<Self> {
        let mut attributes = Vec::new();
        let mut rest = list;
        while !rest.is_empty() {
            let end_of_name = rest.find(['=', ',']).unwrap_or(rest.len());
            let (name, after) = rest.split_at(end_of_name);
            let Some(value) = after.strip_prefix('=').map(str::trim_start) else {
                rest = after.get(1..).unwrap_or_default();
                continue;
            };
            let (value, after) = match value.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
                None => value.split_at(value.find(',').unwrap_or(value.len())),
            };
            attributes.push((name.trim(), variables.substitute(line, value.trim())?));
            rest = after.split_once(',').map_or("", |(_, next)| next);
        }
        Ok(Self(attributes))
    }

    /// A value that is not empty; of several the last, as m3u8-rs has it.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.get_any(name).filter(|value| !value.is_empty())
    }

    /// A value, even an empty one.
    pub(super) fn get_any(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(n, _)| *n == name).map(|(_, value)| value.as_ref())
    }

    /// True for `YES`.
    pub(super) fn is_yes(&self, name: &str) -> bool {
        self.get(name) == Some("YES")
    }
}

/// A tag as m3u8-rs reads it without loss.
pub(super) struct TagWriter<'a> {
    out: &'a mut String,
    separator: char,
}

impl<'a> TagWriter<'a> {
    /// Begins a tag; `name` is without `#`.
    pub(super) fn new(out: &'a mut String, name: &str) -> Self {
        out.push('#');
        out.push_str(name);
        Self { out, separator: ':' }
    }

    /// Adds a quoted string; nothing for `None`.
    pub(super) fn quoted(self, name: &str, value: Option<&str>) -> Self {
        // An unquoted value may hold a quote, which would end the string early.
        match value {
            Some(value) if !value.contains('"') => self.attribute(name, format_args!("\"{value}\"")),
            _ => self,
        }
    }

    /// Adds a value without quotes; nothing for `None`.
    pub(super) fn bare(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) if !value.contains(['"', ',']) => self.attribute(name, format_args!("{value}")),
            _ => self,
        }
    }

    /// Ends the tag's line.
    pub(super) fn end(self) {
        self.out.push('\n');
    }

    fn attribute(mut self, name: &str, value: std::fmt::Arguments<'_>) -> Self {
        // Writing to a string cannot fail.
        let _ = write!(self.out, "{}{name}={value}", self.separator);
        self.separator = ',';
        self
    }
}
