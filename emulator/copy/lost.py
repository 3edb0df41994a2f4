"""What becomes of a copy when this site loses its nonvolatile store (W4)."""

from emulator.copy.pair import Pair
from emulator.copy.states import Role, Signal


def store_lost(pair: Pair, reason: str) -> None:
    """Have nothing more to do with the other site until a start with a good store.

    A primary goes on alone, and knows that the other site may lack anything: its journal is gone.
    A secondary takes nothing more, since it could keep nothing that it confirms.
    """
    group = pair.group
    group.store_lost = reason
    if group.role is Role.PRIMARY:
        pair.primary.link_lost(reason)
        group.map_mode = True
        for found in group.maps:
            found.fill()
        group.stream.restart_at(group.stream.acked)
    else:
        pair.secondary.retire()
        group.signal(Signal.REFUSED, reason)
    pair.services.link_refuse(group.link, reason)
