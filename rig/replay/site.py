"""A real site in a process of the harness, whose store and disks fail as a schedule says.

    python -m rig.replay.site A --bench bench.toml --schedule fail.toml

Runs the production shell; only what opens its store and its disks is the harness's own.
"""

import argparse
import sys
from pathlib import Path

from emulator.errors import DualCopyError
from emulator.node.runtime import run_site
from rig.bench.loader import load_bench
from rig.replay.parts import FailingSite
from rig.sim.schedule import read_file


def main() -> int:
    """Run the site until it is told to stop, or until its schedule kills it."""
    words = argparse.ArgumentParser(description="A site that fails as a schedule says.")
    words.add_argument("site", choices=["A", "B"])
    words.add_argument("--bench", type=Path, required=True)
    words.add_argument("--schedule", type=Path, required=True)
    words.add_argument("--life", type=int, default=0, help="How often it was started before.")
    given = words.parse_args()
    try:
        return _run(given.site, given.bench, given.schedule, given.life)
    except DualCopyError as error:
        print(f"{error}", file=sys.stderr)  # noqa: T201 - this process's log
        return error.exit_code


def _run(name: str, bench: Path, path: Path, life: int) -> int:
    schedule = read_file(path)
    config = load_bench(bench).site(name)
    return run_site(config, lambda made: FailingSite(made, bench.parent, schedule, life))


if __name__ == "__main__":
    sys.exit(main())
