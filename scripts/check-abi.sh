#!/usr/bin/env bash
# Fails when the contract with modules changes without its version.
#
# usage: scripts/check-abi.sh [--update [--unreleased]]
#
# The contract is wasm_modules/abi/src/lib.rs and wasm_modules/include/secuxflow.h. wasm_modules/abi/abi.lock has the
# version and a hash of each, without comments and white space, as they were when it was written.
#
#   --update        write the lock anew, after ABI_VERSION and SXF_ABI_VERSION were raised
#   --unreleased    with --update: also when the version is the same, because no release has had it yet
#   --help          this text
#
# Exit: 0 the contract is as the lock says, 1 it is not, 2 wrong usage.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

rust=wasm_modules/abi/src/lib.rs
header=wasm_modules/include/secuxflow.h
lock=wasm_modules/abi/abi.lock

update=false unreleased=false
for argument in "$@"; do
    case $argument in
    --update) update=true ;;
    --unreleased) unreleased=true ;;
    --help | -h)
        usage
        exit 0
        ;;
    *)
        usage >&2
        exit 2
        ;;
    esac
done
if $unreleased && ! $update; then
    usage >&2
    exit 2
fi

# The hash of a source file without comments and white space.
hash_of() { perl -0777 -pe 's{/\*.*?\*/}{}gs; s{//[^\n]*}{}g; s/\s+//g' "$1" | sha256sum | cut -d' ' -f1; }

# version FILE PATTERN: the number behind the pattern, of which there must be one.
version() {
    local found
    found=$(sed -n "s/.*$2 *= *\([0-9][0-9]*\).*/\1/p" "$1")
    [[ $found =~ ^[0-9]+$ ]] || die "$1: one '$2 = NUMBER' is expected"
    printf '%s\n' "$found"
}

# locked KEY: what the lock says.
locked() { sed -n "s|^$1 ||p" "$lock"; }

now=$(version $rust 'pub const ABI_VERSION: u32')
of_header=$(version $header SXF_ABI_VERSION)
[ "$now" = "$of_header" ] || die "$rust has version $now, $header has $of_header"

if $update; then
    if [ -e $lock ] && [ "$(locked version)" = "$now" ] && ! $unreleased; then
        die "the version is $now, as in $lock: raise ABI_VERSION in $rust and SXF_ABI_VERSION in $header
  (or add --unreleased, when no release has had version $now yet)"
    fi
    {
        say "# The contract with modules as it was with this version. Written by scripts/check-abi.sh --update."
        say "version $now"
        for file in $rust $header; do
            say "$file $(hash_of "$file")"
        done
    } >$lock
    say "$lock: version $now"
    exit
fi

[ -e $lock ] || die "$lock is missing: scripts/check-abi.sh --update"
was=$(locked version)
[ "$was" = "$now" ] || die "the version is $now, $lock has ${was:-none}: scripts/check-abi.sh --update"
changed=()
for file in $rust $header; do
    [ "$(locked "$file")" = "$(hash_of "$file")" ] || changed+=("$file")
done
if [ ${#changed[@]} -gt 0 ]; then
    die "the contract with modules has changed, its version $now has not: ${changed[*]}
  Raise ABI_VERSION in $rust and SXF_ABI_VERSION in $header, write what is different into wasm_modules/README.md,
  then run scripts/check-abi.sh --update (with --unreleased when no release has had version $now yet)."
fi
say "the contract with modules is that of version $now"
