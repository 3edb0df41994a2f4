"""Wireshark, with our dissector, agrees with the golden vectors and never stumbles."""

import itertools
import random

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether

from emulator.wire.framing import encode_frame
from emulator.wire.layout import PacketFlag, PacketType, RecordKind
from emulator.wire.lua import label, lua_dissector
from emulator.wire.packet import Packet, decode_packet, encode_packet
from tests.wire.dissection import (
    ETHERNET,
    FILTERS,
    SCRIPT,
    expected_fields,
    fields,
    tshark,
    write_capture,
)
from tests.wire.vectors import BAD_PACKETS, PACKETS, RECORDS, name_of

pytestmark = [pytest.mark.needs("tshark"), pytest.mark.peers]

CRC_ON = ("-o", "dualcopy.crc:TRUE")
TROUBLE = "_ws.malformed || _ws.lua.error || dualcopy.inconsistent || dualcopy.cut"
ETHERNET_HEADER = bytes.fromhex("020000000002 020000000001 88b5")
ETHERNET_BYTES_MIN = 60
WHOLE = PacketFlag.FIRST | PacketFlag.LAST | PacketFlag.UNSEALED


def data_packet(payload, number=1, kind=RecordKind.CHANGES, csn=0):
    fixed = (int(PacketType.DATA), int(WHOLE), int(kind), 0, 7, number, number, csn)
    return encode_packet(Packet(*fixed, len(payload), 0, payload))


def on_ethernet(packet):
    return (ETHERNET_HEADER + packet).ljust(ETHERNET_BYTES_MIN, b"\0")


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """What tshark shows of each vector, by line and name."""
    folder = tmp_path_factory.mktemp("shown")
    bare = [vector["raw"] for vector in PACKETS]
    records = [data_packet(vector["raw"]) for vector in RECORDS]
    files = {
        "user0": write_capture(folder / "user0.pcap", bare),
        "ethernet": write_capture(
            folder / "ethernet.pcap", [on_ethernet(raw) for raw in bare], ETHERNET
        ),
        "records": write_capture(folder / "records.pcap", records),
    }
    found = {}
    for line, path in files.items():
        rows = fields(path, FILTERS)
        vectors = RECORDS if line == "records" else PACKETS
        found |= {(line, v["name"]): row for v, row in zip(vectors, rows, strict=True)}
    return found, files


@pytest.mark.parametrize("vector", PACKETS, ids=name_of)
def test_a_bare_packet_shows_what_the_vector_says(shown, vector):
    assert shown[0]["user0", vector["name"]] == expected_fields(vector)


@pytest.mark.parametrize("vector", PACKETS, ids=name_of)
def test_an_ethernet_frame_shows_what_the_vector_says(shown, vector):
    expected = expected_fields(vector)
    missing = ETHERNET_BYTES_MIN - len(ETHERNET_HEADER) - len(vector["raw"])
    if missing > 0:
        expected["dualcopy.padding"] = [vector.get("padding", "") + "00" * missing]
    assert shown[0]["ethernet", vector["name"]] == expected


@pytest.mark.parametrize("vector", RECORDS, ids=name_of)
def test_a_record_shows_what_the_vector_says(shown, vector):
    packet = {name: [] for name in FILTERS if name.count(".") == 1 or ".flags" in name}
    found = shown[0]["records", vector["name"]]
    assert {**found, **packet} == expected_fields(vector)
    assert found["dualcopy.record_length"] == [len(vector["raw"])]


@pytest.mark.parametrize("line", ["user0", "ethernet", "records"])
def test_good_packets_are_never_in_trouble(shown, line):
    found = tshark(shown[1][line], *CRC_ON, "-Y", f"{TROUBLE} || _ws.expert")
    assert found.lines == []
    assert found.errors == ""


def test_bad_packets_get_the_word_of_the_vector(tmp_path):
    capture = write_capture(tmp_path / "bad.pcap", [vector["raw"] for vector in BAD_PACKETS])
    words = ["short", "version", "type", "length", "crc"]
    marked = {
        word: {
            int(line)
            for line in tshark(
                capture,
                *CRC_ON,
                "-Y",
                f"dualcopy.rejected.{word}",
                "-T",
                "fields",
                "-e",
                "frame.number",
            ).lines
        }
        for word in words
    }
    for number, vector in enumerate(BAD_PACKETS, 1):
        # What does not begin with the magic is nobody's, and shown as bytes.
        ours = vector["raw"][:2] == b"\xdc\x94"
        expected = {vector["word"]} if ours else set()
        assert {word for word in words if number in marked[word]} == expected, vector["name"]
    assert tshark(capture, *CRC_ON, "-Y", TROUBLE).lines == []


