"""A load, and beside it a stream whose every packet is timed: --size 64 --flows 1 --family 4 --pps 1000.

The timed stream keeps its rate when the load is multiplied (-m).
"""

from load import options, udp
from trex_stl_lib.api import STLFlowLatencyStats, STLStream, STLTXCont

# TRex writes 16 bytes behind the headers of timed packets.
STAMP = 16


class Latency:
    """The profile."""

    def get_streams(self, tunables=(), **kwargs):
        """Streams of a port. The numbers of timed streams must differ between ports."""
        args = options(__doc__, size=64, flows=1, family=4, pps=1000).parse_args(list(tunables))
        number = 7 + kwargs.get("port_id", 0)
        timed = udp(max(args.size, (42 if args.family == 4 else 62) + STAMP), 1, args.family)
        return [
            STLStream(packet=udp(args.size, args.flows, args.family), mode=STLTXCont()),
            STLStream(packet=timed, mode=STLTXCont(pps=args.pps), flow_stats=STLFlowLatencyStats(pg_id=number)),
        ]


def register():
    """What TRex asks for."""
    return Latency()
