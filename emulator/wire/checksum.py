"""The one seam to checksums and digests: what the hot path calls, and by what it is judged.

CRC-32C guards packets and journal entries. Its definition comes from crcmod's catalogue and a
test holds the fast library to it. XXH3 digests name contents (base of a delta, chain of a
history): they detect accidents, not forgery, which is the task of sealing.
"""

from collections.abc import Callable
from typing import Final, cast

import crc32c as _fast
import xxhash

_crc32c = _fast.crc32c

Buffer = bytes | bytearray | memoryview

CHAIN_BYTES: Final = 16
CHAIN_NONE: Final = bytes(CHAIN_BYTES)


def crc32c(data: Buffer, crc: int = 0) -> int:
    """Return the CRC-32C (Castagnoli) of `data`, going on from `crc`.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    return _crc32c(data, crc)


def crc_by_name(name: str) -> Callable[[bytes], int]:
    """Return crcmod's function for a CRC of its catalogue, such as `x-25` or `crc-32c`.

    Slow and trusted: the oracle of tests and the source of tables for firmware.
    """
    import crcmod.predefined  # heavy, and only tests and generators need it

    return cast("Callable[[bytes], int]", crcmod.predefined.mkPredefinedCrcFun(name))


def content_hash(data: Buffer) -> int:
    """Return the 64-bit digest that names the contents of a track (rule C5)."""
    return xxhash.xxh3_64_intdigest(data)


def chain_hash(previous: bytes, *parts: Buffer) -> bytes:
    """Return h_n = H(h_{n-1} || parts): 16 bytes that name a whole history (rule R5)."""
    digest = xxhash.xxh3_128(previous)
    for part in parts:
        digest.update(part)
    return digest.digest()
