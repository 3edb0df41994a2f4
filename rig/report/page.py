"""A report as one HTML page that needs nothing else: style, figures and chart are inside.

Follows the reader's choice of light or dark, and prints. Whatever a run said is escaped.
"""

from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from string import Template

from emulator.clock import SECOND_NS
from rig.report.chart import chart
from rig.report.report import Moment, Outcome, Report, Span

TEMPLATE = "page.html"
_CLASSES = {Outcome.HELD: "held", Outcome.FAILED: "failed", Outcome.NOT_RUN: "not-run"}


def as_page(report: Report) -> str:
    """Return the page."""
    template = Template(files("rig.report").joinpath(TEMPLATE).read_text(encoding="utf-8"))
    end_ns = max([span.end_ns for span in report.acts], default=0)
    return template.substitute(
        title=escape(report.title),
        verdict=escape(report.verdict()),
        verdict_class="held" if report.held else "failed",
        run=_definitions(report.run),
        warnings="".join(f"<p class='note'>{escape(text)}</p>" for text in report.warnings),
        figures=_table(("figure", "value", ""), [tuple(figure) for figure in report.figures]),
        charts=_section(
            "Over time", [chart(series, report.troubles, end_ns) for series in report.series]
        ),
        pictures=_section("Side by side", report.pictures),
        acts=f"<h2>The acts</h2>{_acts(report.acts, end_ns)}" if report.acts else "",
        checks=_checks(report),
        moments=_moments(report.moments),
        files=_files(report.files),
    )


def _checks(report: Report) -> str:
    rows = "".join(
        f"<tr class='{_CLASSES[row.outcome]}'><td class='outcome'>{row.outcome.value}</td>"
        f"<td>{escape(row.name)}</td><td>{escape(row.compared)}</td></tr>"
        for row in report.checks
    )
    return (
        "<table><thead><tr><th>outcome</th><th>check</th><th>what was compared</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>"
    )


def _acts(acts: Sequence[Span], end_ns: int) -> str:
    """Return the acts as bars on one scale."""
    rows: list[str] = []
    for act in acts:
        left = 100 * act.begin_ns / max(end_ns, 1)
        width = 100 * (act.end_ns - act.begin_ns) / max(end_ns, 1)
        rows.append(
            f"<li><span class='act'>{escape(act.name)}</span>"
            f"<span class='track'><span class='bar' style='left:{left:.2f}%;width:{width:.2f}%'>"
            f"</span></span><span class='seconds'>{_seconds(act.end_ns - act.begin_ns)}</span></li>"
        )
    return f"<ol class='acts'>{''.join(rows)}</ol>"


def _section(title: str, pictures: Sequence[str]) -> str:
    figures = "".join(f"<figure>{picture}</figure>" for picture in pictures)
    return f"<h2>{title}</h2>{figures}" if figures else ""


def _moments(moments: Sequence[Moment]) -> str:
    if not moments:
        return ""
    rows = [(_seconds(row.time_ns), row.who, row.what) for row in moments]
    table = _table(("time", "who", "what happened"), rows)
    return (
        "<details><summary>What happened, in order</summary>"
        f"<div class='scroll'>{table}</div></details>"
    )


def _files(rows: Iterable[tuple[str, str]]) -> str:
    items = "".join(
        f"<dt><a href='{escape(name, quote=True)}'>{escape(name)}</a></dt><dd>{escape(what)}</dd>"
        for name, what in rows
    )
    return f"<dl>{items}</dl>"


def _definitions(rows: Iterable[tuple[str, str]]) -> str:
    items = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in rows)
    return f"<dl>{items}</dl>"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _seconds(time_ns: int) -> str:
    return f"{time_ns / SECOND_NS:.2f} s"
