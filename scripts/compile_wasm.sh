#!/usr/bin/env bash
# Builds every inspection module into target/wasm/. See --help.
set -euo pipefail

usage() {
    cat <<'EOF'
usage: scripts/compile_wasm.sh [--skip-rust] [--out DIR]

Builds every module of wasm_modules/ into target/wasm/ (or DIR):
  basic_inspect.wat   text, which the daemon loads as it is
  http_guard.wasm     C, by clang and wasm-ld (Debian: clang, lld)
  dns_guard.wasm      Rust, by the toolchain's own wasm32-unknown-unknown when it is installed, else by Debian's
                      rustc-web and rust-web-src, which are downloaded into target/rust-web/ and not installed
Running it again rebuilds only what changed.

  --skip-rust   leave the Rust modules out, also where they could be built
  --out DIR     put the modules there
  --help        this text

Environment: CLANG (default clang), CARGO (default cargo).
Exit: 0 all built, 1 something could not be built, 2 wrong usage.
EOF
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
out=$root/target/wasm
skip_rust=false
clang=${CLANG:-clang}
cargo=${CARGO:-cargo}
target=wasm32-unknown-unknown

say() { printf 'compile_wasm: %s\n' "$*"; }
die() {
    printf 'compile_wasm: %s\n' "$*" >&2
    exit 1
}

while [ $# -gt 0 ]; do
    case $1 in
    --skip-rust) skip_rust=true ;;
    --out)
        [ $# -ge 2 ] || { usage >&2; exit 2; }
        out=$2
        shift
        ;;
    --help | -h)
        usage
        exit 0
        ;;
    *)
        printf 'compile_wasm: unknown argument %s\n' "$1" >&2
        usage >&2
        exit 2
        ;;
    esac
    shift
done

# Replace a module only when it changed, in one step, so that a daemon never reads half of one.
place() {
    local from=$1 to=$out/$2
    cmp -s "$from" "$to" && return
    install -m 0644 "$from" "$to.new"
    mv "$to.new" "$to"
    say "$2 built"
}

build_wat() { place "$root/wasm_modules/basic_inspect/basic_inspect.wat" basic_inspect.wat; }

build_c() {
    command -v "$clang" >/dev/null || die "clang is missing: apt-get install clang lld, or set CLANG"
    command -v wasm-ld >/dev/null || "$clang" --print-prog-name=wasm-ld | grep -q / ||
        die "wasm-ld is missing: apt-get install lld"
    local build=$root/target/wasm-build/c
    mkdir -p "$build"
    # No bulk memory: memory.copy from the window traps. -fno-builtin keeps loops from becoming calls of memcpy.
    "$clang" --target=wasm32 -nostdlib -ffreestanding -fno-builtin -mno-bulk-memory -O2 -std=c11 \
        -Wall -Wextra -Werror -I "$root/wasm_modules/include" -Wl,--no-entry -Wl,-z,stack-size=65536 \
        "$root/wasm_modules/http_guard/http_guard.c" -o "$build/http_guard.wasm"
    place "$build/http_guard.wasm" http_guard.wasm
}

# Debian's packages of the newest Rust, unpacked under target/. Prints the directory.
debian_rust() {
    local dir=$root/target/rust-web
    if [ ! -x "$dir/root/usr/bin/rustc" ] || [ ! -e "$dir/complete" ]; then
        command -v apt-get >/dev/null && command -v dpkg >/dev/null || return 1
        rm -rf "$dir"
        mkdir -p "$dir/deb"
        local names
        names=$(apt-cache depends --recurse --no-suggests --no-recommends --no-conflicts --no-breaks --no-replaces \
            --no-enhances rustc-web rust-web-src 2>/dev/null |
            grep -E '^(rustc-web|rust-web-src|libstd-rust-web[-.0-9a-z]*|libllvm[0-9]+)$' | sort -u)
        [ -n "$names" ] || return 1
        # shellcheck disable=SC2086 # the names are words
        (cd "$dir/deb" && apt-get -qq -o APT::Sandbox::User=root download $names) >&2 || return 1
        local deb
        for deb in "$dir"/deb/*.deb; do
            dpkg -x "$deb" "$dir/root" || return 1
        done
        rm -r "$dir/deb"
        touch "$dir/complete"
    fi
    printf '%s\n' "$dir/root"
}

no_rust() {
    die "cannot build the Rust modules: $1
  either the toolchain has the target $target (with rustup, an administrator may add it; Debian: libstd-rust-dev-wasm32),
  or this machine can download Debian's rustc-web and rust-web-src (apt-get update first);
  or leave them out: scripts/compile_wasm.sh --skip-rust"
}

# Cargo for one guest, with arguments for it: $1 is the package, the rest goes to cargo. Its own -p, because features of
# other members would reach a guest without a standard library. Cargo would remember a compiler that once did not start.
cargo_guest() {
    local package=$1
    shift
    (cd "$root/wasm_modules" &&
        CARGO_CACHE_RUSTC_INFO=0 CARGO_TARGET_DIR=$root/target/wasm-build RUSTFLAGS='-C target-feature=-bulk-memory -C link-arg=-zstack-size=65536' \
            "$cargo" build --quiet --release --target "$target" -p "$package" "$@")
}

build_rust() {
    command -v "$cargo" >/dev/null || no_rust "cargo is not in PATH"
    local libdir sysroot host web linker
    libdir=$(rustc --print target-libdir --target "$target" 2>/dev/null || true)
    if compgen -G "$libdir/libcore-*.rlib" >/dev/null; then
        cargo_guest dns-guard || no_rust "cargo failed"
    else
        web=$(debian_rust) || no_rust "the target $target is not installed, and Debian's packages cannot be had"
        sysroot=$(rustc --print sysroot)
        host=$(rustc -vV | sed -n 's/^host: //p')
        linker=$sysroot/lib/rustlib/$host/bin/rust-lld
        [ -x "$linker" ] || linker=$(command -v wasm-ld) || no_rust "neither rust-lld nor wasm-ld is there"
        local multiarch
        multiarch=$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || printf '%s-linux-gnu' "$(uname -m)")
        LD_LIBRARY_PATH=$web/usr/lib/$multiarch${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} \
            RUSTC=$web/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=$linker \
            cargo_guest dns-guard -Zbuild-std=core || no_rust "cargo failed with Debian's rustc-web"
    fi
    place "$root/target/wasm-build/$target/release/dns_guard.wasm" dns_guard.wasm
}

mkdir -p "$out"
build_wat
build_c
if $skip_rust; then
    say "Rust modules left out"
else
    build_rust
fi
say "modules are in $out"
