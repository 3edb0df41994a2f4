"""Orders to the control unit itself: subsystem functions, subsystem data and modes."""

from collections.abc import Callable
from typing import Final

from emulator.channel.ckd.reports import subsystem_id
from emulator.channel.ckd.run import CkdRun
from emulator.channel.orders import ORDER_BYTES, ORDER_CODE, Order, read_order
from emulator.channel.sense import (
    COUNT_TOO_SMALL,
    INVALID_PARAMETER,
    INVALID_SEQUENCE,
    STATUS_REFUSED,
    UnitCheck,
)

PERFORM_FUNCTION, READ_SUBSYSTEM_DATA, READ_MESSAGE_ID = 0x27, 0x3E, 0x4E
SET_SUBSYSTEM_MODE: Final = 0x87
PREPARE_READ, SET_INTERCEPT, SET_CHARACTERISTICS, SET_INTERFACE = 0x18, 0x1B, 0x1D, 0xB0
_ORDER_LENGTHS: Final = {
    PREPARE_READ: 12,
    SET_INTERCEPT: 2,
    SET_CHARACTERISTICS: 66,
    SET_INTERFACE: 4,
    ORDER_CODE: ORDER_BYTES,
}
_ORDER_LENGTH_MIN: Final = 2
_MODE_BYTES: Final = 2
_NO_MESSAGE_ID: Final = b"\xff" * 4
_MESSAGE_ASKED: Final = 0x01
_MESSAGE_TEXT_MAX: Final = 200


def perform_subsystem_function(run: CkdRun) -> int:
    """Carry out an order: prepare subsystem data, or what a host orders of this product."""
    data = run.sent
    length = _ORDER_LENGTHS.get(data[0] if data else -1, _ORDER_LENGTH_MIN)
    if len(data) < length:
        raise UnitCheck(COUNT_TOO_SMALL)
    order = _ORDERS.get(data[0])
    if order is None:
        raise UnitCheck(INVALID_PARAMETER)
    order(run, data[:length])
    return length


def _prepare(run: CkdRun, found: bytes) -> None:
    run.prepared = found
    run.followers = (READ_SUBSYSTEM_DATA,)


def _prepare_read(run: CkdRun, parameters: bytes) -> None:
    """Prepare one of the subsystem data records for Read Subsystem Data."""
    kind, selector = parameters[6], parameters[7]
    prepare = _RECORDS.get(kind)
    statistics = kind == _STATISTICS
    if (
        prepare is None
        or any(parameters[1:6])
        or (selector and not (statistics and selector == 0xFF))
        or (statistics and (parameters[8] > 1 or any(parameters[9:])))
        or (kind not in (_STATISTICS, _MESSAGE) and any(parameters[8:]))
    ):
        raise UnitCheck(INVALID_PARAMETER)
    _prepare(run, prepare(run, parameters))


def _path_status(run: CkdRun, _parameters: bytes) -> bytes:
    found = bytearray(24 if run.device.unit.code == 0x15 else 16)
    found[0], found[1] = 0xC0, 0x80
    if len(found) > 16:
        found[16] = 1
    return bytes(found)


def _statistics(run: CkdRun, parameters: bytes) -> bytes:
    found = bytearray(192 if parameters[8] else 96)
    found[1] = run.device.address & 0xFF
    found[94:96] = subsystem_id(run.device.address).to_bytes(2, "big")
    return bytes(found)


def _message(run: CkdRun, parameters: bytes) -> bytes:
    """Return the oldest message to this path, or that there is none.

    Length (2), format (X'00' none, X'C1' text of this product), code, the message id asked for
    (4), flags, text in ASCII.
    """
    text, form = b"", 0
    if run.state.messages:
        text, form = run.state.messages.pop(0).encode("ascii", "replace"), ORDER_CODE
        text = text[:_MESSAGE_TEXT_MAX]
    return bytes((0, 9 + len(text), form, 0)) + parameters[8:12] + bytes(1) + text


def _unit_addresses(_run: CkdRun, _parameters: bytes) -> bytes:
    return bytes(512)


