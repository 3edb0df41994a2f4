"""Where our packet lies inside a captured frame, for each link type that can carry one.

Our own captures hold bare packets (USER0) or Ethernet frames; captures of tcpdump hold Ethernet,
`any`, raw IP and so on with our packets in UDP. Relies on scapy for everything below UDP and
leaves the packet itself to `emulator.wire.packet`.
"""

from typing import Final, cast

from emulator.transport.capture import ETHERNET_HEADER_BYTES
from emulator.transport.pcapng import LINK_TYPE_DUALCOPY, LINK_TYPE_ETHERNET
from emulator.wire.checksum import Buffer
from emulator.wire.layout import ETHERTYPE_DEFAULT, MAGIC

_MAGIC: Final = MAGIC.to_bytes(2, "big")
_ETHERTYPE: Final = ETHERTYPE_DEFAULT.to_bytes(2, "big")
_ETHERTYPE_AT: Final = 12


def packet_bytes(link_type: int, frame: bytes) -> Buffer | None:
    """Return the bytes of our packet inside `frame`, or None if it carries something else."""
    if link_type == LINK_TYPE_DUALCOPY:
        return frame
    if link_type == LINK_TYPE_ETHERNET and (
        frame[_ETHERTYPE_AT:ETHERNET_HEADER_BYTES] == _ETHERTYPE
        # The EtherType can be chosen in the bench file; the magic number cannot.
        or frame.startswith(_MAGIC, ETHERNET_HEADER_BYTES)
    ):
        return memoryview(frame)[ETHERNET_HEADER_BYTES:]
    if _MAGIC not in frame:
        return None
    payload = _udp_payload(link_type, frame)
    return payload if payload is not None and payload.startswith(_MAGIC) else None


def _udp_payload(link_type: int, frame: bytes) -> bytes | None:
    """Return what the UDP datagram in `frame` carries."""
    # Heavy; only captures made by other programs need them. Importing registers the link types.
    import scapy.layers.inet
    import scapy.layers.inet6
    from scapy.config import conf

    try:
        layer = conf.l2types[link_type]
    except KeyError:  # a link type that scapy does not know
        return None
    found = layer(frame)
    datagram = found.getlayer(scapy.layers.inet.UDP)
    return None if datagram is None else cast("bytes", datagram.payload.original)
