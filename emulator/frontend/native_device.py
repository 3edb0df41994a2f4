"""One device behind the native channel: performs channel programs on tracks or blocks.

The engine (`emulator/channel`) says what to read and write; here that is done on the device's
`TrackStore` or `BlockVolume`, which answer at once or later. One program at a time works on the
device, in the order of arrival, like on the one real device of its address; while one waits to be
as safe as its copy demands, the next begins, so that a far site does not slow hosts down.

Leaves who asked, and that nothing is done twice, to `native_unit.py`.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

from emulator.channel.asks import (
    Ask,
    ReadBlocks,
    ReadTrack,
    Settle,
    Waiting,
    WriteBlocks,
    WriteTrack,
)
from emulator.channel.blocks import BLOCK_BYTES, BlockVolume, Outcome
from emulator.channel.device import Device
from emulator.channel.engine import ProgramResult, execute
from emulator.errors import CorruptError, DeviceError
from emulator.frontend.native_layout import PROGRAM_BYTES_MAX, TRANSFERS_MAX, Ending
from emulator.frontend.native_messages import DeviceRow, Ended, Start, Transfer
from emulator.frontend.native_parts import Copy, Tracks

Observer = Callable[[int, Start, ProgramResult], None]
"""Told of each program that ended: the host's number, the program and its result."""
Done = Callable[[Ended], None]


class _Running:
    """One program that has begun."""

    __slots__ = ("active", "done", "error", "host", "ready", "settling", "start", "steps", "unsafe")

    def __init__(self, host: int, start: Start, done: Done, steps: Waiting[ProgramResult]) -> None:
        self.host = host
        self.start = start
        self.done: Done | None = done
        """None once it is over."""
        self.steps = steps
        self.ready: tuple[object] | None = (None,)
        """The answer to resume it with, when that is there."""
        self.active = False
        """Being resumed further up the stack."""
        self.settling = False
        self.unsafe = 0
        """Writes that are not yet as safe as the copy demands."""
        self.error: DeviceError | None = None
        """Why one of them failed."""


