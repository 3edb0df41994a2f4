"""One site for unit tests: a processor with memory for its store and disks, that can crash."""

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from emulator.channel.blocks import TRACK_BYTES
from emulator.errors import DeviceError
from emulator.node.config import (
    AckLevel,
    DeviceConfig,
    GroupConfig,
    LinkConfig,
    OnLinkLoss,
    SiteConfig,
)
from emulator.node.processor import Processor
from emulator.node.recovery import first_start, restore, start_replay
from emulator.node.requests import DiskFlush, DiskRead, DiskWrite, NvsRead, NvsSave, NvsWrite
from emulator.nvs.areas import (
    MAP_START,
    RING_START,
    SLOT_BYTES,
    decode_superblock,
    encode_superblock,
)
from emulator.nvs.recovery import Recovery

if TYPE_CHECKING:
    from tests.node.world import World

SECTOR = 512
SIZES = {"vol0": 48 * TRACK_BYTES, "vol1": 20 * TRACK_BYTES + 3 * SECTOR}
MTU_BYTES = 16_000
PAIR = {"A": "B", "B": "A"}


def site_config(name: str, **changes) -> SiteConfig:
    """Return the smallest site that can be the end of a copy of two volumes."""
    sizes = changes.pop("sizes", SIZES)
    kinds = changes.pop("kinds", {})
    group = {
        "name": "g",
        "number": 1,
        "link": "A-B",
        "peer": PAIR[name],
        "starts_as_primary": name == "A",
        "volumes": tuple(sizes),
        "ack": AckLevel.NVS,
        "on_link_loss": OnLinkLoss.CONTINUE,
        "secondary_reads": True,
    }
    cache_bytes = changes.pop("cache_bytes", 0)
    return SiteConfig(
        name,
        cache_bytes,
        "file:///nvs",
        "unix:///console",
        {volume: DeviceConfig(volume, kinds.get(volume, "fba-512"), "mem://") for volume in sizes},
        {"A-B": LinkConfig("A-B", PAIR[name], "sim:", lab_plaintext=True)},
        {"g": GroupConfig(**(group | changes))},
    )


