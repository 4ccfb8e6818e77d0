//! How long a server wants to be left alone (RFC 9110, 10.2.3).

use std::time::{Duration, SystemTime};

/// No server is obeyed for longer.
const LONGEST: Duration = Duration::from_secs(120);

/// The pause that a `Retry-After` asks for, at most two minutes; zero for a date that is past, `None` for what is
/// neither seconds nor a date.
pub(super) fn parse(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    let pause = if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        // Digits that are no number are too many of them.
        value.parse().map_or(LONGEST, Duration::from_secs)
    } else {
        httpdate::parse_http_date(value).ok()?.duration_since(now).unwrap_or_default()
    };
    Some(pause.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_obeyed_for_two_minutes_at_most() {
        // Sun, 06 Nov 1994 08:49:37 GMT
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let cases = [
            ("0", Some(0)),
            ("7", Some(7)),
            (" 007 ", Some(7)),
            ("120", Some(120)),
            ("121", Some(120)),
            ("3600", Some(120)),
            ("18446744073709551616", Some(120)),
            ("99999999999999999999999999999999", Some(120)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(0)),
            ("Sun, 06 Nov 1994 08:50:07 GMT", Some(30)),
            ("Sunday, 06-Nov-94 08:50:07 GMT", Some(30)),
            ("Sun Nov  6 08:50:07 1994", Some(30)),
            ("Mon, 07 Nov 1994 08:49:37 GMT", Some(120)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(120)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Sun, 06 Nov 1994 08:50:07 CET", None),
            ("-1", None),
            ("+5", None),
            ("1.5", None),
            ("1e3", None),
            ("soon", None),
            ("", None),
            ("５", None),
            ("7, 7", None),
        ];
        for (value, seconds) in cases {
            assert_eq!(parse(value, now), seconds.map(Duration::from_secs), "{value:?}");
        }
    }
}
