"""One device of a native channel as its host uses it, and how a channel program ended there."""

from collections.abc import Sequence
from concurrent.futures import Future
from typing import NamedTuple, Protocol

from emulator.channel.ccw import Ccw
from emulator.channel.sense import describe
from emulator.channel.status import (
    NORMAL,
    PROGRAM_CONTROLLED,
    channel_status_text,
    unit_status_text,
)
from emulator.errors import DeviceError
from emulator.frontend.native_messages import DeviceRow, Transfer

LIMIT_S = 30.0
"""Usual time limit of a program: a 3390's missing-interrupt time."""


class ChannelResult(NamedTuple):
    """How a channel program ended, as its host sees it."""

    unit_status: int
    channel_status: int
    sense: bytes
    ccw: int
    """Index of the CCW at which it ended."""
    residual: int
    executed: int
    """CCWs carried out, loops counted."""
    transfers: tuple[Transfer, ...]

    @property
    def data(self) -> bytes:
        """Return everything the program read, one CCW's after another."""
        return b"".join(row.data for row in self.transfers)

    @property
    def ended_well(self) -> bool:
        """Tell whether it ended with channel end and device end alone."""
        return self.unit_status == NORMAL and not self.channel_status & ~PROGRAM_CONTROLLED

    def read(self, ccw: int) -> bytes:
        """Return what the CCW with this index read, the last time if it was in a loop."""
        return next((bytes(row.data) for row in reversed(self.transfers) if row.ccw == ccw), b"")

    def __str__(self) -> str:
        words = f"CCW {self.ccw}: {unit_status_text(self.unit_status)}"
        if self.channel_status:
            words += f"; channel status {channel_status_text(self.channel_status)}"
        if self.sense:
            words += f"; sense {self.sense.hex()} ({describe(self.sense)})"
        return words


class Starter(Protocol):
    """The channel, as its devices use it."""

    def row(self, address: int) -> DeviceRow:
        """Return what the control unit says a device is."""

    def submit(
        self,
        address: int,
        program: Sequence[Ccw],
        *,
        limit_s: float,
        redrive: bool,
        wait_busy: bool,
    ) -> "Future[ChannelResult]":
        """Start a program on a device."""


class ChannelDevice:
    """One device, by its address."""

    def __init__(self, channel: Starter, address: int) -> None:
        self.channel = channel
        self.address = address

    @property
    def row(self) -> DeviceRow:
        """What the control unit says the device is."""
        return self.channel.row(self.address)

    def start(
        self,
        program: Sequence[Ccw],
        *,
        limit_s: float = LIMIT_S,
        redrive: bool = True,
        wait_busy: bool = True,
    ) -> "Future[ChannelResult]":
        """Start a program; the future has its result, or the error that kept it from ending.

        `redrive` starts it anew when the control unit restarted and nobody knows whether it was
        performed, as a host's error recovery does; without it that is an OutcomeUnknownError.
        `wait_busy` starts it anew when the device was busy or long busy, up to the time limit.
        """
        return self.channel.submit(
            self.address, program, limit_s=limit_s, redrive=redrive, wait_busy=wait_busy
        )

    def run(
        self,
        program: Sequence[Ccw],
        *,
        limit_s: float = LIMIT_S,
        redrive: bool = True,
        wait_busy: bool = True,
    ) -> ChannelResult:
        """Run a program and return how it ended, whatever its status."""
        return self.start(program, limit_s=limit_s, redrive=redrive, wait_busy=wait_busy).result()

    def must(self, program: Sequence[Ccw], what: str, *, limit_s: float = LIMIT_S) -> ChannelResult:
        """Run a program that has to end well; else raise DeviceError with status and sense."""
        result = self.run(program, limit_s=limit_s)
        if not result.ended_well:
            raise DeviceError(f"device {self.address:04X}", f"{what}: {result}")
        return result
