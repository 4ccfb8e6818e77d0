#!/bin/sh
# Installs what avweld needs to build and to be tested, as far as it is missing.
# usage: scripts/deps.sh [--check | --build]
#   --check only says what is missing, and exits 1 where something is; --build leaves out what only tests need
set -eu

has() { command -v "$1" >/dev/null 2>&1; }

# libclang is loaded by bindgen at build time, so it is looked for where bindgen looks, and by the names it takes:
# `libclang-cpp.so.14`, which stands in the same place, is another library.
has_libclang() {
    [ -n "${LIBCLANG_PATH:-}" ] && return 0
    for folder in /usr/lib/llvm-*/lib /usr/lib/*-linux-* /usr/lib /usr/lib64 /usr/lib64/llvm*/lib \
        /opt/homebrew/opt/llvm/lib /usr/local/opt/llvm/lib /Library/Developer/CommandLineTools/usr/lib; do
        for f in "$folder"/libclang.so* "$folder"/libclang-[0-9]*.so* "$folder"/libclang.dylib; do
            [ -e "$f" ] && return 0
        done
    done
    return 1
}

missing=
need() { missing="$missing $1"; }
has cc || need compiler
# For jemalloc.
has make || need make
has pkg-config || need pkg-config
{ has pkg-config && pkg-config --exists libavformat libavcodec libavutil; } || need libav
has_libclang || need libclang
if [ "${1:-}" != --build ]; then
    has ffprobe || need ffprobe
    [ "$(uname -s)" != Linux ] || has strace || need strace
    # Debian keeps nginx where an ordinary user's PATH does not reach.
    has nginx || [ -x /usr/sbin/nginx ] || need nginx
    has openssl || need openssl
    # Two players that the outputs are tried on.
    has mkvmerge || need mkvtoolnix
    has chromium || need chromium
fi

has cargo || { echo "cargo is missing: install Rust 1.89 or newer from https://rustup.rs" >&2; exit 1; }
[ -n "$missing" ] || exit 0
echo "missing:$missing" >&2
[ "${1:-}" != --check ] || exit 1

sudo=
[ "$(id -u)" -eq 0 ] || sudo=sudo
packages=
# The packages of what is missing, by the names given: compiler pkg-config libav libclang ffprobe strace; the others are
# called the same everywhere.
pick() {
    for m in $missing; do
        case $m in
            compiler) packages="$packages $1" ;;
            pkg-config) packages="$packages $2" ;;
            libav) packages="$packages $3" ;;
            libclang) packages="$packages $4" ;;
            ffprobe) packages="$packages $5" ;;
            strace) packages="$packages $6" ;;
            *) packages="$packages $m" ;;
        esac
    done
}

# $packages and $sudo are split into words on purpose.
if has apt-get; then
    pick gcc pkg-config "libavformat-dev libavcodec-dev libavutil-dev" "clang libclang-dev" ffmpeg strace
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get update
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $packages
elif has dnf; then
    pick gcc pkgconf-pkg-config ffmpeg-free-devel "clang clang-devel" ffmpeg-free strace
    $sudo dnf install -y $packages
elif has pacman; then
    pick gcc pkgconf ffmpeg clang ffmpeg strace
    $sudo pacman -Sy --noconfirm --needed $packages
elif has brew; then
    pick llvm pkgconf ffmpeg llvm ffmpeg ""
    brew install $packages
else
    echo "no apt-get, dnf, pacman or brew: install it by hand" >&2
    exit 1
fi
