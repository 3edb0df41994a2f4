"""Tracks that were being written when a site died, and that their disk has damaged besides.

Such a track does not fit its checksum because it may lie there in part. The journal has what was
written into it; what lies around that is taken as it is, and nobody can tell whether it is right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulator.cache.tracks import TRACK_BITS, TRACK_MASK

if TYPE_CHECKING:
    from emulator.node.processor import Processor
    from rig.sim.shell import Shell


def suspects_of(processor: Processor) -> dict[int, None]:
    """Return the tracks that do not fit while a journal is replayed: filled as they are found."""
    suspects = processor.reading.suspects
    assert suspects is not None, "the journal is replayed already"
    return suspects


def give_up_suspects(site: Shell) -> None:
    """Expect nothing any more of suspects that were read damaged."""
    for number, disk in enumerate(site.disks):
        found = {
            key & TRACK_MASK
            for key in site.suspects
            if key >> TRACK_BITS == number and key & TRACK_MASK in disk.given
        }
        if found:
            site.watch.mark("damaged while it was written")
            disk.spoiled(found)
