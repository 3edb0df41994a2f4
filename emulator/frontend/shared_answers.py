"""The answers on one connection to a shared device, as bytes, and the sense that goes with them."""

from typing import Final

from emulator.channel.blocks import Outcome
from emulator.frontend.shared_clients import Client
from emulator.frontend.shared_wire import (
    HEADER,
    ID,
    OPERATION_ENDED,
    RELEASE,
    UNIT_CHECK,
    VERSION,
    Code,
    Compression,
    error,
    packed,
)

LEVEL_MAX: Final = 9
_SENSE_BYTES_MAX: Final = 32
# Sense bytes 0, 1 and 7 (format and message), as a real control unit gives them.
_EQUIPMENT_CHECK: Final = (0x10, 0x00, 0x10)
_INVALID_TRACK_FORMAT: Final = (0x00, 0x40, 0x00)
_FILE_PROTECTED: Final = (0x00, 0x04, 0x00)
_SENSE_OF: Final = {
    Outcome.OUT_OF_RANGE: _EQUIPMENT_CHECK,
    Outcome.READ_ONLY: _FILE_PROTECTED,
}
_OK: Final = int(Code.OK)


class SharedAnswers:
    """Collects answers in `out`."""

    client: Client

    def __init__(self, number: int, out: list[bytes]) -> None:
        self.out = out
        self.refused = 0
        self.level = 0
        """Of the compression that the host wants; 0 for none."""
        self._number = number
        self._sense = bytes(_SENSE_BYTES_MAX)

    def done(self, data: bytes = b"", code: int = _OK, status: int = 0) -> None:
        """Answer that all went well."""
        self.out.append(HEADER.pack(code, status, self._number, len(data), self.client.id) + data)

    def connected(self, release: int) -> None:
        """Tell a host its id, and which release of the protocol we speak."""
        status = VERSION << 4 | min(release, RELEASE)
        self.done(ID.pack(self.client.id), status=status)

    def track(self, image: bytes) -> None:
        """Send a track."""
        shorter = packed(image, self.level) if self.level else None
        if shorter is not None:
            self.done(shorter, Code.COMPRESSED, Compression.ZLIB)
            return
        self.out.append(HEADER.pack(_OK, 0, self._number, len(image), self.client.id))
        self.out.append(image)

    def refuse(self, code: Code, opcode: int, text: str) -> None:
        """Answer with an error in words."""
        self.refused += 1
        self.out.append(error(code, opcode, self._number, self.client.id, text))

    def refuse_read(self, opcode: int, track: int, outcome: Outcome) -> None:
        """Answer with a code that a host takes for an error, and have it ask again."""
        self.client.note_change(track)
        self._set_sense(_EQUIPMENT_CHECK)
        self.refuse(Code.ERROR, opcode, f"track {track}: {outcome.value}")

    def refuse_write(self, outcome: Outcome) -> None:
        """Answer as a real control unit does to a change that no track could take."""
        self.refused += 1
        self.client.forget_all()
        self._set_sense(_SENSE_OF.get(outcome, _INVALID_TRACK_FORMAT))
        self.done(code=Code.IO_ERROR, status=UNIT_CHECK)

    def sense(self, length: int) -> None:
        """Tell what was wrong, once."""
        sense, self._sense = self._sense[:length], bytes(_SENSE_BYTES_MAX)
        self.done(sense, status=OPERATION_ENDED)

    def _set_sense(self, sense: tuple[int, int, int]) -> None:
        first, second, message = sense
        found = bytes((first, second, 0, 0, 0, 0, 0, message))
        self._sense = found.ljust(_SENSE_BYTES_MAX, b"\0")
