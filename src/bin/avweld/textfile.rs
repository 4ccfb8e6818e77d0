//! Config and job files: reading them, and errors that say which line.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use avweld::{Error, ErrorKind, Result};
use serde::de::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::keys;
use crate::source::{is_dash, usage};
use crate::terminal::printable_path;

/// More than that is no list that somebody wrote, or had written, for this.
const MOST_BYTES: u64 = 64 << 20;

/// A file's text, and what it is called in errors.
pub(crate) struct TextFile {
    pub(crate) name: String,
    pub(crate) text: String,
}

impl TextFile {
    /// Reads a file, or standard input for `-`.
    ///
    /// # Errors
    /// Those of reading; `Limit` for more than 64 MiB; `Usage` for what is not UTF-8.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let name = if is_dash(path) { "standard input".to_owned() } else { printable_path(path) };
        let failed = |e| Error::io(format_args!("cannot read {name}"), e);
        let mut bytes = Vec::new();
        let reader: &mut dyn Read =
            if is_dash(path) { &mut io::stdin().lock() } else { &mut File::open(path).map_err(failed)? };
        reader.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > MOST_BYTES {
            return Err(Error::new(ErrorKind::Limit, format!("{name} has more than {MOST_BYTES} bytes")));
        }
        Self::decode(name, bytes)
    }

    fn decode(name: String, bytes: Vec<u8>) -> Result<Self> {
        match String::from_utf8(bytes) {
            // Editors of Windows put a mark before the text.
            Ok(text) => Ok(Self { name, text: text.strip_prefix('\u{feff}').map_or(text.clone(), str::to_owned) }),
            Err(e) => {
                let good = &e.as_bytes()[..e.utf8_error().valid_up_to()];
                let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
                Err(usage(format!("{name}, line {line}: this is not UTF-8")))
            }
        }
    }

    /// An error of one line, counted from 1.
    pub(crate) fn error(&self, line: usize, message: impl std::fmt::Display) -> Error {
        usage(format!("{}, line {line}: {message}", self.name))
    }

    /// The text as TOML.
    pub(crate) fn toml(&self) -> Result<Table<'_>> {
        match DeTable::parse(&self.text) {
            Ok(table) => Ok(Table::new(table)),
            // Not all of the error: it would show the line, which may hold a secret.
            Err(e) => Err(self.error(self.line(e.span().map_or(0, |span| span.start)), e.message())),
        }
    }

    /// The line of a byte.
    fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().get(..offset).unwrap_or(self.text.as_bytes());
        1 + before.iter().filter(|byte| **byte == b'\n').count()
    }
}

/// A table of a TOML file: keys and values in the order of the file.
pub(crate) struct Table<'a> {
    entries: Vec<(String, Spanned<DeValue<'a>>)>,
    /// Where each key stands.
    offsets: Vec<usize>,
    /// Where the table stands.
    offset: usize,
}

impl<'a> Table<'a> {
    fn new(table: Spanned<DeTable<'a>>) -> Self {
        let offset = table.span().start;
        let mut entries: Vec<_> = table.into_inner().into_iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let offsets = entries.iter().map(|(key, _)| key.span().start).collect();
        let entries = entries.into_iter().map(|(key, value)| (key.into_inner().into_owned(), value)).collect();
        Self { entries, offsets, offset }
    }

    /// Takes an array of tables out of this one; of what is no such array, tells the line.
    pub(crate) fn take_tables(&mut self, key: &str, file: &TextFile) -> Result<Vec<Table<'a>>> {
        let Some(n) = self.entries.iter().position(|(name, _)| name == key) else { return Ok(Vec::new()) };
        let (_, array) = self.entries.remove(n);
        let offset = self.offsets.remove(n);
        let wrong = |offset| file.error(file.line(offset), format_args!("write [[{key}]], and the keys below it"));
        let DeValue::Array(array) = array.into_inner() else { return Err(wrong(offset)) };
        let table = |value: Spanned<DeValue<'a>>| {
            let span = value.span();
            match value.into_inner() {
                DeValue::Table(table) => Ok(Table::new(Spanned::new(span, table))),
                _ => Err(wrong(span.start)),
            }
        };
        array.into_iter().map(table).collect()
    }

    /// The table as a type whose keys can all be left out.
    pub(crate) fn read<T: Deserialize<'a>>(&self, file: &TextFile) -> Result<T> {
        keys::read(&self.entries).map_err(|fault| {
            let offset = fault.position.and_then(|n| self.offsets.get(n)).unwrap_or(&self.offset);
            file.error(file.line(*offset), fault.message)
        })
    }

    /// The line it begins in.
    pub(crate) fn line(&self, file: &TextFile) -> usize {
        file.line(self.offset)
    }
}

/// For tests: a file that was read.
#[cfg(test)]
pub(crate) fn file(text: &str) -> TextFile {
    TextFile { name: "jobs".to_owned(), text: text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize, Debug)]
    struct Numbers {
        #[serde(rename = "a")]
        _a: Option<u8>,
        #[serde(rename = "b")]
        _b: Option<u8>,
    }

    #[test]
    fn what_is_not_utf_8_is_told_by_its_line() {
        let decode = |bytes: &[u8]| TextFile::decode("jobs".to_owned(), bytes.to_vec());
        assert_eq!(decode(b"\xef\xbb\xbfa").map(|file| file.text).ok().as_deref(), Some("a"));
        let error = decode(b"a\nb\n\xff\n").err().expect("not UTF-8");
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::Usage, "jobs, line 3: this is not UTF-8".to_owned()));
    }

    #[test]
    fn a_file_without_end_is_refused() {
        #[cfg(target_os = "linux")]
        assert_eq!(TextFile::read(Path::new("/dev/zero")).err().map(|e| e.kind()), Some(ErrorKind::Limit));
        assert_eq!(TextFile::read(Path::new("nowhere")).err().map(|e| e.kind()), Some(ErrorKind::NotFound));
    }

    #[test]
    fn errors_of_toml_tell_the_line_and_not_what_stands_there() {
        let of = |text: &str| {
            let file = file(text);
            let error = file.toml().and_then(|table| table.read::<Numbers>(&file)).expect_err("an error");
            assert!(!error.to_string().contains("hush"), "{error}");
            error.to_string()
        };
        assert_eq!(of("a = 1\n\n b = 'hush"), "jobs, line 3: invalid literal string, expected `'`");
        assert!(of("a = 1\nb = 300").starts_with("jobs, line 2: b: invalid value: integer `300`"), "{}", of("b = 300"));
        assert!(of("a = 1\na = 2").starts_with("jobs, line 2: duplicate key"));
    }

    #[test]
    fn tables_are_taken_out_with_their_lines() {
        let file = file("a = 1\n[[job]]\nb = 1\n\n[[job]]\na = 2\n");
        let mut table = file.toml().expect("TOML");
        let jobs = table.take_tables("job", &file).expect("tables");
        assert_eq!(jobs.iter().map(|job| job.line(&file)).collect::<Vec<_>>(), [2, 5]);
        assert!(table.read::<Numbers>(&file).is_ok() && jobs[1].read::<Numbers>(&file).is_ok());
        for (text, line) in [("\n[job]\na = 1", 2), ("job = 7", 1), ("a = 1\njob = [\n{},\n7]", 4)] {
            let file = super::file(text);
            let error = file.toml().expect("TOML").take_tables("job", &file).err().expect("no tables");
            assert_eq!(error.to_string(), format!("jobs, line {line}: write [[job]], and the keys below it"));
        }
    }
}
