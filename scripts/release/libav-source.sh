#!/bin/sh
# Brings the source of libav from Debian's newest suite to target/libav/source, and its version to target/libav/version.
# usage: scripts/release/libav-source.sh
#
# LIBAV_SUITE (sid) chooses the suite, LIBAV_VERSION one of its versions (the newest); apt.sh has what else may be set.
set -eu
cd "$(dirname "$0")/../.."
. scripts/release/apt.sh

suite=${LIBAV_SUITE:-sid}
oldest=7:8.1
root=$PWD/target/libav
have=$(cat "$root/version" 2>/dev/null || :)
[ -z "$have" ] || [ "${LIBAV_VERSION:-$have}" != "$have" ] || exit 0

own_apt "$root/apt" deb-src "$suite"

# Newest first. A mirror may list for a while what it has already replaced: then the next older one will do.
versions=${LIBAV_VERSION:-$(apt-cache showsrc --only-source ffmpeg | sed -n 's/^Version: //p' | sort -ru)}
for version in $versions; do
    dpkg --compare-versions "$version" ge "$oldest" || continue
    rm -rf "$root/download" "$root/source" "$root/version"
    mkdir -p "$root/download"
    (cd "$root/download" && apt-get -q source --download-only "ffmpeg=$version") || continue
    # apt checked the files against the signed index; the uploader's own key is not part of the archive's keyring.
    dpkg-source --no-check --no-copy -x "$root"/download/*.dsc "$root/source"
    echo "$version" > "$root/version"
    exit 0
done
echo "$suite has no ffmpeg of $oldest or newer that can be fetched: it lists $(printf "%s" "$versions" | tr "\n" " ")" >&2
exit 1
