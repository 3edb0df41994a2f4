"""What a read may give: what was there when it was sent or answered, or writes meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulator.channel.blocks import TRACK_BYTES
from rig.faults.storage import SECTOR_BYTES
from rig.sim.contents import STAMP
from rig.sim.violation import Violation

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from rig.sim.operations import Operation


def check_read(operation: Operation, data: bytes, unknown: AbstractSet[tuple[int, int]]) -> None:
    """Compare what a read gave with what was there while it was under way (C10).

    Nothing can be said of the (volume, track) in `unknown`.
    """
    if len(data) != operation.length:
        raise Violation("C10", f"a read of {operation.length} bytes gave {len(data)}")
    images = operation.site.contents()
    if images is None or not operation.before:
        return
    start = operation.offset
    if unknown and any(
        (operation.volume, track) in unknown
        for track in range(start // TRACK_BYTES, -(-(start + len(data)) // TRACK_BYTES))
    ):
        return
    now = bytes(images[operation.volume][start : start + operation.length])
    if data in (now, operation.before) or not operation.site.writable():
        # A secondary may have applied several epochs meanwhile; each was a true past state.
        return
    for at in range(0, len(data), SECTOR_BYTES):
        sector = data[at : at + SECTOR_BYTES]
        known = [now[at : at + SECTOR_BYTES], operation.before[at : at + SECTOR_BYTES]]
        for rival in operation.rivals:
            if rival.data is not None and rival.overlaps(
                operation.volume, start + at, SECTOR_BYTES
            ):
                begin = start + at - rival.offset
                known.append(rival.data[begin : begin + SECTOR_BYTES])
        if sector not in known:
            raise Violation(
                "C10",
                f"volume {operation.volume} sector {(start + at) // SECTOR_BYTES} at "
                f"{operation.site.name} reads as write {STAMP.unpack_from(sector)}, "
                f"not {STAMP.unpack_from(known[0])}",
            )
