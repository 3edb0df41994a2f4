"""Positions in a history, and what two histories are to each other (rules R2, R5).

A position is (lineage, csn, chain hash). Whether one site may follow another is decided by
ancestry alone, by comparing chain hashes and never by ids or clocks.
"""

import enum
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from emulator.errors import PeerError
from emulator.wire.checksum import CHAIN_BYTES, CHAIN_NONE

_NUMBER_MAX: Final = (1 << 64) - 1
# Older ones are forgotten: a site that was away for so many changes of role is refused as
# unrelated. The superblock has room for this many.
GENERATIONS_MAX: Final = 64
REASON_CHARS_MAX: Final = 100


class Generation(NamedTuple):
    """One life of a primary: who it was, and where it forked off."""

    number: int
    parent: int
    csn: int
    """The last csn of the parent that it builds on."""
    chain: bytes
    reason: str


class Position(NamedTuple):
    """A point in a history: everything up to and with `csn`."""

    generation: int
    csn: int
    chain: bytes

    def text(self) -> dict[str, Any]:
        """Return the position as status lines and events show it."""
        return {
            "lineage": f"{self.generation:016x}",
            "csn": self.csn,
            "hash": self.chain.hex(),
        }


NO_POSITION: Final = Position(0, 0, CHAIN_NONE)


class Ancestry(enum.Enum):
    """What the secondary's position is to the primary's history."""

    SAME = "same position"
    BEHIND = "ancestor, and the journal reaches it"
    TRIMMED = "ancestor, but the journal does not reach it any more"
    EMPTY = "the secondary holds no copy yet"
    AHEAD = "the secondary is ahead of its primary"
    FORK = "both sites have changes that the other lacks"
    UNRELATED = "the two volumes have no common history"


def encode_lineage(lineage: Sequence[Generation]) -> list[list[Any]]:
    """Return a lineage as JSON keeps it."""
    return [[g.number, g.parent, g.csn, g.chain.hex(), g.reason] for g in lineage]


def decode_lineage(rows: object) -> list[Generation]:
    """Return a lineage from JSON, or raise PeerError."""
    try:
        found = [
            Generation(
                int(number),
                int(parent),
                int(csn),
                bytes.fromhex(chain),
                str(reason)[:REASON_CHARS_MAX],
            )
            for number, parent, csn, chain, reason in rows  # type: ignore[attr-defined]
        ]
    except (TypeError, ValueError, OverflowError) as error:
        raise PeerError(f"the peer's lineage does not parse: {error}") from error
    if any(not 0 <= value <= _NUMBER_MAX for row in found for value in row[:3]):
        raise PeerError("the peer's lineage has a number out of range")
    if any(len(generation.chain) != CHAIN_BYTES for generation in found):
        raise PeerError("the peer's lineage has a chain hash of the wrong length")
    return found[-GENERATIONS_MAX:]


def took_over(lineage: Sequence[Generation], generation: int, csn: int) -> bool:
    """Return whether a site with this lineage has taken the primary's role over at this place."""
    return any(taken.parent == generation and taken.csn == csn for taken in lineage)


def relation(
    ours: Sequence[Generation],
    head: Position,
    known: dict[int, bytes],
    theirs: Sequence[Generation],
    peer: Position,
    *,
    complete: bool,
) -> Ancestry:
    """Return what a secondary at `peer` is to a primary whose newest csn is `head.csn`.

    `known` gives the chain hash at each csn that the primary can still prove: the last
    acknowledged position and every closed epoch that the journal keeps. When it is `complete`,
    a secondary of this primary can stand nowhere else behind the first of these; without the
    journal nobody can tell.
    """
    if not theirs:
        return Ancestry.EMPTY
    numbers = [generation.number for generation in ours]
    if peer.generation not in numbers:
        shared = [generation.number for generation in theirs if generation.number in numbers]
        return Ancestry.FORK if shared else Ancestry.UNRELATED
    if peer.generation != head.generation:
        # The peer stopped in an older generation: it may not lie beyond where ours forked off.
        child = ours[numbers.index(peer.generation) + 1]
        if peer.csn > child.csn or (peer.csn == child.csn and peer.chain != child.chain):
            return Ancestry.FORK
    if peer.csn > head.csn:
        return Ancestry.AHEAD
    chain = known.get(peer.csn)
    if chain is None:
        return Ancestry.FORK if complete and peer.csn > min(known) else Ancestry.TRIMMED
    if chain != peer.chain:
        return Ancestry.FORK
    return Ancestry.SAME if peer.csn == head.csn else Ancestry.BEHIND
