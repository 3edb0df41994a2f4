"""Hercules in front, Hercules behind, our sites between, all in a network of their own.

host 0A00 -- shrd 3991 --> site A -- hercules 3990 --> unit A (volume 0A00)
                             | udp
                           site B -- hercules 3992 --> unit B (volume 0A00, compressed)
"""

import subprocess
from pathlib import Path
from typing import Self

from rig.measure.hercules import Hercules
from rig.measure.namespace import Namespace
from tests.system.sites import Site

HEADS = 15
CYLINDERS = 20
SITE = """\
[site.{name}]
cache = "16MiB"
nvs = "file://{folder}/{low}.nvs?size=32MiB&sync=battery"
console = "unix://{folder}/{low}.console"
[site.{name}.device.vol0]
kind = "3390-1"
disk = "hercules://127.0.0.1:{unit}/0A00?patience={patience}"
serve = ["shrd://127.0.0.1:{serve}/0A00?grace=3s"]
"""
COPY = """\
[link.A-B]
a = "udp://127.0.0.1:7001?peer=127.0.0.1:7002"
b = "udp://127.0.0.1:7002?peer=127.0.0.1:7001"
lab_plaintext = true
[copy.g0]
source = "A"
target = "B"
volumes = ["vol0"]
"""
CONTROL = """\
VOL001 3390 {cylinders}
sysvtoc VTOC TRK 2
peer.seq.data SEQ {data} TRK 8 0 0 PS FB 80 4000
peer.pds.data EMPTY TRK 6 0 5 PO FB 80 800
"""
DATA_SET = 3
"""The first track of the sequential data set."""
LIBRARY = 11
"""The track of the library's directory, behind the sequential data set; members come after it."""


def address(track: int) -> tuple[int, int]:
    return divmod(track, HEADS)


def tool(*command: object, folder: Path | None = None, status: int = 0) -> str:
    """Run one of Hercules' utilities, demand its exit status, and return all that it said."""
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=folder,
    )
    assert done.returncode == status, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


class Stage:
    """One bench; use it in a `with`."""

    def __init__(self, folder: Path, *, copied: bool, patience: str = "20s") -> None:
        self.folder = folder
        self.copied = copied
        self.space = Namespace()
        self.images = {"A": folder / "a.ckd", "B": folder / "b.cckd"}
        self.data = folder / "data.txt"
        self.data.write_bytes(b"".join(b"%-80d" % number for number in range(400)))
        control = folder / "load.ctl"
        control.write_text(CONTROL.format(cylinders=CYLINDERS, data=self.data))
        tool("dasdload", control, self.images["A"])
        names = "AB" if copied else "A"
        if copied:
            tool("dasdinit", "-z", self.images["B"], "3390", "EMPTY1", CYLINDERS)
        bench = folder / "bench.toml"
        rows = [
            SITE.format(
                name=name,
                low=name.lower(),
                folder=folder,
                unit=unit,
                serve=serve,
                patience=patience,
            )
            for name, unit, serve in (("A", 3990, 3991), ("B", 3992, 3993))[: len(names)]
        ]
        bench.write_text('name = "peers"\n' + "".join(rows) + (COPY if copied else ""))
        self.sites = {name: Site(name, folder, bench) for name in names}

    def __enter__(self) -> Self:
        self.space.__enter__()
        prefix = self.space.prefix
        self.units = {
            name: Hercules(
                self.folder / f"unit-{name}",
                prefix,
                f"SHRDPORT {port}",
                f"0A00 3390 {self.images[name]} cu=3990-6",
                mebibytes=2,
            )
            for name, port in (("A", 3990), ("B", 3992))
            if name in self.sites
        }
        # Through us, and past us: only the address differs.
        self.host, self.direct = (
            Hercules(self.folder / name, prefix, f"0A00 3390 127.0.0.1:{port}:0A00 cu=3990-6")
            for name, port in (("host", 3991), ("direct", 3990))
        )
        for unit in self.units.values():
            unit.start()
        for site in self.sites.values():
            site.prefix = prefix
            site.launch()
        for site in self.sites.values():
            site.await_ready()
        return self

    def __exit__(self, *_: object) -> None:
        for site in self.sites.values():
            if site.process is not None:
                site.kill()
        for hercules in (self.host, self.direct, *self.units.values()):
            hercules.stop()
            print(f"--- {hercules.folder.name}: {hercules.tail()}")
        for site in self.sites.values():
            print(f"--- site {site.name}:\n{site.log_tail()}")
        self.space.__exit__(None, None, None)

    def stop(self) -> None:
        """Stop everything in the order in which nothing is lost: hosts, sites, units."""
        self.host.stop()
        self.direct.stop()
        for site in self.sites.values():
            assert site.terminate() == 0
        for unit in self.units.values():
            unit.stop()

    def raw(self, name: str) -> bytes:
        """Return a unit's image as an uncompressed one has it."""
        image = self.images[name]
        if image.suffix == ".cckd":
            plain = image.with_suffix(".raw")
            plain.unlink(missing_ok=True)
            tool("dasdcopy", image, plain)
            image = plain
        return image.read_bytes()

    def unloaded(self, name: str) -> bytes:
        """Return the data set that was there from the start, as Hercules unloads it."""
        folder = self.folder / f"unloaded-{name}"
        folder.mkdir()
        tool("dasdseq", self.images[name], "PEER.SEQ.DATA", folder=folder)
        return (folder / "PEER.SEQ.DATA").read_bytes()

    def contents(self, name: str) -> list[bytes]:
        """Return every track of a unit's image, without what lies behind its end marker."""
        data = self.raw(name)[512:]
        size = len(data) // (HEADS * CYLINDERS)
        tracks = [data[at : at + size] for at in range(0, len(data), size)]
        assert len(tracks) == HEADS * CYLINDERS
        return [used(track) for track in tracks]


def used(track: bytes) -> bytes:
    """Return a track up to and with its end marker, found by its own count fields."""
    at = 5
    while track[at : at + 8] != b"\xff" * 8:
        at += 8 + track[at + 5] + int.from_bytes(track[at + 6 : at + 8], "big")
        assert at + 8 <= len(track), "no end marker"
    return track[: at + 8]


def numbers_on(track: bytes, record: int) -> int:
    """Return the sequence number that begins a record's data."""
    at = 5
    while track[at : at + 8] != b"\xff" * 8:
        length = int.from_bytes(track[at + 6 : at + 8], "big")
        if track[at + 4] == record:
            start = at + 8 + track[at + 5]
            return int.from_bytes(track[start : start + 4], "big")
        at += 8 + track[at + 5] + length
    raise AssertionError(f"no record {record}")
