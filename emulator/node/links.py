"""The site's links: each a protocol machine, and the groups whose records it carries."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, Protocol

from emulator.events import Event, LinkChanged
from emulator.link.events import LinkDown, LinkRefused, LinkUp, RecordKept, RecordReceived
from emulator.link.link import Link
from emulator.link.settings import LinkSettings
from emulator.wire.checksum import Buffer

# After a session was ended on purpose the peer is given time before the next try (R7).
RETRY_NS: Final = 1_000_000_000


class LinkedGroup(Protocol):
    """What a link carries the records of: the copy of one group."""

    def link_up(self) -> None:
        """Take note that records can be sent."""

    def link_lost(self, reason: str) -> None:
        """Take note that the other site is out of reach."""

    def received(self, kind: int, data: bytes) -> None:
        """Take a record of this group from the link."""


class LinkEnd:
    """This site's end of one link."""

    def __init__(
        self, settings: LinkSettings, entropy: Callable[[int], bytes], emit: Callable[[Event], None]
    ) -> None:
        self.settings = settings
        self.machine = Link(settings, entropy)
        self.pairs: dict[int, LinkedGroup] = {}
        self.reason = "not started"
        self._emit = emit
        self._entropy = entropy
        self._restart_ns: int | None = None
        self._open = False
        self._held_bytes = 0
        self.foreign_records = 0

    @property
    def up(self) -> bool:
        """Whether records can be sent now."""
        return self.machine.up

    def opened(self, now_ns: int, mtu_bytes: int, rate_bytes_per_s: float | None) -> None:
        """Begin to greet the other end: the line is open."""
        settings = replace(self.settings, mtu_bytes=mtu_bytes, rate_bytes_per_s=rate_bytes_per_s)
        if settings != self.settings:
            self.settings = settings
            self.machine = Link(settings, self._entropy)
            self._held_bytes = 0
        self._begin(now_ns)

    def _begin(self, now_ns: int) -> None:
        self._open = True
        self._restart_ns = None
        self.reason = "greeting"
        self.machine.start(now_ns)

    def lost(self, now_ns: int, reason: str) -> None:
        """End the session: the line is gone."""
        self._open = False
        self._restart_ns = None
        self.machine.line_lost(now_ns, reason)
        self.reason = reason
        self.take_events()

    def refuse(self, now_ns: int, reason: str) -> None:
        """End the session because of what the peer sent, and try again later."""
        self.machine.close(now_ns, reason)
        self.reason = reason
        # A line that is gone is greeted when it is open again, and not at a time.
        self._restart_ns = now_ns + RETRY_NS if self._open else None

    def receive(self, packets: Sequence[Buffer], now_ns: int) -> None:
        """Take packets from the line."""
        machine = self.machine
        for packet in packets:
            machine.receive(packet, now_ns)
            # After each packet: a record's answer must go into the session that it came in.
            if machine.eventful:
                self.take_events()

    def wake(self, now_ns: int) -> None:
        """Do what is due."""
        if self._restart_ns is not None and now_ns >= self._restart_ns and self._open:
            self._begin(now_ns)
        machine = self.machine
        deadline_ns = machine.next_deadline_ns()
        if deadline_ns is not None and deadline_ns <= now_ns:
            machine.wake(now_ns)
        if machine.eventful:
            self.take_events()

    def next_deadline_ns(self) -> int | None:
        """Return when `wake` is due."""
        due_ns, restart_ns = self.machine.next_deadline_ns(), self._restart_ns
        if restart_ns is None or (due_ns is not None and due_ns < restart_ns):
            return due_ns
        return restart_ns

    def take_events(self) -> None:
        """Hand what the link has to say to the groups."""
        for event in self.machine.events():
            match event:
                case RecordReceived(kind, group, _csn, data):
                    self._received(kind, group, data)
                case RecordKept():
                    pass
                case LinkUp(peer_site):
                    self.reason = ""
                    self._emit(LinkChanged(self.settings.name, "up", f"peer {peer_site}"))
                    for pair in self.pairs.values():
                        pair.link_up()
                case LinkDown(reason):
                    self.reason = reason
                    self._emit(LinkChanged(self.settings.name, "down", reason))
                    for pair in self.pairs.values():
                        pair.link_lost(reason)
                case LinkRefused(reason):
                    self.reason = reason
                    self._emit(LinkChanged(self.settings.name, "refused", reason))

    def release(self, size_bytes: int) -> None:
        """Say that received record bytes are dealt with."""
        size_bytes = min(size_bytes, self._held_bytes)
        self._held_bytes -= size_bytes
        self.machine.release(size_bytes)

    def _received(self, kind: int, group: int, data: bytes) -> None:
        self._held_bytes += len(data)
        pair = self.pairs.get(group)
        if pair is None:
            # A bench file that names a group on one side only: said by the other side's status.
            self.foreign_records += 1
            self.release(len(data))
        else:
            pair.received(kind, data)
