"""The contents of a volume or a disk, and which of its tracks have changed."""

from emulator.channel.blocks import TRACK_BYTES


class Image(bytearray):
    """Contents that note every change, so that who has looked need not look at all of them again.

    Whatever changes them goes through `put`.
    """

    __slots__ = ("changed",)

    def __init__(self, contents: bytes | bytearray) -> None:
        super().__init__(contents)
        self.changed: list[int] = []
        """The track of each change, in order."""

    def put(self, offset: int, data: bytes) -> None:
        """Replace the bytes from `offset` on."""
        end = offset + len(data)
        self[offset:end] = data
        self.changed.extend(range(offset // TRACK_BYTES, -(-end // TRACK_BYTES)))
