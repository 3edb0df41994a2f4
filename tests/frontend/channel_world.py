"""A host and a control unit joined by bad lines, in virtual time; no test here waits.

The device is the simplest there is: it writes down each program that it performs, takes a while,
and answers with what it was given. Everything is drawn from one seed.
"""

import heapq
import random
from collections import Counter
from collections.abc import Callable

from emulator.channel.ccw import Ccw
from emulator.clock import MILLISECOND_NS, SECOND_NS
from emulator.frontend.native_layout import Ending
from emulator.frontend.native_messages import DeviceRow, Ended, Start, Transfer
from emulator.frontend.native_path import NativePath
from emulator.frontend.native_unit import ChannelUnit
from rig.host.channel_machine import HostMachine
from rig.host.channel_ticket import HostPath, Ticket
from tests.link.world import Way

ADDRESS = 0x0A00
NO_LIMIT_NS = 10**18
_LINE = (1500, None)


class NotingDevice:
    """Performs programs by writing them down, and survives the control unit's restart."""

    def __init__(self, world: "ChannelWorld", *, slow_ns: int, stuck: bool = False) -> None:
        self.row = DeviceRow(ADDRESS, "noting", "vol0")
        self.world = world
        self.slow_ns = slow_ns
        self.stuck = stuck
        self.performed: Counter = Counter()
        self.forgotten: list[int] = []
        self.unasked: dict[int, list[int]] = {}
        self.busy = 0
        """How many programs are turned away with device busy."""

    def perform(self, start: Start, host: int, done: Callable[[Ended], None]):
        payload = start.ccws[0].data
        if self.busy:
            self.busy -= 1
            done(Ended(start.subchannel, start.number, Ending.STATUS, 0x10))
            return None
        self.performed[payload] += 1
        over = []

        def end(ending: Ending) -> None:
            if not over:
                over.append(ending)
                transfers = (Transfer(0, payload),) if ending is Ending.STATUS else ()
                done(Ended(start.subchannel, start.number, ending, 0x0C, transfers=transfers))

        if not self.slow_ns:
            end(Ending.STATUS)
            return None
        if not self.stuck:
            world, life = self.world, self.world.unit
            late_ns = world.dice.randrange(1, 2 * self.slow_ns)
            world.at(world.now_ns + late_ns, lambda: world.unit is life and end(Ending.STATUS))
        return lambda: end(Ending.HALTED)

    def forget(self, host: int) -> None:
        self.forgotten.append(host)

    def take_status(self, host: int) -> int | None:
        waiting = self.unasked.get(host)
        return waiting.pop(0) if waiting else None


