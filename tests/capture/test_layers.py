"""The scapy layers agree with the golden vectors, and build what the codec builds."""

import subprocess
import sys

import pytest
from scapy.layers.l2 import Ether
from scapy.packet import Padding, Raw
from scapy.utils import PcapReader, wrpcap

from emulator.wire.headers import HEADERS, rows
from emulator.wire.layout import ChangeForm, PacketType, RecordKind
from emulator.wire.packet import Packet, decode_packet, encode_packet
from rig.capture.layers import (
    DualCopy,
    DualCopyAck,
    DualCopyDelta,
    DualCopyFull,
    DualCopyHello,
    DualCopyPiece,
    DualCopyRange,
    DualCopyRecord,
    DualCopyRecordHead,
    DualCopyRun,
    DualCopyText,
    DualCopyZero,
)
from tests.wire.vectors import BAD_PACKETS, PACKETS, RECORDS, joined, name_of

FORMS = {
    ChangeForm.FULL: DualCopyFull,
    ChangeForm.DELTA: DualCopyDelta,
    ChangeForm.ZERO: DualCopyZero,
    ChangeForm.RUN: DualCopyRun,
}
ETHERNET = bytes.fromhex("020000000002 020000000001 88b5")


def padding_of(packet):
    return packet[Padding].load if Padding in packet else b""


def plain(value):
    return value.hex() if isinstance(value, bytes) else int(value)


def assert_fields(layer, values):
    assert {name: plain(getattr(layer, name)) for name in values} == values


def assert_pieces(items, pieces):
    assert len(items) == len(pieces)
    for item, piece in zip(items, pieces, strict=True):
        assert_fields(item, piece["piece"])
        assert item.data == joined(piece["data"])


def assert_record(layer, vector):
    assert_fields(layer, vector["record"])
    assert len(layer.items) == len(vector["changes"])
    for item, change in zip(layer.items, vector["changes"], strict=True):
        assert type(item) is FORMS[change["change"]["form"]]
        for name in ("change", "delta", "zero", "run"):
            assert_fields(item, change.get(name, {}))
        if "data" in change:
            assert item.data == joined(change["data"])
        if "pieces" in change:
            assert_pieces(item.items, change["pieces"])


def assert_packet(packet, vector):
    assert type(packet) is DualCopy
    assert_fields(packet, vector["packet"])
    if "hello" in vector:
        assert_fields(packet[DualCopyHello], vector["hello"])
        names = (packet[DualCopyHello].link.decode(), packet[DualCopyHello].site.decode())
        assert names == (vector["link"], vector["site"])
    if "ack" in vector:
        assert_fields(packet[DualCopyAck], vector["ack"])
        ranges = [{"first": run.first, "last": run.last} for run in packet[DualCopyAck].items]
        assert ranges == vector["ranges"]
    if "changes" in vector:
        assert_record(packet[DualCopyRecord], vector)
    elif "record" in vector:
        assert_fields(packet[DualCopyRecordHead], vector["record"])
    if "text" in vector:
        assert packet[DualCopyText].text.decode() == vector["text"]
    if "payload" in vector:
        assert packet[Raw].load == joined(vector["payload"])
    assert padding_of(packet).hex() == vector.get("padding", "")


@pytest.mark.parametrize("vector", PACKETS, ids=name_of)
def test_layers_read_what_the_vector_says(vector):
    assert_packet(DualCopy(vector["raw"]), vector)


@pytest.mark.parametrize("vector", PACKETS, ids=name_of)
def test_layers_read_the_vector_out_of_an_ethernet_frame(vector):
    frame = Ether(ETHERNET + vector["raw"])
    assert_packet(frame.payload, vector)
    assert bytes(frame) == ETHERNET + vector["raw"]


@pytest.mark.parametrize("vector", PACKETS, ids=name_of)
def test_layers_give_the_bytes_back(vector):
    packet = DualCopy(vector["raw"])
    assert bytes(packet) == vector["raw"]
    # Once more, now from the fields alone, with length and CRC worked out anew.
    packet.clear_cache()
    packet.payload_length = packet.crc = None
    assert bytes(packet) == vector["raw"]


@pytest.mark.parametrize("vector", RECORDS, ids=name_of)
def test_record_layers_read_and_build_what_the_vector_says(vector):
    record = DualCopyRecord(vector["raw"])
    assert_record(record, vector)
    assert bytes(build_record(vector)) == bytes(record) == vector["raw"]


def build_record(vector):
    """Make the record as a user would: lengths and counts are left to scapy."""
    items = []
    for change in vector["changes"]:
        values = {**change["change"], **change.get("zero", {}), **change.get("run", {})}
        if "delta" in change:
            pieces = [
                DualCopyPiece(offset=piece["piece"]["offset"], data=joined(piece["data"]))
                for piece in change["pieces"]
            ]
            values |= {"base": change["delta"]["base"], "items": pieces}
        elif "data" in change:
            values["data"] = joined(change["data"])
            values.pop("size", None)
            if "run" not in change:
                values.pop("length")
        form = values.pop("form")
        items.append(FORMS[form](**values))
    head = {
        name: bytes.fromhex(value) if isinstance(value, str) else value
        for name, value in vector["record"].items()
        if name != "changes"
    }
    return DualCopyRecord(**head, items=items)


