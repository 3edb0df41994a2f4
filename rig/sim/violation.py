"""A rule that did not hold: which one, where, when, and what was found instead."""

from typing import Any


class Violation(Exception):
    """A rule of the semantics did not hold; ends the run."""

    def __init__(self, rule: str, found: str) -> None:
        super().__init__(f"{rule}: {found}")
        self.rule = rule
        self.found = found
        self.time_ns = 0
        self.site = ""

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what makes the same violation in another process."""
        state = {"time_ns": self.time_ns, "site": self.site}
        return Violation, (self.rule, self.found), state

    def as_object(self) -> dict[str, Any]:
        """Return the violation for programs."""
        return {
            "rule": self.rule,
            "found": self.found,
            "time_ns": self.time_ns,
            "site": self.site,
        }
