"""How far a copying of tracks got, counted at both sites, so that no copied track is lost unseen.

A record of copied tracks has no csn: a secondary that loses the end of its journal while tracks
are copied to it still stands where it stood. So the records of one copying are numbered from 1,
and each site keeps the newest that it has journalled, or was told of, durably. A secondary that
comes back with fewer than it had confirmed has lost some of them, and gets everything anew.
"""

from typing import NamedTuple


class CopiedUpTo(NamedTuple):
    """The newest record of copied tracks that is safe, and which copying it belongs to."""

    copy_number: int = 0
    """0: no copying has been heard of."""
    record: int = 0
    """0: no record of it is safe yet."""

    def covers(self, told: "CopiedUpTo") -> bool:
        """Return whether a secondary that is here has all that it confirmed (W3)."""
        return self.copy_number != told.copy_number or self.record >= told.record


class Copied:
    """Both counts of a group."""

    __slots__ = ("here", "there")

    def __init__(self) -> None:
        self.here = CopiedUpTo()
        """What this site has of the newest copying, as its secondary."""
        self.there = CopiedUpTo()
        """What the other site has confirmed of the newest copying, as its primary."""
