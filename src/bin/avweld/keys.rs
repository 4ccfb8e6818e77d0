//! Keys of config and job files: their values, by the parsers of the command line, and what is wrong with them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use avweld::{AudioChoice, Format, SubtitleChoice, TimeRange, VariantChoice};
use bytesize::ByteSize;
use serde::de::value::MapDeserializer;
use serde::de::{Deserialize, Deserializer, Error, IntoDeserializer, MapAccess, Visitor};

use crate::values;

/// What is wrong with a table, and the position of the key at fault, where it is one's fault alone.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) position: Option<usize>,
    pub(crate) message: String,
}

/// Reads a table whose keys can be left out.
///
/// # Errors
/// Names the first key that would not do by itself.
pub(crate) fn read<'de, T, V, E>(entries: &[(String, V)]) -> Result<T, Fault>
where
    T: Deserialize<'de>,
    V: IntoDeserializer<'de, E> + Clone,
    E: Error,
{
    let table = |entries: &[(String, V)]| T::deserialize(MapDeserializer::new(entries.iter().cloned()));
    table(entries).map_err(|whole| {
        let alone = |n: usize| table(&entries[n..=n]).err().map(|error| (n, error));
        match (0..entries.len()).find_map(alone) {
            Some((n, error)) => {
                Fault { position: Some(n), message: format!("{}: {}", entries[n].0, first_line(&error)) }
            }
            None => Fault { position: None, message: first_line(&whole) },
        }
    })
}

/// The rest of it says where, in the words of a parser that did not see the whole file.
fn first_line(error: &impl Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

/// For a flattened field behind all others: takes no key that they left.
pub(crate) fn no_others<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    struct Nothing;

    impl<'de> Visitor<'de> for Nothing {
        type Value = ();

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("no other key")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
            match map.next_key::<String>()? {
                Some(_) => Err(A::Error::custom("there is no such key; every option is one, with _ in place of -")),
                None => Ok(()),
            }
        }
    }

    deserializer.deserialize_map(Nothing)
}

/// A number stands for its digits: `variant = 0`, `retry_delay = 0.5`.
#[derive(serde::Deserialize)]
#[serde(untagged, expecting = "give text or a number")]
enum Scalar {
    Integer(i64),
    Float(f64),
    Text(String),
}

fn parsed<'de, D, T>(deserializer: D, parse: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
{
    let text = match Option::deserialize(deserializer)? {
        None => return Ok(None),
        Some(Scalar::Integer(number)) => number.to_string(),
        Some(Scalar::Float(number)) => number.to_string(),
        Some(Scalar::Text(text)) => text,
    };
    parse(&text).map(Some).map_err(D::Error::custom)
}

pub(crate) fn variant<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<VariantChoice>, D::Error> {
    parsed(deserializer, values::variant)
}

pub(crate) fn audio<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<AudioChoice>, D::Error> {
    parsed(deserializer, values::audio)
}

pub(crate) fn subtitles<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SubtitleChoice>, D::Error> {
    parsed(deserializer, values::subtitles)
}

pub(crate) fn range<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<TimeRange>, D::Error> {
    parsed(deserializer, values::range)
}

pub(crate) fn iv<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<[u8; 16]>, D::Error> {
    parsed(deserializer, values::iv)
}

pub(crate) fn format<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Format>, D::Error> {
    parsed(deserializer, values::format)
}

pub(crate) fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    parsed(deserializer, values::seconds)
}

pub(crate) fn timeout<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    parsed(deserializer, values::timeout)
}

pub(crate) fn rate<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ByteSize>, D::Error> {
    parsed(deserializer, values::rate)
}

pub(crate) fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ByteSize>, D::Error> {
    parsed(deserializer, values::size)
}

/// Text that may be a secret: what else stands there is not shown.
pub(crate) fn secret<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: From<String>,
{
    #[derive(serde::Deserialize)]
    #[serde(untagged, expecting = "give text, in quotes")]
    enum Text {
        Text(String),
    }

    let text = Option::deserialize(deserializer)?;
    Ok(text.map(|Text::Text(text)| text.into()))
}

