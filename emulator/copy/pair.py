"""One group's copy at this site: what arrives on the link, who is primary, how roles change.

Both ends say their position when the link comes up; the primary decides what follows (R5). The
role is handed over in steps, each durable before the next (R1): hold host writes, drain, demote
here, promote there. At every instant there is one primary or none.
"""

from collections.abc import Callable
from typing import Any

from emulator.copy.fetching import Fetching
from emulator.copy.group import Group
from emulator.copy.lineage import (
    GENERATIONS_MAX,
    REASON_CHARS_MAX,
    Generation,
    Position,
    decode_lineage,
    encode_lineage,
    took_over,
)
from emulator.copy.messages import (
    PeerPosition,
    chain,
    decode_position,
    decode_text,
    encode_position,
    encode_text,
    number,
)
from emulator.copy.primary import Primary
from emulator.copy.secondary import Secondary
from emulator.copy.services import Saved, Step, Until
from emulator.copy.standing import Standing
from emulator.copy.states import PairState, Role, Signal
from emulator.errors import PeerError, UnavailableError
from emulator.events import RoleChanged
from emulator.wire.layout import RecordKind

_Answer = Callable[[str | None], None]
"""Told the outcome of an operator's order: None for done, or why not."""


class Pair:
    """The copy of one group, whichever role this site has."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self.services = group.services
        self.primary = Primary(group)
        self.secondary = Secondary(group)
        self.standing = Standing(group)
        self.fetching = Fetching(group)
        self._session = 0
        self._said = (0, Role.NONE)
        self._up = False
        self.peer: PeerPosition | None = None

    # The link.

    def link_up(self) -> None:
        """Say our position as soon as everything journalled is applied."""
        if self.group.store_lost:
            self.services.link_refuse(self.group.link, self.group.store_lost)
            return
        self._session += 1
        self.fetching.link_changed(up=True)
        self._up = True
        self.standing.link_changed()
        self.services.start(self._introduce(self._session))

    def link_lost(self, reason: str) -> None:
        """Take note that the other site is out of reach."""
        if not self._up:
            return
        self._session += 1
        self._up = False
        self.peer = None
        self.fetching.link_changed(up=False)
        self.standing.link_changed()
        if self.group.role is Role.PRIMARY:
            self.primary.link_lost(reason)
        else:
            self.secondary.link_lost(reason)

    def _introduce(self, session: int) -> Step:
        yield Until(self.secondary.settled)
        if self.group.role is not Role.PRIMARY:
            # A copying may have begun that is not durable yet; a crash would take it back.
            yield Saved()
        self._say_once(session)

    def _say_once(self, session: int) -> None:
        """Say our position, unless this role has said it in this session: it means "send"."""
        said = (session, self.group.role)
        if session != self._session or said == self._said:
            return
        self._said = said
        if self.group.role is not Role.PRIMARY:
            self.secondary.link_up()
        self._say_position()

    def _say_position(self) -> None:
        group = self.group
        position = group.stream.acked
        if group.role is Role.PRIMARY:
            position = Position(group.generation(), group.csn, group.stream.newest_chain())
        said = PeerPosition(
            group.name,
            group.role.value,
            group.lineage,
            position,
            group.consistent,
            group.copy_number,
            group.copied.here,
            [(volume.name, volume.size_bytes) for volume in group.volumes],
            self.services.epoch_tracks_max,
            group.stopped,
        )
        self._send(RecordKind.POSITION, encode_position(said))

    def received(self, kind: int, data: bytes) -> None:
        """Take a record of this group from the link."""
        primary = self.group.role is Role.PRIMARY
        try:
            if kind == RecordKind.POSITION:
                self._position(decode_position(data))
            elif kind == RecordKind.ROLE:
                self._role(decode_text(data))
            elif kind in (RecordKind.FETCH, RecordKind.FETCHED):
                self.fetching.received(kind, data)
            elif kind == RecordKind.DURABLE and primary:
                self.primary.durable(decode_text(data))
            elif not primary:
                # The secondary works on records in its own time, and releases them then.
                self.secondary.received(kind, data)
                return
        except PeerError as error:
            self.services.link_refuse(self.group.link, str(error))
            return
        self.services.link_release(self.group.link, len(data))

    def _position(self, peer: PeerPosition) -> None:
        group = self.group
        self.peer = peer
        self.standing.heard(peer.role)
        self.secondary.peer_lineage = peer.lineage
        sizes = [volume.size_bytes for volume in group.volumes]
        if peer.group != group.name or [size for _name, size in peer.volumes] != sizes:
            self._mismatch(
                f"the other site's group {peer.group} has volumes of "
                f"{[size for _name, size in peer.volumes]} bytes, ours ({group.name}) of {sizes}; "
                f"make the bench files agree"
            )
        elif group.role is Role.PRIMARY:
            if peer.role == Role.PRIMARY.value:
                self.services.start(self._two_primaries(peer, self._session))
            elif peer.role == Role.HANDING_OVER.value:
                # It hears from our position that the role was taken, steps down, and says so.
                return
            elif peer.stopped:
                self._mismatch(f"the other site does not take records: {peer.stopped}")
            else:
                self.primary.peer_appeared(peer)
        elif group.role is Role.HANDING_OVER:
            self._go_on_handing_over(peer)
        elif peer.role not in (Role.PRIMARY.value, Role.HANDING_OVER.value):
            group.signal(
                Signal.REFUSED,
                "both sites are secondary; choose a primary with `site role --force`",
            )

    def _mismatch(self, reason: str) -> None:
        self.group.signal(Signal.REFUSED, reason)

    def _two_primaries(self, peer: PeerPosition, session: int) -> Step:
        group, stream = self.group, self.group.stream
        fork = next((g for g in peer.lineage if g.parent == group.generation()), None)
        if fork is not None and fork.csn == group.csn:
            # After a restart the chain hash of what was sent is computed again.
            yield from stream.prove(fork.csn)
            if session != self._session or group.role is not Role.PRIMARY:
                return
            proved = stream.known_chains().get(fork.csn) == fork.chain
            if proved and fork.csn == group.csn:
                # The other site took over exactly where we stopped: nothing of ours is lost.
                stream.confirmed(fork.csn, fork.chain)
                yield from self._step_down(peer.lineage, session)
                return
        self._mismatch(
            f"both sites are primary: ours at csn {group.csn} of {group.generation():016x}, theirs "
            f"at csn {peer.position.csn} of {peer.position.generation:016x}; nothing was changed"
        )

    def _step_down(self, lineage: list[Generation], session: int) -> Step:
        self._become_secondary(lineage, "the other site had taken over where we stopped")
        yield Saved()
        self._say_once(session)

    # Handing the role over (R1).

    def hand_over(self, answer: _Answer) -> None:
        """Give the primary role to the other site; `answer` is told the outcome."""
        group = self.group
        if group.role is not Role.PRIMARY:
            answer(f"this site is {group.role.value} of {group.name}, not its primary")
        elif group.state is not PairState.DUPLEX:
            answer(f"{group.name} is {group.state.value}: {group.reason}; wait until it is duplex")
        elif group.frozen:
            answer(f"{group.name} is frozen; `site run {group.name}` first")
        else:
            self.services.start(self._hand_over(answer, self._session))

    def _hand_over(self, answer: _Answer, session: int) -> Step:
        group, stream = self.group, self.group.stream
        group.frozen = True

        def given_up() -> bool:
            return session != self._session or group.state is not PairState.DUPLEX

        yield Until(
            lambda: given_up() or (stream.applied_csn == group.csn and group.all_journalled())
        )
        if given_up():
            self.thaw()
            answer("the copy stopped before everything was sent; this site stays primary")
            return
        group.role = Role.HANDING_OVER
        yield Saved()
        self.refuse_held()
        self._report_role("handing over")
        if session == self._session:
            self._promote_peer()
        yield Until(lambda: group.role is not Role.HANDING_OVER or session != self._session)
        taken = group.role is not Role.HANDING_OVER
        answer(None if taken else "the link was lost; the role passes when it is back")

    def _promote_peer(self) -> None:
        group = self.group
        position = group.stream.acked
        self._send(
            RecordKind.ROLE,
            encode_text(
                order="take",
                generation=position.generation,
                csn=position.csn,
                chain=position.chain.hex(),
                lineage=encode_lineage(group.lineage),
            ),
        )

    def _offer_role(self, session: int) -> Step:
        """Offer the role once it is durable that it is no longer ours: never two primaries (R1)."""
        yield Saved()
        if session == self._session and self.group.role is Role.HANDING_OVER:
            self._promote_peer()

    def _go_on_handing_over(self, peer: PeerPosition) -> None:
        group = self.group
        if peer.role == Role.SECONDARY.value and peer.position == group.stream.acked:
            self.services.start(self._offer_role(self._session))
        elif took_over(peer.lineage, group.generation(), group.csn):
            # It may have begun to hand the role back since.
            self.services.start(self._step_down(peer.lineage, self._session))
        elif peer.role != Role.HANDING_OVER.value or not took_over(
            group.lineage, *peer.position[:2]
        ):
            # Else we took its role and hand it back: it hears so from our position, steps down.
            self._mismatch(
                f"the role was being handed over at csn {group.csn}, but the other site is "
                f"{peer.role} at csn {peer.position.csn}"
            )

    def _role(self, fields: dict[str, Any]) -> None:
        if fields.get("order") == "take":
            self._take(fields)
        elif fields.get("order") == "taken" and self.group.role is Role.HANDING_OVER:
            lineage = decode_lineage(fields.get("lineage"))
            self.services.start(self._step_down(lineage, self._session))
        elif fields.get("order") == "state":
            self.standing.told(fields)

    def _take(self, fields: dict[str, Any]) -> None:
        group = self.group
        offered = Position(number(fields, "generation"), number(fields, "csn"), chain(fields))
        lineage = decode_lineage(fields.get("lineage"))
        if group.role is Role.SECONDARY and group.consistent and offered == group.stream.acked:
            if lineage and lineage[-1].number == offered.generation:
                group.lineage = lineage
            self.services.start(self._promote("handed over by the other site", self._session))
        elif group.role is not Role.PRIMARY and not took_over(group.lineage, *offered[:2]):
            # An offer may come twice; one that was taken is old, the role has gone on since.
            self._mismatch(
                f"the other site offered the role at csn {offered.csn}, this one is at csn "
                f"{group.stream.acked.csn}"
            )

    def _promote(self, reason: str, session: int | None) -> Step:
        """Begin a new generation, durable before the first host write is taken (R1, R2)."""
        group = self.group
        acked = group.stream.acked
        self.secondary.retire()
        fresh, said = self.services.fresh_number(), reason[:REASON_CHARS_MAX]
        generation = Generation(fresh, acked.generation, acked.csn, acked.chain, said)
        group.lineage = [*group.lineage, generation][-GENERATIONS_MAX:]
        group.stream.restart_at(Position(generation.number, acked.csn, acked.chain))
        group.csn = group.durable_csn = acked.csn
        group.role = Role.PRIMARY
        group.frozen = True
        self._said = (self._session, group.role)
        yield Saved()
        self._report_role(reason)
        self.thaw()
        if session is not None and session == self._session:
            self._send(
                RecordKind.ROLE,
                encode_text(order="taken", lineage=encode_lineage(group.lineage)),
            )

    def force(self, reason: str, answer: _Answer) -> None:
        """Become primary without the other site's word; the reason stays in the lineage (R2)."""
        group = self.group
        if group.role is Role.PRIMARY:
            answer(f"this site is already the primary of {group.name}")
        elif not group.consistent:
            answer(f"{group.name} is being copied; this site has no consistent copy to promote")
        else:
            self.services.start(self._force(reason, answer))

    def _force(self, reason: str, answer: _Answer) -> Step:
        group = self.group
        # Nothing more is taken from the other site, and all that was taken is applied first.
        self.services.link_refuse(group.link, "this site becomes primary by force")
        yield Until(lambda: not self._up)
        yield Until(self.secondary.settled)
        if group.role is Role.PRIMARY or not group.consistent:
            answer(f"{group.name} has changed meanwhile; it is {group.role.value} now")
            return
        yield from self._promote(f"forced: {reason}", None)
        self.services.link_refuse(self.group.link, "this site became primary by force")
        answer(None)

    def _become_secondary(self, lineage: list[Generation], reason: str) -> None:
        group = self.group
        acked = group.stream.acked
        group.role = Role.SECONDARY
        group.lineage = lineage
        if group.hollow:
            # What is missing here cannot be fetched track by track any more.
            group.consistent = False
            group.copy_number = 0
        newest = Position(group.generation(), acked.csn, acked.chain)
        group.stream.restart_at(newest)
        group.map_mode = False
        self.refuse_held()
        self._report_role(reason)

    def _report_role(self, reason: str) -> None:
        group = self.group
        self.services.emit(
            RoleChanged(
                group.name, group.role.value, f"{group.generation():016x}", group.csn, reason
            )
        )

    # Operator's orders.

    def thaw(self) -> None:
        """End a freeze and take the host writes that waited (F1: RUN)."""
        group = self.group
        group.frozen = False
        while group.held and not group.frozen:
            group.held.popleft()()

    def refuse_held(self) -> None:
        """Refuse the host writes that waited; they were never accepted."""
        self.thaw()

    def suspend(self) -> None:
        """Stop sending; the changes are kept for later."""
        group = self.group
        if group.role is not Role.PRIMARY:
            raise UnavailableError(f"this site is not the primary of {group.name}; ask there")
        group.suspended = True
        self.primary.link_lost("suspended by order")
        self.services.save_soon()

    def resume(self) -> None:
        """Send again, from where the other site stands."""
        group = self.group
        if group.role is not Role.PRIMARY:
            raise UnavailableError(f"this site is not the primary of {group.name}; ask there")
        group.suspended = False
        self.services.save_soon()
        self.services.link_refuse(group.link, "resumed by order")

    def _send(self, kind: RecordKind, parts: list[Any]) -> None:
        group = self.group
        self.services.link_send(group.link, kind, group.number, group.csn, parts)
