#!/usr/bin/env bash
# Builds the benchmarks and runs them; docs/benchmarks.md tells what they measure. Needs root.
#
#   bench.sh                       all of them, about ten minutes behind the build; results go to bench/results/
#   bench.sh classifier [ARG...]   one of them, with its arguments: bench.sh classifier --check
#
# xdp-filter is measured where xdp-tools is installed; else it is unpacked from apt under target/, and left out where
# that is not possible either. Everything runs in network namespaces that end with it.
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

unpack_xdp_filter() {
    local into=target/xdp-tools
    command -v apt-get >/dev/null && command -v dpkg >/dev/null || return 1
    rm -rf "$into" && mkdir -p "$into"
    (cd "$into" && apt-get -qq -o APT::Sandbox::User=root download libxdp1) || return 1
    dpkg -x "$into"/libxdp1_*.deb "$into" && rm "$into"/libxdp1_*.deb
}

has_xdp_filter || unpack_xdp_filter || warn "xdp-filter is not to be had: apt-get install xdp-tools"
need_cargo
as_builder "$CARGO" build --release -p secuxflow-control -p secuxflow-bench
bench=target/release/secuxflow-bench
if [ $# -gt 0 ]; then
    exec "$bench" "$@"
fi
"$bench" classifier
"$bench" control
