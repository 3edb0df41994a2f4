"""Fetch single tracks from the other site, to mend what a disk has lost.

Whoever asks judges what comes: by the checksum of what was there, or by both sites standing at
the same csn, which makes all their tracks equal (O3). Neither side's order or position changes.
"""

from collections.abc import Callable, Sequence
from typing import Final

from emulator.cache.tracks import TRACK_BITS, TRACK_MASK
from emulator.channel.blocks import TRACK_BYTES
from emulator.clock import SECOND_NS
from emulator.copy.group import Group
from emulator.copy.incoming import Incoming
from emulator.copy.messages import decode_text, encode_text, number
from emulator.copy.services import Asking, Until
from emulator.copy.states import Role
from emulator.errors import DeviceError, PeerError
from emulator.record.body import canonical_body
from emulator.record.changes import (
    RECORD_HEAD_BYTES,
    BadRecordError,
    Delta,
    RecordHead,
    decode_changes,
    decode_head,
    encode_head,
    record_chain,
)
from emulator.wire.checksum import CHAIN_NONE
from emulator.wire.layout import RecordKind

# One answer is as large as a record of copied tracks, for the same reason.
TRACKS_MAX: Final = 64
ANSWER_NS: Final = 2 * SECOND_NS

Images = dict[int, bytes]
Read = Callable[[Sequence[int], Callable[[Images | DeviceError], None]], None]
"""Reads by the cache's keys, without having anything mended."""


class Fetched:
    """What the other site has answered."""

    def __init__(self, csn: int, images: Images) -> None:
        self.csn = csn
        """Where it stood, if all up to there and nothing else is in the images; else 0."""
        self.images = images
        """By the group's keys; a track that it cannot read either is not there."""


class Fetching:
    """One group's asking and answering."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self._services = group.services
        self._incoming = Incoming(group.name, group.volumes)
        self.read: Read = _nothing
        """How tracks are read here; given by the processor."""
        self._number = 0
        self._answers: dict[int, Fetched | None] = {}
        self.up = False
        self.answered_tracks = 0

    def link_changed(self, *, up: bool) -> None:
        """Take note that the other site can be asked, or not."""
        self.up = up
        self._answers = dict.fromkeys(self._answers)

    def ask(self, keys: Sequence[int]) -> Asking[Fetched | None]:
        """Ask for tracks by the group's keys; None if no answer comes."""
        services, group = self._services, self._group
        if not self.up or services.link_room_bytes(group.link) <= 0:
            return None
        self._number += 1
        asked = self._number
        self._answers[asked] = None
        tracks = [[key >> TRACK_BITS, key & TRACK_MASK] for key in keys[:TRACKS_MAX]]
        text = encode_text(number=asked, tracks=tracks)
        services.link_send(group.link, RecordKind.FETCH, group.number, group.csn, text)
        limit_ns = services.now_ns + ANSWER_NS
        yield Until(
            lambda: self._answers[asked] is not None or not self.up or services.now_ns >= limit_ns
        )
        return self._answers.pop(asked)

    def received(self, kind: int, data: bytes) -> None:
        """Take what the other site asks or answers."""
        if kind == RecordKind.FETCH:
            self.asked(data)
        else:
            self.told(data)

    def asked(self, data: bytes) -> None:
        """Answer the other site."""
        fields = decode_text(data)
        asked = number(fields, "number")
        tracks = fields.get("tracks")
        if not isinstance(tracks, list) or not 0 < len(tracks) <= TRACKS_MAX:
            raise PeerError(
                f"the peer asks for {str(tracks)[:40]}, not for 1 to {TRACKS_MAX} tracks"
            )
        try:
            keys = [(volume << TRACK_BITS) + track for volume, track in tracks]
            site_keys = self._incoming.site_keys(keys)
        except (TypeError, ValueError, BadRecordError) as error:
            raise PeerError(f"the peer asks for tracks that do not exist: {error}") from error
        before = self._standing()

        def done(result: Images | DeviceError) -> None:
            images = {} if isinstance(result, DeviceError) else result
            found = [
                (key, 0, images[at])
                for key, at in zip(keys, site_keys, strict=True)
                if at in images
            ]
            same = before == self._standing() and not self._group.hollow
            csn = before if same else 0
            self._answer(asked, csn, sorted(found))

        self.read(site_keys, done)

    def _standing(self) -> int:
        """Return the csn that this site's tracks stand at, if they stand at one; else 0."""
        group = self._group
        if group.role is Role.PRIMARY:
            return group.csn if group.csn == group.durable_csn else 0
        return group.stream.acked.csn if group.consistent else 0

    def _answer(self, asked: int, csn: int, found: list[tuple[int, int, bytes]]) -> None:
        if not self.up:
            return
        group = self._group
        count, body = canonical_body(found)
        generation = group.generation()
        digest = record_chain(CHAIN_NONE, generation, asked, csn, 1, count, body)
        head = RecordHead(generation, asked, csn, CHAIN_NONE, digest, 1, count)
        self.answered_tracks += len(found)
        self._services.link_send(
            group.link, RecordKind.FETCHED, group.number, csn, [encode_head(head), body]
        )

    def told(self, data: bytes) -> None:
        """Take the other site's answer."""
        try:
            head = decode_head(data)
            body = memoryview(data)[RECORD_HEAD_BYTES:]
            digest = record_chain(CHAIN_NONE, *head[:3], head.final, head.changes, body)
            changes = decode_changes(body, head.changes)
            if digest != head.chain_after or any(isinstance(found, Delta) for found in changes):
                raise BadRecordError("fetched tracks are not what was sent")
            pieces = self._incoming.pieces(changes, {})
        except BadRecordError as error:
            raise PeerError(f"the peer's answer cannot be used: {error}") from error
        if head.csn_first in self._answers:
            images = {key: data for key, _start, data in pieces if len(data) == TRACK_BYTES}
            self._answers[head.csn_first] = Fetched(head.csn_last, images)

    def same_place(self, fetched: Fetched) -> bool:
        """Return whether the other site stands exactly where this one does (O3)."""
        mine = self._standing()
        return bool(mine) and fetched.csn == mine


def _nothing(_keys: Sequence[int], done: Callable[[Images | DeviceError], None]) -> None:
    """Stand in until the processor is built."""
    done({})
