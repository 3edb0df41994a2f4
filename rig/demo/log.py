"""What happened in a run, from three mouths in one file: both sites' logs, and the demo itself.

A site writes events as lines of JSON to its standard error; whatever else it writes there (the
trace of a defect) is kept as an event called `text`, at the time of the line before it.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rig.demo.folder import RunFolder

Event = dict[str, Any]
SELF = "demo"


class Diary:
    """What the demo itself did, in order."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def note(self, event: str, **words: object) -> int:
        """Note that something was done just now; return the time noted."""
        now_ns = time.time_ns()
        self.events.append({"event": event, "site": SELF, "time_ns": now_ns, **words})
        return now_ns


def merge(folder: RunFolder, sites: tuple[str, ...], diary: Diary) -> list[Event]:
    """Return all events in order of time, and leave them in the run's folder."""
    events = [*diary.events]
    for site in sites:
        if folder.log(site).exists():
            events += read_log(folder.log(site), site)
    events.sort(key=lambda event: event["time_ns"])
    with folder.events.open("w", encoding="utf-8") as file:
        file.writelines(f"{json.dumps(event)}\n" for event in events)
    return events


def read_log(path: Path, site: str) -> Iterator[Event]:
    """Yield the events of a site's log."""
    time_ns = 0
    for line in path.read_text(errors="replace").splitlines():
        try:
            event = json.loads(line)
            _, time_ns = str(event["event"]), int(event["time_ns"])
        except (ValueError, TypeError, KeyError):
            event = {"event": "text", "time_ns": time_ns, "text": line}
        yield {"site": site, **event}
