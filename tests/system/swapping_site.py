"""A site with a mistake planted in it, for those who must notice: `python -m` this in its place.

Takes the command line of `dualcopy`. As a copy it swaps, in one epoch only, what two tracks are
given: after the record was checked, so that neither site can notice. The product has no such
switch; this module replaces one function of it in its own process. SWAP_AFTER says how many epochs
are left alone before (20).
"""

import os
import sys

from emulator.channel.blocks import TRACK_BYTES
from emulator.copy.incoming import Incoming
from rig.cli.main import main

_left = int(os.environ.get("SWAP_AFTER", "20"))
_put = Incoming.put


def _swapping(incoming, cache, pieces, lsn, bases):
    global _left  # noqa: PLW0603 - one mistake in the life of the process
    whole = [at for at, (_key, _start, data) in enumerate(pieces) if len(data) == TRACK_BYTES]
    if _left >= 0 and len(whole) >= 2 and pieces[whole[0]][2] != pieces[whole[-1]][2]:
        _left -= 1
        if _left < 0:
            first, second = whole[0], whole[-1]
            pieces = list(pieces)
            (key, start, data), (other, other_start, other_data) = pieces[first], pieces[second]
            pieces[first] = (key, start, other_data)
            pieces[second] = (other, other_start, data)
            print(f"tracks {key} and {other} swapped", file=sys.stderr, flush=True)
    _put(incoming, cache, pieces, lsn, bases)


Incoming.put = _swapping

if __name__ == "__main__":
    sys.exit(main())
