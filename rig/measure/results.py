"""What a measurement of the front path found, as tables, as JSON and as a page with bars."""

import json
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

_COLUMNS = (("iops", "IOPS"), ("mib_per_s", "MiB/s"), ("mean_us", "mean us"), ("p99_us", "p99 us"))
_BAR_WIDTH_MAX = 640
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Front path beside peers</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto }}
td, th {{ padding: .15rem .8rem .15rem 0; text-align: right }}
td:first-child, th:first-child {{ text-align: left }}
rect {{ fill: #adb5bd }} rect.ours {{ fill: #0b7285 }}
text {{ fill: currentColor; font-size: 12px }}
</style>
<h1>Front path beside peers</h1>
<p>Medians of {rounds} rounds in one run; the lines in the bars are the single rounds. Compare
within a job only.{stores}</p>
{jobs}
</html>
"""


def front_tables(found: dict[str, Any]) -> Iterator[tuple[str, list[str], list[tuple[str, ...]]]]:
    """Yield the title, headings and rows of each job's table."""
    heads = ["peer", *(head for _key, head in _COLUMNS), "cpu us/op"]
    for job, summary in found["jobs"].items():
        yield job, heads, _rows(summary)


def save_front(found: dict[str, Any], folder: Path) -> None:
    """Write everything that was measured, and a page that shows it, into the run folder."""
    (folder / "measurements.json").write_text(json.dumps(found, indent=2) + "\n")
    jobs = "\n".join(
        _job(job, summary, found["raw"][job]) for job, summary in found["jobs"].items()
    )
    stores = "".join(
        f" The stores of {escape(name)} lay in {escape(where)}."
        for name, where in found["stores"].items()
    )
    page = _PAGE.format(rounds=found["options"]["rounds"], stores=stores, jobs=jobs)
    (folder / "report.html").write_text(page, encoding="utf-8")


def _rows(summary: dict[str, Any]) -> list[tuple[str, ...]]:
    return [
        (
            name,
            *(f"{medians[key]:.0f}" for key, _head in _COLUMNS),
            " + ".join(f"{medians[key]:.1f}" for key in medians if key.startswith("cpu")),
        )
        for name, medians in summary["medians"].items()
    ]


def _job(job: str, summary: dict[str, Any], raw: dict[str, list[dict[str, float]]]) -> str:
    heads = "".join(f"<th>{escape(head)}</th>" for head in ("peer", *dict(_COLUMNS).values()))
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row[:-1]) + "</tr>"
        for row in _rows(summary)
    )
    ratios = "".join(
        f"<li>{escape(pair)}: {escape(', '.join(f'{k} {v}' for k, v in found.items()))}</li>"
        for pair, found in summary["ratios"].items()
    )
    return (
        f"<h2>{escape(job)}</h2>{_bars(summary['medians'], raw)}"
        f"<table><tr>{heads}</tr>{rows}</table><ul>{ratios}</ul>"
    )


def _bars(medians: dict[str, Any], raw: dict[str, list[dict[str, float]]]) -> str:
    """Return one bar of IOPS a peer, with a line where each round was."""
    most = max(run["iops"] for runs in raw.values() for run in runs) or 1
    parts = []
    for number, (name, figures) in enumerate(medians.items()):
        y = number * 26
        width = round(figures["iops"] / most * _BAR_WIDTH_MAX, 1)
        kind = ' class="ours"' if name.startswith("dualcopy") else ""
        parts.append(f'<text x="0" y="{y + 15}">{escape(name)}</text>')
        parts.append(f'<rect{kind} x="150" y="{y + 2}" width="{width}" height="18"/>')
        for run in raw[name]:
            x = round(150 + run["iops"] / most * _BAR_WIDTH_MAX, 1)
            parts.append(f'<line x1="{x}" x2="{x}" y1="{y}" y2="{y + 22}" stroke="currentColor"/>')
    size = f'viewBox="0 0 {150 + _BAR_WIDTH_MAX + 10} {26 * len(medians)}"'
    return f'<svg {size} role="img" aria-label="IOPS">{"".join(parts)}</svg>'
