"""Find hosts that read a volume in sequence, and say what to read ahead for them.

A stream is known by the track with which its next miss would go on. After enough tracks in
sequence a window is read ahead; when its first track is used the next window follows, twice as
large. Windows grow while what was read ahead is used, shrink when it is not, and end where a
volume's streams are never followed; a long stream of misses gives them another chance. Pure:
counts tracks of one volume, knows neither cache nor disk.
"""

from collections import OrderedDict
from typing import Final

STREAMS_MAX: Final = 16
# A stream is one from its second read on, and after so many tracks.
SEQUENTIAL_TRACKS: Final = 4
# After giving up, so long a run of misses is tried again.
RETRY_TRACKS: Final = 64
WINDOW_TRACKS_MIN: Final = 4
WINDOW_TRACKS_MAX: Final = 256


class _Stream:
    """One run of reads."""

    __slots__ = ("next_track", "run_tracks", "window_tracks")

    def __init__(self, next_track: int, run_tracks: int) -> None:
        self.next_track = next_track
        self.run_tracks = run_tracks
        self.window_tracks = 0


class Streams:
    """The streams of one volume."""

    def __init__(self, tracks: int, window_tracks_max: int) -> None:
        """Take the volume's size, and how much may be read ahead for one stream."""
        self._tracks = tracks
        self._most = max(1, min(window_tracks_max, WINDOW_TRACKS_MAX))
        self._least = min(WINDOW_TRACKS_MIN, self._most)
        self.window_tracks_max = self._most
        """The largest window now; 0 after reading ahead has been of no use."""
        # By the track with which each goes on, the one that has gone on last at the end.
        self._streams: OrderedDict[int, _Stream] = OrderedDict()
        # By the first track of a window whose use brings the next.
        self._triggers: dict[int, _Stream] = {}
        self._used = 0
        self._unused = 0

    def missed(self, first: int, end: int) -> range:
        """Take note that tracks had to be read for a host; return what to read ahead."""
        stream = self._streams.pop(first, None)
        if stream is None:
            if len(self._streams) >= STREAMS_MAX:
                self._streams.popitem(last=False)
            self._streams[end] = _Stream(end, end - first)
            return range(0)
        stream.run_tracks += end - first
        stream.next_track = end
        self._streams[end] = stream
        if not self.window_tracks_max and stream.run_tracks >= RETRY_TRACKS:
            self.window_tracks_max = self._least
            stream.run_tracks = SEQUENTIAL_TRACKS
        if stream.run_tracks < SEQUENTIAL_TRACKS:
            return range(0)
        return self._window(stream)

    def used(self, track: int) -> range:
        """Take note that a track read ahead was used; return what to read ahead next."""
        stream = self._triggers.pop(track, None)
        return range(0) if stream is None else self._window(stream)

    def brings_window(self, track: int) -> bool:
        """Return whether the use of a track that was read ahead brings the next window."""
        return track in self._triggers

    def judge(self, used: int, unused: int) -> None:
        """Judge by how many tracks read ahead were used and not, since the beginning."""
        fresh_used, fresh_unused = used - self._used, unused - self._unused
        if fresh_used + fresh_unused < max(self._least, self.window_tracks_max):
            return
        self._used, self._unused = used, unused
        if fresh_unused > fresh_used:
            self.window_tracks_max //= 2
            if self.window_tracks_max < self._least:
                self.window_tracks_max = 0
        elif fresh_used > 2 * fresh_unused and self.window_tracks_max:
            self.window_tracks_max = min(self._most, 2 * self.window_tracks_max)

    def _window(self, stream: _Stream) -> range:
        """Return the stream's next window and expect its next miss behind it."""
        if not self.window_tracks_max:
            return range(0)
        wanted = max(self._least, 2 * stream.window_tracks)
        stream.window_tracks = min(wanted, self.window_tracks_max)
        start = stream.next_track
        end = min(start + stream.window_tracks, self._tracks)
        if start >= end:
            return range(0)
        if self._streams.get(start) is stream:
            del self._streams[start]
        stream.next_track = end
        self._streams[end] = stream
        if len(self._triggers) >= 2 * STREAMS_MAX:
            del self._triggers[next(iter(self._triggers))]
        self._triggers[start] = stream
        return range(start, end)
