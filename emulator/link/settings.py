"""What one end of a link is told before it starts.

Relies on `hello.py` for what a HELLO needs. Leaves bench files to `rig/bench` and lines to
`transport/`.
"""

from dataclasses import dataclass
from typing import Final

from emulator.errors import BenchError
from emulator.link.hello import hello_packet_bytes
from emulator.wire.packet import OVERHEAD_BYTES, PAYLOAD_BYTES_MAX

MTU_BYTES_MIN: Final = 96
"""Room for an acknowledgement with one range (83 bytes) and for data worth its header."""

PACKET_BYTES_MAX: Final = PAYLOAD_BYTES_MAX + OVERHEAD_BYTES
"""The layout counts payload in 16 bits; a line that carries more gains nothing from it."""

WINDOW_BYTES_MIN: Final = 4096
"""Below this each record waits for the one before; the length of one page is still a window."""

WINDOW_BYTES_MAX: Final = 0xFFFFFFFF
"""The layout counts the window in 32 bits."""

NAME_BYTES_MAX: Final = 255
"""The layout counts the length of a name in 8 bits."""


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """One end of a link: its names, what its line carries and what it holds for the other end."""

    name: str
    """The link's name in the bench; must be the same at both ends."""
    site: str
    peer: str
    """The site expected at the other end."""
    mtu_bytes: int
    """The largest packet this line carries, header and CRC included."""
    rate_bytes_per_s: float | None
    """The line's rate if it is known; None paces by what gets through."""
    window_bytes: int
    """Record bytes this end holds for the other; also the bound of its own queue."""
    lab_plaintext: bool
    """Allow an unsealed link; both ends must say so."""

    def __post_init__(self) -> None:
        for what, name in (("link", self.name), ("site", self.site), ("peer", self.peer)):
            if not 1 <= len(name.encode()) <= NAME_BYTES_MAX:
                raise BenchError(f"link {self.name!r}: {what} name {name!r} must have 1-255 bytes")
        if self.site == self.peer:
            raise BenchError(f"link {self.name!r}: both ends are site {self.site!r}; name two")
        needed = max(MTU_BYTES_MIN, hello_packet_bytes(self.name, self.site))
        if self.mtu_bytes < needed:
            raise BenchError(
                f"link {self.name!r}: packets of {self.mtu_bytes} bytes are too small for this "
                f"link; set mtu to {needed} or more"
            )
        if not WINDOW_BYTES_MIN <= self.window_bytes <= WINDOW_BYTES_MAX:
            raise BenchError(
                f"link {self.name!r}: window of {self.window_bytes} bytes; "
                f"set {WINDOW_BYTES_MIN} to {WINDOW_BYTES_MAX}"
            )
        if self.rate_bytes_per_s is not None and not self.rate_bytes_per_s > 0:
            raise BenchError(
                f"link {self.name!r}: rate {self.rate_bytes_per_s}; set more than 0 or none"
            )

    @property
    def packet_bytes_max(self) -> int:
        """The largest packet this end sends or takes."""
        return min(self.mtu_bytes, PACKET_BYTES_MAX)
