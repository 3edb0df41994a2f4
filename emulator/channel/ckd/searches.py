"""Commands that compare what the host sends with what is on the track.

A match is told by the status modifier, on which the channel skips one CCW.
"""

from typing import Final

from emulator.channel.asks import Waiting
from emulator.channel.ckd.positioning import (
    ID_BYTES,
    count_id,
    home_address,
    next_count,
    next_track,
    seek,
    take_key,
)
from emulator.channel.ckd.run import AT_COUNT, CkdRun
from emulator.channel.commands import Proof
from emulator.channel.status import MATCHED

_MULTITRACK: Final = 0x80
_OR_EQUAL: Final = 0x20
_OR_HIGH: Final = 0x40
_HOME_ADDRESS_COMPARED: Final = 4


def search_id(run: CkdRun) -> Waiting[int]:
    """Compare the next record's cylinder, head and number: equal, high, or either."""
    data = run.sent
    yield from next_count(run, skip_r0=False)
    length = min(len(data), ID_BYTES)
    equal = _compare(run, count_id(run)[:length], data[:length])
    run.proof = Proof.ID if equal and length == ID_BYTES and not run.code & _OR_HIGH else Proof.NONE
    return ID_BYTES


def search_key(run: CkdRun) -> Waiting[int]:
    """Compare the next record's key: equal, high, or either; a record without key never matches."""
    data = run.sent
    if run.orientation != AT_COUNT or run.image is None:
        yield from next_count(run)
    key = take_key(run)
    length = min(len(data), len(key))
    run.proof = Proof.NONE
    if key:
        equal = _compare(run, key[:length], data[:length])
        if equal and length == len(key) and not run.code & _OR_HIGH:
            run.proof = Proof.KEY
    return len(key)


def _compare(run: CkdRun, found: bytes, wanted: bytes) -> bool:
    equal = found == wanted
    if (equal and run.code & _OR_EQUAL) or (found > wanted and run.code & _OR_HIGH):
        run.status = MATCHED
    return equal


def search_home_address(run: CkdRun) -> Waiting[int]:
    """Compare the home address's cylinder and head; multitrack, those of the next track."""
    data = run.sent
    if run.code & _MULTITRACK:
        yield from next_track(run)
    else:
        yield from seek(run, run.cylinder, run.head)
    length = min(len(data), _HOME_ADDRESS_COMPARED)
    run.proof = Proof.NONE
    if home_address(run)[1 : 1 + length] == data[:length]:
        run.status = MATCHED
        if length == _HOME_ADDRESS_COMPARED:
            run.proof = Proof.HOME
    return _HOME_ADDRESS_COMPARED
