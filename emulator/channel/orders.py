"""What a host can order of this product through Perform Subsystem Function.

The orders of a storage control have their own order bytes; ours begin with X'C1', the suborder
says what is asked, and the rest is the argument:

| byte | content |
|---|---|
| 0 | X'C1' |
| 1 | flags, zero |
| 2 | suborder, a value of `Order` |
| 3 | zero |
| 4-15 | argument: a name in ASCII, filled up with zeros |

The copy group is that of the addressed device. A refused order ends in unit check; an accepted
one may go on for long, and Query Copy State followed by Read Subsystem Data tells how far it is.
"""

import enum
from collections.abc import Callable
from typing import Final, NamedTuple

ORDER_CODE: Final = 0xC1
ORDER_BYTES: Final = 16
_ARGUMENT_FROM: Final = 4


class Order(enum.IntEnum):
    """Suborders: what a host can ask."""

    QUERY_COPY_STATE = 0x00
    SWITCH_ROLE = 0x01
    FREEZE = 0x02
    RUN = 0x03
    SUSPEND = 0x04
    RESUME = 0x05
    START_MIGRATION = 0x06
    FREEZE_MIGRATION = 0x07
    DETACH_MIGRATION = 0x08
    ABORT_MIGRATION = 0x09


ORDER_MEANINGS: Final = {
    Order.QUERY_COPY_STATE: "prepare the copy state for Read Subsystem Data",
    Order.SWITCH_ROLE: "make the other site, or the one named, the primary",
    Order.FREEZE: "hold all writes of the group at one point",
    Order.RUN: "let the frozen group's writes go on",
    Order.SUSPEND: "stop copying; writes here go on and are recorded",
    Order.RESUME: "copy again, beginning with what was recorded",
    Order.START_MIGRATION: "move the volume to the device named",
    Order.FREEZE_MIGRATION: "hold the volume's writes so that the new device can take over",
    Order.DETACH_MIGRATION: "go on with the new device alone",
    Order.ABORT_MIGRATION: "give the migration up; the old device stays",
}


class HostOrder(NamedTuple):
    """One order of a host."""

    device: int
    """Address of the device it came to."""
    path: int
    order: Order
    argument: str


class Answer(NamedTuple):
    """What became of an order."""

    accepted: bool
    data: bytes = b""
    """For a query: what Read Subsystem Data brings."""


OrderHandler = Callable[[HostOrder], Answer]


def refuse_all(_order: HostOrder) -> Answer:
    """Refuse every order: the device is in no copy group."""
    return Answer(accepted=False)


def read_order(device: int, path: int, parameters: bytes) -> HostOrder | None:
    """Return the order in the parameters of Perform Subsystem Function; None if there is none.

    >>> read_order(0xA00, 1, bytes.fromhex("c1000100") + b"B".ljust(12, bytes(1)))
    HostOrder(device=2560, path=1, order=<Order.SWITCH_ROLE: 1>, argument='B')
    """
    flags, suborder, reserved = parameters[1:_ARGUMENT_FROM]
    argument = parameters[_ARGUMENT_FROM:ORDER_BYTES].rstrip(b"\0")
    if flags or reserved or suborder not in ORDER_MEANINGS:
        return None
    if not all(0x21 <= byte <= 0x7E for byte in argument):
        return None
    return HostOrder(device, path, Order(suborder), argument.decode("ascii"))


def order_parameters(order: Order, argument: str = "") -> bytes:
    """Return the parameters of Perform Subsystem Function for an order.

    >>> order_parameters(Order.FREEZE).hex()
    'c1000200000000000000000000000000'
    """
    return bytes((ORDER_CODE, 0, order, 0)) + argument.encode("ascii").ljust(12, b"\0")
