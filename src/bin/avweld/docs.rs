//! Shell completions and the man page, made from the command line's own definition.

use std::io;

use avweld::{Error, Result};
use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::args::Cli;
use crate::terminal;

/// Prints a shell's completion script.
pub(crate) fn completions(shell: Shell) -> Result<()> {
    // By way of a buffer: clap_complete would panic where nobody reads.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "avweld", &mut script);
    terminal::data(&script)
}

/// Prints the man page.
pub(crate) fn man() -> Result<()> {
    let page = render().map_err(|e| Error::io("cannot make the man page", e))?;
    terminal::data(&page)
}

/// One page for all: a section for each command follows the general ones.
fn render() -> io::Result<Vec<u8>> {
    let mut cmd = Cli::command();
    cmd.build();
    let mut page = Vec::new();
    let general = Man::new(cmd.clone());
    general.render_title(&mut page)?;
    general.render_name_section(&mut page)?;
    general.render_synopsis_section(&mut page)?;
    general.render_description_section(&mut page)?;
    for sub in cmd.get_subcommands().filter(|sub| sub.get_name() != "help") {
        page.extend(format!(".SH \"AVWELD {}\"\n", sub.get_name().to_uppercase()).bytes());
        page.extend(subsections(sub)?.bytes());
    }
    general.render_extra_section(&mut page)?;
    general.render_version_section(&mut page)?;
    Ok(page)
}

fn subsections(sub: &clap::Command) -> io::Result<String> {
    let man = Man::new(sub.clone());
    let mut text = Vec::new();
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    if sub.get_arguments().any(|arg| arg.get_id() != "help") {
        man.render_options_section(&mut text)?;
    }
    man.render_extra_section(&mut text)?;
    let text = String::from_utf8(text).map_err(io::Error::other)?;
    // One level down; a line of text never begins like this, roff escapes its dots.
    Ok(text
        .lines()
        .map(|line| line.strip_prefix(".SH ").map_or(format!("{line}\n"), |t| format!(".SS {t}\n")))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_man_page_has_every_command_and_option() {
        let page = String::from_utf8(render().expect("a page")).expect("UTF-8");
        for needle in [
            ".TH avweld 1",
            "AVWELD MERGE",
            "AVWELD INSPECT",
            "AVWELD BENCH",
            "on\\-discontinuity",
            "Exit codes",
            "AVWELD MAN",
        ] {
            assert!(page.contains(needle), "{needle} is missing in:\n{page}");
        }
    }
}
