#!/usr/bin/env bash
# Builds every inspection module into target/wasm/. See --help.
set -euo pipefail

usage() {
    cat <<'EOF'
usage: scripts/compile_wasm.sh [--skip-rust] [--out DIR] [FOLDER...]

Builds every module, each a folder of wasm_modules/, or only those in the FOLDERs, wherever these are, into target/wasm/
(or DIR). What a folder NAME holds decides how:
  NAME.wat      text, which the daemon loads as it is
  *.c           C, by clang and wasm-ld (Debian: clang, lld) -> NAME.wasm
  Cargo.toml    Rust, a cdylib -> its package's name .wasm, with '_' for '-'; by the toolchain's own
                wasm32-unknown-unknown when it is installed, else by Debian's rustc-web and rust-web-src, which are
                downloaded into target/rust-web/ and not installed; with what `rustflags` of
                [package.metadata.secuxflow] asks of the compiler besides
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
folders=()
clang=${CLANG:-clang}
cargo=${CARGO:-cargo}
target=wasm32-unknown-unknown
guest_flags='-C target-cpu=mvp -C target-feature=+mutable-globals,+nontrapping-fptoint,+sign-ext,+simd128 -C link-arg=-zstack-size=65536'

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
    -*)
        printf 'compile_wasm: unknown argument %s\n' "$1" >&2
        usage >&2
        exit 2
        ;;
    *)
        [ -d "$1" ] || die "$1 is no folder"
        folders+=("$(cd "$1" && pwd)/")
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

need_clang() {
    command -v "$clang" >/dev/null || die "clang is missing: apt-get install clang lld, or set CLANG"
    command -v wasm-ld >/dev/null || "$clang" --print-prog-name=wasm-ld | grep -q / ||
        die "wasm-ld is missing: apt-get install lld"
}

# build_c NAME SOURCE...
build_c() {
    local name=$1 build=$root/target/wasm-build/c
    shift
    need_clang
    mkdir -p "$build"
    # No bulk memory: memory.copy from the window traps. -fno-builtin keeps loops from becoming calls of memcpy. What a
    # module has no use for, such as sxf_init's configuration, is no mistake.
    "$clang" --target=wasm32 -nostdlib -ffreestanding -fno-builtin -mno-bulk-memory -O2 -std=c11 \
        -Wall -Wextra -Werror -Wno-unused-parameter -I "$root/wasm_modules/include" \
        -Wl,--no-entry -Wl,-z,stack-size=65536 "$@" -o "$build/$name.wasm" || die "$name: it does not compile"
    place "$build/$name.wasm" "$name.wasm"
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

# Cargo for one guest: $1 is its folder, the rest goes to cargo. One at a time, because features of other members would
# reach a guest without a standard library. Cargo would remember a compiler that once did not start.
# CPU mvp, because the default one has memory.copy, which traps on the window, also where bulk-memory is off
# (bulk-memory-opt, which rustc cannot name); and with it what every WebAssembly of today has.
cargo_guest() {
    local folder=$1 flags
    shift
    flags=$(sed -n '/^\[package\.metadata\.secuxflow\]/,/^$/s/^rustflags *= *"\(.*\)".*/\1/p' "${folder}Cargo.toml")
    (cd "$folder" &&
        CARGO_CACHE_RUSTC_INFO=0 CARGO_TARGET_DIR=$root/target/wasm-build RUSTFLAGS="$guest_flags $flags" \
            "$cargo" build --quiet --release --target "$target" "$@")
}

# build_rust FOLDER...
build_rust() {
    command -v "$cargo" >/dev/null || no_rust "cargo is not in PATH"
    local folder name libdir sysroot host web="" linker multiarch
    libdir=$(rustc --print target-libdir --target "$target" 2>/dev/null || true)
    if ! compgen -G "$libdir/libcore-*.rlib" >/dev/null; then
        web=$(debian_rust) || no_rust "the target $target is not installed, and Debian's packages cannot be had"
        sysroot=$(rustc --print sysroot)
        host=$(rustc -vV | sed -n 's/^host: //p')
        linker=$sysroot/lib/rustlib/$host/bin/rust-lld
        [ -x "$linker" ] || linker=$(command -v wasm-ld) || no_rust "neither rust-lld nor wasm-ld is there"
        multiarch=$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || printf '%s-linux-gnu' "$(uname -m)")
    fi
    for folder in "$@"; do
        name=$(sed -n 's/^name *= *"\(.*\)".*/\1/p;T;q' "${folder}Cargo.toml")
        name=${name//-/_}
        if [ -z "$web" ]; then
            cargo_guest "$folder" || no_rust "cargo failed on $name"
        else
            LD_LIBRARY_PATH=$web/usr/lib/$multiarch${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} \
                RUSTC=$web/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=$linker \
                cargo_guest "$folder" -Zbuild-std=core,alloc || no_rust "cargo failed on $name with Debian's rustc-web"
        fi
        place "$root/target/wasm-build/$target/release/$name.wasm" "$name.wasm"
    done
}

# abi/ and include/ are the contract, sdk/ a library, template/ what a new module begins with: no modules.
mkdir -p "$out"
rust=()
if [ ${#folders[@]} -eq 0 ]; then
    for folder in "$root"/wasm_modules/*/; do
        case $(basename "$folder") in
        abi | include | sdk | template) ;;
        *) folders+=("$folder") ;;
        esac
    done
fi
for folder in "${folders[@]}"; do
    name=$(basename "$folder")
    if [ -e "$folder$name.wat" ]; then
        place "$folder$name.wat" "$name.wat"
    elif [ -e "${folder}Cargo.toml" ]; then
        rust+=("$folder")
    elif compgen -G "$folder*.c" >/dev/null; then
        build_c "$name" "$folder"*.c
    fi
done
if $skip_rust; then
    say "Rust modules left out"
elif [ ${#rust[@]} -gt 0 ]; then
    build_rust "${rust[@]}"
fi
say "modules are in $out"
