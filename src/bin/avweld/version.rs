//! `--version`: one line, and with `-v` what a bug report needs and what licences ask to be told.

use std::fmt::Write as _;

use avweld::Result;

use crate::terminal;

const LINE: &str = concat!("avweld ", env!("CARGO_PKG_VERSION"), "\n");

/// The licences of what a release has linked in; empty in any other build.
const NOTICES: &str = include_str!(concat!(env!("OUT_DIR"), "/notices.txt"));

/// Prints the version; with `verbose` the libav that runs, how it was built, and the licences.
pub(crate) fn run(verbose: bool) -> Result<()> {
    let mut text = LINE.to_owned();
    if verbose {
        details(&mut text);
    }
    terminal::data(text.as_bytes())
}

fn details(text: &mut String) {
    for (library, version) in avweld::libav_versions() {
        let _ = writeln!(text, "{library} {version}");
    }
    let built = env!("AVWELD_LIBAV_VERSION");
    let linked = if cfg!(feature = "static") { "linked in" } else { "a shared library" };
    let _ = write!(
        text,
        "built with libavformat {built}, {linked}\n\
         libav's licence: {}\n\
         libav's configuration: {}\n\n\
         {}",
        avweld::libav_licence(),
        avweld::libav_configuration(),
        include_str!("../../../LICENSE"),
    );
    if !NOTICES.is_empty() {
        let _ = write!(text, "\n{NOTICES}");
    }
}
