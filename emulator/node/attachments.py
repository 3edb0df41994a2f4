"""The control units of a site: which disk hangs on which, and what operators do to them."""

from collections.abc import Callable
from typing import Any

from emulator.disk.attached import AttachedDisk, Attachment
from emulator.disk.base import Disk
from emulator.disk.control_unit import Change, ControlUnit, Shape
from emulator.errors import BenchError
from emulator.events import AttachmentChanged, Event
from emulator.node.config import SiteConfig

Answer = Callable[[dict[str, Any]], None]


class Attachments:
    """All control units of a site."""

    def __init__(self, config: SiteConfig, emit: Callable[[Event], None]) -> None:
        self._emit = emit
        self._units: dict[str, Attachment] = {}
        self._of_device: dict[str, Attachment] = {}
        for row in config.control_units.values():
            unit = ControlUnit(row.name, Shape(row.shape), row.devices, row.paths)
            attachment = self._units[row.name] = Attachment(unit, row.patience_ns)
            self._of_device |= dict.fromkeys(row.devices, attachment)

    def disk(self, device: str, disk: Disk) -> Disk:
        """Return a device's disk as it is seen through its control unit, if it has one."""
        attachment = self._of_device.get(device)
        return disk if attachment is None else AttachedDisk(disk, attachment, device)

    def status(self) -> dict[str, Any]:
        """Return how the units stand, by name."""
        return {name: attachment.unit.status() for name, attachment in self._units.items()}

    def order(self, words: dict[str, Any], answer: Answer) -> None:
        """Carry out an operator's `unit` order: what is done to which part of which unit."""
        name, action, part = (words.get(key) for key in ("unit", "action", "part"))
        attachment = self._units.get(name) if isinstance(name, str) else None
        if attachment is None:
            known = ", ".join(self._units) or "none"
            raise BenchError(f"no control unit {name!r} here; there are: {known}")
        attachment.change(Change(str(action), str(part)))
        unit = attachment.unit
        lost = tuple(device for device in unit.devices if not unit.reachable(device))
        self._emit(AttachmentChanged(unit.name, str(action), str(part), lost))
        answer({"ok": True, "result": unit.status()})
