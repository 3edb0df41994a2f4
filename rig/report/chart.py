"""A quantity over time as inline SVG; colours come from the page's style sheet.

The area stands on zero. Where the series has a gap the curve is interrupted, and spans of trouble
lie behind it as shaded bands.
"""

from collections.abc import Iterable, Iterator, Sequence
from html import escape

from emulator.clock import SECOND_NS
from rig.report.report import Series, Span

WIDTH, HEIGHT = 920, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 28, 30
_STEPS = (1, 2, 5)
_LABEL_SIZE = 7  # mean width of a character of a label
_TICKS_MAX = 6


def chart(series: Series, troubles: Iterable[Span], end_ns: int) -> str:
    """Return an SVG of the series from the start of the run to `end_ns`."""
    frame = _Frame(max(end_ns, 1), max([value or 0 for _, value in series.points] + [1]))
    name = f"{escape(series.name)} over time"
    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{name}">',
        f"<title>{name}</title>",
        *_bands(frame, list(troubles)),
        *_grid(frame, series.unit),
        *(part for piece in _pieces(series.points) for part in _curve(frame, piece)),
        f'<text class="name" x="{_LEFT}" y="16">{escape(series.name)}</text>',
        "</svg>",
    ]
    return "\n".join(parts)


class _Frame:
    """Where a time and a value lie in the picture."""

    def __init__(self, end_ns: int, most: int) -> None:
        self.end_ns = end_ns
        self.step = _step(most)
        self.most = -(-most // self.step) * self.step

    def x(self, time_ns: int) -> float:
        share = min(max(time_ns / self.end_ns, 0.0), 1.0)
        return round(_LEFT + share * (WIDTH - _LEFT - _RIGHT), 1)

    def y(self, value: int) -> float:
        return round(HEIGHT - _BOTTOM - value / self.most * (HEIGHT - _TOP - _BOTTOM), 1)


def _step(most: int) -> int:
    """Return the smallest round step that needs few ticks.

    >>> _step(3), _step(930), _step(12)
    (1, 200, 5)
    """
    scale = 1
    while True:
        for factor in _STEPS:
            if most <= factor * scale * (_TICKS_MAX - 1):
                return factor * scale
        scale *= 10


def _grid(frame: _Frame, unit: str) -> Iterator[str]:
    for value in range(0, frame.most + 1, frame.step):
        y = frame.y(value)
        yield f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>'
        yield f'<text class="tick" x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{value:,}</text>'
    yield f'<text class="tick" x="{WIDTH - _RIGHT}" y="16" text-anchor="end">{escape(unit)}</text>'
    seconds = frame.end_ns // SECOND_NS
    for second in range(0, seconds + 1, _step(max(seconds, 1)) or 1):
        x = frame.x(second * SECOND_NS)
        y = HEIGHT - _BOTTOM + 18
        yield f'<text class="tick" x="{x}" y="{y}" text-anchor="middle">{second} s</text>'


def _bands(frame: _Frame, troubles: Sequence[Span]) -> Iterator[str]:
    taken_x = 0.0
    for trouble in troubles:
        x = frame.x(trouble.begin_ns)
        width = max(frame.x(trouble.end_ns) - x, 1.0)
        height = HEIGHT - _TOP - _BOTTOM
        yield f'<rect class="trouble" x="{x}" y="{_TOP}" width="{width:.1f}" height="{height}"/>'
        # A label that would lie on the one before goes one line lower.
        y = _TOP + (14 if x >= taken_x else 28)
        taken_x = x + _LABEL_SIZE * len(trouble.name)
        yield f'<text class="label" x="{x + 4}" y="{y}">{escape(trouble.name)}</text>'


def _pieces(points: Sequence[tuple[int, int | None]]) -> Iterator[list[tuple[int, int]]]:
    """Yield the stretches without a gap."""
    piece: list[tuple[int, int]] = []
    for time_ns, value in points:
        if value is not None:
            piece.append((time_ns, value))
        elif piece:
            yield piece
            piece = []
    if piece:
        yield piece


def _curve(frame: _Frame, piece: Sequence[tuple[int, int]]) -> Iterator[str]:
    line = " ".join(f"{frame.x(time_ns)},{frame.y(value)}" for time_ns, value in piece)
    first, last, ground = frame.x(piece[0][0]), frame.x(piece[-1][0]), frame.y(0)
    yield f'<polygon class="area" points="{first},{ground} {line} {last},{ground}"/>'
    yield f'<polyline class="curve" points="{line}"/>'
