"""A channel program on its way, a path as the host knows it, and what may become of them."""

import enum
from collections.abc import Callable
from dataclasses import dataclass

from emulator.channel.ccw import Ccw
from emulator.errors import DualCopyError, UnavailableError
from emulator.frontend.native_messages import DeviceRow, Ended
from emulator.frontend.native_path import NativePath


class OutcomeUnknownError(UnavailableError):
    """The control unit restarted while a program was under way; it may be performed or not."""


class NotOperationalError(UnavailableError):
    """No device has this address on any path (condition code 3)."""


class TicketState(enum.Enum):
    """Where a program is."""

    QUEUED = "waits for a subchannel or a path"
    SENT = "with the control unit"
    BUSY = "to be offered again"
    HALTING = "asked to be given up"
    ENDED = "over"


@dataclass(slots=True)
class Ticket:
    """One program on its way, and in the end what became of it."""

    device: int
    ccws: tuple[Ccw, ...]
    limit_ns: int
    may_redrive: bool
    """Start it anew when the control unit restarted and may have performed it."""
    waits_busy: bool
    """Start it anew when the device was busy (reserved, frozen) and says that it is free."""
    done: Callable[["Ticket"], None]
    state: TicketState = TicketState.QUEUED
    subchannel: int = -1
    number: int = 0
    incarnation: int = 0
    path: int = -1
    due_ns: int = 0
    """When something is to be done about it if nothing happens."""
    ended: Ended | None = None
    error: DualCopyError | None = None
    starts: int = 0
    """How often it was sent."""


@dataclass(slots=True)
class HostPath:
    """One path as the host knows it."""

    path: NativePath
    name: str
    incarnation: int = 0
    """Of the control unit that answered our ATTACH; 0 before that."""
    devices: tuple[DeviceRow, ...] = ()


@dataclass(slots=True)
class DriverCounters:
    """What the driver has seen so far."""

    programs: int = 0
    starts: int = 0
    repeated_starts: int = 0
    """Sent again: after a lost path, a missing interrupt or busy."""
    redriven: int = 0
    """Begun anew because the control unit restarted."""
    paths_lost: int = 0
    attentions: int = 0
