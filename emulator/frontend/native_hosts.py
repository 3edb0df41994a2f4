"""What the control unit keeps of each native host: its subchannels, and what it must still hear.

The table `ON_START` says what a START leads to. Leaves doing it to `native_unit.py`.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from emulator.frontend.native_messages import Attention, DeviceRow, Ended, Start
from emulator.frontend.native_path import NativePath


class Device(Protocol):
    """What performs the channel programs for one device."""

    row: DeviceRow

    def perform(
        self, start: Start, host: int, done: Callable[[Ended], None]
    ) -> Callable[[], None] | None:
        """Perform a program and call `done` once, perhaps before returning.

        Returns what halts it, if it may be halted: `done` is then called soon, with HALTED.
        """

    def forget(self, host: int) -> None:
        """Give up what the host holds of the device (reservation), as a system reset does."""

    def take_status(self, host: int) -> int | None:
        """Return the next unit status that the host has not asked for, if there is one."""


class SubchannelState(enum.Enum):
    """What a subchannel is doing."""

    IDLE = "nothing, and no ending is kept"
    BUSY = "running a program"
    ENDED = "keeping the ending of its last program"


class Claim(enum.Enum):
    """What the number of a START says, against the last one."""

    OLD = "an earlier program"
    SAME = "the last program again"
    NEW = "a further program"


class Deed(enum.Enum):
    """What a START leads to."""

    IGNORE = enum.auto()
    RUN = enum.auto()
    JOIN = enum.auto()
    """Answer over this path when the program ends."""
    ANSWER_AGAIN = enum.auto()
    REFUSE = enum.auto()
    """Busy."""


_S, _C = SubchannelState, Claim
ON_START: Final = {
    (_S.IDLE, _C.OLD): Deed.IGNORE,
    # The host has this ending already: a START that was long under way.
    (_S.IDLE, _C.SAME): Deed.IGNORE,
    (_S.IDLE, _C.NEW): Deed.RUN,
    (_S.BUSY, _C.OLD): Deed.IGNORE,
    (_S.BUSY, _C.SAME): Deed.JOIN,
    (_S.BUSY, _C.NEW): Deed.REFUSE,
    (_S.ENDED, _C.OLD): Deed.IGNORE,
    (_S.ENDED, _C.SAME): Deed.ANSWER_AGAIN,
    (_S.ENDED, _C.NEW): Deed.RUN,
}


def claim_of(number: int, last: int) -> Claim:
    """Return what a START's number says against the last one of its subchannel."""
    if number == last:
        return Claim.SAME
    return Claim.NEW if number > last else Claim.OLD


@dataclass(slots=True)
class Subchannel:
    """One program at a time, of one host."""

    number: int = 0
    state: SubchannelState = SubchannelState.IDLE
    path: NativePath | None = None
    """Where the host last asked."""
    ended: Ended | None = None
    halt: Callable[[], None] | None = None
    held_bytes: int = 0


@dataclass(slots=True)
class Host:
    """One host driver, on all its paths."""

    number: int
    name: str
    paths: list[NativePath] = field(default_factory=list)
    subchannels: dict[int, Subchannel] = field(default_factory=dict)
    attentions: dict[int, Attention] = field(default_factory=dict)
    """What the host has not taken note of, by number."""

    @property
    def busy(self) -> bool:
        """Whether a program is under way."""
        return any(sub.state is SubchannelState.BUSY for sub in self.subchannels.values())


@dataclass(slots=True)
class UnitCounters:
    """What the control unit has seen so far."""

    programs: int = 0
    repeated_starts: int = 0
    """STARTs of programs that were under way or done already."""
    refused_starts: int = 0
    halted: int = 0
    attentions: int = 0
    broken_sessions: int = 0
