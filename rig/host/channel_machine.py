"""The host's end of the native channel, without a socket: programs out, endings in.

Several paths lead to one control unit; a program goes over any of them. The rules of recovery:

- a path that is lost has its programs sent again over another, or over itself when it is back,
  under the same numbers, so that the control unit performs none of them twice;
- a program without an ending is asked for again after `again_ns` (a missing interrupt), over
  another path if there is one;
- when the control unit restarted, nobody knows whether a program under way was performed: it is
  started anew (what a host's error recovery does with a whole channel program), or fails with
  `OutcomeUnknownError` if it may not be;
- after its time limit a program is halted; if even that has no answer its subchannel rests.

Relies on `emulator/frontend/native_path.py` for each path. Leaves lines, threads and clocks to
`channel.py`.
"""

from collections import deque
from dataclasses import dataclass, field

from emulator.channel.status import BUSY, RETRY
from emulator.clock import MILLISECOND_NS, SECOND_NS
from emulator.errors import (
    BenchError,
    DualCopyError,
    PeerError,
    TimeLimitError,
    UnavailableError,
)
from emulator.frontend.native_layout import SUBCHANNELS_MAX, Ending
from emulator.frontend.native_messages import (
    Attach,
    Attached,
    Attention,
    AttentionTaken,
    Detach,
    DeviceRow,
    Ended,
    Halt,
    Start,
)
from emulator.frontend.native_path import PathDown, PathEvent, PathRefused, PathUp
from rig.host.channel_ticket import (
    DriverCounters,
    HostPath,
    NotOperationalError,
    OutcomeUnknownError,
    Ticket,
    TicketState,
)

BUSY_WAIT_NS = 50 * MILLISECOND_NS
"""Wait before a program is offered again to a control unit that was busy."""
DEVICE_BUSY_WAIT_NS = SECOND_NS
"""The same for a device, unless its device end comes before."""
HALT_WAIT_NS = 2 * SECOND_NS
"""How long a halted program is waited for."""
AGAIN_NS = 5 * SECOND_NS
"""Wait for an ending before it is asked for again; a 3390's missing-interrupt time is 30 s."""


