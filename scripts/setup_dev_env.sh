#!/usr/bin/env bash
# Installs what building and testing secuxflow needs, by apt, and says what this kernel can do.
#
#   setup_dev_env.sh            install what is missing (root); does nothing when nothing is
#   setup_dev_env.sh --check    only report; exit 1 when something is missing
#
# For Debian 12, Ubuntu 22.04 and newer. Rust is looked for, never installed. Network: apt only.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# package | how to see that it is there (cmd:NAME in PATH, file:PATH or a glob) | what it is for
PACKAGES=(
    "clang|cmd:clang|compiles the XDP programs and the modules written in C; its libclang reads libxdp's headers"
    "lld|cmd:wasm-ld|links the modules written in C"
    "gcc|cmd:gcc|compiles the libbpf and libxdp that are linked in; the linker of every Rust program"
    "libc6-dev|file:/usr/include/stdio.h|the C library's headers, and the kernel's"
    "make|cmd:make|builds libbpf"
    "m4|cmd:m4|generates a source file of libxdp"
    "pkg-config|cmd:pkg-config|finds libelf for libbpf"
    "libelf-dev|file:/usr/include/libelf.h|libbpf reads object files with it"
    "zlib1g-dev|file:/usr/include/zlib.h|libelf's compression"
    "ca-certificates|file:/etc/ssl/certs/ca-certificates.crt|cargo downloads the crates over TLS"
    "iproute2|cmd:ip|builds the namespaces and links of the lab"
    "util-linux|cmd:nsenter|enters them"
    "iputils-ping|cmd:ping|tests that ICMP goes through"
    "curl|cmd:curl|HTTP client of the demo, also over the control socket"
    "jq|cmd:jq|reads JSON in the scripts"
    "python3|cmd:python3|HTTP server of the demo"
)
# As above, for tests in a virtual machine (test_vm.sh), which are skipped without them.
OPTIONAL=(
    "qemu-system-x86|cmd:qemu-system-x86_64|tests in a virtual machine: emulates it"
    "busybox-static|cmd:busybox|tests in a virtual machine: its user space"
    "cpio|cmd:cpio|tests in a virtual machine: packs its memory image"
    "xz-utils|cmd:xz|tests in a virtual machine: unpacks kernel modules"
)
KERNEL_FLOOR=5.17

missing=()
problems=0

problem() {
    problems=$((problems + 1))
    printf '  MISSING  %s\n' "$*"
}

is_there() {
    case $1 in
        cmd:*) command -v "${1#cmd:}" >/dev/null ;;
        file:*) [ -e "${1#file:}" ] ;;
    esac
}

check_packages() {
    local entry package probe why
    say "Packages:"
    missing=()
    for entry in "${PACKAGES[@]}"; do
        IFS='|' read -r package probe why <<<"$entry"
        if is_there "$probe"; then
            printf '  ok       %-16s %s\n' "$package" "$why"
        else
            printf '  missing  %-16s %s\n' "$package" "$why"
            missing+=("$package")
        fi
    done
}

# What not everything needs: comparisons, tests in a virtual machine.
check_optional() {
    local entry package probe why
    if compgen -G "/usr/lib*/bpf/xdpfilt_alw_all.o" >/dev/null || compgen -G "/usr/lib/*/bpf/xdpfilt_alw_all.o" >/dev/null; then
        printf '  ok       %-16s benchmarks measure xdp-filter\n' xdp-tools
    else
        printf '  absent   %-16s only benchmarks compare with it; scripts/bench.sh unpacks it under target/\n' xdp-tools
    fi
    for entry in "${OPTIONAL[@]}"; do
        IFS='|' read -r package probe why <<<"$entry"
        if is_there "$probe"; then
            printf '  ok       %-16s %s\n' "$package" "$why"
        else
            printf '  absent   %-16s %s\n' "$package" "$why"
        fi
    done
}

