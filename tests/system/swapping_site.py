"""A site with a mistake planted in it, for those who must notice: `python -m` this in its place.

Takes the command line of `dualcopy`. As a copy it swaps, in one epoch only, what two tracks are
given: after the record was checked, so that neither site can notice. The product has no such
switch; `plant` replaces one function of it in a process of its own. SWAP_AFTER says how many
epochs are left alone before (20).
"""

import os
import sys

from emulator.channel.blocks import TRACK_BYTES
from emulator.copy.incoming import Incoming
from rig.cli.main import main


def plant():
    """Plant the mistake; never in a process that runs tests."""
    left = int(os.environ.get("SWAP_AFTER", "20"))
    put = Incoming.put

    def swapping(incoming, cache, pieces, lsn, bases):
        nonlocal left
        whole = [at for at, (_key, _start, data) in enumerate(pieces) if len(data) == TRACK_BYTES]
        if left >= 0 and len(whole) >= 2 and pieces[whole[0]][2] != pieces[whole[-1]][2]:
            left -= 1
            if left < 0:
                first, second = whole[0], whole[-1]
                pieces = list(pieces)
                (key, start, data), (other, other_start, other_data) = pieces[first], pieces[second]
                pieces[first] = (key, start, other_data)
                pieces[second] = (other, other_start, data)
                print(f"tracks {key} and {other} swapped", file=sys.stderr, flush=True)
        put(incoming, cache, pieces, lsn, bases)

    Incoming.put = swapping


if __name__ == "__main__":
    plant()
    sys.exit(main())
