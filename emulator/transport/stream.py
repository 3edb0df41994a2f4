"""A line over a byte stream: frames in and out of one descriptor, for pty, serial and tcp.

Relies on `wire/framing.py` for frames and on a descriptor in non-blocking mode, of which reading
nothing means that the other end is gone (a tty therefore needs VMIN=1). Leaves opening and the
names of errors to the lines built on it.
"""

import os
from collections.abc import Sequence
from typing import Final

from emulator.errors import LinkLost
from emulator.transport.base import BaseLine, Tap
from emulator.wire.framing import DELIMITER, FrameDecoder, encode_frame

READ_BYTES_MAX: Final = 65536
READS_MAX: Final = 16
"""Reads in one `receive`; a tty gives 4 KiB a read, so this is a batch of 64 KiB there."""
HELD_BYTES_MAX: Final = 65536
"""Frames held back when the system takes no more; enough to fill a pipe, small enough to wait."""
HELD_SECONDS: Final = 0.05
"""On a line of known rate no more is held than it sends in this time: what waits here cannot be
overtaken by an acknowledgement, nor be taken back when the line is cut."""
_GONE: Final = "the other end is gone"


class StreamLine(BaseLine):
    """Packets over a byte stream."""

    def __init__(
        self,
        uri: str,
        tap: Tap | None,
        descriptor: int,
        *,
        mtu_bytes: int,
        loopback: bool,
        rate_bytes_per_s: float | None = None,
    ) -> None:
        super().__init__(
            uri, tap, mtu_bytes=mtu_bytes, loopback=loopback, rate_bytes_per_s=rate_bytes_per_s
        )
        self._descriptor = descriptor
        self._decoder = FrameDecoder(mtu_bytes, self._note_rejected)
        self._held: list[bytes] = []
        self._writing = memoryview(b"")
        self._held_bytes_max = HELD_BYTES_MAX
        if rate_bytes_per_s is not None:
            self._held_bytes_max = min(HELD_BYTES_MAX, int(rate_bytes_per_s * HELD_SECONDS))
        self._lost: str | None = None
        self._begin()

    def fileno(self) -> int:
        """Return the descriptor to poll."""
        return self._descriptor

    def receive(self) -> list[bytes]:
        """Return the packets whose last byte has arrived."""
        self._check_not_lost()
        packets: list[bytes] = []
        for _ in range(READS_MAX):
            try:
                chunk = os.read(self._descriptor, READ_BYTES_MAX)
            except BlockingIOError:
                break
            except OSError as error:
                self._lost = error.strerror or str(error)
                break
            if not chunk:
                self._lost = _GONE
                break
            self._counters.medium_bytes_received += len(chunk)
            for packet in self._decoder.feed(chunk):
                self._note_received(packet, packet)
                packets.append(packet)
        if not packets:  # what came before the end is handed over before the end is told
            self._check_not_lost()
        return packets

    def send(self, packets: Sequence[bytes]) -> int:
        """Take packets until the buffer here is full."""
        self._check_not_lost()
        taken = 0
        for packet in packets:
            if self._held_bytes > self._held_bytes_max:
                self.flush()
                if self._held_bytes > self._held_bytes_max:
                    break
            self._check_packet(packet)
            frame = encode_frame(packet)
            self._held.append(frame)
            self._held_bytes += len(frame)
            self._note_sent(packet, packet)
            taken += 1
        self.flush()
        return taken

    def wants_write(self) -> bool:
        """Return whether frames are held back."""
        return self._held_bytes > 0

    def flush(self) -> None:
        """Write as much of the held frames as the system takes."""
        self._check_not_lost()
        while self._held_bytes:
            if not self._writing:
                self._writing = memoryview(b"".join(self._held))
                self._held.clear()
            try:
                written = os.write(self._descriptor, self._writing)
            except BlockingIOError:
                return
            except OSError as error:
                self._lost = error.strerror or str(error)
                raise self._loss(self._lost) from error
            self._held_bytes -= written
            self._counters.medium_bytes_sent += written
            self._writing = self._writing[written:]
            if self._writing:
                return

    def close(self) -> None:
        """Close the descriptor."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            self._lost = "closed"

    def _begin(self) -> None:
        """Start a stream afresh; the delimiter ends whatever noise or half frame came before."""
        self._decoder.reset()
        self._held = [DELIMITER]
        self._writing = memoryview(b"")
        self._held_bytes = len(DELIMITER)
        self._lost = None

    def _check_not_lost(self) -> None:
        if self._lost is not None:
            raise self._loss(self._lost)

    def _loss(self, cause: str) -> LinkLost:
        return LinkLost(self.uri, cause)
