//! Looks for libav, says what to install where it is missing, and notes the version that was found.
//!
//! ffmpeg-sys-next looks too, and where it finds none Cargo ordinarily stops there, without package names: those are
//! here for `cargo build --keep-going`, in the README, and in `make deps`, which installs them.

use std::path::PathBuf;

const MISSING: [&str; 5] = [
    "libav was not found: install its headers, pkg-config and libclang, or run `make deps`",
    "apt: libavformat-dev libavcodec-dev libavutil-dev pkg-config make clang libclang-dev",
    "dnf: ffmpeg-free-devel pkgconf-pkg-config make clang clang-devel",
    "pacman: ffmpeg pkgconf make clang",
    "brew: ffmpeg pkgconf llvm",
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(stream_side_data)");
    notices();
    // docs.rs has no libav of ours to find.
    println!("cargo::rerun-if-env-changed=DOCS_RS");
    if std::env::var_os("DOCS_RS").is_some() {
        found("unknown");
        return;
    }
    // Where it is set, ffmpeg-sys-next does not ask pkg-config at all.
    println!("cargo::rerun-if-env-changed=FFMPEG_DIR");
    if let Some(folder) = std::env::var_os("FFMPEG_DIR") {
        let description = std::fs::read_to_string(PathBuf::from(folder).join("lib/pkgconfig/libavformat.pc"));
        let version = description.as_ref().ok().and_then(|text| text.lines().find_map(|l| l.strip_prefix("Version: ")));
        found(version.unwrap_or("unknown"));
        return;
    }
    match pkg_config::Config::new().cargo_metadata(false).env_metadata(true).probe("libavformat") {
        Ok(library) => found(&library.version),
        Err(error) => {
            MISSING.iter().for_each(|line| println!("cargo::error={line}"));
            println!("cargo::error=pkg-config: {}", error.to_string().replace('\n', " "));
        }
    }
}

/// Notes libavformat's version; one that is not known is taken for a new one.
fn found(version: &str) {
    println!("cargo::rustc-env=AVWELD_LIBAV_VERSION={version}");
    let mut numbers = version.split('.').map_while(|n| n.parse::<u32>().ok()).peekable();
    // From FFmpeg 6.1 on, side data travels inside the codec parameters.
    if numbers.peek().is_some() && numbers.lt([60, 15]) {
        println!("cargo::rustc-cfg=stream_side_data");
    }
}

/// The licences of what a release links in, from the file that `AVWELD_NOTICES` names; elsewhere an empty file.
fn notices() {
    println!("cargo::rerun-if-env-changed=AVWELD_NOTICES");
    let text = match std::env::var_os("AVWELD_NOTICES").map(PathBuf::from) {
        Some(path) => {
            println!("cargo::rerun-if-changed={}", path.display());
            std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
        }
        None => Vec::new(),
    };
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("Cargo sets OUT_DIR")).join("notices.txt");
    std::fs::write(&out, text).unwrap_or_else(|e| panic!("{}: {e}", out.display()));
}
