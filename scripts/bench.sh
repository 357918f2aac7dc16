#!/usr/bin/env bash
# Builds the benchmarks and runs them; docs/benchmarks.md tells what they measure. Needs root.
#
#   bench.sh                       all of them, half an hour behind the build; results go to bench/results/
#   bench.sh path [ARG...]         one of them, with its arguments: bench.sh path --quick
#
# Peers are measured where they are installed: xdp-filter of xdp-tools, dpdk-testpmd of dpdk-dev, nft of nftables. Else
# they are unpacked from apt under target/, and left out where that is not possible either. Everything runs in network
# namespaces that end with it.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

case ${1:-} in
    -h | --help) usage && exit ;;
esac
need_root "the benchmark" "$*"
cd "$ROOT"

# The object files of xdp-filter, from the package that xdp-tools depends on for them.
has_xdp_filter() {
    compgen -G "/usr/lib*/bpf/xdpfilt_alw_all.o" >/dev/null ||
        compgen -G "/usr/lib/*/bpf/xdpfilt_alw_all.o" >/dev/null ||
        compgen -G "target/xdp-tools/usr/lib/*/bpf/xdpfilt_alw_all.o" >/dev/null
}

# unpack INTO PACKAGE...: packages from apt, not installed. Removed again when one cannot be had.
unpack() {
    local into=$1 file
    shift
    command -v apt-get >/dev/null && command -v dpkg >/dev/null && [ $# -gt 0 ] || return 1
    rm -rf "$into" && mkdir -p "$into/packages"
    (cd "$into/packages" && apt-get -qq -o APT::Sandbox::User=root download "$@") || {
        rm -rf "$into"
        return 1
    }
    for file in "$into"/packages/*.deb; do
        dpkg -x "$file" "$into" || return 1
    done
    rm -r "$into/packages"
}

# needs PATTERN PACKAGE...: the packages, and what they need, directly or not, as far as its whole name matches.
needs() {
    local pattern=$1
    shift
    apt-cache depends --recurse --no-suggests --no-recommends --no-conflicts --no-breaks --no-replaces --no-enhances \
        "$@" 2>/dev/null | grep -xE "$pattern" | sort -u
}

has() { command -v "$1" >/dev/null || [ -x "target/$2" ]; }

# Libraries that a machine may be without; those of the C library and of the package manager it has.
DPDK_LIBRARIES='dpdk-dev|librte-[a-z0-9-]*[0-9](t64)?|lib(bpf|xdp|rdmacm|ipsec-mb|isal|archive|elf|pcap)[0-9.]*(t64)?'
DPDK_LIBRARIES+='|lib(numa|fdt|ibverbs|mlx5-|atomic)[0-9](t64)?|lib(jansson4|bsd0|md0|dbus-1-3|nl-3-200|nl-route-3-200)'
DPDK_LIBRARIES+='|ibverbs-providers'
NFT_LIBRARIES='nftables|lib(nftables|nftnl|mnl|jansson|gmp|edit|bsd|md|xtables)[0-9]*'

# What these need is a list of words.
# shellcheck disable=SC2046
get_peers() {
    has_xdp_filter || unpack target/xdp-tools libxdp1 ||
        warn "xdp-filter is not to be had: apt-get install xdp-tools"
    has dpdk-testpmd dpdk/usr/bin/dpdk-testpmd ||
        unpack target/dpdk $(needs "$DPDK_LIBRARIES" dpdk-dev) ||
        warn "dpdk-testpmd is not to be had: apt-get install dpdk-dev"
    has nft nftables/usr/sbin/nft || unpack target/nftables $(needs "$NFT_LIBRARIES" nftables) ||
        warn "nft is not to be had: apt-get install nftables"
}

case ${1:-} in
    inspect | control | streams) ;;
    *) get_peers ;;
esac
need_cargo
as_builder "$CARGO" build --release -p secuxflow-control -p secuxflow-bench
case ${1:-} in
    classifier | control) ;;
    *) compile_modules all ;;
esac
bench=target/release/secuxflow-bench
if [ $# -gt 0 ]; then
    exec "$bench" "$@"
fi
"$bench" classifier
"$bench" control
"$bench" inspect
"$bench" path
"$bench" streams
