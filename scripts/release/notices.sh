#!/bin/sh
# Writes what a release must say of the work of others: target/libav/TARGET/notices.txt, which `avweld --version -v`
# prints, and dist/THIRD-PARTY.txt (for musl THIRD-PARTY-musl.txt) with the licence text of each crate.
# usage: scripts/release/notices.sh TARGET
set -eu
cd "$(dirname "$0")/../.."
target=$1
root=$PWD/target/libav
case $target in *-musl) texts_of=dist/THIRD-PARTY-musl.txt ;; *) texts_of=dist/THIRD-PARTY.txt ;; esac
crates=$(cargo tree --locked --target "$target" --edges normal --features static --prefix none --format '{p}|{l}' |
    sed -e 's/ (\*)$//' -e 's/ (proc-macro)//' -e 's/^\([^ ]*\) v\([^ |]*\)[^|]*|/\1 \2|/' | grep -v '^avweld ' | sort -u)

{
    cat <<EOF
Other works that are part of this program
-----------------------------------------

libavformat, libavcodec, libavutil and libswresample of FFmpeg, LGPL 2.1 or later, whose text follows the list.
Built without changes from the source package ffmpeg $(cat "$root/version") of Debian's archive.
avweld's source has a guide, docs/release.md, to building this program with another or a changed libav.

The Rust standard library: MIT or Apache-2.0.
EOF
    case $target in
        *-gnu) echo "The GNU C library, LGPL 2.1 or later, of $(getconf GNU_LIBC_VERSION)." ;;
        *-musl) echo "musl, the C library: MIT." ;;
    esac
    echo "libgcc, GCC's runtime library: GPL 3 or later with the GCC Runtime Library Exception."
    echo
    echo "Rust crates, each with its version and licence:"
    echo "$crates" | sed 's/|/: /'
    echo
    cat "$root/source/COPYING.LGPLv2.1"
} > "$root/$target/notices.new"
# What has not changed is not written anew, and so nothing is built anew for it.
cmp -s "$root/$target/notices.new" "$root/$target/notices.txt" ||
    cp "$root/$target/notices.new" "$root/$target/notices.txt"

# Many crates have the same text: each is given once, under the names of all that have it.
mkdir -p dist
texts=$(mktemp -d)
trap 'rm -rf "$texts"' EXIT
echo "$crates" | while IFS='| ' read -r name version licence; do
    # A crate that brings a library in C has its text one folder below.
    for file in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/"$name-$version"/[LlCN][IiOo][CcPT]* \
        "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/"$name-$version"/*/COPYING; do
        [ -f "$file" ] || continue
        sum=$(sha256sum "$file" | cut -d ' ' -f 1)
        echo "$name $version ($licence): $(basename "$file")" >> "$texts/$sum.names"
        cp "$file" "$texts/$sum.text"
    done
done
{
    cat "$root/$target/notices.txt"
    for names in "$texts"/*.names; do
        printf '\n%s\n' '--------------------------------------------------------------------------------'
        cat "$names"
        echo
        cat "${names%.names}.text"
    done
} > "$texts_of"
