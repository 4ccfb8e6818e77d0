#!/bin/sh
# Packs dist/avweld, its man page, completions and licences into dist/*.deb.
# usage: scripts/release/deb.sh    after scripts/release/build.sh
set -eu
cd "$(dirname "$0")/../.."
command -v cargo-deb >/dev/null || { echo "cargo-deb is missing: cargo install cargo-deb --locked" >&2; exit 1; }
mkdir -p dist/deb
dist/avweld man > dist/deb/avweld.1
for shell in bash fish zsh; do dist/avweld completions "$shell" > "dist/deb/avweld.$shell"; done
{
    cat LICENSE
    echo
    echo "libav (LGPL 2.1 or later), the C library and the crates that are linked in: /usr/share/doc/avweld/THIRD-PARTY.txt."
} > dist/deb/copyright
cargo deb --no-build --no-strip --output dist/
