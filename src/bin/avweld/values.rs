//! The values of options: text as typed to the library's types.

use std::path::PathBuf;
use std::time::Duration;

use avweld::{
    AddressPolicy, AudioChoice, Format, OnChange, OnDiscontinuity, OnGap, SubtitleChoice, TimeRange, VariantChoice,
    Verify,
};
use bytesize::ByteSize;
use clap::ValueEnum;
use clap::builder::{OsStringValueParser, PossibleValuesParser, TypedValueParser};
use serde::Deserialize;

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ProgressStyle {
    /// A bar on a terminal, nothing elsewhere.
    Auto,
    /// A bar, if standard error is a terminal.
    Bar,
    /// One JSON event a line on standard error.
    Json,
    /// Nothing.
    None,
}

/// What a segment that cannot be had does.
#[derive(Debug, Clone, Copy, ValueEnum, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Gap {
    /// End the job with an error.
    Fail,
    /// Go on, and list the segment as missing.
    Skip,
}

impl From<Gap> for OnGap {
    fn from(gap: Gap) -> Self {
        match gap {
            Gap::Fail => Self::Fail,
            Gap::Skip => Self::Skip,
        }
    }
}

/// What a marked discontinuity does.
#[derive(Debug, Clone, Copy, ValueEnum, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Discontinuity {
    /// Go on in the same file.
    Join,
    /// Begin a new file: NAME.000.mp4, NAME.001.mp4, …
    Split,
}

impl From<Discontinuity> for OnDiscontinuity {
    fn from(discontinuity: Discontinuity) -> Self {
        match discontinuity {
            Discontinuity::Join => Self::Join,
            Discontinuity::Split => Self::Split,
        }
    }
}

/// What a change of codec parameters does.
#[derive(Debug, Clone, Copy, ValueEnum, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Change {
    /// Begin a new file: NAME.000.mp4, NAME.001.mp4, …
    Split,
    /// End the job with an error.
    Fail,
}

impl From<Change> for OnChange {
    fn from(change: Change) -> Self {
        match change {
            Change::Split => Self::Split,
            Change::Fail => Self::Fail,
        }
    }
}

/// How an output is checked before it appears.
#[derive(Debug, Clone, Copy, ValueEnum, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Check {
    /// Read back: tracks, packets and durations are those that were written.
    Read,
    /// Decoded too: no more errors than the source has, and as many frames. Takes longer.
    Decode,
}

impl From<Check> for Verify {
    fn from(check: Check) -> Self {
        match check {
            Check::Read => Self::Read,
            Check::Decode => Self::Decode,
        }
    }
}

/// Which addresses a playlist may lead to.
#[derive(Debug, Clone, Copy, ValueEnum, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Addresses {
    /// Public ones, beside that of the URL given.
    Public,
    /// None more private than that of the URL given.
    SameClass,
    /// Every one.
    Any,
}

impl From<Addresses> for AddressPolicy {
    fn from(addresses: Addresses) -> Self {
        match addresses {
            Addresses::Public => Self::Public,
            Addresses::SameClass => Self::SameClass,
            Addresses::Any => Self::Any,
        }
    }
}

/// Takes a path, and what a path cannot be: nothing.
pub(crate) fn path_or_nothing() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

/// Takes the name of a format.
pub(crate) fn formats() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(Format::ALL.map(Format::name))
        .try_map(|name| Format::from_name(&name).ok_or("no such format"))
}

/// The name of a format.
pub(crate) fn format(text: &str) -> Result<Format, String> {
    Format::from_name(text).ok_or_else(|| format!("give {}", Format::ALL.map(Format::name).join(", ")))
}

/// `best`, `worst`, `720p`, `2500k` or an index.
pub(crate) fn variant(text: &str) -> Result<VariantChoice, String> {
    let choice = match text {
        "best" => Some(VariantChoice::Best),
        "worst" => Some(VariantChoice::Worst),
        _ => match (text.strip_suffix('p'), text.strip_suffix('k')) {
            (Some(height), _) => number(height).map(VariantChoice::Height),
            (_, Some(kbps)) => number(kbps).map(VariantChoice::Kbps),
            _ => number(text).map(VariantChoice::Index),
        },
    };
    choice.ok_or_else(|| "give best, worst, a height (720p), a bandwidth (2500k) or an index (0)".to_owned())
}

