#!/bin/sh
# Builds dist/avweld: one file that needs nothing on the machine it runs on.
# usage: scripts/release/build.sh [TARGET]    x86_64-unknown-linux-gnu (dist/avweld) or x86_64-unknown-linux-musl
#                                             (dist/avweld-musl)
set -eu
cd "$(dirname "$0")/../.."
target=${1:-x86_64-unknown-linux-gnu}
here=scripts/release
libav=$PWD/target/libav/$target
jobs=${JOBS:-$(nproc)}

case $target in
    *-gnu) name=avweld ;;
    *-musl)
        name=avweld-musl
        sh "$here/musl-std.sh"
        ;;
esac
sh "$here/libav-source.sh"
sh "$here/libav.sh" "$target"
sh "$here/notices.sh" "$target"

export FFMPEG_DIR="$libav/installed/libav" AVWELD_NOTICES="$libav/notices.txt"
case $target in
    *-gnu)
        cc -O2 -c "$here/static.c" -o "$libav/static.o"
        # Only the last step is told: crates are the same in a static program and in another.
        cargo rustc --release --locked --jobs "$jobs" --features static --bin avweld -- \
            -C target-feature=+crt-static -C link-arg="$libav/static.o" \
            -C link-arg=-Wl,--wrap=getaddrinfo,--wrap=getpwuid_r -C strip=symbols
        built=target/release/avweld
        ;;
    *-musl)
        # Where rustup has no library for it, the one that musl-std.sh built.
        [ -d "$(rustc --print target-libdir --target "$target")" ] ||
            export CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_RUSTFLAGS="--sysroot $PWD/target/musl/sysroot"
        export CC_x86_64_unknown_linux_musl=musl-gcc
        # Linked by the ordinary compiler, as Rust brings all of musl: musl-gcc would name a dynamic linker.
        cargo rustc --release --locked --jobs "$jobs" --features static --target "$target" --bin avweld -- \
            -C link-arg=-lgcc -C strip=symbols
        built=target/$target/release/avweld
        ;;
esac
mkdir -p dist
cp "$built" "dist/$name"
{
    echo "ffmpeg $(cat target/libav/version) of Debian's archive"
    sed 's/^[^ ]* //' "$libav/built"
} > "dist/$name.libav.txt"
ls -l "dist/$name"
