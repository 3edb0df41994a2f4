"""Faults as data: which operation at which place goes wrong, and how.

A place (`line.A-B`, `nvs.A`, `disk.A.0`) counts its operations. While drawing, each fault that
chance wants is kept as a row; a plan made from rows repeats exactly those. What a fault does is
left to the place itself.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple


class Fault(NamedTuple):
    """One fault: the operation of a place that it befalls, its kind, and its figures."""

    place: str
    number: int
    kind: str
    figures: tuple[int, ...] = ()


Drawn = tuple[str, tuple[int, ...]]
"""Kind and figures of a fault that chance wants."""
Draw = Callable[[int], Drawn | None]
"""Asks chance about one operation of the given size."""


class Place:
    """Where operations may go wrong; counts them."""

    __slots__ = ("_draw", "_plan", "_rows", "name", "number")

    def __init__(self, plan: "Plan", name: str, draw: Draw, rows: dict[int, Fault]) -> None:
        self.name = name
        self.number = 0
        self._plan = plan
        self._draw = draw
        self._rows = rows

    def next(self, size_bytes: int) -> Fault | None:
        """Count one more operation and return what befalls it, if anything."""
        number = self.number
        self.number = number + 1
        plan = self._plan
        if plan.quiet:
            return None
        if plan.replaying:
            fault = self._rows.get(number)
        else:
            drawn = self._draw(size_bytes)
            fault = None if drawn is None else Fault(self.name, number, *drawn)
        if fault is not None:
            plan.happened.append(fault)
        return fault


class Plan:
    """All faults of one run: drawn and kept, or repeated from rows."""

    def __init__(self, rows: Iterable[Fault] | None = None) -> None:
        self.replaying = rows is not None
        self.quiet = False
        """No more faults: the run is to show that everything heals."""
        self.happened: list[Fault] = []
        self.places: list[Place] = []
        self._rows: dict[str, dict[int, Fault]] = {}
        for fault in rows or ():
            self._rows.setdefault(fault.place, {})[fault.number] = fault

    def place(self, name: str, draw: Draw) -> Place:
        """Return the place called `name`, whose chance is `draw` while faults are drawn."""
        place = Place(self, name, draw, self._rows.get(name, {}))
        self.places.append(place)
        return place

    def counts(self) -> dict[str, int]:
        """Return how many faults of each kind happened."""
        found: dict[str, int] = {}
        for fault in self.happened:
            where = fault.place.partition(".")[0]
            key = f"{where}.{fault.kind}"
            found[key] = found.get(key, 0) + 1
        return dict(sorted(found.items()))
