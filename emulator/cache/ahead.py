"""Tracks that were read before anybody asked for them, kept apart until somebody does.

They may take an eighth of the cache and no more, and are the first to leave once others have moved
on: what nobody has asked for never drives out what somebody has. A track leaves this place for the
cache proper when it is used. Leaves to `tracks.py` whose tracks they are, and the counting.
"""

from collections import deque
from typing import Final

# Of all tracks, those that may be here.
AHEAD_SHARE: Final = 8
# Unused for as many new tracks as this part of the cache has, a track here goes before any other.
PATIENCE_SHARE: Final = 4


class Ahead:
    """What was read ahead and not used yet."""

    def __init__(self, tracks_max: int) -> None:
        self.tracks_max = max(1, tracks_max // AHEAD_SHARE)
        self._patience = max(1, tracks_max // PATIENCE_SHARE)
        self.images: dict[int, bytes] = {}
        self.reached: list[int] = []
        """Keys used since whoever reads ahead last looked here."""
        # By age; what was used or dropped meanwhile is still named.
        self._order: deque[tuple[int, int]] = deque()

    def __len__(self) -> int:
        """Return how many tracks are here."""
        return len(self.images)

    def add(self, key: int, image: bytes, now: int) -> int | None:
        """Keep a track; `now` counts tracks that entered the cache. Return who had to leave."""
        self.images[key] = image
        self._order.append((key, now))
        return self._drop_oldest() if len(self.images) > self.tracks_max else None

    def take(self, key: int) -> bytes | None:
        """Return a track that is used now, and keep it no more; None if it is not here."""
        image = self.images.pop(key, None)
        if image is not None:
            self.reached.append(key)
            self._tidy()
        return image

    def drop(self, key: int) -> bool:
        """Forget a track, because something newer is cached; return whether it was here."""
        if self.images.pop(key, None) is None:
            return False
        self._tidy()
        return True

    def give_way(self, now: int) -> int | None:
        """Drop and return the oldest track if it has been here unused for long; else None."""
        self._tidy()
        if self._order and now - self._order[0][1] > self._patience:
            return self._drop_oldest()
        return None

    def drop_any(self) -> int | None:
        """Drop and return the oldest track, however old; None if there is none."""
        return self._drop_oldest() if self.images else None

    def _drop_oldest(self) -> int:
        self._tidy()
        key, _since = self._order.popleft()
        del self.images[key]
        return key

    def _tidy(self) -> None:
        """Let the order begin with a track that is here."""
        order = self._order
        while order and order[0][0] not in self.images:
            order.popleft()
