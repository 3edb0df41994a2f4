"""Wait until all sites of a bench agree on how the copy stands.

Asks every site's console again and again; a site that cannot be reached is asked again, because
that is what waiting is for. Says at the time limit what is still missing.
"""

import contextlib
import enum
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from emulator.clock import SECOND_NS
from emulator.errors import TimeLimitError, UnavailableError
from emulator.units import duration_text
from rig.host.console import ask

POLL_S = 0.05  # often enough for a person and a script, seldom enough for two processors

Status = Mapping[str, Any]


class Goal(enum.Enum):
    """How the copy shall stand."""

    DUPLEX = "duplex"
    """Every write travels at once; nothing old is left to copy."""
    DRAINED = "drained"
    """And nothing is on its way."""
    IDENTICAL = "identical"
    """And both ends have applied the same history."""


def wait_for(
    goal: Goal,
    consoles: Mapping[str, Path],
    groups: Mapping[str, tuple[str, str]],
    timeout_ns: int,
) -> dict[str, Status]:
    """Return each site's status once the goal is reached; `groups` gives each one's two sites."""
    deadline_ns = time.monotonic_ns() + timeout_ns
    pause = threading.Event()
    while True:
        found = {site: _status(path, deadline_ns) for site, path in consoles.items()}
        statuses = {site: status for site, status in found.items() if not isinstance(status, str)}
        lacks = [f"site {site}: {why}" for site, why in found.items() if isinstance(why, str)]
        lacks += missing(goal, groups, statuses)
        if not lacks:
            return statuses
        if time.monotonic_ns() >= deadline_ns:
            waited = duration_text(timeout_ns)
            raise TimeLimitError(f"not {goal.value} after {waited}:\n  " + "\n  ".join(lacks))
        pause.wait(POLL_S)


def missing(
    goal: Goal, groups: Mapping[str, tuple[str, str]], statuses: Mapping[str, Status]
) -> list[str]:
    """Return what keeps the sites that answered from the goal; nothing means it is reached."""
    lacks: list[str] = []
    for name, sites in groups.items():
        ends = {
            site: statuses[site].get("groups", {}).get(name, {})
            for site in sites
            if site in statuses
        }
        lacks += [f"group {name}: {lack}" for lack in _group_lacks(goal, ends)]
    return lacks


def _group_lacks(goal: Goal, ends: Mapping[str, Status]) -> list[str]:
    lacks = [
        f"site {site} is {end.get('state', 'without this group')}"
        for site, end in ends.items()
        if end.get("state") != "duplex"
    ]
    roles = sorted(str(end.get("role")) for end in ends.values())
    if len(ends) == 2 and roles != ["primary", "secondary"]:
        lacks.append(f"the sites are {' and '.join(roles)}")
    if goal is Goal.DUPLEX:
        return lacks
    for site, end in ends.items():
        records = end.get("lag", {}).get("records", 0)
        if records:
            lacks.append(f"site {site} lags {records} records")
    return lacks if goal is Goal.DRAINED else lacks + _differences(ends)


def _differences(ends: Mapping[str, Status]) -> list[str]:
    if len(ends) < 2:
        return []
    (one, first), (other, second) = ends.items()
    lacks: list[str] = []
    if _position(first) != _position(second) or first.get("position") is None:
        lacks.append(f"site {one} is at {_place(first)}, site {other} at {_place(second)}")
    for site, end in ends.items():
        csn = (end.get("position") or {}).get("csn")
        if end.get("role") == "secondary" and end.get("applied_csn") != csn:
            lacks.append(f"site {site} has applied csn {end.get('applied_csn')} of {csn}")
    return lacks


def _position(end: Status) -> tuple[Any, ...]:
    position = end.get("position") or {}
    return tuple(position.get(key) for key in ("lineage", "csn", "hash"))


def _place(end: Status) -> str:
    lineage, csn, chain = _position(end)
    return f"csn {csn} (lineage {lineage}, hash {str(chain)[:8]})"


def _status(path: Path, deadline_ns: int) -> Status | str:
    left_s = max((deadline_ns - time.monotonic_ns()) / SECOND_NS, POLL_S)
    try:
        return ask(path, "status", timeout_s=left_s)
    except (UnavailableError, TimeLimitError) as error:
        return str(error)


def find_primary(
    group: str, sites: tuple[str, str], status_of: Callable[[str], Status]
) -> str | None:
    """Return which of two sites is the group's primary now, as far as they can be reached.

    A site that hands its role over counts if there is no other: it is the one to go on with.
    """
    roles: dict[str, str] = {}
    for site in reversed(sites):
        with contextlib.suppress(UnavailableError, TimeLimitError):
            role = status_of(site).get("groups", {}).get(group, {}).get("role")
            roles[str(role)] = site
    return roles.get("primary") or roles.get("handing-over")
