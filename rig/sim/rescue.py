"""What a site would find if it lost power at this very moment (O3, O5, A1).

Copies what would be durable, starts the production recovery on the copy, with disks and store
that answer at once, and looks at the result. The running site notices nothing.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from emulator.cache.tracks import TRACK_BITS
from emulator.clock import MILLISECOND_NS
from emulator.copy.states import Role
from emulator.node.processor import Processor
from emulator.node.requests import DiskRead, DiskWrite, NvsSave, NvsWrite
from emulator.node.standing import judge
from emulator.nvs.areas import MAP_BYTES, MAP_START, SLOT_BYTES, decode_superblock
from rig.sim.compare import Comparison
from rig.sim.nvs import pieces_of as nvs_pieces
from rig.sim.pieces import pieces_of as disk_pieces
from rig.sim.shape import GROUP, device_name, recover
from rig.sim.suspects import suspects_of
from rig.sim.violation import Violation

if TYPE_CHECKING:
    from emulator.node.requests import ShellRequest
    from rig.sim.site import Site
    from rig.sim.watch import Watch

# A recovery of a simulated store takes some turns for each track that is not cached.
TURNS_MAX = 20_000


class Rescue:
    """A site's durable remains, started again."""

    def __init__(self, site: Site, pattern: int) -> None:
        self.nvs = site.nvs.after_power_loss(pattern)
        self.disks = [disk.after_power_loss(pattern, power=True) for disk in site.disks]
        self.sums = [
            disk.sums.after_power_loss(pattern) if disk.sums is not None else None
            for disk in site.disks
        ]
        self.damaged = [disk.maybe_damaged() for disk in site.disks]
        self.suspects: dict[int, None] = {}
        self._site = site
        found = decode_superblock(self.nvs.read(0, 2 * SLOT_BYTES))
        self.body = found.body if found else None

    def start(self) -> Processor:
        """Return the processor after its recovery."""
        assert self.body is not None
        site = self._site
        sizes = {device_name(number): len(disk) for number, disk in enumerate(self.disks)}
        ring_bytes, uri = site.nvs.ring_bytes, site.nvs.uri
        maps = self.nvs.read(MAP_START, len(sizes) * MAP_BYTES)
        standing = judge(uri, self.body, dict(zip(sizes, self.sums, strict=True)))
        processor = Processor(
            site.site_config, sizes, ring_bytes, maps, Random(0).randbytes, standing.sums
        )
        self.suspects = suspects_of(processor)
        recover(processor, self.body, self.nvs.read, ring_bytes, uri)
        now_ns = 0
        while not processor.ready:
            now_ns += MILLISECOND_NS
            for step in (processor.turn, processor.background):
                step(now_ns)
                for request in processor.take_requests():
                    processor.completed(request, self._answer(request), now_ns)
            if now_ns > TURNS_MAX * MILLISECOND_NS:
                raise Violation("W3", f"{site.name} would not come out of its recovery")
        return processor

    def unknown(self) -> set[tuple[int, int]]:
        """Return (volume, track) of what is damaged, and taken for right all the same."""
        return {
            (volume, track)
            for volume, (tracks, sums) in enumerate(zip(self.damaged, self.sums, strict=True))
            for track in tracks
            if volume << TRACK_BITS | track in self.suspects
            or (sums is not None and not sums.known(track))
        }

    def _answer(self, request: ShellRequest) -> bytes | None:
        if isinstance(request, DiskRead):
            image = memoryview(self.disks[request.device])
            return bytes(image[request.offset : request.offset + request.length])
        if isinstance(request, DiskWrite):
            for offset, data in disk_pieces(request):
                self.disks[request.device].put(offset, data)
        elif isinstance(request, NvsWrite | NvsSave):
            self.nvs.write(nvs_pieces(request.runs))
        return None


def look(watch: Watch, site: Site, pattern: int) -> bool:
    """Check what a site would find; return False when it had not saved anything yet."""
    rescue = Rescue(site, pattern)
    if rescue.body is None:
        return False
    processor = rescue.start()
    if processor.hollow:
        # It would fetch what is missing before it serves anyone.
        return False
    group = processor.groups[GROUP]
    generation = group.generation()
    if watch.branch(site, generation) not in watch.history.branches:
        # Promoted this very moment; nothing was accepted in that generation.
        return False
    if group.role is Role.PRIMARY:
        csn = group.csn
        if csn < watch.answered_csn(site):
            raise Violation(
                "A1",
                f"if {site.name} lost power now, it would have csn {csn} of "
                f"{watch.answered_csn(site)} answered",
            )
    elif group.consistent:
        generation, csn, _chain = group.stream.acked
        if csn < watch.reported_csn(site, generation):
            raise Violation("O4", f"if {site.name} lost power now, it would go back to csn {csn}")
    else:
        return True
    expected = watch.history.image(watch.branch(site, generation), csn)
    unknown = watch.unknown | rescue.unknown()
    found = Comparison().first_difference(
        processor, rescue.disks, expected, unknown, rescue.damaged
    )
    if found is not None:
        volume, track = found
        raise Violation(
            "O3",
            f"if {site.name} ({group.role.value}) lost power now, track {track} of volume "
            f"{volume} would not be what it was at csn {csn}",
        )
    return True
