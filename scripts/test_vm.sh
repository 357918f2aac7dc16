#!/usr/bin/env bash
# Runs the daemon in virtual machines, on kernels and network cards that this machine need not have. Needs root.
#
#   test_vm.sh               both of these
#   test_vm.sh zero-copy     Debian's newest kernel, whose virtio-net has AF_XDP zero-copy
#   test_vm.sh linux-6.1     every program loads, copy mode forwards, workers and memory stay on the card's NUMA node
#   test_vm.sh pktgen        the newest kernel again, with the kernel's packet generator: bench/pktgen/vm.sh
#
# QEMU emulates the processor, so that it runs anywhere. Kernels come from Debian by apt, are unpacked under target/vm/
# and stay there. Where QEMU or the kernels cannot be had, a line says so and the exit code is 0. tests/vm/README.md draws
# what is built.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

CACHE=$ROOT/target/vm
TRIPLE=x86_64-unknown-linux-gnu
# Suite of each kernel, and the modules it needs, in the order in which they are loaded; what is built in is left out.
declare -A SUITES=([zero-copy]=trixie-backports [pktgen]=trixie-backports [linux-6.1]=bookworm)
MODULES=(virtio virtio_ring virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci failover net_failover virtio_net veth pktgen)
# Longest time for one machine, from its start to its end, in seconds.
LIMIT=240

skip() {
    say "skipped: tests in a virtual machine: $*"
    exit 0
}

# unavailable NAME WHY: a machine that is left out.
unavailable() {
    say "skipped: the virtual machine '$1': $2"
    false
}

check_tools() {
    local tool
    [ "$(uname -m)" = x86_64 ] || skip "they are for x86-64"
    for tool in qemu-system-x86_64:qemu-system-x86 busybox:busybox-static cpio:cpio; do
        command -v "${tool%:*}" >/dev/null || skip "no ${tool%:*}; scripts/setup_dev_env.sh installs ${tool#*:}"
    done
    [ -w /dev/net/tun ] || skip "no /dev/net/tun, which carries the frames between the cards"
    ! ldd "$(command -v busybox)" >/dev/null 2>&1 || skip "busybox is not static; install busybox-static"
}

# The mirror of Debian that this machine uses itself.
mirror() {
    # shellcheck disable=SC2016 # apt's variables, not the shell's
    apt-get indextargets --format '$(ORIGIN) $(LABEL) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
        awk '$1 == "Debian" && $2 == "Debian" && $3 == "main" { print $4; exit }'
}

# private_apt DIR COMMAND...: apt with lists of its own, below DIR.
private_apt() {
    local dir=$1
    shift
    (cd "$dir/deb" && env APT_CONFIG="$dir/apt.conf" "$@")
}

