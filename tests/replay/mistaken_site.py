"""A replayed site with the mistake of `tests/system/swapping_site.py` planted in it."""

import sys

from rig.replay.site import main
from tests.system.swapping_site import plant

if __name__ == "__main__":
    plant()
    sys.exit(main())
