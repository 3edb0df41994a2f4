"""Reading captures: ours to the nanosecond, torn ones as far as they go, others' as well."""

import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.utils import wrpcap

from emulator.errors import BenchError, DualCopyError, UnavailableError
from emulator.transport.pcapng import FLAG_OUTBOUND
from emulator.wire.packet import HEADER_BYTES, Packet
from rig.capture.reader import CapturedPacket, CaptureReader, in_time_order
from tests.capture import golden

GOLDEN = golden.PATH.read_bytes()
ROWS = list(golden.conversation())


def read(path):
    with CaptureReader(str(path)) as reader:
        return list(reader), reader.torn


def test_the_golden_capture_is_what_the_layout_makes():
    assert golden.capture_bytes(ROWS) == GOLDEN, "run `python -m tests.capture.golden`"


def test_the_golden_capture_reads_as_it_was_written():
    found, torn = read(golden.PATH)
    assert torn is None
    assert [p.frame for p in found] == list(range(1, len(ROWS) + 1))
    assert [p.time_ns for p in found] == [
        golden.START_NS + n * 1_000_001 for n in range(len(ROWS))
    ]  # fmt: skip
    names = [interface.name for interface in golden.INTERFACES]
    for packet, (interface, flags, comment, frame) in zip(found, ROWS, strict=True):
        assert packet.interface == names[interface]
        assert packet.direction == ("out" if flags & FLAG_OUTBOUND else "in")
        assert packet.comment == (comment or "")
        assert packet.data == frame
    assert found[7].packet == "crc"
    assert [type(p.packet) for p in found].count(Packet) == len(found) - 1


def test_a_capture_cut_anywhere_reads_as_far_as_it_goes(tmp_path):
    whole, _ = read(golden.PATH)
    path = tmp_path / "cut.pcapng"
    head = len(golden.capture_bytes([]))
    ends = {len(golden.capture_bytes(ROWS[:count])): count for count in range(len(ROWS) + 1)}
    for size in range(head, len(GOLDEN), 3):
        path.write_bytes(GOLDEN[:size])
        found, torn = read(path)
        assert found == whole[: len(found)]
        assert len(found) == max(count for end, count in ends.items() if end <= size)
        assert (torn is None) == (size in ends)


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_spoilt_capture_is_read_or_refused_and_never_crashes(tmp_path_factory, data):
    spoilt = bytearray(GOLDEN)
    places = st.tuples(st.integers(0, len(spoilt) - 1), st.integers(0, 255))
    for place, byte in data.draw(st.lists(places, min_size=1, max_size=8)):
        spoilt[place] = byte
    path = tmp_path_factory.getbasetemp() / "spoilt.pcapng"
    path.write_bytes(spoilt)
    try:
        for packet in read(path)[0]:
            assert isinstance(packet, CapturedPacket)
    except DualCopyError:
        pass


@pytest.mark.parametrize("content", [b"", b"abc", b"not a capture at all", b"\x0a\x0d\x0d\x0a"])
def test_what_is_no_capture_is_refused_by_name(tmp_path, content):
    path = tmp_path / "text"
    path.write_bytes(content)
    with pytest.raises(BenchError, match=r"text is no capture \(pcap or pcapng\)"):
        CaptureReader(str(path))


@pytest.mark.parametrize("name", ["missing", "."])
def test_a_file_that_cannot_be_read_is_named(tmp_path, name):
    with pytest.raises(UnavailableError, match=str(tmp_path)):
        CaptureReader(str(tmp_path / name))


def test_the_largest_packet_is_not_cut(tmp_path):
    big = golden.packet(2, 7, 1, bytes(65_535))
    path = tmp_path / "big.pcapng"
    path.write_bytes(golden.capture_bytes([(golden.A, FLAG_OUTBOUND, None, big)]))
    found, _ = read(path)
    assert found[0].data == big
    assert len(found[0].packet.payload) == 65_535


# Captures of other programs.

OURS = golden.hello("A", 1, 0, 1)
UDP_PORTS = {"sport": 7001, "dport": 7002}


def ethernet(*layers):
    frame = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    for layer in layers:
        frame /= layer
    return frame


