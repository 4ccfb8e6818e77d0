//! From arguments to what the library reads: inputs, keys, and a name for the output.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use avweld::{Error, ErrorKind, Format, Input, Limits, Options, Result};

use crate::args::{Secret, SourceArgs};
use crate::network;
use crate::settings::set;

/// The inputs of a job; `-` reads standard input to its end.
pub(crate) fn input(inputs: &[PathBuf], base: Option<&str>) -> Result<Input> {
    let stdin = inputs.iter().any(|path| is_dash(path));
    match (stdin, inputs, base) {
        (true, [_], Some(base)) => {
            if url_of(Path::new(base)).is_some() {
                network::no_control_characters("--base-url", base)?;
            }
            Ok(Input::PlaylistText { text: playlist_from(io::stdin().lock())?, base: base.to_owned() })
        }
        (true, [_], None) => {
            Err(usage("a playlist on standard input needs --base-url: the folder or URL it came from"))
        }
        (true, ..) => Err(usage("standard input (-) cannot be merged with other inputs; give one or the other")),
        (false, _, Some(_)) => Err(usage("--base-url is for a playlist on standard input (-) only; leave it out")),
        (false, _, None) => inputs.iter().map(|path| local(path)).collect::<Result<Vec<_>>>().map(Input::paths),
    }
}

/// Sets what was given of how an input is read, and leaves the rest as it is.
pub(crate) fn apply(args: &SourceArgs, options: &mut Options) -> Result<()> {
    set(&mut options.variant, args.variant.clone());
    set(&mut options.audio, args.audio.clone());
    set(&mut options.subtitles, args.subtitles.clone());
    set(&mut options.range, args.range.map(Some));
    if let Some(given) = &args.key {
        options.key.key = Some(key(given)?);
    }
    if args.iv.is_some() {
        options.key.iv = args.iv;
    }
    set(&mut options.allow_paths, args.allow_path.clone());
    Ok(())
}

/// True for `-`: standard input or output.
pub(crate) fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// An error of the arguments.
pub(crate) fn usage(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Usage, message)
}

/// Where a merge goes that was given no output: the first input's name, in the current folder.
pub(crate) fn default_output(inputs: &[PathBuf], format: Option<Format>) -> PathBuf {
    let mut name = inputs.first().and_then(|path| stem(path)).unwrap_or_else(|| "output".into());
    let extension = match format {
        Some(Format::Fmp4) | None => Format::Mp4.name(),
        Some(format) => format.name(),
    };
    // Not `set_extension`: a folder `season.1` becomes `season.1.mp4`.
    name.push(".");
    name.push(extension);
    name.into()
}

/// A file's name without its extension, or a folder's whole name.
pub(crate) fn stem(input: &Path) -> Option<OsString> {
    if is_dash(input) {
        return None;
    }
    if let Some(url) = url_of(input) {
        // Of the path only: a query may hold a token, which must not get into a file's name.
        let name = url.path().trim_end_matches('/').rsplit('/').next()?;
        return Path::new(name).file_stem().map(Into::into);
    }
    let whole = if input.file_name().is_some() { input.to_owned() } else { fs::canonicalize(input).ok()? };
    if whole.is_dir() { whole.file_name() } else { whole.file_stem() }.map(Into::into)
}

fn url_of(input: &Path) -> Option<url::Url> {
    let text = input.to_str().filter(|text| text.contains(":/"))?;
    url::Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https" | "file"))
}

/// A path or a URL of the web as it is; a `file:` URL as the path it names.
pub(crate) fn local(input: &Path) -> Result<PathBuf> {
    let url = url_of(input);
    if url.is_some() {
        network::no_control_characters("the URL of an input", &input.to_string_lossy())?;
    } else if input.to_str().is_some_and(|text| text.contains("://")) && !input.exists() {
        // Not shown: as a URL it may hold a secret.
        return Err(usage("the URL of an input is not one of http, https or file"));
    }
    match url {
        Some(url) if url.scheme() == "file" => url
            .to_file_path()
            .map_err(|()| usage("a file: URL names no file of this machine; give it as file:///path or as a path")),
        _ => Ok(input.to_owned()),
    }
}

fn playlist_from(reader: impl Read) -> Result<Vec<u8>> {
    let limit = Limits::default().playlist_bytes;
    let mut text = Vec::new();
    // One byte more than allowed tells too much from just enough.
    reader
        .take(limit as u64 + 1)
        .read_to_end(&mut text)
        .map_err(|e| Error::io("cannot read the playlist on standard input", e))?;
    if text.len() > limit {
        let message = format!("the playlist on standard input has more than {limit} bytes");
        return Err(Error::new(ErrorKind::Limit, message));
    }
    Ok(text)
}

/// A key typed as hex, or read from a file. No error shows the value: a mistyped key is still a key.
fn key(value: &Secret) -> Result<[u8; 16]> {
    let path = &value.0;
    let digits = path.to_str().filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit()));
    let mut key = [0; 16];
    if digits.is_some_and(|digits| hex::decode_to_slice(digits, &mut key).is_ok()) {
        return Ok(key);
    }
    let bytes = match (File::open(path), digits) {
        (Ok(file), _) => read_key(file)?,
        // No file, so it was meant as hex.
        (Err(_), Some(digits)) if digits.len() % 2 == 0 => return Err(rejected(&(digits.len() / 2).to_string())),
        (Err(_), Some(digits)) => {
            let message = format!("key rejected: {} hex digits, 32 needed", digits.len());
            return Err(Error::new(ErrorKind::Key, message));
        }
        (Err(e), None) => {
            return Err(Error::io("cannot open the file given with --key", e)
                .with_hint("give 32 hex digits or a file of 16 bytes"));
        }
    };
    match <[u8; 16]>::try_from(bytes.as_slice()) {
        Ok(key) => Ok(key),
        Err(_) if bytes.len() > KEY_FILE_BYTES => Err(rejected(&format!("more than {KEY_FILE_BYTES}"))),
        Err(_) => Err(rejected(&bytes.len().to_string())),
    }
}

