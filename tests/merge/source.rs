//! What a playlist's segments hold, put together without avweld: by hand, with openssl and flate2.

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use flate2::read::GzDecoder;

use crate::fixtures;
use crate::sandbox::fixture;

/// The cases of fixtures/, each with its playlist.
pub(crate) fn cases() -> Vec<(String, PathBuf)> {
    let cases = fixtures::cases().into_iter().map(|case| (case.clone(), fixture(&case).join("index.m3u8")));
    let cases: Vec<_> = cases.collect();
    assert!(cases.len() >= 30, "only {} cases", cases.len());
    cases
}

/// Clear segments that one demuxer can read from end to end, behind their init section if they have one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Run {
    pub(crate) init: Vec<u8>,
    pub(crate) segments: Vec<Vec<u8>>,
    /// MP4, fragmented or not; else a transport stream or packed audio.
    pub(crate) is_mp4: bool,
}

impl Run {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        [&self.init[..], &self.segments.concat()].concat()
    }
}

/// The inputs that a merge with default options takes, each as its runs: of a multivariant playlist the variant of
/// the highest bandwidth, and the default rendition of its audio.
pub(crate) fn inputs(playlist: &Path) -> Vec<Vec<Run>> {
    let text = fs::read_to_string(playlist).unwrap();
    let folder = playlist.parent().unwrap();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let variants = lines.iter().zip(lines.iter().skip(1)).filter(|(line, _)| line.starts_with("#EXT-X-STREAM-INF:"));
    let bandwidth = |line: &str| attribute(line, "BANDWIDTH").unwrap().parse::<u64>().unwrap();
    // The first of equals.
    let Some((variant, uri)) = variants.rev().max_by_key(|(line, _)| bandwidth(line)) else {
        return vec![runs(folder, &lines)];
    };
    let is_ours = |line: &&&str| {
        line.starts_with("#EXT-X-MEDIA:TYPE=AUDIO")
            && attribute(line, "GROUP-ID") == attribute(variant, "AUDIO")
            && attribute(line, "URI").is_some()
    };
    let audio = lines.iter().filter(is_ours).max_by_key(|line| attribute(line, "DEFAULT") == Some("YES"));
    let media = [Some(*uri), audio.and_then(|line| attribute(line, "URI"))];
    media.into_iter().flatten().map(|uri| inputs(&folder.join(uri)).remove(0)).collect()
}

/// The value of an attribute of a tag, without quotes.
fn attribute<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let value = line.split([':', ',']).find_map(|part| {
        let rest = part.strip_prefix(name)?.strip_prefix('=')?;
        // From here to the end of the line, as a quoted value may hold a comma.
        Some(&line[rest.as_ptr() as usize - line.as_ptr() as usize..])
    })?;
    match value.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => value.split(',').next(),
    }
}

fn runs(folder: &Path, lines: &[&str]) -> Vec<Run> {
    let mut out: Vec<Run> = Vec::new();
    let mut ends = HashMap::new();
    let (mut map, mut init, mut key, mut range) = ("", Vec::new(), "", None);
    // A run begins at a marked discontinuity, a new init section, and after a segment that is not there.
    let (mut begins, mut is_gap, mut number) = (true, false, 0_u128);
    for line in lines {
        if let Some(first) = line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:") {
            number = first.parse().unwrap();
        } else if line.starts_with("#EXT-X-KEY:") {
            key = line;
        } else if line.starts_with("#EXT-X-MAP:") {
            begins |= *line != map;
            map = line;
            let data = part(folder, attribute(line, "URI").unwrap(), attribute(line, "BYTERANGE"), &mut ends);
            init = clear(folder, data, key, number);
        } else if let Some(text) = line.strip_prefix("#EXT-X-BYTERANGE:") {
            range = Some(text);
        } else if *line == "#EXT-X-DISCONTINUITY" {
            begins = true;
        } else if *line == "#EXT-X-GAP" {
            is_gap = true;
        } else if !line.is_empty() && !line.starts_with('#') {
            if is_gap {
                begins = true;
            } else {
                let data = clear(folder, part(folder, line, range, &mut ends), key, number);
                let has_moov = data.get(4..8).is_some_and(|kind| kind == b"ftyp") && init.is_empty();
                if begins || has_moov {
                    let is_mp4 = has_moov || !init.is_empty();
                    out.push(Run { init: init.clone(), segments: Vec::new(), is_mp4 });
                }
                out.last_mut().unwrap().segments.push(media(data));
                begins = false;
            }
            (range, is_gap, number) = (None, false, number + 1);
        }
    }
    out
}

