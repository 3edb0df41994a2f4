"""Tracks that a disk refuses: served from memory, kept by the journal, tried again (X7, K3).

They stay dirty and count as being written, so nothing evicts or trims them. A track that has
been refused often is tried less often.
"""

from typing import Final

from emulator.clock import SECOND_NS

RETRY_NS: Final = SECOND_NS
RETRY_NS_MAX: Final = 60 * SECOND_NS
# With more than this many the disk as a whole refuses; then each try waits for the next.
TRACKS_MAX: Final = 64


class Stuck:
    """The refused tracks of one device, by key."""

    def __init__(self) -> None:
        self.retries: dict[int, tuple[int, int]] = {}
        """Key -> (when to try again, how long the wait is); never (-1) while it is tried."""

    def keys(self) -> list[int]:
        """Return the keys of the refused tracks."""
        return list(self.retries)

    def bearable(self) -> bool:
        """Return whether few enough tracks are refused to look for more at once."""
        return len(self.retries) < TRACKS_MAX

    def refused(self, key: int, now_ns: int) -> None:
        """Note that a track was refused once more."""
        _due_ns, wait_ns = self.retries.get(key, (0, RETRY_NS // 2))
        wait_ns = min(RETRY_NS_MAX, wait_ns * 2)
        self.retries[key] = (now_ns + wait_ns, wait_ns)

    def freed(self, key: int) -> None:
        """Note that the disk took a track."""
        self.retries.pop(key, None)

    def due(self, now_ns: int) -> list[int]:
        """Return the tracks to try now."""
        return [key for key, (due_ns, _wait_ns) in self.retries.items() if 0 <= due_ns <= now_ns]

    def trying(self, key: int) -> None:
        """Note that a track is being tried."""
        self.retries[key] = (-1, self.retries[key][1])

    def resting(self) -> list[int]:
        """Return the keys of the tracks that are not being tried now."""
        return [key for key, (due_ns, _wait_ns) in self.retries.items() if due_ns >= 0]
