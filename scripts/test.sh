#!/usr/bin/env bash
# Sets everything up and runs all tests, those with real traffic in network namespaces included. Needs root. Tests in
# virtual machines are run by test_vm.sh.
#
#   test.sh              everything; about 10 minutes on 2 cores, most of it the first build
#   test.sh FILTER...    only tests whose name contains one of these
#
# Prints a closing summary in the form of cargo test's, and fails when a test fails or anything is left behind.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# Longest time for one test program, a hung one included.
LIMIT=20m
RESULT='^test result: .*\. ([0-9]+) passed; ([0-9]+) failed; ([0-9]+) ignored; .* ([0-9]+) filtered out;'

case ${1:-} in
    -h | --help) usage && exit ;;
    -*) die "unknown argument '$1'; see $0 --help" ;;
esac
need_root "the test run" "$*"

# Name of this run, in the names of its tests' namespaces and folders: other runs and labs on the machine are not ours.
export SXF_RUN=sxf-t$$

# Every trace that a test could leave on the machine, one a line.
traces() {
    local exe
    ip netns list | awk -v run="$SXF_RUN-" 'index($1, run) == 1 { print "namespace", $1 }'
    ip -o link show | awk -F': ' '$2 ~ /^(sxf|veth-)/ { print "link", $2 }'
    awk -v run="$SXF_RUN-" '$3 == "bpf" && (index($2, run) || $2 ~ /secuxflow/) { print "mount", $2 }' /proc/mounts
    for exe in /proc/[0-9]*/exe; do
        case $(readlink "$exe" 2>/dev/null || true) in
            "$ROOT"/target/*) printf 'process %s\n' "$(basename "$(dirname "$exe")")" ;;
        esac
    done
    find /run /var/lib /var/log /etc /tmp -mindepth 1 -maxdepth 1 \
        \( -name 'secuxflow*' -o -name "$SXF_RUN-*" \) -printf 'file %p\n' 2>/dev/null
}

# What is there now and was not before.
leftovers() { comm -13 "$work/before" <(traces | sort); }

clean_up() {
    local kind what
    leftovers >"$work/left" || true
    # Inner things first, so that what holds them can go.
    for kind in process mount namespace link file; do
        while read -r _ what; do
            case $kind in
                process) kill -KILL "$what" ;;
                mount) umount -l "$what" ;;
                namespace) ip netns del "$what" ;;
                link) ip link del "${what%%@*}" ;;
                file) rm -rf -- "$what" ;;
            esac || true
        done < <(grep "^$kind " "$work/left")
    done 2>/dev/null
    rm -rf -- "$work"
}

# Test programs, built: executable, folder of its package, name of the target; separated by tabs.
build_tests() {
    local manifest
    for manifest in Cargo.toml wasm_modules/Cargo.toml wasm_modules/template/rust/Cargo.toml; do
        as_builder "$CARGO" test --manifest-path "$manifest" --target-dir target --workspace --no-run \
            --message-format=json-render-diagnostics
    done >"$work/build.json"
    # "vm" runs in a virtual machine, by test_vm.sh.
    jq -r 'select(.reason == "compiler-artifact" and .profile.test and .executable != null and .target.name != "vm")
        | [.executable, (.manifest_path | sub("/[^/]*$"; "")), .target.name] | @tsv' "$work/build.json"
}

# run_test NAME COMMAND...: run it with its output shown, and add its numbers to the totals.
run_test() {
    local name=$1 log=$work/log line
    shift
    say "==> $name"
    if ! "$@" </dev/null 2>&1 | tee "$log"; then
        broken+=("$name")
    fi
    while read -r line; do
        [[ $line =~ $RESULT ]] || continue
        passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2]))
        ignored=$((ignored + BASH_REMATCH[3])) filtered=$((filtered + BASH_REMATCH[4]))
    done <"$log"
}

# Tests with real traffic measure time and load, so they run one by one.
threads_of() {
    case $1 in
        netns) echo 1 ;;
        *) nproc ;;
    esac
}

work=$(mktemp -d "${TMPDIR:-/tmp}/test-run.XXXXXX")
traces | sort >"$work/before"
trap clean_up EXIT
trap 'exit 130' INT TERM

"$ROOT/scripts/setup_dev_env.sh"
need_cargo
compile_modules all
tests=$(build_tests)

passed=0 failed=0 ignored=0 filtered=0
broken=()
begin=$SECONDS
while IFS=$'\t' read -r executable folder name; do
    run_test "$name" env --chdir="$folder" CARGO_MANIFEST_DIR="$folder" timeout --kill-after=10 "$LIMIT" \
        "$executable" --include-ignored --test-threads="$(threads_of "$name")" "$@"
done <<<"$tests"
run_test "examples in the documentation" as_builder "$CARGO" test --workspace --doc -- "$@"

left=$(leftovers)
[ -z "$left" ] || broken+=("left behind: ${left//$'\n'/, }")
for name in "${broken[@]}"; do
    say "FAILED: $name"
done
verdict=ok
[ ${#broken[@]} = 0 ] && [ "$failed" = 0 ] || verdict=FAILED
say ""
say "test result: $verdict. $passed passed; $failed failed; $ignored ignored; 0 measured; $filtered filtered out;" \
    "finished in $((SECONDS - begin)).00s"
[ "$verdict" = ok ]
