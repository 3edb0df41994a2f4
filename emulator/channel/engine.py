"""The channel: runs a program CCW by CCW and says how it ended.

Knows chaining, lengths, flags and status; what a command does is its handler's affair. Nothing a
program holds makes it raise: what cannot be done ends in channel status, or in unit check with
sense bytes.
"""

from typing import Final, NamedTuple

from emulator.channel.asks import Waiting
from emulator.channel.ccw import (
    CHAIN_COMMAND,
    CHAIN_DATA,
    FLAGS_UNKNOWN,
    PROGRAM_CONTROLLED,
    SKIP,
    SUPPRESS_LENGTH,
    TRANSFER_IN_CHANNEL,
    TRANSFER_MASK,
    Ccw,
    Program,
)
from emulator.channel.commands import Kind
from emulator.channel.device import Device, PathState, Run
from emulator.channel.sense import INVALID_COMMAND, UnitCheck
from emulator.channel.status import (
    CHANNEL_CONTROL_CHECK,
    CHECKED,
    INCORRECT_LENGTH,
    MATCHED,
    NORMAL,
    PROGRAM_CHECK,
)
from emulator.channel.status import PROGRAM_CONTROLLED as PROGRAM_CONTROLLED_BIT

# A program of control commands and a Transfer in Channel can go round for ever; a real channel
# would, until somebody resets it. Searching every record of a cylinder takes far less.
CCWS_MAX: Final = 100_000
# A loop around a read would fill the memory instead: no host has more storage for one program.
BROUGHT_BYTES_MAX: Final = 64 * 1024 * 1024
_BRINGS: Final = (Kind.READ, Kind.SENSE)


class CcwResult(NamedTuple):
    """How one CCW ended."""

    place: int
    """Its place in the program, from 0."""
    command: int
    unit_status: int
    channel_status: int
    residual: int
    """How many bytes of its count were not used."""
    data: bytes
    """What it read; empty for other commands and where SKIP is set."""


class ProgramResult(NamedTuple):
    """How a channel program ended."""

    unit_status: int
    channel_status: int
    residual: int
    """Residual count of the last CCW."""
    place: int
    """Place of the CCW it ended at."""
    results: tuple[CcwResult, ...]
    """One for each CCW carried out, in order; a loop is in it as often as it went round."""
    sense: bytes
    """The sense bytes, with unit check; empty otherwise. A Sense command can still read them."""

    @property
    def data(self) -> bytes:
        """Return everything the program read, one CCW's after another."""
        return b"".join(result.data for result in self.results)

    @property
    def ended_well(self) -> bool:
        """Tell whether the program ended with channel end and device end alone."""
        return self.unit_status == NORMAL and not self.channel_status & ~PROGRAM_CONTROLLED_BIT


_GOING_ON: Final = (NORMAL, MATCHED)
_Chained = list[tuple[int, Ccw]]


class _ProgramCheckError(Exception):
    """The program itself is wrong; never leaves the engine."""

    def __init__(self, place: int) -> None:
        super().__init__(place)
        self.place = place


def execute(device: Device, path: int, program: Program) -> Waiting[ProgramResult]:
    """Run a channel program on a device, coming over a path; ends with how it went.

    Abandoning the generator is the channel's halt: every record is then old or new, never half.
    """
    state = device.path(path)
    if not program:
        return ProgramResult(0, PROGRAM_CHECK, 0, 0, (), b"")
    status = device.refusal(state, program[0].command)
    if status:
        return ProgramResult(status, 0, program[0].byte_count, 0, (), b"")
    device.active = path
    try:
        run = device.begin(state)
        results: list[CcwResult] = []
        try:
            status, channel, place = yield from _chain(device, run, state, program, results)
        except _ProgramCheckError as stop:
            status, channel, place = 0, PROGRAM_CHECK, stop.place
        try:
            yield from run.finish()
        except UnitCheck as check:
            # What a write command took could not be kept: the host must hear of it.
            status = CHECKED
            state.sense = run.sense(check.reason)
        residual = results[-1].residual if results else program[0].byte_count
        sense = state.sense if status == CHECKED else b""
        return ProgramResult(status, channel, residual, place, tuple(results), sense)
    finally:
        device.program_ended()


