"""Look at both sites again and again while a run goes on: how far the copy lags, what was counted.

Each sample says between which two readings of the clock the site answered, so that its counters can
be held against the capture's time stamps.
"""

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from emulator.errors import DualCopyError
from rig.demo import plan
from rig.host.console import ask

LOOK_S = 0.1
ANSWER_S = 2.0


class Sample(NamedTuple):
    """A site's status, and when it was asked for and had; wall-clock time, as in captures."""

    site: str
    asked_ns: int
    answered_ns: int
    status: Mapping[str, Any]

    @property
    def group(self) -> Mapping[str, Any]:
        """What it says of the one group."""
        found: Mapping[str, Any] = self.status["groups"][plan.GROUP]
        return found

    @property
    def link(self) -> Mapping[str, Any]:
        """What it says of the one link."""
        found: Mapping[str, Any] = self.status["links"][plan.LINK]
        return found


def look(site: str, console: Path) -> Sample | None:
    """Ask a site for its status; None while it does not answer."""
    asked_ns = time.time_ns()
    try:
        status = ask(console, "status", timeout_s=ANSWER_S)
    except DualCopyError:
        return None
    return Sample(site, asked_ns, time.time_ns(), status)


class Watcher:
    """Looks in a thread of its own, from `with` to the end of it."""

    def __init__(self, consoles: Mapping[str, Path]) -> None:
        self.samples: list[Sample] = []
        """Oldest first; only ever appended to."""
        self._consoles = dict(consoles)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Look no more; a second call does nothing."""
        self._stop.set()
        self._thread.join()

    def latest(self, site: str) -> Sample | None:
        """Return the newest sample of a site."""
        return next((found for found in reversed(self.samples) if found.site == site), None)

    def _run(self) -> None:
        while not self._stop.wait(LOOK_S):
            for site, console in self._consoles.items():
                found = look(site, console)
                if found is not None:
                    self.samples.append(found)
