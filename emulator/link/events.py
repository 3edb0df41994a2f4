"""What a link tells the layer above.

Each `LinkUp` is followed by exactly one `LinkDown` before the next one. Leaves what to do about
it to the copy.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LinkUp:
    """Both ends have answered each other; records may be sent."""

    peer_site: str
    session: int
    """The same at both ends, never 0; see `hello.session_id`."""
    mtu_bytes: int


@dataclass(frozen=True, slots=True)
class LinkDown:
    """The session is over; records not reported kept may or may not have arrived."""

    reason: str


@dataclass(frozen=True, slots=True)
class LinkRefused:
    """The other end answers, but not as the one this link is for; said once for each reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class RecordReceived:
    """One whole record, in order; give `len(data)` back with `Link.release` when done with it."""

    kind: int
    group: int
    csn: int
    data: bytes


@dataclass(frozen=True, slots=True)
class RecordKept:
    """The other end has handed on, whole and in order, every record up to this one."""

    record: int


LinkEvent = LinkUp | LinkDown | LinkRefused | RecordReceived | RecordKept
