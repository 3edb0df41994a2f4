"""What a report of a run holds, as plain data; times count from the start of the run."""

import enum
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Outcome(enum.Enum):
    """How a check ended."""

    HELD = "held"
    FAILED = "failed"
    NOT_RUN = "not run"
    """The machine lacks what the check needs: neither a pass nor a failure."""


class Check(NamedTuple):
    """One thing that was checked."""

    name: str
    outcome: Outcome
    compared: str
    """What was held against what, with the figures."""

    def as_object(self) -> dict[str, str]:
        """Return the check as plain data for JSON."""
        return {"name": self.name, "outcome": self.outcome.value, "compared": self.compared}


class Span(NamedTuple):
    """Something that took time."""

    name: str
    begin_ns: int
    end_ns: int


class Moment(NamedTuple):
    """Something that happened."""

    time_ns: int
    who: str
    what: str


class Figure(NamedTuple):
    """A number worth knowing."""

    name: str
    value: str
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """A quantity over time; a gap in `points` is a point without a value."""

    name: str
    unit: str
    points: list[tuple[int, int | None]]


@dataclass(slots=True)
class Report:
    """A run, ready to be shown."""

    title: str
    run: list[tuple[str, str]]
    """Words and values that say which run this is: seed, versions, folder."""
    warnings: list[str] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    acts: list[Span] = field(default_factory=list)
    troubles: list[Span] = field(default_factory=list)
    """When something was broken on purpose."""
    moments: list[Moment] = field(default_factory=list)
    series: list[Series] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)
    """Further charts, as inline SVG."""
    figures: list[Figure] = field(default_factory=list)
    files: list[tuple[str, str]] = field(default_factory=list)
    """Files beside the report, and what each is."""

    @property
    def held(self) -> bool:
        """Whether there were checks, and none failed."""
        outcomes = {check.outcome for check in self.checks}
        return Outcome.HELD in outcomes and Outcome.FAILED not in outcomes

    def count(self, outcome: Outcome) -> int:
        """Return how many checks ended so."""
        return sum(check.outcome is outcome for check in self.checks)

    def verdict(self) -> str:
        """Return the verdict in one line."""
        held, failed = self.count(Outcome.HELD), self.count(Outcome.FAILED)
        not_run = self.count(Outcome.NOT_RUN)
        left_out = f", {not_run} not run on this machine" if not_run else ""
        if self.held:
            return f"PASS: all {held} checks held{left_out}"
        first = next((c.name for c in self.checks if c.outcome is Outcome.FAILED), "nothing ran")
        return f"FAIL: {failed} of {held + failed} checks failed{left_out}; first: {first}"

    def verdict_object(self) -> dict[str, Any]:
        """Return verdict and checks as plain data for JSON."""
        return {
            "verdict": "pass" if self.held else "fail",
            "verdict_text": self.verdict(),
            "checks": [check.as_object() for check in self.checks],
        }
