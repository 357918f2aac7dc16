#!/usr/bin/env bash
# A lab of three network namespaces on this machine: client <-> host <-> web.
#
#   lab.sh up     [--prefix NAME]   build it; fails if one of that name exists
#   lab.sh down   [--prefix NAME]   end what runs in it and remove it; fine when there is none
#   lab.sh status [--prefix NAME]   show its links and addresses; exit 1 when there is none
#
# The namespaces are NAME-client, NAME-host and NAME-web; NAME is "sxf" unless given, so several labs may exist side by
# side. All links live inside the namespaces, with the offloads that a new veth has. Nothing else is touched.
#
#   NAME-client                      NAME-host                          NAME-web
#   eth0 10.77.1.2, fd77:1::2 ─── veth-client 10.77.1.1, fd77:1::1
#                                    veth-web 10.77.2.1, fd77:2::1 ─── eth0 10.77.2.2, fd77:2::2
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

exists() { [ -e "/run/netns/$1" ]; }

# addresses NAMESPACE DEVICE IPV4 IPV6. nodad: usable at once, there is nobody to collide with.
addresses() {
    ip -n "$1" addr add "$3" dev "$2"
    ip -n "$1" addr add "$4" dev "$2" nodad
    ip -n "$1" link set "$2" up
}

up() {
    local ns
    for ns in "$client" "$host" "$web"; do
        ! exists "$ns" || die "namespace $ns exists already; choose another --prefix, or: $0 down --prefix $prefix"
    done
    trap 'down; exit 1' ERR INT TERM
    for ns in "$client" "$host" "$web"; do
        ip netns add "$ns"
        ip -n "$ns" link set lo up
    done
    ip -n "$client" link add eth0 type veth peer name veth-client netns "$host"
    ip -n "$web" link add eth0 type veth peer name veth-web netns "$host"
    # Before the addresses: turning forwarding on drops what the kernel learnt as a host.
    in_netns "$host" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'
    addresses "$client" eth0 10.77.1.2/24 fd77:1::2/64
    addresses "$host" veth-client 10.77.1.1/24 fd77:1::1/64
    addresses "$host" veth-web 10.77.2.1/24 fd77:2::1/64
    addresses "$web" eth0 10.77.2.2/24 fd77:2::2/64
    ip -n "$client" route add default via 10.77.1.1
    ip -n "$client" -6 route add default via fd77:1::1
    ip -n "$web" route add default via 10.77.2.1
    ip -n "$web" -6 route add default via fd77:2::1
    trap - ERR INT TERM
}

# Processes inside the lab's namespaces were started by whoever built the lab; without them it cannot go.
down() {
    local ns pid
    for ns in "$client" "$web" "$host"; do
        exists "$ns" || continue
        for pid in $(ip netns pids "$ns" 2>/dev/null); do
            kill -TERM "$pid" 2>/dev/null || continue
            wait_until 3 not_running "$pid" || kill -KILL "$pid" 2>/dev/null || true
        done
        ip netns del "$ns"
    done
}

status() {
    local ns
    for ns in "$client" "$host" "$web"; do
        exists "$ns" || die "there is no namespace $ns; build the lab: $0 up --prefix $prefix"
        say "$ns"
        ip -n "$ns" -brief addr show | sed 's/^/    /'
    done
}

prefix=sxf
command=${1:-}
case $command in
    up | down | status) shift ;;
    -h | --help) usage && exit ;;
    *) usage >&2 && exit 2 ;;
esac
while [ $# -gt 0 ]; do
    case $1 in
        --prefix)
            prefix=${2:-}
            [[ $prefix =~ ^[a-z0-9][a-z0-9-]{0,62}$ ]] || die "--prefix '$prefix': 1 to 63 of a-z, 0-9 and '-' expected"
            shift 2
            ;;
        -h | --help) usage && exit ;;
        *) die "unknown argument '$1'; see $0 --help" ;;
    esac
done
need_root "the lab" "$command"
client=$prefix-client
host=$prefix-host
web=$prefix-web
"$command"
