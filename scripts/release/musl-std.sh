#!/bin/sh
# Builds Rust's standard library for musl where rustup has none to offer: target/musl/sysroot.
# usage: scripts/release/musl-std.sh    needs musl-tools; nothing is done where rustc has that library already
#
# Its source is Debian's package rust-src of exactly this rustc's version, from whichever suite has it (RUST_SUITES),
# checked by apt like libav's. The C library and the files a program starts with are musl-dev's, the unwinder is gcc's:
# they are put where rustup's own library has them.
set -eu
cd "$(dirname "$0")/../.."
. scripts/release/apt.sh

target=x86_64-unknown-linux-musl
root=$PWD/target/musl
library=$root/sysroot/lib/rustlib/$target/lib
wanted=$(rustc --version)
[ ! -d "$(rustc --print target-libdir --target "$target")" ] || exit 0
[ "$(cat "$root/built" 2>/dev/null || :)" != "$wanted" ] || exit 0
command -v musl-gcc >/dev/null || { echo "musl-gcc is missing: apt install musl-tools" >&2; exit 1; }

number=$(echo "$wanted" | cut -d ' ' -f 2)
rm -rf "$root"
mkdir -p "$root/source" "$library/self-contained"
# shellcheck disable=SC2086 # several suites are several words
own_apt "$root/apt" deb ${RUST_SUITES:-sid trixie-backports bookworm-backports}
version=$(apt-cache madison rust-src | cut -d '|' -f 2 | tr -d ' ' | grep "^${number%%-*}+" | sort -r | head -n 1)
[ -n "$version" ] || {
    echo "Debian has no rust-src of version $number: rustup target add $target, or use a rustc that it has:" >&2
    apt-cache madison rust-src >&2
    exit 1
}
(cd "$root" && apt-get -q download "rust-src=$version")
dpkg-deb --fsys-tarfile "$root"/rust-src_*.deb | tar -x -C "$root/source" --strip-components=5 --wildcards '*/library'
rm -r "$root"/rust-src_*.deb "$root/apt"

# As Rust's own build does it: all that is in it is marked as the library's, and has bitcode for LTO. The few crates that
# it needs are those of its lock file.
(
    cd "$root/source"
    RUSTC_BOOTSTRAP=1 RUSTFLAGS='-Zforce-unstable-if-unmarked -Cembed-bitcode=yes' \
        cargo build --release --locked --manifest-path sysroot/Cargo.toml --features backtrace --target "$target" \
        --target-dir "$root/build" --jobs "${JOBS:-$(nproc)}"
)
cp "$root/build/$target"/release/deps/*.rlib "$library/"
for file in crt1.o rcrt1.o crti.o crtn.o libc.a; do
    cp "${MUSL_LIB:-/usr/lib/x86_64-linux-musl}/$file" "$library/self-contained/"
done
for file in crtbegin.o crtbeginS.o crtend.o crtendS.o; do
    cp "$(gcc -print-file-name="$file")" "$library/self-contained/"
done
cp "$(gcc -print-file-name=libgcc_eh.a)" "$library/self-contained/libunwind.a"
musl-gcc -O2 -fPIC -c scripts/release/musl.c -o "$root/musl.o"
ar rs "$library/self-contained/libunwind.a" "$root/musl.o"
# That it links, runs and unwinds.
cat > "$root/check.rs" <<'EOF'
fn main() {
    let caught = std::panic::catch_unwind(|| panic!("as it should"));
    assert!(caught.is_err());
}
EOF
rustc --sysroot "$root/sysroot" --target "$target" -C link-arg=-lgcc "$root/check.rs" -o "$root/check"
RUST_BACKTRACE=1 "$root/check"

rm -r "$root/build" "$root/source"
echo "$wanted" > "$root/built"
