"""Our host: runs channel programs on devices of a cache processor, over any line.

    with connect_channel(["native+serial:///tmp/a0.tty?device=0A00"]) as channel:
        result = channel.device().run([Ccw(0xE4, 7)])
        print(result.unit_status, result.data.hex())

Several URIs are several paths to the same control unit. A thread of the channel's own looks after
the lines, so that paths recover and attentions arrive while nobody calls; the methods here may be
called from any thread. Relies on `channel_machine.py` for all rules.
"""

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Self

from emulator.channel.ccw import Ccw
from emulator.clock import SECOND_NS
from emulator.errors import BenchError, UnavailableError
from emulator.events import Event, LinkChanged
from emulator.frontend.native_layout import CCWS_MAX, PROGRAM_BYTES_MAX, SUBCHANNELS_MAX
from emulator.frontend.native_messages import Attention, DeviceRow
from emulator.frontend.native_path import NativePath
from emulator.frontend.native_uri import NativeAddress, parse_native_uri
from emulator.node.config import LinkConfig
from emulator.node.lines import LineEnd
from emulator.node.loop import Loop
from rig.host.channel_device import ChannelDevice, ChannelResult
from rig.host.channel_machine import HostMachine
from rig.host.channel_ticket import HostPath, Ticket

CONNECT_S = 10.0
_IDLE_S = 0.25


