"""Before a start: do the disks, their checksums and the nonvolatile store belong together?

A disk that is older than the store knows it to be is refused: everything that was written since
would be lost without a word (K13). A store that was lost in the last run is older than the disks.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from emulator.errors import CorruptError
from emulator.events import ChecksumsChanged, Event, StoreStale
from emulator.node.sums import TrackSums


class Kept(Protocol):
    """A device's checksum file, as far as it is needed here."""

    uri: str
    header: dict[str, Any] | None

    def begin(self) -> None:
        """Forget every checksum, and name the device anew."""

    def load(self, page: int) -> bytes:
        """Return a page of the table."""

    def mark(self, body: dict[str, Any] | None) -> None:
        """Say durably that the store was lost and what it would say; or that there is one."""


class Standing(NamedTuple):
    """What a start goes by."""

    sums: list[TrackSums | None]
    lost_body: dict[str, Any] | None
    """What the superblock would say, if the store was lost in the last run."""
    events: list[Event]


def judge(nvs: str, body: dict[str, Any] | None, files: Mapping[str, Kept | None]) -> Standing:
    """Compare what the store says (None: it is new) with every device's checksum file.

    Raises CorruptError for a disk that is older than the store.
    """
    events: list[Event] = []
    lost_body = _lost_body(list(files.values()))
    known = (lost_body or body or {}).get("disks", {})
    if lost_body is not None:
        reason = "its journal is older than the disks and is not replayed; all is copied anew"
        events.append(StoreStale(nvs, reason))
    sums: list[TrackSums | None] = []
    for name, file in files.items():
        if file is None:
            if name in known:
                events.append(ChecksumsChanged(name, "off", "the bench file names no file"))
            sums.append(None)
            continue
        if lost_body is None and body is None:
            # A new store: whoever begins anew may have written to the disk in any way.
            file.begin()
        else:
            _fit(name, known.get(name), file, events)
        header = file.header
        assert header is not None
        if lost_body is None and header["store_lost"] is not None:
            # Some disks were marked and others not: nothing had been written through yet.
            file.mark(None)
        sums.append(TrackSums(file.load, header["identity"], header["version"]))
    return Standing(sums, lost_body, events)


def _lost_body(files: list[Kept | None]) -> dict[str, Any] | None:
    bodies = [file.header.get("store_lost") if file and file.header else None for file in files]
    return bodies[0] if bodies and all(body is not None for body in bodies) else None


def _fit(name: str, known: list[Any] | None, file: Kept, events: list[Event]) -> None:
    header = file.header
    if known is None:
        file.begin()
        events.append(ChecksumsChanged(name, "new", "kept from now on"))
    elif header is None or header["identity"] != known[0]:
        file.begin()
        reason = "lost or of another disk; what the disk has now is taken for right"
        events.append(ChecksumsChanged(name, "replaced", reason))
    elif header["version"] < known[1]:
        raise CorruptError(
            file.uri,
            f"device {name} is at version {header['version']} and was at {known[1]}: an older copy "
            f"of its disk was put back. Put the newer one back; or remove the nonvolatile store, "
            f"and this site begins anew",
        )
