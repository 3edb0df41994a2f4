"""What an auditor beside the bench is told: every change, every answer, every epoch applied.

Off until somebody listens, and then cheap: whole tracks are named by the hash of their contents,
only parts of tracks are carried, with the track that they were laid over. An auditor can so
compute every track of the copy itself, and believes neither site (O1, O3, O4, A).

The first changes after a start are kept for an auditor who is on its way back to a site that was
killed. Leaves the socket to `node/operators.py`, and every judgement to the auditor.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from emulator.cache.tracks import TRACK_BITS, TRACK_MASK, ZERO_TRACK
from emulator.channel.blocks import TRACK_BYTES
from emulator.copy.lineage import encode_lineage
from emulator.copy.states import Role
from emulator.events import CopyProgress, Event, JournalOverflow, PairChanged, RoleChanged
from emulator.wire.checksum import Buffer, content_hash

if TYPE_CHECKING:
    from collections.abc import Iterable

    from emulator.copy.group import Group

KEPT_ROWS_MAX: Final = 65536
"""Rows kept after a start until an auditor comes; with more, nobody is coming, and it is off."""
PART_ROWS: Final = 64
"""As how many rows the contents that come with a part of a track count."""
ZERO_HASH: Final = content_hash(ZERO_TRACK)

Item = list[Any]
"""Kind, group, and what there is to say; the kinds are the methods below."""
_TOLD_EVENTS: Final = (CopyProgress, JournalOverflow, PairChanged, RoleChanged)


class AuditFeed:
    """Gathers what auditors are told; the shell takes it away, in order."""

    def __init__(self) -> None:
        self.on = False
        """Whether anybody listens, or may come to listen."""
        self.items: list[Item] = []
        self._keeping = False
        self._kept_rows = 0
        self._told: dict[str, int] = {}

    def keep(self, groups: Iterable[Group]) -> None:
        """Keep the first items after a start for an auditor who is to come."""
        self._keeping = self.on = True
        self._kept_rows = 0
        self._stand(groups)

    def begin(self, groups: Iterable[Group]) -> None:
        """Gather from now on; the first auditor after a start gets what was kept as well."""
        if not self._keeping:
            self._stand(groups)
        self._keeping = False
        self.on = True

    def end(self) -> None:
        """Gather nothing more: nobody listens."""
        self.on = self._keeping = False
        self.items.clear()

    def take(self) -> list[Item]:
        """Return what there is to tell since the last call."""
        items, self.items = self.items, []
        return items

    def _stand(self, groups: Iterable[Group]) -> None:
        for group in groups:
            if group.role is not Role.NONE:
                self.standing(group)

    def _add(self, rows: int, *item: object) -> None:
        self.items.append(list(item))
        if self._keeping:
            self._kept_rows += 1 + rows
            if self._kept_rows > KEPT_ROWS_MAX:
                self.end()

    # What is told.

    def standing(self, group: Group) -> None:
        """Tell where this site stands: its role, history, position and promises."""
        primary = group.role is Role.PRIMARY
        said = {
            "role": group.role.value,
            "state": group.state.value,
            "ack": group.ack.value,
            "consistent": group.consistent,
            "csn": group.csn if primary else group.stream.acked.csn,
            "generation": group.generation() if primary else group.stream.acked.generation,
            "lineage": encode_lineage(group.lineage),
            "volumes": [[volume.name, volume.tracks] for volume in group.volumes],
        }
        self._add(0, "standing", group.name, said)

    def run(self, group: Group, csn: int, volume: int, track: int, data: Buffer) -> None:
        """Tell that whole tracks were accepted from a host: the hash of each."""
        view = memoryview(data)
        hashes = [
            content_hash(view[start : start + TRACK_BYTES])
            for start in range(0, len(view), TRACK_BYTES)
        ]
        self._add(len(hashes), "run", group.name, csn, volume, track, hashes)

    def part(
        self, group: Group, volume: int, track: int, offset: int, data: Buffer, old: bytes
    ) -> None:
        """Tell that a part of a track was accepted, and what it was laid over."""
        texts = (b64encode(data).decode(), b64encode(old).decode())
        self._add(PART_ROWS, "part", group.name, group.csn, volume, track, offset, *texts)

    def zeros(self, group: Group, volume: int, track: int, tracks: int) -> None:
        """Tell that whole tracks were made zero."""
        self._add(0, "zeros", group.name, group.csn, volume, track, tracks)

    def answered(self, group: Group) -> None:
        """Tell up to where hosts are told that their writes are complete (A)."""
        csn = group.replies.released_csn
        if self._told.get(group.name, 0) != csn:
            self._told[group.name] = csn
            self._add(0, "answered", group.name, csn, group.state.value)

    def applied(self, group: Group, csn_first: int, keys: Iterable[int]) -> None:
        """Tell that an epoch was applied: what its tracks read as now (O3, O7)."""
        acked = group.stream.acked
        said = {
            "generation": acked.generation,
            "first": csn_first,
            "csn": acked.csn,
            "chain": acked.chain.hex(),
            "consistent": group.consistent,
        }
        peek = group.services.cache.peek
        rows = []
        for key in dict.fromkeys(keys):
            volume = group.volumes[key >> TRACK_BITS]
            image = peek(volume.site_key(key))
            assert image is not None, "what was applied is in the cache"
            rows.append([volume.index, key & TRACK_MASK, content_hash(image)])
        self._add(len(rows), "applied", group.name, said, rows)

    def event(self, event: Event, groups: dict[str, Group]) -> None:
        """Tell what changed about a copy; where that moves its position, also where it stands."""
        if not isinstance(event, _TOLD_EVENTS) or event.group not in groups:
            return
        self._add(0, "event", event.group, type(event).__name__, asdict(event))
        if isinstance(event, CopyProgress | RoleChanged):
            self.standing(groups[event.group])
