"""Tables of the page on channel programs, read from the tables that the engine itself works by.

Imports the channel's modules, which need nothing but Python. Used by `conf.py` only.
"""

import sys
from collections.abc import Iterator
from pathlib import Path


def write(root: Path, folder: Path) -> None:
    """Write every table into the folder, as Markdown that the page includes."""
    # The manual can be built where the project is not installed.
    sys.path.insert(0, str(root))
    folder.mkdir(exist_ok=True)
    for name, lines in {
        "channel-commands": _commands(),
        "channel-devices": _devices(),
        "channel-control-units": _control_units(),
        "channel-sense": _sense(),
        "channel-status": _status(),
        "channel-orders": _orders(),
        "channel-fba": _fba(),
    }.items():
        (folder / f"{name}.md").write_text("\n".join([*lines, ""]))


def _commands() -> Iterator[str]:
    from emulator.channel.ckd.table import ROWS

    yield from ("| code | command | class | what it does | when |", "|---|---|---|---|---|")
    for row in sorted(ROWS, key=lambda row: row.code):
        code = f"{row.code:02X}" + (f" {row.code | 0x80:02X}" if row.multitrack else "")
        does = _sentence(row.handler.__doc__)
        yield f"| {code} | {row.name} | {row.kind.value} | {does} | {_when(row)} |"


def _when(row: object) -> str:
    said = []
    if row.first:
        said.append("first in its chain")
    if row.last:
        said.append("last in its chain")
    if row.positioned:
        said.append("after a seek on a 3990")
    if row.proofs:
        said.append("after: " + ", or ".join(proof.value for proof in row.proofs))
    if row.domain:
        operations = sorted({operation & 0x3F for operation in row.domain})
        said.append("domains " + " ".join(f"{operation:02X}" for operation in operations))
    if row.control_units.name != "NONE":
        said.append(f"control unit: {row.control_units.name.lower().replace('|', ', ')}")
    if row.devices:
        said.append("only " + ", ".join(f"{device:04X}" for device in row.devices))
    if row.legacy:
        said.append("not on a 3390 or a 3990-6")
    return "; ".join(said)


def _devices() -> Iterator[str]:
    from emulator.channel.geometry import ALIASES, MODELS

    yield "| `kind` | cylinders | heads | longest record | image track | 4096-byte records |"
    yield "|---|---|---|---|---|---|"
    for kind, row in MODELS.items():
        names = ", ".join(f"`{name}`" for name in (kind, *_aliases(ALIASES, kind)))
        yield (
            f"| {names} | {row.primary_cylinders} + {row.alternate_cylinders} | {row.heads} "
            f"| {row.r1_bytes_max} | {row.image_bytes} | {row.records_per_track(0, 4096)} |"
        )


def _aliases(aliases: dict[str, str], kind: str) -> list[str]:
    return [name for name, target in aliases.items() if target == kind]


def _control_units() -> Iterator[str]:
    from emulator.channel.control_units import CONTROL_UNITS, Feature

    yield from ("| name | model | sense bytes | beyond plain CKD |", "|---|---|---|---|")
    for unit in CONTROL_UNITS.values():
        features = [
            feature.name.lower()
            for feature in Feature
            if feature is not Feature.NONE and feature in unit.features
        ]
        yield (
            f"| `{unit.name}` | {unit.model:02X} | {unit.sense_bytes} "
            f"| {', '.join(features) or 'nothing'} |"
        )


def _sense() -> Iterator[str]:
    from emulator.channel.sense import REASONS

    yield from ("| byte 0 | byte 1 | byte 7 | meaning |", "|---|---|---|---|")
    for reason in REASONS:
        yield f"| {reason.byte0:02X} | {reason.byte1:02X} | {reason.byte7:02X} | {reason.meaning} |"


def _status() -> Iterator[str]:
    from emulator.channel.status import CHANNEL_STATUS_NAMES, UNIT_STATUS_NAMES

    yield from ("| bit | unit status | channel status |", "|---|---|---|")
    for bit, name in UNIT_STATUS_NAMES.items():
        yield f"| {bit:02X} | {name} | {CHANNEL_STATUS_NAMES[bit]} |"


def _orders() -> Iterator[str]:
    from emulator.channel.orders import ORDER_MEANINGS

    yield from ("| suborder | order | what it asks |", "|---|---|---|")
    for order, meaning in ORDER_MEANINGS.items():
        yield f"| {order.value:02X} | {order.name.replace('_', ' ').lower()} | {meaning} |"


def _fba() -> Iterator[str]:
    from emulator.channel.fba import ROWS
    from emulator.channel.fba_models import FBA_MODELS

    yield from ("| code | command | class | what it does |", "|---|---|---|---|")
    for row in sorted(ROWS, key=lambda row: row.code):
        does = _sentence(row.handler.__doc__)
        yield f"| {row.code:02X} | {row.name} | {row.kind.value} | {does} |"
    models = ", ".join(f"`{row.kind}` ({row.blocks})" for row in FBA_MODELS.values())
    yield from ("", f"Models, and their blocks of 512 bytes: {models}.")


def _sentence(text: str | None) -> str:
    return " ".join((text or "").split("\n\n")[0].split()).replace("|", "\\|")
