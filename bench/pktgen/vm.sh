#!/bin/sh
# Tests pktgen.sh where the kernel has pktgen: in a virtual machine with busybox and iproute2. Needs root; makes one veth
# pair and removes it. Exit code 0 when all of it holds. `scripts/test_vm.sh pktgen` runs it.
set -eu

here=$(dirname "$0")
failed=0

# Busybox's shell prefers its own ip, which cannot name the peer of a veth.
for ip in /bin/ip /sbin/ip /usr/sbin/ip; do
    [ ! -x "$ip" ] || break
done
ip() { "$ip" "$@"; }

check() { # WHAT CONDITION...
    what=$1
    shift
    if "$@"; then
        echo "ok: $what"
    else
        echo "FAILED: $what: $*"
        failed=1
    fi
}
rx() { cat /sys/class/net/pkt1/statistics/rx_packets; }
field() { echo "$output" | sed -n "s/$1/\\1/p"; }

# send WHAT PACKETS OPTION...: exactly so many packets have to arrive.
send() {
    what=$1 packets=$2
    shift 2
    before=$(rx)
    output=$(sh "$here/pktgen.sh" send pkt0 --to "$mac" "$@") || output="failed: $output"
    sleep 1
    echo "   $output"
    check "$what: sent" [ "$(field 'sent \([0-9]*\) packets.*')" = "$packets" ]
    check "$what: received" [ $(($(rx) - before)) = "$packets" ]
}

trap 'ip link del pkt0 2>/dev/null || true' EXIT
ip link add pkt0 type veth peer name pkt1
# Nothing but pktgen's packets.
for device in pkt0 pkt1; do
    echo 1 >"/proc/sys/net/ipv6/conf/$device/disable_ipv6" 2>/dev/null || true
    ip link set "$device" up
done
mac=$(cat /sys/class/net/pkt1/address)
sleep 1

send "64 bytes, one flow" 20000 --count 20000
send "1400 bytes, 1000 flows" 5000 --count 5000 --size 1400 --flows 1000
send "IPv6, 78 bytes" 5000 --count 5000 --size 78 --dst 2001:2:0:2::2 --flows 100

bytes=$(cat /sys/class/net/pkt1/statistics/rx_bytes)
send "512 bytes" 1000 --count 1000 --size 512
check "512 bytes: size" [ $(($(cat /sys/class/net/pkt1/statistics/rx_bytes) - bytes)) = 512000 ]

send "2000 packets a second for 3 seconds" 6000 --count 6000 --rate 2000
pps=$(field '.*packets, \([0-9]*\) pps.*')
check "the rate is kept: $pps pps" [ "${pps:-0}" -ge 1500 ]
check "the rate is not exceeded: $pps pps" [ "${pps:-9999}" -le 2200 ]

output=$(sh "$here/pktgen.sh" send pkt0 --to "$mac" --seconds 2) || output="failed: $output"
echo "   $output"
check "a run by time ends by itself" [ "$(field 'sent \([0-9]*\) packets.*')" -gt 1000 ]

# pkt1 receives everything: the highest rate is what can be sent.
output=$(sh "$here/pktgen.sh" lossless pkt0 pkt1 --to "$mac" --seconds 1 --rate 3000) || output="failed: $output"
echo "$output" | sed 's/^/   /'
check "without loss the search ends at once" [ "$(field 'lossless \([0-9]*\) pps, which.*')" -ge 2000 ]

# Between two cards, where there are: what comes through depends on the machine, that the search ends does not.
if [ -e /run/netns/client ] && ip -n client link set client0 netns 1; then
    ip link set client0 up
    mac=$(cat /sys/class/net/nic0/address)
    output=$(sh "$here/pktgen.sh" lossless client0 nic0 --to "$mac" --seconds 1 --resolution 25) ||
        output="failed: $output"
    echo "$output" | sed 's/^/   /'
    check "a rate without loss is found" [ "$(field 'lossless \([0-9]*\) pps.*')" -gt 0 ]
fi
for bad in "--to 2 --size 59" "--size 64" "--to 2 --flows 0" "--to 2 --rate x" "--to 2 --what 1"; do
    # shellcheck disable=SC2086 # they are words
    check "refused: $bad" sh -c '! sh "$0" send pkt0 "$@" 2>/dev/null' "$here/pktgen.sh" $bad
done
exit "$failed"
