"""Channel programs through a real site, over every kind of line, against the engine itself."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.channel.ccw import Ccw
from emulator.channel.fba import FbaDevice
from emulator.channel.fba_models import fba_model
from rig.host.channel import connect_channel
from rig.host.channel_device import ChannelDevice
from rig.host.programs import Volume as Shape
from rig.host.programs import format_track, read_blocks, read_record, update_records, write_blocks
from tests.channel import test_chains, test_fba, test_refusals
from tests.channel.volume import Blocks, Volume, chained
from tests.system.channel_site import BLOCKS, CKD, FBA, ChannelSite
from tests.transport.cables import virtual_cable

SHAPE = Shape((19, 14), extended=True)
CHAINS = {
    **{f"good {name}": row[0] for name, row in test_chains.GOOD.items()},
    **{f"write {name}": row[0] for name, row in test_chains.WRITES.items()},
    **{f"refused {name}": row[1] for name, row in test_refusals.REFUSED.items()},
}
# What a device says of its own state differs between a device in a test and one in a site.
OWN_STATE = ("subsystem", "configuration", "characteristics", "sense id")
LINES = [
    "pty",
    "udp",
    "tcp",
    pytest.param("eth", marks=pytest.mark.needs("netns", "cap_net_raw", "ip", "nsenter")),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest):
    """A site with a device of each kind on every kind of line; eth where it can be had."""
    folder = tmp_path_factory.mktemp("channel")
    try:
        cable = virtual_cable()
        veth = cable.__enter__()
    except (OSError, subprocess.SubprocessError, AssertionError):
        cable, veth = None, None
    made = ChannelSite(folder, veth, channel_capture="channel.pcapng").start()
    yield made
    made.close()
    if cable is not None:
        cable.__exit__(None, None, None)


@pytest.fixture(scope="module")
def direct_tracks() -> Volume:
    """The engine beside the site; each test does to it what it does to the site."""
    return Volume(address=CKD)


def same(device: ChannelDevice, direct, program: list[Ccw], name: str, path: int = 1) -> None:
    """Run a program on both, and hold what the host sees of them against each other."""
    expected = direct.run(*program, path=path)
    found = device.run(program)
    seen = [(row.place, row.data) for row in expected.results if row.data]
    assert found[:5] == (
        expected.unit_status,
        expected.channel_status,
        expected.sense,
        expected.place,
        expected.residual,
    ), name
    assert found.executed == len(expected.results), name
    if not any(word in name for word in OWN_STATE):
        assert [(row.ccw, bytes(row.data)) for row in found.transfers] == seen, name


@pytest.mark.parametrize("line", LINES)
def test_the_same_programs_direct_and_through_the_site(
    site: ChannelSite, direct_tracks: Volume, line: str
):
    direct = direct_tracks
    with connect_channel([site.uri(line)]) as channel:
        device = channel.device()
        for head in range(15):
            for track in ((1, head), (0, head), (2, head)):
                same(device, direct, list(format_track(SHAPE, track, [])), "empty")
        for track, records in (
            ((0, 0), [test_chains.NewRecord(1, b"i" * 24, b"IPL1")]),
            ((1, 2), test_chains.ORIGINAL),
            ((1, 3), [test_chains.NewRecord(1, b"seventh")]),
        ):
            same(device, direct, list(format_track(SHAPE, track, records)), "records")
        for name, chain in CHAINS.items():
            same(device, direct, chained(chain), name)
        assert channel.counters()["redriven"] == 0
    # A host that is done gives back what it holds, and the next is another one.
    direct.device.reset_path(1)
    del direct.device.paths[1]


@pytest.mark.parametrize("line", LINES)
def test_the_same_programs_on_blocks(site: ChannelSite, line: str):
    direct = Blocks(FbaDevice(fba_model("9336-20", BLOCKS), address=FBA))
    with connect_channel([site.uri(line, FBA)]) as channel:
        device = channel.device()
        for block in range(0, BLOCKS, 64):
            data = block.to_bytes(4, "big") * 8192
            same(device, direct, list(write_blocks(block, data)), f"write {block}")
        for block in (0, 7, 100, BLOCKS - 120):
            same(device, direct, list(read_blocks(block, 120)), f"read {block}")
        for name, chain in test_fba.REFUSED.items():
            same(device, direct, chained(chain), name)


def test_wireshark_reads_the_channel_without_a_plug_in(site: ChannelSite, tshark_fields):
    with connect_channel([site.uri("udp")]) as channel:
        device = channel.device()
        assert device.run(
            format_track(SHAPE, (5, 1), [test_chains.NewRecord(1, b"d" * 80)])
        ).ended_well
        assert device.run(update_records(SHAPE, (5, 1), [(1, b"u" * 80)])).ended_well
        assert device.run(read_record(SHAPE, (5, 1), 9, 80)).unit_status == 0x0E
    names = ["devaddr", "ccw", "ccwcmd", "ccwcnt", "ccwflags", "status", "residualcnt"]
    rows = tshark_fields(site.folder / "channel.pcapng", names)[-18:]
    assert all(row["devaddr"] == CKD for row in rows)
    commands = [row["ccwcmd"] for row in rows if row["ccwcmd"] is not None]
    assert commands == [0x63, 0x07, 0x31, 0x1D, 0x63, 0x47, 0x85, 0x63, 0x47]
    statuses = [row["status"] for row in rows if row["status"] is not None]
    assert statuses == [0x0C, 0x0C, 0x4C, 0x0C, 0x0C, 0x0C, 0x0C, 0x0C, 0x0E]
    assert [row["ccwcnt"] for row in rows if row["ccwcnt"] is not None][:4] == [16, 6, 5, 88]


@pytest.fixture
def tshark_fields(request: pytest.FixtureRequest):
    """Return what reads fields of FC-SB-3 with a tshark that knows nothing of this project."""

    def read(path: Path, names: list[str]) -> list[dict[str, int | None]]:
        fields = [word for name in names for word in ("-e", f"fcsb3.{name}")]
        command = ["tshark", "-r", str(path), "-Y", "fcsb3", "-T", "json", *fields]
        done = subprocess.run(command, capture_output=True, check=True, timeout=120)
        packets = [packet["_source"]["layers"] for packet in json.loads(done.stdout)]
        return [
            {
                name: int(layers[f"fcsb3.{name}"][0], 0) if f"fcsb3.{name}" in layers else None
                for name in names
            }
            for layers in packets
        ]

    return read


@pytest.fixture
def own_site(tmp_path: Path) -> Iterator[ChannelSite]:
    made = ChannelSite(tmp_path).start()
    yield made
    made.close()


def test_a_killed_site_loses_no_acknowledged_write(own_site: ChannelSite):
    """Programs under way are begun anew at the site that comes back; what was written is there."""
    uris = [own_site.uri("udp"), own_site.uri("pty")]
    with connect_channel(uris) as channel:
        device = channel.device()
        records = [test_chains.NewRecord(number, bytes(200)) for number in range(1, 13)]
        for head in range(4):
            assert device.run(format_track(SHAPE, (3, head), records)).ended_well
        written = {}
        futures = []
        for number in range(240):
            place = ((3, number % 4), 1 + number // 4 % 12)
            data = number.to_bytes(4, "big") * 50
            written[place] = data
            futures.append(device.start(update_records(SHAPE, place[0], [(place[1], data)])))
            if number in (80, 160):
                futures[number - 20].result()
                own_site.kill()
                own_site.start()
        assert all(future.result().ended_well for future in futures)
        for (track, record), data in written.items():
            assert device.run(read_record(SHAPE, track, record, 200)).data == data
        assert channel.counters()["paths_lost"] >= 2
    assert own_site.stop() == 0
