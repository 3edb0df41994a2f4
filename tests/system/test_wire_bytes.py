"""What a rewrite costs on the line: the bytes that changed and headers, counted by tshark."""

import shutil
import struct

import pytest

from emulator.record.changes import RECORD_HEAD_BYTES
from emulator.wire.layout import (
    CHANGE_DELTA_FIELDS,
    CHANGE_FIELDS,
    CHANGE_PIECE_FIELDS,
    struct_format,
)
from emulator.wire.packet import OVERHEAD_BYTES
from rig.capture.dissector import SCRIPT
from rig.host.nbd_client import connect_nbd
from rig.host.workload import LoadPlan, contents
from tests.system.sites import run, until

BLOCKS = 1000
CHANGED = 100
BLOCK = 4096
CHANGE_HEAD_BYTES = struct.calcsize(
    struct_format((*CHANGE_FIELDS, *CHANGE_DELTA_FIELDS, *CHANGE_PIECE_FIELDS))
)
_SENT = 2  # epb_flags: outbound


def frames(capture):
    """Return (interface, direction, bytes, type, kind) of every frame, as tshark has them."""
    fields = ("frame.interface_name", "frame.packet_flags_direction", "frame.len")
    fields += ("dualcopy.type", "dualcopy.kind")
    chosen = [word for field in fields for word in ("-e", field)]
    said = run(
        *("tshark", "-n", "-r", capture, "-X", f"lua_script:{SCRIPT}"),
        *("-T", "fields", *chosen),
    )
    rows = [line.split("\t") for line in said.splitlines()]
    return [(row[0], int(row[1], 0), int(row[2]), row[3], row[4]) for row in rows]


def quiet_capture(bench, folder):
    """Return the frames and A's own figures of one moment in which nothing moved."""

    def attempt():
        before = bench.a.status()["links"]["A-B"]["line"]
        shutil.copy(bench.folder / "run.pcapng", folder / "copy.pcapng")
        return bench.a.status()["links"]["A-B"]["line"] == before and before

    line = until(attempt, "a moment without packets")
    return frames(folder / "copy.pcapng"), line


@pytest.mark.needs("tshark")
def test_a_rewrite_of_a_hundred_bytes_costs_a_hundred_bytes(two_sites, tmp_path):
    bench = two_sites(capture="run.pcapng")
    bench.start()
    bench.wait("duplex")
    plan = LoadPlan(seed=1, size_bytes=BLOCKS * BLOCK, block_bytes=BLOCK, change_bytes=CHANGED)
    with connect_nbd(bench.a.uri) as volume:
        for number in range(BLOCKS):
            volume.write(number * BLOCK, contents(plan, number, number * BLOCK))
        bench.wait("identical")
        first, line = quiet_capture(bench, tmp_path)
        before = bench.a.group()["copy"]
        for number in range(BLOCKS):
            volume.write(number * BLOCK, contents(plan, BLOCKS + number, number * BLOCK))
        bench.wait("identical")
        second, line = quiet_capture(bench, tmp_path)
        after = bench.a.group()["copy"]
    sent = [row for row in second if row[:2] == ("A-B/A", _SENT)]
    received = [row for row in second if row[0] == "A-B/A" and row[1] != _SENT]
    assert (len(sent), len(received)) == (line["packets_sent"], line["packets_received"])
    assert sum(row[2] for row in sent) == line["bytes_sent"]
    assert sum(row[2] for row in received) == line["bytes_received"]
    known = len([row for row in first if row[:2] == ("A-B/A", _SENT)])
    changes = [row for row in sent[known:] if row[3:] == ("2", "1")]
    headers = len(changes) * OVERHEAD_BYTES
    payload = sum(row[2] for row in changes) - headers
    records = after["sent_records"] - before["sent_records"]
    print(f"{payload} B in {records} records and {len(changes)} packets, {headers} B of headers")
    # Nothing was sent twice on a line that loses nothing.
    assert payload == after["sent_record_bytes"] - before["sent_record_bytes"]
    # A hundred bytes and the header of their change for each block, and a header for each record;
    # less where a new byte happens to equal the old one at either end.
    most = BLOCKS * (CHANGED + CHANGE_HEAD_BYTES) + records * RECORD_HEAD_BYTES
    assert most * 0.99 < payload <= most
    assert records <= BLOCKS
    bench.finish()
