"""The life of one host write: its record's packets, their acknowledgement, the confirmation."""

import pytest

from emulator.wire.layout import PacketType, RecordKind
from rig.capture.follow import follow
from rig.capture.reader import CaptureReader
from tests.capture import golden


def frames(csn, path=golden.PATH):
    with CaptureReader(str(path)) as reader:
        return [packet.frame for packet in follow(reader, csn)]


@pytest.mark.parametrize("csn", [1, 2, 3])
def test_every_csn_of_a_record_has_its_packets(csn):
    with CaptureReader(str(golden.PATH)) as reader:
        found = list(follow(reader, csn))
    assert [p.frame for p in found] == [5, 6, 7, 11, 12, 13, 14, 15, 16]
    assert [p.packet.type for p in found].count(PacketType.ACK) == 2
    assert found[-1].packet.kind == RecordKind.DURABLE


def test_a_csn_that_is_not_there_has_none():
    assert frames(4) == []


def test_only_what_confirms_first_belongs_to_it(tmp_path):
    out, back = golden.FLAG_OUTBOUND, golden.FLAG_INBOUND
    rows = []
    chain = golden.CHAIN_NONE
    for csn in (1, 2):
        body, chain = golden.record_of_changes(csn, csn, chain)
        rows.append((golden.A, out, None, golden.data(csn, csn, RecordKind.CHANGES, csn, body)))
    # Frames 3 to 7: the other end keeps both records one by one, then says twice that it is safe.
    rows += [(golden.A, back, None, golden.ack(n, kept, n)) for n, kept in ((1, 1), (2, 2), (3, 2))]
    rows += [
        (golden.A, back, None, golden.data(n, 1, RecordKind.DURABLE, 2, b"{}")) for n in (4, 5)
    ]
    path = tmp_path / "run.pcapng"
    path.write_bytes(golden.capture_bytes(rows))
    assert frames(1, path) == [1, 3, 6]
    assert frames(2, path) == [2, 4, 6]
