"""Where native hosts reach a site: one line for each path, and the control unit behind them.

A line that cannot be had yet, or is lost, is opened again, like that of a link. Leaves programs
to `frontend/native_unit.py` and what they do to `frontend/native_device.py`.
"""

import os
import time
from collections.abc import Callable
from dataclasses import asdict

from emulator.errors import MisuseError
from emulator.events import Event
from emulator.frontend.native_device import NativeDevice
from emulator.frontend.native_messages import DeviceRow, Ended, Start
from emulator.frontend.native_path import NativePath
from emulator.frontend.native_unit import ChannelUnit
from emulator.node.channel_capture import ChannelCapture
from emulator.node.channel_devices import native_devices
from emulator.node.config import LinkConfig, SiteConfig
from emulator.node.lines import LineEnd
from emulator.node.loop import Loop
from emulator.node.processor import Processor


class _Watched:
    """A device whose programs are noted in the channel capture as they come."""

    def __init__(self, device: NativeDevice, capture: ChannelCapture) -> None:
        self.row: DeviceRow = device.row
        self._device = device
        self._capture = capture
        self.forget = device.forget
        self.take_status = device.take_status

    def perform(
        self, start: Start, host: int, done: Callable[[Ended], None]
    ) -> Callable[[], None] | None:
        self._capture.begun(host, start)

        def ended(how: Ended) -> None:
            self._capture.dropped(host, start)
            done(how)

        return self._device.perform(start, host, ended)


class NativeServer:
    """All native paths of a site."""

    def __init__(
        self,
        loop: Loop,
        emit: Callable[[Event], None],
        entropy: Callable[[int], bytes],
        capture: ChannelCapture | None,
    ) -> None:
        self._loop = loop
        self._emit = emit
        self._entropy = entropy
        self.capture = capture
        self._devices: list[NativeDevice] = []
        self._unit = ChannelUnit(0, [], emit)
        self._paths: list[NativePath] = []
        self._lines: list[LineEnd] = []

    def open(self, devices: list[NativeDevice], lines: dict[str, list[int]], now_ns: int) -> None:
        """Serve devices; `lines` has for each line's URI the addresses that it reaches."""
        if self._lines:
            raise MisuseError("native lines are opened once")
        self._devices = devices
        served = [_Watched(device, self.capture) for device in devices] if self.capture else devices
        incarnation = int.from_bytes(self._entropy(8), "big") or 1
        self._unit = ChannelUnit(incarnation, served, self._emit)
        for uri, addresses in lines.items():
            path = NativePath(self._entropy, host=False)
            self._unit.add_path(path, uri, addresses)
            config = LinkConfig(f"native {uri}", "", uri)
            line = LineEnd(config, path, self._loop, self._emit, None, may_leave=True)
            line.open_first(now_ns)
            self._paths.append(path)
            self._lines.append(line)

    def receive(self, now_ns: int, *, paused: bool) -> bool:
        """Take what hosts sent, and return whether they did; no program begins while `paused`."""
        spoke = False
        for device in self._devices:
            device.held = paused
            device.look()
        for line, path in zip(self._lines, self._paths, strict=True):
            line.receive(now_ns)
            if path.pending:
                spoke = True
                self._unit.handle(path)
        if not paused:
            for device in self._devices:
                device.go_on()
        return spoke

    def send(self, now_ns: int) -> bool:
        """Send what hosts are to hear; return whether there is more at once."""
        self._unit.tell_unasked()
        more = False
        for line, path in zip(self._lines, self._paths, strict=True):
            more = line.send(now_ns) or more
            if path.pending:  # the line was lost, or its session ended
                self._unit.handle(path)
        if self.capture is not None:
            self.capture.flush(self._emit)
        return more

    def next_deadline_ns(self) -> int | None:
        """Return when a line wants to be looked after."""
        due = [line.next_deadline_ns() for line in self._lines]
        return min((at_ns for at_ns in due if at_ns is not None), default=None)

    def close_to_programs(self) -> None:
        """Refuse new programs, because the site stops."""
        self._unit.closing = True

    def quiet(self) -> bool:
        """Return whether no program is under way."""
        return self._unit.quiet

    def close(self, now_ns: int) -> None:
        """Say goodbye to every host."""
        for line in self._lines:
            line.close(now_ns)
        self._lines.clear()
        self._paths.clear()

    def give_back(self) -> None:
        """Write the rest of the capture."""
        if self.capture is not None:
            self.capture.close()

    def counts(self) -> dict[str, int]:
        """Return figures for the status."""
        found = asdict(self._unit.counters)
        return {"hosts": sum(bool(host.paths) for host in self._unit.hosts.values()), **found}


def open_natives(
    config: SiteConfig,
    processor: Processor,
    loop: Loop,
    emit: Callable[[Event], None],
) -> NativeServer:
    """Serve the devices of a site that have native URIs."""
    capture = None
    if config.channel_capture is not None:
        capture = ChannelCapture(config.channel_capture, config.name)
    natives = NativeServer(loop, emit, os.urandom, capture)
    observe = None if capture is None else capture.ended
    devices, lines = native_devices(config.devices, processor, observe)
    natives.open(devices, lines, time.monotonic_ns())
    return natives
