"""Where the nonvolatile stores of a measurement lie."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from emulator.node.warm import spare_bytes

MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
# At most this share of the memory that the machine has to spare.
_SPARE_SHARE: Final = 2


@contextlib.contextmanager
def store_folder(folder: Path, size_bytes: int, sync: str) -> Iterator[Path]:
    """Give a folder for stores of `size_bytes` together: one in memory for those with a battery.

    Memory with a battery is what such a store stands for. The kernel writes a file on a disk back
    all the time, which a store with a battery is there to save. Without room it is `folder`.
    """
    if sync != "battery" or _room_bytes() < size_bytes:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="dualcopy-", dir=MEMORY) as name:
        yield Path(name)


def _room_bytes() -> int:
    with contextlib.suppress(OSError):
        return min(shutil.disk_usage(MEMORY).free, spare_bytes() // _SPARE_SHARE)
    return 0
