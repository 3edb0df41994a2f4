"""The oracle's words: a record, how a program ends, and the sense of each refusal."""

from dataclasses import dataclass, field

CC, SLI, SKIP, PCI = 0x40, 0x20, 0x10, 0x80
REJECT = 0x80
COMMAND, SEQUENCE, SHORT, PARAMETER = ((REJECT, 0, n) for n in (1, 2, 3, 4))
INCOMPLETE = (REJECT | 1, 0, 0)
NOT_FOUND, PROTECTED, CYLINDER, FORMAT = (0, 8, 0), (0, 4, 0), (0, 0x20, 0), (0, 0x40, 0)


@dataclass
class Rec:
    id: bytes
    key: bytes
    data: bytes

    @property
    def count(self):
        return self.id + bytes((len(self.key),)) + len(self.data).to_bytes(2, "big")

    @property
    def number(self):
        return self.id[4]


class Refused(Exception):
    def __init__(self, bits):
        self.bits = bits


class Wrong(Exception):
    """Program check."""


@dataclass
class Outcome:
    unit: int = 0x0C
    channel: int = 0
    bits: tuple = ()
    steps: list = field(default_factory=list)


def two(data, at):
    return int.from_bytes(data[at : at + 2], "big")