def test_the_crc_is_not_checked_unless_asked_for(tmp_path):
    raw = next(vector["raw"] for vector in BAD_PACKETS if vector["name"] == "crc-bit")
    capture = write_capture(tmp_path / "crc.pcap", [raw])
    assert tshark(capture, "-Y", "dualcopy.rejected.crc").lines == []
    assert len(tshark(capture, *CRC_ON, "-Y", "dualcopy.rejected.crc").lines) == 1


def test_the_info_column_tells_a_packet_in_one_line(tmp_path):
    wanted = ["hello-first", "ack-ranges", "data-changes-again", "data-middle-fragment", "close"]
    raw = {vector["name"]: vector["raw"] for vector in PACKETS}
    capture = write_capture(tmp_path / "info.pcap", [raw[name] for name in wanted])
    lines = tshark(capture).lines
    assert [line.partition("dualcopy ")[2].partition(" ")[2] for line in lines] == [
        "HELLO #1 site A [unsealed]",
        "ACK #4294967296 kept 41 largest 99 [unsealed]",
        "DATA CHANGES #21 csn 42 bytes 0+76 of 76 [again first last unsealed]",
        "DATA CHANGES #31 csn 9223372036854775817 bytes 1071+900 of 2071 [unsealed]",
        "CLOSE #77 [unsealed]",
    ]


def test_csn_finds_all_packets_of_a_record_and_no_other(tmp_path):
    capture = write_capture(tmp_path / "csn.pcap", [vector["raw"] for vector in PACKETS])
    found = fields(
        capture, ["dualcopy.fragment_offset"], "-Y", "dualcopy.csn == 9223372036854775817"
    )
    offsets = [row["dualcopy.fragment_offset"] for row in found]
    assert offsets == [[0], [1071], [1971], [0]]
    csn = 9223372036854775812
    inside = f"dualcopy.record.csn_first <= {csn} && dualcopy.record.csn_last >= {csn}"
    assert len(tshark(capture, "-Y", inside).lines) == 1


def test_udp_is_found_by_magic_and_version_or_by_port(tmp_path):
    packet = PACKETS[0]["raw"]
    other = b"\xdc\x94\x07" + packet[3:]
    frames = [
        bytes(Ether() / IP() / UDP(sport=40001, dport=40002) / load)
        for load in (packet, other, b"hello")
    ]
    capture = write_capture(tmp_path / "udp.pcap", frames, ETHERNET)
    shape = ("-T", "fields", "-e", "frame.number", "-Y")
    assert tshark(capture, *shape, "dualcopy").lines == ["1"]
    by_port = ("-d", "udp.port==40002,dualcopy")
    assert tshark(capture, *by_port, *shape, "dualcopy").lines == ["1", "2"]
    assert tshark(capture, *by_port, *shape, "dualcopy.rejected.version").lines == ["2"]


def test_tcp_streams_are_unstuffed_and_put_together(tmp_path):
    packets = [vector["raw"] for vector in PACKETS if len(vector["raw"]) < 5000]
    stream = b"\0\0" + b"".join(encode_frame(packet) for packet in packets)
    damaged = len(stream)
    stream += b"\x09ab\0" + b"\x03xy\0" + encode_frame(packets[0])
    cuts = [0, 1, 30, 31, 700, 701, 2000, damaged + 1, len(stream)]
    frames = [
        bytes(
            Ether()
            / IP(src="10.0.0.1", dst="10.0.0.2")
            / TCP(sport=40001, dport=40002, seq=1000 + start, ack=1, flags="PA")
            / stream[start:stop]
        )
        for start, stop in itertools.pairwise(cuts)
    ]
    capture = write_capture(tmp_path / "tcp.pcap", frames, ETHERNET)
    by_port = ("-d", "tcp.port==40002,dualcopy_stream")
    rows = fields(capture, ["dualcopy.crc"], *by_port)
    found = [crc for row in rows for crc in row["dualcopy.crc"]]
    assert found == [decoded_crc(packet) for packet in [*packets, packets[0]]]
    assert tshark(capture, *by_port, *CRC_ON, "-Y", TROUBLE).lines == []
    lost = tshark(capture, *by_port, "-V", "-Y", "dualcopy_stream.damaged").lines
    assert sum(line.strip() == "[Not a packet in COBS]" for line in lost) == 2


def decoded_crc(packet):
    length = len(decode_packet(packet).payload)
    return int.from_bytes(packet[42 + length : 46 + length], "big")


