"""What a group may be, what may happen to it, and what each state promises (rules V1, V2, A).

The table is the documentation: a pair that is missing cannot happen.
"""

import enum
from typing import Final

from emulator.copy.levels import AckLevel
from emulator.errors import MisuseError


class Role(enum.Enum):
    """Which end of the copy this site is."""

    PRIMARY = "primary"
    SECONDARY = "secondary"
    HANDING_OVER = "handing-over"
    """Demoted for good, waiting for the other site to take over."""
    NONE = "none"
    """A volume of this site alone."""


class PairState(enum.Enum):
    """How the copy stands, as both ends see it."""

    WAITING = "waiting"
    COPYING = "copying"
    CATCHING_UP = "catching-up"
    DUPLEX = "duplex"
    SUSPENDED = "suspended"
    REFUSED = "refused"


class Signal(enum.Enum):
    """What can happen to a pair."""

    LINK_LOST = "the link went down"
    SUSPEND_ASKED = "the operator asked to suspend"
    OVERFLOWED = "the journal gave up order for the other site"
    REPLAY_BEGUN = "the journal reaches the secondary's position"
    COPY_BEGUN = "tracks are copied from the dirty map"
    CAUGHT_UP = "the secondary has everything it had to catch up on"
    REFUSED = "the two histories do not fit together"


# What each turn asks for: a member that is looked up in its class costs ten times as much.
PRIMARY: Final = Role.PRIMARY
SECONDARY: Final = Role.SECONDARY
DUPLEX: Final = PairState.DUPLEX

_S, _G = PairState, Signal
PAIR_TABLE: Final[dict[tuple[PairState, Signal], PairState]] = {
    **{(state, _G.LINK_LOST): _S.SUSPENDED for state in PairState if state is not _S.WAITING},
    (_S.WAITING, _G.LINK_LOST): _S.WAITING,
    **{(state, _G.SUSPEND_ASKED): _S.SUSPENDED for state in PairState},
    **{(state, _G.OVERFLOWED): _S.SUSPENDED for state in PairState if state is not _S.WAITING},
    (_S.WAITING, _G.OVERFLOWED): _S.WAITING,
    **{(state, _G.REPLAY_BEGUN): _S.CATCHING_UP for state in PairState},
    **{(state, _G.COPY_BEGUN): _S.COPYING for state in PairState},
    (_S.COPYING, _G.CAUGHT_UP): _S.DUPLEX,
    (_S.CATCHING_UP, _G.CAUGHT_UP): _S.DUPLEX,
    (_S.DUPLEX, _G.CAUGHT_UP): _S.DUPLEX,
    **{(state, _G.REFUSED): _S.REFUSED for state in PairState},
}


def next_state(state: PairState, signal: Signal) -> PairState:
    """Return the state after a signal."""
    try:
        return PAIR_TABLE[state, signal]
    except KeyError:
        msg = f"{signal.name} means nothing to a pair that is {state.value}"
        raise MisuseError(msg) from None


_UNSAFE: Final = "UNSAFE: acknowledged writes may be lost with this site's process"
_DUPLEX_PROMISES: Final = {
    AckLevel.VOLATILE: _UNSAFE,
    AckLevel.NVS: "no acknowledged write lost on loss of a process; loss of the primary site "
    "loses at most the lag; the copy is a true past state",
    AckLevel.REMOTE_RECEIVED: "acknowledged writes have reached the other site's memory; the copy "
    "is a true past state",
    AckLevel.REMOTE_NVS: "no acknowledged write lost on loss of one site; the copy is a true past "
    "state",
    AckLevel.REMOTE_APPLIED: "no acknowledged write lost on loss of one site; the copy has every "
    "acknowledged write applied",
}


def guarantee(role: Role, state: PairState, ack: AckLevel, *, consistent: bool) -> str:
    """Return the promise that holds now, in words (V1)."""
    # A0 is never said to be more than it is, whatever else holds.
    unsafe = _UNSAFE if ack is AckLevel.VOLATILE else ""
    if role is Role.NONE:
        kept = unsafe or "no acknowledged write lost on loss of the process"
        return f"LOCAL: {kept}; there is no copy"
    if not consistent:
        copying = "COPYING: the secondary is not a usable copy until copying ends"
        return f"{copying}; {unsafe}" if unsafe else copying
    name = state.value.upper()
    if state is PairState.DUPLEX:
        remote = ack in (AckLevel.REMOTE_NVS, AckLevel.REMOTE_APPLIED)
        return f"DUPLEX-{'SYNC' if remote else 'ASYNC'}: {_DUPLEX_PROMISES[ack]}"
    kept = unsafe or "no acknowledged write lost on loss of the primary's process"
    return f"{name}: {kept}; the copy is a true past state and does not advance beyond what is sent"
