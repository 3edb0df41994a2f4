"""While a site reads its journal after a crash, it must not write to it."""

import random

from emulator.channel.blocks import TRACK_BYTES
from emulator.copy.lineage import Generation, Position
from emulator.node.processor import Processor
from emulator.node.requests import NvsWrite
from emulator.wire.checksum import CHAIN_NONE
from tests.node.world import SIZES, site_config

RING_BYTES = 1 << 21


def test_an_epoch_that_fills_up_during_replay_is_not_closed_into_the_journal():
    """The tail is not known yet: an entry made now would lie on the oldest one, at lsn 0."""
    processor = Processor(
        site_config("A", cache_bytes=1 << 20),
        dict(SIZES),
        RING_BYTES,
        b"",
        random.Random(1).randbytes,
    )
    group = processor.groups["g"]
    group.lineage = [Generation(7, 0, 0, CHAIN_NONE, "created")]
    stream = group.stream
    stream.restart_at(Position(7, 0, CHAIN_NONE))
    stream.epoch_tracks_max = 4
    for track in range(8):  # as replaying host entries does
        stream.open.replay(track, 0, bytes(TRACK_BYTES))
    stream.journalled(0)
    group.csn = 8
    assert stream.wants_close()

    processor.turn(1)
    assert not processor.ready
    assert processor.journal.tail_lsn == 0
    assert not [r for r in processor.take_requests() if isinstance(r, NvsWrite)]
    assert not stream.closed

    processor.adopt_journal(processor.journal)  # everything is read: now it may be closed
    processor.turn(2)
    assert [r for r in processor.take_requests() if isinstance(r, NvsWrite)]
    assert len(stream.closed) == 1
