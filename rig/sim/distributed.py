"""Many seeds over many machines: batches on dask's workers, merged as they come in.

A worker is given a range of seeds and the digest of the source it must be running; it gives back
sums, and of runs only those that failed. A worker that dies costs its batch a second try, nothing
else. Needs the extra `campaign`.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import emulator
import rig
from emulator.errors import BenchError, CannotRunHere, UnavailableError
from rig.sim.campaign import FAILURES_MAX, Summary
from rig.sim.run import run_seed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rig.sim.run import Outcome

BATCH_SEEDS: Final = 50
RETRIES: Final = 3
"""How often a batch is given to another worker when its own has died."""
AHEAD: Final = 4
"""Batches with the scheduler for each worker: enough that none waits, few enough to forget."""
CONNECT_S: Final = 10
PIP_LINE: Final = "pip install 'dualcopy[campaign]'"


@dataclass(slots=True)
class Gathered:
    """The sums of one batch, or of all so far."""

    summary: Summary = field(default_factory=Summary)
    batches: int = 0
    by_rule: dict[str, list[Outcome]] = field(default_factory=dict)
    """Of each rule, the failing runs that are the quickest to repeat."""

    def add(self, outcome: Outcome) -> None:
        """Add one run."""
        self.summary.add(outcome)
        if outcome.violation is not None:
            self._keep(outcome.violation.rule, [outcome])

    def merge(self, other: Gathered) -> None:
        """Add what another has gathered."""
        mine, theirs = self.summary, other.summary
        self.batches += other.batches
        mine.seeds += theirs.seeds
        mine.events += theirs.events
        mine.virtual_ns += theirs.virtual_ns
        mine.cpu_s += theirs.cpu_s
        for name in ("violations", "faults", "marks", "facts"):
            total = getattr(mine, name)
            for key, count in getattr(theirs, name).items():
                total[key] = total.get(key, 0) + count
        for rule, outcomes in other.by_rule.items():
            self._keep(rule, outcomes)

    def _keep(self, rule: str, outcomes: list[Outcome]) -> None:
        kept = [*self.by_rule.get(rule, []), *outcomes]
        kept.sort(key=lambda outcome: (outcome.events, outcome.config.seed))
        self.by_rule[rule] = kept[:FAILURES_MAX]

    def failures(self) -> list[Outcome]:
        """Return the failing runs that were kept, rule by rule."""
        return [outcome for rule in sorted(self.by_rule) for outcome in self.by_rule[rule]]


def source_digest() -> str:
    """Return a digest of the source of both packages: what decides how a seed comes out."""
    digest = hashlib.blake2b(digest_size=8)
    for package in (emulator, rig):
        assert package.__file__ is not None, "both packages have an __init__"
        root = Path(package.__file__).parent
        for path in sorted(root.rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def batch(first: int, end: int, writes: int, source: str) -> Gathered:
    """Run some seeds; what a worker does. Raises BenchError if it runs another source."""
    here = source_digest()
    if here != source:
        raise BenchError(
            f"a worker runs another version of dualcopy ({here}, wanted {source}); install the "
            f"same one there"
        )
    gathered = Gathered(batches=1)
    for seed in range(first, end):
        outcome = run_seed(seed, writes)
        if outcome.violation is None:
            # Only failing runs are repeated; the others' faults would only be carried about.
            outcome.faults = []
        gathered.add(outcome)
    gathered.summary.failures.clear()
    gathered.summary.digests.clear()
    return gathered


def _dask() -> Any:  # noqa: ANN401 - the library has types for a part of itself only
    try:
        return importlib.import_module("distributed")
    except ImportError as error:
        raise CannotRunHere(f"campaigns need dask.distributed: {PIP_LINE}") from error


@contextlib.contextmanager
def workers(address: str, local: int) -> Iterator[Any]:
    """Connect to a scheduler, or make a cluster of processes on this machine."""
    distributed = _dask()
    with contextlib.ExitStack() as stack:
        where: Any = address
        if not address:
            where = stack.enter_context(
                distributed.LocalCluster(
                    n_workers=local,
                    threads_per_worker=1,
                    processes=True,
                    dashboard_address=None,
                    silence_logs=50,
                )
            )
        try:
            client = stack.enter_context(distributed.Client(where, timeout=CONNECT_S))
        except (OSError, TimeoutError, ValueError) as error:
            raise UnavailableError(f"--workers {address}: no scheduler answers: {error}") from error
        yield client


def spread(client: Any, seeds: range, writes: int) -> Iterator[Gathered]:  # noqa: ANN401
    """Yield everything gathered so far, after each batch that is done."""
    source = source_digest()
    ranges = iter(
        (seeds[at], seeds[min(at + BATCH_SEEDS, len(seeds)) - 1] + 1)
        for at in range(0, len(seeds), BATCH_SEEDS)
    )

    def submit(first: int, end: int) -> Any:  # noqa: ANN401
        return client.submit(batch, first, end, writes, source, retries=RETRIES, pure=False)

    threads = sum(client.nthreads().values()) or 1
    total = Gathered()
    queue = _dask().as_completed([submit(*bounds) for bounds in islice(ranges, AHEAD * threads)])
    for future in queue:
        try:
            total.merge(future.result())
        except (BenchError, KeyboardInterrupt):
            raise
        except Exception as error:
            # Whatever dask says of it: no worker could end this batch.
            raise UnavailableError(f"a batch of seeds could not be run: {error}") from error
        future.release()
        for bounds in islice(ranges, 1):
            queue.add(submit(*bounds))
        yield total
