"""System/370 machine code with labels, put together instruction by instruction.

Knows instruction formats and places, not what an instruction does; `guest.py` has their codes.
"""

import struct


class Code:
    """Machine code with labels, all below 4096, so that no base register is needed."""

    def __init__(self, start: int) -> None:
        self.start = start
        self.code = bytearray()
        self.labels: dict[str, int] = {}
        self._fixes: list[tuple[int, str]] = []

    def label(self, name: str) -> None:
        """Call the place of the next instruction by a name."""
        self.labels[name] = self.start + len(self.code)

    def rx(self, opcode: int, register: int, place: int | str, index: int = 0) -> None:
        """Add an instruction with a register and an address; branches have the mask there."""
        address = place if isinstance(place, int) else 0
        if isinstance(place, str):
            self._fixes.append((len(self.code) + 2, place))
        base = index << 12
        self.code += struct.pack(">BBH", opcode, register << 4, base | address)

    def rr(self, opcode: int, first: int, second: int) -> None:
        """Add an instruction with two registers."""
        self.code += bytes((opcode, first << 4 | second))

    def ss(self, opcode: int, length: int, first: int, second: int) -> None:
        """Add a storage to storage instruction; places are base << 12 | displacement."""
        self.code += struct.pack(">BBHH", opcode, length - 1, first, second)

    def s(self, opcode: int, place: int) -> None:
        """Add an instruction with one place, and an opcode of two bytes."""
        self.code += struct.pack(">HH", opcode, place)

    def fix(self) -> bytes:
        """Return the code, with the addresses of labels where they are named."""
        for at, name in self._fixes:
            (old,) = struct.unpack_from(">H", self.code, at)
            struct.pack_into(">H", self.code, at, old | self.labels[name])
        return bytes(self.code)
