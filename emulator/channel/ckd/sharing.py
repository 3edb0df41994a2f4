"""Commands about who may use the device: reservation and path groups."""

from typing import Final

from emulator.channel.ckd.reports import sense
from emulator.channel.ckd.run import CkdRun
from emulator.channel.device import GROUP_BYTES, NO_GROUP
from emulator.channel.sense import COUNT_TOO_SMALL, INVALID_PARAMETER, INVALID_SEQUENCE, UnitCheck

GROUP_ID_BYTES: Final = 1 + GROUP_BYTES
_GROUPED, _UNGROUPED = 0xC0, 0x80
_RESERVED_ELSEWHERE, _RESERVED_HERE = 0x20, 0x30
_MULTIPATH_STATE: Final = 0x08
_SET_MULTIPATH: Final = 0x80
_FUNCTION: Final = 0x60
_ESTABLISH, _DISBAND, _RESIGN = 0x00, 0x20, 0x40
_FUNCTION_RESERVED: Final = 0x1F
_ALLEGIANCE_BYTES: Final = 32


def reserve(run: CkdRun) -> bytes:
    """Keep the device for this path and its group; bring the sense bytes."""
    run.device.reserve(run.state)
    return sense(run)


def unconditional_reserve(run: CkdRun) -> bytes:
    """Take the device away from whoever has reserved it; bring the sense bytes."""
    run.device.reserve(run.state)
    return sense(run)


def release(run: CkdRun) -> bytes:
    """Give the device back to all paths; bring the sense bytes."""
    if run.extent_defined or run.mask_set:
        raise UnitCheck(INVALID_SEQUENCE)
    run.device.release()
    return sense(run)


def reset_allegiance(run: CkdRun) -> bytes:
    """Free the device from another path's reservation; tell whose it was."""
    holder = run.device.reserved_by
    found = bytearray(_ALLEGIANCE_BYTES)
    found[0] = 0x80 if holder is None else 0x90
    found[1] = 0x20
    if holder is not None:
        found[5 : 5 + GROUP_BYTES] = holder.group
        if not run.device.holds(run.state):
            run.device.release()
    return bytes(found)


def suspend_multipath_reconnection(_run: CkdRun) -> int:
    """Keep the rest of the chain on this path, as it is here anyway."""
    return 0


def sense_path_group_id(run: CkdRun) -> bytes:
    """Bring the state of the path and the identifier of its group."""
    device, state = run.device, run.state
    found = 0
    if state.group != NO_GROUP:
        found = _GROUPED
    elif state.ungrouped:
        found = _UNGROUPED
    if device.reserved_by is not None:
        found |= _RESERVED_HERE if device.holds(state) else _RESERVED_ELSEWHERE
    if state.multipath:
        found |= _MULTIPATH_STATE
    return bytes((found,)) + state.group


def set_path_group_id(run: CkdRun) -> int:
    """Put the path into a group, take it out again, or disband the group."""
    data = run.sent
    if len(data) < GROUP_ID_BYTES:
        raise UnitCheck(COUNT_TOO_SMALL)
    state = run.state
    function, group = data[0], data[1:GROUP_ID_BYTES]
    order = function & _FUNCTION
    if (
        order == _FUNCTION
        or function & _FUNCTION_RESERVED
        or group == NO_GROUP
        or state.group not in (NO_GROUP, group)
    ):
        raise UnitCheck(INVALID_PARAMETER)
    if order == _ESTABLISH:
        state.group, state.multipath = group, function & _SET_MULTIPATH != 0
        state.ungrouped = False
        return GROUP_ID_BYTES
    for member in run.device.paths.values():
        if member is state or (order == _DISBAND and member.group == group):
            member.group, member.multipath, member.ungrouped = NO_GROUP, False, True
    return GROUP_ID_BYTES
