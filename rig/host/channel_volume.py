"""Volumes over the native channel, for whoever wants contents and not channel programs.

`BlockChannel` reads and writes bytes of a fixed-block device, with the verbs of our NBD client, so
that the same loads and checks run over either. `TrackChannel` reads, updates and formats tracks
of a count-key-data device. Relies on `programs.py` for the programs.
"""

from collections.abc import Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import NamedTuple, Self

from emulator.channel.blocks import BLOCK_BYTES
from emulator.channel.ccw import Ccw
from emulator.channel.geometry import Geometry, geometry, is_kind
from emulator.channel.parameters import Address
from emulator.channel.track_image import END_MARKER, NewRecord
from emulator.errors import BenchError, DeviceError
from emulator.frontend.nbd_protocol import Command
from rig.host.channel import Channel, connect_channel
from rig.host.channel_device import ChannelDevice, ChannelResult
from rig.host.programs import (
    READ_CHARACTERISTICS,
    Volume,
    format_track,
    read_blocks,
    read_record,
    read_track,
    update_records,
    write_blocks,
)

PROGRAM_BLOCKS = 120
"""Blocks that one program reads or writes: what a CCW counts, in whole tracks of 4 KiB."""
_CHARACTERISTICS_BYTES = 32
_BLOCKS_AT = 14
_EXTENDED_TYPES = (0x3380, 0x3390, 0x9345)
_COUNT_BYTES = 8


class TrackRecord(NamedTuple):
    """One record as it lies on its track."""

    cylinder: int
    head: int
    number: int
    key: bytes
    data: bytes


class _Submitted(NamedTuple):
    """Programs that carry one read or write of bytes."""

    futures: list["Future[ChannelResult]"]
    what: str


