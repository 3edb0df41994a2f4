"""The shell's side of links: open lines, move packets, open again what was lost."""

import os
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from emulator.clock import SECOND_NS
from emulator.errors import BenchError, CannotRunHere, LinkLost, UnavailableError
from emulator.events import CaptureStopped, Event, LinkChanged
from emulator.link.link import Link
from emulator.node.config import LinkConfig
from emulator.node.loop import READABLE, WRITABLE, Loop
from emulator.transport.base import Line, Tap
from emulator.transport.capture import CaptureWriter, capture_from_environment, join_taps
from emulator.transport.opener import open_line
from emulator.transport.pcapng import Interface
from emulator.wire.checksum import Buffer

REOPEN_NS: Final = SECOND_NS // 4
# Packets given to a line in one go, and in one turn, before hosts are looked after again.
BURST: Final = 64


class LinkUser(Protocol):
    """What a line serves: one end of a link between sites, or of a host's native channel."""

    machine: Link

    def opened(self, now_ns: int, mtu_bytes: int, rate_bytes_per_s: float | None) -> None:
        """Begin to greet the other end."""

    def receive(self, packets: Sequence[Buffer], now_ns: int) -> None:
        """Take packets from the line."""

    def wake(self, now_ns: int) -> None:
        """Do what is due."""

    def next_deadline_ns(self) -> int | None:
        """Return when `wake` is due."""

    def lost(self, now_ns: int, reason: str) -> None:
        """End the session: the line is gone."""


class LineEnd:
    """One line of this site, open or to be opened again.

    `may_leave` allows a line that goes to another machine: a host's channel, like its NBD
    connection, is bare wherever it runs, and only copies have to be sealed on their way.
    """

    def __init__(
        self,
        config: LinkConfig,
        end: LinkUser,
        loop: Loop,
        emit: Callable[[Event], None],
        tap: Tap | None,
        *,
        may_leave: bool = False,
    ) -> None:
        self.config = config
        self.end = end
        self.line: Line | None = None
        self._may_leave = may_leave
        self._loop = loop
        self._emit = emit
        self._tap = tap
        self._file = -1
        self._watching = READABLE
        self._left: list[bytes] = []
        self._next_open_ns = 0
        self._said = ""
        self._totals: dict[str, int] = {}
        self._readable = False
        self._closed = False

    def open_first(self, now_ns: int) -> None:
        """Open the line when the site starts; one that cannot be had yet is tried again later."""
        try:
            self.open(now_ns)
        except CannotRunHere:
            raise
        except UnavailableError as error:
            self._not_open(now_ns, error)

    def _not_open(self, now_ns: int, error: Exception) -> None:
        self._next_open_ns = now_ns + REOPEN_NS
        # The same reason is said once, not at every try (R7).
        if str(error) != self._said:
            self._said = str(error)
            self._emit(LinkChanged(self.config.name, "down", self._said))

    def open(self, now_ns: int) -> None:
        """Open the line; a line that must not carry an unsealed link is refused."""
        line = open_line(self.config.line, self._tap)
        if not (line.loopback or self._may_leave):
            line.close()
            raise BenchError(
                f"link {self.config.name}: {self.config.line} may leave this machine, and links "
                f"are not sealed yet; use a line that stays here (pty, sim, loopback addresses, "
                f"veth)"
            )
        self.line = line
        self._left.clear()
        self._file = -1
        self._said = ""
        self._watch()
        self.end.opened(now_ns, line.mtu_bytes, line.rate_bytes_per_s)

    def _watch(self) -> None:
        """Follow the line's descriptor, which may change, and what it should be watched for."""
        assert self.line is not None
        file = self.line.fileno()
        wanted = READABLE | (WRITABLE if self._left or self.line.wants_write() else 0)
        if file != self._file:
            self._loop.remove(self._file)
            self._file = file
            self._loop.add(file, self._ready, wanted)
        elif wanted != self._watching:
            self._loop.change(file, wanted)
        self._watching = wanted

    def _ready(self, _events: int) -> None:
        self._readable = True

    def receive(self, now_ns: int) -> bool:
        """Hand what the line has to the link; return whether there was anything to look at."""
        if self.line is None or not self._readable:
            return False
        self._readable = False
        try:
            if self.line.wants_write():
                self.line.flush()
            packets = self.line.receive()
            while packets:
                self.end.receive(packets, now_ns)
                if len(packets) < BURST:
                    break
                packets = self.line.receive()
        except LinkLost as error:
            self._lost(now_ns, error.cause)
        return True

    def send(self, now_ns: int) -> bool:
        """Give the line what the link has for it; return whether there may be more."""
        if self.line is None:
            if not self._closed:
                self._reopen(now_ns)
            return False
        self.end.wake(now_ns)
        more = False
        try:
            if not self._left:
                self._left = self.end.machine.outgoing(now_ns, BURST)
                more = len(self._left) == BURST
            if self._left:
                taken = self.line.send(self._left)
                del self._left[:taken]
            self._watch()
        except LinkLost as error:
            self._lost(now_ns, error.cause)
        return more and not self._left

    def _lost(self, now_ns: int, reason: str) -> None:
        self._shut()
        self._next_open_ns = now_ns + REOPEN_NS
        self.end.lost(now_ns, reason)

    def _shut(self) -> None:
        if self.line is None:
            return
        for name, value in self.line.counters.as_dict().items():
            self._totals[name] = self._totals.get(name, 0) + value
        self._loop.remove(self._file)
        self.line.close()
        self.line = None
        self._left.clear()

    def _reopen(self, now_ns: int) -> None:
        if now_ns < self._next_open_ns:
            return
        try:
            self.open(now_ns)
        except (UnavailableError, CannotRunHere) as error:
            self._not_open(now_ns, error)

    def next_deadline_ns(self) -> int | None:
        """Return when the line or its link wants to be looked after."""
        if self.line is None:
            return None if self._closed else self._next_open_ns
        return self.end.next_deadline_ns()

    def counters(self) -> dict[str, int]:
        """Return the line's counters since the site started."""
        now = self.line.counters.as_dict() if self.line is not None else {}
        return {
            name: now.get(name, 0) + self._totals.get(name, 0)
            for name in now.keys() | self._totals.keys()
        }

    def close(self, now_ns: int, reason: str = "the site stops") -> None:
        """Say goodbye to the other end and close the line."""
        self._closed = True
        self.end.machine.close(now_ns, reason)
        if self.line is not None:
            try:
                self.line.send(self.end.machine.outgoing(now_ns, 1))
                self.line.flush()
            except LinkLost:
                pass
        self._shut()


