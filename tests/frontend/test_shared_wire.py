"""The bytes of the shared-device protocol, as real programs send them."""

import bz2
import zlib

import pytest

from emulator.frontend import shared_wire
from emulator.frontend.shared_wire import BadDataError, Code, Opcode


def test_the_length_comes_before_the_id():
    assert shared_wire.header(Opcode.QUERY, 0x48, 0x0A00, 4, 1).hex() == "eb480a0000040001"


def test_an_error_has_a_text_that_ends_in_nul_and_fits():
    found = shared_wire.error(Code.INVALID, Opcode.READ, 0x0A00, 7, "é" * 300)
    assert found[:8].hex() == "f0e80a0000ff0007"
    assert found[8:] == b"?" * 254 + b"\0"


@pytest.mark.parametrize(("kind", "pack"), [(0x10, zlib.compress), (0x20, bz2.compress)])
@pytest.mark.parametrize("plain", [0, 5, 15])
def test_both_compressions_keep_a_plain_beginning(kind, pack, plain):
    data = bytes(range(200)) * 5
    assert shared_wire.unpacked(data[:plain] + pack(data[plain:]), kind | plain) == data


@pytest.mark.parametrize(
    ("data", "flag", "text"),
    [
        (b"abc", 0x15, "cannot begin with 5 plain ones"),
        (b"abcdefg", 0x33, "no compression is called 30"),
        (zlib.compress(b"x" * 99)[:-3], 0x10, "end too early"),
        (zlib.compress(bytes(70_000)), 0x10, "more than 65535"),
        (bz2.compress(bytes(70_000)), 0x20, "more than 65535"),
        (b"garbage!", 0x10, "damaged"),
        (b"garbage!", 0x20, "damaged"),
    ],
)
def test_what_does_not_decompress_is_named(data, flag, text):
    with pytest.raises(BadDataError, match=text):
        shared_wire.unpacked(data, flag)


def test_short_or_level_zero_data_is_not_compressed():
    assert shared_wire.packed(bytes(511), 6) is None
    assert shared_wire.packed(bytes(512), 0) is None
    assert zlib.decompress(shared_wire.packed(bytes(512), 6) or b"") == bytes(512)


@pytest.mark.parametrize("data", [b"", b"abc", bytes(4 * 17)])
def test_a_change_list_that_cannot_be_used_means_everything(data):
    assert shared_wire.change_list(data) is None
