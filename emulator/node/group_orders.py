"""What can be ordered of a copy group, whoever orders it: an operator or a host.

Each deed raises, as a DualCopyError, why it cannot be done here and now. Leaves who may ask, and
how they are answered, to `console.py` (operators) and `host_orders.py` (hosts).
"""

from collections.abc import Callable

from emulator.copy.pair import Pair
from emulator.copy.states import Role
from emulator.errors import BenchError, UnavailableError
from emulator.node.processor import Processor

Done = Callable[[str | None], None]
"""Told the outcome of what takes time: None, or what went wrong."""


def change_role(
    processor: Processor, pair: Pair, primary: object, force: object, done: Done
) -> None:
    """Make a site the primary; `force` is the reason for doing so without the other site."""
    site = processor.config.name
    peer = processor.config.groups[pair.group.name].peer
    if primary not in (site, peer):
        raise BenchError(f"primary {primary!r} is neither {site} nor {peer}")
    if force is not None and not (isinstance(force, str) and force.strip()):
        raise BenchError(f"force {force!r}: give the reason; it is kept in the lineage")
    if force is not None and primary == site:
        pair.force(force, done)
    elif force is not None:
        raise BenchError(f"only {peer} can promote itself by force; ask there")
    elif primary == site and pair.group.role is Role.PRIMARY:
        done(None)
    elif primary == site:
        raise UnavailableError(f"the primary hands its role over; ask {peer}")
    else:
        pair.hand_over(done)


def freeze(pair: Pair) -> int:
    """Hold all writes of the group at one csn (F1) and return it."""
    pair.group.frozen = True
    return pair.group.csn


def run(pair: Pair) -> int:
    """Let the frozen group's writes go on (F1); return the csn from which."""
    pair.thaw()
    return pair.group.csn