class Captures:
    """The capture files of this site's links."""

    def __init__(self, site: str, links: dict[str, LinkConfig]) -> None:
        self._writers: dict[str, CaptureWriter] = {}
        self._said: dict[str, None] = {}
        self.taps: dict[str, Tap | None] = {}
        own = [
            Interface(f"{name}/{site}", link.line, link.lab_plaintext)
            for name, link in links.items()
        ]
        environment = capture_from_environment(os.environ, site, own) if own else None
        if environment is not None:
            self._writers[environment.path] = environment
        for at, (name, link) in enumerate(links.items()):
            taps: list[Tap] = []
            if environment is not None:
                taps.append(environment.tap(at))
            if link.capture is not None:
                if link.capture not in self._writers:
                    # Every link of this release is unsealed, so one mark serves the whole table.
                    table = [
                        Interface(row_name, uri, link.lab_plaintext)
                        for row_name, uri in link.capture_interfaces
                    ]
                    self._writers[link.capture] = CaptureWriter(link.capture, table)
                taps.append(self._writers[link.capture].tap(link.capture_interface))
            self.taps[name] = join_taps(taps)

    def flush(self, emit: Callable[[Event], None]) -> None:
        """Write what was captured in this turn; a capture that had to stop is reported once."""
        for path, writer in self._writers.items():
            writer.flush()
            if writer.stopped is not None and path not in self._said:
                self._said[path] = None
                emit(CaptureStopped(path, writer.stopped))

    def close(self) -> None:
        """Write the rest."""
        for writer in self._writers.values():
            writer.close()
