"""What a link carries is compared: a record that is new, late or twice ends the run."""

import pytest

from emulator.link.packetizer import RECORD_BYTES_MAX
from emulator.wire.layout import PacketFlag, PacketType
from emulator.wire.packet import Packet, encode_packet
from rig.sim.carried import Carried
from rig.sim.violation import Violation

WINDOW = 1 << 20


def packet(number: int, session: int = 7, kind: PacketType = PacketType.DATA) -> bytes:
    return encode_packet(
        Packet(int(kind), int(PacketFlag.UNSEALED), 1, 1, session, number, 1, 0, 1, 0, b"x")
    )


def test_records_come_out_as_they_went_in():
    carried = Carried("A-B")
    for data in (b"one", b"two", b"three"):
        carried.put_in(1, [data[:1], data[1:]])
    carried.came_out(1, b"one", WINDOW, spoilt=False)
    # The session ended, and the next begins with what was not delivered.
    carried.came_out(1, b"three", WINDOW, spoilt=False)
    assert carried.held_bytes == 8


@pytest.mark.parametrize(
    ("kind", "data", "word"),
    [
        (1, b"one", "again or out of order"),
        (2, b"two", "never sent"),
        (1, b"tw", "never sent"),
    ],
)
def test_anything_else_breaks_a_rule(kind, data, word):
    carried = Carried("A-B")
    carried.put_in(1, [b"one"])
    carried.put_in(1, [b"two"])
    carried.came_out(1, b"one", WINDOW, spoilt=False)
    with pytest.raises(Violation, match=word) as caught:
        carried.came_out(kind, data, WINDOW, spoilt=False)
    assert caught.value.rule == "L2"


def test_what_was_spoilt_on_purpose_may_differ():
    carried = Carried("A-B")
    carried.put_in(1, [b"one"])
    carried.came_out(1, b"onf", WINDOW, spoilt=True)


def test_memory_is_bounded():
    carried = Carried("A-B")
    carried.held_bytes = WINDOW + RECORD_BYTES_MAX
    carried.put_in(1, [b"one"])
    with pytest.raises(Violation, match="L4"):
        carried.came_out(1, b"one", WINDOW, spoilt=False)


def test_packet_numbers_grow_within_a_session():
    carried = Carried("A-B")
    for number in (1, 2, 5):
        carried.packet(packet(number))
    carried.packet(packet(1, session=8))
    carried.packet(packet(0, session=0, kind=PacketType.HELLO))
    with pytest.raises(Violation, match="L1"):
        carried.packet(packet(1, session=8, kind=PacketType.ACK))
