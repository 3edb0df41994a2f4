"""A host that speaks NBD to a session in bytes, and reads every field of what comes back."""

from typing import NamedTuple

from emulator.frontend.nbd import NbdSession
from emulator.frontend.nbd_protocol import (
    CHUNK,
    CHUNK_MAGIC,
    CLIENT_FLAGS,
    OPTION,
    OPTION_MAGIC,
    OPTION_REPLY,
    OPTION_REPLY_MAGIC,
    REQUEST,
    REQUEST_MAGIC,
    SIMPLE_REPLY,
    SIMPLE_REPLY_MAGIC,
    Chunk,
    Command,
    Option,
)
from tests.frontend.memory_volume import MemoryVolume

GREETING_BYTES = 18
OK = (1, b"")


class Reply(NamedTuple):
    """One simple reply or one chunk; `kind` is None for a simple reply."""

    handle: int
    kind: int | None
    flags: int
    error: int
    payload: bytes


def option(number: int, data: bytes = b"") -> bytes:
    return OPTION.pack(OPTION_MAGIC, number, len(data)) + data


def name_data(name: str, wanted: tuple[int, ...] = ()) -> bytes:
    """Data of INFO and GO."""
    text = name.encode()
    counts = b"".join(number.to_bytes(2, "big") for number in wanted)
    return len(text).to_bytes(4, "big") + text + len(wanted).to_bytes(2, "big") + counts


def context_data(name: str, *queries: str) -> bytes:
    """Data of LIST_META_CONTEXT and SET_META_CONTEXT."""
    texts = [name.encode(), *(query.encode() for query in queries)]
    head, *rest = [len(text).to_bytes(4, "big") + text for text in texts]
    return head + len(rest).to_bytes(4, "big") + b"".join(rest)


def request(
    command: int, handle: int, offset: int = 0, length: int = 0, flags: int = 0, data: bytes = b""
) -> bytes:
    length = length or len(data)
    head = REQUEST.pack(REQUEST_MAGIC, flags, command, handle.to_bytes(8, "big"), offset, length)
    return head + data


def option_replies(data: bytes) -> list[tuple[int, int, bytes]]:
    """Take answers to options apart: (option, answer, data)."""
    answers = []
    while data:
        magic, number, answer, length = OPTION_REPLY.unpack_from(data)
        assert magic == OPTION_REPLY_MAGIC
        stop = OPTION_REPLY.size + length
        assert len(data) >= stop
        answers.append((number, answer, data[OPTION_REPLY.size : stop]))
        data = data[stop:]
    return answers


def replies(data: bytes, reads: dict[int, int] | None = None) -> list[Reply]:
    """Take replies apart; `reads` gives the length of each simple read by its handle."""
    found = []
    while data:
        if int.from_bytes(data[:4], "big") == SIMPLE_REPLY_MAGIC:
            _, error, handle = SIMPLE_REPLY.unpack_from(data)
            number = int.from_bytes(handle, "big")
            length = (reads or {}).get(number, 0) if not error else 0
            stop = SIMPLE_REPLY.size + length
            found.append(Reply(number, None, 1, error, data[SIMPLE_REPLY.size : stop]))
        else:
            magic, flags, kind, handle, length = CHUNK.unpack_from(data)
            assert magic == CHUNK_MAGIC
            stop = CHUNK.size + length
            payload = data[CHUNK.size : stop]
            error = int.from_bytes(payload[:4], "big") if kind == Chunk.ERROR else 0
            found.append(Reply(int.from_bytes(handle, "big"), kind, flags, error, payload))
        assert len(data) >= stop
        data = data[stop:]
    return found


class Host:
    """A client that has opened an export."""

    def __init__(
        self,
        *volumes: MemoryVolume,
        structured: bool = False,
        context: bool = False,
        export: str = "",
    ) -> None:
        self.volumes = volumes or (MemoryVolume(),)
        self.volume = self.volumes[0]
        self.session = NbdSession({volume.name: volume for volume in self.volumes})
        self.send(CLIENT_FLAGS.pack(3))
        if structured or context:
            self.send(option(Option.STRUCTURED_REPLY))
        if context:
            self.send(option(Option.SET_META_CONTEXT, context_data(export, "base:allocation")))
        self.send(option(Option.GO, name_data(export)))
        assert option_replies(self.take()[GREETING_BYTES:])[-1][:2] == (Option.GO, 1)

    def send(self, data: bytes) -> None:
        buffer = bytearray(data)
        self.session.receive(memoryview(buffer))
        # The shell reads into the same buffer again: nothing may still look into it.
        buffer[:] = b"\xee" * len(buffer)

    def take(self) -> bytes:
        """Return all that the session has to say now."""
        said = []
        while buffers := self.session.outgoing():
            assert all(type(buffer) is bytes for buffer in buffers)
            said += buffers
        return b"".join(said)

    def ask(
        self, command: int, offset: int = 0, length: int = 0, flags: int = 0, data: bytes = b""
    ) -> list[Reply]:
        """Send one request with handle 7, let the volume answer, and return the reply."""
        self.send(request(command, 7, offset, length, flags, data))
        said = self.take()
        while self.volume.settle():
            said += self.take()
        found = replies(said, {7: length} if command == Command.READ else None)
        assert all(reply.handle == 7 for reply in found)
        return found

    def error(
        self, command: int, offset: int = 0, length: int = 0, flags: int = 0, data: bytes = b""
    ) -> int:
        """Send one request and return the error number of the one reply it gets."""
        (reply,) = self.ask(command, offset, length, flags, data)
        return reply.error
