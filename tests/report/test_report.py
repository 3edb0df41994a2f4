"""Reports: the verdict follows from the checks alone, and both forms show what they were given."""

import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest

from emulator.clock import SECOND_NS
from rig.report.chart import chart
from rig.report.page import as_page
from rig.report.report import Check, Figure, Moment, Outcome, Report, Series, Span
from rig.report.text import WIDTH, as_lines

HELD = Check("kept its word", Outcome.HELD, "12 of 12")
FAILED = Check("came back", Outcome.FAILED, "never")
NOT_RUN = Check("looked clean", Outcome.NOT_RUN, "no e2fsck here")
EMPTY_TAGS = {"meta", "line", "polyline", "polygon", "rect", "br"}


def series(*points):
    return Series("lag", "records", list(points))


def report(*checks, **more):
    return Report("a run", [("seed", "7")], checks=list(checks), **more)


def full_report(*checks):
    return report(
        *checks,
        warnings=["not sealed"],
        acts=[Span("1. begin", 0, SECOND_NS), Span("2. go on", SECOND_NS, 3 * SECOND_NS)],
        troubles=[Span("line cut", SECOND_NS, 2 * SECOND_NS)],
        moments=[Moment(SECOND_NS, "A", "link changed: state down")],
        series=[series((0, 0), (SECOND_NS, 930), (2 * SECOND_NS, None), (3 * SECOND_NS, 4))],
        figures=[Figure("host wrote", "4MiB", "blocks")],
        files=[("run.json", "the verdict")],
    )


class Balance(HTMLParser):
    """Fails on a tag that is closed and was not open, and gathers what refers elsewhere."""

    def __init__(self):
        super().__init__()
        self.open = []
        self.refers = []
        self.tags = set()

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.refers += [value for name, value in attributes if name in ("href", "src")]
        if tag not in EMPTY_TAGS:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag


@pytest.mark.parametrize(
    ("checks", "held", "verdict"),
    [
        ((HELD, HELD), True, "PASS: all 2 checks held"),
        ((HELD, NOT_RUN), True, "PASS: all 1 checks held, 1 not run on this machine"),
        ((HELD, FAILED), False, "FAIL: 1 of 2 checks failed; first: came back"),
        ((FAILED, NOT_RUN), False, "FAIL: 1 of 1 checks failed, 1 not run on this machine"),
        ((NOT_RUN,), False, "FAIL: 0 of 0 checks failed, 1 not run on this machine; first: noth"),
        ((), False, "FAIL: 0 of 0 checks failed; first: nothing ran"),
    ],
)
def test_the_verdict_follows_from_the_checks(checks, held, verdict):
    found = report(*checks)
    assert found.held is held
    assert found.verdict().startswith(verdict)
    assert found.verdict_object()["verdict"] == ("pass" if held else "fail")
    assert len(found.verdict_object()["checks"]) == len(checks)


def test_text_says_everything_within_its_width():
    found = full_report(HELD, FAILED, NOT_RUN)
    found.checks.append(Check("long", Outcome.HELD, "word " * 60))
    lines = list(as_lines(found))
    text = "\n".join(lines)
    for wanted in (
        "a run",
        "seed",
        "not sealed",
        "came back",
        "no e2fsck here",
        "4MiB",
        "run.json",
    ):
        assert wanted in text
    assert re.search(r"failed +came back", text)
    assert max(map(len, lines)) <= WIDTH


def test_the_page_is_whole_and_needs_nothing_else():
    page = as_page(full_report(HELD, FAILED, NOT_RUN))
    balance = Balance()
    balance.feed(page)
    assert balance.open == []
    assert balance.refers == ["run.json"]
    assert not {"script", "link", "img", "iframe"} & balance.tags
    assert not re.search(r"https?://|@import|url\(", page)
    assert "prefers-color-scheme: dark" in page
    assert "$" not in page
    for wanted in (
        "FAIL: 1 of 2",
        "not sealed",
        "2. go on",
        "link changed",
        "line cut",
        "12 of 12",
    ):
        assert wanted in page


def test_whatever_a_run_says_is_escaped():
    nasty = "<script>alert('x') & \"y\"</script>"
    found = report(
        Check(nasty, Outcome.HELD, nasty),
        warnings=[nasty],
        acts=[Span(nasty, 0, 1)],
        troubles=[Span(nasty, 0, 1)],
        moments=[Moment(0, nasty, nasty)],
        series=[Series(nasty, nasty, [(0, 1)])],
        figures=[Figure(nasty, nasty, nasty)],
        files=[(nasty, nasty)],
    )
    balance = Balance()
    balance.feed(as_page(found))
    assert "script" not in balance.tags
    assert balance.refers == [nasty]


def drawn(picture):
    return ET.fromstring(picture)


def test_a_chart_shows_curve_gap_and_trouble():
    picture = drawn(
        chart(
            series((0, 0), (SECOND_NS, 10), (SECOND_NS, None), (3 * SECOND_NS, 5)),
            [Span("line cut", SECOND_NS, 2 * SECOND_NS)],
            4 * SECOND_NS,
        )
    )
    curves = [node.get("points").split() for node in picture.iter("polyline")]
    assert [len(points) for points in curves] == [2, 1]
    first, second = (tuple(map(float, point.split(","))) for point in curves[0])
    assert first[0] < second[0]
    assert first[1] > second[1]  # more lies higher
    (band,) = [node for node in picture.iter("rect") if node.get("class") == "trouble"]
    assert float(band.get("x")) == second[0]
    assert "line cut" in [node.text for node in picture.iter("text")]
    width, height = (float(part) for part in picture.get("viewBox").split()[2:])
    for x, y in (tuple(map(float, p.split(","))) for points in curves for p in points):
        assert 0 <= x <= width
        assert 0 <= y <= height


@pytest.mark.parametrize("points", [[], [(0, None)], [(0, 0)], [(5 * SECOND_NS, 10**12)]])
def test_a_chart_of_little_or_much_is_still_a_chart(points):
    picture = drawn(chart(series(*points), [], SECOND_NS))
    assert len(list(picture.iter("line"))) <= 8


def test_labels_of_troubles_close_to_each_other_do_not_lie_on_one_another():
    spans = [Span("site A killed", SECOND_NS, SECOND_NS + 1), Span("line cut", SECOND_NS + 2, 2)]
    picture = drawn(chart(series((0, 1)), spans, 60 * SECOND_NS))
    labels = [node for node in picture.iter("text") if node.get("class") == "label"]
    assert len({node.get("y") for node in labels}) == 2
