//! The one error type of the crate.

use std::fmt;

/// The result of every fallible call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn std::error::Error + Send + Sync + 'static>;

/// What went wrong, as a caller may want to tell it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A fault of avweld itself: a broken invariant or a caught panic.
    Internal,
    /// Options or arguments that contradict each other.
    Usage,
    /// A playlist that is malformed or is no playlist at all.
    Playlist,
    /// Media that is corrupt, cut short or not what was announced.
    Media,
    /// A decryption key that is unusable or does not fit the media.
    Key,
    /// An input that does not exist.
    NotFound,
    /// Something that avweld or the chosen container cannot do.
    Unsupported,
    /// A limit of [`Limits`](crate::Limits) was reached.
    Limit,
    /// The output exists and may not be replaced.
    Exists,
    /// The output or a workspace cannot be created.
    CannotCreate,
    /// Reading or writing failed.
    Io,
    /// The disk or a quota is full.
    DiskFull,
    /// Refused by policy, or by the permissions of a file.
    Denied,
    /// Refused by a server: 401, 403, or a proxy's 407.
    Forbidden,
    /// The network or a server failed, for the time being as far as can be told.
    Network,
    /// Nothing came for too long.
    Timeout,
    /// The job was cancelled by its [`CancelToken`](crate::CancelToken).
    Cancelled,
}

impl ErrorKind {
    /// The kind's name in reports: lowercase, words joined by `_`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Usage => "usage",
            Self::Playlist => "playlist",
            Self::Media => "media",
            Self::Key => "key",
            Self::NotFound => "not_found",
            Self::Unsupported => "unsupported",
            Self::Limit => "limit",
            Self::Exists => "exists",
            Self::CannotCreate => "cannot_create",
            Self::Io => "io",
            Self::DiskFull => "disk_full",
            Self::Denied => "denied",
            Self::Forbidden => "forbidden",
            Self::Network => "network",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
        }
    }

    /// Of two errors of one job the one with the higher rank is told:
    /// a real error outranks `Internal`, which outranks `Cancelled`.
    fn rank(self) -> u8 {
        match self {
            Self::Cancelled => 0,
            Self::Internal => 1,
            _ => 2,
        }
    }
}

/// The segment an error belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SegmentPosition {
    media_sequence: u64,
    name: String,
}

/// An error with its place: the job, the segment, the stream and the timestamp, as far as each is known.
///
/// Displays as one line, lowercase, without a trailing period.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
    segment: Option<SegmentPosition>,
    stream: Option<String>,
    timestamp_ns: Option<i64>,
    source: Option<Source>,
}

