"""A disk in this process's memory: `mem://64MiB`. Its contents go with the process.

Only chunks that were ever written take memory, so a large and mostly empty disk is cheap. For
tests, demonstrations and sites whose contents may be lost; never the only copy of anything.
"""

import threading
from typing import Final

from emulator.disk.base import Runs, check_range, check_size, check_writable, merged
from emulator.units import size_bytes
from emulator.uri import Uri, parse_uri

CHUNK_BYTES: Final = (
    64 * 1024
)  # small enough that scattered writes stay cheap, large enough to be few


class MemoryDisk:
    """A volatile disk that takes memory only for what was written."""

    def __init__(self, uri: str, *, writable: bool = True) -> None:
        self.uri = uri
        self.size_bytes = MemoryDisk.measure(uri)
        self._chunks: dict[int, bytearray] = {}
        self._lock = threading.Lock()
        self._writable = writable

    @staticmethod
    def create(uri: str, size_bytes: int | None) -> None:  # noqa: ARG004  same shape for every kind
        """Refuse: a disk in memory exists only inside the process that opened it."""
        _parse(uri).refuse("a disk in memory is not made beforehand; each site makes its own")

    @staticmethod
    def measure(uri: str) -> int:
        """Return the size that the URI asks for."""
        parsed = _parse(uri)
        if parsed.path or not parsed.authority:
            parsed.refuse("write the size after two slashes, for example mem://64MiB")
        try:
            size = size_bytes(parsed.authority)
        except ValueError as error:
            parsed.refuse(str(error), error)
        return check_size(parsed, size)

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes from `offset` on."""
        check_range(self, offset, length)
        found = bytearray(length)
        done = 0
        with self._lock:
            while done < length:
                number, inside = divmod(offset + done, CHUNK_BYTES)
                step = min(CHUNK_BYTES - inside, length - done)
                chunk = self._chunks.get(number)
                if chunk is not None:
                    found[done : done + step] = chunk[inside : inside + step]
                done += step
        return bytes(found)

    def write(self, runs: Runs) -> None:
        """Write every run whole, in the order given."""
        check_writable(self.uri, writable=self._writable)
        for offset, buffers in runs:
            check_range(self, offset, sum(map(len, buffers)))
            at = offset
            with self._lock:
                for buffer in buffers:
                    self._store(at, memoryview(buffer))
                    at += len(buffer)

    def zero(self, offset: int, length: int) -> None:
        """Make a range read as zeros; whole chunks give their memory back."""
        check_writable(self.uri, writable=self._writable)
        check_range(self, offset, length)
        end = offset + length
        with self._lock:
            for number in self._written(offset, end):
                start = number * CHUNK_BYTES
                first, last = max(offset - start, 0), min(end - start, CHUNK_BYTES)
                if last - first == CHUNK_BYTES:
                    del self._chunks[number]
                else:
                    self._chunks[number][first:last] = bytes(last - first)

    def flush(self) -> None:
        """Do nothing: nothing here survives the process, and the URI says so."""

    def allocation(self, offset: int, length: int) -> list[tuple[int, bool]]:
        """Return runs of (length, is data), as exact as chunks are."""
        check_range(self, offset, length)
        runs: list[tuple[int, bool]] = []
        at, end = offset, offset + length
        with self._lock:
            numbers = self._written(offset, end)
        for number in numbers:
            start = max(number * CHUNK_BYTES, at)
            stop = min((number + 1) * CHUNK_BYTES, end)
            runs += [(start - at, False), (stop - start, True)]
            at = stop
        return merged([*runs, (end - at, False)])

    def close(self) -> None:
        """Forget the contents; whoever asks again is refused, not told zeros."""
        with self._lock:
            self._chunks.clear()
            self.size_bytes = 0

    def _written(self, offset: int, end: int) -> list[int]:
        """Return which chunks of a range exist, in order; cheap for a small range or few chunks."""
        numbers = range(offset // CHUNK_BYTES, -(-end // CHUNK_BYTES)) if end > offset else range(0)
        if len(numbers) <= len(self._chunks):
            return [number for number in numbers if number in self._chunks]
        return sorted(number for number in self._chunks if number in numbers)

    def _store(self, offset: int, data: memoryview) -> None:
        done = 0
        while done < len(data):
            number, inside = divmod(offset + done, CHUNK_BYTES)
            step = min(CHUNK_BYTES - inside, len(data) - done)
            chunk = self._chunks.get(number)
            if chunk is None:
                chunk = self._chunks[number] = bytearray(CHUNK_BYTES)
            chunk[inside : inside + step] = data[done : done + step]
            done += step


def _parse(uri: str) -> Uri:
    return parse_uri(uri, {})
