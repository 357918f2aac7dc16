"""Makes every packet of every profile by scapy and checks it, without TRex: its classes are recorders here.

Needs scapy (pip install scapy). Exit code 0 when everything holds.
"""

import importlib
import pathlib
import sys
import types

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether


def recorder(name):
    """A class that keeps the arguments it is made with."""

    def __init__(self, *args, **kwargs):
        self.args, self.__dict__ = args, {**self.__dict__, **kwargs, "args": args}

    return type(name, (), {"__init__": __init__})


NAMES = [
    "STLPktBuilder", "STLScVmRaw", "STLVmFixChecksumHw", "STLVmFlowVar", "STLVmWrFlowVar",
    "STLStream", "STLTXCont", "STLFlowLatencyStats",
]  # fmt: skip


def stand_in():
    """The modules that the profiles import."""
    api = types.ModuleType("trex_stl_lib.api")
    for name in NAMES:
        setattr(api, name, recorder(name))
    kinds = types.SimpleNamespace(L4_TYPE_UDP=11, L4_TYPE_TCP=13)
    vars(api).update(Ether=Ether, IP=IP, IPv6=IPv6, TCP=TCP, UDP=UDP, CTRexVmInsFixHwCs=kinds)
    package = types.ModuleType("trex_stl_lib")
    package.api = api
    sys.modules.update({"trex_stl_lib": package, "trex_stl_lib.api": api})


def streams(profile, *tunables):
    """A profile's streams for such arguments: packet as sent, and the ranges of its variables."""
    found = []
    for stream in importlib.import_module(profile).register().get_streams(tunables=list(tunables), port_id=0):
        packet, variables = stream.packet.pkt, {}
        for part in stream.packet.vm.args[0]:
            if type(part).__name__ == "STLVmFlowVar":
                variables[part.args[0]] = (part.min_value, part.max_value)
        # Scapy fills in lengths and checksums when it makes bytes; read back, they are as they were sent.
        found.append((Ether(bytes(packet)), variables, stream))
    return found


def refuses(profile, *tunables):
    """Whether a profile refuses arguments in words."""
    try:
        streams(profile, *tunables)
    except ValueError as error:
        return "possible" in str(error)
    return False


def main():
    """All checks."""
    sys.path.insert(0, str(pathlib.Path(__file__).parent / "profiles"))
    stand_in()
    for family, ip, source, shortest in (("4", IP, "198.18.0.1", 64), ("6", IPv6, "2001:2::1", 64)):
        for size in (shortest, 512, 1514):
            [(packet, variables, _)] = streams("small", "--size", str(size), "--flows", "10000", "--family", family)
            assert len(packet) == size and packet[ip].src == source and packet[UDP].dport == 9, packet
            assert variables == {"port": (1024, 11023)}, variables
        [(packet, variables, _)] = streams("syn_flood", "--sources", "5000", "--family", family)
        assert packet[TCP].flags == "S" and packet[TCP].dport == 80, packet
        assert variables == {"source": (0, 4999), "port": (1024, 61023)}, variables
        # Where the program writes two bytes is where the address ends.
        [_, write, *_] = streams("syn_flood", "--family", family)[0][2].packet.vm.args[0]
        raw = bytes(packet)
        assert raw[write.pkt_offset : write.pkt_offset + 2] == b"\x00\x01", write.pkt_offset
        mix = streams("imix", "--family", family)
        assert [len(packet) for packet, *_ in mix] == [64, 570, 1514], mix
        assert [stream.mode.pps for *_, stream in mix] == [7, 4, 1], mix
        load, timed = streams("latency", "--size", "64", "--family", family)
        assert len(load[0]) == 64 and len(timed[0]) == (64 if family == "4" else 78), timed
        assert timed[2].flow_stats.pg_id == 7 and timed[2].mode.pps == 1000
    assert refuses("small", "--size", "41") and refuses("small", "--size", "1515")
    assert refuses("small", "--flows", "0") and refuses("small", "--family", "5") and refuses("syn_flood", "--sources", "0")
    print("all packets are as they should be")


main()