@pytest.mark.parametrize(
    "layers",
    [
        (IP(dst="127.0.0.1"), UDP(**UDP_PORTS), OURS),
        (IPv6(dst="::1"), UDP(**UDP_PORTS), OURS),
        (Dot1Q(vlan=7), IP(dst="127.0.0.1"), UDP(sport=7001, dport=53), OURS),
    ],
    ids=["ipv4", "ipv6", "vlan and the port of another protocol"],
)
@pytest.mark.parametrize("nano", [False, True])
def test_our_packet_is_found_in_a_datagram(tmp_path, layers, nano):
    path = tmp_path / "tcpdump.pcap"
    frame = ethernet(*layers)
    frame.time = 1_700_000_000.25
    wrpcap(str(path), [frame], nano=nano)
    [found], torn = read(path)
    assert torn is None
    assert found.time_ns == 1_700_000_000_250_000_000
    assert (found.interface, found.direction, found.comment) == ("", "", "")
    assert found.packet.type == 1
    assert bytes(found.packet.payload) == OURS[HEADER_BYTES:-4]


def test_our_frame_is_found_under_any_ethertype(tmp_path):
    path = tmp_path / "tcpdump.pcap"
    wrpcap(str(path), [Ether(type=0x88B6) / OURS, Ether(type=0x88B5) / b"too short to be ours"])
    found, _ = read(path)
    assert found[0].packet.type == 1
    assert found[1].packet == "short"


def test_other_traffic_is_not_ours(tmp_path):
    path = tmp_path / "tcpdump.pcap"
    datagram = ethernet(IP(dst="127.0.0.1"), UDP(**UDP_PORTS), b"\xdc\x00 no magic")
    hidden = ethernet(IP(dst="127.0.0.1"), UDP(**UDP_PORTS), b"x" + OURS)
    wrpcap(str(path), [ethernet(ARP()), datagram, hidden])
    assert [p.packet for p in read(path)[0]] == [None, None, None]


def test_a_link_type_nobody_knows_is_not_ours(tmp_path):
    path = tmp_path / "odd.pcap"
    wrpcap(str(path), [OURS], linktype=65_000)
    assert [p.packet for p in read(path)[0]] == [None]


def test_a_torn_pcap_reads_as_far_as_it_goes(tmp_path):
    path = tmp_path / "tcpdump.pcap"
    wrpcap(str(path), [Ether(type=0x88B5) / OURS] * 3)
    path.write_bytes(path.read_bytes()[:-5])
    found, torn = read(path)
    assert len([p for p in found if isinstance(p.packet, Packet)]) == 2
    assert "ends inside a block" in torn


@pytest.mark.peers
@pytest.mark.needs("editcap")
@pytest.mark.parametrize("form", ["pcapng", "pcap", "nsecpcap"])
def test_what_wireshark_wrote_of_our_capture_is_read(tmp_path, form):
    ours, theirs = tmp_path / "ours.pcapng", tmp_path / "theirs"
    rows = [row for row in ROWS if row[0] == golden.A]
    ours.write_bytes(golden.capture_bytes(rows))
    # Plain pcap has no room for a second link type, not even for an interface without packets.
    subprocess.run(
        ["editcap", "-F", form, "-T", "user0", str(ours), str(theirs)], check=True, timeout=60
    )
    mine, _ = read(ours)
    found, torn = read(theirs)
    assert torn is None
    assert [p.packet for p in found] == [p.packet for p in mine]
    exact = [p.time_ns for p in mine]
    if form == "pcap":
        exact = [time_ns // 1000 * 1000 for time_ns in exact]
    assert [p.time_ns for p in found] == exact


def test_packets_of_two_processes_come_in_order_of_time():
    def at(frame, time_ns):
        return CapturedPacket(frame, "A", time_ns, "in", "", 147, b"", None)

    batches = [at(1, 10), at(2, 30), at(3, 20), at(4, 20), at(5, 5)]
    assert [p.frame for p in in_time_order(batches)] == [5, 1, 3, 4, 2]
    many = [at(n, n ^ 1) for n in range(1, 20_001)]
    assert [p.time_ns for p in in_time_order(many)] == sorted(p.time_ns for p in many)
