"""UDP frames of one size: --size 64 --flows 1 --family 4."""

from load import options, udp
from trex_stl_lib.api import STLStream, STLTXCont


class Small:
    """The profile."""

    def get_streams(self, tunables=(), **_):
        """Streams of a port."""
        args = options(__doc__, size=64, flows=1, family=4).parse_args(list(tunables))
        return [STLStream(packet=udp(args.size, args.flows, args.family), mode=STLTXCont())]


def register():
    """What TRex asks for."""
    return Small()
