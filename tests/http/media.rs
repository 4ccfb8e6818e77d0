//! Media and playlists made for a test.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::fault::Site;
use crate::sandbox::fixture;

/// The three segments of the plain case, 1 s each.
pub(crate) fn plain(n: usize) -> Vec<u8> {
    fs::read(fixture("ts-h264-aac").join(format!("index{}.ts", n % 3))).unwrap()
}

/// A transport stream made longer by packets that hold nothing.
pub(crate) fn padded(mut segment: Vec<u8>, bytes: usize) -> Vec<u8> {
    let mut nothing = [0xff; 188];
    nothing[..4].copy_from_slice(&[0x47, 0x1f, 0xff, 0x10]);
    while segment.len() < bytes {
        segment.extend_from_slice(&nothing);
    }
    segment
}

/// A playlist with these lines between its head and its end.
pub(crate) fn playlist(lines: &[&str]) -> String {
    let head = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-TARGETDURATION:2"];
    let all: Vec<&str> = head.iter().chain(lines).copied().chain(["#EXT-X-ENDLIST\n"]).collect();
    all.join("\n")
}

/// A playlist of one segment.
pub(crate) fn segment_of(uri: &str) -> String {
    playlist(&["#EXTINF:1,", uri])
}

/// A multivariant playlist of these lines.
pub(crate) fn multivariant(lines: &[&str]) -> String {
    format!("#EXTM3U\n#EXT-X-VERSION:7\n{}\n", lines.join("\n"))
}

/// Many segments: those of the plain case, again and again, each round after a discontinuity.
pub(crate) struct Long {
    /// Segments.
    pub(crate) many: usize,
    /// Each made this long; 0: as it is.
    pub(crate) bytes: usize,
}

impl Long {
    /// The name of the n-th segment.
    pub(crate) fn name(n: usize) -> String {
        format!("seg{n:04}.ts")
    }

    pub(crate) fn is_segment(path: &str) -> bool {
        path.starts_with("/seg")
    }

    /// Its playlist, with this behind each segment's name: a query.
    pub(crate) fn playlist(&self, suffix: &str) -> String {
        let mut text = String::from("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:1\n");
        for n in 0..self.many {
            let head = if n > 0 && n % 3 == 0 { "#EXT-X-DISCONTINUITY\n" } else { "" };
            writeln!(text, "{head}#EXTINF:1,\n{}{suffix}", Self::name(n)).unwrap();
        }
        text + "#EXT-X-ENDLIST\n"
    }

    fn segment(&self, n: usize) -> Vec<u8> {
        padded(plain(n), self.bytes)
    }

    pub(crate) fn site(&self) -> Site {
        let site = Site::new().put("/index.m3u8", self.playlist(""));
        (0..self.many).fold(site, |site, n| site.put(&format!("/{}", Self::name(n)), self.segment(n)))
    }

    /// What it comes to from disk.
    pub(crate) fn clean(&self) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        for n in 0..self.many {
            fs::write(folder.path().join(Self::name(n)), self.segment(n)).unwrap();
        }
        let index = folder.path().join("index.m3u8");
        fs::write(&index, self.playlist("")).unwrap();
        crate::run::from_disk(&index, &[])
    }
}

/// Encrypts with AES-128-CBC by the openssl command.
pub(crate) fn encrypt(content: &[u8], key: [u8; 16], iv: u128) -> Vec<u8> {
    let mut openssl = Command::new("openssl");
    openssl.args(["enc", "-aes-128-cbc", "-K", &hex::encode(key), "-iv", &format!("{iv:032x}")]);
    piped(openssl, content)
}

/// What a command makes of this on its standard input.
fn piped(mut command: Command, content: &[u8]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("in");
    fs::write(&input, content).unwrap();
    let output = command
        .stdin(fs::File::open(input).unwrap())
        .stderr(Stdio::inherit())
        .output()
        .expect("openssl runs; `make deps` installs it");
    assert!(output.status.success());
    output.stdout
}

/// Every file below a folder.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found
}
