"""What of a group must survive, as the superblock of the nonvolatile store says it."""

from typing import Any

from emulator.copy.copied import CopiedUpTo
from emulator.copy.group import Group
from emulator.copy.lineage import Position, decode_lineage, encode_lineage
from emulator.copy.map_bases import MapBases
from emulator.copy.states import PairState, Role


def to_superblock(group: Group) -> dict[str, Any]:
    """Return what of this group must survive."""
    acked = group.stream.acked
    return {
        "role": group.role.value,
        "state": group.state.value,
        "lineage": encode_lineage(group.lineage),
        "acked": [acked.generation, acked.csn, acked.chain.hex()],
        "csn": group.durable_csn,
        "consistent": group.consistent,
        "copy_number": group.copy_number,
        "copied_here": list(group.copied.here),
        "copied_there": list(group.copied.there),
        "map_mode": group.map_mode,
        "map_bases": group.map_bases.text(),
        "suspended": group.suspended,
        "volumes": [[volume.name, volume.size_bytes] for volume in group.volumes],
    }


def from_superblock(group: Group, saved: dict[str, Any]) -> None:
    """Take up where the superblock says we stopped."""
    generation, csn, chain = saved["acked"]
    group.role = Role(saved["role"])
    group.lineage = decode_lineage(saved["lineage"])
    group.csn = group.durable_csn = saved["csn"]
    group.consistent = saved["consistent"]
    group.copy_number = saved["copy_number"]
    group.copied.here = CopiedUpTo(*saved.get("copied_here", ()))
    group.copied.there = CopiedUpTo(*saved.get("copied_there", ()))
    group.map_mode = saved["map_mode"]
    group.map_bases = MapBases(saved.get("map_bases", ""))
    group.suspended = saved["suspended"]
    group.stream.restart_at(Position(generation, csn, bytes.fromhex(chain)))
    group.stream.generation = group.generation()
    group.stream.open.lineage = group.generation()
    if saved["state"] != PairState.WAITING.value:
        group.state = PairState.SUSPENDED
        group.reason = "restarted; the other site has not answered yet"
