#!/bin/sh
# Traffic by the kernel's own generator, pktgen: flows, sizes, IPv4 and IPv6, a rate, and the search for the highest rate
# without loss that RFC 2544 (26.1) describes. Needs root and the module pktgen; runs under busybox too.
#
#   pktgen.sh send DEV [OPTION...]             send, and tell what was sent: "sent N packets, N pps, N errors"
#   pktgen.sh lossless DEV RXDEV [OPTION...]   search; RXDEV is where what DEV sends is received behind the device under
#                                              test. Tells each trial, then "lossless N pps"
#
#   --to MAC         destination MAC (of the device under test); must be given
#   --dst ADDRESS    destination, IPv4 or IPv6 (198.19.0.2)
#   --src ADDRESS    source (198.18.0.1, or 2001:2::1)
#   --port N         UDP destination port (9)
#   --flows N        UDP source ports, from 1024 on, one packet of each in turn (1)
#   --size N         bytes of a frame without its check sequence, 60 to 1514, IPv6 from 78 (64)
#   --seconds N      length of a run, or of a trial (10; RFC 2544 asks for 60)
#   --count N        packets of a run, in place of --seconds; for send only
#   --rate N         packets a second; as many as possible unless given. For lossless the highest that is tried
#   --cpu N          core of the thread that sends (0)
#   --tolerance N    packets of a million that may be lost in a trial (0)
#   --resolution N   the search ends when the rate is known to so many per cent (2)
set -eu

PKTGEN=/proc/net/pktgen
MIN_PORT=1024
# Between the end of a trial and the count of what was received, for what is on its way.
SETTLE=1

die() {
    echo "pktgen.sh: $*" >&2
    exit 1
}
usage() { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0"; }

# number NAME VALUE MIN MAX: dies unless it is one. Without -e: a plain test, so that any shell has it.
number() {
    case $2 in
        '' | *[!0-9]*) die "--$1 '$2': a whole number is expected" ;;
    esac
    [ "$2" -ge "$3" ] && [ "$2" -le "$4" ] || die "--$1 $2: $3 to $4 are possible"
}

# tell FILE COMMAND: one command to pktgen, which answers in the file.
tell() {
    echo "$2" >"$PKTGEN/$1" || die "pktgen refuses '$2' for $1"
    case $(grep -o 'Result:.*' "$PKTGEN/$1" 2>/dev/null) in
        *'No such'* | *[Ii]nvalid* | *ERROR*) die "pktgen refuses '$2' for $1: $(grep -o 'Result:.*' "$PKTGEN/$1")" ;;
    esac
}

is_ipv6() { case $dst in *:*) true ;; *) false ;; esac }

# prepare RATE COUNT: the device, with nothing left of an earlier run.
prepare() {
    tell "kpktgend_$cpu" rem_device_all
    tell "kpktgend_$cpu" "add_device $dev"
    tell "$dev" "count $2"
    # Each packet is made anew: veth and virtio cannot send one twice.
    tell "$dev" "clone_skb 0"
    tell "$dev" "pkt_size $size"
    tell "$dev" "dst_mac $to"
    if is_ipv6; then
        tell "$dev" "dst6 $dst"
        tell "$dev" "src6 $src"
    else
        tell "$dev" "dst $dst"
        tell "$dev" "src_min $src"
        tell "$dev" "src_max $src"
    fi
    tell "$dev" "udp_dst_min $port"
    tell "$dev" "udp_dst_max $port"
    # The upper end is not sent.
    tell "$dev" "udp_src_min $MIN_PORT"
    tell "$dev" "udp_src_max $((MIN_PORT + flows))"
    if [ "$1" -gt 0 ]; then
        tell "$dev" "ratep $1"
    else
        tell "$dev" "delay 0"
    fi
}

clean() {
    [ -e "$PKTGEN/pgctrl" ] || return 0
    echo stop >"$PKTGEN/pgctrl" 2>/dev/null || true
    echo rem_device_all >"$PKTGEN/kpktgend_$cpu" 2>/dev/null || true
}

