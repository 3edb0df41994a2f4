"""What the tests of disks share."""

from tests.disk.loop import loop_device

__all__ = ["loop_device"]
