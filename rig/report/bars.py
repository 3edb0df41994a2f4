"""Groups of bars as inline SVG: for each row one bar a name, and a line where the bound is."""

from collections.abc import Iterator, Sequence
from html import escape
from typing import NamedTuple

WIDTH = 920
_LEFT, _RIGHT, _TOP, _BOTTOM = 110, 12, 46, 26
_BAR, _GAP = 8, 10
# Readable beside one another on light and on dark ground, and in grey.
_COLOURS = ("#0b7285", "#adb5bd", "#f59f00", "#9775fa", "#e8590c", "#5c940d")


class Row(NamedTuple):
    """One group: a value from 0 to 1 for each name, and the bound none of them can pass."""

    name: str
    values: Sequence[float]
    bound: float


def bars(title: str, names: Sequence[str], rows: Sequence[Row]) -> str:
    """Return an SVG of all rows, one below the other; complete in itself, also as a file."""
    group = len(names) * _BAR + _GAP
    height = _TOP + len(rows) * group + _BOTTOM
    head = (
        f'<svg class="chart" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'role="img" aria-label="{escape(title)}" font-family="sans-serif" font-size="11" '
        'fill="currentColor">'
    )
    parts = [
        head,
        f"<title>{escape(title)}</title>",
        f'<text x="{_LEFT}" y="16" font-size="13">{escape(title)}</text>',
        *_legend(names),
        *_grid(height),
    ]
    for number, row in enumerate(rows):
        parts.extend(_group(row, _TOP + number * group))
    parts.append("</svg>")
    return "\n".join(parts)


def _x(value: float) -> float:
    return round(_LEFT + min(max(value, 0.0), 1.0) * (WIDTH - _LEFT - _RIGHT), 1)


def _legend(names: Sequence[str]) -> Iterator[str]:
    x = _LEFT
    for name, colour in zip(names, _COLOURS, strict=False):
        yield f'<rect x="{x}" y="26" width="10" height="10" fill="{colour}"/>'
        yield f'<text x="{x + 14}" y="35">{escape(name)}</text>'
        x += 34 + 7 * len(name)
    yield f'<line x1="{x}" x2="{x}" y1="25" y2="37" stroke="currentColor" stroke-width="2"/>'
    yield f'<text x="{x + 6}" y="35">optimum</text>'


def _grid(height: int) -> Iterator[str]:
    for percent in range(0, 101, 20):
        x = _x(percent / 100)
        yield (
            f'<line x1="{x}" x2="{x}" y1="{_TOP}" y2="{height - _BOTTOM}" '
            'stroke="currentColor" stroke-opacity="0.2"/>'
        )
        y = height - _BOTTOM + 16
        yield f'<text x="{x}" y="{y}" text-anchor="middle">{percent} %</text>'


def _group(row: Row, top: int) -> Iterator[str]:
    tall = len(row.values) * _BAR
    yield (
        f'<text x="{_LEFT - 8}" y="{top + tall / 2 + 4}" text-anchor="end">'
        f"{escape(row.name)}</text>"
    )
    for number, (value, colour) in enumerate(zip(row.values, _COLOURS, strict=False)):
        y = top + number * _BAR
        width = max(0.0, round(_x(value) - _LEFT, 1))
        yield f'<rect x="{_LEFT}" y="{y}" width="{width}" height="{_BAR - 1}" fill="{colour}"/>'
    x = _x(row.bound)
    yield (
        f'<line x1="{x}" x2="{x}" y1="{top - 2}" y2="{top + tall + 1}" '
        'stroke="currentColor" stroke-width="2"/>'
    )