/// As much of a key file is read at most: enough to tell the length of what is no key, however long it is.
const KEY_FILE_BYTES: usize = 4096;

fn read_key(file: File) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(KEY_FILE_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| Error::io("cannot read the file given with --key", e))?;
    Ok(bytes)
}

fn rejected(length: &str) -> Error {
    Error::new(ErrorKind::Key, format!("key rejected: {length} bytes, 16 needed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(input: &str, format: Option<Format>) -> PathBuf {
        default_output(&[input.into()], format)
    }

    #[test]
    fn outputs_are_named_after_the_first_input() {
        assert_eq!(name("v/index.m3u8", None), Path::new("index.mp4"));
        assert_eq!(name("a.b.ts", Some(Format::Mkv)), Path::new("a.b.mkv"));
        assert_eq!(name("a.ts", Some(Format::Fmp4)), Path::new("a.mp4"));
        assert_eq!(name("-", None), Path::new("output.mp4"));
        assert_eq!(default_output(&["1.ts".into(), "2.ts".into()], None), Path::new("1.mp4"));
    }

    #[test]
    fn outputs_of_urls_are_named_without_the_query() {
        assert_eq!(name("https://h/v/index.m3u8?token=a/b.c", None), Path::new("index.mp4"));
        assert_eq!(name("https://h/", None), Path::new("output.mp4"));
        assert_eq!(name("file:///v/x.m3u8", None), Path::new("x.mp4"));
    }

    #[test]
    fn folders_keep_their_whole_name() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let folder = dir.path().join("season.1");
        fs::create_dir(&folder).expect("a folder");
        assert_eq!(default_output(std::slice::from_ref(&folder), None), Path::new("season.1.mp4"));
        assert_eq!(default_output(&[folder.join("..").join("season.1").join(".")], None), Path::new("season.1.mp4"));
    }

    #[test]
    fn inputs_that_contradict_each_other_are_usage_errors() {
        for (inputs, base) in [(&["-"][..], None), (&["-", "a.ts"], Some(".")), (&["a.m3u8"], Some("."))] {
            let inputs: Vec<PathBuf> = inputs.iter().map(PathBuf::from).collect();
            let error = input(&inputs, base).expect_err("a usage error");
            assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
        }
    }

    #[test]
    fn file_urls_become_paths() {
        assert_eq!(local(Path::new("file:///a%20b/x.m3u8")).ok(), Some("/a b/x.m3u8".into()));
        assert_eq!(local(Path::new("https://h/x.m3u8")).ok(), Some("https://h/x.m3u8".into()));
        assert!(local(Path::new("file://elsewhere/x.m3u8")).is_err());
    }

    #[test]
    fn urls_may_hold_a_user_but_no_control_characters() {
        let url = PathBuf::from("https://u:pw@h/x.m3u8");
        assert_eq!(local(&url).ok(), Some(url));
        for bad in
            ["https://h/hush\n", "ht\ttp://h/hush", "https://h/\u{7f}hush", "file:///hush\r\n", "https://h/\0hush"]
        {
            let error = local(Path::new(bad)).expect_err(bad);
            assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
            assert!(!error.to_string().contains("hush"), "{error}");
        }
        for bad in ["htps://h/?hush", "ftp://u:hush@h/", "https://[hush"] {
            let error = local(Path::new(bad)).expect_err(bad);
            assert_eq!(error.to_string(), "the URL of an input is not one of http, https or file");
        }
        let inputs = [PathBuf::from("-")];
        assert_eq!(input(&inputs, Some("https://h/\n")).expect_err("no URL").kind(), ErrorKind::Usage);
        // A file may be called what it wants.
        assert_eq!(local(Path::new("a\nb.ts")).ok(), Some("a\nb.ts".into()));
    }

    #[test]
    fn keys_are_hex_or_files_of_16_bytes() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let file = |length: usize| {
            let path = dir.path().join(length.to_string());
            fs::write(&path, vec![7; length]).expect("a file");
            Secret(path)
        };
        assert_eq!(key(&Secret("00112233445566778899aabbccddeeFF".into())).ok().map(|k| k[15]), Some(0xff));
        assert_eq!(key(&file(16)).ok(), Some([7; 16]));

        let message = |secret: &Secret| {
            let error = key(secret).expect_err("no key");
            assert_eq!(error.kind(), ErrorKind::Key);
            error.to_string()
        };
        assert_eq!(message(&file(15)), "key rejected: 15 bytes, 16 needed");
        assert_eq!(message(&file(0)), "key rejected: 0 bytes, 16 needed");
        assert_eq!(message(&file(5000)), "key rejected: more than 4096 bytes, 16 needed");
        assert_eq!(message(&Secret("00".repeat(15).into())), "key rejected: 15 bytes, 16 needed");
        assert_eq!(message(&Secret("0".repeat(31).into())), "key rejected: 31 hex digits, 32 needed");
    }

    #[test]
    fn a_mistyped_key_is_not_shown() {
        let error = key(&Secret("00112233445566778899aabbccddeefg".into())).expect_err("no key");
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(!error.to_string().contains("0011"), "{error}");
    }

    #[test]
    fn a_playlist_larger_than_the_limit_is_refused() {
        assert_eq!(playlist_from(&b"#EXTM3U"[..]).ok(), Some(b"#EXTM3U".to_vec()));
        let error = playlist_from(io::repeat(b'\n')).expect_err("too large");
        assert_eq!(error.kind(), ErrorKind::Limit);
    }
}
