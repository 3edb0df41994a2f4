"""Do the tables of a bench file fit together? Names across tables; `uri_checks.py` has the rest.

Every check tells what it finds to a `Problems` and goes on, so that one run finds all.
"""

import re

from emulator.channel.geometry import ALIASES, MODELS, geometry, is_kind
from rig.bench.model import BenchFile, CopyTable, SiteTable, VolumePair
from rig.bench.places import Path
from rig.bench.problems import Problems, choose

FIXED_BLOCK = "fba-512"


def link_ends(name: str, sites: list[str]) -> tuple[str, str] | None:
    """Return the two sites that a link's name joins by a dash, if it names just two.

    >>> link_ends("A-B", ["A", "B"]), link_ends("A-C", ["A", "B"])
    (('A', 'B'), None)
    """
    cuts = [match.start() for match in re.finditer("-", name)]
    found = [
        (name[:cut], name[cut + 1 :])
        for cut in cuts
        if name[:cut] in sites and name[cut + 1 :] in sites and name[:cut] != name[cut + 1 :]
    ]
    return found[0] if len(found) == 1 else None


def links_between(file: BenchFile, one: str, other: str) -> list[str]:
    """Return the links that join two sites, in either direction."""
    wanted = ((one, other), (other, one))
    return [name for name in file.link if link_ends(name, list(file.site)) in wanted]


def check_tables(file: BenchFile, problems: Problems) -> None:
    """Tell whatever names something that is not there, or claims what another has."""
    for site, table in file.site.items():
        for device, entry in table.device.items():
            _check_kind(("site", site, "device", device, "kind"), entry.kind, problems)
        _check_control_units(("site", site), table, problems)
        _check_shares(site, table, problems)
    for name in file.link:
        if link_ends(name, list(file.site)) is None:
            sites = ", ".join(file.site)
            problems.add(
                ("link", name),
                f"a link is called after its two sites, as in [link.A-B]; there are: {sites}",
            )
    taken: dict[tuple[str, str], str] = {}
    for group, copy in file.copies.items():
        if _check_sites(("copy", group), copy, file, problems):
            _check_volumes(group, copy, file, problems, taken)


def _check_shares(site: str, table: SiteTable, problems: Problems) -> None:
    total = 0
    for device, entry in table.device.items():
        total += entry.cache_share
        if entry.cache_share and total > 100:
            problems.add(
                ("site", site, "device", device, "cache_share"),
                f"with those before it, devices of site {site} have {total}% of its cache; "
                f"make it 100% at most",
                f"{entry.cache_share}%",
            )
            return


def _check_kind(path: Path, kind: str, problems: Problems) -> None:
    if kind != FIXED_BLOCK and not is_kind(kind):
        known = [FIXED_BLOCK, *ALIASES, *MODELS]
        problems.add(path, f"no such kind of device; {choose(kind, known)}", kind)


def _check_control_units(path: Path, table: SiteTable, problems: Problems) -> None:
    """A device hangs on one control unit at most."""
    taken: dict[str, str] = {}
    known = list(table.device)
    for name, unit in table.control_unit.items():
        for index, device in enumerate(unit.devices):
            where = (*path, "control_unit", name, "devices", index)
            if device not in table.device:
                problems.add(where, f"the site has no such device; {choose(device, known)}", device)
            elif device in taken:
                problems.add(where, f"{device} hangs on {taken[device]} already", device)
            taken.setdefault(device, name)


def _check_sites(path: Path, copy: CopyTable, file: BenchFile, problems: Problems) -> bool:
    """Check source, target and the link between them; False if volumes cannot be checked."""
    known = True
    for key, site in (("source", copy.source), ("target", copy.target)):
        if site not in file.site:
            problems.add((*path, key), f"no such site; {choose(site, list(file.site))}", site)
            known = False
    if not known:
        return False
    if copy.source == copy.target:
        problems.add((*path, "target"), "must be another site than the source", copy.target)
        return False
    links = links_between(file, copy.source, copy.target)
    if len(links) != 1:
        many = f"more than one link joins them ({', '.join(links)}); this release uses one"
        none = (
            f"no link joins {copy.source} and {copy.target}; add [link.{copy.source}-{copy.target}]"
        )
        problems.add(path, many if links else none)
    return True


def _check_volumes(
    group: str,
    copy: CopyTable,
    file: BenchFile,
    problems: Problems,
    taken: dict[tuple[str, str], str],
) -> None:
    for index, pair in enumerate(copy.volumes):
        path: Path = ("copy", group, "volumes", index)
        for site, volume in ((copy.source, pair.source), (copy.target, pair.target)):
            devices = list(file.site[site].device)
            if volume not in devices:
                problems.add(
                    path, f"site {site} has no such device; {choose(volume, devices)}", volume
                )
            elif (site, volume) in taken:
                owner = taken[site, volume]
                problems.add(path, f"{volume} of site {site} is in [copy.{owner}] already")
            else:
                taken[site, volume] = group
        _check_same_kind(path, pair, copy, file, problems)


def _check_same_kind(
    path: Path, pair: VolumePair, copy: CopyTable, file: BenchFile, problems: Problems
) -> None:
    """A copy holds the tracks of its source, so both must be devices of one type."""
    source = file.site[copy.source].device.get(pair.source)
    target = file.site[copy.target].device.get(pair.target)
    if source is None or target is None:
        return
    one, other = (geometry(end.kind) if is_kind(end.kind) else None for end in (source, target))
    if (one and one.device_type) != (other and other.device_type):
        problems.add(
            path,
            f"{pair.source} of site {copy.source} is a {source.kind} and {pair.target} of site "
            f"{copy.target} a {target.kind}; both must be of the same type",
        )
