"""Old copies of disks that are put in the place of the newer ones (fault K13).

A start must notice, or go on as if nothing had been: what the copy lacks is then in the journal,
and the checkers look whether that is so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from emulator.errors import CorruptError
from emulator.node.standing import Standing, judge
from rig.sim.image import Image
from rig.sim.sums import SimulatedSums
from rig.sim.violation import Violation

if TYPE_CHECKING:
    from rig.sim.config import WorldConfig
    from rig.sim.disk import SimulatedDisk
    from rig.sim.shell import Shell


class Copy(NamedTuple):
    """A disk and its checksum file, at rest."""

    image: Image
    sums: SimulatedSums


class OldImages:
    """The copies that were made of a site's disks when it was started, and what they replace."""

    def __init__(self, name: str, config: WorldConfig) -> None:
        self._wanted = any(deed.do == "old" and deed.target == name for deed in config.deeds)
        self._old: dict[int, Copy] = {}
        self._true: dict[int, Copy] = {}

    def swap(self, disks: list[SimulatedDisk], number: int) -> None:
        """Put the old copy of a disk in its place, while the site is down."""
        old = self._old.pop(number, None)
        if old is not None and number not in self._true:
            self._true[number] = _copy(disks[number])
            _put(disks[number], old)

    def put_back(self, disks: list[SimulatedDisk]) -> bool:
        """Put the newer disks back; return False if none was replaced."""
        found = bool(self._true)
        for number, copy in self._true.items():
            _put(disks[number], copy)
        self._true.clear()
        return found

    def started(self, disks: list[SimulatedDisk]) -> None:
        """Make copies of the disks that a site begins with."""
        self._true.clear()
        if self._wanted:
            for number, disk in enumerate(disks):
                if disk.sums is not None and not disk.maybe_damaged():
                    self._old[number] = _copy(disk)


def swap(site: Shell, number: int) -> None:
    """Put an old copy of a disk in its place, if a site is down and there is one."""
    if not site.running:
        site.old_images.swap(site.disks, number % len(site.disks))


def stand(site: Shell, body: dict[str, Any] | None) -> Standing:
    """Return what a start goes by; a disk that is too old is refused, and put right."""
    try:
        standing = judge(site.nvs.uri, body, _files(site))
    except CorruptError as error:
        if not site.old_images.put_back(site.disks):
            raise Violation("K13", str(error)) from error
        site.watch.mark("old disk refused")
        standing = judge(site.nvs.uri, body, _files(site))
    site.old_images.started(site.disks)
    return standing


def _files(site: Shell) -> dict[str, SimulatedSums | None]:
    pairs = zip(site.site_config.devices, site.disks, strict=True)
    return {name: disk.sums for name, disk in pairs}


def _copy(disk: SimulatedDisk) -> Copy:
    assert disk.sums is not None
    return Copy(Image(disk.durable), disk.sums.copy())


def _put(disk: SimulatedDisk, copy: Copy) -> None:
    disk.durable, disk.live = copy.image, Image(copy.image)
    disk.sums = copy.sums