def _feature_codes(_run: CkdRun, _parameters: bytes) -> bytes:
    return bytes(256)


_STATISTICS, _MESSAGE = 0x01, 0x03
_RECORDS: Final[dict[int, Callable[[CkdRun, bytes], bytes]]] = {
    0x00: _path_status,
    _STATISTICS: _statistics,
    _MESSAGE: _message,
    0x0E: _unit_addresses,
    0x41: _feature_codes,
}


def _set_intercept(run: CkdRun, parameters: bytes) -> None:
    """Have the next Diagnostic Control turned away, once."""
    if not run.at_start:
        raise UnitCheck(INVALID_SEQUENCE)
    _check_flags(parameters)
    run.state.intercepted = True
    run.followers = ()


def _set_characteristics(_run: CkdRun, parameters: bytes) -> None:
    """Take what the host says about itself."""
    _check_flags(parameters)


def _set_interface(run: CkdRun, parameters: bytes) -> None:
    """Prepare the node descriptor of the subsystem."""
    if parameters[1] & 0xFE:
        raise UnitCheck(INVALID_PARAMETER)
    text = f"00{run.device.unit.control_unit_type:04X}   DUCZZ000000000001"
    descriptor = (b"\x00\x00\x01\x00" + text.encode("cp037")).ljust(32, b"\0")
    _prepare(run, descriptor if parameters[1] else descriptor.ljust(96, b"\0"))


def _check_flags(parameters: bytes) -> None:
    if parameters[1]:
        raise UnitCheck(INVALID_PARAMETER)


def _product_order(run: CkdRun, parameters: bytes) -> None:
    """Hand an order of this product to the node; a query's answer is prepared for reading."""
    order = read_order(run.device.address, run.state.number, parameters)
    if order is None:
        raise UnitCheck(INVALID_PARAMETER)
    answer = run.device.orders(order)
    if not answer.accepted:
        raise UnitCheck(STATUS_REFUSED)
    if order.order is Order.QUERY_COPY_STATE:
        _prepare(run, answer.data)


_ORDERS: Final[dict[int, Callable[[CkdRun, bytes], None]]] = {
    PREPARE_READ: _prepare_read,
    SET_INTERCEPT: _set_intercept,
    SET_CHARACTERISTICS: _set_characteristics,
    SET_INTERFACE: _set_interface,
    ORDER_CODE: _product_order,
}


def read_subsystem_data(run: CkdRun) -> bytes:
    """Bring what the Perform Subsystem Function before it has prepared."""
    if run.previous != PERFORM_FUNCTION or not run.prepared:
        raise UnitCheck(INVALID_SEQUENCE)
    found, run.prepared = run.prepared, b""
    run.followers = (PERFORM_FUNCTION,)
    return found


def read_message_id(run: CkdRun) -> bytes:
    """Bring the identifier of the message that an order was asked to send."""
    if run.previous not in (PERFORM_FUNCTION, SET_SUBSYSTEM_MODE):
        raise UnitCheck(INVALID_SEQUENCE)
    return _NO_MESSAGE_ID


def set_subsystem_mode(run: CkdRun) -> int:
    """Ask for one change of caching, fast writes or record caching."""
    data = run.sent
    if len(data) < _MODE_BYTES:
        raise UnitCheck(COUNT_TOO_SMALL)
    high, low = data[0], data[1]
    # Each field and the changes in it that take long enough to send a message about.
    fields = (
        (high >> 5, (2, 3, 4)),
        (high >> 2 & 7, (4,)),
        (low >> 5, (2, 4, 5)),
        (low >> 3 & 3, ()),
    )
    asked = [(value, slow) for value, slow in fields if value]
    message = high & _MESSAGE_ASKED != 0
    if (
        high & 0x02
        or low & 0x07
        or len(asked) > 1
        or (message and not (asked and asked[0][0] in asked[0][1]))
    ):
        raise UnitCheck(INVALID_PARAMETER)
    run.device.modes = data[:_MODE_BYTES]
    run.followers = (READ_MESSAGE_ID,) if message else ()
    return _MODE_BYTES
