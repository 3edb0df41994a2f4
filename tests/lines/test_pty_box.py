"""The line box, with pyserial at its ports: whole, paced, cut, healed, and counted to the last."""

import random
import threading
import time
from pathlib import Path

import pytest
import serial

from emulator.clock import SECOND_NS
from rig.lines.pty_box import PATIENCE_NS, PtyBox

WAIT_S = 10.0


def opened(port):
    return serial.Serial(port, 115200, timeout=WAIT_S, write_timeout=WAIT_S, exclusive=True)


def reach(condition):
    """Wait for a state of the box's thread."""
    deadline_ns = time.monotonic_ns() + int(WAIT_S * SECOND_NS)
    pause = threading.Event()
    while not condition():
        assert time.monotonic_ns() < deadline_ns, "it never came to that"
        pause.wait(0.005)


def lost_nothing(way):
    return way.taken_bytes == way.delivered_bytes + way.cut_bytes + way.unread_bytes


@pytest.fixture
def box():
    with PtyBox() as found:
        yield found


def test_every_byte_arrives_both_ways_at_once(box):
    dice = random.Random(11)
    sent = [dice.randbytes(300_000) for _ in box.ports]
    with opened(box.ports[0]) as one, opened(box.ports[1]) as other:
        writers = [
            threading.Thread(target=port.write, args=(data,))
            for port, data in zip((one, other), sent, strict=True)
        ]
        for writer in writers:
            writer.start()
        found = [None, None]
        readers = [
            threading.Thread(target=lambda: found.__setitem__(0, one.read(300_000))),
            threading.Thread(target=lambda: found.__setitem__(1, other.read(300_000))),
        ]
        for reader in readers:
            reader.start()
        for thread in (*writers, *readers):
            thread.join()
    assert found == sent[::-1]
    # A piece is counted when it was handed over, which its reader may see sooner.
    reach(lambda: [way.delivered_bytes for way in box.counters] == [300_000, 300_000])
    assert all(lost_nothing(way) for way in box.counters)


def test_all_256_bytes_pass_unchanged_without_an_echo(box):
    with opened(box.ports[0]) as one, opened(box.ports[1]) as other:
        one.write(bytes(range(256)))
        assert other.read(256) == bytes(range(256))
        other.write(b"x")
        assert one.read(1) == b"x"
        assert one.in_waiting == 0


@pytest.mark.parametrize("rate", [100_000, 400_000])
def test_no_byte_comes_faster_than_the_rate(rate):
    size = rate // 2
    with PtyBox(rate) as box, opened(box.ports[0]) as one, opened(box.ports[1]) as other:
        begun_ns = time.monotonic_ns()
        writer = threading.Thread(target=one.write, args=(bytes(size),))
        writer.start()
        assert len(other.read(size)) == size
        took_s = (time.monotonic_ns() - begun_ns) / SECOND_NS
        writer.join()
    # The last piece is handed over when its time begins, not when it ends.
    assert took_s > (size - 2 * 4096) / rate - 0.02


def test_a_cut_line_loses_all_and_a_healed_one_nothing(box):
    with opened(box.ports[0]) as one, opened(box.ports[1]) as other:
        one.write(b"before")
        assert other.read(6) == b"before"
        box.cut()
        assert box.is_cut
        one.write(b"lost")
        other.write(b"gone")
        reach(lambda: [way.cut_bytes for way in box.counters] == [4, 4])
        box.heal()
        assert not box.is_cut
        one.write(b"after")
        assert other.read(5) == b"after"
        assert one.in_waiting == 0
    reach(lambda: all(lost_nothing(way) for way in box.counters))


def test_a_port_that_nobody_reads_holds_nobody_up(box):
    size = 400_000
    with opened(box.ports[0]) as one:
        begun_ns = time.monotonic_ns()
        one.write(bytes(size))
        reach(lambda: box.counters[0].taken_bytes == size)
        # It waits once for the other port's owner, and then for no piece more.
        assert time.monotonic_ns() - begun_ns < PATIENCE_NS * 8
        reach(lambda: lost_nothing(box.counters[0]))
        assert box.counters[0].unread_bytes > size // 2
        with opened(box.ports[1]) as other:
            # pyserial throws away what the system still held for this port.
            one.write(b"new")
            assert other.read(3) == b"new"


def test_an_owner_may_close_its_port_and_open_it_again(box):
    with opened(box.ports[1]) as other:
        for turn in range(3):
            with opened(box.ports[0]) as one:
                one.write(b"hello %d" % turn)
                assert other.read(7) == b"hello %d" % turn


def test_a_closed_box_takes_its_ports_away():
    with PtyBox() as box:
        ports = box.ports
        assert all(Path(port).exists() for port in ports)
    box.close()
    box.cut()  # means nothing any more, and does no harm
    assert not any(Path(port).exists() for port in ports)
    assert not [thread for thread in threading.enumerate() if thread.name == "pty-box"]
