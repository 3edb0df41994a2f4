"""The host of a replayed schedule: the same mix of work as the simulator's, over real NBD.

It follows the primary, has several operations under way, does again what it was not answered, and
keeps for each sector what may be read there: the last write that was answered, or any later one
that was not (O5).
"""

import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Final

from emulator.clock import SECOND_NS
from emulator.errors import TimeLimitError, UnavailableError
from emulator.frontend.nbd_protocol import Command
from rig.faults.storage import SECTOR_BYTES
from rig.host.nbd_client import NbdClient, connect_nbd
from rig.sim.config import WorldConfig
from rig.sim.violation import Violation

RETRY_S: Final = 0.05
_UNSENT: Final = -1
ANSWER_S: Final = 20.0
"""A host gives up waiting for one answer after this, and asks again elsewhere."""


class Operation:
    """A read or a write."""

    __slots__ = ("data", "length", "offset", "volume")

    def __init__(self, volume: int, offset: int, length: int, data: bytes | None) -> None:
        self.volume = volume
        self.offset = offset
        self.length = length
        self.data = data

    def overlaps(self, other: "Operation") -> bool:
        """Return whether both touch one place."""
        return (
            self.volume == other.volume
            and self.offset < other.offset + other.length
            and other.offset < self.offset + self.length
        )


class Truth:
    """What each sector may read as."""

    def __init__(self, images: Sequence[bytes]) -> None:
        self.images = [bytearray(image) for image in images]
        self.relaxed = False
        """A promotion by force may lose what was answered: nothing is judged from then on."""
        self._unsettled: dict[tuple[int, int], list[bytes]] = {}

    def answered(self, write: Operation) -> None:
        """A write was answered: nothing before it may be read there any more."""
        assert write.data is not None, "reads change nothing"
        end = write.offset + write.length
        self.images[write.volume][write.offset : end] = write.data
        for at in range(write.offset, end, SECTOR_BYTES):
            self._unsettled.pop((write.volume, at), None)

    def unanswered(self, write: Operation) -> None:
        """A write was not answered: it is in or out, sector by sector."""
        assert write.data is not None, "reads change nothing"
        for start in range(0, write.length, SECTOR_BYTES):
            sector = write.data[start : start + SECTOR_BYTES]
            self._unsettled.setdefault((write.volume, write.offset + start), []).append(sector)

    def check(self, volume: int, offset: int, data: bytes, where: str) -> None:
        """Raise Violation unless `data` may be read at `offset`."""
        image = self.images[volume]
        if self.relaxed or data == image[offset : offset + len(data)]:
            return
        for start in range(0, len(data), SECTOR_BYTES):
            at = offset + start
            found = data[start : start + SECTOR_BYTES]
            allowed = [bytes(image[at : at + SECTOR_BYTES])]
            if found not in allowed + self._unsettled.get((volume, at), []):
                raise Violation(
                    "A1",
                    f"volume {volume} byte {at} {where} is not what was last answered there, "
                    f"nor a later write",
                )


