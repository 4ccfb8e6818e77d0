//! Exit codes: one table, so that batch engines can tell from the code what happened.

use avweld::ErrorKind;

/// Standard output was written, or nobody reads it any more; the job succeeded or was skipped.
pub(crate) const OK: u8 = 0;
/// A fault of avweld itself.
pub(crate) const INTERNAL: u8 = 1;

/// A batch ended with some jobs failed.
pub(crate) const SOME_FAILED: u8 = 3;

/// The exit code for an error, with the signal that was received, if one was.
pub(crate) fn code(kind: ErrorKind, signal: Option<i32>) -> u8 {
    match kind {
        ErrorKind::Usage => 2,
        ErrorKind::Playlist | ErrorKind::Media | ErrorKind::Key => 65,
        ErrorKind::NotFound => 66,
        ErrorKind::Unsupported | ErrorKind::Limit => 69,
        ErrorKind::Exists | ErrorKind::CannotCreate => 73,
        ErrorKind::Io | ErrorKind::DiskFull => 74,
        ErrorKind::Network | ErrorKind::Timeout => 75,
        ErrorKind::Denied | ErrorKind::Forbidden => 77,
        ErrorKind::Cancelled => by_signal(signal.unwrap_or(signal_hook::consts::SIGINT)),
        // Internal, and a kind that this table does not know yet, which is a fault of ours as well.
        _ => INTERNAL,
    }
}

/// What a shell shows for a process that a signal ended.
pub(crate) fn by_signal(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(INTERNAL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use signal_hook::consts::{SIGINT, SIGTERM};

    #[test]
    fn every_kind_has_its_code() {
        let table = [
            (ErrorKind::Internal, 1),
            (ErrorKind::Usage, 2),
            (ErrorKind::Playlist, 65),
            (ErrorKind::Media, 65),
            (ErrorKind::Key, 65),
            (ErrorKind::NotFound, 66),
            (ErrorKind::Unsupported, 69),
            (ErrorKind::Limit, 69),
            (ErrorKind::Exists, 73),
            (ErrorKind::CannotCreate, 73),
            (ErrorKind::Io, 74),
            (ErrorKind::DiskFull, 74),
            (ErrorKind::Network, 75),
            (ErrorKind::Timeout, 75),
            (ErrorKind::Denied, 77),
            (ErrorKind::Forbidden, 77),
            (ErrorKind::Cancelled, 130),
        ];
        for (kind, expected) in table {
            assert_eq!(code(kind, None), expected, "{kind:?}");
        }
    }

    #[test]
    fn cancelled_tells_the_signal_and_other_errors_do_not() {
        assert_eq!(code(ErrorKind::Cancelled, Some(SIGINT)), 130);
        assert_eq!(code(ErrorKind::Cancelled, Some(SIGTERM)), 143);
        assert_eq!(code(ErrorKind::Media, Some(SIGTERM)), 65);
    }
}
