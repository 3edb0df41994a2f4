"""A device as a channel sees it: its paths, who has reserved it, and whether it can work now.

Kept apart from what its commands do, which differs between count-key-data and fixed-block
devices. Everything that outlives a channel program is here, as plain state.
"""

from typing import Final, Protocol

from emulator.channel.asks import Waiting
from emulator.channel.commands import Command, Commands
from emulator.channel.orders import OrderHandler, refuse_all
from emulator.channel.sense import (
    INTERVENTION_REQUIRED,
    RESET_NOTIFICATION,
    WRITE_INHIBITED,
    Reason,
    UnitCheck,
)
from emulator.channel.status import (
    ATTENTION,
    BUSY,
    DEVICE_END,
    RETRY,
    STATE_CHANGE,
)

GROUP_BYTES: Final = 11
MESSAGES_MAX: Final = 16
"""Kept for a path whose host does not read them; older ones are dropped."""
NO_GROUP: Final = bytes(GROUP_BYTES)
# What a path may do with a device that another one has reserved: Unconditional Reserve, Sense
# Path Group ID, Reset Allegiance.
_PAST_RESERVATION: Final = (0x14, 0x34, 0x44)
# And while it is long busy: Perform Subsystem Function, which brings the order to run again.
_PAST_LONG_BUSY: Final = (0x27,)


class PathState:
    """What a device knows about one path that leads to it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.group = NO_GROUP
        """Path group identifier; zeros for a path in no group."""
        self.multipath = False
        self.ungrouped = False
        """Has left its group; a path that was never in one is in reset state."""
        self.intercepted = False
        """Set Special Intercept Condition waits to be told."""
        self.sense = b""
        """Sense bytes of the last unit check, until they are read."""
        self.pending: Reason | None = None
        """What the next program on this path is told before anything else."""
        self.unasked: list[int] = []
        """Unit status that waits to be taken by the host."""
        self.messages: list[str] = []
        """What the host is to be told once it reads its messages."""
        self.owed_device_end = False


class Run(Protocol):
    """One program's state, as the engine sees it."""

    status: int
    """Unit status of the command under way."""
    code: int
    """Its code."""
    sent: bytes
    """What its CCWs sent."""

    def admit(self, command: Command) -> None:
        """Raise UnitCheck when the command may not come here."""

    def leave(self, command: Command, *, chained: bool) -> None:
        """Note that the command is done; raise UnitCheck when the chain may not end here."""

    def finish(self) -> Waiting[None]:
        """Hand over what is still to be written, and wait until it is safe."""

    def sense(self, reason: Reason) -> bytes:
        """Return the sense bytes for a reason."""


class Device:
    """What all devices have in common."""

    def __init__(self, address: int, commands: Commands) -> None:
        self.address = address
        self.commands = commands
        self.paths: dict[int, PathState] = {}
        self.reserved_by: PathState | None = None
        self.active: int | None = None
        """The path whose program is under way."""
        self.ready = True
        """Cleared while the disk cannot be reached: intervention required."""
        self.writable = True
        self.long_busy = False
        """Set while the group is frozen: hosts are told to come again, except with orders."""
        self.orders: OrderHandler = refuse_all
        """Does what a host orders of this product; a site puts its own in."""

    def begin(self, state: PathState) -> Run:
        """Return the state for a new program."""
        raise NotImplementedError

    def path(self, number: int) -> PathState:
        """Return what is known of a path; a new one is in no group."""
        state = self.paths.get(number)
        if state is None:
            state = self.paths[number] = PathState(number)
        return state

    def refusal(self, state: PathState, first: int) -> int:
        """Return the unit status that turns a program away at its first command, or 0."""
        if self.active is not None:
            state.owed_device_end = True
            return BUSY
        if self.reserved_by is not None and not self.holds(state):
            if first not in _PAST_RESERVATION:
                state.owed_device_end = True
                return BUSY
        elif self.long_busy and first not in _PAST_LONG_BUSY:
            state.owed_device_end = True
            return RETRY
        return 0

    def blocked(self, state: PathState) -> bool:
        """Tell whether programs on this path must pass `check_usable`."""
        return not self.ready or state.pending is not None

    def check_usable(self, state: PathState, command: Command) -> None:
        """Tell of a reset or an unready device, but for commands that do not need the disk."""
        if command.without_disk:
            return
        pending, state.pending = state.pending, None
        if pending is not None:
            raise UnitCheck(pending)
        if not self.ready:
            raise UnitCheck(INTERVENTION_REQUIRED)

    def check_writable(self) -> None:
        """Refuse to change a volume that may not be written here."""
        if not self.writable:
            raise UnitCheck(WRITE_INHIBITED)

    def program_ended(self) -> None:
        """Note that no program is under way any more."""
        self.active = None
        self._freed()

    def holds(self, state: PathState) -> bool:
        """Tell whether the reservation is this path's or its group's."""
        holder = self.reserved_by
        if holder is None:
            return False
        return holder is state or (state.group != NO_GROUP and holder.group == state.group)

    def reserve(self, state: PathState) -> None:
        """Give the device to a path and its group alone."""
        self.reserved_by = state

    def release(self) -> None:
        """Give the device back to all paths."""
        self.reserved_by = None
        self._freed()

    def _freed(self) -> None:
        for state in self.paths.values():
            if (
                state.owed_device_end
                and not self.long_busy
                and (self.reserved_by is None or self.holds(state))
            ):
                state.owed_device_end = False
                state.unasked.append(DEVICE_END)

    def set_long_busy(self, *, busy: bool) -> None:
        """Begin or end turning hosts away with retry; device end tells them when to come again.

        What is new is told once, however often this is called.
        """
        if busy == self.long_busy:
            return
        self.long_busy = busy
        if not busy and self.active is None:
            self._freed()

    def set_ready(self, *, ready: bool) -> None:
        """Say whether the disk can be reached; becoming ready is told by device end."""
        if ready and not self.ready:
            self._announce(DEVICE_END)
        self.ready = ready

    def attention(self, message: str) -> None:
        """Tell every host something, such as that the copy is suspended (A-honest).

        The host learns by attention that it can read a message; Perform Subsystem Function
        (Prepare for Read Subsystem Data, message) and Read Subsystem Data bring it.
        """
        for state in self.paths.values():
            state.messages.append(message)
            del state.messages[:-MESSAGES_MAX]
        self._announce(ATTENTION)

    def state_change(self) -> None:
        """Tell every host that something about the device is new, as after a switch of roles."""
        self._announce(STATE_CHANGE)

    def _announce(self, status: int) -> None:
        for state in self.paths.values():
            # One that still waits to be taken says it already.
            if status not in state.unasked:
                state.unasked.append(status)

    def take_status(self, number: int) -> int | None:
        """Return the next unit status that a path has not asked for, if there is one."""
        unasked = self.path(number).unasked
        return unasked.pop(0) if unasked else None

    def reset_path(self, number: int) -> None:
        """Forget a path, as its system reset does; its next program is told so."""
        if self.reserved_by is not None and self.reserved_by.number == number:
            self.release()
        state = self.paths[number] = PathState(number)
        state.pending = RESET_NOTIFICATION
