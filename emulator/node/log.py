"""Events as JSON lines on stderr: the log, and the evidence of tests."""

import contextlib
import json
import sys
import time
from dataclasses import asdict

from emulator.events import Event


def event_json(event: Event) -> bytes:
    """Return an event as one line of JSON, stamped with wall-clock and monotonic time."""
    name = type(event).__name__
    words = "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name)
    stamp = {
        "event": words[1:],
        "time_ns": time.time_ns(),
        "monotonic_ns": time.monotonic_ns(),
    }
    return json.dumps(stamp | asdict(event)).encode() + b"\n"


def write_event(event: Event) -> None:
    """Write an event to the log; one that is full or gone does not stop the data path."""
    with contextlib.suppress(OSError):
        sys.stderr.buffer.write(event_json(event))
        sys.stderr.buffer.flush()
