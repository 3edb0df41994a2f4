"""The record codec agrees with the golden vectors of record bodies."""

import pytest

from emulator.record.changes import (
    RECORD_HEAD_BYTES,
    BadRecordError,
    Delta,
    Extent,
    decode_changes,
    decode_head,
    encode_head,
)
from tests.wire.vectors import RECORDS, joined, name_of


def meant(change):
    """Return the change that a vector describes, as the codec names it."""
    head = change["change"]
    place = (head["volume"], head["track"], head["offset"])
    data = joined(change.get("data", ""))
    if "delta" in change:
        pieces = [(p["piece"]["offset"], joined(p["data"])) for p in change["pieces"]]
        return Delta(*place, head["length"], change["delta"]["base"], pieces)
    if "zero" in change:
        tracks = change["zero"]["tracks"]
        return Extent(*place, tracks, tracks * 4096 or head["length"], None)
    return Extent(*place, change.get("run", {"tracks": 0})["tracks"], len(data), data)


@pytest.mark.parametrize("vector", RECORDS, ids=name_of)
def test_record_codec_reads_what_the_vector_says(vector):
    raw = vector["raw"]
    head = decode_head(raw)
    values = vector["record"].values()
    assert tuple(head) == tuple(bytes.fromhex(v) if isinstance(v, str) else v for v in values)
    assert encode_head(head) == raw[:RECORD_HEAD_BYTES]
    changes = decode_changes(raw[RECORD_HEAD_BYTES:], head.changes)
    assert changes == [meant(change) for change in vector["changes"]]


@pytest.mark.parametrize("vector", RECORDS, ids=name_of)
def test_record_codec_refuses_the_vector_one_byte_short_or_long(vector):
    body, count = vector["raw"][RECORD_HEAD_BYTES:], vector["record"]["changes"]
    with pytest.raises(BadRecordError):
        decode_changes(body + b"\0", count)
    with pytest.raises(BadRecordError):
        decode_changes(body[:-1] if count else b"\0", count)