class BlockChannel:
    """A fixed-block device as a run of bytes; whole blocks only."""

    def __init__(self, channel: Channel, device: ChannelDevice) -> None:
        self.uri = channel.uris[0]
        self._channel = channel
        self._device = device
        told = device.must(
            [Ccw(READ_CHARACTERISTICS, _CHARACTERISTICS_BYTES)], "read device characteristics"
        ).data
        self.size_bytes = int.from_bytes(told[_BLOCKS_AT : _BLOCKS_AT + 4], "big") * BLOCK_BYTES
        self._under_way: dict[int, _Submitted] = {}
        self._ticket = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def unanswered(self) -> frozenset[int]:
        """Tickets of what has no answer yet."""
        return frozenset(
            ticket
            for ticket, sent in self._under_way.items()
            if not all(future.done() for future in sent.futures)
        )

    def submit(self, command: Command, offset: int, data: bytes) -> int:
        """Begin to write `data`; return the ticket to wait for."""
        if command is not Command.WRITE:
            raise BenchError(f"{self.uri}: only writes are submitted over a channel")
        self._ticket += 1
        pieces = self._pieces(offset, len(data))
        futures = [
            self._device.start(write_blocks(block, data[at : at + blocks * BLOCK_BYTES]))
            for block, blocks, at in pieces
        ]
        self._under_way[self._ticket] = _Submitted(futures, f"write of {len(data)} at {offset}")
        return self._ticket

    def wait(self, ticket: int) -> bytes:
        """Return when a write has ended well; DeviceError with status and sense if it has not."""
        sent = self._under_way.pop(ticket)
        for future in sent.futures:
            _check(self._device, future.result(), sent.what)
        return b""

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes at `offset`; any alignment."""
        first = offset // BLOCK_BYTES * BLOCK_BYTES
        last = -(-(offset + length) // BLOCK_BYTES) * BLOCK_BYTES
        futures = [
            self._device.start(read_blocks(block, blocks))
            for block, blocks, _ in self._pieces(first, last - first)
        ]
        what = f"read of {length} at {offset}"
        data = b"".join(_check(self._device, future.result(), what).data for future in futures)
        return data[offset - first : offset - first + length]

    def write(self, offset: int, data: bytes, *, fua: bool = False) -> None:
        """Write whole blocks; every write over a channel is as safe as its group demands."""
        del fua
        self.wait(self.submit(Command.WRITE, offset, data))

    def flush(self) -> None:
        """Wait until every write that was begun has ended."""
        for ticket in list(self._under_way):
            self.wait(ticket)

    def close(self) -> None:
        """Give the channel back."""
        self._channel.close()

    def _pieces(self, offset: int, length: int) -> list[tuple[int, int, int]]:
        """Return block, number of blocks, and place in the data of each program's share."""
        if offset % BLOCK_BYTES or length % BLOCK_BYTES:
            raise BenchError(
                f"{self.uri}: {length} bytes at {offset}; a fixed-block device takes whole blocks "
                f"of {BLOCK_BYTES}"
            )
        step = PROGRAM_BLOCKS * BLOCK_BYTES
        return [
            ((offset + at) // BLOCK_BYTES, min(step, length - at) // BLOCK_BYTES, at)
            for at in range(0, length, step)
        ]


class TrackChannel:
    """A count-key-data device as tracks of records."""

    def __init__(self, channel: Channel, device: ChannelDevice) -> None:
        self.uri = channel.uris[0]
        self.device = device
        self._channel = channel
        model = geometry(device.row.kind)
        self.extended = model.device_type in _EXTENDED_TYPES
        if self.extended:
            told = device.must([Ccw(READ_CHARACTERISTICS, 64)], "read device characteristics").data
            model = model.with_cylinders(int.from_bytes(told[12:14], "big"))
        self.geometry: Geometry = model
        self.volume = Volume(
            (model.cylinders - 1, model.heads - 1), self.extended, model.records_per_track(0, 1)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def check_track(self, track: Address) -> None:
        """Refuse an address that the volume does not have."""
        if not self.geometry.has(*track):
            last = "/".join(map(str, self.volume.last))
            raise BenchError(f"{self.uri}: no track {track[0]}/{track[1]}; the last one is {last}")

    def check_plan(
        self, first_track: int, tracks: int, records: int, key: int, length: int
    ) -> None:
        """Refuse tracks that the volume does not have, and records that do not fit on one."""
        if not tracks or first_track + tracks > self.geometry.tracks:
            raise BenchError(
                f"{self.uri}: {tracks} tracks from {first_track} on; the volume has "
                f"{self.geometry.tracks}"
            )
        room = self.geometry.records_per_track(key, length)
        if records > room:
            raise BenchError(
                f"{self.uri}: {records} records of {length} bytes; a track holds {room} of them"
            )

    def read_record(self, track: Address, record: int) -> bytes:
        """Return the data of one record."""
        self.check_track(track)
        program = read_record(self.volume, track, record, 0xFFFF)
        what = f"read record {track[0]}/{track[1]}/{record}"
        return self.device.must(program, what).data

    def read_track(self, track: Address) -> list[TrackRecord]:
        """Return the records of a track from R1 on."""
        self.check_track(track)
        result = self.device.run(read_track(self.volume, track))
        return self.records_of(_check(self.device, result, f"read track {track[0]}/{track[1]}"))

    def records_of(self, result: ChannelResult) -> list[TrackRecord]:
        """Return the records from R1 on that a program of `read_track` has brought."""
        if self.extended:
            return records_in(result.data)[1:]
        found: list[TrackRecord] = []
        for row in result.transfers:
            [record] = records_in(bytes(row.data) + END_MARKER)
            if found and record[:3] == found[0][:3]:
                break
            found.append(record)
        return found

    def start_update(
        self, track: Address, contents: Sequence[tuple[int, bytes]]
    ) -> "Future[ChannelResult]":
        """Begin to write the data of records in place."""
        return self.device.start(update_records(self.volume, track, contents))

    def start_format(
        self, track: Address, records: Sequence[NewRecord], *, whole: bool = False
    ) -> "Future[ChannelResult]":
        """Begin to write a track anew behind its R0; with `whole`, from its home address on."""
        return self.device.start(format_track(self.volume, track, records, whole=whole))

    def settle(self, future: "Future[ChannelResult]", what: str) -> ChannelResult:
        """Return a result that ended well; DeviceError with status and sense if it did not."""
        return _check(self.device, future.result(), what)

    def close(self) -> None:
        """Give the channel back."""
        self._channel.close()


def records_in(image: bytes) -> list[TrackRecord]:
    """Return the records of a track that was read from R0 (or R1) to its end marker."""
    found: list[TrackRecord] = []
    at = 0
    while image[at : at + _COUNT_BYTES] != END_MARKER and len(image) - at >= _COUNT_BYTES:
        count = image[at : at + _COUNT_BYTES]
        cylinder, head = int.from_bytes(count[:2], "big"), int.from_bytes(count[2:4], "big")
        key_at = at + _COUNT_BYTES
        data_at = key_at + count[5]
        at = data_at + int.from_bytes(count[6:8], "big")
        record = TrackRecord(cylinder, head, count[4], image[key_at:data_at], image[data_at:at])
        found.append(record)
    return found


def open_volume(uris: Sequence[str], *, depth: int = 16) -> BlockChannel | TrackChannel:
    """Connect over the paths given and open the device, as blocks or as tracks."""
    channel = connect_channel(uris, depth=depth)
    try:
        device = channel.device()
        if is_kind(device.row.kind):
            return TrackChannel(channel, device)
        return BlockChannel(channel, device)
    except BaseException:
        channel.close()
        raise


def _check(device: ChannelDevice, result: ChannelResult, what: str) -> ChannelResult:
    if not result.ended_well:
        raise DeviceError(f"device {device.address:04X}", f"{what}: {result}")
    return result
