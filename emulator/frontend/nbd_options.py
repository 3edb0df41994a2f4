"""What an NBD client and we agree on before an export is open.

Takes whole options, gives the bytes that answer them. Relies on `nbd_protocol.py` for layouts.
Leaves finding options in the stream, refusing overlong ones and closing to the session.
"""

import struct
from collections.abc import Callable, Mapping
from typing import Final

from emulator.channel.blocks import BlockVolume
from emulator.frontend.nbd_protocol import (
    BLOCK_BYTES_MIN,
    BLOCK_BYTES_PREFERRED,
    CONTEXT_ALLOCATION,
    EXPORT,
    EXPORT_PADDING,
    GREETING,
    HANDSHAKE_FIXED_NEWSTYLE,
    HANDSHAKE_NO_ZEROES,
    INFO_BLOCK_SIZE,
    INFO_EXPORT,
    NAME_BYTES_MAX,
    OPTION_MAGIC,
    OPTION_REPLY,
    OPTION_REPLY_MAGIC,
    PAYLOAD_BYTES_MAX,
    SERVER_MAGIC,
    Info,
    Option,
    OptionAnswer,
    Transmission,
)
from emulator.frontend.nbd_replies import CONTEXT_ID
from emulator.units import size_text

HANDSHAKE_FLAGS: Final = HANDSHAKE_FIXED_NEWSTYLE | HANDSHAKE_NO_ZEROES
GREETING_BYTES: Final = GREETING.pack(SERVER_MAGIC, OPTION_MAGIC, HANDSHAKE_FLAGS)
OPTION_BYTES_MAX: Final = 32 * 1024  # room for several of the longest names the protocol allows

_ALWAYS: Final = (
    Transmission.HAS_FLAGS
    | Transmission.SEND_FLUSH
    | Transmission.SEND_FUA
    | Transmission.SEND_TRIM
    | Transmission.SEND_WRITE_ZEROES
    | Transmission.SEND_FAST_ZERO
    | Transmission.SEND_CACHE
    | Transmission.CAN_MULTI_CONN
)
# All connections of a site use one cache, so what one of them has flushed, all have flushed:
# that is what CAN_MULTI_CONN promises.

_LENGTH: Final = struct.Struct(">I")
_COUNT: Final = struct.Struct(">H")
_CONTEXT_QUERIES: Final = ("base:", CONTEXT_ALLOCATION)


class _OptionError(Exception):
    """An option that cannot be granted; becomes its answer."""

    def __init__(self, answer: OptionAnswer, text: str) -> None:
        super().__init__(text)
        self.answer = answer
        self.text = text


