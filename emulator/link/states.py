"""The states of a link, as a table: a pair that is missing is an error with a name.

Relies on nothing. Leaves what causes a signal to `handshake.py` and `link.py`.
"""

import enum
from typing import Final

from emulator.errors import MisuseError


class LinkState(enum.Enum):
    """How far the two ends have found each other."""

    DOWN = "down"
    HELLO = "hello"
    UP = "up"
    REFUSED = "refused"


class Signal(enum.Enum):
    """What changes the state of a link."""

    LINE_OPEN = "line open"
    LINE_CLOSED = "line closed"
    FIT_HELLO = "fit hello"
    UNFIT_HELLO = "unfit hello"
    CONFIRMED = "confirmed"
    SESSION_OVER = "session over"


LINK_TABLE: Final = {
    (LinkState.DOWN, Signal.LINE_OPEN): LinkState.HELLO,
    (LinkState.DOWN, Signal.LINE_CLOSED): LinkState.DOWN,
    (LinkState.HELLO, Signal.FIT_HELLO): LinkState.HELLO,
    (LinkState.HELLO, Signal.UNFIT_HELLO): LinkState.REFUSED,
    (LinkState.HELLO, Signal.CONFIRMED): LinkState.UP,
    (LinkState.HELLO, Signal.LINE_CLOSED): LinkState.DOWN,
    (LinkState.REFUSED, Signal.FIT_HELLO): LinkState.HELLO,
    (LinkState.REFUSED, Signal.UNFIT_HELLO): LinkState.REFUSED,
    (LinkState.REFUSED, Signal.LINE_CLOSED): LinkState.DOWN,
    # A live session is not given up for a HELLO of any kind, only for a confirmed new one.
    (LinkState.UP, Signal.FIT_HELLO): LinkState.UP,
    (LinkState.UP, Signal.UNFIT_HELLO): LinkState.UP,
    (LinkState.UP, Signal.CONFIRMED): LinkState.UP,
    (LinkState.UP, Signal.SESSION_OVER): LinkState.HELLO,
    (LinkState.UP, Signal.LINE_CLOSED): LinkState.DOWN,
}


def next_state(state: LinkState, signal: Signal) -> LinkState:
    """Return the state that follows.

    >>> next_state(LinkState.HELLO, Signal.CONFIRMED)
    <LinkState.UP: 'up'>
    """
    try:
        return LINK_TABLE[state, signal]
    except KeyError:
        raise MisuseError(
            f"{signal.value!r} means nothing to a link that is {state.value}"
        ) from None