class ChannelWorld:
    """One host on some paths, one control unit, one clock."""

    def __init__(
        self, seed: object = 0, paths: int = 1, ways: dict | None = None, **device
    ) -> None:
        self.seed = seed
        self.now_ns = 1_000 * SECOND_NS
        self.dice = random.Random(f"channel/{seed}")
        self.ways = [(Way(**(ways or {})), Way(**(ways or {}))) for _ in range(paths)]
        self._heap: list[tuple[int, int, Callable[[], object]]] = []
        self._serial = 0
        self.device = NotingDevice(self, **({"slow_ns": MILLISECOND_NS} | device))
        self.host_ends = [NativePath(self._entropy(f"h{n}"), host=True) for n in range(paths)]
        self.host = self.new_host(1)
        self.tickets: list[Ticket] = []
        self.unit_ends: list[NativePath] = []
        self.restarts = 0
        self.events: list = []
        self.boot_unit()
        for end in self.host_ends:
            end.opened(self.now_ns, *_LINE)

    def new_host(self, number: int) -> HostMachine:
        rows = [HostPath(end, f"path {n}") for n, end in enumerate(self.host_ends)]
        return HostMachine(number, "tester", rows, depth=8)

    def _entropy(self, name: str) -> Callable[[int], bytes]:
        return random.Random(f"{self.seed}/{name}").randbytes

    def boot_unit(self) -> None:
        """Start the control unit, or start it again with nothing in its memory."""
        self.restarts += 1
        self.unit = ChannelUnit(self.restarts, [self.device], self.events.append)
        self.unit_ends = [
            NativePath(self._entropy(f"u{n}/{self.restarts}"), host=False)
            for n in range(len(self.ways))
        ]
        for number, end in enumerate(self.unit_ends):
            self.unit.add_path(end, f"path {number}", [ADDRESS])
            end.opened(self.now_ns, *_LINE)

    def cut(self, path: int) -> None:
        """Take a line away from both ends."""
        for way in self.ways[path]:
            way.cut = True
        self.host_ends[path].lost(self.now_ns, "cut")
        self.unit_ends[path].lost(self.now_ns, "cut")

    def join(self, path: int) -> None:
        """Put the line back."""
        for way in self.ways[path]:
            way.cut = False
        self.host_ends[path].opened(self.now_ns, *_LINE)
        self.unit_ends[path].opened(self.now_ns, *_LINE)

    def submit(self, payload: bytes, *, redrive: bool = True, limit_ns: int = NO_LIMIT_NS, **other):
        """Hand the host a program that writes `payload`."""
        values = {
            "device": ADDRESS,
            "ccws": (Ccw(0x05, len(payload), payload),),
        }
        ticket = Ticket(
            **(values | other),
            limit_ns=limit_ns if limit_ns == NO_LIMIT_NS else self.now_ns + limit_ns,
            may_redrive=redrive,
            waits_busy=True,
            done=lambda _ticket: None,
        )
        self.tickets.append(ticket)
        self.host.submit(ticket)
        return ticket

    def at(self, at_ns: int, job: Callable[[], object]) -> None:
        self._serial += 1
        heapq.heappush(self._heap, (at_ns, self._serial, job))

    def run(self, until: Callable[[], bool], limit_s: float = 300) -> None:
        """Turn both ends until the condition holds."""
        end_ns = self.now_ns + int(limit_s * SECOND_NS)
        self._settle()
        while not until():
            at_ns = self._next_ns()
            assert at_ns <= end_ns, f"seed {self.seed}: not within {limit_s} s: " + str(
                [(t.state, t.number, t.path, t.starts) for t in self.tickets if not self.over(t)]
            )
            self.now_ns = max(self.now_ns, at_ns)
            while self._heap and self._heap[0][0] <= self.now_ns:
                heapq.heappop(self._heap)[2]()
            self._settle()

    def rest(self, for_s: float) -> None:
        """Let so much time pass."""
        end_ns = self.now_ns + int(for_s * SECOND_NS)
        self.at(end_ns, lambda: None)
        self.run(lambda: self.now_ns >= end_ns, for_s + 1)

    def over(self, ticket: Ticket) -> bool:
        return ticket.ended is not None or ticket.error is not None

    def all_over(self) -> bool:
        return all(map(self.over, self.tickets))

    def _next_ns(self) -> int:
        times = [self._heap[0][0]] if self._heap else []
        times += [d for end in (*self.host_ends, *self.unit_ends) if (d := end.next_deadline_ns())]
        if (due_ns := self.host.next_deadline_ns()) is not None:
            times.append(due_ns)
        return min(times, default=NO_LIMIT_NS)

    def _settle(self) -> None:
        for end in (*self.host_ends, *self.unit_ends):
            end.wake(self.now_ns)
        for end in self.unit_ends:
            self.unit.handle(end)
        self.unit.tell_unasked()
        self.host.turn(self.now_ns)
        for path, (there, back) in enumerate(self.ways):
            self._carry(self.host_ends[path], there, self.unit_ends, path)
            self._carry(self.unit_ends[path], back, self.host_ends, path)

    def _carry(self, sender: NativePath, way: Way, receivers: list[NativePath], path: int) -> None:
        while packets := sender.machine.outgoing(self.now_ns, 16):
            for packet in packets:
                for at_ns, data in way.carry(packet, self.now_ns, self.dice):
                    self.at(at_ns, lambda data=data: receivers[path].receive([data], self.now_ns))
