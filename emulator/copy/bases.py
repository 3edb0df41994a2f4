"""What lies around that which came from the primary: the contents that it changes in part.

Where the disk of a secondary has lost such contents and nobody else has them as they were here,
nothing of the copy can be built on them. It is given up, said to be none, and begun anew: the
primary has everything. The lost tracks count as zeros from then on, so that what was received
before can be dealt with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from emulator.cache.tracks import ZERO_TRACK
from emulator.clock import SECOND_NS
from emulator.copy.services import READ_RETRY_NS, ReadTracks, Saved, pause
from emulator.errors import CorruptError, DeviceError, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emulator.copy.group import Group
    from emulator.copy.services import Asking, Services, Step

# A disk that refuses may be away for a while; one that gives wrong contents does not get better.
UNREADABLE_NS_MAX: Final = 60 * SECOND_NS


def read_bases(services: Services, group: Group, keys: Sequence[int]) -> Asking[dict[int, bytes]]:
    """Wait for the newest images of a secondary's tracks; those that are lost are zeros."""
    limit_ns = services.now_ns + UNREADABLE_NS_MAX
    while True:
        try:
            images: dict[int, bytes] = yield ReadTracks(keys)
        except DeviceError as error:
            if _is_lost(error) or services.now_ns >= limit_ns:
                yield from _give_up(services, group, keys, error)
            else:
                yield from pause(services, READ_RETRY_NS)
        else:
            return images


def _is_lost(error: DeviceError) -> bool:
    return isinstance(error, CorruptError) and not isinstance(error, UnreadableError)


def _give_up(services: Services, group: Group, keys: Sequence[int], error: DeviceError) -> Step:
    group.consistent = False
    group.copy_number = 0
    # Before the zeros can reach the disk, where they would be taken for what was copied.
    yield Saved()
    for key in keys:
        if services.cache.peek(key) is None:
            services.cache.put(key, ZERO_TRACK, services.journal.tail_lsn)
    reason = f"{error}; the copy here is given up, and everything is copied anew"
    services.link_refuse(group.link, reason)