def test_a_capture_that_holds_only_the_start_of_packets_is_read_as_far_as_it_goes(tmp_path):
    raws = [vector["raw"] for vector in [*PACKETS] if len(vector["raw"]) > 46]
    sizes = [2, 3, 20, 41, 42, 43, 45, 46, 60, 100, 110, 140]
    pairs = [(raw, size) for raw in raws for size in sizes if size < len(raw)]
    cut = [raw[:size] for raw, size in pairs]
    whole = [len(raw) for raw, _ in pairs]
    capture = write_capture(tmp_path / "cut.pcap", cut, whole=whole)
    assert tshark(capture, *CRC_ON, "-Y", "_ws.malformed || _ws.lua.error").lines == []
    assert len(tshark(capture, *CRC_ON, "-Y", "dualcopy.cut").lines) > len(pairs) // 2
    assert tshark(capture, *CRC_ON, "-V").errors == ""


def hello_packet(body):
    return encode_packet(Packet(int(PacketType.HELLO), 8, 0, 0, 0, 1, 0, 0, 0, 0, body))


def test_names_of_sites_are_shown_where_they_can_be(tmp_path):
    names = [b"north", "Zürich".encode(), b"\xef", "ü".encode() * 127, b"a\nb", b"s" * 255]
    start = PACKETS[0]["raw"][42 : 42 + 25]
    frames = [hello_packet(start + bytes([0, len(name)]) + name) for name in names]
    capture = write_capture(tmp_path / "names.pcap", frames)
    infos = [line.partition("HELLO #1 ")[2] for line in tshark(capture).lines]
    assert infos[:5] == ["site north [unsealed]", *["[unsealed]"] * 4]
    assert infos[5].startswith("site sss")
    assert any("Site: Zürich" in line for line in tshark(capture, "-V").lines)


def damaged(dice, raw):
    data = bytearray(raw[: dice.randrange(len(raw) + 1)] if dice.random() < 0.3 else raw)
    for _ in range(dice.randrange(4)):
        if data:
            data[dice.randrange(len(data))] = dice.choice([0, 1, 4, 0x7F, 0x80, 0xFF])
    return bytes(data)


def test_no_damage_makes_the_dissector_stumble(tmp_path):
    # Bodies are damaged before the CRC is set, too: so that what is inside is reached.
    dice = random.Random(94)
    raws = [vector["raw"] for vector in PACKETS if len(vector["raw"]) < 5000]
    frames = [damaged(dice, dice.choice(raws)) for _ in range(1000)]
    kinds = list(RecordKind)
    frames += [
        data_packet(damaged(dice, dice.choice(RECORDS)["raw"]), kind=dice.choice(kinds))
        for _ in range(300)
    ]
    for type_ in PacketType:
        frames += [
            encode_packet(Packet(int(type_), 8, 0, 0, 7, 1, 1, 0, 0, 0, damaged(dice, raw[42:-4])))
            for raw in dice.choices(raws, k=200)
        ]
    capture = write_capture(tmp_path / "damage.pcap", frames)
    found = tshark(capture, *CRC_ON, "-V")
    assert found.errors == ""
    for trouble in ("Lua Error", "Malformed", "Dissector bug"):
        assert not [line for line in found.lines if trouble in line]
    on_wire = write_capture(tmp_path / "wire.pcap", [on_ethernet(f) for f in frames], ETHERNET)
    assert tshark(on_wire, *CRC_ON, "-Y", "_ws.malformed || _ws.lua.error").lines == []


def test_a_body_that_is_not_what_its_header_says_is_marked(tmp_path):
    record = next(vector["raw"] for vector in RECORDS if vector["name"] == "all-forms")
    hello = PACKETS[0]["raw"][42:-4]
    bodies = [
        record[:-1],
        record + b"\0",
        record[:60],
        record[:61],
        record.replace(b"\0\1\0\0\0\7", b"\0\x09\0\0\0\7"),
    ]
    frames = [data_packet(body) for body in bodies]
    frames += [hello_packet(body) for body in (hello[:-1], hello + b"x", hello[:10], b"")]
    capture = write_capture(tmp_path / "odd.pcap", [*frames, data_packet(record)])
    marked = tshark(capture, "-Y", "dualcopy.inconsistent", "-T", "fields", "-e", "frame.number")
    assert [int(line) for line in marked.lines] == list(range(1, len(frames) + 1))
    assert tshark(capture, "-Y", "_ws.malformed || _ws.lua.error").lines == []


def test_the_script_is_the_committed_one_and_has_no_later_syntax():
    text = lua_dissector()
    assert SCRIPT.read_text(encoding="utf-8") == text
    code = "\n".join(line.partition("--")[0] for line in text.splitlines())
    for sign in ("//", " & ", " | ", ">>", "<<", "goto "):
        assert sign not in code


def test_labels_read_as_words():
    assert label("crc") == "CRC"
    assert label("fragment_offset") == "Fragment offset"
