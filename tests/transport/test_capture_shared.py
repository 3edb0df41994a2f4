"""One capture file for several processes and several lives: blocks never mix, and kills heal."""

import fcntl
import itertools
import multiprocessing
import os
import random
import signal
from pathlib import Path

import pytest

from emulator.errors import UnavailableError
from emulator.transport import capture
from emulator.transport.base import Direction
from emulator.transport.capture import CaptureWriter
from tests.transport.captured import INTERFACES, packet, read


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "run.pcapng")


@pytest.fixture
def writer(path):
    opened = CaptureWriter(path, INTERFACES)
    yield opened
    opened.close()


def test_a_second_process_and_a_second_life_append(path, writer):
    writer.tap(0)(Direction.SENT, packet(1), None)
    writer.flush()
    with_same_head = CaptureWriter(path, INTERFACES)
    with_same_head.tap(1)(Direction.SENT, bytes(14) + packet(2), None)
    with_same_head.close()
    writer.tap(0)(Direction.SENT, packet(3), None)
    writer.flush()
    assert [p.packet.number for p in read(path)[0]] == [1, 2, 3]


@pytest.mark.parametrize(
    "content", [b"somebody's file", b"\x0a\x0d\x0d\x0a" + bytes(400)], ids=["text", "pcapng"]
)
def test_a_foreign_file_is_refused_and_left_alone(path, content):
    Path(path).write_bytes(content)
    with pytest.raises(UnavailableError, match="belongs to another run; remove it or choose"):
        CaptureWriter(path, INTERFACES)
    assert Path(path).read_bytes() == content


def test_another_table_of_interfaces_is_another_run(path, writer):
    with pytest.raises(UnavailableError, match=r"run\.pcapng belongs to another run"):
        CaptureWriter(path, INTERFACES[:1])


@pytest.mark.parametrize("part", [0, 1, 30, 100])
def test_a_head_whose_writer_was_killed_is_written_anew(path, writer, part):
    whole = writer._head
    Path(path).write_bytes(whole[:part])
    CaptureWriter(path, INTERFACES).close()
    assert Path(path).read_bytes() == whole


def torn_file(path, writer, torn_bytes):
    """Two whole packets and a part of a third, as a killed process leaves it."""
    tap = writer.tap(0)
    for number in (1, 2, 3):
        tap(Direction.SENT, packet(number), None)
        writer.flush()
    os.truncate(path, Path(path).stat().st_size - torn_bytes)


@pytest.mark.parametrize("torn_bytes", [1, 4, 40, 80])
def test_half_a_block_is_cut_off_by_the_next_life(path, writer, torn_bytes):
    torn_file(path, writer, torn_bytes)
    found, torn = read(path)
    assert len(found) == 2
    assert "ends inside a block" in torn
    after = CaptureWriter(path, INTERFACES)
    after.tap(0)(Direction.SENT, packet(9), None)
    after.close()
    found, torn = read(path)
    assert [p.packet.number for p in found] == [1, 2, 9]
    assert torn is None


def test_half_a_block_of_a_killed_process_is_cut_off_by_a_running_one(path, writer):
    other = CaptureWriter(path, INTERFACES)
    torn_file(path, other, 10)
    writer.tap(0)(Direction.SENT, packet(9), None)
    writer.flush()
    other.close()
    found, torn = read(path)
    assert [p.packet.number for p in found] == [1, 2, 9]
    assert torn is None


def test_a_length_at_the_end_of_half_a_block_does_not_deceive(path, writer):
    writer.tap(0)(Direction.SENT, packet(1), None)
    writer.flush()
    with Path(path).open("ab") as file:  # the torn block's bytes end like a whole one would
        file.write(b"\x06\0\0\0\xff\0\0\0" + bytes(20) + (36).to_bytes(4, "little"))
    writer.tap(0)(Direction.SENT, packet(2), None)
    writer.flush()
    assert [p.packet.number for p in read(path)[0]] == [1, 2]


PROCESSES, PACKETS = 2, 20_000


def write_many(path, interface, gate):
    writer = CaptureWriter(path, INTERFACES)
    tap = writer.tap(interface)
    gate.wait(60)
    for number in range(1, PACKETS + 1):
        tap(Direction.SENT, bytes(14 * interface) + packet(number, bytes(number % 97)), None)
        if number % 7 == 0:
            writer.flush()
    writer.close()
    assert writer.counters.packets == PACKETS
    assert not writer.counters.packets_lost


def test_blocks_of_two_processes_never_mix(path):
    context = multiprocessing.get_context("spawn")
    gate = context.Barrier(PROCESSES)
    workers = [
        context.Process(target=write_many, args=(path, number, gate)) for number in range(PROCESSES)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(90)
        assert worker.exitcode == 0
    found, torn = read(path)
    assert torn is None
    for interface in INTERFACES:
        numbers = [p.packet.number for p in found if p.interface == interface.name]
        assert numbers == list(range(1, PACKETS + 1))
    # Both wrote at the same time, or the test says nothing.
    changes = sum(a.interface != b.interface for a, b in itertools.pairwise(found))
    assert changes > PROCESSES


@pytest.mark.sources
def test_a_process_that_keeps_the_lock_stops_the_capture_and_not_the_site(
    path, writer, monkeypatch
):
    monkeypatch.setattr(capture, "HELD_BYTES_MAX", 4096)
    holder = os.open(path, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    tap = writer.tap(0)
    tap(Direction.SENT, packet(1), None)
    writer.flush()
    assert writer.stopped is None
    fcntl.flock(holder, fcntl.LOCK_UN)
    writer.flush()
    assert len(read(path)[0]) == 1
    fcntl.flock(holder, fcntl.LOCK_EX)
    for number in range(2, 7):
        tap(Direction.SENT, packet(number, bytes(1000)), None)
        writer.flush()
    reason = "another process holds the file and does not let go"
    assert writer.stopped == f"{path}: capture stopped: {reason}"
    tap(Direction.SENT, packet(7), None)
    assert (writer.counters.packets, writer.counters.packets_lost) == (1, 6)
    os.close(holder)


def write_until_killed(path, ready):
    writer = CaptureWriter(path, INTERFACES)
    tap = writer.tap(0)
    for number in itertools.count(1):
        tap(Direction.SENT, packet(number, bytes(60_000)), None)
        if number == 1:
            ready.set()


def test_a_process_killed_while_it_writes_spoils_nothing(path, writer):
    context = multiprocessing.get_context("spawn")
    chance = random.Random(2)
    tap = writer.tap(1)
    sent = 0
    for _ in range(4):
        ready = context.Event()
        worker = context.Process(target=write_until_killed, args=(path, ready))
        worker.start()
        assert ready.wait(60)
        for _ in range(chance.randrange(20, 200)):
            sent += 1
            tap(Direction.SENT, bytes(14) + packet(sent), None)
            writer.flush()
        os.kill(worker.pid, signal.SIGKILL)
        worker.join(60)
    sent += 1
    tap(Direction.SENT, bytes(14) + packet(sent), None)
    writer.close()
    found, torn = read(path)
    assert torn is None
    numbers = [p.packet.number for p in found if p.interface == INTERFACES[1].name]
    assert numbers == list(range(1, sent + 1))
    assert writer.stopped == "closed"
