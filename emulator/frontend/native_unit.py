"""The control unit's end of the native channel: hosts, their subchannels, their attentions.

No program is performed twice, on whichever path and however often its START arrives: each
subchannel of a host counts its programs, and the ending of the last one is kept until the host
has it (`native_hosts.py`). A host that finds no path keeps its
subchannels here and finds them again when it comes back over any path.

Relies on `native_path.py` for the lines and on `Device`s to perform programs. Leaves meaning of
CCWs to the devices.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from emulator.events import Event, HostConnected, HostGone
from emulator.frontend.native_hosts import (
    ON_START,
    Deed,
    Device,
    Host,
    Subchannel,
    SubchannelState,
    UnitCounters,
    claim_of,
)
from emulator.frontend.native_layout import Ending
from emulator.frontend.native_messages import (
    Attach,
    Attached,
    Attention,
    AttentionTaken,
    Detach,
    Ended,
    Halt,
    Start,
)
from emulator.frontend.native_path import NativePath, PathDown, PathEvent, PathRefused, PathUp

HOSTS_MAX: Final = 64
"""Beyond it the host that was away longest is forgotten, as a system reset would."""
HELD_BYTES_MAX: Final = 128 * 1024 * 1024
"""Data of all programs under way and of endings that no host has yet; beyond: control unit
busy, and the host asks again."""
_CCW_BYTES: Final = 128  # what one costs in memory beside its data

ATTENTIONS_MAX: Final = 64
"""Told to a host and not taken by it; more wait in the devices."""


class ChannelUnit:
    """All native hosts of a site."""

    def __init__(
        self, incarnation: int, devices: Iterable[Device], emit: Callable[[Event], None]
    ) -> None:
        self.incarnation = incarnation
        self.devices: Mapping[int, Device] = {device.row.address: device for device in devices}
        self._emit = emit
        self._places: dict[NativePath, tuple[str, frozenset[int]]] = {}
        self.hosts: dict[int, Host] = {}
        self.counters = UnitCounters()
        self.closing = False
        """Refuse new programs, because the site is shutting down."""
        self._held_bytes = 0
        self._attention_number = 0

    def add_path(self, path: NativePath, name: str, addresses: Iterable[int]) -> None:
        """Serve the devices with these addresses over a path; `name` is for people."""
        self._places[path] = (name, frozenset(addresses))

    # What happens on a path.

    def handle(self, path: NativePath) -> None:
        """Deal with everything that happened on a path."""
        for event in path.take():
            self._handle(path, event)

    def _handle(self, path: NativePath, event: PathEvent) -> None:
        match event:
            case Attach(number, name):
                self._attach(path, number, name)
            case Detach():
                self._gone(path)
            case PathUp() | PathDown():
                self._detach(path)  # whoever comes now says who it is first
            case PathRefused():
                self.counters.broken_sessions += 1
            case Start() | Halt() | AttentionTaken():
                host = self.host_on(path)
                # Before its ATTACH nobody has a subchannel; an honest host sends it first.
                if host is not None:
                    self._from_host(host, path, event)
            case _:
                pass  # messages that only a control unit sends

    def _from_host(
        self, host: Host, path: NativePath, message: Start | Halt | AttentionTaken
    ) -> None:
        match message:
            case Start():
                self._start(host, path, message)
            case Halt():
                self._halt(host, path, message)
            case AttentionTaken(_device, number):
                host.attentions.pop(number, None)

    def host_on(self, path: NativePath) -> Host | None:
        """Return the host that has attached over this path."""
        return next((host for host in self.hosts.values() if path in host.paths), None)

    def _attach(self, path: NativePath, number: int, name: str) -> None:
        self._detach(path)
        host = self.hosts.pop(number, None) or Host(number, name)
        if len(self.hosts) >= HOSTS_MAX and not self._forget_one():
            return
        self.hosts[number] = host  # at the end: whoever came last is forgotten last
        host.paths.append(path)
        place, addresses = self._places[path]
        self._emit(HostConnected(f"{host.name} over {place}"))
        rows = tuple(device.row for address, device in self.devices.items() if address in addresses)
        path.post(Attached(self.incarnation, rows))
        for attention in host.attentions.values():
            path.post(attention)

    def _gone(self, path: NativePath) -> None:
        """Forget a host that is done for good."""
        host = self.host_on(path)
        if host is None:
            return
        for one in list(host.paths):
            self._detach(one)
        for sub in host.subchannels.values():
            if sub.halt is not None:
                halting, sub.halt = sub.halt, None
                halting()
        if not host.busy:
            self._forget(host)

    def _forget_one(self) -> bool:
        away = (host for host in self.hosts.values() if not host.paths and not host.busy)
        host = next(away, None)
        if host is not None:
            self._forget(host)
        return host is not None

    def _forget(self, host: Host) -> None:
        del self.hosts[host.number]
        for sub in host.subchannels.values():
            self._drop_ending(sub)
        for device in self.devices.values():
            device.forget(host.number)

    def _detach(self, path: NativePath) -> None:
        host = self.host_on(path)
        if host is not None:
            host.paths.remove(path)
            for sub in host.subchannels.values():
                # Another host may be on this path when the program ends; this one asks again.
                if sub.path is path:
                    sub.path = None
            place, _ = self._places[path]
            self._emit(HostGone(f"{host.name} over {place}", path.reason or "another host came"))

    # Programs.

    def _start(self, host: Host, path: NativePath, start: Start) -> None:
        refusal = self._refusal(path, start)
        if refusal is not None:
            self.counters.refused_starts += 1
            path.post(refusal)
            return
        sub = host.subchannels.setdefault(start.subchannel, Subchannel())
        match ON_START[sub.state, claim_of(start.number, sub.number)]:
            case Deed.IGNORE:
                pass
            case Deed.JOIN:
                self.counters.repeated_starts += 1
                sub.path = path
            case Deed.ANSWER_AGAIN:
                self.counters.repeated_starts += 1
                sub.path = path
                self._answer(sub)
            case Deed.REFUSE:
                self._refuse_busy(path, start, "the subchannel still runs an earlier program")
            case Deed.RUN:
                self._run(host, sub, path, start)

    def _refusal(self, path: NativePath, start: Start) -> Ended | None:
        """Return why a program may not be started here at all; its number stays unused."""
        if start.incarnation != self.incarnation:
            text = "the control unit restarted since the host attached"
            return Ended(start.subchannel, start.number, Ending.RESTARTED, text=text)
        _, addresses = self._places[path]
        if start.device not in addresses:
            known = ", ".join(f"{address:04X}" for address in sorted(addresses))
            text = f"no device has address {start.device:04X} here; there are: {known}"
            return Ended(start.subchannel, start.number, Ending.NOT_OPERATIONAL, text=text)
        return None

    def _refuse_busy(self, path: NativePath, start: Start, text: str) -> None:
        self.counters.refused_starts += 1
        path.post(Ended(start.subchannel, start.number, Ending.BUSY, text=text))

    def _run(self, host: Host, sub: Subchannel, path: NativePath, start: Start) -> None:
        # A read may bring as much as its count; a loop that reads more is ended by the device.
        wanted = sum(_CCW_BYTES + ccw.byte_count for ccw in start.ccws)
        # The ending kept so far is not needed any more: the host has gone on.
        self._drop_ending(sub)
        if self.closing:
            self._refuse_busy(path, start, "the site is shutting down")
            return
        if self._held_bytes + wanted > HELD_BYTES_MAX:
            self._refuse_busy(path, start, "the control unit has no room for the program now")
            return
        self._held_bytes += wanted
        sub.held_bytes = wanted
        sub.number = start.number
        sub.state = SubchannelState.BUSY
        sub.path = path
        self.counters.programs += 1
        halt = self.devices[start.device].perform(
            start, host.number, lambda ended: self._done(sub, ended)
        )
        # It may have ended before `perform` returned.
        sub.halt = halt if sub.state is SubchannelState.BUSY else None

    def _done(self, sub: Subchannel, ended: Ended) -> None:
        sub.state = SubchannelState.ENDED
        sub.halt = None
        sub.ended = ended
        self.counters.halted += ended.ending is Ending.HALTED
        self._answer(sub)

    def _answer(self, sub: Subchannel) -> None:
        """Tell the host, if it can be reached; else it asks again when it can."""
        ended, path = sub.ended, sub.path
        assert ended is not None
        if path is None or not path.up:
            return

        def kept() -> None:
            if sub.ended is ended:
                self._drop_ending(sub)

        path.post(ended, kept)

    def _drop_ending(self, sub: Subchannel) -> None:
        if sub.state is SubchannelState.ENDED:
            sub.state = SubchannelState.IDLE
            sub.ended = None
            self._held_bytes -= sub.held_bytes
            sub.held_bytes = 0

    def _halt(self, host: Host, path: NativePath, halt: Halt) -> None:
        sub = host.subchannels.setdefault(halt.subchannel, Subchannel())
        if halt.number < sub.number:
            return
        if halt.number > sub.number and sub.state is not SubchannelState.BUSY:
            # Its START is lost or still under way: it is never started (`ON_START`, SAME).
            self._drop_ending(sub)
            sub.number = halt.number
            sub.state = SubchannelState.ENDED
            sub.ended = Ended(halt.subchannel, halt.number, Ending.HALTED, text="never started")
        if halt.number != sub.number:
            return
        sub.path = path
        if sub.state is SubchannelState.ENDED:
            self._answer(sub)
        elif sub.halt is not None:
            halting, sub.halt = sub.halt, None
            halting()

    # Attentions.

    def tell_unasked(self) -> None:
        """Tell each host what its devices have to say unasked; repeated until it is taken."""
        for host in self.hosts.values():
            path = next((path for path in host.paths if path.up), None)
            if path is None:
                continue
            for address, device in self.devices.items():
                while len(host.attentions) < ATTENTIONS_MAX:
                    status = device.take_status(host.number)
                    if status is None:
                        break
                    self._attention_number += 1
                    self.counters.attentions += 1
                    told = Attention(address, self._attention_number, status, "")
                    host.attentions[told.number] = told
                    path.post(told)

    # For the shell.

    @property
    def quiet(self) -> bool:
        """Whether no program is under way."""
        return not any(host.busy for host in self.hosts.values())
