"""What the processor does about parts that fail: the store's answers, disks that refuse, suspects.

Gathers small duties between the store's guard, the destage and the groups, so that the
processor's turn stays short.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulator.channel.blocks import Outcome
from emulator.errors import DeviceError
from emulator.node.requests import MarkDisks, NvsMode, NvsSave, NvsWrite

if TYPE_CHECKING:
    from emulator.copy.group import Group
    from emulator.node.processor import Processor


class Care:
    """Duties of the processor when something fails."""

    def __init__(self, processor: Processor) -> None:
        self._processor = processor
        self._devices: dict[str, list[int]] = {
            name: [place.site_index for place in group.volumes]
            for name, group in processor.groups.items()
        }
        processor.reading.suspects = {}
        processor.destage.on_disk = processor.mending.written
        for device, volume in enumerate(processor.volumes.values()):
            if volume.write_through:
                processor.destage.write_through(device)
        for pair in processor.pairs.values():
            pair.fetching.read = processor.reading.look

    def started(self) -> None:
        """Take note that the journal was replayed: from now on what does not fit is damaged."""
        self._processor.reading.suspects = None

    def store_answered(
        self, request: NvsWrite | NvsSave | NvsMode | MarkDisks, result: object
    ) -> None:
        """Take the nonvolatile store's answer, or the checksum files' to a mark."""
        processor = self._processor
        guard = processor.guard
        error = result if isinstance(result, DeviceError) else None
        if isinstance(request, MarkDisks):
            guard.disks_marked(error)
            if guard.marked and processor.write_under_way():
                processor.nvs_written()
            return
        if error is not None:
            guard.lost(error)
        if isinstance(request, NvsWrite):
            if processor.write_under_way(request.number) and (not guard.is_lost or guard.marked):
                processor.nvs_written()
        elif isinstance(request, NvsSave) and not guard.is_lost:
            processor.saving.saved(request)

    def look_at_disks_of(self, group: Group) -> None:
        """See what has reached a group's disks, and tell hosts of what did not."""
        destage, guard = self._processor.destage, self._processor.guard
        devices = self._devices[group.name]
        believed = not guard.is_lost or guard.marked
        if any(device in devices for device in (*destage.refused, *destage.broken_devices())):
            # Until its hosts are told, a track that was refused is one that the disk lacks.
            if believed:
                group.through.reached(destage.needed_lsn(devices))
            _refuse(group)
        if believed:
            group.through.reached(destage.unwritten_lsn(devices))


def _refuse(group: Group) -> None:
    """Tell the hosts that wait for their disk that it failed."""
    group.release()
    group.through_replies.refuse(Outcome.DEVICE)
    if group.write_through:
        group.replies.refuse(Outcome.DEVICE)
