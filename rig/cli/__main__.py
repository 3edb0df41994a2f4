"""`python -m rig.cli`: the command where it is not installed on PATH."""

import sys

from rig.cli.main import main

sys.exit(main())
