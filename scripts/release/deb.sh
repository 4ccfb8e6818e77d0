#!/bin/sh
# Packs dist/avweld, its man page, completions and licences into dist/*.deb.
# usage: scripts/release/deb.sh    after scripts/release/build.sh
set -eu
cd "$(dirname "$0")/../.."
command -v cargo-deb >/dev/null || { echo "cargo-deb is missing: cargo install cargo-deb --locked" >&2; exit 1; }
mkdir -p dist/deb
dist/avweld man > dist/deb/avweld.1
for shell in bash fish zsh; do dist/avweld completions "$shell" > "dist/deb/avweld.$shell"; done
cargo deb --no-build --no-strip --output dist/