# run RATE COUNT: send COUNT packets, or for $seconds when it is 0. Sets sent, pps and errors.
run() {
    prepare "$1" "$2"
    if [ "$2" -gt 0 ]; then
        echo start >"$PKTGEN/pgctrl"
    else
        # It sends until it is stopped, and the one who wrote "start" waits for that.
        echo start >"$PKTGEN/pgctrl" &
        starter=$!
        sleep "$seconds"
        echo stop >"$PKTGEN/pgctrl"
        wait "$starter"
    fi
    sent=$(sed -n 's/.*pkts-sofar: *\([0-9]*\).*/\1/p' "$PKTGEN/$dev")
    errors=$(sed -n 's/.*errors: *\([0-9]*\)$/\1/p' "$PKTGEN/$dev" | head -n1)
    pps=$(sed -n 's/^ *\([0-9]*\)pps .*/\1/p' "$PKTGEN/$dev")
    [ -n "$sent" ] && [ -n "$pps" ] || die "pktgen sent nothing: $(grep -o 'Result:.*' "$PKTGEN/$dev")"
}

received() { cat "/sys/class/net/$rx/statistics/rx_packets"; }

# trial RATE: one run; true when not more is lost than is tolerated. Sets pps and lost.
trial() {
    before=$(received)
    # At a known rate a known count: the time is then exact, whatever else runs.
    run "$1" $(($1 * seconds))
    sleep "$SETTLE"
    lost=$((sent - $(received) + before))
    echo "trial: asked for $(asked "$1"), sent $sent at $pps pps, lost $lost"
    [ $((lost * 1000000)) -le $((sent * tolerance)) ]
}

asked() { if [ "$1" = 0 ]; then echo "all"; else echo "$1 pps"; fi; }

# Between a rate without loss and one with, always the middle.
lossless() {
    if trial "$rate"; then
        echo "lossless $pps pps, which is all that was sent"
        return
    fi
    low=0
    high=$pps
    best=0
    while [ $(((high - low) * 100)) -gt $((high * resolution)) ]; do
        middle=$(((low + high) / 2))
        [ "$middle" -gt 0 ] || break
        if trial "$middle"; then
            low=$middle
            best=$pps
        else
            high=$middle
        fi
    done
    echo "lossless $best pps"
}

case ${1:-} in
    send | lossless) command=$1 ;;
    -h | --help) usage && exit ;;
    *) usage >&2 && exit 2 ;;
esac
shift
dev=${1:-} rx="" to="" dst=198.19.0.2 src="" port=9 flows=1 size=64 seconds=10 count=0 rate=0 cpu=0 tolerance=0 resolution=2
[ $# -gt 0 ] || die "which device?"
shift
if [ "$command" = lossless ]; then
    rx=${1:-}
    [ $# -gt 0 ] || die "which device receives?"
    shift
fi
while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || die "$1: a value is expected"
    case $1 in
        --to) to=$2 ;;
        --dst) dst=$2 ;;
        --src) src=$2 ;;
        --port) port=$2 ;;
        --flows) flows=$2 ;;
        --size) size=$2 ;;
        --seconds) seconds=$2 ;;
        --count) count=$2 ;;
        --rate) rate=$2 ;;
        --cpu) cpu=$2 ;;
        --tolerance) tolerance=$2 ;;
        --resolution) resolution=$2 ;;
        *) die "unknown argument '$1'; see pktgen.sh --help" ;;
    esac
    shift 2
done
for device in "$dev" $rx; do
    [ -e "/sys/class/net/$device" ] || die "there is no device '$device'"
done
[ -n "$to" ] || die "--to: the destination MAC has to be given"
if is_ipv6; then smallest=78 src=${src:-2001:2::1}; else smallest=60 src=${src:-198.18.0.1}; fi
number port "$port" 1 65535
number flows "$flows" 1 60000
number size "$size" "$smallest" 1514
number seconds "$seconds" 1 3600
number count "$count" 0 1000000000
number rate "$rate" 0 100000000
number cpu "$cpu" 0 1023
number tolerance "$tolerance" 0 1000000
number resolution "$resolution" 1 100
[ "$(id -u)" = 0 ] || die "root is needed"
[ -e "$PKTGEN/pgctrl" ] || modprobe pktgen 2>/dev/null || true
[ -e "$PKTGEN/pgctrl" ] || die "this kernel has no pktgen (CONFIG_NET_PKTGEN, module pktgen)"
[ -e "$PKTGEN/kpktgend_$cpu" ] || die "--cpu $cpu: pktgen has no thread there"

trap clean EXIT
trap 'exit 130' INT TERM
case $command in
    send)
        run "$rate" "$count"
        echo "sent $sent packets, $pps pps, ${errors:-0} errors"
        ;;
    lossless) lossless ;;
esac
