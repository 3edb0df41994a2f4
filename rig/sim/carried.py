"""What a link carries: every record whole, once and in order; every packet number once.

Stands between a site and its link: notes what goes in at one end, and compares what comes out at
the other (rules L1, L2, L4).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

import xxhash

from emulator.link.packetizer import RECORD_BYTES_MAX
from emulator.wire.layout import PACKET_FIELDS, PacketType, struct_format
from rig.sim.violation import Violation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from emulator.node.links import LinkedGroup
    from emulator.wire.checksum import Buffer

_NUMBERED = frozenset(map(int, (PacketType.DATA, PacketType.ACK, PacketType.CLOSE)))
_HEADER = struct.Struct(struct_format(PACKET_FIELDS))
_FIELDS = [field.name for field in PACKET_FIELDS]
_TYPE, _SESSION, _NUMBER = map(_FIELDS.index, ("type", "session", "number"))


class _Record(NamedTuple):
    kind: int
    digest: int


class Carried:
    """One direction of a link, over all its sessions."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.held_bytes = 0
        """Record bytes that the receiving site has not released."""
        self._sent: list[_Record] = []
        self._delivered = 0
        self._session = 0
        self._number = 0

    def put_in(self, kind: int, parts: Sequence[Buffer]) -> None:
        """A record was queued at the sending end."""
        digest = xxhash.xxh3_64()
        for part in parts:
            digest.update(part)
        self._sent.append(_Record(kind, digest.intdigest()))

    def came_out(self, kind: int, data: bytes, window_bytes: int, *, spoilt: bool) -> None:
        """A record was delivered at the receiving end (L2, L4)."""
        found = _Record(kind, xxhash.xxh3_64_intdigest(data))
        try:
            # What a session did not deliver before its end is left out, and nothing else.
            self._delivered = self._sent.index(found, self._delivered) + 1
        except ValueError:
            if not spoilt:
                again = found in self._sent
                raise Violation(
                    "L2",
                    f"{self.name} delivers a record of {len(data)} bytes (kind {kind}) "
                    f"{'again or out of order' if again else 'that was never sent'}",
                ) from None
        self.held_bytes += len(data)
        if self.held_bytes > window_bytes + RECORD_BYTES_MAX:
            raise Violation(
                "L4", f"{self.name} holds {self.held_bytes} bytes, the window is {window_bytes}"
            )

    def packet(self, data: bytes) -> None:
        """A packet is put on the line: its number must be a new one (L1)."""
        fields = _HEADER.unpack_from(data)
        if fields[_TYPE] not in _NUMBERED:
            return
        session, number = fields[_SESSION], fields[_NUMBER]
        if session == self._session and number <= self._number:
            raise Violation("L1", f"{self.name} uses packet number {number} after {self._number}")
        self._session, self._number = session, number


class WatchedPair:
    """The copy of a group, as its link sees it; what is delivered is compared first."""

    def __init__(self, pair: LinkedGroup, delivered: Callable[[int, bytes], None]) -> None:
        self.link_up = pair.link_up
        self.link_lost = pair.link_lost
        self._received = pair.received
        self._delivered = delivered

    def received(self, kind: int, data: bytes) -> None:
        """Take a record of this group from the link."""
        self._delivered(kind, data)
        self._received(kind, data)
