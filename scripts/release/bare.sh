#!/bin/sh
# Runs a release where there is nothing else: no shared library, no /etc, no /proc, only the program and fixtures.
# usage: scripts/release/bare.sh [BINARY]
set -eu
cd "$(dirname "$0")/../.."
binary=${1:-dist/avweld}
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir "$root/tmp" "$root/out"
cp "$binary" "$root/avweld"
cp -R fixtures "$root/fixtures"

run() { unshare --map-root-user --net chroot "$root" /avweld "$@"; }
run --version
for case in ts-h264-aac fmp4-separate-audio aes128 packed-aac; do
    run merge "/fixtures/$case/index.m3u8" -o "/out/$case.mp4" --progress none
    [ -s "$root/out/$case.mp4" ]
done
[ "$(find "$root/tmp" -mindepth 1 | wc -l)" -eq 0 ]
# A name cannot be resolved here; that has to be said, and is no crash.
if run merge "http://localhost.invalid/index.m3u8" -o /out/none.mp4 --progress none --retries 0; then exit 1; else
    [ $? -eq 75 ]
fi
echo "$binary runs with nothing beside it"
