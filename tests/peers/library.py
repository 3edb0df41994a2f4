"""A partitioned data set as an access method writes it: directory, members, ends of file.

    directory({"ALPHA": 1})     the records of its first track
    member(["TEXT", "MORE"])    those of a track with one member

Blocks have 800 bytes of 80-byte lines in EBCDIC, as `peer.pds.data` was made (`hercules_stage.py`).
Facts are IBM's, from DFSMS Using Data Sets, SC23-6855.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from emulator.channel.track_image import NewRecord
from tests.peers.hercules_stage import tool

DIRECTORY_BLOCKS = 5
LINE, BLOCK, DIRECTORY = 80, 800, 256
_LAST = b"\xff" * 8


def directory(members: Mapping[str, int]) -> list[NewRecord]:
    """Return the directory's records; `members` has each one's track within the data set."""
    entries = b"".join(
        name.encode("cp037").ljust(8, b"\x40") + bytes((0, track, 1)) + bytes(1)
        for name, track in sorted(members.items())
    )
    body = entries + _LAST
    used = (len(body) + 2).to_bytes(2, "big") + body
    blocks = [NewRecord(1, used.ljust(DIRECTORY, b"\0"), _LAST)]
    blocks += [NewRecord(at, bytes(DIRECTORY), bytes(8)) for at in range(2, DIRECTORY_BLOCKS + 1)]
    return [*blocks, NewRecord(DIRECTORY_BLOCKS + 1)]


def block(lines: Sequence[str]) -> bytes:
    """Return lines of text as they lie in a block."""
    return b"".join(line.encode("cp037").ljust(LINE, b"\x40") for line in lines)


def member(lines: Sequence[str]) -> list[NewRecord]:
    """Return the records of a member, with its end of file."""
    data = block(lines)
    pieces = [data[at : at + BLOCK] for at in range(0, len(data), BLOCK)]
    return [
        *(NewRecord(at, piece) for at, piece in enumerate(pieces, 1)),
        NewRecord(len(pieces) + 1),
    ]


def member_text(image: Path, name: str) -> list[str]:
    """Return a member's lines as dasdcat reads them from a volume."""
    # It ends with 1 whatever it finds; what it found is what it prints.
    said = tool("dasdcat", "-i", image, f"PEER.PDS.DATA/{name}:ac", status=1)
    lines = said.split("Hercules DASD cat program")[0].splitlines()
    return [line.rstrip() for line in lines]
