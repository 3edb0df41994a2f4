"""What the sites have promised, kept apart from them: the oracle of the story tests.

`History` sees every write at the moment it gets its csn, so that it knows the image after each
csn (O3). `Host` issues operations and judges what it is told (C10, A).
"""

from dataclasses import dataclass, field

from emulator.channel.blocks import TRACK_BYTES, Outcome
from emulator.channel.track_store import TrackStore
from emulator.copy.levels import AckLevel
from emulator.copy.states import PairState, Role
from tests.node.world import SECTOR, Site, World

Change = tuple[int, int, bytes]
REMOTE = (AckLevel.REMOTE_NVS, AckLevel.REMOTE_APPLIED)


class History:
    """Every accepted write by csn, and the images that follow from them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.base = [bytes(disk.now) for disk in world.a.disks]
        self.log: list[list[Change]] = []
        self.newest = [bytearray(image) for image in self.base]
        self.acked_csn = 0
        self.remote_csn = 0
        """Known durable at the other site, because the primary has been told so."""
        self.hosts: list[Host] = []
        self._prefix = (0, [bytearray(image) for image in self.base])
        for site in world.sites.values():
            site.watch = self.hook

    def hook(self, site: Site) -> None:
        """Watch a site's group from its first moment on."""
        group = site.group
        admit, runs, part, zeros = (
            group.admit,
            group.accept_runs,
            group.accept_part,
            group.accept_zeros,
        )

        def admit_logged(length, writes=1) -> int:
            csn = admit(length, writes)
            first = len(self.log) + 1
            assert csn == first + writes - 1, self.say(f"csn {csn} after {first - 1} (O1)")
            self.log.extend([] for _ in range(writes))
            return csn

        def accept_runs(volume, writes) -> None:
            for number, (offset, data) in enumerate(writes):
                self.accept(volume.index, offset, data, number - len(writes))
            runs(volume, writes)

        def accept_part(volume, track, offset, data, image, old) -> None:
            self.accept(volume.index, track * TRACK_BYTES + offset, data)
            part(volume, track, offset, data, image, old)

        def accept_zeros(volume, track, tracks, zero) -> None:
            start = track * TRACK_BYTES
            size = min(tracks * TRACK_BYTES, volume.size_bytes - start)
            self.accept(volume.index, start, bytes(size))
            zeros(volume, track, tracks, zero)

        group.admit, group.accept_runs = admit_logged, accept_runs
        group.accept_part, group.accept_zeros = accept_part, accept_zeros

    def say(self, text: str) -> str:
        return f"seed {self.world.seed}, {self.world.now_ns / 1e6:.3f} ms: {text}"

    def accept(self, volume: int, offset: int, data: bytes, write: int = -1) -> None:
        self.log[write].append((volume, offset, bytes(data)))
        image = self.newest[volume]
        image[offset : offset + len(data)] = data
        for host in self.hosts:
            host.seen(volume, offset, len(data))

    def prefix(self, csn: int) -> list[bytearray]:
        """Return the images after the first `csn` writes."""
        assert csn <= len(self.log), self.say(f"csn {csn} of {len(self.log)} was never given")
        at, images = self._prefix
        if at > csn:
            at, images = 0, [bytearray(image) for image in self.base]
        for changes in self.log[at:csn]:
            for volume, offset, data in changes:
                images[volume][offset : offset + len(data)] = data
        self._prefix = (csn, images)
        return images

    def differing(self, site: Site, images: list[bytearray]) -> str:
        """Say where a site's volumes differ from what they should be; empty if nowhere."""
        for index, name in enumerate(self.world.sizes):
            image = site.image(index)
            if image != images[index]:
                tracks = [
                    track
                    for track in range(-(-len(image) // TRACK_BYTES))
                    if image[track * TRACK_BYTES :][:TRACK_BYTES]
                    != images[index][track * TRACK_BYTES :][:TRACK_BYTES]
                ]
                return f"{name} of {site.config.name} differs in tracks {tracks}"
        return ""

    # What must hold.

    def check_primary(self, site: Site) -> None:
        """A primary that came up again has every acknowledged write, and nothing invented."""
        csn = site.group.csn
        assert csn >= self.acked_csn, self.say(f"csn {csn}: lost acknowledged {self.acked_csn}")
        assert csn >= self.remote_csn, self.say(f"csn {csn} is behind its secondary (W1)")
        del self.log[csn:]
        images = self.prefix(csn)
        self.newest = [bytearray(image) for image in images]
        problem = self.differing(site, images)
        assert not problem, self.say(f"recovered primary at csn {csn}: {problem}")

    def check_secondary(self, site: Site) -> None:
        """A secondary alone is a true past state, unless it says that it is being copied (O3)."""
        group = site.group
        csn = group.stream.acked.csn
        if group.role is Role.PRIMARY or not group.consistent:
            return
        assert csn >= self.remote_csn, self.say(f"{csn} came back, {self.remote_csn} was told (O4)")
        problem = self.differing(site, self.prefix(csn))
        assert not problem, self.say(f"secondary at csn {csn}: {problem} (O3)")

    def check_sync(self, primary: Site, ghost: Site) -> None:
        """In duplex with a remote level, losing the primary loses nothing acknowledged (A-sync)."""
        group = primary.group
        if group.ack in REMOTE and group.state is PairState.DUPLEX:
            csn = ghost.group.stream.acked.csn
            assert csn >= self.acked_csn, self.say(
                f"duplex, acknowledged {self.acked_csn}, but the secondary has {csn} (A-sync)"
            )


@dataclass
class Operation:
    """One operation that is not complete."""

    kind: str
    volume: int
    offset: int
    length: int
    csn: int = 0
    allowed: dict[int, list[bytes]] = field(default_factory=dict)


class Host:
    """Issues operations to one site's volumes, and judges the answers."""

    def __init__(self, history: History, site: Site) -> None:
        self.history = history
        self.site = site
        self.open: dict[int, Operation] = {}
        self.outcomes: dict[Outcome, int] = {}
        self._cookie = 0
        history.hosts.append(self)
        replies = site.group.replies
        add = replies.add

        def noting_add(csn: int, who: object, cookie: int) -> None:
            if isinstance(who, Host):
                who.open[cookie].csn = csn
            elif isinstance(who, TrackStore):
                request = who._writes[cookie]
                request.who.open[request.cookie].csn = csn
            add(csn, who, cookie)

        replies.add = noting_add

    def _new(self, kind: str, volume: int, offset: int, length: int) -> tuple[int, object]:
        self._cookie += 1
        self.open[self._cookie] = Operation(kind, volume, offset, length)
        return self._cookie, list(self.site.processor.volumes.values())[volume]

    def write(self, volume: int, offset: int, data: bytes) -> None:
        cookie, device = self._new("write", volume, offset, len(data))
        self.site.processor.rhythm.host_spoke(self.site.world.now_ns)
        device.write(offset, data, self, cookie)
        self._wake()

    def zero(self, volume: int, offset: int, length: int) -> None:
        cookie, device = self._new("zero", volume, offset, length)
        device.zero(offset, length, self, cookie)
        self._wake()

    def flush(self, volume: int) -> None:
        cookie, device = self._new("flush", volume, 0, 0)
        device.flush(self, cookie)
        self._wake()

    def read(self, volume: int, offset: int, length: int) -> None:
        cookie, device = self._new("read", volume, offset, length)
        self.seen(volume, offset, length)
        data = device.read(offset, length, self, cookie)
        if data is not None:
            self.completed(cookie, Outcome.DONE, data)
        self._wake()

    def _wake(self) -> None:
        self.site.world.wake_soon(self.site, self.site.world.now_ns)

    def seen(self, volume: int, offset: int, length: int) -> None:
        """Note contents that a read under way may return."""
        image = self.history.newest[volume]
        for operation in self.open.values():
            if operation.kind != "read" or operation.volume != volume:
                continue
            first = max(offset, operation.offset) // SECTOR
            last = -(-min(offset + length, operation.offset + operation.length) // SECTOR)
            for sector in range(first, last):
                value = bytes(image[sector * SECTOR : (sector + 1) * SECTOR])
                operation.allowed.setdefault(sector, []).append(value)

    def completed(self, cookie: int, outcome: Outcome, data: list[bytes]) -> None:
        operation = self.open.pop(cookie)
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
        if outcome is not Outcome.DONE:
            return
        if operation.kind == "read":
            self._judge(operation, b"".join(data))
        else:
            history = self.history
            history.acked_csn = max(history.acked_csn, operation.csn)

    def _judge(self, operation: Operation, data: bytes) -> None:
        assert len(data) == operation.length, self.history.say("a read of the wrong length")
        for sector, values in operation.allowed.items():
            start = max(sector * SECTOR, operation.offset)
            end = min((sector + 1) * SECTOR, operation.offset + operation.length)
            got = data[start - operation.offset : end - operation.offset]
            inside = slice(start - sector * SECTOR, end - sector * SECTOR)
            assert any(value[inside] == got for value in values), self.history.say(
                f"read of volume {operation.volume}, sector {sector}: not what was accepted (C10)"
            )