class NativeDevice:
    """A device that hosts reach over the native channel."""

    def __init__(
        self,
        row: DeviceRow,
        device: Device,
        store: Tracks | BlockVolume,
        observe: Observer | None = None,
        copy: Copy | None = None,
    ) -> None:
        self.row = row
        self.device = device
        self.held = False
        """Begin no further program: hosts are paced."""
        self._store: Any = store
        self._observe = observe
        self._copy = copy
        self._standing = (True, True)
        """Whether hosts may write and read, as they were told last."""
        self._cookie = 0
        self._queue: deque[tuple[int, Start, Done]] = deque()
        self._working: _Running | None = None
        self._reads: dict[int, _Running] = {}
        self._writes: dict[int, tuple[_Running, range]] = {}
        """Writes that are not safe, with the blocks they cover (none on tracks)."""
        self._blocked: ReadBlocks | None = None
        """What the working program wants to read, which an unsafe write covers."""

    # For the control unit.

    def perform(self, start: Start, host: int, done: Done) -> Callable[[], None]:
        """Perform a program, at once or when it is its turn."""
        entry = (host, start, done)
        self._queue.append(entry)
        self.go_on()
        return lambda: self._halt(entry)

    def forget(self, host: int) -> None:
        """Give up what the host holds of the device."""
        if host in self.device.paths:
            self.device.reset_path(host)
            del self.device.paths[host]

    def take_status(self, host: int) -> int | None:
        """Return the next unit status that a host has not asked for, if there is one."""
        return self.device.take_status(host) if host in self.device.paths else None

    def look(self) -> None:
        """Tell every host when its standing here changed.

        A role was switched, a disk came back, a group was frozen or runs again, a copy was
        suspended.
        """
        if self._copy is not None:
            self.device.set_long_busy(busy=self._copy.frozen())
            news = self._copy.news()
            if news:
                self.device.attention(news)
        standing = (self._store.writable(), self._store.readable())
        if standing != self._standing:
            self._standing = standing
            self.device.writable = standing[0]
            self.device.set_ready(ready=standing[1])
            self.device.state_change()

    def go_on(self) -> None:
        """Begin programs that wait, as far as they may begin."""
        while True:
            self.look()
            if not self._queue or self._working is not None or self.held:
                return
            host, start, done = self._queue.popleft()
            steps = execute(self.device, host, start.ccws)
            self._working = _Running(host, start, done, steps)
            self._resume(self._working)

    def _halt(self, entry: tuple[int, Start, Done]) -> None:
        _host, start, done = entry
        if entry in self._queue:
            self._queue.remove(entry)
        else:
            running = self._running_of(done)
            if running is None:
                return
            running.done = None
            running.steps.close()
            self._leave(running)
        done(Ended(start.subchannel, start.number, Ending.HALTED, text="halted by the host"))
        self.go_on()

    def _running_of(self, done: Done) -> _Running | None:
        known = [self._working, *self._reads.values(), *(row[0] for row in self._writes.values())]
        return next((one for one in known if one is not None and one.done is done), None)

    # Performing.

    def _resume(self, running: _Running) -> None:
        """Resume a program for as long as its answers are there."""
        if running.active:
            return
        running.active = True
        while running.ready is not None and running.done is not None:
            (answer,), running.ready = running.ready, None
            try:
                if isinstance(answer, DeviceError):
                    ask = running.steps.throw(answer)
                else:
                    ask = running.steps.send(answer)
            except StopIteration as stop:
                self._ended(running, stop.value)
                return
            self._ask(running, ask)
        running.active = False

    def _ask(self, running: _Running, ask: Ask) -> None:
        """Do what a program asks; `running.ready` has the answer, or `completed` brings it."""
        match ask:
            case ReadTrack(track):
                cookie = self._new_read(running)
                self._found(cookie, self._store.read(track, self, cookie))
            case WriteTrack(track, offset, data):
                cookie = self._new_write(running, range(0))
                self._store.write(track, offset, data, self, cookie)
            case ReadBlocks(block, blocks):
                wanted = range(block, block + blocks)
                if any(_overlap(wanted, covered) for _, covered in self._writes.values()):
                    self._blocked = ask
                    return
                cookie = self._new_read(running)
                at, length = block * BLOCK_BYTES, blocks * BLOCK_BYTES
                self._found(cookie, self._store.read(at, length, self, cookie))
            case WriteBlocks(block, data):
                covered = range(block, block + len(data) // BLOCK_BYTES)
                cookie = self._new_write(running, covered)
                self._store.write(block * BLOCK_BYTES, data, self, cookie)
            case Settle():
                running.settling = True
                # Its work on the device is done; others may begin while it gets safe.
                self._leave(running)
                self._settle(running)

    def _new_read(self, running: _Running) -> int:
        self._cookie += 1
        self._reads[self._cookie] = running
        return self._cookie

    def _new_write(self, running: _Running, covered: range) -> int:
        self._cookie += 1
        self._writes[self._cookie] = (running, covered)
        running.unsafe += 1
        running.ready = (None,)
        return self._cookie

    def _found(self, cookie: int, found: bytes | list[bytes] | None) -> None:
        """Take what a read gave at once, if it did."""
        if found is not None:
            running = self._reads.pop(cookie)
            running.ready = (found if isinstance(found, bytes) else b"".join(found),)

    def _settle(self, running: _Running) -> None:
        if running.settling and not running.unsafe:
            running.settling = False
            running.ready = (running.error,)

    def completed(self, cookie: int, outcome: Outcome, data: list[bytes]) -> None:
        """Take the outcome of a read or write of the store."""
        error: DeviceError | None = None
        if outcome is not Outcome.DONE:
            damaged = outcome in (Outcome.DAMAGED, Outcome.BAD_TRACK)
            error = (CorruptError if damaged else DeviceError)(self.row.name, outcome.value)
        if cookie in self._reads:
            running = self._reads.pop(cookie)
            running.ready = (error or b"".join(data),)
        else:
            running, _ = self._writes.pop(cookie)
            running.unsafe -= 1
            running.error = running.error or error
            self._settle(running)
        self._resume(running)
        self._unblock()
        self.go_on()

    def _unblock(self) -> None:
        """Ask again for blocks that an unsafe write covered."""
        ask, self._blocked = self._blocked, None
        running = self._working
        if ask is not None and running is not None and running.done is not None:
            self._ask(running, ask)
            self._resume(running)

    def _leave(self, running: _Running) -> None:
        """Let the device go."""
        if self._working is running:
            self._working = None
            self._blocked = None
            self.device.active = None

    def _ended(self, running: _Running, result: ProgramResult) -> None:
        self._leave(running)
        done, running.done = running.done, None
        if self._observe is not None:
            self._observe(running.host, running.start, result)
        assert done is not None
        done(ending(running.start, result))


def ending(start: Start, result: ProgramResult) -> Ended:
    """Return what the host is told of a program's result."""
    transfers = tuple(Transfer(row.place, row.data) for row in result.results if row.data)
    size_bytes = sum(len(row.data) for row in transfers)
    if size_bytes > PROGRAM_BYTES_MAX or len(transfers) > TRANSFERS_MAX:
        text = (
            f"the program read {size_bytes} bytes in {len(transfers)} transfers; one program may "
            f"bring {PROGRAM_BYTES_MAX} in {TRANSFERS_MAX}: divide it"
        )
        return Ended(start.subchannel, start.number, Ending.MALFORMED, text=text)
    return Ended(
        start.subchannel,
        start.number,
        Ending.STATUS,
        result.unit_status,
        result.channel_status,
        result.sense,
        result.place,
        result.residual,
        len(result.results),
        "",
        transfers,
    )


def _overlap(one: range, other: range) -> bool:
    return one.start < other.stop and other.start < one.stop