/// Digits only: `parse` alone would take `+7` too.
fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

/// `default`, `all`, `none` or a language.
pub(crate) fn audio(text: &str) -> Result<AudioChoice, String> {
    match text {
        "default" => Ok(AudioChoice::Default),
        "all" => Ok(AudioChoice::All),
        "none" => Ok(AudioChoice::None),
        _ if is_language(text) => Ok(AudioChoice::Language(text.to_owned())),
        _ => Err(WANT_LANGUAGE.to_owned()),
    }
}

/// `default`, `all`, `none` or a language.
pub(crate) fn subtitles(text: &str) -> Result<SubtitleChoice, String> {
    match text {
        "default" => Ok(SubtitleChoice::Default),
        "all" => Ok(SubtitleChoice::All),
        "none" => Ok(SubtitleChoice::None),
        _ if is_language(text) => Ok(SubtitleChoice::Language(text.to_owned())),
        _ => Err(WANT_LANGUAGE.to_owned()),
    }
}

const WANT_LANGUAGE: &str = "give default, all, none or a language such as en or pt-BR";

/// The shape of a BCP 47 tag: subtags of one to eight letters or digits, the first of letters.
fn is_language(text: &str) -> bool {
    let subtag = |s: &str| (1..=8).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_alphanumeric());
    text.split('-').all(subtag) && text.split('-').next().is_some_and(|s| s.bytes().all(|b| b.is_ascii_alphabetic()))
}

/// `START-END`, each in seconds or as a clock shows it; either may be missing.
pub(crate) fn range(text: &str) -> Result<TimeRange, String> {
    let parse = || {
        let (start, end) = text.split_once('-').filter(|halves| *halves != ("", ""))?;
        let time = |text: &str| if text.is_empty() { Some(None) } else { clock(text).map(Some) };
        let (start, end) = (time(start)?.unwrap_or_default(), time(end)?);
        end.is_none_or(|end| end > start).then_some(TimeRange { start, end })
    };
    parse()
        .ok_or_else(|| "give START-END, such as 90-120, 00:01:30-00:02:00 or 90-, the end behind the start".to_owned())
}

/// Seconds, `MM:SS` or `HH:MM:SS`, with a fraction or without.
fn clock(text: &str) -> Option<Duration> {
    let mut total = 0.0;
    for (n, part) in text.split(':').enumerate() {
        let value: f64 = part.bytes().all(|b| b.is_ascii_digit() || b == b'.').then(|| part.parse().ok())??;
        if n > 2 || n > 0 && value >= 60.0 {
            return None;
        }
        total = total * 60.0 + value;
    }
    (total <= MOST_SECONDS).then(|| Duration::from_secs_f64(total))
}

/// Up to 32 hex digits, `0x` before them or not, padded with zeros on the left.
pub(crate) fn iv(text: &str) -> Result<[u8; 16], String> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    let mut iv = [0; 16];
    if digits.is_empty() || digits.len() > 32 || hex::decode_to_slice(format!("{digits:0>32}"), &mut iv).is_err() {
        return Err("give 1 to 32 hex digits".to_owned());
    }
    Ok(iv)
}

/// Seconds, with a fraction or without.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.0..=MOST_SECONDS).contains(seconds));
    // A `-0` counts as 0.
    seconds.map(|s| Duration::from_secs_f64(s.abs())).ok_or_else(|| "give seconds, such as 30 or 0.5".to_owned())
}

/// A hundred years: what is added to the time of day must not overflow it.
const MOST_SECONDS: f64 = 3.2e9;

/// Seconds of which there are some: with none nothing would ever be in time.
pub(crate) fn timeout(text: &str) -> Result<Duration, String> {
    match seconds(text)? {
        Duration::ZERO => Err("give more than 0 seconds".to_owned()),
        timeout => Ok(timeout),
    }
}

/// Bytes a second: `500k`, `4M`, `4MiB`.
pub(crate) fn rate(text: &str) -> Result<ByteSize, String> {
    match text.parse::<ByteSize>() {
        Ok(rate) if rate.as_u64() > 0 => Ok(rate),
        _ => Err("give bytes a second, such as 500k or 4M".to_owned()),
    }
}

