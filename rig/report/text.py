"""A report as plain lines, for terminals and files."""

import textwrap
from collections.abc import Iterator, Sequence

from rig.report.report import Report

WIDTH = 100
_INDENT = "  "


def as_lines(report: Report) -> Iterator[str]:
    """Yield the report; the verdict is left to the caller, who says it last."""
    yield report.title
    yield from _rows(report.run)
    for warning in report.warnings:
        yield from textwrap.wrap(
            f"note: {warning}", WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT * 2
        )
    yield ""
    yield "checks"
    yield from check_lines(report)
    yield ""
    yield "figures"
    yield from _rows(
        [
            (row.name, f"{row.value}  ({row.remark})" if row.remark else row.value)
            for row in report.figures
        ]
    )
    yield ""
    yield "files"
    yield from _rows(report.files)


def check_lines(report: Report) -> Iterator[str]:
    """Yield each check with how it ended and what was compared."""
    yield from _rows(
        [(f"{row.outcome.value:<8}{row.name}", row.compared) for row in report.checks]
    )


def _rows(rows: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Yield names and values in two columns; long values go on below themselves."""
    width = max((len(name) for name, _ in rows), default=0) + len(_INDENT)
    for name, value in rows:
        head = f"{_INDENT}{name:<{width}}"
        yield from textwrap.wrap(
            head + value,
            WIDTH,
            subsequent_indent=" " * len(head),
            break_long_words=False,
            break_on_hyphens=False,
            drop_whitespace=True,
        ) or [head.rstrip()]
