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
        yield from _wrapped(f"{_INDENT}note: {warning}", _INDENT * 2)
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
    """Yield each check with how it ended, and below it what was compared."""
    for check in report.checks:
        head = f"{_INDENT}{check.outcome.value:<9}"
        yield f"{head}{check.name}"
        yield from _wrapped(" " * len(head) + check.compared, " " * len(head))


def _rows(rows: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Yield names and values in two columns; long values go on below themselves."""
    width = max((len(name) for name, _ in rows), default=0) + len(_INDENT)
    for name, value in rows:
        head = f"{_INDENT}{name:<{width}}"
        yield from _wrapped(head + value, " " * len(head))


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
