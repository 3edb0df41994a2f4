"""The bytes of a pcapng file: one head for a whole run, then one block for each packet.

Written by hand because no well-kept library writes nanosecond stamps, several link types,
comments and packet flags into one file (scapy writes microseconds only). Relies on nothing but
`struct`; leaves the file itself to `capture.py`. Reading is `rig.capture`, through scapy.

The format: https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-03.html
"""

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from emulator.uri import scheme_of
from emulator.wire.headers import LINK_TYPE

LINK_TYPE_ETHERNET: Final = 1
LINK_TYPE_DUALCOPY: Final = LINK_TYPE
"""LINKTYPE_USER0: bare packets of ours; the dissector is bound to it."""

LINK_TYPE_FIBRE_CHANNEL: Final = 224
"""LINKTYPE_FC_2: Fibre Channel frames from their header on; a site's channel."""
CHANNEL_SCHEME: Final = "channel"
"""What stands for a site's channel where a line has its URI."""

FLAG_INBOUND: Final = 1
FLAG_OUTBOUND: Final = 2
FLAG_CRC_ERROR: Final = 1 << 24

TEXT_BYTES_MAX: Final = 1024
"""Comments and names are for people; the format's own limit is 65,535."""

NOT_SEALED: Final = "link not sealed (lab_plaintext)"

_LINK_TYPES: Final = {"eth": LINK_TYPE_ETHERNET, CHANNEL_SCHEME: LINK_TYPE_FIBRE_CHANNEL}

_SECTION_HEADER: Final = 0x0A0D0D0A
_INTERFACE: Final = 1
_PACKET: Final = 6
_BYTE_ORDER_MAGIC: Final = 0x1A2B3C4D
_LENGTH_UNKNOWN: Final = -1

_COMMENT: Final = 1
_SECTION_APPLICATION: Final = 4
_INTERFACE_NAME: Final = 2
_INTERFACE_DESCRIPTION: Final = 3
_INTERFACE_RESOLUTION: Final = 9
_PACKET_FLAGS: Final = 2
_NANOSECONDS: Final = b"\x09"

_OPTION: Final = struct.Struct("<HH")
_PACKET_HEAD: Final = struct.Struct("<7I")
_LENGTHS: Final = struct.Struct("<II")
_TAIL_BYTES: Final = 16
# Padding to four bytes, the flags option, the end of options, the block's length once more.
_TAILS: Final = tuple(struct.Struct(f"<{pad}xHHIII") for pad in range(4))
_PADS: Final = tuple(bytes(pad) for pad in range(4))
_BLOCK_FIXED_BYTES: Final = 12


class Interface(NamedTuple):
    """One end of one link as it appears in a capture: its name, its line and whether it is bare."""

    name: str
    uri: str
    unsealed: bool = False


def link_type(uri: str) -> int:
    """Return the capture's link type for a line: whole frames on Ethernet, else bare packets.

    >>> link_type("eth://veth0"), link_type("udp://127.0.0.1:7001"), link_type("channel://A")
    (1, 147, 224)
    """
    return _LINK_TYPES.get(scheme_of(uri), LINK_TYPE_DUALCOPY)


def head_bytes(application: str, interfaces: Sequence[Interface]) -> bytes:
    """Return the head of a run's file: who wrote it and every interface, in order of their ids.

    It holds nothing that differs between the processes of one run, so that all of them can
    tell their own file from another run's by comparing bytes. The count of interfaces comes
    first, so that no head is the beginning of another.
    """
    options = _option(_COMMENT, f"{len(interfaces)} interfaces".encode())
    if any(interface.unsealed for interface in interfaces):
        options += _option(_COMMENT, NOT_SEALED.encode())
    options += _option(_SECTION_APPLICATION, _text(application))
    section = struct.pack("<IHHq", _BYTE_ORDER_MAGIC, 1, 0, _LENGTH_UNKNOWN)
    blocks = [_block(_SECTION_HEADER, section + options + _option(0, b""))]
    blocks.extend(_interface_block(interface) for interface in interfaces)
    return b"".join(blocks)


def append_packet(
    batch: bytearray,
    interface_id: int,
    time_ns: int,
    flags: int,
    data: bytes | bytearray | memoryview,
    comment: str | None,
) -> None:
    """Add one packet's block to `batch`; `data` is copied, so its owner may use it again."""
    length = len(data)
    pad = -length & 3
    remark = b"" if comment is None else _option(_COMMENT, _text(comment))
    total = 28 + length + pad + len(remark) + _TAIL_BYTES
    batch += _PACKET_HEAD.pack(
        _PACKET, total, interface_id, time_ns >> 32, time_ns & 0xFFFFFFFF, length, length
    )
    batch += data
    if remark:
        batch += _PADS[pad]
        batch += remark
        pad = 0
    batch += _TAILS[pad].pack(_PACKET_FLAGS, 4, flags, 0, total)


def whole_block_bytes(data: bytes, size_bytes: int) -> int:
    """Return the length of the block that `data` begins, or 0 if `size_bytes` cannot hold it."""
    if len(data) < _LENGTHS.size:
        return 0
    type_, length = _LENGTHS.unpack_from(data)
    fits = _BLOCK_FIXED_BYTES <= length <= size_bytes and length % 4 == 0
    return length if fits and type_ == _PACKET else 0


def _interface_block(interface: Interface) -> bytes:
    """Describe one interface; a snap length of 0 says that packets are never cut."""
    options = [
        _option(_INTERFACE_NAME, _text(interface.name)),
        _option(_INTERFACE_DESCRIPTION, _text(interface.uri)),
        _option(_INTERFACE_RESOLUTION, _NANOSECONDS),
    ]
    if interface.unsealed:
        options.append(_option(_COMMENT, NOT_SEALED.encode()))
    body = struct.pack("<HHI", link_type(interface.uri), 0, 0)
    return _block(_INTERFACE, body + b"".join(options) + _option(0, b""))


def _block(type_: int, body: bytes) -> bytes:
    length = _BLOCK_FIXED_BYTES + len(body)
    return b"".join((_LENGTHS.pack(type_, length), body, length.to_bytes(4, "little")))


def _option(code: int, value: bytes) -> bytes:
    return _OPTION.pack(code, len(value)) + value + _PADS[-len(value) & 3]


def _text(text: str) -> bytes:
    """Encode a text; what is too long loses its end, what is no text becomes question marks."""
    raw = text.encode("utf-8", "replace")
    if len(raw) <= TEXT_BYTES_MAX:
        return raw
    return raw[:TEXT_BYTES_MAX].decode("utf-8", "ignore").encode()