# fetch_kernel NAME: downloads and unpacks the machine's kernel into the cache, once. Sets KERNEL_DIR. Says why when it
# cannot be had, and is false then; called as a condition, so that every step has to say so itself.
fetch_kernel() {
    local suite=${SUITES[$1]} url packages deb
    KERNEL_DIR=$CACHE/$suite
    [ ! -e "$KERNEL_DIR/complete" ] || return 0
    url=${SXF_DEBIAN_MIRROR:-$(mirror)}
    [ -n "$url" ] || unavailable "$1" "apt knows no mirror of Debian here; name one in SXF_DEBIAN_MIRROR" || return
    rm -rf "$KERNEL_DIR"
    mkdir -p "$KERNEL_DIR"/{deb,lists/partial,cache/archives/partial,sources}
    cat >"$KERNEL_DIR/sources/debian.sources" <<SOURCES
Types: deb
URIs: $url
Suites: $suite
Components: main
Architectures: amd64
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
SOURCES
    cat >"$KERNEL_DIR/apt.conf" <<CONF
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$KERNEL_DIR/sources";
Dir::State::lists "$KERNEL_DIR/lists";
Dir::Cache "$KERNEL_DIR/cache";
APT::Sandbox::User "root";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::Languages "none";
CONF
    say "Downloading the kernel of Debian's $suite"
    private_apt "$KERNEL_DIR" apt-get -qq update || unavailable "$1" "no package lists of Debian's $suite" || return
    # A kernel is one package or several: the image, its modules.
    packages=$(private_apt "$KERNEL_DIR" apt-cache depends --recurse --no-suggests --no-recommends --no-conflicts \
        --no-breaks --no-replaces --no-enhances linux-image-cloud-amd64 |
        grep -E '^linux-(image|modules|binary)-[0-9].*cloud-amd64$' | sort -u)
    # apt-get update succeeds without a network, too.
    [ -n "$packages" ] || unavailable "$1" "no package lists of Debian's $suite" || return
    # shellcheck disable=SC2086 # the names are words
    private_apt "$KERNEL_DIR" apt-get -qq download $packages ||
        unavailable "$1" "the kernel of Debian's $suite cannot be downloaded" || return
    for deb in "$KERNEL_DIR"/deb/*.deb; do
        dpkg -x "$deb" "$KERNEL_DIR/root" || die "$deb cannot be unpacked"
    done
    rm -rf "${KERNEL_DIR:?}"/{deb,lists,cache,sources,apt.conf}
    touch "$KERNEL_DIR/complete"
}

# The daemon and the tests as static programs, in a target directory of their own. Sets DAEMON and TESTS.
build() {
    local json=$CACHE/build.json
    as_builder env RUSTFLAGS="-C target-feature=+crt-static" "$CARGO" test --no-run -p secuxflow-control --test vm \
        --target "$TRIPLE" --target-dir target/vm --message-format=json-render-diagnostics >"$json"
    TESTS=$(jq -r 'select(.reason == "compiler-artifact" and .target.name == "vm" and .profile.test).executable' "$json")
    DAEMON=$CACHE/$TRIPLE/debug/secuxflow
}

# with_libraries PROGRAM...: programs of this machine, with the libraries that they are linked to.
with_libraries() {
    local program library
    for program in "$@"; do
        install -D -t "$tree/bin" "$program"
        for library in $(ldd "$program" | grep -oE '/[^ ]+'); do
            install -D "$library" "$tree$library"
        done
    done
}

# make_initramfs: what the machine runs, as an archive that its kernel unpacks into memory.
make_initramfs() {
    local name module
    rm -rf "$tree"
    mkdir -p "$tree"/{bin,dev,proc,sys,lib,modules}
    install "$(command -v busybox)" "$tree/bin/busybox"
    install "$ROOT/tests/vm/init" "$tree/init"
    with_libraries "$(command -v ip)"
    strip -o "$tree/bin/secuxflow" "$DAEMON"
    strip -o "$tree/bin/vm" "$TESTS"
    install -m 644 "$ROOT/target/wasm/http_guard.wasm" "$tree/lib/"
    [ ! -d "$ROOT/bench/pktgen" ] || cp -r "$ROOT/bench/pktgen" "$tree/pktgen"
    for name in "${MODULES[@]}"; do
        module=$(find "$KERNEL_DIR/root" -name "$name.ko" -o -name "$name.ko.xz" | head -n1)
        case $module in
            "") continue ;;
            *.xz) xz -dc "$module" >"$tree/modules/$name.ko" ;;
            *) install -m 644 "$module" "$tree/modules/" ;;
        esac
        printf '%s.ko\n' "$name" >>"$tree/modules/order"
    done
    (cd "$tree" && find . -print0 | cpio --null --quiet -o -H newc) >"$work/initramfs"
}

# Runs in a network namespace of its own, which goes with it: a bridge for each side, and the machine.
#   boot NAME IMAGE
boot() {
    local number cards flags mq vectors bus
    cards=(-device "pxb-pcie,id=far,bus=pcie.0,bus_nr=64,numa_node=1")
    for number in 0 1; do
        ip link add "br$number" type bridge mcast_snooping 0
        ip link set "br$number" up
    done
    # client0 and nic0 are on br0, nic1 and server0 on br1; nic0 and nic1 have two queues.
    for number in 1 2 3 4; do
        flags=() mq="queues=1" vectors=4
        case $number in 2 | 3) flags=(multi_queue) mq="queues=2" vectors=6 ;; esac
        ip tuntap add "tap$number" mode tap "${flags[@]}"
        ip link set "tap$number" master "br$(((number - 1) / 2))" up
        cards+=(-netdev "tap,id=n$number,ifname=tap$number,script=no,downscript=no,vhost=off,$mq")
        # nic0 and nic1 sit on a root bus of the second NUMA node.
        bus=pcie.0
        if [ "$mq" = queues=2 ]; then
            bus=port$number
            cards+=(-device "pcie-root-port,id=$bus,bus=far,chassis=$number,slot=$number")
        fi
        # Zero-copy needs DMA addresses, which a card without iommu_platform does not ask for.
        cards+=(-device "virtio-net-pci,netdev=n$number,mac=02:00:00:00:99:0$number,mq=on,vectors=$vectors,bus=$bus,\
disable-legacy=on,iommu_platform=on")
    done
    # The timer of an emulated processor comes late beside heavy load: no_timer_check. virtio_net, as a module, has its zero-copy
    # queues send a header that lies 1 GiB and some further on (dataplane/xsk/defect.rs says why): with nokaslr it is there
    # for sure, and the memory there is kept free, so that what is read is zeros, as intended.
    qemu-system-x86_64 -accel tcg,thread=multi -M q35 -cpu max -smp 2 -m 1152 -nodefaults -nographic -no-reboot \
        -object memory-backend-ram,id=m0,size=576M -object memory-backend-ram,id=m1,size=576M \
        -numa node,cpus=0,memdev=m0 -numa node,cpus=1,memdev=m1 -serial stdio "${cards[@]}" -kernel "$2" -initrd "$work/initramfs" \
        -append "console=ttyS0 panic=-1 quiet loglevel=4 no_timer_check nokaslr memmap=64M\$1G sxf.run=${1//[-.]/_}" || true
    # Where frames were last seen, should any be missing.
    echo "host: its ends of the cards, in the end"
    cat /proc/net/dev
}

# run_machine NAME: fails unless its tests pass.
run_machine() {
    local name=$1 image attempt begin=$SECONDS log=$CACHE/$1.log
    KERNEL_DIR=$CACHE/${SUITES[$name]}
    make_initramfs
    image=$(find "$KERNEL_DIR/root" -name 'vmlinuz*' | head -n1)
    for attempt in 1 2; do
        say "==> $name"
        # It becomes this script again, with the functions that it needs.
        timeout --kill-after=10 "$LIMIT" unshare --net -- "$0" --boot "$name" "$image" "$work" </dev/null 2>&1 |
            tr -d '\r' | tee "$log" | sed -n '/init: [0-9]/,$p' || true
        # Beside heavy load an emulated kernel may stop before it has begun: its clocks do not run as a machine's would.
        # What has begun is not repeated.
        ! grep -q 'init: [0-9]' "$log" || break
        say "$name: its kernel did not come up, attempt $attempt"
        cp "$log" "$log.$attempt"
    done
    grep -q '^init: result 0$' "$log" || {
        die "the machine '$name' did not pass; all that it said is in $log"
    }
    say "$name: passed in $((SECONDS - begin)) s"
}

machines=(zero-copy linux-6.1)
case ${1:-} in
    "") ;;
    zero-copy | linux-6.1) machines=("$1") ;;
    pktgen)
        [ -e "$ROOT/bench/pktgen/vm.sh" ] || die "bench/pktgen/vm.sh is not there"
        machines=(pktgen)
        ;;
    --boot)
        work=$4
        boot "$2" "$3"
        exit
        ;;
    -h | --help) usage && exit ;;
    *) die "unknown argument '$1'; see $0 --help" ;;
esac
need_root "the virtual machine's network" "$*"
check_tools
need_cargo
work=$(mktemp -d "${TMPDIR:-/tmp}/test-vm.XXXXXX")
tree=$work/tree
trap 'rm -rf -- "$work"' EXIT
trap 'exit 130' INT TERM
as_builder mkdir -p target/vm
ready=()
for machine in "${machines[@]}"; do
    if fetch_kernel "$machine"; then
        ready+=("$machine")
    fi
done
[ ${#ready[@]} -gt 0 ] || exit 0
compile_modules c >"$work/wasm.log" 2>&1 || { cat "$work/wasm.log"; die "the inspection modules do not compile"; }
build
for machine in "${ready[@]}"; do
    run_machine "$machine"
done
say "Machines that passed: ${ready[*]}"
