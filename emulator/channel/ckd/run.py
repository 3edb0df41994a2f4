"""What one channel program knows and holds on a count-key-data device.

Where it stands on the track, what Define Extent and Locate Record have said, what it has shown
about its position, and the records it has written that are not handed over yet. A program's
updates of a track are handed over as one piece when it leaves the track or ends.
"""

from typing import TYPE_CHECKING, Final

from emulator.channel.asks import ReadTrack, Settle, Waiting, WriteTrack
from emulator.channel.commands import Command, Kind, Proof
from emulator.channel.control_units import Feature
from emulator.channel.device import PathState
from emulator.channel.geometry import HOME_ADDRESS_BYTES
from emulator.channel.sense import (
    DATA_CHECK,
    EQUIPMENT_CHECK,
    INCOMPLETE_DOMAIN,
    INVALID_SEQUENCE,
    Reason,
    UnitCheck,
    ckd_sense,
)
from emulator.channel.status import NORMAL
from emulator.channel.track_image import build
from emulator.errors import CorruptError, DeviceError

if TYPE_CHECKING:
    from emulator.channel.ckd.device import CkdDevice

# What the next byte under the head belongs to.
AT_INDEX, AT_COUNT, AT_KEY, AT_DATA, AT_END = range(5)

MASK_WRITES: Final = 0xC0
MASK_SEEKS: Final = 0x18
NO_SEEKS: Final = 0x18

READ_IPL: Final = 0x02
NO_OPERATION: Final = 0x03
SUSPEND_RECONNECTION: Final = 0x5B
READ_COUNT_MULTITRACK: Final = 0x92
READ_ANY: Final = 0x0A
_ON_THE_TRACK: Final = (Kind.READ, Kind.WRITE, Kind.SEARCH)
_WRITE_R0, _WRITE_HOME_ADDRESS = 0x15, 0x19
_FORMAT_ALL: Final = (_WRITE_R0, _WRITE_HOME_ADDRESS)
OPERATION: Final = 0x3F
_NO_PREVIOUS: Final = -1


