"""Scripted Hercules hosts of both versions, joined to sessions by nothing but calls."""

import struct
from collections.abc import Callable
from typing import NamedTuple

from emulator.channel.geometry import geometry
from emulator.channel.track_image import NewRecord, build
from emulator.channel.track_store import TrackStore
from emulator.frontend.shared_device import SharedDevice
from emulator.frontend.shared_identity import SharedIdentity
from emulator.frontend.shared_session import SharedSession
from emulator.frontend.shared_wire import HEADER, Code, Opcode
from tests.frontend.memory_volume import MemoryVolume

GEOMETRY = geometry("3390-1", 2)
NUMBER = 0x0A00
IDENTITY = SharedIdentity(
    cylinders=GEOMETRY.cylinders,
    tracks=GEOMETRY.tracks,
    image_bytes=GEOMETRY.image_bytes,
    characteristics=bytes.fromhex(
        "3990E9339002500010102026 0002 000F E000E5A2 05940222 13090674".replace(" ", "")
    ).ljust(64, b"\0"),
    identity=bytes.fromhex("FF3990E933900200"),
    serial=b"DC0000000001",
    control_unit_type=0x3990,
    control_unit_model=0xE9,
    sense_bytes=32,
    release=3,
)


class Answer(NamedTuple):
    code: int
    status: int
    device: int
    length: int
    client_id: int
    data: bytes


class Unit:
    """A control unit with one device in memory, driven by hand."""

    def __init__(self, *, reads_wait: bool = False, grace_ns: int = 5_000_000_000) -> None:
        self.volume = MemoryVolume(
            size_bytes=GEOMETRY.tracks * GEOMETRY.slot_bytes, reads_wait=reads_wait
        )
        self.events: list[object] = []
        self.store = TrackStore(self.volume, GEOMETRY, self.events.append)
        self.device = SharedDevice(
            NUMBER, self.store, IDENTITY, self.events.append, grace_ns=grace_ns
        )
        self.now_ns = 1
        self.device.wake(1)

    def fill(self, track: int, *records: NewRecord) -> bytes:
        """Put a track on the volume as if it had always been there."""
        image = build(*GEOMETRY.address(track), records)
        at = track * GEOMETRY.slot_bytes
        self.volume.contents[at : at + GEOMETRY.slot_bytes] = image.ljust(
            GEOMETRY.slot_bytes, b"\0"
        )
        return image

    def image(self, track: int) -> bytes:
        at = track * GEOMETRY.slot_bytes
        return bytes(self.volume.contents[at : at + GEOMETRY.slot_bytes])

    def session(self, address: str = "10.0.0.1") -> SharedSession:
        return SharedSession({NUMBER: self.device}, address)

    def host(self, address: str = "10.0.0.1", release: int = 1, **keys: int) -> "Host":
        return Host(self, address, release, **keys)

    def later(self, nanoseconds: int) -> None:
        self.now_ns += nanoseconds
        self.device.wake(self.now_ns)


class Host:
    """A host's end: sends requests, keeps its id over connections, as 3.13 (1) or 4.x (3)."""

    def __init__(self, unit: Unit, address: str, release: int, client_id: int = 0) -> None:
        self.unit = unit
        self.address = address
        self.release = release
        self.id = client_id
        self.session = unit.session(address)
        self._answers = bytearray()

    def connect(self) -> "Host":
        found = self.ask(Opcode.CONNECT, self.release)
        assert found.code == Code.OK, found
        (self.id,) = struct.unpack(">H", found.data)
        return self

    def reconnect(self) -> "Host":
        """Come back as this version does: 3.13 says CONNECT with its old id, 4.x says nothing."""
        self.session.disconnected()
        self.session = self.unit.session(self.address)
        self._answers.clear()
        return self.connect() if self.release < 3 else self

    def send(self, opcode: int, flag: int = 0, data: bytes = b"", number: int = NUMBER) -> None:
        message = HEADER.pack(opcode, flag, number, len(data), self.id) + data
        self.session.receive(message)

    def answers(self) -> list[Answer]:
        self._answers += b"".join(self.session.outgoing())
        found = []
        while len(self._answers) >= 8:
            head = HEADER.unpack_from(self._answers)
            if len(self._answers) < 8 + head[3]:
                break
            found.append(Answer(*head, bytes(self._answers[8 : 8 + head[3]])))
            del self._answers[: 8 + head[3]]
        return found

    def ask(self, opcode: int, flag: int = 0, data: bytes = b"", number: int = NUMBER) -> Answer:
        """Send a request that is answered at once, with what the volume then settles."""
        self.send(opcode, flag, data, number)
        self.unit.volume.settle()
        (answer,) = self.answers()
        return answer

    def start(self) -> Answer:
        return self.ask(Opcode.START)

    def end(self) -> Answer:
        return self.ask(Opcode.END)

    def read(self, track: int) -> Answer:
        return self.ask(Opcode.READ, 0, struct.pack(">I", track))

    def write(self, track: int, offset: int, data: bytes) -> Answer:
        return self.ask(Opcode.WRITE, 0, struct.pack(">HI", offset, track) + data)

    def program(self, *steps: Callable[["Host"], Answer]) -> list[Answer]:
        """Run a channel program: START, the steps, END."""
        return [self.start(), *(step(self) for step in steps), self.end()]
