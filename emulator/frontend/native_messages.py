"""Messages of the native channel as plain values, one for each kind.

Leaves their bytes to `native_codec.py`, and what a message leads to to `native_unit.py` and to the
driver.
"""

from typing import NamedTuple

from emulator.channel.ccw import Ccw
from emulator.frontend.native_layout import Ending
from emulator.wire.checksum import Buffer


class Transfer(NamedTuple):
    """What one CCW read."""

    ccw: int
    data: Buffer


class DeviceRow(NamedTuple):
    """A device that can be reached over this path."""

    address: int
    kind: str
    name: str


class Attach(NamedTuple):
    """A host says who it is, first of all on each path."""

    host: int
    name: str


class Attached(NamedTuple):
    """The control unit says who it is, and which devices it has."""

    incarnation: int
    devices: tuple[DeviceRow, ...]


class Start(NamedTuple):
    """Run a channel program; the same number again asks for the same program's ending."""

    subchannel: int
    device: int
    number: int
    incarnation: int
    ccws: tuple[Ccw, ...]


class Ended(NamedTuple):
    """How a channel program ended."""

    subchannel: int
    number: int
    ending: Ending
    unit_status: int = 0
    channel_status: int = 0
    sense: bytes = b""
    ccw: int = 0
    residual: int = 0
    executed: int = 0
    text: str = ""
    transfers: tuple[Transfer, ...] = ()


class Halt(NamedTuple):
    """Give up a channel program."""

    subchannel: int
    number: int


class Attention(NamedTuple):
    """A device has something to say that nobody asked for."""

    device: int
    number: int
    unit_status: int
    text: str


class AttentionTaken(NamedTuple):
    """The host has taken note of an attention."""

    device: int
    number: int


class Detach(NamedTuple):
    """The host is done for good: it gives back what it holds of the devices."""


Message = Detach | Attach | Attached | Start | Ended | Halt | Attention | AttentionTaken
