"""What an auditor has to say: an epoch that was right, a remark, or the first thing wrong."""

from dataclasses import asdict, dataclass
from typing import Any

from emulator.errors import CheckFailed


@dataclass(frozen=True, slots=True)
class PrefixOk:
    """A copy has applied an epoch, and is what it must be at its last csn (O3)."""

    site: str
    csn_first: int
    csn_last: int
    tracks: int

    def __str__(self) -> str:
        return (
            f"prefix OK: site {self.site} at csn {self.csn_last} (epoch of csn {self.csn_first} to "
            f"{self.csn_last}, {self.tracks} tracks)"
        )


@dataclass(frozen=True, slots=True)
class ScanOk:
    """Every track of a site's volumes was compared, as far as it is known."""

    site: str
    csn: int
    tracks: int
    unknown: int

    def __str__(self) -> str:
        rest = f"; {self.unknown} not known yet" if self.unknown else ""
        return f"whole image OK: site {self.site} at csn {self.csn}, {self.tracks} tracks{rest}"


@dataclass(frozen=True, slots=True)
class Remark:
    """Something that a reader of the verdict should know."""

    text: str

    def __str__(self) -> str:
        return f"note: {self.text}"


Finding = PrefixOk | ScanOk | Remark


class AuditViolation(CheckFailed):
    """A rule of the semantics does not hold on this bench; the first one ends the audit."""

    def __init__(
        self, rule: str, found: str, csn: int, volume: str = "", track: int | None = None
    ) -> None:
        place = "" if track is None else f", track {track} of {volume}"
        super().__init__(f"{rule} does not hold: csn {csn}{place}: {found}")
        self.rule = rule
        self.csn = csn
        self.volume = volume
        self.track = track
        self.found = found

    def as_object(self) -> dict[str, Any]:
        """Return the violation for programs."""
        names = ("rule", "csn", "volume", "track", "found")
        return {name: getattr(self, name) for name in names}


@dataclass(slots=True)
class Tally:
    """What was looked at, so that "OK" can be weighed."""

    epochs: int = 0
    epochs_not_judged: int = 0
    """Applied while the copy was being made, or before this auditor had heard enough."""
    epoch_tracks: int = 0
    changes: int = 0
    changes_not_heard: int = 0
    answered_csn: int = 0
    scans: int = 0
    scanned_tracks: int = 0
    copy_tracks: int = 0
    """Tracks of whole images of the copy that were compared with what they must be."""
    host_writes: int = 0
    """Acknowledged writes of hosts' own journals that were found among the changes."""
    reconnections: int = 0

    def as_object(self) -> dict[str, Any]:
        """Return the figures for programs."""
        return asdict(self)