@pytest.mark.parametrize("vector", BAD_PACKETS, ids=name_of)
def test_bad_packets_never_raise_and_are_raw_unless_they_have_the_form_of_one(vector):
    packet = DualCopy(vector["raw"])
    formless = vector["word"] in ("short", "magic", "length")
    assert type(packet) is (Raw if formless else DualCopy)
    assert bytes(packet) == vector["raw"]
    # Ethernet shows the layer or Raw; either way the bytes come back.
    assert bytes(Ether(ETHERNET + vector["raw"])) == ETHERNET + vector["raw"]


def test_a_packet_made_by_hand_is_good_to_the_codec():
    made = DualCopy(type="ACK", flags="last+unsealed", number=5) / DualCopyAck(
        kept=3, items=[DualCopyRange(first=1, last=4)]
    )
    packet = decode_packet(bytes(made))
    assert packet[:6] == (PacketType.ACK, 10, RecordKind.NONE, 0, 0, 5)
    assert (
        packet.payload.hex()
        == "00000003 00000000 0000000000000000 00000000 01".replace(" ", "")
        + "0000000000000001"
        + "0000000000000004"
    )


def test_type_follows_from_the_layer_above():
    assert decode_packet(bytes(DualCopy() / DualCopyHello(link=b"A-B", site=b"A"))).type == 1
    assert decode_packet(bytes(DualCopy() / DualCopyAck())).type == 3
    assert decode_packet(bytes(DualCopy() / DualCopyText(text=b"{}"))).type == 2


def test_a_length_or_crc_given_by_hand_is_left_alone():
    wrong = bytes(DualCopy(crc=0xDEADBEEF) / b"abc")
    assert wrong[-4:].hex() == "deadbeef"
    assert decode_packet(wrong) == "crc"
    assert decode_packet(bytes(DualCopy(payload_length=9) / b"abc")) == "length"


def test_flags_and_values_are_shown_by_name():
    text = DualCopy(type=2, kind=5, flags=12).show(dump=True)
    assert "RESYNC_TRACKS" in text
    assert "again+unsealed" in text
    assert "DATA" in text


def test_a_record_of_more_changes_than_scapy_usually_reads():
    record = DualCopyRecord(items=[DualCopyZero(track=track, tracks=1) for track in range(1000)])
    packet = DualCopy(kind="CHANGES", record_length=len(record)) / record
    found = DualCopy(bytes(packet))[DualCopyRecord]
    assert [item.track for item in found.items] == list(range(1000))


@pytest.mark.parametrize("size", [1, 5, 10, 60, 61, 62, 70, 75])
def test_a_record_cut_short_is_shown_as_far_as_it_goes_and_kept(size):
    body = next(vector["raw"] for vector in RECORDS if vector["name"] == "full")[:size]
    fixed = (int(PacketType.DATA), 11, int(RecordKind.CHANGES), 0, 7, 1, 1, 9)
    raw = encode_packet(Packet(*fixed, size, 0, body))
    packet = DualCopy(raw)
    assert packet.csn == 9
    assert bytes(packet) == raw


def test_captures_of_bare_packets_are_read_and_written(tmp_path):
    path = tmp_path / "bare.pcap"
    wrpcap(str(path), [DualCopy(PACKETS[0]["raw"]), DualCopy(PACKETS[3]["raw"])])
    with PcapReader(str(path)) as reader:
        assert reader.linktype == 147
        packets = list(reader)
    assert [type(packet) for packet in packets] == [DualCopy, DualCopy]
    assert [bytes(packet) for packet in packets] == [PACKETS[0]["raw"], PACKETS[3]["raw"]]


def test_every_field_of_the_layout_is_in_a_layer():
    layers = {
        "packet": DualCopy,
        "packet_trailer": DualCopy,
        "hello": DualCopyHello,
        "ack": DualCopyAck,
        "ack_range": DualCopyRange,
        "record": DualCopyRecord,
        "change": DualCopyFull,
        "change_delta": DualCopyDelta,
        "change_piece": DualCopyPiece,
        "change_zero": DualCopyZero,
        "change_run": DualCopyRun,
    }
    for header in HEADERS:
        names = [field.name for field in layers[header.name].fields_desc]
        assert [name for name in names if name in {row.name for row in rows(header)}] == [
            row.name for row in rows(header)
        ]


def test_only_the_needed_parts_of_scapy_are_imported():
    program = (
        "import sys, emulator.wire.packet, emulator.wire.headers\n"
        "assert not [name for name in sys.modules if name.startswith('scapy')]\n"
        "import rig.capture.layers\n"
        "assert 'scapy.all' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
