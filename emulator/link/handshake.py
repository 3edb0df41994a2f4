"""How two ends find each other, and when one believes that the other started anew.

An end is up only after the other has echoed the nonce it drew for this session, so a line that
works one way only is never up. While up, a HELLO with an unknown nonce may be an old one that
the line kept: it is answered with a nonce that was never used before, and the live session is
given up only when that one comes back. An old HELLO cannot bring it back, and the other end, if
it lives, does not answer it, because the echo in it is none of its own.

Relies on `hello.py` for the bytes. Leaves what happens inside a session to `link.py`.
"""

import enum
from collections.abc import Callable
from typing import Final, NamedTuple

from emulator.link.hello import Hello, encode_hello, session_field
from emulator.link.settings import MTU_BYTES_MIN, LinkSettings
from emulator.link.states import LinkState, Signal, next_state
from emulator.link.timing import REFUSED_RETRY_NS, Timing

NONCE_BYTES: Final = 8


class Peer(NamedTuple):
    """The other end, as its HELLO described it."""

    nonce: int
    mtu_bytes: int
    window_bytes: int


class Heard(enum.Enum):
    """What a HELLO turned out to be."""

    NOTHING = enum.auto()
    CONFIRMED = enum.auto()
    ALIVE = enum.auto()
    STALE = enum.auto()
    REFUSED = enum.auto()


def why_unfit(settings: LinkSettings, hello: Hello) -> str | None:
    """Return why the sender of `hello` is not the other end of this link, or None if it is."""
    if hello.site == settings.site:
        return (
            f"loop: the other end also says it is site {hello.site!r}; "
            "check for a looped line or a bench file used twice"
        )
    if hello.link != settings.name:
        return (
            f"the other end calls this link {hello.link!r}, here it is {settings.name!r}; "
            "connect the right line or give both ends the same name"
        )
    if hello.site != settings.peer:
        return (
            f"the other end is site {hello.site!r}, expected {settings.peer!r}; "
            "connect the right line or correct the bench file"
        )
    if not (settings.lab_plaintext and hello.plaintext):
        where = "the other end" if settings.lab_plaintext else "this end"
        return (
            f"{where} does not allow an unsealed link; set lab_plaintext = true at both ends, "
            "on lines that stay on this machine"
        )
    if hello.mtu_bytes < MTU_BYTES_MIN:
        return (
            f"the other end takes packets of {hello.mtu_bytes} bytes only; "
            f"set its mtu to {MTU_BYTES_MIN} or more"
        )
    return None