/// A resource, or the range of it that `LENGTH[@OFFSET]` names.
fn part(folder: &Path, uri: &str, range: Option<&str>, ends: &mut HashMap<String, usize>) -> Vec<u8> {
    let path = folder.join(uri);
    let data = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let Some(range) = range else { return data };
    let (length, offset) = range.split_once('@').map_or((range, None), |(length, offset)| (length, Some(offset)));
    let start = offset.map_or_else(|| ends.get(uri).copied().unwrap_or(0), |offset| offset.parse().unwrap());
    let end = start + length.parse::<usize>().unwrap();
    ends.insert(uri.to_owned(), end);
    data[start..end].to_vec()
}

/// Decrypts by the KEY in force.
fn clear(folder: &Path, data: Vec<u8>, key: &str, number: u128) -> Vec<u8> {
    if key.is_empty() || attribute(key, "METHOD") == Some("NONE") {
        return data;
    }
    assert_eq!(attribute(key, "METHOD"), Some("AES-128"), "{key}");
    let uri = attribute(key, "URI").unwrap();
    let secret = match uri.strip_prefix("data:") {
        Some(text) => base64::engine::general_purpose::STANDARD.decode(text.split_once("base64,").unwrap().1).unwrap(),
        None => fs::read(folder.join(uri)).unwrap(),
    };
    let iv = attribute(key, "IV").map_or(number, |iv| u128::from_str_radix(&iv[2..], 16).unwrap());
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), data).unwrap();
    let output = Command::new("openssl")
        .args(["enc", "-d", "-aes-128-cbc", "-K", &hex::encode(secret), "-iv", &format!("{iv:032x}"), "-in"])
        .arg(file.path())
        .output()
        .expect("openssl runs; `make deps` installs it");
    assert!(output.status.success(), "openssl: {key}");
    output.stdout
}

/// The media of a segment: inflated, and without a picture or an ID3 tag in front.
fn media(mut data: Vec<u8>) -> Vec<u8> {
    if data.starts_with(&[0x1f, 0x8b]) {
        let mut plain = Vec::new();
        GzDecoder::new(&data[..]).read_to_end(&mut plain).unwrap();
        data = plain;
    }
    let pictures: [&[u8]; 4] = [b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM"];
    if pictures.iter().any(|magic| data.starts_with(magic)) {
        let sync = |at: &usize| (0..3).all(|n| data.get(at + n * 188) == Some(&0x47));
        let start = (0..data.len()).find(sync).expect("a transport stream behind the picture");
        data.drain(..start);
    }
    while data.starts_with(b"ID3") {
        // Seven bits a byte, and ten bytes of header that are not counted.
        let size = data[6..10].iter().fold(0, |size, byte| size << 7 | usize::from(*byte));
        data.drain(..size + 10);
    }
    // A frame that describes the others is taken for sound where a segment before it was joined to it.
    if data.starts_with(&[0xff, 0xfb]) && data.get(21..25) == Some(b"Info") {
        let sync = |at: &usize| data[*at..].starts_with(&data[..2]);
        let next = (25..data.len() - 2).find(sync).expect("a frame of sound");
        data.drain(..next);
    }
    data
}