class Channel:
    """A host's channel to one control unit; close it when done."""

    def __init__(self, uris: Sequence[str], *, depth: int, name: str) -> None:
        self.uris = tuple(uris)
        self._addresses = [parse_native_uri(uri) for uri in uris]
        _check_paths(self._addresses)
        self._lock = threading.Lock()
        self._stopping = False
        self._met = threading.Event()
        self._loop = Loop()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._loop.add(self._wake, self._forget_nudges)
        self._finished: list[Callable[[], None]] = []
        self._said: dict[str, str] = {}
        number = int.from_bytes(os.urandom(8), "big") or 1
        ends = [NativePath(os.urandom, host=True) for _ in uris]
        rows = [
            HostPath(end, address.line) for end, address in zip(ends, self._addresses, strict=True)
        ]
        self._machine = HostMachine(number, name, rows, depth)
        self._lines = [
            LineEnd(
                LinkConfig(row.name, "", row.name),
                row.path,
                self._loop,
                self._note,
                None,
                may_leave=True,
            )
            for row in rows
        ]
        try:
            now_ns = time.monotonic_ns()
            for line in self._lines:
                line.open_first(now_ns)
        except BaseException:
            self._give_back()
            raise
        self._thread = threading.Thread(target=self._run, name="channel", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Say goodbye on every path and give the lines back; programs under way fail."""
        with self._lock:
            if self._stopping:
                return
            self._stopping = True
        self._nudge()
        self._thread.join()

    # Devices and programs.

    def wait(self, limit_s: float = CONNECT_S) -> None:
        """Wait until a path has reached the control unit."""
        if self._met.wait(limit_s):
            return
        with self._lock:
            words = self._words()
        raise UnavailableError(f"no control unit within {limit_s:g} s: {words}")

    def devices(self) -> tuple[DeviceRow, ...]:
        """Return the devices of the control unit, if a path is up."""
        with self._lock:
            return self._machine.devices()

    def row(self, address: int) -> DeviceRow:
        """Return what the control unit says a device is."""
        rows = {row.address: row for row in self.devices()}
        if address not in rows:
            there = ", ".join(f"{known:04X} ({row.name})" for known, row in rows.items())
            raise BenchError(f"{self.uris[0]}: no device {address:04X}; there are: {there}")
        return rows[address]

    def device(self, address: int | None = None) -> ChannelDevice:
        """Return a device: the one given, else the one in the URI, else the only one there is."""
        if address is None:
            address = next((row.device for row in self._addresses if row.device is not None), None)
        if address is None:
            rows = self.devices()
            if len(rows) != 1:
                there = ", ".join(f"{row.address:04X} ({row.name})" for row in rows)
                raise BenchError(
                    f"{self.uris[0]}: say device=ADDRESS in the URI; there are: {there}"
                )
            address = rows[0].address
        return ChannelDevice(self, address)

    def submit(
        self,
        address: int,
        program: Sequence[Ccw],
        *,
        limit_s: float,
        redrive: bool,
        wait_busy: bool,
    ) -> "Future[ChannelResult]":
        """Start a program on a device; see `ChannelDevice.start`."""
        _check_program(program)
        future: Future[ChannelResult] = Future()

        def done(ticket: Ticket) -> None:
            # The future's callbacks run outside the lock, for they may start further programs.
            self._finished.append(lambda: _resolve(future, ticket))

        limit_ns = time.monotonic_ns() + int(limit_s * SECOND_NS)
        ticket = Ticket(address, tuple(program), limit_ns, redrive, wait_busy, done)
        with self._lock:
            if self._stopping:
                raise UnavailableError(f"{self.uris[0]}: the channel is closed")
            self._machine.submit(ticket)
        self._nudge()
        return future

    def attentions(self) -> list[Attention]:
        """Return the attentions that came since the last call."""
        with self._lock:
            found = list(self._machine.attentions)
            self._machine.attentions.clear()
            return found

    def counters(self) -> dict[str, int]:
        """Return what the driver has seen so far."""
        counters = self._machine.counters
        return {name: getattr(counters, name) for name in counters.__slots__}

    # The thread.

    def _nudge(self) -> None:
        os.eventfd_write(self._wake, 1)

    def _forget_nudges(self, _events: int) -> None:
        os.eventfd_read(self._wake)

    def _note(self, event: Event) -> None:
        """Keep why a line cannot be opened, for whoever asks why nothing comes."""
        if isinstance(event, LinkChanged):
            self._said[event.link] = event.reason

    def _words(self) -> str:
        rows = zip(self._lines, self._machine.paths, strict=True)
        return "; ".join(
            f"{self._said.get(row.name, row.name)}"
            if line.line is None
            else f"{row.name}: {row.path.reason or 'up'}"
            for line, row in rows
        )

    def _run(self) -> None:
        wait_s = 0.0
        while True:
            self._loop.run_once(wait_s)
            now_ns = time.monotonic_ns()
            with self._lock:
                if self._stopping:
                    break
                more = self._turn(now_ns)
                wait_s = 0.0 if more else self._wait_s(now_ns)
                finished, self._finished = self._finished, []
            for tell in finished:
                tell()
        self._give_back()
        for tell in self._finished:
            tell()

    def _turn(self, now_ns: int) -> bool:
        for line in self._lines:
            line.receive(now_ns)
        self._machine.turn(now_ns)
        more = False
        for line in self._lines:
            more = line.send(now_ns) or more
        if self._machine.incarnation:
            self._met.set()
        self._machine.turn(now_ns)  # sending may have found a line lost
        return more

    def _wait_s(self, now_ns: int) -> float:
        due = [self._machine.next_deadline_ns(), *(line.next_deadline_ns() for line in self._lines)]
        due_ns = min((at_ns for at_ns in due if at_ns is not None), default=None)
        if due_ns is None:
            return _IDLE_S
        return min(_IDLE_S, max(0.0, (due_ns - now_ns) / SECOND_NS))

    def _give_back(self) -> None:
        now_ns = time.monotonic_ns()
        self._machine.abandon(UnavailableError(f"{self.uris[0]}: the channel was closed"))
        for line in self._lines:
            line.send(now_ns)
            line.close(now_ns, "the host is done")
        self._loop.close()
        os.close(self._wake)


def connect_channel(
    uris: Sequence[str], *, depth: int = 16, limit_s: float = CONNECT_S, name: str = "dualcopy host"
) -> Channel:
    """Open a channel over one or more paths, and wait until one of them reaches its control unit.

    `depth` is how many programs may be under way at once.
    """
    if not 1 <= depth <= SUBCHANNELS_MAX:
        raise BenchError(f"a depth of {depth}; give 1 to {SUBCHANNELS_MAX}")
    channel = Channel(uris, depth=depth, name=name)
    try:
        channel.wait(limit_s)
    except BaseException:
        channel.close()
        raise
    return channel


def _check_paths(addresses: Sequence[NativeAddress]) -> None:
    if not addresses:
        raise BenchError("a channel needs at least one path: native+LINE")
    lines = [address.line for address in addresses]
    if len(set(lines)) < len(lines):
        raise BenchError(f"{', '.join(lines)}: two paths over the same line; name another")
    named = {address.device for address in addresses if address.device is not None}
    if len(named) > 1:
        raise BenchError("the paths name different devices; one channel call is for one device")


def _check_program(program: Sequence[Ccw]) -> None:
    if not 1 <= len(program) <= CCWS_MAX:
        raise BenchError(f"a program of {len(program)} CCWs; it may have 1 to {CCWS_MAX}")
    sent_bytes = sum(min(len(ccw.data), ccw.byte_count) for ccw in program)
    if sent_bytes > PROGRAM_BYTES_MAX:
        raise BenchError(
            f"a program that sends {sent_bytes} bytes; one may send {PROGRAM_BYTES_MAX}"
        )


def _resolve(future: "Future[ChannelResult]", ticket: Ticket) -> None:
    if ticket.error is not None:
        future.set_exception(ticket.error)
        return
    ended = ticket.ended
    assert ended is not None
    future.set_result(
        ChannelResult(
            ended.unit_status,
            ended.channel_status,
            ended.sense,
            ended.ccw,
            ended.residual,
            ended.executed,
            ended.transfers,
        )
    )
