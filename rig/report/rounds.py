"""Bars of a measurement as inline SVG: the median of each name, and a line for each round."""

import statistics
from collections.abc import Mapping, Sequence
from html import escape

WIDTH = 920
_LEFT, _RIGHT, _TOP, _BOTTOM = 150, 90, 30, 8
_ROW, _BAR = 24, 14
_COLOUR = "#0b7285"


def round_bars(title: str, unit: str, runs: Mapping[str, Sequence[float]]) -> str:
    """Return an SVG of every name's rounds, complete in itself; all bars begin at zero."""
    most = max((value for values in runs.values() for value in values), default=0) or 1
    height = _TOP + len(runs) * _ROW + _BOTTOM
    head = (
        f'<svg class="chart" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'role="img" aria-label="{escape(title)}" font-family="sans-serif" font-size="11" '
        'fill="currentColor">'
    )
    parts = [
        head,
        f"<title>{escape(title)}</title>",
        f'<text x="{_LEFT}" y="16" font-size="13">{escape(title)}, {escape(unit)}</text>',
    ]
    for number, (name, values) in enumerate(runs.items()):
        y = _TOP + number * _ROW
        median = statistics.median(values)
        width = _x(median, most) - _LEFT
        parts.append(
            f'<text x="{_LEFT - 8}" y="{y + 11}" text-anchor="end">{escape(name)}</text>'
            f'<rect x="{_LEFT}" y="{y}" width="{width:.1f}" height="{_BAR}" fill="{_COLOUR}"/>'
            f'<text x="{WIDTH - _RIGHT + 8}" y="{y + 11}">{median:,.4g}</text>'
        )
        for value in values:
            x = round(_x(value, most), 1)
            parts.append(
                f'<line x1="{x}" x2="{x}" y1="{y - 2}" y2="{y + _BAR + 2}" '
                'stroke="currentColor" stroke-width="1.5"/>'
            )
    parts.append("</svg>")
    return "\n".join(parts)


def _x(value: float, most: float) -> float:
    return _LEFT + value / most * (WIDTH - _LEFT - _RIGHT)
