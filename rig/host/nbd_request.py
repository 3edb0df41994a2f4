"""A request of our NBD client while it is under way, and the place for what it reads.

Relies on the protocol's numbers in `emulator/frontend`. Leaves matching replies with requests to
`nbd_client.py`.
"""

import struct
from dataclasses import dataclass

from emulator.frontend.nbd_protocol import Chunk, Command, Errno

_ERROR = struct.Struct(">IH")
_HOLE = struct.Struct(">QI")
_OFFSET_BYTES = 8


@dataclass(slots=True)
class NbdRequest:
    """A request without a full reply, and the place for what it reads."""

    command: Command
    offset: int
    length: int
    contents: bytearray
    missing_bytes: int

    def take_chunk(self, kind: int, payload: memoryview) -> tuple[int, str]:
        """Put what a chunk holds in its place; return an error number and its text, or 0.

        Raises ValueError or struct.error when the chunk makes no sense.
        """
        if kind >= Chunk.ERROR:
            error, text_bytes = _ERROR.unpack_from(payload)
            text = bytes(payload[_ERROR.size : _ERROR.size + text_bytes])
            return error or Errno.EINVAL, text.decode(errors="replace")
        if kind == Chunk.NONE:
            return 0, ""
        if kind not in {Chunk.OFFSET_DATA, Chunk.OFFSET_HOLE} or len(payload) <= _OFFSET_BYTES:
            raise ValueError(f"chunk of type {kind} and {len(payload)} bytes")
        data: bytes | memoryview = payload[_OFFSET_BYTES:]
        if kind == Chunk.OFFSET_HOLE:
            offset, hole_bytes = _HOLE.unpack(payload)
            data = bytes(min(hole_bytes, self.length + 1))
        else:
            offset = int.from_bytes(payload[:_OFFSET_BYTES], "big")
        start = offset - self.offset
        if start < 0 or start + len(data) > len(self.contents):
            raise ValueError(f"{len(data)} bytes at {offset} lie outside what was asked for")
        self.contents[start : start + len(data)] = data
        self.missing_bytes -= len(data)
        return 0, ""
