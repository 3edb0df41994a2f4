"""How long a link waits for what, scaled by the line: a packet may take a third of a second.

Relies on nothing. Leaves measured round trips to `rtt.py`.
"""

from typing import Final

from emulator.clock import MILLISECOND_NS, SECOND_NS
from emulator.link.settings import LinkSettings

HELLO_RETRY_NS_MIN: Final = 250 * MILLISECOND_NS
"""First wait for an answer to HELLO: most lines answer sooner, and a restart is seen at once."""

HELLO_RETRY_NS_MAX: Final = 2 * SECOND_NS
"""Longest wait between HELLOs, for ever: a healed line is noticed within this time."""

REFUSED_RETRY_NS: Final = 5 * SECOND_NS
"""Wait between HELLOs while refused: only a person can change the cause (rule R7)."""

KEEPALIVE_NS: Final = SECOND_NS
"""After this long without a packet sent, send one, so that the other end knows we live."""

SILENCE_NS: Final = 1_250 * MILLISECOND_NS
"""After this long without a packet heard, ask; the other end's keep-alive was due before."""

DEAD_NS: Final = 3 * SECOND_NS
"""After this long without a packet heard, the session is over."""

ACK_DELAY_NS: Final = 25 * MILLISECOND_NS
"""Longest wait before received packets are acknowledged."""

_DEAD_PACKETS: Final = 12
_QUIET_PACKETS: Final = 4
_HELLO_PACKETS: Final = 3
_PROBES: Final = 16


class Timing:
    """The waits of one link on its line."""

    __slots__ = (
        "dead_ns",
        "hello_ns_max",
        "hello_ns_min",
        "keepalive_ns",
        "packet_ns",
        "probe_ns",
        "silence_ns",
    )

    def __init__(self, settings: LinkSettings) -> None:
        rate = settings.rate_bytes_per_s
        packet = 0 if rate is None else int(settings.packet_bytes_max * SECOND_NS / rate)
        self.packet_ns = packet
        # Our packet may have to wait for one of full size in either direction before an answer.
        self.hello_ns_min = max(HELLO_RETRY_NS_MIN, _HELLO_PACKETS * packet)
        self.hello_ns_max = max(HELLO_RETRY_NS_MAX, 2 * _HELLO_PACKETS * packet)
        self.keepalive_ns = max(KEEPALIVE_NS, _QUIET_PACKETS * packet)
        self.silence_ns = self.keepalive_ns + max(SILENCE_NS - KEEPALIVE_NS, packet)
        self.dead_ns = max(DEAD_NS, _DEAD_PACKETS * packet)
        # Many questions fit between silence and death: a session outlives a line that loses half.
        self.probe_ns = (self.dead_ns - self.silence_ns) // _PROBES + packet
