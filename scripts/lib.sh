# shellcheck shell=bash
# Shared by the scripts in this folder: sourced, never run.

# A failure inside $(...) is a failure.
shopt -s inherit_errexit

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Read by the scripts that source this file.
# shellcheck disable=SC2034
LAB=$ROOT/scripts/lab.sh

say() { printf '%s\n' "$*"; }
note() { printf '    %s\n' "$*"; }
warn() { printf 'warning: %s\n' "$*" >&2; }
die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# The comment block at the head of the calling script is its help.
usage() { sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "$0"; }

need_root() {
    [ "$(id -u)" = 0 ] || die "$1 needs root (network namespaces, XDP); run: sudo $0${2:+ $2}"
}

# Who builds, and with which cargo. Sets CARGO, BUILDER and BUILD_ENV; false when there is no cargo.
#
# Under sudo from an ordinary account the build runs as that account, with the cargo in its home, so that target/ does
# not end up owned by root. A tree that the account does not own is built by root with that account's toolchain; what
# cargo downloads then stays inside target/.
find_cargo() {
    local home
    BUILDER=root
    CARGO=""
    BUILD_ENV=()
    if [ "$(id -u)" != 0 ]; then
        BUILDER=$(id -un)
        CARGO=$(first_cargo "${CARGO_HOME:-$HOME/.cargo}") || return 1
        BUILD_ENV+=("PATH=$(dirname "$CARGO"):$PATH")
        return
    fi
    if [ -n "${SUDO_USER:-}" ] && [ "$SUDO_USER" != root ]; then
        home=$(getent passwd "$SUDO_USER" | cut -d: -f6)
        if [ "$(stat -c %U "$ROOT")" = "$SUDO_USER" ]; then
            BUILDER=$SUDO_USER
            CARGO=$(first_cargo "$home/.cargo") || return 1
            BUILD_ENV+=("HOME=$home" "PATH=$(dirname "$CARGO"):$PATH")
            return
        fi
        if CARGO=$(first_cargo "$home/.cargo") && [ "$CARGO" = "$home/.cargo/bin/cargo" ]; then
            BUILD_ENV+=("PATH=$(dirname "$CARGO"):$PATH" "CARGO_HOME=$ROOT/target/cargo-home")
            [ ! -d "$home/.rustup" ] || BUILD_ENV+=("RUSTUP_HOME=$home/.rustup")
            return
        fi
    fi
    CARGO=$(first_cargo "${CARGO_HOME:-${HOME:-/root}/.cargo}") || return 1
    BUILD_ENV+=("PATH=$(dirname "$CARGO"):$PATH")
}

# First cargo of: the cargo home given, PATH, the usual places of images.
first_cargo() {
    local candidate
    for candidate in "$1/bin/cargo" "$(command -v cargo || true)" /usr/local/cargo/bin/cargo; do
        if [ -n "$candidate" ] && [ -x "$candidate" ]; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    return 1
}

need_cargo() {
    find_cargo || die "no cargo found${SUDO_USER:+ for $SUDO_USER or root}; install Rust $(rust_floor) or newer as your \
own account (https://rustup.rs), then run this again"
}

rust_floor() { sed -n 's/^rust-version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml"; }

# Run a command as the account that builds, with its toolchain in PATH, at the root of the tree.
as_builder() {
    if [ "$BUILDER" = "$(id -un)" ]; then
        (cd "$ROOT" && env "${BUILD_ENV[@]}" "$@")
    else
        (cd "$ROOT" && runuser -u "$BUILDER" -- env "${BUILD_ENV[@]}" "$@")
    fi
}

# Whether the modules written in Rust can be compiled: by the toolchain itself, or by Debian's packages, which
# compile_wasm.sh unpacks under target/.
has_wasm_toolchain() {
    local libraries
    libraries=$(as_builder rustc --print target-libdir --target wasm32-unknown-unknown 2>/dev/null) || return 1
    compgen -G "$libraries/libcore-*.rlib" >/dev/null
}
has_wasm_packages() { apt-cache show rustc-web rust-web-src >/dev/null 2>&1; }

# compile_modules all|c: the inspection modules, those in Rust only where that is possible.
compile_modules() {
    local arguments=()
    if [ "$1" = c ]; then
        arguments=(--skip-rust)
    elif ! has_wasm_toolchain && ! has_wasm_packages; then
        warn "modules in Rust are left out: $(no_wasm_help)"
        arguments=(--skip-rust)
    fi
    as_builder "$ROOT/scripts/compile_wasm.sh" "${arguments[@]}"
}
no_wasm_help() { printf '%s' "the toolchain has no wasm32-unknown-unknown (rustup target add), apt no rustc-web"; }

# Run a command inside a named network namespace. Not `ip netns exec`: that remounts /sys in a mount namespace of its
# own, where a bpffs mounted by the command would be lost.
in_netns() {
    local name=$1
    shift
    nsenter --net="/run/netns/$name" -- "$@"
}

# wait_until SECONDS COMMAND...: true as soon as the command succeeds, false when the time is over.
wait_until() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.1
    done
}

# stop_process PID: SIGTERM, then SIGKILL after five seconds. Only for children of the calling script.
stop_process() {
    local pid=$1
    kill -TERM "$pid" 2>/dev/null || return 0
    wait_until 5 not_running "$pid" || kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
}

# A zombie counts as ended: its parent has only not collected it yet.
not_running() {
    local state
    state=$(awk '$1 == "State:" { print $2 }' "/proc/$1/status" 2>/dev/null) || return 0
    [ -z "$state" ] || [ "$state" = Z ]
}