class Medium:
    """Bytes that survive: `now` is what a reader gets, `safe` what a loss of power leaves."""

    def __init__(self, size: int, contents: bytes = b"") -> None:
        self.now = bytearray(contents or size)
        self.safe = bytearray(self.now)
        self.unsafe: dict[int, None] = {}

    def write(self, offset: int, data: bytes) -> None:
        self.now[offset : offset + len(data)] = data
        for sector in range(offset // SECTOR, -(-(offset + len(data)) // SECTOR)):
            self.unsafe[sector] = None

    def flush(self) -> None:
        for sector in self.unsafe:
            part = slice(sector * SECTOR, (sector + 1) * SECTOR)
            self.safe[part] = self.now[part]
        self.unsafe.clear()

    def power_lost(self, dice: random.Random) -> None:
        """Keep a part of what was not flushed, sector by sector."""
        for sector in self.unsafe:
            part = slice(sector * SECTOR, (sector + 1) * SECTOR)
            if dice.random() < 0.5:
                self.safe[part] = self.now[part]
        self.now[:] = self.safe
        self.unsafe.clear()

    def copy(self) -> "Medium":
        other = Medium(0)
        other.now, other.safe = bytearray(self.now), bytearray(self.safe)
        other.unsafe = dict(self.unsafe)
        return other


class Site:
    """One site: a processor, and the machine that may die under it."""

    def __init__(self, world: "World", config: SiteConfig, nvs: Medium, disks: list[Medium]):
        self.world = world
        self.config = config
        self.nvs = nvs
        self.disks = disks
        self.life = 0
        self.fuse = 0
        """Crash instead of answering the request that this counts down to."""
        self.alive = False
        self.serving = False
        self._announced = False
        self.broken: dict[int, None] = {}
        """Devices that refuse everything."""
        self.write_protected = False
        self.sequence = 0
        self.packets: list[bytes] = []
        self.events: list[object] = []
        self._busy_until_ns: dict[str, int] = {}
        self._under_way: object = None
        self.watch: Callable[[Site], None] = lambda _site: None
        self.processor: Processor

    # Life and death.

    def boot(self) -> None:
        self.alive = True
        self.serving = self._announced = False
        slots = bytes(self.nvs.now[: 2 * SLOT_BYTES])
        superblock = decode_superblock(slots)
        self.sequence = superblock.sequence if superblock else 0
        entropy = random.Random(f"{self.world.seed}/{self.config.name}/{self.life}").randbytes
        maps = bytes(self.nvs.now[MAP_START:RING_START])
        ring_bytes = self.world.ring_bytes
        processor = Processor(self.config, dict(self.world.sizes), ring_bytes, maps, entropy)
        self.processor = processor
        body = superblock.body if superblock else None
        if body is None:
            first_start(processor)
        else:
            restore(processor, body, "nvs")
        start_replay(processor, body, self.read_nvs, ring_bytes, "nvs")
        self.watch(self)

    def crash(self, *, power: bool) -> None:
        """Die in the middle of whatever is under way."""
        assert self.alive
        self.alive = self.serving = False
        self.life += 1
        self.fuse = 0
        self.packets.clear()
        self._busy_until_ns.clear()
        self._tear(self.world.dice, power=power)

    def _tear(self, dice: random.Random, *, power: bool) -> None:
        request, self._under_way = self._under_way, None
        if request is not None:
            runs = [(at, b"".join(bytes(b) for b in data)) for at, data in request.runs]
            if isinstance(request, NvsSave) and dice.random() < 0.5:
                for at, data in runs:
                    self.nvs.write(at, data)
                self.nvs.flush()
                runs = [encode_superblock(self.sequence + 1, request.body)]
            for at, data in runs:
                for start in range(0, len(data), SECTOR):
                    if dice.random() < 0.5:
                        self.nvs.write(at + start, data[start : start + SECTOR])
        self.nvs.flush()
        for disk in self.disks:
            if power:
                disk.power_lost(dice)

    def ghost(self, *, power: bool = False) -> "Site":
        """Return what would come up if this site died now, and was alone in the world."""
        dice = random.Random(f"{self.world.seed}/{self.world.now_ns}")
        other = Site(self.world, self.config, self.nvs.copy(), [d.copy() for d in self.disks])
        other.sequence = self.sequence
        other._under_way = self._under_way
        other._tear(dice, power=power)
        other.life = self.life + 1000
        other.boot()
        for _ in range(20_000):
            other.turn()
            if other.serving:
                return other
            other.finish_jobs()
        raise AssertionError("the site does not come up")

    # The shell.

    def turn(self) -> None:
        processor, now_ns = self.processor, self.world.now_ns
        end = processor.links["A-B"]
        packets, self.packets = self.packets, []
        if self.serving:
            end.receive(packets, now_ns)
        processor.turn(now_ns)
        self._carry_out()
        processor.complete(now_ns)
        processor.background(now_ns)
        self._carry_out()
        if self.serving and self in self.world.sites.values():
            end.wake(now_ns)
            self.world.carry(self, end.machine.outgoing(now_ns, 64))
        self.events += processor.take_events()
        if processor.ready and not self._announced:
            self._announced = True
            processor.save_soon(self._serve)
        self.world.wake_soon(self, now_ns if processor.busy() else None)

    def _serve(self) -> None:
        self.serving = True
        if self in self.world.sites.values() and self.world.line_up:
            self.processor.links["A-B"].opened(self.world.now_ns, MTU_BYTES, None)

    def read_nvs(self, offset: int, length: int) -> bytes:
        return bytes(self.nvs.now[offset : offset + length])

    def _carry_out(self) -> None:
        for request in self.processor.take_requests():
            match request:
                case NvsRead():
                    self.processor.completed(request, self._entries(request), self.world.now_ns)
                case NvsWrite() | NvsSave():
                    self._queue("nvs", request)
                case DiskRead(_, device):
                    self._queue(f"read {device}", request)
                case _:
                    self._queue(f"write {request.device}", request)

    def _entries(self, request: NvsRead) -> list:
        recovery = Recovery(self.read_nvs, self.world.ring_bytes, request.first_lsn, "nvs")
        found = []
        for entry in recovery.entries():
            if entry.head.lsn >= request.end_lsn:
                break
            found.append(entry)
        return found

    def _queue(self, queue: str, request: object) -> None:
        world = self.world
        begin_ns = max(world.now_ns, self._busy_until_ns.get(queue, 0))
        took_ns = world.dice.randrange(1, world.slow_ns)
        self._busy_until_ns[queue] = begin_ns + took_ns
        self._later(begin_ns, lambda: self._begin(request))
        self._later(begin_ns + took_ns, lambda: self._end(request))

    def _later(self, at_ns: int, job: Callable[[], None]) -> None:
        life = self.life
        world = self.world
        if self not in world.sites.values():
            self._jobs.append(job)
            return
        world.at(at_ns, lambda: job() if self.life == life else None)

    @property
    def _jobs(self) -> list[Callable[[], None]]:
        return self.__dict__.setdefault("jobs", [])

    def finish_jobs(self) -> None:
        """Answer every request at once: a ghost has all the time there is."""
        jobs = list(self._jobs)
        self._jobs.clear()
        for job in jobs:
            job()

    def _begin(self, request: object) -> None:
        if isinstance(request, NvsWrite | NvsSave):
            self._under_way = request
        elif isinstance(request, DiskWrite) and not self._refuses(request):
            # A part of it is there long before the end.
            self._write_disk(request, lambda: self.world.dice.random() < 0.5)

    def _end(self, request: object) -> None:
        if self.fuse:
            self.fuse -= 1
            if not self.fuse:
                self.crash(power=self.world.dice.random() < 0.5)
                return
        self.processor.completed(request, self._do(request), self.world.now_ns)
        self.world.wake_soon(self, self.world.now_ns)

    def _do(self, request: object) -> object:
        if isinstance(request, NvsWrite | NvsSave):
            self._under_way = None
            for at, buffers in request.runs:
                self.nvs.write(at, b"".join(bytes(b) for b in buffers))
            if isinstance(request, NvsSave):
                self.sequence += 1
                self.nvs.write(*encode_superblock(self.sequence, request.body))
            self.nvs.flush()
            return None
        if self._refuses(request):
            return DeviceError(f"mem://{request.device}", "refuses")
        disk = self.disks[request.device]
        if isinstance(request, DiskRead):
            data = bytes(disk.now[request.offset : request.offset + request.length])
            assert len(data) == request.length, "a read beyond the end"
            return data
        if isinstance(request, DiskFlush):
            disk.flush()
        else:
            self._write_disk(request, lambda: True)
        return None

    def _refuses(self, request: DiskRead | DiskWrite | DiskFlush) -> bool:
        protected = self.write_protected and isinstance(request, DiskWrite)
        return protected or request.device in self.broken

    def _write_disk(self, request: DiskWrite, take: Callable[[], bool]) -> None:
        disk = self.disks[request.device]
        size = len(disk.now)
        runs = [(at, b"".join(data)) for at, data in request.runs]
        runs += [(at, bytes(length)) for at, length in request.zeros]
        for at, data in runs:
            assert at + len(data) <= size, "a write beyond the end"
            for start in range(0, len(data), SECTOR):
                if take():
                    disk.write(at + start, data[start : start + SECTOR])

    # What a test looks at.

    @property
    def group(self):
        return self.processor.groups["g"]

    @property
    def pair(self):
        return self.processor.pairs["g"]

    def image(self, index: int) -> bytes:
        """Return the newest contents of a volume: the cache's over the disk's."""
        volume = list(self.processor.volumes.values())[index]
        disk = self.disks[index].now
        parts = []
        for track in range(volume._place.tracks):
            image = self.processor.cache.peek(volume._base | track)
            parts.append(image or disk[track * TRACK_BYTES : (track + 1) * TRACK_BYTES])
        return b"".join(bytes(part) for part in parts)[: volume.size_bytes]
