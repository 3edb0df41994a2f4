"""What happens when the nonvolatile store cannot be relied on: write-through at once (W4).

    GOOD              a write is complete once the store has it
    BATTERY_FAILED    the store goes on, synced to its medium; hosts wait for their disks
    LOST              the store takes nothing; hosts wait for their disks, copies are suspended

A lost store leaves an old journal behind, which must never be replayed over newer disks. So
before anything is written through, each disk's checksum file is marked with what the superblock
would say: the next start reads that instead (recovery.py). A site with a device that has no
checksum file has no place for the mark, and stops.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from emulator.cache.tracks import TRACK_BITS, TRACK_MASK
from emulator.copy.lost import store_lost
from emulator.events import BatteryChanged, StoreDrained, StoreLost
from emulator.node.requests import MarkDisks, NvsMode
from emulator.node.sums import ENTRY

if TYPE_CHECKING:
    from emulator.errors import DeviceError
    from emulator.node.processor import Processor


class StoreState(enum.Enum):
    """How far the nonvolatile store can be relied on."""

    GOOD = "good"
    BATTERY_FAILED = "battery failed"
    LOST = "lost"


class Guard:
    """Watches the store, and switches the site to write-through."""

    def __init__(self, processor: Processor) -> None:
        self._processor = processor
        self.state = StoreState.GOOD
        self.is_lost = False
        """The store takes nothing any more."""
        self.reason = ""
        self.marked = False
        """The disks say that the store was lost; only then may they get ahead of it."""
        self.stop: DeviceError | None = None
        """Why the site cannot go on at all."""
        self._at_risk: dict[str, int] = {}

    def has_battery(self) -> bool:
        """Return whether the store counts on a battery (`sync=battery`)."""
        return "sync=battery" in self._processor.config.nvs

    def battery_failed(self, reason: str) -> None:
        """Sync the store to its medium from now on, and let hosts wait for their disks."""
        if self.state is not StoreState.GOOD or not self.has_battery():
            return
        self.state, self.reason = StoreState.BATTERY_FAILED, reason
        processor = self._processor
        processor.ask_shell(NvsMode(processor.new_number(), sync=True))
        processor.emit(BatteryChanged(processor.config.nvs, "failed", reason))
        self._begin_write_through()
        processor.save_soon()

    def battery_restored(self) -> None:
        """Complete writes early again."""
        if self.state is not StoreState.BATTERY_FAILED:
            return
        self.state, self.reason = StoreState.GOOD, ""
        processor = self._processor
        processor.ask_shell(NvsMode(processor.new_number(), sync=False))
        processor.emit(BatteryChanged(processor.config.nvs, "restored", ""))
        for group in processor.groups.values():
            group.write_through = ""
        for device, volume in enumerate(processor.volumes.values()):
            if not volume.write_through:
                processor.destage.write_early(device)
        processor.save_soon()

    def lost(self, error: DeviceError) -> None:
        """Give up the store: it refused a write or a sync, and what it has now nobody knows."""
        if self.is_lost or self.stop is not None:
            return
        processor = self._processor
        if not processor.saving.saves or not processor.sums.everywhere():
            self.stop = error
            return
        self.state, self.reason, self.is_lost = StoreState.LOST, str(error), True
        for group in processor.groups.values():
            self._at_risk[group.name] = group.csn
            on_disk = group.through.csn
            processor.emit(StoreLost(error.uri, group.name, on_disk, group.csn, error.cause))
        self._begin_write_through()
        for pair in processor.pairs.values():
            store_lost(pair, f"site {processor.config.name} has lost its nonvolatile store")
        unknown: list[list[tuple[int, bytes]]] = [[] for _ in processor.volumes]
        for key in processor.cache.dirty:
            # Perhaps on the disk already: the journal would have covered that, and is gone.
            unknown[key >> TRACK_BITS].append(((key & TRACK_MASK) * ENTRY.size, bytes(ENTRY.size)))
        body = processor.saving.body()
        processor.ask_shell(MarkDisks(processor.new_number(), body, unknown))

    def disks_marked(self, error: DeviceError | None) -> None:
        """Go on without the store, now that every disk says so; or stop."""
        if error is not None:
            self.stop = error
            return
        self.marked = True
        self._processor.destage.without_journal = True
        for group in self._processor.groups.values():
            group.suspension_saved()

    def look(self) -> None:
        """Say when everything that was at risk has reached its disk."""
        for name, csn in list(self._at_risk.items()):
            if self.marked and self._on_disk(name) >= csn:
                del self._at_risk[name]
                self._processor.emit(StoreDrained(name, csn))

    def _on_disk(self, name: str) -> int:
        """Return up to which write a group is on its disks; nothing counts while they refuse."""
        group, destage = self._processor.groups[name], self._processor.destage
        refused = any(destage.stuck_tracks(place.site_index) for place in group.volumes)
        return 0 if refused else group.through.csn

    def at_risk(self) -> dict[str, list[int]]:
        """Return by group the first and last write that memory alone has (W4)."""
        return {
            name: [self._on_disk(name) + 1, csn]
            for name, csn in self._at_risk.items()
            if self._on_disk(name) < csn
        }

    def promise(self) -> str:
        """Return what write-through means for the guarantee; empty while writes complete early."""
        if self.state is StoreState.GOOD:
            return ""
        return f"WRITE-THROUGH ({self.reason}): a write is complete only on its disk; "

    def _begin_write_through(self) -> None:
        processor = self._processor
        for group in processor.groups.values():
            group.begin_write_through(self.reason)
        for device in range(len(processor.volumes)):
            processor.destage.write_through(device)