# Where that is possible without further ado; nothing fails for the lack of them.
install_optional() {
    local entry package probe absent=()
    for entry in "${OPTIONAL[@]}"; do
        IFS='|' read -r package probe _ <<<"$entry"
        is_there "$probe" || absent+=("$package")
    done
    [ ${#absent[@]} -gt 0 ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 0
    say "Installing, as far as apt has them: ${absent[*]}"
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -q && apt-get install -qy --no-install-recommends "${absent[@]}"; } ||
        warn "not installed: ${absent[*]}; tests in a virtual machine are skipped"
}

install_packages() {
    install_optional
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null || die "this system has no apt-get; install by its own means: ${missing[*]}"
    [ "$(id -u)" = 0 ] || die "installing ${missing[*]} needs root; run: sudo $0"
    say "Installing: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q
    apt-get install -qy --no-install-recommends "${missing[@]}"
    check_packages
    [ ${#missing[@]} = 0 ] || die "apt installed them, yet these are still not found: ${missing[*]}"
}

check_rust() {
    local floor have component
    floor=$(rust_floor)
    say "Rust:"
    if ! find_cargo; then
        problem "cargo: install Rust $floor or newer as your own account (https://rustup.rs)"
        return
    fi
    have=$(as_builder rustc --version | cut -d' ' -f2)
    if at_least "$have" "$floor"; then
        printf '  ok       %-16s %s, %s is the least; builds as %s\n' rustc "$have" "$floor" "$BUILDER"
    else
        problem "rustc $floor or newer: $CARGO brings $have; update it (rustup update)"
    fi
    for component in rustfmt clippy-driver; do
        if as_builder sh -c "command -v $component" >/dev/null; then
            printf '  ok       %s\n' "$component"
        else
            printf '  absent   %s: only .ci/run needs it (rustup component add %s)\n' "$component" "${component%-driver}"
        fi
    done
}

check_wasm() {
    [ -n "${CARGO:-}" ] || return 0
    if has_wasm_toolchain; then
        printf '  ok       wasm32-unknown-unknown, for modules in Rust\n'
        return
    fi
    # The lists of a fresh image are empty.
    if ! has_wasm_packages && ! $check_only && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -q
    fi
    if has_wasm_packages; then
        printf '  ok       modules in Rust: rustc-web from apt, unpacked under target/ when it is needed\n'
    else
        printf '  absent   modules in Rust are left out: %s\n' "$(no_wasm_help)"
    fi
}

# at_least VERSION FLOOR
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n1)" = "$2" ]; }

check_kernel() {
    local release
    release=$(uname -r)
    say "Kernel:"
    if at_least "${release%%-*}" "$KERNEL_FLOOR"; then
        printf '  ok       %s, %s is the least\n' "$release" "$KERNEL_FLOOR"
    else
        problem "kernel $KERNEL_FLOOR or newer: this is $release"
    fi
    feature "BPF" "CONFIG_BPF_SYSCALL" [ -e /proc/sys/kernel/unprivileged_bpf_disabled ]
    feature "BPF type information" "CONFIG_DEBUG_INFO_BTF" [ -r /sys/kernel/btf/vmlinux ]
    feature "bpf file system" "CONFIG_BPF_SYSCALL" grep -qw bpf /proc/filesystems
    if [ "$(id -u)" = 0 ]; then
        feature "AF_XDP sockets" "CONFIG_XDP_SOCKETS" has_af_xdp
        feature "network namespaces and veth" "CONFIG_NET_NS, CONFIG_VETH" \
            unshare --net ip link add sxf0 type veth peer name sxf1
    else
        printf '  unknown  AF_XDP sockets, veth: run as root to have them tried\n'
    fi
}

# feature NAME KERNEL-OPTION COMMAND...
feature() {
    local name=$1 option=$2
    shift 2
    if "$@" 2>/dev/null; then
        printf '  ok       %s\n' "$name"
    else
        problem "$name: this kernel lacks $option, or a container hides it"
    fi
}

# 44 is AF_XDP; python3's socket module has no name for it.
has_af_xdp() { python3 -c 'import socket; socket.socket(44, socket.SOCK_RAW).close()'; }

case ${1:-} in
    "") check_only=false ;;
    --check) check_only=true ;;
    -h | --help) usage && exit ;;
    *) die "unknown argument '$1'; see $0 --help" ;;
esac

check_packages
$check_only || install_packages
check_optional
check_rust
check_wasm
check_kernel
if [ ${#missing[@]} -gt 0 ]; then
    say "Missing packages; install them with: sudo $0"
    say "    or: sudo apt-get install ${missing[*]}"
    exit 1
fi
[ "$problems" = 0 ] || die "$problems requirement(s) missing, see above"
say "Everything is there."
