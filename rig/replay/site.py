"""A real site in a process of the harness, whose store and disks fail as a schedule says.

    python -m rig.replay.site A --bench bench.toml --schedule fail.toml

Runs the production shell; only what opens its store and its disks is the harness's own.
"""

import argparse
import sys
from pathlib import Path

from emulator.disk.base import Disk
from emulator.errors import DualCopyError
from emulator.node.config import SiteConfig
from emulator.node.runtime import SiteRuntime, run_site
from emulator.nvs.store import NvsStore
from rig.bench.loader import load_bench
from rig.replay.parts import Books, FailingDisk, FailingStore
from rig.sim.schedule import Schedule, read_file


class FailingSite(SiteRuntime):
    """The production shell over parts that fail."""

    def __init__(self, config: SiteConfig, folder: Path, schedule: Schedule, life: int) -> None:
        self._books = Books(folder, config.name, schedule)
        self._plan = schedule.config
        self._life = life
        self._opened = 0
        super().__init__(config)

    def open_store(self, uri: str) -> NvsStore:
        """Return a store at each of whose steps the process may die."""
        return FailingStore(uri, self._books, self._plan, self._life)

    def open_disk(self, uri: str) -> Disk:
        """Return the next device's disk, which may refuse."""
        name = f"{self.config.name}.{self._opened}"
        self._opened += 1
        return FailingDisk(super().open_disk(uri), name, self._books, self._plan, self._life)


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