class Host:
    """One host in a thread of its own."""

    def __init__(
        self, config: WorldConfig, uris: Mapping[str, Sequence[str]], images: Sequence[bytes]
    ) -> None:
        self.truth = Truth(images)
        self.answered_writes = 0
        self.reads = 0
        self.redone = 0
        self.reconnections = 0
        self.failure: Exception | None = None
        self._config = config
        self._uris = uris
        self._site = next(iter(uris))
        self._dice = Random(f"{config.seed}/host")
        self._writes_left = config.writes
        self._again: list[Operation] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="host", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def finished(self) -> bool:
        """Return whether everything was written and answered, or nothing more will be."""
        return not self._thread.is_alive()

    def stop(self) -> None:
        """End the work; a second call does nothing."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(2 * ANSWER_S)

    def _run(self) -> None:
        try:
            while not self._stop.is_set() and (self._writes_left or self._again):
                try:
                    self._work()
                except (UnavailableError, TimeLimitError):
                    self.reconnections += 1
                    self._site = next(site for site in self._uris if site != self._site)
                    self._stop.wait(RETRY_S)
        except Exception as error:  # noqa: BLE001 - judged by whoever runs the host
            self.failure = error

    def _work(self) -> None:
        under_way: list[tuple[Operation, int]] = []
        with contextlib.ExitStack() as stack:
            volumes = [
                stack.enter_context(connect_nbd(uri, timeout_s=ANSWER_S))
                for uri in self._uris[self._site]
            ]
            try:
                while not self._stop.is_set() and (self._writes_left or self._again):
                    operation = self._choose(under_way)
                    if operation is not None:
                        # In the list before it is sent: a write that fails on its way may be in.
                        under_way.append((operation, _UNSENT))
                        under_way[-1] = (operation, _submit(volumes, operation))
                    if operation is None or len(under_way) >= self._config.outstanding:
                        self._settle(volumes, under_way)
                    self._stop.wait(self._think_s())
                while under_way:
                    self._settle(volumes, under_way)
            finally:
                self._give_up(under_way)

    def _think_s(self) -> float:
        return self._config.think_ns * (0.2 + 1.6 * self._dice.random()) / SECOND_NS

    def _settle(self, volumes: Sequence[NbdClient], under_way: list[tuple[Operation, int]]) -> None:
        """Wait for the oldest operation; it stays under way if it ends without an answer."""
        if not under_way:
            return
        operation, ticket = under_way[0]
        data = volumes[operation.volume].wait(ticket)
        under_way.pop(0)
        if operation.data is None:
            self.reads += 1
            where = f"at site {self._site}"
            self.truth.check(operation.volume, operation.offset, data, where)
        else:
            self.answered_writes += 1
            self.truth.answered(operation)

    def _give_up(self, under_way: list[tuple[Operation, int]]) -> None:
        for operation, _ticket in under_way:
            if operation.data is not None:
                self.truth.unanswered(operation)
                self.redone += 1
                self._again.append(operation)

    def _choose(self, under_way: list[tuple[Operation, int]]) -> Operation | None:
        """Return the next operation; None while it would meet one that is under way."""
        config, dice = self.config, self._dice
        if self._again:
            operation = self._again[0]
            if any(operation.overlaps(other) for other, _ticket in under_way):
                return None
            return self._again.pop(0)
        volume = dice.randrange(len(config.volumes))
        sectors = config.volumes[volume] // SECTOR_BYTES
        size = 1 + dice.randrange(min(config.sectors_max, sectors))
        first = dice.randrange(sectors - size + 1)
        if dice.random() < 0.6 and size >= 8:
            first, size = first & ~7, size & ~7
        operation = Operation(volume, first * SECTOR_BYTES, size * SECTOR_BYTES, None)
        if any(operation.overlaps(other) for other, _ticket in under_way):
            return None
        if dice.random() >= config.reads:
            self._writes_left -= 1
            operation.data = self._contents(operation)
        return operation

    @property
    def config(self) -> WorldConfig:
        """The world that is replayed."""
        return self._config

    def _contents(self, operation: Operation) -> bytes:
        config, dice = self._config, self._dice
        if dice.random() < config.zeros:
            return bytes(operation.length)
        if dice.random() < config.repeats:
            image = self.truth.images[operation.volume]
            old = bytes(image[operation.offset : operation.offset + operation.length])
            at = dice.randrange(operation.length // SECTOR_BYTES) * SECTOR_BYTES
            return old[:at] + dice.randbytes(16) + old[at + 16 :]
        return dice.randbytes(operation.length)


def _submit(volumes: Sequence[NbdClient], operation: Operation) -> int:
    volume = volumes[operation.volume]
    if operation.data is None:
        return volume.submit(Command.READ, operation.offset, length=operation.length)
    return volume.submit(Command.WRITE, operation.offset, operation.data)


def check_whole(truth: Truth, opened: Callable[[int], NbdClient], where: str) -> None:
    """Hold every byte of every volume against the truth."""
    for number, image in enumerate(truth.images):
        with opened(number) as volume:
            for at in range(0, len(image), 1 << 20):
                length = min(1 << 20, len(image) - at)
                truth.check(number, at, volume.read(at, length), where)
