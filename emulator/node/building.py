"""Make a site's parts from its configuration: links, groups with their pairs, volumes."""

from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from emulator.channel.blocks import TRACK_BYTES
from emulator.channel.geometry import is_kind
from emulator.channel.track_store import TrackStore
from emulator.copy.dirty_map import DirtyMap
from emulator.copy.group import Group, GroupVolume
from emulator.copy.levels import AckLevel, OnLinkLoss
from emulator.copy.pair import Pair
from emulator.copy.services import Services
from emulator.copy.states import Role
from emulator.link.settings import LinkSettings
from emulator.node.config import GroupConfig, SiteConfig
from emulator.node.devices import track_store
from emulator.node.links import LinkEnd
from emulator.node.volume import Volume
from emulator.nvs.areas import MAP_BYTES

# Groups of one volume that is not copied; above all numbers that a bench file gives.
LOCAL_GROUP_FIRST: Final = 0x8000
WINDOW_BYTES_MIN: Final = 1 << 20
WINDOW_BYTES_MAX: Final = 16 << 20
# A link may hold this share of the cache's size for another site before it is worked on.
WINDOW_SHARE: Final = 8


class Parts(NamedTuple):
    """What a site consists of, by name."""

    links: dict[str, LinkEnd]
    groups: dict[str, Group]
    pairs: dict[str, Pair]
    volumes: dict[str, Volume]
    track_stores: dict[str, TrackStore]
    """The count-key-data devices among the volumes."""


class Builder(Services, Protocol):
    """What building needs of the processor besides the services."""

    entropy: Callable[[int], bytes]


def build(services: Builder, config: SiteConfig, sizes: dict[str, int], maps: bytes) -> Parts:
    """Return the parts of a site whose devices have these sizes and stored dirty maps."""
    links = {name: _link_end(services, config, name) for name in config.links}
    parts = Parts(links, {}, {}, {}, {})
    index_of = {name: services.cache.add_volume(config.devices[name].cache_share) for name in sizes}
    map_of = {
        name: DirtyMap(
            index,
            -(-sizes[name] // TRACK_BYTES),
            maps[index * MAP_BYTES : (index + 1) * MAP_BYTES],
        )
        for name, index in index_of.items()
    }
    homes: dict[str, tuple[Group, GroupVolume, bool]] = {}
    for row in config.groups.values():
        places = [
            GroupVolume(name, sizes[name], number, index_of[name])
            for number, name in enumerate(row.volumes)
        ]
        group = _group(services, row, places, [map_of[place.name] for place in places])
        parts.groups[group.name] = group
        parts.pairs[group.name] = parts.links[row.link].pairs[group.number] = Pair(group)
        homes |= {place.name: (group, place, row.secondary_reads) for place in places}
    for name, size in sizes.items():
        if name not in homes:
            place = GroupVolume(name, size, 0, index_of[name])
            group = _local_group(services, place, map_of[name])
            parts.groups[group.name] = group
            homes[name] = (group, place, False)
        group, place, reads = homes[name]
        through = config.devices[name].write_through
        group.through.exact = group.through.exact or through
        parts.volumes[name] = Volume(
            services, group, place, secondary_reads=reads, write_through=through
        )
        kind = config.devices[name].kind
        if is_kind(kind):
            store = track_store(name, kind, parts.volumes[name], services.emit)
            parts.track_stores[name] = store
    return parts


def _link_end(services: Builder, config: SiteConfig, name: str) -> LinkEnd:
    link = config.links[name]
    window = max(WINDOW_BYTES_MIN, min(config.cache_bytes // WINDOW_SHARE, WINDOW_BYTES_MAX))
    # The line's own figures are set when it is opened; until then the link is not started.
    settings = LinkSettings(
        name=name,
        site=config.name,
        peer=link.peer,
        mtu_bytes=1500,
        rate_bytes_per_s=None,
        window_bytes=window,
        lab_plaintext=link.lab_plaintext,
    )
    return LinkEnd(settings, services.entropy, services.emit)


def _group(
    services: Services, row: GroupConfig, places: list[GroupVolume], maps: list[DirtyMap]
) -> Group:
    group = Group(services, row.name, row.number, row.link, places, maps, row.ack, row.on_link_loss)
    group.role = Role.PRIMARY if row.starts_as_primary else Role.SECONDARY
    group.stream.gather_ns = row.gather_ns
    return group


def _local_group(services: Services, place: GroupVolume, dirty: DirtyMap) -> Group:
    """A volume without a copy still needs an order and a journal."""
    return Group(
        services,
        f"local:{place.name}",
        LOCAL_GROUP_FIRST + place.site_index,
        "",
        [place],
        [dirty],
        AckLevel.NVS,
        OnLinkLoss.CONTINUE,
    )
