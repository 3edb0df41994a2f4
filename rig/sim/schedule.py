"""A run as a file: the world, every fault by place and number, every deed by time. TOML.

`dualcopy sim` writes one for a run that failed, `dualcopy run` repeats it, `dualcopy shrink`
makes it smaller. Strict: a key that nobody knows is an error that names it.
"""

import dataclasses
import difflib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from emulator.errors import BenchError
from rig.faults.packets import PacketRates
from rig.faults.plan import Fault
from rig.faults.storage import DiskRates
from rig.sim.config import Deed, SiteHardware, WayConfig, WorldConfig

Shape = TypeVar("Shape", WorldConfig, WayConfig, SiteHardware, PacketRates, DiskRates, Deed)
_TABLES = ("run", "line", "site", "at", "fault", "expect")


class Schedule(NamedTuple):
    """Everything that decides a run."""

    config: WorldConfig
    faults: list[Fault] | None
    """None: chance draws them from the seed."""
    expect: str = ""
    """The rule that this run breaks; empty when it must hold every rule."""


# Writing.


def to_text(schedule: Schedule, heading: str = "") -> str:
    """Return a schedule as TOML."""
    config = schedule.config
    lines = [f"# {line}" for line in heading.splitlines()]
    lines.append(f"expect = {_value(schedule.expect)}")
    lines += ["", "[run]"]
    lines += _rows(config, without=("ways", "sites", "deeds"))
    for name, way in zip(("A-B", "B-A"), config.ways, strict=True):
        lines += ["", f"[line.{name}]", *_rows(way, without=("rates",))]
        lines.append(f"rates = {_inline(way.rates)}")
    for name, site in zip("AB", config.sites, strict=True):
        lines += ["", f"[site.{name}]", *_rows(site, without=("disk",))]
        lines.append(f"disk = {_inline(site.disk)}")
    for deed in config.deeds:
        lines += ["", "[[at]]", *_rows(deed)]
    if schedule.faults is not None and not schedule.faults:
        lines += ["", "fault = []"]
        # A bare key must come before the first table.
        lines.insert(1, lines.pop())
    for fault in schedule.faults or ():
        row = f"on = {_value(fault.place)}, nth = {fault.number}, kind = {_value(fault.kind)}"
        lines += ["", "[[fault]]", *row.split(", ")]
        if fault.figures:
            lines.append(f"figures = {_value(fault.figures)}")
    return "\n".join(lines) + "\n"


def _rows(shape: Any, without: tuple[str, ...] = ()) -> list[str]:  # noqa: ANN401
    return [
        f"{row.name} = {_value(getattr(shape, row.name))}"
        for row in dataclasses.fields(shape)
        if row.name not in without
    ]


def _inline(shape: Any) -> str:  # noqa: ANN401
    rows = [
        f"{row.name} = {_value(getattr(shape, row.name))}"
        for row in dataclasses.fields(shape)
        if getattr(shape, row.name) != row.default
    ]
    return "{ " + ", ".join(rows) + " }" if rows else "{}"


def _value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return repr(value)


# Reading.


def read_file(path: Path) -> Schedule:
    """Return the schedule in a file, or raise BenchError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BenchError(f"{path}: {error}") from error
    return from_text(text, str(path))


def from_text(text: str, name: str = "schedule") -> Schedule:
    """Return a schedule from TOML, or raise BenchError."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BenchError(f"{name}: {error}") from error
    _known(name, tables, _TABLES)
    try:
        rows = _shape(
            f"{name}: run", WorldConfig, tables["run"], without=("ways", "sites", "deeds")
        )
        config = dataclasses.replace(
            rows,
            ways=(_way(name, tables, "A-B"), _way(name, tables, "B-A")),
            sites=(_site(name, tables, "A"), _site(name, tables, "B")),
            deeds=tuple(_shape(f"{name}: at", Deed, row) for row in tables.get("at", ())),
        )
        faults = _faults(name, tables["fault"]) if "fault" in tables else None
    except KeyError as error:
        raise BenchError(f"{name}: the table [{error.args[0]}] is missing") from error
    return Schedule(config, faults, str(tables.get("expect", "")))


def _known(place: str, found: Iterable[str], names: Iterable[str]) -> None:
    names = list(names)
    for name in found:
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(names)}"
            raise BenchError(f"{place}: unknown key {name}{hint}")


def _shape(
    place: str, shape: type[Shape], table: Mapping[str, Any], without: tuple[str, ...] = ()
) -> Shape:
    rows = {row.name: row for row in dataclasses.fields(shape) if row.name not in without}
    _known(place, table, rows)
    values: dict[str, Any] = {}
    for key, value in table.items():
        expected = getattr(rows[key].type, "__name__", str(rows[key].type))
        if expected == "tuple":
            good = isinstance(value, list) and all(isinstance(number, int) for number in value)
            value = tuple(value) if good else value  # noqa: PLW2901
        else:
            good = type(value).__name__ == expected or (
                expected == "float" and isinstance(value, int)
            )
        if not good:
            raise BenchError(f"{place}: {key} = {value!r}; it must be {expected}")
        values[key] = value
    try:
        return shape(**values)
    except TypeError as error:
        raise BenchError(f"{place}: {error}") from error


def _part(name: str, tables: Mapping[str, Any], table: str, key: str) -> dict[str, Any]:
    found = tables.get(table, {})
    _known(f"{name}: {table}", found, ("A-B", "B-A") if table == "line" else ("A", "B"))
    return dict(found.get(key, {}))


def _way(name: str, tables: Mapping[str, Any], key: str) -> WayConfig:
    table = _part(name, tables, "line", key)
    rates = _shape(f"{name}: line.{key}.rates", PacketRates, table.pop("rates", {}))
    way = _shape(f"{name}: line.{key}", WayConfig, table, without=("rates",))
    return dataclasses.replace(way, rates=rates)


def _site(name: str, tables: Mapping[str, Any], key: str) -> SiteHardware:
    table = _part(name, tables, "site", key)
    disk = _shape(f"{name}: site.{key}.disk", DiskRates, table.pop("disk", {}))
    site = _shape(f"{name}: site.{key}", SiteHardware, table, without=("disk",))
    return dataclasses.replace(site, disk=disk)


def _faults(name: str, rows: Iterable[Mapping[str, Any]]) -> list[Fault]:
    faults: list[Fault] = []
    for row in rows:
        _known(f"{name}: fault", row, ("on", "nth", "kind", "figures"))
        try:
            figures = tuple(int(figure) for figure in row.get("figures", ()))
            faults.append(Fault(str(row["on"]), int(row["nth"]), str(row["kind"]), figures))
        except (KeyError, TypeError, ValueError) as error:
            raise BenchError(f"{name}: fault {dict(row)}: {error!r}") from error
    return faults
