"""A disk behind a control unit: each operation waits for a path and for its device.

The wait has an end: then the operation fails as one of a failing disk does, and whoever asked tries
again (X8). Nothing is half done: an operation that has begun is carried out.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from emulator.channel.geometry import Geometry
from emulator.disk.base import Disk, Runs
from emulator.disk.control_unit import Change, ControlUnit, Refusal
from emulator.errors import NotReachedError

Result = TypeVar("Result")


class Attachment:
    """A control unit that threads share: they wait here until it lets them begin."""

    def __init__(self, unit: ControlUnit, patience_ns: int) -> None:
        self.unit = unit
        self.patience_s = patience_ns / 1e9
        self._changed = threading.Condition()

    @contextmanager
    def operation(self, uri: str, device: str) -> Iterator[None]:
        """Hold a path and the device meanwhile; NotReachedError when that takes too long."""
        end = time.monotonic() + self.patience_s
        with self._changed:
            while isinstance(found := self.unit.begin(device), Refusal):
                left = end - time.monotonic()
                if left <= 0:
                    told = f"{device} behind {self.unit.name}: {found.value}"
                    raise NotReachedError(uri, f"{told}; waited {self.patience_s:g} s")
                self._changed.wait(left)
        try:
            yield
        finally:
            with self._changed:
                self.unit.end(device, found)
                self._changed.notify_all()

    def change(self, change: Change) -> None:
        """Carry out what an operator, or a fault, does to the unit."""
        with self._changed:
            self.unit.change(change)
            self._changed.notify_all()


class AttachedDisk:
    """A disk as it is seen through its control unit."""

    def __init__(self, disk: Disk, attachment: Attachment, device: str) -> None:
        self.uri = disk.uri
        self.size_bytes = disk.size_bytes
        self.geometry: Geometry | None = getattr(disk, "geometry", None)
        self.identity: object = getattr(disk, "identity", None)
        self._disk = disk
        self._attachment = attachment
        self._device = device

    def _through(self, operation: Callable[[], Result]) -> Result:
        with self._attachment.operation(self.uri, self._device):
            return operation()

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes from `offset` on."""
        return self._through(lambda: self._disk.read(offset, length))

    def write(self, runs: Runs) -> None:
        """Write every run whole; runs that touch the same bytes need calls of their own."""
        self._through(lambda: self._disk.write(runs))

    def zero(self, offset: int, length: int) -> None:
        """Make a range read as zeros."""
        self._through(lambda: self._disk.zero(offset, length))

    def flush(self) -> None:
        """Return when everything written so far survives a loss of power."""
        self._through(self._disk.flush)

    def allocation(self, offset: int, length: int) -> list[tuple[int, bool]]:
        """Return runs of (length, is data) that cover the range."""
        return self._through(lambda: self._disk.allocation(offset, length))

    def close(self) -> None:
        """Let go of the disk, which needs no path."""
        self._disk.close()
