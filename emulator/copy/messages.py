"""What the two ends of a group tell each other besides records of changes: small JSON texts.

A text that does not parse, or lacks a field, raises PeerError; nothing of it is used.
"""

import json
from typing import Any, Final, NamedTuple

from emulator.copy.copied import CopiedUpTo
from emulator.copy.lineage import Generation, Position, decode_lineage, encode_lineage
from emulator.errors import PeerError
from emulator.wire.checksum import CHAIN_BYTES, Buffer

# A lineage of a thousand generations is about 100 KB.
TEXT_BYTES_MAX: Final = 256 * 1024
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"))


class PeerPosition(NamedTuple):
    """What a site says of itself when a link comes up."""

    group: str
    role: str
    lineage: list[Generation]
    position: Position
    consistent: bool
    copy_number: int
    copied: CopiedUpTo
    volumes: list[tuple[str, int]]
    epoch_tracks: int
    stopped: str
    """Why this site will not take records; empty when it will."""


def encode_text(**fields: object) -> list[Buffer]:
    """Return a text as the parts of a record."""
    return [_ENCODER.encode(fields).encode()]


def decode_text(data: Buffer) -> dict[str, Any]:
    """Return the fields of a text."""
    if len(data) > TEXT_BYTES_MAX:
        raise PeerError(f"the peer sent a text of {len(data)} bytes")
    try:
        fields = json.loads(bytes(data))
    except (ValueError, RecursionError) as error:
        raise PeerError(f"the peer sent a text that does not parse: {error}") from error
    if not isinstance(fields, dict):
        raise PeerError("the peer sent a text that is no object")
    return fields


def number(fields: dict[str, Any], name: str) -> int:
    """Return a whole number of a text."""
    value = fields.get(name)
    if not isinstance(value, int) or not 0 <= value < 1 << 64:
        raise PeerError(f"the peer's {name} is {value!r}, not a whole number")
    return value


def chain(fields: dict[str, Any], name: str = "chain") -> bytes:
    """Return a chain hash of a text."""
    try:
        value = bytes.fromhex(fields[name])
    except (KeyError, TypeError, ValueError) as error:
        raise PeerError(f"the peer's {name} is missing or no hash") from error
    if len(value) != CHAIN_BYTES:
        raise PeerError(f"the peer's {name} has {len(value)} bytes, not {CHAIN_BYTES}")
    return value


def encode_position(said: PeerPosition) -> list[Buffer]:
    """Return a position text."""
    return encode_text(
        group=said.group,
        role=said.role,
        lineage=encode_lineage(said.lineage),
        generation=said.position.generation,
        csn=said.position.csn,
        chain=said.position.chain.hex(),
        consistent=said.consistent,
        copy=said.copy_number,
        copied_copy=said.copied.copy_number,
        copied_record=said.copied.record,
        volumes=said.volumes,
        epoch_tracks=said.epoch_tracks,
        stopped=said.stopped,
    )


def decode_position(data: Buffer) -> PeerPosition:
    """Return what a position text says."""
    fields = decode_text(data)
    try:
        volumes = [(str(name), int(size)) for name, size in fields["volumes"]]
        group, role = str(fields["group"]), str(fields["role"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise PeerError(f"the peer's position lacks a field: {error}") from error
    return PeerPosition(
        group,
        role,
        decode_lineage(fields.get("lineage")),
        Position(number(fields, "generation"), number(fields, "csn"), chain(fields)),
        bool(fields.get("consistent")),
        number(fields, "copy"),
        CopiedUpTo(number(fields, "copied_copy"), number(fields, "copied_record")),
        volumes,
        number(fields, "epoch_tracks"),
        str(fields.get("stopped", "")),
    )
