"""A host that goes on through crashes: it connects again and writes on, and knows what was acked.

Relies on `rig/host/workload.py` for contents and verdict. Runs in a thread; `paused` is a block
in which it is not connected, so that a volume can be held against what was acknowledged.
"""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from emulator.errors import UnavailableError
from rig.host.nbd_client import connect_nbd
from rig.host.workload import LoadPlan, Verdict, WriteJournal, _Writer, verify
from tests.system.sites import POLL_S, Site, until


class Load:
    """Writes to one site's volume until stopped."""

    def __init__(
        self,
        site: Site,
        journal: Path,
        *,
        depth: int = 16,
        rate: float | None = None,
        **plan: int | bool,
    ) -> None:
        self.site = site
        self.journal = journal
        self.plan = LoadPlan(**{"seed": 1, "size_bytes": 8 << 20, "block_bytes": 4096, **plan})
        self.acknowledged = 0
        self.refused = 0
        """How many connections ended because the server went away or refused."""
        self._depth = depth
        self._pause_s = 1 / rate if rate else 0
        self._stop = threading.Event()
        self._may_run = threading.Event()
        self._may_run.set()
        self._idle = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._may_run.set()
        self._thread.join(30)
        assert not self._thread.is_alive(), "the load does not end"
        if self._failure is not None:
            raise self._failure

    def await_acknowledged(self, count: int) -> None:
        """Return once so many more writes have been acknowledged."""
        wanted = self.acknowledged + count
        until(
            lambda: self.acknowledged >= wanted or self._failure,
            f"{count} more writes acknowledged by site {self.site.name}",
        )
        assert self._failure is None, self._failure

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Keep the host disconnected."""
        self._may_run.clear()
        assert self._idle.wait(30), "the load does not pause"
        yield
        self._may_run.set()

    def verify(self) -> Verdict:
        """Hold the volume against the journal; only while paused or ended."""
        with connect_nbd(self.site.uri) as volume:
            verdict = verify(volume, self.journal)
        assert not verdict.wrong, verdict.places
        return verdict

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                if not self._may_run.is_set():
                    self._idle.set()
                    self._may_run.wait()
                    self._idle.clear()
                    continue
                try:
                    self._connected()
                except UnavailableError:
                    self.refused += 1
                    self._stop.wait(POLL_S)
        except BaseException as error:  # noqa: BLE001 - shown by the thread that asks
            self._failure = error
            self._idle.set()

    def _connected(self) -> None:
        with (
            connect_nbd(self.site.uri, depth=self._depth) as volume,
            contextlib.closing(_Counting(self.journal, self.plan, self)) as journal,
        ):
            writer = _Writer(volume, self.plan, journal)
            while self._may_run.is_set() and not self._stop.is_set():
                writer.write()
                if self._pause_s:
                    self._stop.wait(self._pause_s)
            writer.finish()


class _Counting(WriteJournal):
    """The journal of writes, which also counts for those who wait."""

    def __init__(self, path: Path, plan: LoadPlan, load: Load) -> None:
        super().__init__(path, plan, append=True)
        self._load = load

    def acknowledge(self, number: int) -> None:
        super().acknowledge(number)
        self._load.acknowledged += 1
