"""How the copy stands, as the primary tells its secondary: one short text at each change.

Only the primary decides by ancestry (R5) and knows when the copy is current; the secondary shows
what it was told, so that both sites say the same of one pair (V1, V2).
"""

from typing import Any, Final

from emulator.copy.group import Group
from emulator.copy.messages import encode_text
from emulator.copy.states import PRIMARY, PairState, Role, Signal
from emulator.errors import PeerError
from emulator.wire.layout import RecordKind

_SIGNALS: Final = {
    PairState.CATCHING_UP: Signal.REPLAY_BEGUN,
    PairState.COPYING: Signal.COPY_BEGUN,
    PairState.DUPLEX: Signal.CAUGHT_UP,
    PairState.SUSPENDED: Signal.SUSPEND_ASKED,
    PairState.REFUSED: Signal.REFUSED,
}


class Standing:
    """Tells, or is told, how one group's copy stands."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self._heard = False
        self._said: tuple[PairState, str] | None = None

    def link_changed(self) -> None:
        """Begin anew: nobody has said anything on this link."""
        self._heard = False
        self._said = None

    def heard(self, role: str) -> None:
        """Note that the other site has said its position, in this role."""
        self._heard = role == Role.SECONDARY.value

    def say(self) -> None:
        """Tell the secondary what has changed since it was told."""
        group = self._group
        if group.role is not PRIMARY or not self._heard:
            return
        said = (group.state, group.reason)
        if said == self._said:
            return
        if group.state in (PairState.SUSPENDED, PairState.WAITING):
            # How it stood before this link says nothing; an operator's order does.
            if not group.suspended:
                return
            said = (PairState.SUSPENDED, "suspended by order at the primary")
            if said == self._said:
                return
        if group.services.link_room_bytes(group.link) <= 0:
            return
        self._said = said
        group.services.link_send(
            group.link,
            RecordKind.ROLE,
            group.number,
            group.csn,
            encode_text(order="state", state=said[0].value, reason=said[1]),
        )

    def told(self, fields: dict[str, Any]) -> None:
        """Take the primary's word."""
        group = self._group
        if group.role is not Role.SECONDARY or group.stopped:
            return
        try:
            state = PairState(fields.get("state"))
            signal = _SIGNALS[state]
        except (ValueError, KeyError) as error:
            raise PeerError(f"the peer says a state that it cannot have: {error}") from error
        reason = str(fields.get("reason", ""))
        if signal is Signal.CAUGHT_UP and group.state not in (PairState.COPYING, PairState.DUPLEX):
            # There may have been so little to catch up on that the primary did not say so.
            group.signal(Signal.REPLAY_BEGUN, reason)
        group.signal(signal, reason)
