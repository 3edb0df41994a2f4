"""What a device behind the native channel needs of the site: its tracks, and its copy."""

from typing import Protocol

from emulator.channel.blocks import Requester


class Tracks(Protocol):
    """A count-key-data device as tracks; `TrackStore` is one."""

    def read(self, track: int, who: Requester, cookie: int) -> bytes | None:
        """Return the track at once, or None and answer later."""

    def write(self, track: int, offset: int, data: bytes, who: Requester, cookie: int) -> None:
        """Accept new bytes; later reads of the track see them, whenever they are answered."""

    def writable(self) -> bool:
        """Return whether hosts may write here now."""

    def readable(self) -> bool:
        """Return whether hosts may read here now."""


class Copy(Protocol):
    """The copy that the device is in; `HostOrders` is one."""

    def frozen(self) -> bool:
        """Return whether it holds all writes now."""

    def news(self) -> str:
        """Return, once, what hosts must be told; empty for nothing."""