impl Error {
    /// An error of a kind, with a message in lowercase and without a trailing period.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            hint: None,
            segment: None,
            stream: None,
            timestamp_ns: None,
            source: None,
        }))
    }

    /// An I/O error told by its own kind; `doing` is what was tried: `"cannot open in.ts"`.
    pub fn io(doing: impl fmt::Display, source: std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        // An error that passed through an `io::Error` on its way (a reader inside another) is itself again.
        let source = match source.downcast::<Error>() {
            Ok(error) => return error,
            Err(source) => source,
        };
        let kind = match source.kind() {
            Io::NotFound | Io::IsADirectory | Io::NotADirectory => ErrorKind::NotFound,
            Io::PermissionDenied => ErrorKind::Denied,
            Io::StorageFull | Io::QuotaExceeded | Io::FileTooLarge => ErrorKind::DiskFull,
            Io::AlreadyExists => ErrorKind::Exists,
            _ => ErrorKind::Io,
        };
        Self::new(kind, format!("{doing}: {}", lowercase_first(&source.to_string()))).with_source(source)
    }

    /// The error of a job whose token was cancelled.
    pub fn cancelled() -> Self {
        Self::new(ErrorKind::Cancelled, "cancelled")
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Media sequence number of the segment at fault; `None` if no segment is, or it is not known which.
    pub fn segment(&self) -> Option<u64> {
        self.0.segment.as_ref().map(|s| s.media_sequence)
    }

    /// True if the same job may succeed when it is run again unchanged: the network failed, not the input.
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind(), ErrorKind::Network | ErrorKind::Timeout)
    }

    /// Adds what the user can do about it; shown after the message.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds what the user can do about it beside what was said before.
    #[must_use]
    pub(crate) fn with_further_hint(mut self, hint: impl Into<String>) -> Self {
        let hint = hint.into();
        self.0.hint = Some(match self.0.hint.take() {
            Some(before) => format!("{before}; {hint}"),
            None => hint,
        });
        self
    }

    /// Puts what the error is about before its message: a playlist's name. A cancellation is about none.
    #[must_use]
    pub(crate) fn within(mut self, what: impl fmt::Display) -> Self {
        if self.0.kind != ErrorKind::Cancelled {
            self.0.message = format!("{what}: {}", self.0.message);
        }
        self
    }

    /// The same error as another kind.
    #[must_use]
    pub(crate) fn of_kind(mut self, kind: ErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// Names the segment, unless a place closer to the fault already did.
    #[must_use]
    pub fn with_segment(mut self, media_sequence: u64, name: impl Into<String>) -> Self {
        self.0.segment.get_or_insert(SegmentPosition { media_sequence, name: name.into() });
        self
    }

    /// Names the stream, unless a place closer to the fault already did.
    #[must_use]
    pub fn with_stream(mut self, stream: impl Into<String>) -> Self {
        self.0.stream.get_or_insert(stream.into());
        self
    }

    /// Gives the timestamp at fault in nanoseconds, unless a place closer to the fault already did.
    #[must_use]
    pub fn with_timestamp_ns(mut self, timestamp_ns: i64) -> Self {
        self.0.timestamp_ns.get_or_insert(timestamp_ns);
        self
    }

    /// Sets the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same error for somebody else who met it; without its cause.
    pub(crate) fn replica(&self) -> Self {
        let Inner { kind, message, hint, segment, stream, timestamp_ns, source: _ } = &*self.0;
        Self(Box::new(Inner {
            kind: *kind,
            message: message.clone(),
            hint: hint.clone(),
            segment: segment.clone(),
            stream: stream.clone(),
            timestamp_ns: *timestamp_ns,
            source: None,
        }))
    }

    /// Of two errors of one job, the one to report: a real error outranks
    /// `Internal`, which outranks `Cancelled`; of equals the first.
    #[must_use]
    pub fn or_worse(self, other: Error) -> Error {
        if other.kind().rank() > self.kind().rank() { other } else { self }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let e = &self.0;
        if let Some(segment) = &e.segment {
            write!(f, "segment {} ({}): ", segment.media_sequence, printable(&segment.name))?;
        }
        if let Some(stream) = &e.stream {
            write!(f, "{}: ", printable(stream))?;
        }
        if let Some(ns) = e.timestamp_ns {
            write!(f, "at {:.3} s: ", ns as f64 / 1e9)?;
        }
        f.write_str(&printable(&e.message))?;
        if let Some(hint) = &e.hint {
            write!(f, "; {}", printable(hint))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|s| &**s as _)
    }
}

/// Control characters escaped, so that names out of a playlist cannot steer a terminal or forge a line.
pub(crate) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

fn lowercase_first(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), chars.clone().next()) {
        (Some(a), Some(b)) if a.is_uppercase() && !b.is_uppercase() => a.to_lowercase().chain(chars).collect(),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn displays_one_line_with_place_and_hint() {
        let e = Error::new(ErrorKind::Media, "no media\nin here")
            .with_hint("download it again")
            .with_segment(17, "a.ts")
            .with_segment(99, "outer.ts");
        assert_eq!(e.to_string(), "segment 17 (a.ts): no media\\nin here; download it again");
        assert_eq!(e.segment(), Some(17));
    }

    #[test]
    fn a_real_error_outranks_internal_and_cancelled() {
        let cancelled = Error::cancelled();
        let internal = Error::new(ErrorKind::Internal, "x");
        let real = Error::new(ErrorKind::Media, "y");
        assert_eq!(cancelled.or_worse(internal).or_worse(real).or_worse(Error::cancelled()).kind(), ErrorKind::Media);
    }

    #[test]
    fn an_error_inside_an_io_error_comes_out_as_it_was() {
        let inner = Error::new(ErrorKind::Key, "bad padding");
        assert_eq!(Error::io("cannot read", std::io::Error::other(inner)).kind(), ErrorKind::Key);
    }
}