class Negotiation:
    """The agreement with one client, option by option."""

    def __init__(self, exports: Mapping[str, BlockVolume]) -> None:
        self._exports = exports
        self._no_zeroes = False
        self._context_export: str | None = None
        self.structured = False
        self.volume: BlockVolume | None = None
        """The export that was opened; negotiation is over then."""
        self.read_only = False
        self.has_context = False
        self.refused_options = 0
        # STARTTLS is absent on purpose: we have no TLS, so it is answered as any option we lack.
        self._handlers: dict[int, Callable[[int, bytes], bytes]] = {
            Option.ABORT: self._abort,
            Option.LIST: self._list,
            Option.INFO: self._info,
            Option.GO: self._info,
            Option.STRUCTURED_REPLY: self._structured,
            Option.LIST_META_CONTEXT: self._list_contexts,
            Option.SET_META_CONTEXT: self._set_contexts,
        }

    def accept_flags(self, flags: int) -> bool:
        """Take the client's flags; False when the protocol says to hang up."""
        self._no_zeroes = bool(flags & HANDSHAKE_NO_ZEROES)
        return not flags & ~HANDSHAKE_FLAGS

    def answer(self, option: int, data: bytes) -> bytes | None:
        """Return the answer to an option, or None when only hanging up can say no."""
        if option == Option.EXPORT_NAME:
            return self._open_by_name(data)
        handler = self._handlers.get(option)
        if handler is None:
            return self.refuse(option, OptionAnswer.ERR_UNSUP, "this option is not supported here")
        try:
            return handler(option, data)
        except _OptionError as error:
            return self.refuse(option, error.answer, error.text)

    def refuse(self, option: int, answer: OptionAnswer, text: str) -> bytes:
        """Return an error as the answer to an option, and count it."""
        self.refused_options += 1
        return _reply(option, answer, text.encode()[:NAME_BYTES_MAX])

    def _open_by_name(self, data: bytes) -> bytes | None:
        name, volume = self._find(data.decode(errors="replace"))
        if volume is None:
            return None
        self._open(name, volume)
        padding = b"" if self._no_zeroes else EXPORT_PADDING
        return EXPORT.pack(volume.size_bytes, self._flags(volume)) + padding

    def _abort(self, option: int, data: bytes) -> bytes:
        del data  # the protocol says to ignore it
        return _reply(option, OptionAnswer.ACK)

    def _list(self, option: int, data: bytes) -> bytes:
        _expect_no_data(data)
        answers = []
        for name, volume in self._exports.items():
            text = name.encode()
            entry = _LENGTH.pack(len(text)) + text + _description(volume)
            answers.append(_reply(option, OptionAnswer.SERVER, entry))
        return b"".join(answers) + _reply(option, OptionAnswer.ACK)

    def _structured(self, option: int, data: bytes) -> bytes:
        _expect_no_data(data)
        self.structured = True
        return _reply(option, OptionAnswer.ACK)

    def _info(self, option: int, data: bytes) -> bytes:
        reader = _Reader(data)
        asked_name = reader.text(reader.number(_LENGTH))
        wanted = [reader.number(_COUNT) for _ in range(reader.number(_COUNT))]
        reader.finish()
        name, volume = self._known(asked_name)
        answers = [INFO_EXPORT.pack(Info.EXPORT, volume.size_bytes, self._flags(volume))]
        if Info.NAME in wanted:
            answers.append(_COUNT.pack(Info.NAME) + name.encode())
        if Info.DESCRIPTION in wanted:
            answers.append(_COUNT.pack(Info.DESCRIPTION) + _description(volume))
        if Info.BLOCK_SIZE in wanted:
            sizes = (BLOCK_BYTES_MIN, BLOCK_BYTES_PREFERRED, PAYLOAD_BYTES_MAX)
            answers.append(INFO_BLOCK_SIZE.pack(Info.BLOCK_SIZE, *sizes))
        if option == Option.GO:
            self._open(name, volume)
        replies = [_reply(option, OptionAnswer.INFO, answer) for answer in answers]
        return b"".join(replies) + _reply(option, OptionAnswer.ACK)

    def _list_contexts(self, option: int, data: bytes) -> bytes:
        _, queries = self._context_queries(data)
        if queries and not any(query in _CONTEXT_QUERIES for query in queries):
            return _reply(option, OptionAnswer.ACK)
        return _context_reply(option, 0) + _reply(option, OptionAnswer.ACK)

    def _set_contexts(self, option: int, data: bytes) -> bytes:
        self._context_export = None  # forgotten even when this request fails
        name, queries = self._context_queries(data)
        if CONTEXT_ALLOCATION not in queries:
            return _reply(option, OptionAnswer.ACK)
        self._context_export = name
        return _context_reply(option, CONTEXT_ID) + _reply(option, OptionAnswer.ACK)

    def _context_queries(self, data: bytes) -> tuple[str, list[str]]:
        if not self.structured:
            raise _OptionError(OptionAnswer.ERR_INVALID, "ask for structured replies first")
        reader = _Reader(data)
        asked_name = reader.text(reader.number(_LENGTH))
        count = reader.number(_LENGTH)
        # Every query takes at least its length field, so a wild count ends at the end of the data.
        queries = [reader.text(reader.number(_LENGTH)) for _ in range(count)]
        reader.finish()
        name, _ = self._known(asked_name)
        return name, queries

    def _known(self, asked_name: str) -> tuple[str, BlockVolume]:
        name, volume = self._find(asked_name)
        if volume is None:
            names = ", ".join(self._exports) or "none"
            text = f"there is no export {asked_name!r} here; there are: {names}"
            raise _OptionError(OptionAnswer.ERR_UNKNOWN, text)
        return name, volume

    def _find(self, asked_name: str) -> tuple[str, BlockVolume | None]:
        # No name at all means the default export: the first.
        name = asked_name or next(iter(self._exports), "")
        return name, self._exports.get(name)

    def _open(self, name: str, volume: BlockVolume) -> None:
        self.volume = volume
        self.read_only = not volume.writable()
        self.has_context = self._context_export == name

    def _flags(self, volume: BlockVolume) -> Transmission:
        flags = _ALWAYS
        if self.structured:
            flags |= Transmission.SEND_DF
        if not volume.writable():
            flags |= Transmission.READ_ONLY
        return flags


class _Reader:
    """Numbers and texts from the data of one option, with an end that is checked."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self, layout: struct.Struct) -> int:
        return int(layout.unpack(self._bytes(layout.size))[0])

    def text(self, size_bytes: int) -> str:
        try:
            return self._bytes(size_bytes).decode()
        except UnicodeDecodeError:
            raise _OptionError(OptionAnswer.ERR_INVALID, "a name is not UTF-8") from None

    def finish(self) -> None:
        if self._at != len(self._data):
            raise _OptionError(OptionAnswer.ERR_INVALID, "the option has bytes left over")

    def _bytes(self, size_bytes: int) -> bytes:
        end = self._at + size_bytes
        if end > len(self._data):
            raise _OptionError(OptionAnswer.ERR_INVALID, "the option ends too early")
        piece = self._data[self._at : end]
        self._at = end
        return piece


def _expect_no_data(data: bytes) -> None:
    if data:
        raise _OptionError(OptionAnswer.ERR_INVALID, "this option takes no data")


def _description(volume: BlockVolume) -> bytes:
    access = "" if volume.writable() else ", read-only: the secondary of a copy"
    return f"device {volume.name}, {size_text(volume.size_bytes)}{access}".encode()


def _reply(option: int, answer: OptionAnswer, data: bytes = b"") -> bytes:
    return OPTION_REPLY.pack(OPTION_REPLY_MAGIC, option, answer, len(data)) + data


def _context_reply(option: int, context_id: int) -> bytes:
    data = _LENGTH.pack(context_id) + CONTEXT_ALLOCATION.encode()
    return _reply(option, OptionAnswer.META_CONTEXT, data)
