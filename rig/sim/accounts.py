"""The run's books: every fault that reached a site was counted there, and nothing else was.

Also what may be spent: packets sent again have a cause, so that no line is flooded by its own
repairs.
"""

from typing import Final

from rig.sim.line import Way
from rig.sim.site import Site
from rig.sim.violation import Violation

DAMAGE_WORDS: Final = ("short", "magic", "version", "type", "length", "crc")
"""Why a link rejects a packet that is damaged; an intact one is never rejected for these."""
AGAIN_FACTOR: Final = 4
AGAIN_SHARE: Final = 1.0
AGAIN_PER_SESSION: Final = 300
"""A link that comes up again may have a whole window out that nobody acknowledged."""


def facts(sites: list[Site], ways: list[Way], disk_failures: dict[str, int]) -> dict[str, int]:
    """Return both sides of the books, for the sums of a campaign."""
    return {
        "damaged_arrived": sum(way.received_damaged for way in ways),
        "damaged_rejected": sum(
            site.totals.get(f"rejected_{word}", 0) for site in sites for word in DAMAGE_WORDS
        ),
        "damaged_unread": sum(site.unread() for site in sites),
        "disk_errors_happened": sum(site.disk_errors for site in sites),
        "disk_errors_reported": sum(disk_failures.values()),
    }


def balance(sites: list[Site], ways: list[Way], disk_failures: dict[str, int]) -> None:
    """Compare what was injected with what was counted; raise Violation where they differ."""
    for site in sites:
        site.count_link()
    for way, far in zip(ways, reversed(sites), strict=True):
        counted = sum(far.totals[f"rejected_{word}"] for word in DAMAGE_WORDS)
        injected = way.received_damaged - far.unread()
        if counted != injected:
            raise Violation(
                "accounting",
                f"{far.name} rejected {counted} damaged packets, {injected} had reached it",
            )
    for site in sites:
        if disk_failures.get(site.name, 0) != site.disk_errors:
            raise Violation(
                "accounting",
                f"{site.name} reported {disk_failures.get(site.name, 0)} failures of its disks, "
                f"{site.disk_errors} had happened",
            )


def spending(site: Site, way: Way, faults: int) -> None:
    """Check that packets were sent again for a reason."""
    totals = site.totals
    again = totals["sent_again_packets"]
    allowed = (
        AGAIN_FACTOR * (faults + way.lost_packets)
        + AGAIN_SHARE * totals["sent_data_packets"]
        + AGAIN_PER_SESSION * (1 + totals["sessions"])
    )
    if again > allowed:
        raise Violation(
            "resources",
            f"{site.name} sent {again} packets again, {totals['sent_data_packets']} once; "
            f"{faults} faults and {way.lost_packets} losses do not explain that",
        )
