"""What a host asks of the control unit and of this product through Perform Subsystem Function."""

import pytest

from emulator.channel.ccw import SUPPRESS_LENGTH as SLI
from emulator.channel.ccw import Ccw
from emulator.channel.orders import (
    ORDER_MEANINGS,
    Answer,
    HostOrder,
    Order,
    order_parameters,
    read_order,
)
from emulator.channel.parameters import define_extent
from tests.channel.volume import Volume, read, send


def order(*arguments):
    return send(0x27, order_parameters(*arguments))


@pytest.mark.parametrize("kind", Order)
def test_every_order_reaches_the_node_with_its_argument(kind):
    volume, given = Volume(address=0x0A00), []
    volume.device.orders = lambda asked: given.append(asked) or Answer(accepted=True, data=b"state")
    result = volume.chain(order(kind, "site-B"), path=3)
    assert result.ended_well
    assert given == [HostOrder(0x0A00, 3, kind, "site-B")]
    assert kind in ORDER_MEANINGS


def test_a_query_is_answered_by_read_subsystem_data():
    volume = Volume()
    volume.device.orders = lambda asked: Answer(accepted=True, data=b"duplex csn=12")
    result = volume.chain(order(Order.QUERY_COPY_STATE), read(0x3E, 256, SLI))
    assert result.data == b"duplex csn=12"


def test_nothing_else_may_come_between_a_query_and_its_answer():
    volume = Volume()
    volume.device.orders = lambda asked: Answer(accepted=True, data=b"duplex")
    assert volume.chain(order(Order.QUERY_COPY_STATE), Ccw(0x03, 1)).sense[7] == 0x02


def test_another_query_may_follow_an_answer():
    volume = Volume()
    volume.device.orders = lambda asked: Answer(accepted=True, data=b"duplex")
    ask, answer = order(Order.QUERY_COPY_STATE), read(0x3E, 6)
    assert volume.chain(ask, answer, ask, answer).data == b"duplexduplex"
    assert volume.chain(ask, answer, Ccw(0x03, 1)).sense[7] == 0x02


def test_an_order_that_the_node_refuses_is_a_command_reject():
    volume = Volume()
    volume.device.orders = lambda asked: Answer(accepted=False)
    result = volume.chain(order(Order.SWITCH_ROLE, "B"))
    assert (result.unit_status, result.sense[0], result.sense[7]) == (0x0E, 0x80, 0x0F)


def test_an_order_in_a_domain_or_without_authority_never_reaches_the_node():
    volume = Volume()
    volume.device.orders = lambda asked: pytest.fail("reached the node")
    extent = send(0x63, define_extent((0, 0), (1, 0)))
    locate = send(0x47, bytes.fromhex("06000001 00000000 0000000000 ff 0000"))
    assert volume.chain(extent, locate, order(Order.FREEZE)).sense[7] == 0x02
    for wrong in (b"\xc1\1\2", b"\xc1\0\2\1", b"\xc1\0\2\0\x01", b"\xc1\0\2\0A B", b"\xc1\0\xff"):
        assert volume.chain(send(0x27, wrong.ljust(16, b"\0"))).sense[7] == 0x04


def test_parameters_are_read_as_written():
    for kind in Order:
        found = read_order(1, 2, order_parameters(kind, "vol7"))
        assert found == HostOrder(1, 2, kind, "vol7")


RECORDS = [(0x00, 24), (0x01, 96), (0x03, 9), (0x0E, 512), (0x41, 256)]


@pytest.mark.parametrize(("kind", "length"), RECORDS)
def test_subsystem_data(kind, length):
    ask = send(0x27, b"\x18" + bytes(5) + bytes((kind,)) + bytes(5))
    result = Volume().chain(ask, read(0x3E, 600, SLI))
    assert (result.unit_status, len(result.data)) == (0x0C, length)


@pytest.mark.parametrize(
    ("offset", "value"), [(1, 1), (2, 1), (5, 9), (6, 0x99), (7, 1), (8, 1), (11, 1)]
)
def test_subsystem_data_asked_for_wrongly(offset, value):
    parameters = bytearray(b"\x18" + bytes(11))
    parameters[offset] = value
    assert Volume().chain(send(0x27, bytes(parameters))).sense[7] == 0x04


def test_the_interface_identifier_and_characteristics():
    ask = send(0x27, b"\xb0\0\0\0")
    assert len(Volume().chain(ask, read(0x3E, 96)).data) == 96
    assert Volume().chain(send(0x27, b"\xb0\x04\0\0")).sense[7] == 0x04
    assert Volume().chain(send(0x27, b"\x1d".ljust(66, b"\0"))).ended_well
    assert Volume().chain(send(0x27, b"\x1d\1".ljust(66, b"\0"))).sense[7] == 0x04


def test_a_special_intercept_turns_the_next_diagnostic_control_away_once():
    volume = Volume()
    assert volume.chain(send(0x27, b"\x1b\0")).ended_well
    diagnose = send(0x63, define_extent((0, 0), (1, 0), mask=4)), send(0xF3, b"\x12\0\0\0")
    assert volume.chain(*diagnose).sense[7] == 0x0F
    assert volume.chain(*diagnose).ended_well
    assert volume.chain(send(0x27, b"\x1b\1")).sense[7] == 0x04
    assert volume.chain(Ccw(0x03, 1), send(0x27, b"\x1b\0")).sense[7] == 0x02