/// Bytes: `500M`, `2GiB`.
pub(crate) fn size(text: &str) -> Result<ByteSize, String> {
    match text.parse::<ByteSize>() {
        Ok(size) if size.as_u64() > 0 => Ok(size),
        _ => Err("give a size, such as 500M or 2GiB".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_with_a_fraction_or_without() {
        assert_eq!(seconds("5"), Ok(Duration::from_secs(5)));
        assert_eq!(seconds("0.25"), Ok(Duration::from_millis(250)));
        assert_eq!(seconds("0"), Ok(Duration::ZERO));
        assert_eq!(timeout("1e-3"), Ok(Duration::from_millis(1)));
        for bad in ["", "-1", "5s", "inf", "NaN", "1e300", "1,5"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
        for bad in ["0", "1e-20"] {
            assert!(timeout(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn rates_are_bytes_a_second() {
        let bytes = |text| rate(text).ok().map(|rate| rate.as_u64());
        assert_eq!(bytes("4M"), Some(4_000_000));
        assert_eq!(bytes("500k"), Some(500_000));
        assert_eq!(bytes("4MiB"), Some(4 << 20));
        assert_eq!(bytes("1000"), Some(1000));
        for bad in ["", "0", "-1", "4Q", "M", "fast"] {
            assert_eq!(bytes(bad), None, "{bad}");
        }
    }

    #[test]
    fn variants() {
        assert_eq!(variant("best"), Ok(VariantChoice::Best));
        assert_eq!(variant("worst"), Ok(VariantChoice::Worst));
        assert_eq!(variant("720p"), Ok(VariantChoice::Height(720)));
        assert_eq!(variant("2500k"), Ok(VariantChoice::Kbps(2500)));
        assert_eq!(variant("0"), Ok(VariantChoice::Index(0)));
        for bad in ["", "p", "k", "-1", "+1", "1.5", "720P", "720pk", "bester", "99999999999p"] {
            assert!(variant(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn audio_choices() {
        assert_eq!(audio("default"), Ok(AudioChoice::Default));
        assert_eq!(audio("all"), Ok(AudioChoice::All));
        assert_eq!(audio("none"), Ok(AudioChoice::None));
        assert_eq!(audio("pt-BR"), Ok(AudioChoice::Language("pt-BR".into())));
        for bad in ["", "-", "en-", "12", "en us", "abcdefghi", "é"] {
            assert!(audio(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn subtitle_choices() {
        assert_eq!(subtitles("default"), Ok(SubtitleChoice::Default));
        assert_eq!(subtitles("all"), Ok(SubtitleChoice::All));
        assert_eq!(subtitles("none"), Ok(SubtitleChoice::None));
        assert_eq!(subtitles("en"), Ok(SubtitleChoice::Language("en".into())));
        assert!(subtitles("en us").is_err());
    }

    #[test]
    fn ranges_are_seconds_or_clock_times() {
        let of = |start, end: Option<u64>| {
            Ok(TimeRange { start: Duration::from_millis(start), end: end.map(Duration::from_millis) })
        };
        assert_eq!(range("90-120"), of(90_000, Some(120_000)));
        assert_eq!(range("1:30-00:02:00.5"), of(90_000, Some(120_500)));
        assert_eq!(range("01:00:00-"), of(3_600_000, None));
        assert_eq!(range("-10.25"), of(0, Some(10_250)));
        for bad in ["", "-", "90", "2-1", "1-1", "1:60-", "1:2:3:4-", "a-b", "1--2", "1e3-", "-1-2", ":-", "inf-"] {
            assert!(range(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ivs_are_padded_on_the_left() {
        let mut one = [0; 16];
        one[15] = 1;
        assert_eq!(iv("0x1"), Ok(one));
        assert_eq!(iv("01"), Ok(one));
        assert_eq!(iv("0Xffffffffffffffffffffffffffffffff"), Ok([0xff; 16]));
        for bad in ["", "0x", "0xg", "é", "0x0x1", "000000000000000000000000000000000"] {
            assert!(iv(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn policies_map_to_those_of_the_library() {
        assert_eq!(OnGap::from(Gap::Skip), OnGap::Skip);
        assert_eq!(OnDiscontinuity::from(Discontinuity::Split), OnDiscontinuity::Split);
        assert_eq!(OnChange::from(Change::Fail), OnChange::Fail);
        assert_eq!(AddressPolicy::from(Addresses::Any), AddressPolicy::Any);
    }
}
