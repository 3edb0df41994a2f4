"""Golden vectors: how the files under fixtures/vectors are read.

They were written by hand from the description of the layout, not by the code under test; every
tool that claims to know the wire format must agree with them.
"""

import json
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "fixtures" / "vectors"


def load(name):
    """Return the vectors of a file, with their bytes put together under `raw`."""
    vectors = json.loads((FOLDER / name).read_text(encoding="utf-8"))["vectors"]
    assert len({vector["name"] for vector in vectors}) == len(vectors)
    return [{**vector, "raw": joined(vector["bytes"])} for vector in vectors]


def joined(parts):
    """Return the bytes that a list of parts, or one part, stands for."""
    if isinstance(parts, str):
        return bytes.fromhex(parts)
    if isinstance(parts, dict):
        return bytes.fromhex(parts["fill"]) * parts["count"]
    return b"".join(joined(part) for part in parts)


def name_of(vector):
    return vector["name"]


PACKETS = load("packets.json")
BAD_PACKETS = load("bad_packets.json")
RECORDS = load("records.json")


def headers_in(vector):
    """Yield (header's name, its values, where it lies) for each header in a vector, in order.

    Walks by the sizes that the values themselves give, so it works for packets and for bodies.
    """
    at = 0
    for name, values, size in _pieces(vector):
        if name:
            yield name, values, at
        at += size


def _pieces(vector):
    if "packet" in vector:
        yield "packet", _without(vector["packet"], "crc"), 42
    if "hello" in vector:
        yield "hello", vector["hello"], 27
    if "ack" in vector:
        yield "ack", vector["ack"], 21
        yield from (("ack_range", values, 16) for values in vector["ranges"])
    if "record" in vector:
        yield "record", vector["record"], 61
    for change in vector.get("changes", ()):
        yield "change", change["change"], 10
        if "delta" in change:
            yield "change_delta", change["delta"], 9
            for piece in change["pieces"]:
                yield "change_piece", piece["piece"], 4
                yield None, None, len(joined(piece["data"]))
        if "zero" in change:
            yield "change_zero", change["zero"], 4
        if "run" in change:
            yield "change_run", change["run"], 8
        yield None, None, len(joined(change.get("data", "")))


def _without(values, *names):
    return {name: value for name, value in values.items() if name not in names}