def _chain(
    device: Device, run: Run, state: PathState, program: Program, results: list[CcwResult]
) -> Waiting[tuple[int, int, int]]:
    """Carry out CCWs until the chain ends; return unit status, channel status and place."""
    commands = device.commands
    place = brought = 0
    for _ in range(CCWS_MAX):
        place, ccw = _fetch(program, place, started=bool(results))
        chained = _gather(program, place, ccw) if ccw.flags & CHAIN_DATA else None
        flags = chained[-1][1].flags if chained else ccw.flags
        code = ccw.command & 0xFF
        command = commands[code]
        run.status, run.code = NORMAL, code
        try:
            if command is None:
                raise UnitCheck(INVALID_COMMAND)
            run.admit(command)
            run.sent = _sent(place, ccw, chained) if command.takes_data else b""
            outcome = command.handler(run)
            if command.waits:
                outcome = yield from outcome
            run.leave(command, chained=flags & CHAIN_COMMAND != 0)
        except UnitCheck as check:
            state.sense = run.sense(check.reason)
            channel = PROGRAM_CONTROLLED_BIT if ccw.flags & PROGRAM_CONTROLLED else 0
            results.append(CcwResult(place, code, CHECKED, channel, ccw.byte_count, b""))
            return CHECKED, channel, place
        if command.immediate:
            outcome = ccw.byte_count
        if chained:
            channel, place = _account_chained(results, run.status, chained, outcome)
        else:
            channel = _account(results, run.status, place, ccw, outcome)
        status = run.status
        if (
            not flags & CHAIN_COMMAND
            or channel & ~PROGRAM_CONTROLLED_BIT
            or status not in _GOING_ON
        ):
            # The status modifier only steers the channel; the host never sees it.
            return (NORMAL if status == MATCHED else status), channel, place
        if command.kind in _BRINGS:
            brought += len(outcome)
            if brought > BROUGHT_BYTES_MAX:
                break
        place += 2 if status == MATCHED else 1
    return 0, CHANNEL_CONTROL_CHECK, place


def _fetch(program: Program, place: int, *, started: bool) -> tuple[int, Ccw]:
    """Return the CCW to carry out from `place` on, and where it is."""
    if not 0 <= place < len(program):
        raise _ProgramCheckError(place)
    ccw = program[place]
    if ccw.flags & FLAGS_UNKNOWN:
        raise _ProgramCheckError(place)
    if ccw.command & TRANSFER_MASK != TRANSFER_IN_CHANNEL:
        return place, ccw
    target = ccw.target
    if not started or not 0 <= target < len(program):
        raise _ProgramCheckError(place)
    ccw = program[target]
    if ccw.command & TRANSFER_MASK == TRANSFER_IN_CHANNEL or ccw.flags & FLAGS_UNKNOWN:
        raise _ProgramCheckError(target)
    return target, ccw


def _gather(program: Program, place: int, ccw: Ccw) -> _Chained:
    """Return the CCWs over which the data of one command is chained."""
    chained = [(place, ccw)]
    while ccw.flags & CHAIN_DATA:
        if not ccw.byte_count or len(chained) > len(program):
            raise _ProgramCheckError(place)
        place, ccw = _fetch(program, place + 1, started=True)
        chained.append((place, ccw))
    if not ccw.byte_count:
        raise _ProgramCheckError(place)
    return chained


def _sent(place: int, ccw: Ccw, chained: _Chained | None) -> bytes:
    """Return what the CCWs of one command send."""
    if chained:
        return b"".join(_sent(at, part, None) for at, part in chained)
    data, byte_count = ccw.data, ccw.byte_count
    if len(data) == byte_count:
        return data
    if len(data) < byte_count:
        raise _ProgramCheckError(place)
    return data[:byte_count]


def _account(
    results: list[CcwResult], status: int, place: int, ccw: Ccw, outcome: bytes | int
) -> int:
    """Note how a command on one CCW ended; return its channel status."""
    _, byte_count, _, flags, _ = ccw
    data = b""
    if isinstance(outcome, int):
        length = outcome
    else:
        length = len(outcome)
        if not flags & SKIP:
            data = outcome if length <= byte_count else outcome[:byte_count]
    channel = PROGRAM_CONTROLLED_BIT if flags & PROGRAM_CONTROLLED else 0
    if length != byte_count and not flags & SUPPRESS_LENGTH:
        channel |= INCORRECT_LENGTH
    residual = byte_count - length if length < byte_count else 0
    results.append(CcwResult(place, ccw.command, status, channel, residual, data))
    return channel


def _account_chained(
    results: list[CcwResult], status: int, chained: _Chained, outcome: bytes | int
) -> tuple[int, int]:
    """Note how a command over several CCWs ended; return channel status and the last place.

    A CCW is only reached when the ones before it are used up. Ending before the last of them is
    an incorrect length whatever its flags say.
    """
    length = outcome if isinstance(outcome, int) else len(outcome)
    offset = channel = place = 0
    command = chained[0][1].command
    for place, ccw in chained:
        used = min(ccw.byte_count, length - offset)
        residual = ccw.byte_count - used
        ending = residual > 0 or not ccw.flags & CHAIN_DATA
        channel = PROGRAM_CONTROLLED_BIT if ccw.flags & PROGRAM_CONTROLLED else 0
        differs = residual > 0 or length > offset + used
        if ending and differs and (ccw.flags & CHAIN_DATA or not ccw.flags & SUPPRESS_LENGTH):
            channel |= INCORRECT_LENGTH
        data = b""
        if not isinstance(outcome, int) and not ccw.flags & SKIP:
            data = outcome[offset : offset + used]
        results.append(CcwResult(place, command, status, channel, residual, data))
        if ending:
            break
        offset += used
    return channel, place
