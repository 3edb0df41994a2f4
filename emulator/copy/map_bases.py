"""Where the other site may stand when the dirty map's bits say all that it lacks (F4, X10).

When the journal gives up order, the other site may have more than it has confirmed, and may have
begun a copying or not. Each such position is kept with its chain hash: a site that comes back at
one of them needs the marked tracks; only one that stands elsewhere needs everything.
"""

import base64
import struct
from collections.abc import Mapping
from typing import Final

from emulator.wire.checksum import CHAIN_BYTES

_ROW: Final = struct.Struct(f">QQ{CHAIN_BYTES}s")
# Confirmed, plus as many sent epochs as may be unconfirmed (`stream.EPOCHS_SENT_MAX`).
POSITIONS_MAX: Final = 17


class MapBases:
    """Positions in which copying (0: none), at which csn, with which chain hash."""

    def __init__(self, text: str = "") -> None:
        self._rows = list(_ROW.iter_unpack(base64.b64decode(text)))

    def __bool__(self) -> bool:
        return bool(self._rows)

    def cover(self, copy_number: int, csn: int, chain: bytes) -> bool:
        """Return whether a site that stands here lacks only what is marked.

        One that ended its copying (0) stands anywhere that was noted; one in the middle of a
        copying must be in the very one that was noted.
        """
        return any(row == (copy_number or row[0], csn, chain) for row in self._rows)

    def rules_out(self, csn: int) -> bool:
        """Return whether a whole copy at `csn` that `cover` does not know has a history of its own.

        Every position that this site's changes can have brought a whole copy to is among those
        noted first; only one that went back behind all of them could be another.
        """
        return bool(self._rows) and csn >= self._rows[0][1]

    def note(self, copy_number: int, known: Mapping[int, bytes]) -> None:
        """Add the positions, csn to chain hash, of one copying or of the stream without one.

        Those noted first stay: if nothing has reached the other site since, it is still there.
        """
        rows = [(copy_number, csn, known[csn]) for csn in sorted(known)]
        # What was confirmed, and what may have been sent since; the rest has never left this site.
        self._rows = self._rows[:POSITIONS_MAX] + rows[:POSITIONS_MAX]

    def text(self) -> str:
        """Return the positions as the superblock keeps them."""
        return base64.b64encode(b"".join(_ROW.pack(*row) for row in self._rows)).decode()
