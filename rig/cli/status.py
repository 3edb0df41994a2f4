"""A site's status for people: one table each for groups, links and devices."""

from typing import Any

from emulator.units import duration_text, size_text
from rig.cli.output import print_table

Status = dict[str, Any]


def print_status(found: Status) -> None:
    """Print what a site says of itself."""
    print(f"site {found['site']}")
    groups: dict[str, Status] = found.get("groups", {})
    print_table(
        ("group", "role", "state", "ack", "csn", "lag", "exposure"),
        [_group_row(name, group) for name, group in groups.items()],
    )
    for name, group in groups.items():
        print(f"{name}: {group['guarantee']}")
    print_table(
        ("link", "state", "peer", "round trip", "packets out", "in", "again", "rejected"),
        [_link_row(name, link) for name, link in found.get("links", {}).items()],
    )
    for name, link in found.get("links", {}).items():
        print(f"{name}: {link.get('reason') or link.get('warning', '')}")
    print_table(
        ("device", "size", "group", "hosts may", "state", "reads", "writes"),
        [_device_row(name, device) for name, device in found.get("devices", {}).items()],
    )
    print_units(found.get("control_units", {}))
    for part in ("cache", "nvs"):
        values = found.get(part, {}).items()
        print(
            f"{part}: {', '.join(f'{_plain(key)} {_value(key, value)}' for key, value in values)}"
        )


def print_units(units: Status) -> None:
    """Print how control units stand, if there are any."""
    if units:
        print_table(
            (
                "control unit",
                "shape",
                "paths",
                "cut cables",
                "failovers",
                "lost",
                "reserved",
            ),
            [_unit_row(name, unit) for name, unit in units.items()],
        )


def _unit_row(name: str, unit: Status) -> tuple[object, ...]:
    online = sum(path["online"] for path in unit["paths"])
    cut = [str(at) for at, cable in enumerate(unit["cables"]) if cable == "cut"]
    devices = unit["devices"].items()
    return (
        name,
        unit["shape"],
        f"{online} of {len(unit['paths'])}",
        ", ".join(cut),
        unit["failovers"],
        ", ".join(device for device, state in devices if not state["reachable"]),
        ", ".join(device for device, state in devices if state["reserved_by"]),
    )


def _group_row(name: str, group: Status) -> tuple[object, ...]:
    lag = group["lag"]
    return (
        name,
        group["role"],
        group["state"],
        group["ack"],
        group["position"]["csn"],
        f"{lag['records']} records, {size_text(lag['bytes'])}",
        duration_text(lag["exposure_ns"]),
    )


def _link_row(name: str, link: Status) -> tuple[object, ...]:
    counters: dict[str, int] = link.get("counters", {})
    # Those that came in and counted for nothing: damaged, late, from strangers.
    rejected = counters.get("rejected_packets", 0)
    return (
        name,
        link["state"],
        link.get("peer", ""),
        duration_text(link["rtt_ns"]) if link.get("rtt_ns") else "",
        counters.get("sent_packets", ""),
        counters.get("received_packets", ""),
        counters.get("sent_again_packets", ""),
        rejected,
    )


def _device_row(name: str, device: Status) -> tuple[object, ...]:
    return (
        name,
        size_text(device.get("size_bytes", 0)),
        device.get("group", ""),
        "read and write" if device.get("writable") else "not write",
        device.get("state", ""),
        device.get("reads", ""),
        device.get("writes", ""),
    )


def _plain(key: str) -> str:
    return key.removesuffix("_bytes").replace("_", " ")


def _value(key: str, value: object) -> object:
    return size_text(value) if key.endswith("_bytes") and isinstance(value, int) else value
