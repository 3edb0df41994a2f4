"""One site as the auditor sees it: what it has said and is still to be judged, how it stands."""

from collections import deque

from rig.audit.ear import Item


class SiteView:
    """What is known of one site."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.items: deque[Item] = deque()
        self.live = False
        self.here = False
        """As far as its items have been judged."""
        self.came = False
        """A new life of the site, or of its connection, that has not said where it stands."""
        self.lives = 0
        self.blocked_rounds = 0
        self.whole = False
        """A copy whose contents can be judged: consistent, and of this history."""
        self.scan_wanted = False
        self.scan_tracks = 0
        self.scan_unknown = 0
