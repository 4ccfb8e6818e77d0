use super::*;
use std::fs;
use std::path::Path;

/// Playlists that fail, each on purpose: a part of the name, and what the error says.
const REFUSED: [(&str, &str); 13] = [
    ("m3u8-parser/empty.m3u8", "it is empty"),
    ("m3u8-parser/headerOnly.m3u8", "names no segments"),
    ("m3u8-rs/media-playlist-without-segments.m3u8", "names no segments"),
    ("low-latency/media_playlist_empty.m3u8", "names no segments"),
    ("low-latency/media_playlist_live_empty.m3u8", "names no segments"),
    ("low-latency/media_playlist_vod_empty.m3u8", "names no segments"),
    ("low-latency/live_low_latency_parts_only.m3u8", "names no segments"),
    ("m3u8-parser/llhls-delta-byte-range.m3u8", "delta update"),
    ("m3u8-parser/llhlsDelta.m3u8", "delta update"),
    ("skip_skipped", "delta update"),
    ("reload_next_skipped", "delta update"),
    ("m3u8-parser/llhls-byte-range.m3u8", "is no byte range"),
    ("m3u8-parser/diff-init-key.m3u8", "has no IV"),
];

fn playlists(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable folder").path();
        match path.is_dir() {
            true => playlists(&path, found),
            false => found.push(path),
        }
    }
}

#[test]
fn every_playlist_of_the_corpus_parses_or_fails_for_a_reason() {
    let Some(corpus) = std::env::var_os("AVWELD_CORPUS") else {
        eprintln!("skipped: AVWELD_CORPUS names no folder");
        return;
    };
    let mut paths = Vec::new();
    playlists(&Path::new(&corpus).join("playlists"), &mut paths);
    assert!(!paths.is_empty());
    let mut wrong = Vec::new();
    for path in &paths {
        let bytes = fs::read(path).expect("a readable file");
        let shown = path.to_string_lossy();
        // As a saved file it may name what a local playlist may not; it must not panic.
        let _ = parse(&bytes, &folder(), &Limits::default(), &[], &CancelToken::new());
        let reason = REFUSED.iter().find(|(name, _)| shown.contains(name)).map(|(_, says)| *says);
        match (parse(&bytes, &web(), &Limits::default(), &[], &CancelToken::new()), reason) {
            (Ok(_), None) => {}
            (Err(error), Some(says)) if error.to_string().contains(says) => {}
            (Ok(_), Some(says)) => wrong.push(format!("{shown}: not refused: {says}")),
            (Err(error), _) => wrong.push(format!("{shown}: {error}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
