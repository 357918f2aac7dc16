#!/usr/bin/env bash
# secuxflow's job in a minute: a web server behind it, a client in front of it, an attack, and an administrator.
#
#   demo.sh           tell the story in a lab of network namespaces, then remove everything. Needs root.
#   demo.sh --keep    tell it and leave the lab up to play with
#   demo.sh --down    remove what --keep left
#
# Every step is checked; the exit code is 0 only when all of them hold.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

PAGE="Hello from the container."
URL=http://10.77.2.2/index.html
ATTACK='http://10.77.2.2/index.html?file=../../../../etc/passwd'
KEPT=sxf-demo

keep=false
case ${1:-} in
    "") prefix=sxf-demo-$$ ;;
    --keep) keep=true prefix=$KEPT ;;
    --down) prefix=$KEPT ;;
    -h | --help) usage && exit ;;
    *) die "unknown argument '$1'; see $0 --help" ;;
esac
need_root "the demo" "$*"
# Everything that the demo writes is in here: configuration, state, sockets, logs, the bpf file system.
dir=/tmp/$prefix
steps=0

step() {
    steps=$((steps + 1))
    printf '\n%d. %s\n' "$steps" "$*"
}

# check WHAT COMMAND...: one line that says whether it holds; the story ends where it does not.
check() {
    local what=$1
    shift
    if "$@" >"$dir/check.log" 2>&1; then
        printf '   [ok]   %s\n' "$what"
        return
    fi
    printf '   [FAIL] %s\n' "$what"
    sed 's/^/          /' "$dir/check.log"
    if [ -s "$dir/daemon.log" ]; then
        printf '          The daemon said last:\n'
        tail -n 15 "$dir/daemon.log" | sed 's/^/          | /'
    fi
    exit 1
}

# Commands are shown as an administrator would type them: with quotes where the shell needs them.
shown() {
    local word line="   \$ secuxflow"
    for word in "$@"; do
        [[ $word =~ ^[a-zA-Z0-9./:_-]+$ ]] || word="'$word'"
        line+=" $word"
    done
    printf '%s\n' "$line"
}
flow() { "$secuxflow" --socket "$dir/secuxflow.sock" "$@"; }
admin() {
    shown "$@"
    flow "$@" | sed 's/^/   /'
}

client() { in_netns "$prefix-client" curl -sS --max-time 3 "$@"; }
host() { in_netns "$prefix-host" "$@"; }