@dataclass(slots=True)
class HostMachine:
    """All paths of one host to one control unit, and its programs."""

    number: int
    name: str
    paths: list[HostPath]
    depth: int
    again_ns: int = AGAIN_NS
    counters: DriverCounters = field(default_factory=DriverCounters)
    incarnation: int = 0
    attentions: deque[Attention] = field(default_factory=lambda: deque(maxlen=1024))
    _queue: deque[Ticket] = field(default_factory=deque)
    _under_way: dict[int, Ticket] = field(default_factory=dict)
    _free: list[int] = field(default_factory=list)
    _numbers: dict[int, int] = field(default_factory=dict)
    _resting: dict[int, int] = field(default_factory=dict)
    """Subchannels whose halted program never ended, with that program's number."""
    _attention_seen: int = 0
    _next_path: int = 0

    def __post_init__(self) -> None:
        self._free = list(range(min(self.depth, SUBCHANNELS_MAX)))[::-1]

    # What the driver's user wants.

    def submit(self, ticket: Ticket) -> None:
        """Take a program; its `done` is called once, with an ending or an error."""
        self.counters.programs += 1
        self._queue.append(ticket)

    def abandon(self, error: DualCopyError) -> None:
        """Fail every program that is not over: the channel is being closed."""
        for ticket in (*self._queue, *self._under_way.values()):
            ticket.state, ticket.error = TicketState.ENDED, error
            ticket.done(ticket)
        self._queue.clear()
        self._under_way.clear()
        for path in self._usable()[:1]:
            path.path.post(Detach())

    @property
    def idle(self) -> bool:
        """Whether no program waits or is under way."""
        return not self._queue and not self._under_way

    def devices(self) -> tuple[DeviceRow, ...]:
        """Return the devices of the control unit; empty before any path has reached it."""
        return next((path.devices for path in self._usable()), ())

    def path_words(self) -> str:
        """Return how each path is, for people."""
        return "; ".join(
            f"{path.name}: {path.path.reason or ('up' if path.incarnation else 'attaching')}"
            for path in self.paths
        )

    # Turning.

    def turn(self, now_ns: int) -> None:
        """Deal with what came, what is due and what can be sent."""
        for index, path in enumerate(self.paths):
            for event in path.path.take():
                self._handle(index, event, now_ns)
        for ticket in list(self._under_way.values()):
            if ticket.due_ns <= now_ns or ticket.limit_ns <= now_ns:
                self._due(ticket, now_ns)
        while self._queue and self._queue[0].limit_ns <= now_ns:
            self._fail_unsent(self._queue.popleft())
        while self._queue and self._free and self._usable():
            self._begin(self._queue.popleft(), now_ns)

    def next_deadline_ns(self) -> int | None:
        """Return when `turn` is due even if nothing comes."""
        due = [min(ticket.due_ns, ticket.limit_ns) for ticket in self._under_way.values()]
        due += [ticket.limit_ns for ticket in self._queue]
        return min(due, default=None)

    def _handle(self, index: int, event: PathEvent, now_ns: int) -> None:
        path = self.paths[index]
        match event:
            case PathUp():
                path.incarnation = 0
                path.path.post(Attach(self.number, self.name))
            case PathDown() | PathRefused():
                self._lost(index, now_ns)
            case Attached(incarnation, devices):
                path.incarnation, path.devices = incarnation, devices
                self._meet(now_ns)
            case Ended():
                self._ended(event, now_ns)
            case Attention(device, number):
                path.path.post(AttentionTaken(device, number))
                if number > self._attention_seen:
                    self._attention_seen = number
                    self.counters.attentions += 1
                    self.attentions.append(event)
                    self._freed(device, now_ns)
            case _:
                pass  # messages that only a host sends

    def _usable(self) -> list[HostPath]:
        return [
            path
            for path in self.paths
            if path.path.up and path.incarnation and path.incarnation == self.incarnation
        ]

    def _lost(self, index: int, now_ns: int) -> None:
        if self.paths[index].incarnation:
            self.counters.paths_lost += 1
        self.paths[index].incarnation = 0
        self._meet(now_ns)
        for ticket in self._under_way.values():
            if ticket.path == index and ticket.state is not TicketState.ENDED:
                self._send_again(ticket, now_ns)

    def _meet(self, now_ns: int) -> None:
        """Find out which control unit is there now, and bring it what is under way."""
        if not self._usable():
            newest = next((p for p in self.paths if p.path.up and p.incarnation), None)
            if newest is None:
                return
            if newest.incarnation != self.incarnation:
                # What the one before was to end, this one knows nothing of.
                self._attention_seen = 0
                self._free += self._resting
                self._resting.clear()
            self.incarnation = newest.incarnation
        for ticket in list(self._under_way.values()):
            if ticket.incarnation != self.incarnation:
                self._restarted(ticket, now_ns)
            elif ticket.path < 0:
                self._send_again(ticket, now_ns)

    # Programs.

    def _begin(self, ticket: Ticket, now_ns: int) -> None:
        ticket.subchannel = self._free.pop()
        self._under_way[ticket.subchannel] = ticket
        self._number(ticket)
        self._send(ticket, now_ns)

    def _number(self, ticket: Ticket) -> None:
        ticket.number = self._numbers.get(ticket.subchannel, 0) + 1
        self._numbers[ticket.subchannel] = ticket.number
        ticket.incarnation = self.incarnation

    def _send(self, ticket: Ticket, now_ns: int) -> None:
        """Send a program over the next path that is up, another than before if there is one."""
        count = len(self.paths)
        usable = self._usable()
        for step in range(count):
            index = (self._next_path + step) % count
            if self.paths[index] in usable and (index != ticket.path or len(usable) == 1):
                break
        else:
            ticket.path = -1
            return
        self._next_path = (index + 1) % count
        ticket.path = index
        ticket.starts += 1
        self.counters.starts += 1
        path = self.paths[index].path
        if ticket.state is TicketState.HALTING:
            path.post(Halt(ticket.subchannel, ticket.number))
            return
        ticket.state = TicketState.SENT
        ticket.due_ns = now_ns + self.again_ns
        path.post(
            Start(
                ticket.subchannel,
                ticket.device,
                ticket.number,
                ticket.incarnation,
                ticket.ccws,
            )
        )

    def _send_again(self, ticket: Ticket, now_ns: int) -> None:
        self.counters.repeated_starts += 1
        self._send(ticket, now_ns)

    def _due(self, ticket: Ticket, now_ns: int) -> None:
        if ticket.state is TicketState.HALTING:
            self._end(ticket, error=self._too_late(ticket), rest=True)
        elif ticket.limit_ns <= now_ns:
            if ticket.path < 0:
                self._end(ticket, error=self._too_late(ticket), rest=True)
                return
            ticket.state = TicketState.HALTING
            ticket.due_ns = now_ns + HALT_WAIT_NS
            ticket.limit_ns = ticket.due_ns
            self.paths[ticket.path].path.post(Halt(ticket.subchannel, ticket.number))
        else:
            ticket.due_ns = now_ns + self.again_ns
            self._send_again(ticket, now_ns)

    def _too_late(self, ticket: Ticket) -> DualCopyError:
        text = f"device {ticket.device:04X}: no ending within the time limit"
        if ticket.path < 0:
            return UnavailableError(f"{text}, and no path: {self.path_words()}")
        return TimeLimitError(f"{text}; the program may still be performed")

    def _fail_unsent(self, ticket: Ticket) -> None:
        ticket.error = (
            TimeLimitError(f"device {ticket.device:04X}: every subchannel was busy all the time")
            if self._usable()
            else UnavailableError(f"no path to the control unit: {self.path_words()}")
        )
        ticket.state = TicketState.ENDED
        ticket.done(ticket)

    def _restarted(self, ticket: Ticket, now_ns: int) -> None:
        """The control unit has forgotten the program, which it may have performed."""
        if ticket.state is TicketState.HALTING:
            self._end(ticket, error=self._too_late(ticket))
        elif ticket.may_redrive:
            self.counters.redriven += 1
            self._number(ticket)
            ticket.path = -1
            self._send(ticket, now_ns)
        else:
            text = "the control unit restarted; the program may have been performed or not"
            self._end(ticket, error=OutcomeUnknownError(f"device {ticket.device:04X}: {text}"))

    def _ended(self, ended: Ended, now_ns: int) -> None:
        ticket = self._under_way.get(ended.subchannel)
        if ticket is None or ticket.number != ended.number:
            if self._resting.get(ended.subchannel) == ended.number:
                del self._resting[ended.subchannel]
                self._free.append(ended.subchannel)
            return
        where = f"device {ticket.device:04X}: "
        match ended.ending:
            case Ending.STATUS if ticket.waits_busy and _turned_away(ended):
                ticket.state = TicketState.BUSY
                ticket.due_ns = now_ns + DEVICE_BUSY_WAIT_NS
                self._number(ticket)
            case Ending.STATUS:
                self._end(ticket, ended)
            case Ending.NOT_OPERATIONAL:
                self._end(ticket, error=NotOperationalError(where + ended.text))
            case Ending.MALFORMED:
                self._end(ticket, error=BenchError(where + ended.text))
            case Ending.HALTED:
                self._end(ticket, error=self._too_late(ticket))
            case Ending.RESTARTED:
                # The ATTACHED that tells the new incarnation is on its way, or asked for here.
                ticket.path = -1
                for path in self._usable():
                    path.path.post(Attach(self.number, self.name))
            case Ending.BUSY:
                ticket.state = TicketState.BUSY
                ticket.due_ns = now_ns + BUSY_WAIT_NS

    def _freed(self, device: int, now_ns: int) -> None:
        """Start what a busy device turned away, now that it has said something."""
        for ticket in self._under_way.values():
            if ticket.device == device and ticket.state is TicketState.BUSY:
                self._send_again(ticket, now_ns)

    def _end(
        self,
        ticket: Ticket,
        ended: Ended | None = None,
        error: DualCopyError | None = None,
        *,
        rest: bool = False,
    ) -> None:
        del self._under_way[ticket.subchannel]
        if rest:
            self._resting[ticket.subchannel] = ticket.number
        else:
            self._free.append(ticket.subchannel)
        ticket.state = TicketState.ENDED
        ticket.ended, ticket.error = ended, error
        if ended is not None and any(row.ccw >= len(ticket.ccws) for row in ended.transfers):
            ticket.error = PeerError(
                f"device {ticket.device:04X}: read for a CCW that is not there"
            )
        ticket.done(ticket)


def _turned_away(ended: Ended) -> bool:
    """Tell whether the device did not begin: busy, or long busy with retry."""
    return bool(ended.unit_status & BUSY) or ended.unit_status == RETRY