class Handshake:
    """One end's side of finding the other."""

    def __init__(
        self, settings: LinkSettings, timing: Timing, entropy: Callable[[int], bytes]
    ) -> None:
        self.state = LinkState.DOWN
        self.refusal = ""
        self.nonce = 0
        self.peer: Peer | None = None
        """The other end of the live session; before that, who spoke last."""
        self._settings = settings
        self._timing = timing
        self._entropy = entropy
        self._drawn = -1
        self._fresh = 0  # nonce for the next session, never sent before the first challenge
        self._challenged: Peer | None = None
        self._due: tuple[int, int] | None = None
        self._retry_at_ns: int | None = None
        self._retry_ns = 0

    # What the link says happened ---------------------------------------------------------------

    def start(self, now_ns: int) -> None:
        """Begin to say HELLO: the line is open."""
        self.state = next_state(self.state, Signal.LINE_OPEN)
        self._begin(now_ns)

    def stop(self) -> None:
        """Say nothing more: the line is closed."""
        self.state = next_state(self.state, Signal.LINE_CLOSED)
        self.peer = self._challenged = self._due = self._retry_at_ns = None

    def again(self, now_ns: int) -> None:
        """Look for the other end anew: the session is over."""
        self.state = next_state(self.state, Signal.SESSION_OVER)
        self._begin(now_ns)

    def receive(self, hello: Hello, now_ns: int) -> Heard:
        """Take one HELLO and say what it was."""
        if self.nonce == 0:
            return Heard.NOTHING
        unfit = why_unfit(self._settings, hello)
        if unfit is None and hello.nonce in (self.nonce, self._fresh):
            unfit = "the other end drew the same nonce; check the entropy of both machines"
        if unfit is not None:
            return self.refuse(unfit)
        if self.state is LinkState.REFUSED:
            self._retry_ns = self._timing.hello_ns_min
            self._retry_at_ns = now_ns + self._retry_ns
        self.state = next_state(self.state, Signal.FIT_HELLO)
        if self.state is LinkState.UP:
            return self._receive_up(hello)
        self.peer = Peer(hello.nonce, hello.mtu_bytes, hello.window_bytes)
        self._due = (self.nonce, hello.nonce)
        if hello.echo != self.nonce:
            return Heard.NOTHING
        self._confirm(self.nonce, self.peer)
        return Heard.CONFIRMED

    def refuse(self, reason: str) -> Heard:
        """Note that whoever speaks is not the other end of this link."""
        self.state = next_state(self.state, Signal.UNFIT_HELLO)
        if self.state is LinkState.REFUSED:
            self.refusal = reason
            self.peer = self._due = None
            self._retry_ns = REFUSED_RETRY_NS
        return Heard.REFUSED

    def proven_by(self, field: int) -> bool:
        """Tell whether a packet of this session proves that the other end echoed our nonce.

        The session is made of both nonces, so only an end that heard ours can know it; its own
        HELLO may have been lost or overtaken.
        """
        up = self.state is LinkState.UP
        nonce, peer = (self._fresh, self._challenged) if up else (self.nonce, self.peer)
        if not nonce or peer is None or session_field(peer.nonce, nonce) != field:
            return False
        self._due = None
        self._confirm(nonce, peer)
        return True

    # What the link asks ------------------------------------------------------------------------

    def probe(self) -> None:
        """Ask the live other end for a sign of life: it acknowledges a HELLO at once."""
        if self.peer is not None and self._due is None:
            self._due = (self.nonce, self.peer.nonce)

    @property
    def has_hello(self) -> bool:
        """Tell whether a HELLO waits to be sent."""
        return self._due is not None

    def take_hello(self, window_bytes: int) -> bytes:
        """Return the HELLO packet that waits to be sent."""
        assert self._due is not None
        (nonce, echo), self._due = self._due, None
        settings = self._settings
        return encode_hello(
            Hello(
                nonce,
                echo,
                settings.packet_bytes_max,
                window_bytes,
                settings.lab_plaintext,
                settings.name,
                settings.site,
            )
        )

    def next_deadline_ns(self) -> int | None:
        """Return when `wake` has something to do."""
        return self._retry_at_ns

    def wake(self, now_ns: int) -> None:
        """Say HELLO again if it is time."""
        if self._retry_at_ns is None or now_ns < self._retry_at_ns:
            return
        if self.nonce == 0:
            self.nonce = self._draw()
        if self.nonce:
            self._due = (self.nonce, self.peer.nonce if self.peer else 0)
            if self.state is LinkState.HELLO:
                self._retry_ns = min(2 * self._retry_ns, self._timing.hello_ns_max)
        else:
            self.refuse("the source of nonces repeats itself; check the machine's entropy")
        self._retry_at_ns = now_ns + self._retry_ns

    # Inside ------------------------------------------------------------------------------------

    def _begin(self, now_ns: int) -> None:
        self.peer = self._challenged = self._due = None
        self.nonce = 0
        self._retry_ns = self._timing.hello_ns_min // 2
        self._retry_at_ns = now_ns
        self.wake(now_ns)

    def _draw(self) -> int:
        # A nonce that repeats would let packets of an earlier session in (P11): better none.
        nonce = int.from_bytes(self._entropy(NONCE_BYTES), "big")
        if nonce == self._drawn:
            return 0
        self._drawn = nonce
        return nonce

    def _confirm(self, nonce: int, peer: Peer) -> None:
        self.state = next_state(self.state, Signal.CONFIRMED)
        self.nonce, self.peer = nonce, peer
        self.refusal = ""
        self._challenged = self._retry_at_ns = None
        self._fresh = self._draw()

    def _receive_up(self, hello: Hello) -> Heard:
        assert self.peer is not None
        if hello.nonce == self.peer.nonce:
            if hello.echo == self.nonce:
                return Heard.ALIVE
            # It does not know yet that we heard it, or this is an early HELLO come late.
            self._due = (self.nonce, hello.nonce)
            return Heard.NOTHING
        newcomer = Peer(hello.nonce, hello.mtu_bytes, hello.window_bytes)
        if self._fresh and hello.echo == self._fresh:
            self._due = (self._fresh, hello.nonce)
            self._confirm(self._fresh, newcomer)
            return Heard.CONFIRMED
        if hello.echo not in (0, self.nonce) or not self._fresh:
            # The live other end asks whether one of our old HELLOs was real. It was not.
            return Heard.STALE
        self._challenged = newcomer
        self._due = (self._fresh, hello.nonce)
        return Heard.NOTHING
