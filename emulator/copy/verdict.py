"""What a secondary that appeared is to its primary: by ancestry, and by what the map was kept for.

`lineage.py` compares two histories. Here lies what more a group knows of the other site: where
that may stand although the journal has been let go (F4), and whether it holds a copy at all.
"""

from emulator.copy.group import Group
from emulator.copy.lineage import Ancestry, Position, relation
from emulator.copy.messages import PeerPosition


def verdict_on(group: Group, peer: PeerPosition) -> Ancestry:
    """Return what a secondary is to this primary (R5)."""
    stream = group.stream
    found = relation(
        group.lineage,
        Position(group.generation(), group.csn, stream.newest_chain()),
        stream.known_chains(),
        peer.lineage,
        peer.position,
        complete=not group.map_mode,
    )
    if found is Ancestry.FORK and at_base(group, peer):
        # A copying that never reached the other site may have begun where that stands.
        return Ancestry.TRIMMED
    if found in (Ancestry.FORK, Ancestry.AHEAD) and not peer.consistent:
        # It was being copied, from what this site has lost since: that is no copy to protect.
        return Ancestry.EMPTY
    # The journal that could prove a fork may be gone; where the other site may stand is kept.
    elsewhere = group.map_bases.rules_out(peer.position.csn) and not at_base(group, peer)
    whole = group.map_mode and peer.consistent
    return Ancestry.FORK if found is Ancestry.TRIMMED and whole and elsewhere else found


def at_base(group: Group, peer: PeerPosition) -> bool:
    """Return whether a secondary stands where the dirty map says what it lacks."""
    if not peer.consistent and not peer.copy_number:
        # Part of its journal was damaged: its position says nothing of what it lacks.
        return False
    position = peer.position
    return group.map_bases.cover(peer.copy_number, position.csn, position.chain)