class CkdRun:
    """The state of one channel program.

    Class attributes are what a chain begins with, as far as it is plain numbers and texts.
    """

    code = 0
    """The command under way, its multitrack bit included."""
    sent = b""
    """What its CCWs sent."""

    # The track under the head.
    record = 0
    record_at = 0
    record_id = b""
    key_length = 0
    data_length = 0
    overflows = False
    damaged = False
    """Nobody has what was on it, so that only what formats it from its beginning may come next."""

    # What is written and not handed over: the range changed, and whether it closes the track.
    written_from = 0
    written_to = 0
    written_ends = False
    unsettled = False

    # What came before in the chain.
    sequence = 0
    index_passed = False
    positioned = False
    followers: tuple[int, ...] | None = None
    """The only commands that may come next; None for all."""
    prepared = b""
    """Subsystem data that Read Subsystem Data is to bring."""
    space_known = (0, 0)
    """An offset on the track, and what the records before it take of the device's track."""

    # File mask and extent; without a Define Extent, the whole volume.
    file_mask = 0
    mask_set = False
    extent_defined = False
    read_ipl = False
    attributes = 0
    block_size = 0
    first_track = 0

    # The domain of a Locate Record.
    remaining = 0
    operation = 0
    auxiliary = 0
    transfer_length = 0
    tracks_mask = 0
    first_count: tuple[int, int] | None = None

    def __init__(self, device: "CkdDevice", state: PathState) -> None:
        self.device = device
        self.state = state
        self.geometry = device.geometry
        self.heads = device.geometry.heads
        self.cylinder = device.cylinder
        self.head = device.head
        self.track = -1
        self.last_track = device.geometry.tracks - 1
        self.blocked = device.blocked(state)
        self.status = NORMAL
        self.image: bytearray | bytes | None = None
        self.orientation = AT_INDEX
        self.at = HOME_ADDRESS_BYTES
        """The offset behind the field that `orientation` names."""
        self.previous = _NO_PREVIOUS
        self.proof = Proof.NONE

    def admit(self, command: Command) -> None:
        """Refuse a command that may not come at this point of the chain."""
        if not command.keeps_index:
            self.index_passed = False
        if self.followers is not None:
            if self.code not in self.followers:
                raise UnitCheck(INVALID_SEQUENCE)
            self.followers = None
        if self.remaining:
            if self.operation not in command.domain and not (
                self.code == NO_OPERATION and self.previous == READ_IPL
            ):
                raise UnitCheck(INVALID_SEQUENCE)
        elif command.proofs and self.proof not in command.proofs:
            raise UnitCheck(INVALID_SEQUENCE)
        if (
            self.file_mask & MASK_WRITES not in command.masks
            or (command.positioned and not self.positioned and self._needs_seek)
            or (command.first and not self.at_start)
        ):
            raise UnitCheck(INVALID_SEQUENCE)
        if self.blocked:
            self.device.check_usable(self.state, command)
        if self.damaged and command.kind in _ON_THE_TRACK and self.code not in _FORMAT_ALL:
            raise UnitCheck(DATA_CHECK)

    def check_writable(self) -> None:
        """Refuse to change a volume that may not be written here."""
        self.device.check_writable()

    @property
    def at_start(self) -> bool:
        """Tell whether nothing but Suspend Multipath Reconnection came before."""
        return self.sequence == 0 or (self.sequence == 1 and self.previous == SUSPEND_RECONNECTION)

    @property
    def _needs_seek(self) -> bool:
        return Feature.STORAGE in self.device.unit.features

    def leave(self, command: Command, *, chained: bool) -> None:
        """Count the command against the domain, and forget what it did not keep."""
        if self.proof is not Proof.NONE and self.proof not in command.keeps:
            self.proof = Proof.NONE
        self.previous = self.code
        self.sequence += 1
        if command.last:
            self.followers = ()
        if self.remaining and not command.opens_domain:
            # Read Any goes on until something else than Read Count is chained.
            if not (chained and self.code == READ_COUNT_MULTITRACK and self._reads_any):
                self.remaining -= 1
            if self.remaining and not chained and self.code != READ_IPL:
                raise UnitCheck(INCOMPLETE_DOMAIN)

    @property
    def _reads_any(self) -> bool:
        return self.operation & OPERATION == READ_ANY

    def sense(self, reason: Reason) -> bytes:
        """Return the sense bytes for a reason, with where the arm stands."""
        return ckd_sense(
            reason,
            self.geometry,
            address=self.device.address,
            cylinder=self.cylinder,
            head=self.head,
            length=self.device.unit.sense_bytes,
        )

    # Tracks.

    def load(self, track: int, *, any_state: bool = False) -> Waiting[None]:
        """Have a track under the head; what was written on the one before is handed over.

        With `any_state` a track that is damaged will do, as an empty one: see `damaged`.
        """
        if track == self.track:
            return
        yield from self.hand_over()
        self.image = None
        self.track = -1
        self.damaged = False
        self.space_known = (0, 0)
        # The arm is there, whether or not anything can be read: sense names this track.
        self.cylinder, self.head = divmod(track, self.heads)
        try:
            self.image = yield ReadTrack(track)
        except CorruptError:
            if not any_state:
                raise UnitCheck(DATA_CHECK) from None
            self.damaged = True
            self.image = build(self.cylinder, self.head)
        except DeviceError:
            raise UnitCheck(EQUIPMENT_CHECK) from None
        self.track = track

    def write(self, offset: int, data: bytes, *, ends: bool = False) -> None:
        """Put whole fields on the track under the head; the caller has checked that they fit."""
        image = self.image
        if not isinstance(image, bytearray):
            image = self.image = bytearray(image or b"")
        end = offset + len(data)
        image[offset:end] = data
        if not self.written_to:
            self.written_from, self.written_to = offset, end
        else:
            self.written_from = min(self.written_from, offset)
            # A new end marker takes what was written behind it along.
            self.written_to = end if ends else max(self.written_to, end)
        self.written_ends = self.written_ends or ends

    def replace(self) -> None:
        """Note that all of the track was written anew behind its home address."""
        if self.damaged:
            self.damaged = False
            self.write(0, bytes(self.image or b"")[:HOME_ADDRESS_BYTES])

    def hand_over(self) -> Waiting[None]:
        """Have what was written on this track accepted."""
        if not self.written_to or self.image is None:
            return
        start, end = self.written_from, self.written_to
        data = bytes(memoryview(self.image)[start:end])
        request = WriteTrack(self.track, start, data, self.written_ends)
        self.written_to = 0
        self.written_ends = False
        try:
            yield request
        except DeviceError:
            raise UnitCheck(EQUIPMENT_CHECK) from None
        self.unsettled = True

    def finish(self) -> Waiting[None]:
        """Hand over what was written, wait until it is safe, and leave the arm where it is."""
        self.device.cylinder, self.device.head = self.cylinder, self.head
        yield from self.hand_over()
        if self.unsettled:
            self.unsettled = False
            try:
                yield Settle()
            except DeviceError:
                raise UnitCheck(EQUIPMENT_CHECK) from None
