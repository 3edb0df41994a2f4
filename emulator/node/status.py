"""What a site says of itself: one JSON object, the same for people, scripts and dashboards."""

from collections.abc import Collection
from typing import Any

from emulator.channel.track_store import TrackStore
from emulator.copy.group import Group
from emulator.copy.pair import Pair
from emulator.copy.states import Role, guarantee
from emulator.node.links import LinkEnd
from emulator.node.processor import Processor
from emulator.node.volume import Volume


def status_of(processor: Processor) -> dict[str, Any]:
    """Return the state of a whole site; see the contract for its keys."""
    journal, cache = processor.journal, processor.cache
    volumes = processor.volumes.values()
    return {
        "site": processor.config.name,
        "ready": processor.ready,
        "pacing": processor.pacing.reason,
        "groups": {
            name: _group(group, processor.pairs.get(name), processor)
            for name, group in processor.groups.items()
        },
        "links": {name: _link(end) for name, end in processor.links.items()},
        "cache": {
            "size_bytes": cache.size_bytes,
            "held_bytes": cache.held_bytes(),
            "tracks_max": cache.tracks_max,
            "clean_tracks": len(cache.clean),
            "dirty_tracks": cache.dirty_tracks(),
            "pinned_tracks": cache.pinned_tracks,
            "hits": sum(volume.read_tracks - volume.missed_tracks for volume in volumes),
            "misses": sum(volume.missed_tracks for volume in volumes),
            "hit_ratio": _ratio(volumes),
            "evictions": sum(cache.evictions),
            "read_ahead": {
                "held_tracks": len(cache.ahead),
                "used": sum(cache.ahead_used),
                "unused": sum(cache.ahead_unused),
            },
        },
        "destage": {
            "written_tracks": processor.destage.written_tracks,
            "writes": processor.destage.writes,
            "runs": processor.destage.runs,
            "flushes": processor.destage.flushes,
            "failures": processor.destage.failures,
        },
        "repaired_tracks": dict(processor.mending.repaired),
        "paced_ns": processor.pacing.waited_ns,
        "nvs": {
            "ring_bytes": journal.ring_bytes,
            "used_bytes": journal.used_bytes(),
            "appended_bytes": journal.appended_bytes,
            "entries": journal.entries,
            "saves": processor.saving.saves,
            "state": processor.guard.state.value,
            "reason": processor.guard.reason,
            "at_risk": processor.guard.at_risk(),
        },
        "devices": _devices(processor),
    }


def _devices(processor: Processor) -> dict[str, Any]:
    broken = processor.destage.broken_devices()
    refusing = processor.destage.refusing_devices()
    return {
        volume.name: {
            "kind": processor.config.devices[volume.name].kind,
            "geometry": _geometry(processor.track_stores.get(volume.name)),
            "size_bytes": volume.size_bytes,
            "group": volume.group.name,
            "writable": volume.writable(),
            "write": "through" if volume.write_through or volume.group.write_through else "early",
            "state": "failed" if index in broken else "refuses" if index in refusing else "online",
            "reads": volume.reads,
            "writes": volume.writes,
            "read_bytes": volume.read_bytes,
            "written_bytes": volume.written_bytes,
            "cache": _device_cache(processor, volume, index),
            "refused_tracks": len(processor.destage.stuck_tracks(index)),
            **processor.mending.status(index),
            "scrub": processor.scrub.status(index),
        }
        for index, volume in enumerate(processor.volumes.values())
    }


def _device_cache(processor: Processor, volume: Volume, index: int) -> dict[str, Any]:
    cache = processor.cache
    return {
        "share": processor.config.devices[volume.name].cache_share,
        "hits": volume.read_tracks - volume.missed_tracks,
        "misses": volume.missed_tracks,
        "hit_ratio": _ratio([volume]),
        "evictions": cache.evictions[index],
        "read_ahead": {"used": cache.ahead_used[index], "unused": cache.ahead_unused[index]},
    }


def _ratio(volumes: Collection[Volume]) -> float | None:
    """Return which part of the tracks that hosts asked for were cached; None if they asked none."""
    asked = sum(volume.read_tracks for volume in volumes)
    missed = sum(volume.missed_tracks for volume in volumes)
    return round(1 - missed / asked, 4) if asked else None


def _geometry(store: TrackStore | None) -> dict[str, int] | None:
    """Return the shape of a count-key-data device; None of one of blocks."""
    if store is None:
        return None
    shape = store.geometry
    return {
        "cylinders": shape.cylinders,
        "heads": shape.heads,
        "tracks": shape.tracks,
        "slot_bytes": shape.slot_bytes,
    }


def _group(group: Group, pair: Pair | None, processor: Processor) -> dict[str, Any]:
    position = group.position()
    said: dict[str, Any] = {
        "role": group.role.value,
        "state": group.state.value if group.role is not Role.NONE else "local",
        "reason": group.reason if group.role is not Role.NONE else "",
        "guarantee": processor.guard.promise()
        + guarantee(
            group.role,
            group.state,
            group.ack,
            consistent=group.consistent and not group.copy_number,
        )
        + _damage(processor, group),
        "ack": group.ack.value,
        "on_link_loss": group.on_link_loss.value,
        "frozen": group.frozen,
        "suspended": group.suspended,
        "consistent": group.consistent,
        "csn": group.csn,
        "applied_csn": group.stream.applied_csn,
        "position": position._replace(csn=group.stream.acked.csn).text()
        if group.role is not Role.PRIMARY
        else _proved(group),
        "waiting_replies": len(group.replies) + len(group.through_replies),
        "lag": group.lag(),
    }
    if pair is not None:
        said["copy"] = {
            "dirty_tracks": sum(found.dirty_tracks() for found in group.maps),
            "copied_tracks": pair.primary.copied_tracks,
            "map_mode": group.map_mode,
            "sent_records": group.stream.sent_records,
            "sent_host_bytes": group.stream.host_bytes,
            "sent_record_bytes": group.stream.record_bytes,
            "applied_records": pair.secondary.applied_records,
        }
    return said


def _damage(processor: Processor, group: Group) -> str:
    """Return what damaged tracks mean for the guarantee; empty while there are none."""
    numbers = [place.site_index for place in group.volumes]
    count = sum(processor.mending.damaged_on(number) for number in numbers)
    if not count:
        return ""
    return f"; tracks that cannot be read until they are mended or written anew: {count}"


def _proved(group: Group) -> dict[str, Any]:
    """Return a primary's position: its csn, with the chain hash the other site has confirmed."""
    acked = group.stream.acked
    chain = acked.chain if acked.csn == group.csn else group.stream.newest_chain()
    return acked._replace(csn=group.csn, chain=chain).text()


def _link(end: LinkEnd) -> dict[str, Any]:
    machine = end.machine
    return {
        "state": machine.state.value,
        "reason": end.reason,
        "peer": end.settings.peer,
        "sealed": False,
        "warning": "not sealed (lab_plaintext): for this machine only",
        "mtu_bytes": end.settings.mtu_bytes,
        "rtt_ns": machine.rtt_ns,
        "foreign_records": end.foreign_records,
        "counters": machine.counters.as_dict(),
    }
