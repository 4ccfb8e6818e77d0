#!/bin/sh
# Brings the source of libav from Debian's newest suite to target/libav/source, and its version to target/libav/version.
# usage: scripts/release/libav-source.sh
#
# apt checks the archive's signature and every hash below it; a source that does not verify is not unpacked. Its
# configuration, lists and state are the project's own, so that the machine's /etc/apt stays as it is; mirror and
# keyring are the machine's. LIBAV_SUITE (sid) chooses the suite, LIBAV_VERSION one of its versions (the newest),
# LIBAV_MIRROR and LIBAV_KEYRING what to use where the machine has no apt sources of Debian's.
set -eu
cd "$(dirname "$0")/../.."

suite=${LIBAV_SUITE:-sid}
oldest=7:8.1
root=$PWD/target/libav
keyring=${LIBAV_KEYRING:-/usr/share/keyrings/debian-archive-keyring.gpg}
have=$(cat "$root/version" 2>/dev/null || :)
[ -z "$have" ] || [ "${LIBAV_VERSION:-$have}" != "$have" ] || exit 0

mirror=${LIBAV_MIRROR:-}
# shellcheck disable=SC2016 # the fields are apt's
[ -n "$mirror" ] || mirror=$(apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Created-By: Packages' |
    sed -n 's/^Debian|Debian|//p' | head -n 1)
[ -n "$mirror" ] || { echo "no apt source of Debian's here: set LIBAV_MIRROR" >&2; exit 1; }
[ -r "$keyring" ] || { echo "no keyring $keyring: install debian-archive-keyring, or set LIBAV_KEYRING" >&2; exit 1; }

mkdir -p "$root/apt/lists/partial" "$root/apt/cache/archives/partial" "$root/apt/empty"
: > "$root/apt/status"
cat > "$root/apt/debian.sources" <<EOF
Types: deb-src
URIs: $mirror
Suites: $suite
Components: main
Signed-By: $keyring
EOF
cat > "$root/apt/apt.conf" <<EOF
Dir::Etc::sourcelist "$root/apt/debian.sources";
Dir::Etc::sourceparts "$root/apt/empty";
Dir::State::lists "$root/apt/lists";
Dir::State::status "$root/apt/status";
Dir::Cache "$root/apt/cache";
APT::Get::AllowUnauthenticated "false";
Acquire::AllowInsecureRepositories "false";
APT::Sandbox::User "";
EOF
APT_CONFIG=$root/apt/apt.conf
export APT_CONFIG
apt-get -q update

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
