"""The capture file: what is tapped is read back, by us and by Wireshark; a full disk stops it."""

import os
import resource
import subprocess
import timeit
from pathlib import Path

import pytest
from scapy.utils import PcapNgWriter

from emulator.errors import BenchError, UnavailableError
from emulator.transport import capture
from emulator.transport.base import Direction
from emulator.transport.capture import CaptureWriter, capture_from_environment, join_taps
from emulator.wire.layout import ETHERTYPE_DEFAULT
from rig.capture.dissector import SCRIPT
from tests.transport.captured import INTERFACES, NOW_NS, damaged, packet, read


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "run.pcapng")


@pytest.fixture
def writer(path):
    opened = CaptureWriter(path, INTERFACES, lambda: NOW_NS)
    yield opened
    opened.close()


def tshark(path, *options):
    done = subprocess.run(
        ["tshark", "-r", path, "-X", f"lua_script:{SCRIPT}", *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.splitlines()


def test_what_is_tapped_is_read_back(path, writer):
    tap = writer.tap(0)
    tap(Direction.SENT, packet(1), None)
    tap(Direction.RECEIVED, packet(2), None)
    tap(Direction.RECEIVED, damaged(3), None)
    tap(Direction.RECEIVED, b"noise", "framing error")
    tap(Direction.SENT, damaged(4), "fault: bit flipped")
    writer.flush()
    found, torn = read(path)
    assert torn is None
    assert [p.interface for p in found] == ["A-B/A"] * 5
    assert [p.time_ns for p in found] == [NOW_NS] * 5
    assert [p.direction for p in found] == ["out", "in", "in", "in", "out"]
    comments = ["", "", "damaged: crc", "framing error", "fault: bit flipped"]
    assert [p.comment for p in found] == comments
    assert [bytes(p.data) for p in found] == [
        packet(1), packet(2), damaged(3), b"noise", damaged(4)
    ]  # fmt: skip
    assert writer.counters.packets == 5
    assert writer.counters.bytes == sum(len(p.data) for p in found)


def test_a_reused_buffer_is_copied(path, writer):
    buffer = bytearray(packet(1))
    writer.tap(0)(Direction.SENT, memoryview(buffer), None)
    buffer[:] = bytes(len(buffer))
    writer.flush()
    assert read(path)[0][0].data == packet(1)


def test_nothing_is_written_before_a_flush_but_a_full_batch_is(path, writer):
    tap = writer.tap(0)
    tap(Direction.SENT, packet(1), None)
    assert read(path)[0] == []
    big = packet(2, bytes(60_000))
    for _ in range(capture.BATCH_BYTES_MAX // len(big) + 1):
        tap(Direction.SENT, big, None)
    assert len(read(path)[0]) == capture.BATCH_BYTES_MAX // len(big) + 2


def test_ethernet_frames_are_judged_behind_their_header(path, writer):
    header = bytes(12) + ETHERTYPE_DEFAULT.to_bytes(2, "big")
    tap = writer.tap(1)
    tap(Direction.RECEIVED, (header + packet(1)).ljust(128, b"\0"), None)
    tap(Direction.RECEIVED, header + damaged(2), None)
    writer.flush()
    assert [p.comment for p in read(path)[0]] == ["", "damaged: crc"]


def test_a_long_comment_is_cut_and_odd_characters_do_not_matter(path, writer):
    tap = writer.tap(0)
    tap(Direction.SENT, packet(1), "\u00e4" * 5000)
    tap(Direction.SENT, packet(2), "half \ud800 a pair")
    writer.flush()
    assert [p.comment for p in read(path)[0]] == ["\u00e4" * 512, "half ? a pair"]


# Disks and names that do not serve.


@pytest.fixture
def file_limit():
    """Make files larger than the yielded function's argument fail to grow, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_stops_the_capture_and_leaves_whole_blocks(path, writer, file_limit):
    tap = writer.tap(0)
    tap(Direction.SENT, packet(1), None)
    writer.flush()
    # Room for half of the next batch: the write is short first, and fails then.
    file_limit(Path(path).stat().st_size + 1000)
    for number in range(2, 4):
        tap(Direction.SENT, packet(number, bytes(900)), None)
    writer.flush()
    assert writer.stopped == f"{path}: capture stopped: File too large"
    tap(Direction.SENT, packet(4), None)
    writer.flush()
    found, torn = read(path)
    assert torn is None
    assert [p.packet.number for p in found] == [1]
    assert (writer.counters.packets, writer.counters.bytes) == (1, len(packet(1)))
    assert writer.counters.packets_lost == 3


def test_a_disk_too_full_for_the_head_is_named(path, file_limit):
    file_limit(10)
    with pytest.raises(UnavailableError, match=r"run\.pcapng: cannot capture: File too large"):
        CaptureWriter(path, INTERFACES)


def test_a_file_emptied_by_others_stops_the_capture(path, writer):
    os.truncate(path, 0)
    writer.tap(0)(Direction.SENT, packet(1), None)
    writer.flush()
    assert writer.stopped == f"{path}: capture stopped: another program emptied the file"


@pytest.mark.parametrize("name", ["missing/run.pcapng", "."])
def test_a_place_where_no_file_can_be_is_named(tmp_path, name):
    place = str(tmp_path / name)
    with pytest.raises(UnavailableError, match="cannot capture"):
        CaptureWriter(place, INTERFACES)


def test_a_pipe_is_refused(tmp_path):
    place = str(tmp_path / "pipe")
    os.mkfifo(place)
    with pytest.raises(UnavailableError, match="no ordinary file"):
        CaptureWriter(place, INTERFACES)


def test_others_cannot_read_what_lies_on_the_disks(path, writer):
    assert Path(path).stat().st_mode & 0o077 == 0


# The switch, and several taps on one line.


def test_the_environment_switch_captures_every_link(tmp_path):
    pattern = str(tmp_path / "{site}-{pid}.pcapng")
    writer = capture_from_environment({"DUALCOPY_PCAP": pattern}, "A", INTERFACES)
    writer.tap(0)(Direction.SENT, packet(1), None)
    writer.close()
    assert len(read(str(tmp_path / f"A-{os.getpid()}.pcapng"))[0]) == 1


@pytest.mark.parametrize("environ", [{}, {"DUALCOPY_PCAP": ""}])
def test_without_the_switch_nothing_is_captured(environ):
    assert capture_from_environment(environ, "A", INTERFACES) is None


@pytest.mark.parametrize("pattern", ["{now}.pcapng", "{0}", "{", "{pid.x}"])
def test_a_place_holder_that_does_not_exist_is_named(pattern):
    with pytest.raises(BenchError, match=r"only \{pid\} and \{site\} can stand"):
        capture_from_environment({"DUALCOPY_PCAP": pattern}, "A", INTERFACES)


def test_taps_are_joined():
    seen = []
    taps = [lambda *call, name=name: seen.append((name, *call)) for name in "ab"]
    assert join_taps([]) is None
    assert join_taps(taps[:1]) is taps[0]
    join_taps(taps)(Direction.SENT, b"x", "remark")
    assert seen == [("a", Direction.SENT, b"x", "remark"), ("b", Direction.SENT, b"x", "remark")]


# Wireshark's eyes.


@pytest.mark.peers
@pytest.mark.needs("tshark")
def test_tshark_sees_what_was_written(path, writer):
    tap = writer.tap(0)
    tap(Direction.SENT, packet(1), None)
    tap(Direction.RECEIVED, damaged(2), None)
    tap(Direction.RECEIVED, b"noise", "framing error")
    header = bytes(12) + ETHERTYPE_DEFAULT.to_bytes(2, "big")
    writer.tap(1)(Direction.RECEIVED, header + packet(4), "fault: repeated")
    writer.flush()
    names = ("frame.interface_name", "frame.time_epoch", "frame.packet_flags_direction",
             "frame.packet_flags_crc_error", "frame.comment", "dualcopy.csn")  # fmt: skip
    rows = tshark(path, "-T", "fields", *(part for name in names for part in ("-e", name)))
    stamp = "1700000000.123456789"
    assert [row.split("\t") for row in rows] == [
        ["A-B/A", stamp, "0x00000002", "0", "", "1"],
        ["A-B/A", stamp, "0x00000001", "1", "damaged: crc", "2"],
        ["A-B/A", stamp, "0x00000001", "1", "framing error", ""],
        ["A-B/B", stamp, "0x00000001", "0", "fault: repeated", "4"],
    ]
    assert tshark(path, "-Y", "_ws.malformed") == []
    assert len(tshark(path, "-Y", "dualcopy.csn == 4")) == 1


@pytest.mark.peers
@pytest.mark.needs("capinfos")
def test_the_head_says_who_wrote_it_and_that_the_link_is_not_sealed(path, writer):
    writer.tap(0)(Direction.SENT, packet(1), None)
    writer.flush()
    done = subprocess.run(
        ["capinfos", path], capture_output=True, text=True, timeout=60, check=True
    )
    for line in (
        "Capture application: dualcopy",
        "Capture comment:     link not sealed (lab_plaintext)",
        "Description = udp://127.0.0.1:7001",
        "Encapsulation = USER 0",
        "Encapsulation = Ethernet",
        "Time precision = nanoseconds (9)",
    ):
        assert line in done.stdout


@pytest.mark.performance
def test_a_tap_is_faster_than_scapy_writes(path, writer):
    frame = packet(1, bytes(1400))
    rounds = 20_000

    def ours():
        tap = writer.tap(0)
        for _ in range(rounds):
            tap(Direction.SENT, frame, None)
        writer.flush()

    def scapys():
        with PcapNgWriter(f"{path}.scapy") as peer:
            for _ in range(rounds):
                peer.write(frame)

    def best_s(work):
        return min(timeit.repeat(work, number=1, repeat=3))

    assert best_s(ours) < best_s(scapys)
