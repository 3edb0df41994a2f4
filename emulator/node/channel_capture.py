"""A site's channel capture: every channel program of native hosts, as FICON frames in a pcapng.

Stamps are nanoseconds of the wall clock, of the two moments that are known: the first command of
a program has that of its arrival, everything after it that of its end, when data and status leave
together.
"""

import time
from collections.abc import Callable

from emulator.channel.engine import ProgramResult
from emulator.events import CaptureStopped, Event
from emulator.frontend.fcsb3 import Conversation, program_frames
from emulator.frontend.native_messages import Start
from emulator.transport.capture import CaptureWriter
from emulator.transport.pcapng import CHANNEL_SCHEME, FLAG_INBOUND, FLAG_OUTBOUND, Interface


class ChannelCapture:
    """The capture file of one site's channel."""

    def __init__(self, path: str, site: str) -> None:
        self._path = path
        interface = Interface(f"channel/{site}", f"{CHANNEL_SCHEME}://{site}")
        self._writer = CaptureWriter(path, [interface])
        self._hosts: dict[int, int] = {}
        self._begun: dict[tuple[int, int, int], int] = {}
        self._said = False

    def begun(self, host: int, start: Start) -> None:
        """Note when a program arrived."""
        self._begun[host, start.subchannel, start.number] = time.time_ns()

    def dropped(self, host: int, start: Start) -> None:
        """Forget a program that was halted: nothing of it crossed to the device's end."""
        self._begun.pop((host, start.subchannel, start.number), None)

    def ended(self, host: int, start: Start, result: ProgramResult) -> None:
        """Record a program and its result."""
        ended_ns = time.time_ns()
        stamp_ns = self._begun.pop((host, start.subchannel, start.number), ended_ns)
        place = self._hosts.setdefault(host, len(self._hosts))
        conversation = Conversation(place, start.device, start.subchannel, start.number)
        for frame in program_frames(conversation, start.ccws, result):
            flags = FLAG_INBOUND if frame.to_unit else FLAG_OUTBOUND
            self._writer.add(0, stamp_ns, flags, frame.data, frame.comment or None)
            stamp_ns = max(stamp_ns, ended_ns)

    def flush(self, emit: Callable[[Event], None]) -> None:
        """Write what was captured; a capture that had to stop is reported once."""
        self._writer.flush()
        if self._writer.stopped is not None and not self._said:
            self._said = True
            emit(CaptureStopped(self._path, self._writer.stopped))

    def close(self) -> None:
        """Write the rest."""
        self._writer.close()
