"""Packets and bytes of a capture, by interface, direction, type and kind.

What a site's own counters are compared with: `bytes` is the sum of the frame lengths as Wireshark
adds them up, `packet_bytes` counts our packets alone, without an Ethernet or UDP header or padding.
"""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from emulator.wire.layout import PacketFlag
from emulator.wire.packet import OVERHEAD_BYTES, Packet
from rig.capture.reader import CapturedPacket
from rig.capture.show import kind_name, type_name

_ROW = "{:<14} {:<3} {:<7} {:<13} {:>9} {:>13} {:>13} {:>13} {:>9} {:>12}".format


@dataclass(slots=True)
class Sum:
    """How much of one sort of packet there is."""

    packets: int = 0
    bytes: int = 0
    packet_bytes: int = 0
    payload_bytes: int = 0
    again_packets: int = 0
    """Of these packets, those that carry what was sent before."""
    again_bytes: int = 0

    def add(self, captured: CapturedPacket) -> None:
        """Count one packet."""
        size = len(captured.data)
        self.packets += 1
        self.bytes += size
        packet = captured.packet
        if isinstance(packet, Packet):
            self.packet_bytes += OVERHEAD_BYTES + len(packet.payload)
            self.payload_bytes += len(packet.payload)
            if packet.flags & PacketFlag.AGAIN:
                self.again_packets += 1
                self.again_bytes += size


# Interface, direction, type, kind.
Sort = tuple[str, str, str, str]


def count(packets: Iterable[CapturedPacket]) -> dict[Sort, Sum]:
    """Return the sums of every sort of packet, in the order of their names."""
    sums: dict[Sort, Sum] = {}
    for captured in packets:
        packet = captured.packet
        if isinstance(packet, Packet):
            what = (type_name(packet), kind_name(packet))
        else:
            what = ("damaged", packet) if packet else ("other", "")
        sums.setdefault((captured.interface, captured.direction, *what), Sum()).add(captured)
    return dict(sorted(sums.items()))


def total(sums: Iterable[Sum]) -> Sum:
    """Return the sum of sums."""
    found = Sum()
    for each in sums:
        for field in dataclasses.fields(Sum):
            setattr(found, field.name, getattr(found, field.name) + getattr(each, field.name))
    return found


def as_object(sums: dict[Sort, Sum]) -> dict[str, Any]:
    """Return the sums as plain data for JSON."""
    names = ("interface", "direction", "type", "kind")
    rows = [
        {**dict(zip(names, sort, strict=True)), **dataclasses.asdict(row)}
        for sort, row in sums.items()
    ]
    return {"rows": rows, "total": dataclasses.asdict(total(sums.values()))}


def as_table(sums: dict[Sort, Sum]) -> list[str]:
    """Return the sums as lines of text, a total for each end of a line and one for all."""
    fields = [field.name.replace("_", " ") for field in dataclasses.fields(Sum)]
    lines = [_ROW("interface", "dir", "type", "kind", *fields)]
    ends: dict[tuple[str, str], list[Sum]] = {}
    for sort, row in sums.items():
        ends.setdefault(sort[:2], []).append(row)
        lines.append(_ROW(*sort, *dataclasses.astuple(row)))
    for (interface, direction), rows in ends.items():
        lines.append(_ROW(interface, direction, "all", "", *dataclasses.astuple(total(rows))))
    lines.append(_ROW("all", "", "all", "", *dataclasses.astuple(total(sums.values()))))
    return lines
