"""Lines as they were and are sold, as worlds in which nothing else goes wrong.

Delays and rates are physics or line standards; the error rates are engineering defaults chosen
for testing, not measurements of real lines.
"""

from dataclasses import replace
from typing import Final

from emulator.clock import MILLISECOND_NS
from rig.faults.packets import PacketRates
from rig.sim.config import SiteHardware, WayConfig, WorldConfig

THINK_NS: Final = 50 * MILLISECOND_NS
"""A write of 4 KiB on average every 50 ms: 82 kB/s, two fifths of what a T1 line carries."""
LINES: Final = {
    "t1": (WayConfig(8 * MILLISECOND_NS, 0, 192_000, PacketRates(bit_error_rate=1e-7)), 1400),
    "t3": (
        WayConfig(
            30 * MILLISECOND_NS,
            0,
            5_525_000,
            PacketRates(bit_error_rate=1e-9, burst_begin=1e-4, burst_end=0.3),
        ),
        4096,
    ),
    "geo": (
        WayConfig(
            270 * MILLISECOND_NS,
            2 * MILLISECOND_NS,
            192_000,
            PacketRates(bit_error_rate=1e-6),
        ),
        1400,
    ),
}


def preset(name: str, seed: int, writes: int) -> WorldConfig:
    """Return a world with two sites on this line, and a host that writes at a steady pace.

    >>> preset("t1", 1, 10).ways[0].rate_bytes_per_s
    192000
    """
    way, mtu_bytes = LINES[name]
    site = SiteHardware(disk_latency_ns=5 * MILLISECOND_NS)
    return replace(
        WorldConfig(seed, writes),
        mtu_bytes=mtu_bytes,
        mtu_bytes_later=mtu_bytes,
        rate_known=True,
        ways=(way, way),
        sites=(site, site),
        think_ns=THINK_NS,
    )
