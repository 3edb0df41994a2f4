"""What tshark with our dissector says of frames: runs it, and reads its answer.

Also turns a golden vector into what tshark must say of it.
"""

import os
import subprocess
from typing import NamedTuple

from scapy.utils import RawPcapWriter

from emulator.wire.generate import ROOT
from emulator.wire.headers import HEADERS, rows
from tests.wire.vectors import joined

SCRIPT = ROOT / "rig" / "capture" / "dualcopy.lua"
USER0 = 147
ETHERNET = 1
# Between fields and between values of one field; neither occurs in the vectors.
SEPARATOR, AGGREGATOR = "\t", "|"

FLAGS = {"first": 1, "last": 2, "again": 4, "unsealed": 8}
NUMBERS = [row.filter for header in HEADERS for row in rows(header) if not row.code.endswith("s")]
FLAG_FILTERS = [f"dualcopy.flags.{name}" for name in FLAGS]
BYTES = [
    *(row.filter for header in HEADERS for row in rows(header) if row.code.endswith("s")),
    "dualcopy.payload",
    "dualcopy.padding",
    "dualcopy.change.data",
    "dualcopy.change.piece.data",
]
STRINGS = ["dualcopy.text", "dualcopy.hello.link", "dualcopy.hello.site"]
FILTERS = [*NUMBERS, *FLAG_FILTERS, *BYTES, *STRINGS]


class Answer(NamedTuple):
    lines: list[str]
    errors: str


def write_capture(path, frames, linktype=USER0, whole=None):
    """Write a pcap; `whole` gives sizes of frames of which only a part was captured."""
    writer = RawPcapWriter(str(path), linktype=linktype, snaplen=1 << 18)
    writer.write_header(None)
    for number, frame in enumerate(frames):
        size = whole[number] if whole else len(frame)
        writer.write_packet(frame, sec=1, usec=number, caplen=len(frame), wirelen=size)
    writer.close()
    return path


def tshark(capture, *options):
    """Run tshark with our dissector, and with none that the user may have installed."""
    home = capture.parent
    environment = {
        **os.environ,
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home),
        "LC_ALL": "C.UTF-8",
    }
    command = ["tshark", "-X", f"lua_script:{SCRIPT}", "-r", capture, *options]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60, env=environment)
    errors = [
        line
        for line in done.stderr.decode().splitlines()
        if line and not line.startswith("Running as user")
    ]
    return Answer(done.stdout.decode().splitlines(), "\n".join(errors))


def fields(capture, filters, *options):
    """Return, for each frame, the values of each filter in order of appearance."""
    wanted = [word for name in filters for word in ("-e", name)]
    shape = ["-T", "fields", "-E", "occurrence=a", "-E", f"aggregator={AGGREGATOR}"]
    answer = tshark(capture, *options, *shape, *wanted)
    assert answer.errors == ""
    return [
        {
            name: [value_of(name, text) for text in cell.split(AGGREGATOR)] if cell else []
            for name, cell in zip(filters, line.split(SEPARATOR), strict=True)
        }
        for line in answer.lines
    ]


def value_of(name, text):
    if name in FLAG_FILTERS:
        return {"1": 1, "0": 0, "True": 1, "False": 0}[text]
    if name in NUMBERS:
        return int(text, 0)
    return text.replace(":", "") if name in BYTES else text


def expected_fields(vector):
    """Return what tshark must show of a vector, for each of FILTERS."""
    found = {name: [] for name in FILTERS}
    for name, value in _expected(vector):
        found[name].append(value)
    return found


def _expected(vector):
    for place, name in (
        ("dualcopy", "packet"),
        ("dualcopy.hello", "hello"),
        ("dualcopy.ack", "ack"),
        ("dualcopy.record", "record"),
    ):
        yield from _header(place, vector.get(name, {}))
    for name, bit in FLAGS.items():
        if "packet" in vector:
            yield f"dualcopy.flags.{name}", int(bool(vector["packet"]["flags"] & bit))
    for values in vector.get("ranges", []):
        yield from _header("dualcopy.ack.range", values)
    for name, word in zip(STRINGS, ("text", "link", "site"), strict=True):
        if vector.get(word):
            yield name, vector[word]
    yield from _bytes("dualcopy.payload", vector.get("payload", ""))
    yield from _bytes("dualcopy.padding", vector.get("padding", ""))
    for change in vector.get("changes", []):
        yield from _header("dualcopy.change", change["change"])
        for form in ("delta", "zero", "run"):
            yield from _header(f"dualcopy.change.{form}", change.get(form, {}))
        for piece in change.get("pieces", []):
            yield from _header("dualcopy.change.piece", piece["piece"])
            yield from _bytes("dualcopy.change.piece.data", piece["data"])
        yield from _bytes("dualcopy.change.data", change.get("data", ""))


def _header(place, values):
    for name, value in values.items():
        yield f"{place}.{name}", value


def _bytes(name, parts):
    if data := joined(parts):
        yield name, data.hex()
