#!/usr/bin/env bash
# Fuzzes what reads bytes from outside: packets, streams, captures, modules and what they call, rules, HTTP, TLS, DNS.
#
# usage: scripts/fuzz.sh [--seconds N] [--distil] [TARGET...]
#
# Each TARGET (all of fuzz/fuzz_targets unless some are named) runs for N seconds (60) with AddressSanitizer, from the inputs
# in fuzz/seeds/TARGET and those that earlier runs found, in fuzz/corpus/TARGET. A finding ends the run; its input lies in
# fuzz/artifacts/TARGET. Needs cargo-fuzz (cargo install cargo-fuzz --locked); any toolchain will do.
#
#   --seconds N     for each target
#   --distil        write into fuzz/seeds/TARGET, anew, the smallest inputs that reach what all of them reach, up to 64 KiB
#   --help          this text
#
# Environment: FUZZ_TARGET_DIR, where cargo builds (fuzz/target).
# Exit: 0 nothing was found, 1 something was, 2 wrong usage.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

seconds=60 distil=false
targets=()
while [ $# -gt 0 ]; do
    case $1 in
    --seconds)
        [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || { usage >&2; exit 2; }
        seconds=$2
        shift
        ;;
    --distil) distil=true ;;
    --help | -h)
        usage
        exit 0
        ;;
    -*)
        usage >&2
        exit 2
        ;;
    *)
        [ -f "fuzz/fuzz_targets/$1.rs" ] || die "no fuzz target $1; there are: $(cd fuzz/fuzz_targets && echo *.rs | sed 's/\.rs//g')"
        targets+=("$1")
        ;;
    esac
    shift
done
if [ ${#targets[@]} = 0 ]; then
    for file in fuzz/fuzz_targets/*.rs; do
        targets+=("$(basename "$file" .rs)")
    done
fi

need_cargo
as_builder "$CARGO" fuzz --version >/dev/null 2>&1 || die "cargo-fuzz is missing: cargo install cargo-fuzz --locked"
build_dir=${FUZZ_TARGET_DIR:-$ROOT/fuzz/target}
# Sanitizers are options of nightly compilers, which others take too when they are told to.
as_builder env RUSTC_BOOTSTRAP=1 "$CARGO" fuzz build --target-dir "$build_dir"
host=$(as_builder "$CARGO" -vV | sed -n 's/^host: //p')

# What one target found in all, in as few and as small inputs as reach the same code, up to 64 KiB.
distil_seeds() {
    local target=$1 program=$2 whole said size total=0
    whole=$(mktemp -d)
    said=$("$program" -merge=1 "$whole" "fuzz/corpus/$target" "fuzz/seeds/$target" 2>&1) ||
        { rm -rf "$whole"; die "$target: its corpus cannot be merged: $said"; }
    rm -rf "fuzz/seeds/$target"
    mkdir -p "fuzz/seeds/$target"
    while read -r size file; do
        total=$((total + size))
        [ "$total" -le 65536 ] || break
        cp "$file" "fuzz/seeds/$target/"
    done < <(find "$whole" -type f -printf '%s %p\n' | sort -n)
    rm -rf "$whole"
    note "fuzz/seeds/$target: $(find "fuzz/seeds/$target" -type f | wc -l) inputs"
}

for target in "${targets[@]}"; do
    say "$target, $seconds s"
    program=$build_dir/$host/release/$target
    mkdir -p "fuzz/corpus/$target" "fuzz/seeds/$target" "fuzz/artifacts/$target"
    log=$(mktemp)
    if ! "$program" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=4096 -print_final_stats=1 \
        -artifact_prefix="fuzz/artifacts/$target/" "fuzz/corpus/$target" "fuzz/seeds/$target" >"$log" 2>&1; then
        tail -n 40 "$log" >&2
        rm -f "$log"
        die "$target: a finding, its input is in fuzz/artifacts/$target"
    fi
    note "$(sed -n 's/^stat::number_of_executed_units: */inputs tried: /p' "$log"), $(grep -c . <(ls "fuzz/corpus/$target")) kept"
    rm -f "$log"
    if $distil; then
        distil_seeds "$target" "$program"
    fi
done
say "nothing found"
