#!/bin/sh
# Tests a release: the command's tests against dist/avweld, and the library's own with the libav that is in it.
# usage: scripts/release/test.sh [FILTER]    AVWELD_BIN names another binary
set -eu
cd "$(dirname "$0")/../.."
libav=$PWD/target/libav/x86_64-unknown-linux-gnu
AVWELD_BIN=${AVWELD_BIN:-$PWD/dist/avweld}
[ -x "$AVWELD_BIN" ] || { echo "$AVWELD_BIN is missing: make release" >&2; exit 1; }
export AVWELD_BIN

! ldd "$AVWELD_BIN" 2>&1 | grep '=>' || { echo "$AVWELD_BIN needs shared libraries" >&2; exit 1; }
sh scripts/release/bare.sh "$AVWELD_BIN"

cargo test --locked --no-fail-fast --test cli --test merge --test inspect --test batch "$@"
FFMPEG_DIR=$libav/installed/libav cargo test --locked --features static --lib "$@"