is_page() { [ "$(client "$URL")" = "$PAGE" ]; }
gets_nothing() { ! client "$1"; }
# status_is JQ-FILTER: the filter holds for the daemon's status.
status_is() { flow status --json | jq -e "$1"; }
rule_counts() { flow rule list --json | jq -e --arg id "$1" '.rules[] | select(.id == $id) | .packets > 0'; }
metrics() { host curl -sS --max-time 3 http://127.0.0.1:9477/metrics; }
has_metric() { metrics | grep -E "^$1" >/dev/null; }

lacks() { ! grep "$1" "$2"; }
has_no_xdp() { ! host ip -o link show "$1" | grep xdp; }

remove() {
    "$LAB" down --prefix "$prefix"
    if [ -d "$dir" ] && [ ! -L "$dir" ]; then
        ! mountpoint -q "$dir/bpf" || umount "$dir/bpf"
        rm -rf -- "$dir"
    fi
}

end() {
    local code=$?
    trap - EXIT INT TERM
    if [ "$code" = 0 ] && $keep; then
        how_to_play
        exit 0
    fi
    remove
    exit "$code"
}

how_to_play() {
    cat <<TEXT

The lab is still up. Try, as root:
    alias secuxflow='$secuxflow --socket $dir/secuxflow.sock'
    secuxflow status
    nsenter --net=/run/netns/$prefix-client curl $URL
    secuxflow alert follow
    nsenter --net=/run/netns/$prefix-host curl http://127.0.0.1:9477/metrics
The daemon's log is $dir/daemon.log. When you are done: $0 --down
TEXT
}

configure() {
    cat >"$dir/secuxflow.toml" <<TOML
interfaces = ["veth-client"]
fail_policy = "open"
state = "state.json"
bpffs = "bpf"

[socket]
path = "secuxflow.sock"

[alerts]
file = "eve.json"

[umem]
frames = 4096
ring = 1024

[[module]]
name = "http_guard"
path = "$ROOT/target/wasm/http_guard.wasm"

[[chain]]
name = "default"
modules = ["http_guard"]
TOML
}

if [ "${1:-}" = --down ]; then
    remove
    exit
fi

say "Preparing: tools, inspection modules, release build (some minutes the first time)"
mkdir -m 700 "$dir" 2>/dev/null || die "$dir exists already; remove what an earlier run left: $0 --down"
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
"$ROOT/scripts/setup_dev_env.sh" >"$dir/setup.log" 2>&1 || {
    cat "$dir/setup.log"
    die "the requirements are not met"
}
need_cargo
compile_modules c >"$dir/wasm.log" 2>&1 || {
    cat "$dir/wasm.log"
    die "the inspection modules do not compile"
}
as_builder "$CARGO" build --release
secuxflow=$ROOT/target/release/secuxflow

step "A client, a host and a container with a web server, joined by veth pairs"
"$LAB" up --prefix "$prefix"
mkdir "$dir/www"
printf '%s\n' "$PAGE" >"$dir/www/index.html"
nsenter --net="/run/netns/$prefix-web" -- python3 -m http.server --bind :: --directory "$dir/www" 80 >"$dir/web.log" 2>&1 &
check "the web server answers, nothing in between yet" wait_until 10 is_page

step "The host starts secuxflow on the client's side of it"
configure
# Not through a function: the shell would start it in a subshell, and $! would not be the daemon.
nsenter --net="/run/netns/$prefix-host" -- "$secuxflow" run --config "$dir/secuxflow.toml" >"$dir/daemon.log" 2>&1 &
daemon=$!
check "the daemon is up" wait_until 10 flow status
admin service add web --ip 10.77.2.2 --dev veth-web
admin rule add --dst 10.77.2.2 --port 80 --proto tcp --action inspect
check "the service is found, and its MAC" wait_until 10 status_is '.services[0].state == "up"'

step "The page, now read in place by the module http_guard on its way"
check "the client gets the same page" is_page
check "the rule counted it in the kernel" rule_counts rule-1
check "the worker forwarded it" status_is '[.workers[].tx.packets] | add > 0'

step "An attack: a path that climbs out of the web server's folder"
printf '   client $ curl %s\n' "'$ATTACK'"
check "it does not get through" gets_nothing "$ATTACK"
check "it raised an alert" wait_until 3 status_is '.alerts_raised > 0'
admin alert list
check "the web server never saw it" lacks passwd "$dir/web.log"
check "the page is there as before" is_page

step "The administrator cuts the client off"
admin rule add --src 10.77.1.2 --action drop --priority 100 --comment "attacker"
check "the client gets nothing any more" gets_nothing "$URL"
check "it was stopped in the kernel" rule_counts rule-2
admin rule list

step "... and lets it back in"
admin rule delete --id rule-2
check "the client has the page again" is_page

step "What would happen to a packet? Nothing is sent for this answer"
admin inspect --ip 10.77.1.2 --dst 10.77.2.2 --port 80 --proto tcp --payload 'GET /../etc/passwd HTTP/1.1\r\n\r\n'

step "Counters, for people and for Prometheus"
admin status
printf '   $ curl http://127.0.0.1:9477/metrics\n'
check "the metrics answer" has_metric secuxflow_
metrics | grep -E '^secuxflow_(rule_packets|action_packets|alerts|module_)' | head -n 12 | sed 's/^/   /' || true

if ! $keep; then
    step "The daemon stops, and leaves the interface as it was"
    stop_process "$daemon"
    check "no XDP program is attached any more" has_no_xdp veth-client
    check "the page goes through without it" is_page
    remove
    if [ -e "$dir" ] || [ -e "/run/netns/$prefix-host" ]; then
        die "something was left behind: $dir, or namespaces $prefix-*"
    fi
fi
say ""
say "All $steps steps hold."
