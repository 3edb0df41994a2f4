"""One site whose devices are served over the native channel, as a process of its own."""

import json
import os
import select
import subprocess
import sys
from pathlib import Path

from emulator.channel.geometry import geometry
from tests.system.sites import ROOT, WAIT_S_MAX, free_ports
from tests.transport.cables import Veth

CYLINDERS = 20
KIND = "3390-1"
BLOCKS = 2048
CKD, FBA = 0x0A00, 0x0B00


class ChannelSite:
    """The site, its bench file, and the host's end of each of its lines."""

    def __init__(
        self,
        folder: Path,
        veth: Veth | None = None,
        cable: tuple[str, str] | None = None,
        **more: str,
    ) -> None:
        self.folder = folder
        self.bench = folder / "bench.toml"
        self.log = folder / "log"
        self.process: subprocess.Popen[bytes] | None = None
        self.hosts, served = self._lines(veth)
        if cable is not None:
            self.hosts["cable"] = f"native+{cable[0]}"
            served.append(f"native+{cable[1]}")
        self._make_disks()
        serve = json.dumps(served)
        more_lines = "\n".join(f'{key} = "{value}"' for key, value in more.items())
        self.bench.write_text(
            f"""
name = "channel"
[site.A]
cache = "16MiB"
nvs = "file:a.nvs?size=32MiB&sync=battery"
console = "unix:a.console"
{more_lines}
[site.A.device.0A00]
kind = "{KIND}"
disk = "raw:a00.img"
serve = {serve}
[site.A.device.0B00]
kind = "fba-512"
disk = "raw:b00.img"
serve = {serve}
"""
        )

    def _lines(self, veth: Veth | None) -> tuple[dict[str, str], list[str]]:
        a, b = free_ports(2)
        [c] = free_ports(1)
        link = self.folder / "tty"
        hosts = {
            "pty": f"native+serial://{link}",
            "udp": f"native+udp://127.0.0.1:{b}?peer=127.0.0.1:{a}",
            "tcp": f"native+tcp://127.0.0.1:{c}",
        }
        served = [
            f"native+pty:///?link={link}",
            f"native+udp://127.0.0.1:{a}?peer=127.0.0.1:{b}",
            f"native+tcp://127.0.0.1:{c}?listen=1",
        ]
        if veth is not None:
            hosts["eth"] = f"native+{veth.uri(1, f'&peer={veth.macs[0]}')}"
            served.append(f"native+{veth.uri(0, f'&peer={veth.macs[1]}')}")
        return hosts, served

    def _make_disks(self) -> None:
        model = geometry(KIND)
        for name, size in (
            ("a00.img", CYLINDERS * model.heads * model.slot_bytes),
            ("b00.img", BLOCKS * 512),
        ):
            with (self.folder / name).open("wb") as file:
                file.truncate(size)

    def start(self) -> "ChannelSite":
        words = ("-m", "rig.cli", "site", "start", "A", "--bench", str(self.bench))
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *words],
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        assert self.process.stdout is not None
        assert select.select([self.process.stdout], [], [], WAIT_S_MAX)[0], "the site says nothing"
        line = self.process.stdout.readline()
        assert line, self.log.read_text()[-2000:]
        return self

    def stop(self) -> int:
        """Stop in good order and return the exit code."""
        assert self.process is not None
        self.process.terminate()
        return self._ended()

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self._ended()

    def _ended(self) -> int:
        assert self.process is not None
        code = self.process.wait(WAIT_S_MAX)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process = None
        return code

    def close(self) -> None:
        if self.process is not None:
            self.kill()

    def uri(self, line: str, device: int = CKD) -> str:
        uri = self.hosts[line]
        return f"{uri}{'&' if '?' in uri else '?'}device={device:04X}"
