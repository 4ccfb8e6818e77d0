#!/bin/sh
# Builds the libav of the one-file release: static, LGPL, and with no more in it than avweld uses.
# usage: scripts/release/libav.sh TARGET    a Rust target; installs to target/libav/TARGET
set -eu
cd "$(dirname "$0")/../.."
target=$1
root=$PWD/target/libav
out=$root/$target
jobs=${JOBS:-$(nproc)}

case $target in
    x86_64-unknown-linux-gnu) cc=${CC:-gcc} ;;
    x86_64-unknown-linux-musl) cc=${CC_x86_64_unknown_linux_musl:-musl-gcc} ;;
    *) echo "no libav for $target yet" >&2; exit 2 ;;
esac
for tool in "$cc" make; do
    command -v "$tool" >/dev/null || { echo "$tool is missing" >&2; exit 1; }
done

# What src/av names: the demuxers of DemuxerKind, the muxers of Muxer::new, the filters of bsf.rs and those that the
# muxers ask for, and the decoders of DECODERS that libav has itself. A decoder is needed to learn a stream's
# parameters even where nothing is decoded.
demuxers=mpegts,mov,aac,loas,mp3,ac3,eac3,flac,matroska
# A transport stream that does not say what it carries is probed: by these, and without one of them as something else.
demuxers=$demuxers,h264,hevc,av1,vvc,m4v,mpegvideo,dts,truehd,dvbsub,dvbtxt
muxers=mp4,mov,ipod,matroska,webm,mpegts
parsers=h264,hevc,av1,vp8,vp9,mpegvideo,mpeg4video,aac,aac_latm,mpegaudio,ac3,opus,flac,vorbis,dca,mlp
filters=aac_adtstoasc,h264_mp4toannexb,hevc_mp4toannexb,extract_extradata,av1_frame_merge,vp9_superframe,null
decoders=h264,hevc,vp8,vp9,mpeg1video,mpeg2video,mpeg4
decoders=$decoders,aac,aac_latm,mp3,mp3float,mp2,mp2float,mp1,mp1float,ac3,eac3,opus,flac,alac,dca,truehd,vorbis
decoders=$decoders,pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,pcm_bluray

# The prefix is no folder of this machine, as libav carries its configure line in itself.
# Without assembly: copying packets gains nothing from it, and nasm is not needed.
set -- \
    --prefix=/libav --cc="$cc" --enable-pic --enable-static --disable-shared --disable-debug --disable-x86asm \
    --disable-everything --disable-autodetect --disable-programs --disable-doc --disable-network --disable-iconv \
    --disable-avdevice --disable-avfilter --disable-swscale \
    --enable-demuxer="$demuxers" --enable-muxer="$muxers" --enable-parser="$parsers" --enable-bsf="$filters" \
    --enable-decoder="$decoders"

# The same source and options are not built twice.
wanted="$(cat "$root/version") $*"
[ "$(cat "$out/built" 2>/dev/null || :)" != "$wanted" ] || exit 0

rm -rf "$out"
mkdir -p "$out/build"
(
    cd "$out/build"
    "$root/source/configure" "$@" || { tail -n 20 ffbuild/config.log >&2; exit 1; }
    make -j"$jobs"
    make DESTDIR="$out/installed" install
)
cp "$root/source/COPYING.LGPLv2.1" "$out/"
# Cargo keeps the static libraries that a crate was built with, and does not see that they are others now.
for profile in dev release; do
    cargo clean --quiet --locked --package ffmpeg-sys-next --profile "$profile"
    case $target in *-musl) cargo clean --quiet --locked -p ffmpeg-sys-next --profile "$profile" --target "$target" ;; esac
done
echo "$wanted" > "$out/built"
