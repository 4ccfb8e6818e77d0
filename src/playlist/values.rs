//! Values of tags that are read here: exactly, and with every number checked.

use std::borrow::Cow;

use crate::time::Nanos;

/// The IV of a segment whose key names none: its media sequence number, big-endian (RFC 8216, 5.2).
pub(crate) fn default_iv(media_sequence: u64) -> [u8; 16] {
    u128::from(media_sequence).to_be_bytes()
}

/// Seconds as digits with an optional fraction, rounded to nanoseconds.
///
/// `None` for a sign, an exponent, `nan`, `inf`, and beyond 292 years.
pub(super) fn seconds(text: &str) -> Option<Nanos> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let digit = |i: usize| u64::from(fraction.as_bytes().get(i).map_or(0, |b| b - b'0'));
    let below = (0..9).fold(0, |ns, i| ns * 10 + digit(i)) + u64::from(digit(9) >= 5);
    let ns = whole.checked_mul(1_000_000_000)?.checked_add(below)?;
    i64::try_from(ns).ok().map(Nanos)
}

/// What an EXTINF says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Extinf {
    /// A duration.
    Duration(Nanos),
    /// A duration with a comma before its fraction, as a locale writes it.
    DecimalComma(Nanos),
    /// No duration that could be used.
    Nonsense,
}

/// Reads the value of an EXTINF: `<duration>,[<title>]`.
///
/// `6,000` is six seconds with the title `000`, as the RFC has it. Only where a further comma
/// follows (`9,984,` or `9,984,title`) are digits after the first comma taken as a fraction.
pub(super) fn extinf(value: &str) -> Extinf {
    let mut fields = value.split(',').map(str::trim);
    let first = fields.next().unwrap_or_default();
    // Lists of IPTV players put attributes between the duration and the comma.
    let first = first.split_ascii_whitespace().next().unwrap_or_default();
    let Some(duration) = seconds(first) else { return Extinf::Nonsense };
    if let (Some(second), Some(_)) = (fields.next(), fields.next())
        && !first.contains('.')
        && (1..=9).contains(&second.len())
        && let Some(both) = seconds(&format!("{first}.{second}"))
    {
        return Extinf::DecimalComma(both);
    }
    Extinf::Duration(duration)
}

/// A byte range as it is written, `<length>[@<offset>]` (RFC 8216, 4.3.2.2); the error says what is wrong with it.
pub(super) fn byte_range(text: &str) -> Result<(u64, Option<u64>), &'static str> {
    let number = |s: &str| s.trim().parse::<u64>().map_err(|_| "is no byte range: expected LENGTH or LENGTH@OFFSET");
    let text = text.trim_matches('"');
    let (length, offset) = match text.split_once('@') {
        Some((length, offset)) => (number(length)?, Some(number(offset)?)),
        None => (number(text)?, None),
    };
    if length == 0 {
        return Err("is a range of no bytes");
    }
    Ok((length, offset))
}

/// An IV of at most 128 bits, left-padded; the error says what is wrong with it.
pub(super) fn iv(text: &str) -> Result<[u8; 16], &'static str> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    if digits.is_empty() || digits.len() > 32 {
        return Err("must have 1 to 32 hexadecimal digits");
    }
    if digits.len() % 2 == 1 {
        return Err("has an odd number of hexadecimal digits");
    }
    let mut iv = [0; 16];
    hex::decode_to_slice(digits, &mut iv[16 - digits.len() / 2..]).map_err(|_| "is not hexadecimal")?;
    Ok(iv)
}

/// A date and time with its zone as RFC 3339 wants it: ISO 8601 also has `+0100` and `+01`;
/// without a zone it is taken as UTC.
pub(super) fn rfc3339(text: &str) -> Cow<'_, str> {
    let time = text.find(['T', 't', ' ']).map_or(text.len(), |at| at + 1);
    let zone = text[time..].find(['+', '-', 'Z', 'z']).map(|at| &text[time + at..]);
    match zone {
        None => Cow::Owned(format!("{text}Z")),
        Some(zone) if zone.len() == 3 => Cow::Owned(format!("{text}:00")),
        Some(zone) if zone.len() == 5 && !zone.contains(':') && zone.is_ascii() => {
            let (before, minutes) = text.split_at(text.len() - 2);
            Cow::Owned(format!("{before}:{minutes}"))
        }
        Some(_) => Cow::Borrowed(text),
    }
}

/// Undoes percent-encoding; `None` where nothing is encoded, or the result is no text.
pub(super) fn percent_decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let mut decoded = [0];
        if byte == b'%' && after.get(..2).is_some_and(|pair| hex::decode_to_slice(pair, &mut decoded).is_ok()) {
            out.push(decoded[0]);
            rest = &after[2..];
        } else {
            out.push(byte);
            rest = after;
        }
    }
    String::from_utf8(out).ok().filter(|decoded| decoded != text)
}
