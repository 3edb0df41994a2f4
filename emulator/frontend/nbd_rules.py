"""Which NBD requests are refused before a volume sees them, and with which error.

Pure rules over numbers, relying on `nbd_protocol.py`. What only the volume can know (a failing
device, a volume that became a secondary) comes back from it as an `Outcome`; its error number is
here too.
"""

from typing import Final, NamedTuple

from emulator.channel.blocks import Outcome
from emulator.frontend.nbd_protocol import PAYLOAD_BYTES_MAX, Command, CommandFlag, Errno
from emulator.units import size_text

REQUESTS_MAX: Final = 256
"""Requests taken whose replies have not left yet; clients keep 16 to 128 under way."""

BYTES_MAX: Final = 64 << 20
"""What those may carry: two of the largest, so that one can arrive while one is under way."""

STATUS_BYTES_MAX: Final = 64 << 20
# A volume may have to look at each track to tell its status; the client asks on from there.

CHANGES: Final = frozenset({Command.WRITE, Command.TRIM, Command.WRITE_ZEROES})
_NO_SPACE: Final = frozenset({Command.WRITE, Command.WRITE_ZEROES})

# Plain numbers, because an operation on an IntFlag costs as much as all the rest of a request, and
# because its ~ leaves out the bits without a name.
_FUA: Final = int(CommandFlag.FUA)
_NO_HOLE: Final = int(CommandFlag.NO_HOLE)
_DF: Final = int(CommandFlag.DF)
_REQ_ONE: Final = int(CommandFlag.REQ_ONE)
_FAST_ZERO: Final = int(CommandFlag.FAST_ZERO)
_FLAGS_ALLOWED: Final[dict[int, int]] = {
    Command.READ: _FUA | _DF,
    Command.WRITE: _FUA,
    Command.FLUSH: _FUA,
    Command.TRIM: _FUA,
    Command.CACHE: _FUA,
    Command.WRITE_ZEROES: _FUA | _NO_HOLE | _FAST_ZERO,
    Command.BLOCK_STATUS: _FUA | _REQ_ONE,
}
# FUA means nothing on a command that changes nothing, but the protocol has it accepted there.

_OUTCOMES: Final = {
    Outcome.READ_ONLY: Errno.EPERM,
    Outcome.NOT_HERE: Errno.EPERM,
    Outcome.DEVICE: Errno.EIO,
    Outcome.DAMAGED: Errno.EIO,
    Outcome.CLOSING: Errno.ESHUTDOWN,
    Outcome.BAD_TRACK: Errno.EIO,
}


class Refusal(NamedTuple):
    """An error number and a text for people."""

    errno: Errno
    text: str


class OpenExport(NamedTuple):
    """What was agreed when the export was opened, as far as the rules care."""

    size_bytes: int
    read_only: bool
    structured: bool
    has_context: bool


def refusal(
    export: OpenExport, command: int, flags: int, offset: int, length: int
) -> Refusal | None:
    """Return why a request is refused, or None when the volume may see it."""
    allowed = _FLAGS_ALLOWED.get(command)
    if allowed is None:
        return Refusal(Errno.EINVAL, f"command {command} is not supported here")
    if flags & ~allowed:
        return Refusal(Errno.EINVAL, f"flags {flags:#x} mean nothing to command {command}")
    if export.read_only and command in CHANGES:
        return Refusal(
            Errno.EPERM, "the export was read-only when this connection opened it; connect again"
        )
    if offset + length > export.size_bytes:
        return out_of_range(command, offset, length, export.size_bytes)
    return _refused_size(export, command, flags, length) or _refused_use(
        export, command, flags, offset, length
    )


def refused_by_volume(
    outcome: Outcome, command: int, offset: int, length: int, size_bytes: int
) -> Refusal:
    """Return the error for a volume's `outcome`, which is not DONE."""
    if outcome is Outcome.OUT_OF_RANGE:
        return out_of_range(command, offset, length, size_bytes)
    return Refusal(_OUTCOMES[outcome], f"{length} bytes at {offset}: {outcome.value}")


def out_of_range(command: int, offset: int, length: int, size_bytes: int) -> Refusal:
    """Return the error for a range that is not inside the volume."""
    errno = Errno.ENOSPC if command in _NO_SPACE else Errno.EINVAL
    text = f"{length} bytes at {offset} end outside the volume of {size_bytes} bytes"
    return Refusal(errno, text)


def _refused_size(export: OpenExport, command: int, flags: int, length: int) -> Refusal | None:
    if length <= PAYLOAD_BYTES_MAX:
        return None
    text = f"{length} bytes at once; the most is {size_text(PAYLOAD_BYTES_MAX)}"
    if command == Command.WRITE:
        return Refusal(Errno.EINVAL, text)
    if command == Command.READ:
        return Refusal(Errno.EOVERFLOW if export.structured else Errno.EINVAL, text)
    if flags & _NO_HOLE:
        # It is done by writing zeros, so it has the limit of a write; a plain zeroing has none.
        return Refusal(Errno.EOVERFLOW, text)
    return None


def _refused_use(
    export: OpenExport, command: int, flags: int, offset: int, length: int
) -> Refusal | None:
    if command == Command.FLUSH and (offset or length):
        return Refusal(Errno.EINVAL, "a flush has no offset and no length")
    if flags & _DF and not export.structured:
        return Refusal(Errno.EINVAL, "DF needs structured replies, which were not agreed on")
    if command == Command.BLOCK_STATUS:
        if not export.has_context:
            return Refusal(Errno.EINVAL, "no metadata context was agreed on for this export")
        if not length:
            return Refusal(Errno.EINVAL, "the status of no bytes cannot be told")
    if flags & _NO_HOLE and flags & _FAST_ZERO:
        # Zeros without a hole are written one by one, which is no faster than a write.
        return Refusal(Errno.ENOTSUP, "zeros without a hole are as slow as a write")
    return None
