"""The internet mix, 7 of 64, 4 of 570 and 1 of 1514 bytes: --flows 10000 --family 4. With IPv6 the smallest are longer."""

from load import headers, options, udp
from trex_stl_lib.api import UDP, STLStream, STLTXCont

# Frames of each size in twelve, and when its first one is sent, microseconds, so that they do not come all at once.
MIX = ((64, 7, 0.0), (570, 4, 0.1), (1514, 1, 0.2))


class Imix:
    """The profile."""

    def get_streams(self, tunables=(), **_):
        """Streams of a port."""
        args = options(__doc__, flows=10_000, family=4).parse_args(list(tunables))
        smallest = len(headers(args.family, UDP()))
        return [
            STLStream(packet=udp(max(size, smallest), args.flows, args.family), mode=STLTXCont(pps=share), isg=start)
            for size, share, start in MIX
        ]


def register():
    """What TRex asks for."""
    return Imix()
