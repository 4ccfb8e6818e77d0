//! What playlists mean, line by line, and what hostile ones must meet.

mod corpus;
mod encryption;
mod hostile;
mod locations;
mod media;
mod multivariant;
mod properties;
mod selection;

use super::*;
use std::path::PathBuf;

/// The playlist of most tests is at `https://example.com/v/index.m3u8?token=s3cret`.
fn web() -> Base {
    Base::Url(url::Url::parse("https://example.com/v/index.m3u8?token=s3cret").expect("a URL"))
}

/// A local playlist in the folder `/media/v`.
fn folder() -> Base {
    Base::Folder(PathBuf::from("/media/v"))
}

fn parse_in(base: &Base, text: &str) -> Result<Parsed> {
    parse(text.as_bytes(), base, &Limits::default(), &[], &CancelToken::new())
}

/// The media playlist of a text that must be one.
#[track_caller]
fn media(text: &str) -> MediaPlaylist {
    media_with_warnings(text).0
}

#[track_caller]
fn media_with_warnings(text: &str) -> (MediaPlaylist, Vec<String>) {
    match parse_in(&web(), text) {
        Ok(Parsed { playlist: Playlist::Media(media), warnings }) => (media, warnings),
        other => panic!("no media playlist: {other:?}"),
    }
}

#[track_caller]
fn multivariant(text: &str) -> (MultivariantPlaylist, Vec<String>) {
    match parse_in(&web(), text) {
        Ok(Parsed { playlist: Playlist::Multivariant(playlist), warnings }) => (playlist, warnings),
        other => panic!("no multivariant playlist: {other:?}"),
    }
}

/// The error of a text, with its kind; it is one line.
#[track_caller]
fn error(text: &str) -> (ErrorKind, String) {
    error_in(&web(), text)
}

#[track_caller]
fn error_in(base: &Base, text: &str) -> (ErrorKind, String) {
    let error = parse_in(base, text).expect_err("an error");
    let shown = error.to_string();
    assert!(!shown.contains(char::is_control) && !shown.ends_with('.') && !shown.contains("s3cret"), "{shown:?}");
    (error.kind(), shown)
}

/// A whole VOD playlist around some lines.
fn vod(lines: &str) -> String {
    format!("#EXTM3U\n#EXT-X-TARGETDURATION:10\n{lines}\n#EXT-X-ENDLIST\n")
}

#[test]
fn a_playlist_is_given_up_once_the_token_is_cancelled() {
    let cancel = CancelToken::new();
    cancel.cancel();
    let text = "#EXTM3U\n#EXTINF:1,\na.ts\n";
    let error = parse(text.as_bytes(), &web(), &Limits::default(), &[], &cancel).expect_err("it is cancelled");
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}
