"""What the measurement of the cache leaves in its run folder: raw figures, a chart, a report."""

from pathlib import Path
from typing import Any

from rig.measure import leaving
from rig.measure.cache import OURS, judge
from rig.measure.cache_rivals import POLICIES
from rig.report.bars import Row, bars
from rig.report.report import Figure, Report

HEADS = [
    *("trace", *POLICIES, "counts all", "knows all", "optimum"),
    *("of best", "of optimum", "cpu us", "cpu of LRU"),
]
"""`counts all` and `knows all`: the best that is possible without knowing the future, where each
access is drawn independently; by counting every access, and by knowing every popularity."""


def table(found: dict[str, Any]) -> list[tuple[str, ...]]:
    """Return the rows under `HEADS`: hit ratios, and ours beside the best rival and the bound."""
    return [
        (
            name,
            *(f"{row['hit_ratio'][policy]:.3f}" for policy in POLICIES),
            _ratio(row["counting"]),
            _ratio(row["known"]),
            f"{row['optimum']:.3f}",
            _ratio(row["of_best"]),
            _ratio(row["of_optimum"]),
            f"{row['cpu_ns_per_access'][OURS] / 1000:.2f}",
            f"{row['cpu_of_lru']:.2f}",
        )
        for name, row in found["traces"].items()
    ]


def _ratio(value: float | None) -> str:
    # Where no rival has a hit, any hit of ours is beyond comparison.
    return "-" if value is None else f"{value:.3f}"


def picture(found: dict[str, Any]) -> str:
    """Return the hit ratios as an SVG."""
    options = found["options"]
    title = f"hit ratio of {options['tracks']} tracks, {options['accesses']} accesses a trace"
    rows = [
        Row(name, list(row["hit_ratio"].values()), row["optimum"])
        for name, row in found["traces"].items()
    ]
    return bars(title, list(POLICIES), rows)


def leave(found: dict[str, Any], folder: Path, took_s: float) -> Report:
    """Write everything into the folder, and return the report."""
    rows = [dict(zip(HEADS, cells, strict=True)) for cells in table(found)]
    figures = [
        Figure(
            row["trace"],
            f"{row[OURS]} of {row['optimum']}",
            f"{row['of best']} of the best rival, {row['cpu of LRU']} times the processor time of "
            f"LRU",
        )
        for row in rows
    ]
    charts = {"cache.svg": picture(found)}
    return leaving.leave("cache", found, charts, (judge(found), figures), folder, took_s)
