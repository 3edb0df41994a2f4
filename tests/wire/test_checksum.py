"""The fast checksum is the one that crcmod's catalogue defines; digests name contents."""

import crcmod
import crcmod.predefined
import pytest
import xxhash
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulator.wire.checksum import (
    CHAIN_BYTES,
    CHAIN_NONE,
    chain_hash,
    content_hash,
    crc32c,
    crc_by_name,
)
from emulator.wire.headers import crc32c_table

STEADY = settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
CHECK = b"123456789"
CATALOGUE = {row["name"]: row for row in crcmod.predefined._crc_definitions}


def test_crc32c_gives_the_check_value_of_the_catalogue():
    assert crc32c(CHECK) == CATALOGUE["crc-32c"]["check"] == 0xE3069283


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        # RFC 3720 (iSCSI), section B.4; the RFC prints the bytes in the order sent.
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_crc32c_gives_the_values_of_rfc_3720(data, expected):
    assert crc32c(data) == expected


def test_crc32c_of_nothing_is_zero():
    assert crc32c(b"") == 0


@STEADY
@given(st.binary(max_size=500))
def test_crc32c_is_the_one_that_crcmod_defines(data):
    assert crc32c(data) == crc_by_name("crc-32c")(data)


@STEADY
@given(st.binary(max_size=200), st.integers(0, 200))
def test_crc32c_goes_on_from_where_it_was(data, place):
    head, tail = data[:place], data[place:]
    assert crc32c(memoryview(tail), crc32c(bytearray(head))) == crc32c(data)


@pytest.mark.parametrize("name", ["x-25", "crc-16", "crc-32", "crc-32c", "crc-64"])
def test_a_crc_by_name_gives_its_check_value(name):
    assert crc_by_name(name)(CHECK) == CATALOGUE[name]["check"]


def test_an_unknown_crc_name_is_refused():
    with pytest.raises(KeyError):
        crc_by_name("crc-33")


def test_the_table_for_firmware_is_crcmods_own():
    assert list(crc32c_table()) == list(crcmod.predefined.PredefinedCrc("crc-32c").table)


def test_content_hash_is_xxh3_of_64_bits():
    assert content_hash(b"") == 0x2D06800538D394C2  # XXH3's published value for no input
    assert content_hash(bytearray(b"abc")) == xxhash.xxh3_64_intdigest(b"abc")


def test_a_chain_depends_on_what_was_before_and_not_on_the_cut():
    first = chain_hash(CHAIN_NONE, b"ab", b"c")
    assert len(first) == CHAIN_BYTES
    assert first == chain_hash(CHAIN_NONE, memoryview(b"abc"))
    assert first == xxhash.xxh3_128_digest(CHAIN_NONE + b"abc")
    assert len({first, chain_hash(first, b"abc"), chain_hash(CHAIN_NONE, b"xyz")}) == 3
