"""Mark in the dirty map what the other site may lack of a stream that gives up order (F8)."""

from emulator.cache.tracks import TRACK_BITS, TRACK_MASK
from emulator.copy.group import Group
from emulator.copy.services import Step
from emulator.errors import DeviceError


def mark_unconfirmed(group: Group) -> Step:
    """Mark every track of what was not confirmed; all tracks, if the journal cannot be read."""
    try:
        yield from _mark(group)
    except DeviceError:
        for found in group.maps:
            found.fill()


def _mark(group: Group) -> Step:
    stream = group.stream
    # After a restart no chain hash is known; the other site may have any of what was sent.
    if stream.closed:
        yield from stream.prove(stream.closed[-1].csn_last)
    group.map_bases.note(group.copy_number, stream.known_chains())
    for key in stream.noted_keys():
        group.maps[key >> TRACK_BITS].mark(key & TRACK_MASK)
    for closed in list(stream.closed):
        if closed.epoch is None:
            epoch = yield from stream.load(closed)
            for key in epoch.images:
                group.maps[key >> TRACK_BITS].mark(key & TRACK_MASK)
            closed.epoch = None
