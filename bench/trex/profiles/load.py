"""What the profiles have in common: addresses, and frames of a size in a number of flows."""

import argparse

from trex_stl_lib.api import (
    IP,
    TCP,
    UDP,
    CTRexVmInsFixHwCs,
    Ether,
    IPv6,
    STLPktBuilder,
    STLScVmRaw,
    STLVmFixChecksumHw,
    STLVmFlowVar,
    STLVmWrFlowVar,
)

# Of the ranges that RFC 2544 and RFC 5180 set aside for benchmarks.
SOURCES = {4: "198.18.0.1", 6: "2001:2::1"}
DESTINATIONS = {4: "198.19.0.2", 6: "2001:2:0:2::2"}
FIRST_PORT = 1024
MOST_FLOWS = 60_000
LONGEST = 1514


def options(description, **defaults):
    """A parser of whole numbers, each with a default."""
    parser = argparse.ArgumentParser(description=description)
    for name, default in defaults.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    return parser


def between(name, value, least, most):
    """Refuse a number that is out of range."""
    if not least <= value <= most:
        raise ValueError(f"--{name} {value}: {least} to {most} are possible")


def headers(family, transport):
    """Ethernet, IP of either version, and a transport header."""
    if family not in SOURCES:
        raise ValueError(f"--family {family}: 4 or 6 is possible")
    ip = IP if family == 4 else IPv6
    return Ether() / ip(src=SOURCES[family], dst=DESTINATIONS[family]) / transport


def ports(layer, flows, family):
    """A program that gives each frame the next source port, and makes its checksums right."""
    between("flows", flows, 1, MOST_FLOWS)
    kind = CTRexVmInsFixHwCs.L4_TYPE_TCP if layer == "TCP" else CTRexVmInsFixHwCs.L4_TYPE_UDP
    return [
        STLVmFlowVar("port", min_value=FIRST_PORT, max_value=FIRST_PORT + flows - 1, size=2, op="inc"),
        STLVmWrFlowVar(fv_name="port", pkt_offset=f"{layer}.sport"),
        STLVmFixChecksumHw(l3_offset="IP" if family == 4 else "IPv6", l4_offset=layer, l4_type=kind),
    ]


def udp(size, flows=1, family=4):
    """UDP frames of `size` bytes without the check sequence; the source port tells the flow."""
    base = headers(family, UDP(sport=FIRST_PORT, dport=9))
    between("size", size, len(base), LONGEST)
    return STLPktBuilder(pkt=base / (b"x" * (size - len(base))), vm=STLScVmRaw(ports("UDP", flows, family)))


def syn(sources, family=4):
    """TCP SYN, each from the next of `sources` addresses and from any port."""
    between("sources", sources, 1, 1 << 16)
    base = headers(family, TCP(sport=FIRST_PORT, dport=80, flags="S", window=64240))
    program = ports("TCP", MOST_FLOWS, family)
    # The last two bytes of the source: 198.18.0.1 and up, or 2001:2::1 and up. Behind the Ethernet header, IPv4 has its
    # source at byte 12, IPv6 at byte 8.
    place = 14 + (12 + 2 if family == 4 else 8 + 14)
    program[0:0] = [
        STLVmFlowVar("source", min_value=0, max_value=sources - 1, size=2, op="random"),
        STLVmWrFlowVar(fv_name="source", pkt_offset=place),
    ]
    return STLPktBuilder(pkt=base, vm=STLScVmRaw(program))
