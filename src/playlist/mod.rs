//! Playlists: m3u8-rs in, our own resolved types out.

mod types;

pub(crate) use types::*;
