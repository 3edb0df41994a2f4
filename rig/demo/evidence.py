"""What a run leaves to be judged: plain data, no opinion. Times are wall-clock nanoseconds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rig.demo.children import Ending, Words
from rig.demo.folder import RunFolder
from rig.demo.image import FileSystem
from rig.demo.log import Event
from rig.demo.plan import Plan
from rig.demo.watch import Sample


@dataclass(slots=True)
class Act:
    """One act of the play."""

    title: str
    begin_ns: int
    end_ns: int = 0


@dataclass(slots=True)
class Trouble:
    """Something broken on purpose, and what the copy made of it."""

    name: str
    begin_ns: int
    noticed_ns: int = 0
    """When the primary said that its copy was suspended; 0 if that was not waited for."""
    repaired_ns: int = 0
    duplex_ns: int = 0
    """When both sites were in duplex again."""
    lag_before: int = 0
    """Records."""
    lag_after: int = 0
    """Just before the repair."""
    acknowledged_before: int = 0
    """The host's acknowledged writes when it began."""
    acknowledged_after: int = 0
    """... and just before the repair."""
    copied_before: int = 0
    """Tracks that the primary had copied, not replayed, since its process began."""
    copied_after: int = 0


@dataclass(frozen=True, slots=True)
class Refusal:
    """A host's write at a site that is not the primary, and what came back."""

    site: str
    when: str
    answer: str
    """The error's text; empty if the write was taken."""


@dataclass(slots=True)
class Evidence:
    """Everything that checks and report are made from."""

    folder: RunFolder
    plan: Plan
    start_ns: int
    end_ns: int = 0
    failure: str = ""
    """Why the play broke off; empty if it was played to its end."""
    file_system: FileSystem | None = None
    acts: list[Act] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    host_words: list[Words] = field(default_factory=list)
    """What the hosts said."""
    final: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """Each site's status just before it was stopped."""
    endings: list[Ending] = field(default_factory=list)
    line: dict[str, dict[str, int]] = field(default_factory=dict)
    """What the line between the sites counted, by the site whose bytes they were."""
    lives: dict[int, int] = field(default_factory=dict)
    """When each site process was started, by its process id."""
    samples: list[Sample] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