/// Headers: a table of names and values, a list of lines, or one line.
pub(crate) fn headers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(serde::Deserialize)]
    #[serde(untagged, expecting = "give a table of names and values, or a list of 'Name: value'")]
    enum Headers {
        Table(BTreeMap<String, String>),
        Lines(Vec<String>),
        Line(String),
    }

    Ok(Option::deserialize(deserializer)?.map(|headers| match headers {
        Headers::Table(table) => table.into_iter().map(|(name, value)| format!("{name}: {value}")).collect(),
        Headers::Lines(lines) => lines,
        Headers::Line(line) => vec![line],
    }))
}

/// A list, or its only member.
pub(crate) fn paths<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<PathBuf>>, D::Error> {
    #[derive(serde::Deserialize)]
    #[serde(untagged, expecting = "give a path or a list of paths")]
    enum Paths {
        One(PathBuf),
        Several(Vec<PathBuf>),
    }

    Ok(Option::deserialize(deserializer)?.map(|paths| match paths {
        Paths::One(path) => vec![path],
        Paths::Several(paths) => paths,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[derive(serde::Deserialize, Default, Debug, PartialEq)]
    #[serde(default)]
    struct Group {
        #[serde(rename = "max_retries", alias = "retries")]
        retries: Option<u32>,
        #[serde(deserialize_with = "timeout")]
        read_timeout: Option<Duration>,
        #[serde(deserialize_with = "headers", alias = "headers")]
        header: Option<Vec<String>>,
        #[serde(deserialize_with = "secret")]
        proxy: Option<String>,
        #[serde(deserialize_with = "variant")]
        variant: Option<VariantChoice>,
    }

    #[derive(serde::Deserialize, Debug, PartialEq)]
    struct Table {
        name: Option<String>,
        #[serde(flatten)]
        group: Group,
        #[serde(flatten, deserialize_with = "no_others")]
        others: (),
    }

    fn table(value: Value) -> Result<Table, Fault> {
        let Value::Object(map) = value else { panic!("not a table") };
        read::<Table, _, serde_json::Error>(&map.into_iter().collect::<Vec<_>>())
    }

    #[test]
    fn values_are_those_of_the_command_line() {
        let read = table(json!({
            "name": "a", "retries": 7, "read_timeout": 0.5, "variant": 2, "headers": {"B": "2", "A": "1"}, "proxy": null,
        }));
        let group = Group {
            retries: Some(7),
            read_timeout: Some(Duration::from_millis(500)),
            header: Some(vec!["A: 1".into(), "B: 2".into()]),
            proxy: None,
            variant: Some(VariantChoice::Index(2)),
        };
        assert_eq!(read, Ok(Table { name: Some("a".into()), group, others: () }));
        assert_eq!(table(json!({})).map(|table| table.group), Ok(Group::default()));
        let of = |value: Value| table(value).expect("a table").group;
        assert_eq!(of(json!({"max_retries": 1})).retries, Some(1));
        assert_eq!(of(json!({"read_timeout": "30"})).read_timeout, Some(Duration::from_secs(30)));
        assert_eq!(of(json!({"header": "A: 1"})).header, Some(vec!["A: 1".into()]));
        assert_eq!(of(json!({"variant": "720p"})).variant, Some(VariantChoice::Height(720)));
    }

    #[test]
    fn the_key_at_fault_is_named() {
        let fault = |value: Value| table(value).expect_err("a fault");
        let unknown = "colour: there is no such key; every option is one, with _ in place of -";
        assert_eq!(fault(json!({"colour": 1})).message, unknown);
        let timeout = fault(json!({"name": "a", "read_timeout": 0}));
        assert_eq!(timeout, Fault { position: Some(1), message: "read_timeout: give more than 0 seconds".into() });
        assert_eq!(fault(json!({"name": 7})).message, "name: invalid type: integer `7`, expected a string");
        assert_eq!(fault(json!({"retries": -1})).position, Some(0));
        let twice = fault(json!({"max_retries": 1, "retries": 2}));
        assert_eq!(twice, Fault { position: None, message: "duplicate field `max_retries`".into() });
    }

    #[test]
    fn what_may_be_a_secret_is_not_shown() {
        for value in
            [json!({"proxy": {"hush": 1}}), json!({"headers": {"A": {"hush": 1}}}), json!({"header": ["hush", 1]})]
        {
            let fault = table(value).expect_err("a fault");
            assert!(!fault.message.contains("hush"), "{}", fault.message);
        }
        assert_eq!(table(json!({"proxy": 5})).expect_err("a fault").message, "proxy: give text, in quotes");
    }
}
