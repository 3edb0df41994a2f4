"""Disks a site keeps its devices on, opened by URI."""

from emulator.disk.base import Disk
from emulator.disk.opener import create_disk, disk_bytes, open_disk

__all__ = ["Disk", "create_disk", "disk_bytes", "open_disk"]
