"""HELLO packets: what they say, how they look, and what session two of them make.

Relies on the field table in `wire/layout.py`. Leaves when to send one, and whether to believe
one, to `handshake.py`.
"""

import struct
from typing import Final, NamedTuple

from emulator.wire.checksum import Buffer, content_hash
from emulator.wire.layout import HELLO_FIELDS, PacketFlag, PacketType, RecordKind, struct_format
from emulator.wire.packet import OVERHEAD_BYTES, Packet, encode_packet

_HELLO: Final = struct.Struct(struct_format(HELLO_FIELDS))
_NONCES: Final = struct.Struct(">QQ")
_DIRECTION: Final = 1


class Hello(NamedTuple):
    """What one end says about itself."""

    nonce: int
    echo: int
    mtu_bytes: int
    window_bytes: int
    plaintext: bool
    link: str
    site: str


def hello_packet_bytes(link: str, site: str) -> int:
    """Return the size of the HELLO packet that carries these names."""
    return OVERHEAD_BYTES + _HELLO.size + len(link.encode()) + len(site.encode())


def encode_hello(hello: Hello) -> bytes:
    """Return `hello` as a whole packet, ready for a line."""
    link, site = hello.link.encode(), hello.site.encode()
    header = _HELLO.pack(*hello[:5], len(link), len(site))
    payload = b"".join((header, link, site))
    return encode_packet(
        Packet(PacketType.HELLO, PacketFlag.UNSEALED, RecordKind.NONE, 0, 0, 0, 0, 0, 0, 0, payload)
    )


def decode_hello(payload: Buffer) -> Hello | None:
    """Return the HELLO in a packet's payload, or None if it is not one."""
    if len(payload) < _HELLO.size:
        return None
    *numbers, plaintext, link_length, site_length = _HELLO.unpack_from(payload)
    middle = _HELLO.size + link_length
    if len(payload) != middle + site_length or plaintext > 1 or numbers[0] == 0:
        return None
    # A name that is no UTF-8 is still shown to the operator, who has to find who sends it.
    link = bytes(payload[_HELLO.size : middle]).decode(errors="replace")
    site = bytes(payload[middle:]).decode(errors="replace")
    nonce, echo, mtu_bytes, window_bytes = numbers
    return Hello(nonce, echo, mtu_bytes, window_bytes, bool(plaintext), link, site)


def session_id(nonce: int, other_nonce: int) -> int:
    """Return the session two nonces make: the same for both ends, even, and never 0.

    >>> session_id(7, 9) == session_id(9, 7) > 0
    True
    """
    pair = _NONCES.pack(min(nonce, other_nonce), max(nonce, other_nonce))
    return content_hash(pair) & (0xFFFFFFFF ^ _DIRECTION) or 2 * _DIRECTION


def session_field(sender_nonce: int, receiver_nonce: int) -> int:
    """Return the session as packets of one direction carry it.

    The lowest bit says which end sent it, so that a line which begins to reflect in the middle
    of a session cannot make an end take its own packets for the other's.
    """
    return session_id(sender_nonce, receiver_nonce) | (sender_nonce > receiver_nonce)
