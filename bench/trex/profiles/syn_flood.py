"""TCP SYN to port 80 from many sources: --sources 65536 --family 4."""

from load import options, syn
from trex_stl_lib.api import STLStream, STLTXCont


class SynFlood:
    """The profile."""

    def get_streams(self, tunables=(), **_):
        """Streams of a port."""
        args = options(__doc__, sources=65_536, family=4).parse_args(list(tunables))
        return [STLStream(packet=syn(args.sources, args.family), mode=STLTXCont())]


def register():
    """What TRex asks for."""
    return SynFlood()
