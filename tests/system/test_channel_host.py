"""`dualcopy host` and `capture show` over the native channel, as users and scripts call them."""

import itertools
import json
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rig.cli.main import main
from tests.system.cables import UdpCable
from tests.system.channel_site import CKD, FBA, ChannelSite


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChannelSite]:
    folder = tmp_path_factory.mktemp("host")
    made = ChannelSite(folder, channel_capture="channel.pcapng").start()
    yield made
    made.close()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]):
    """Return what runs a command line and gives its exit code, output and errors."""

    def call(*words: object) -> tuple[int, str, str]:
        code = main([str(word) for word in words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def test_tracks_are_formatted_written_and_read(site: ChannelSite, run, tmp_path: Path):
    uri = site.uri("pty")
    code, out, _ = run("host", "format", uri, "--tracks", "4/0-4/2", "--records", 3, "--key", 4)
    assert (code, out) == (0, "3 tracks formatted, 3 records of 4096 bytes on each\n")
    source = tmp_path / "in"
    source.write_bytes(b"w" * 4096)
    write = ("host", "write", uri, "--track", "4/1", "--record", 2, "--in", source)
    assert run(*write)[:2] == (0, "4096 bytes written to record 4/1/2\n")
    code, out, _ = run("host", "read", uri, "--track", "4/1", "--json")
    rows = json.loads(out)
    assert [row["id"] for row in rows] == ["4/1/1", "4/1/2", "4/1/3"]
    assert {row["key"] for row in rows} == {"00000000"}
    assert bytes.fromhex(rows[1]["data"]) == b"w" * 4096
    target = tmp_path / "out"
    assert run("host", "read", uri, "--track", "4/1", "--record", 2, "--out", target)[0] == 0
    assert target.read_bytes() == b"w" * 4096
    source.write_bytes(b"short")
    code, _, err = run(*write)
    assert code == 69
    assert "invalid track format" in err


def test_a_program_file_is_run_and_judged(site: ChannelSite, run, tmp_path: Path):
    path = tmp_path / "program.toml"
    text = '[[ccw]]\ncommand = "sense-id"\ncount = 7\nflags = ["sli"]\n'
    text += '[expect]\ndata = "ff3990e9339002"\n'
    path.write_text(text)
    code, out, _ = run("host", "program", path, site.uri("tcp"))
    assert code == 0
    assert "device 0A00, 1 CCWs carried out" in out
    assert "ff3990e9 339002" in out
    path.write_text(text.replace("ff3990e9339002", "00"))
    code, _, err = run("host", "program", path, site.uri("tcp"))
    assert (code, "7 bytes read are not the 1 expected" in err) == (1, True)
    path.write_text('device = "0A00"\n[[ccw]]\ncommand = "read-data"\ncount = 80\n')
    code, out, err = run("host", "program", path, site.uri("tcp", FBA), "--json")
    assert code == 1
    assert json.loads(out)["unit_status"] == "0E"
    assert "command reject: invalid command sequence" in err
    path.write_text(text.replace("count = 7", "counts = 7"))
    assert run("host", "program", path, site.uri("tcp"))[0] == 2


@pytest.mark.parametrize(
    ("device", "line", "code", "told"),
    [
        ("0BAD", "udp", 69, "no device has address 0BAD here; there are: 0A00, 0B00"),
        ("BAD", "udp", 2, "device=BAD is no device address"),
        ("0B00", "udp", 2, "the device has blocks and no tracks"),
    ],
)
def test_a_wrong_device_is_told(site: ChannelSite, run, tmp_path, device, line, code, told):
    path = tmp_path / "program.toml"
    path.write_text('[[ccw]]\ncommand = "no-operation"\n')
    uri = site.hosts[line] + f"&device={device}"
    words = ("program", path, uri) if code == 69 else ("format", uri, "--tracks", "0/1")
    found, _, err = run("host", *words)
    assert found == code
    assert told in err


def test_blocks_are_loaded_and_verified(site: ChannelSite, run, tmp_path: Path):
    uri, journal = site.uri("udp", FBA), tmp_path / "journal"
    code, out, _ = run("host", "load", uri, "--journal", journal, "--writes", 200)
    assert code == 0, out
    assert "200 writes" in out
    assert run("host", "verify", uri, "--journal", journal)[0] == 0
    assert run("host", "write", uri, "--in", journal.parent / "journal")[0] == 2  # no whole blocks
    blocks = tmp_path / "blocks"
    blocks.write_bytes(bytes(range(256)) * 32)
    assert run("host", "write", uri, "--offset", "4KiB", "--in", blocks)[0] == 0
    read = ("host", "read", uri, "--offset", "4KiB", "--length", "8KiB", "--out", tmp_path / "out")
    assert run(*read)[0] == 0
    assert (tmp_path / "out").read_bytes() == blocks.read_bytes()


@pytest.mark.parametrize("pattern", ["sequential", "zipf"])
def test_tracks_are_worked_on_and_verified(site: ChannelSite, run, tmp_path: Path, pattern: str):
    uri, journal = site.uri("udp"), tmp_path / "journal"
    work = ("host", "work", uri, "--journal", journal, "--pattern", pattern, "--first", "10/0")
    code, out, _ = run(*work, "--programs", 150, "--length", 1000, "--records", 10, "--key", 8)
    assert code == 0
    assert "all ended well" in out
    code, out, _ = run("host", "verify", uri, "--journal", journal)
    assert code == 0
    assert "0 not" in out
    update = ("host", "write", uri, "--track", "10/3", "--record", 1, "--in", tmp_path / "in")
    (tmp_path / "in").write_bytes(bytes(1000))
    assert run(*update)[0] == 0
    code, out, _ = run("host", "verify", uri, "--journal", journal)
    assert code == 1
    assert "track 10/3: record 1 is not what the last acknowledged program wrote" in out
    assert run(*work, "--programs", 1)[0] == 2  # the journal exists
    many = ("host", "work", uri, "--journal", tmp_path / "x", "--programs", 1, "--records", 99)
    assert run(*many)[0] == 2


def test_a_channel_capture_is_shown(site: ChannelSite, run):
    code, out, _ = run("capture", "show", site.folder / "channel.pcapng", "--limit", 40)
    assert code == 0
    heading, *rows = out.splitlines()[1:]
    assert heading.split()[:4] == ["frame", "time", "(s)", "host"]
    assert any("1D write-count-key-and-data" in row and " 0A00 " in row for row in rows)
    assert any(row.endswith("0C channel end, device end") for row in rows)
    code, out, _ = run("capture", "show", site.folder / "channel.pcapng", "--json")
    frames = [json.loads(line) for line in out.splitlines()]
    assert {frame["type"] for frame in frames} == {"command", "status", "data"}
    assert {frame["device"] for frame in frames} <= {f"{CKD:04X}", f"{FBA:04X}"}
    assert all(a["time_ns"] <= b["time_ns"] for a, b in itertools.pairwise(frames))


class BadCable(UdpCable):
    """A line that loses, repeats and damages datagrams, by a seed."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._dice = random.Random(seed)
        self.spoilt = 0

    def _carry(self, file: int) -> None:
        here, there, address = self._ways[file]
        data = bytearray(here.recv(65536))
        chance = self._dice.random()
        if not self._whole.is_set() or chance < 0.02:
            self.dropped += 1
            return
        if chance < 0.04:
            self.spoilt += 1
            data[self._dice.randrange(len(data))] ^= 1 << self._dice.randrange(8)
        for _ in range(2 if chance > 0.97 else 1):
            there.sendto(data, address)


def test_a_bad_line_that_is_cut_loses_no_acknowledged_write(tmp_path: Path, run):
    """Loss, repetition, damage and cuts, under a load whose every read is checked."""
    from rig.host.channel_volume import TrackChannel, open_volume
    from rig.host.track_journal import TrackJournal, TrackPlan
    from rig.host.track_load import TrackLoad, verify_tracks
    from rig.host.workload import Stop

    with BadCable(5) as cable:
        site = ChannelSite(tmp_path, cable=cable.line).start()
        try:
            volume = open_volume([site.uri("cable")], depth=8)
            assert isinstance(volume, TrackChannel)
            with volume:
                plan = TrackPlan(5, 1, 12, 6, 500, 0, "random", 10, 25)
                journal = TrackJournal(tmp_path / "journal", plan, append=False)
                load = TrackLoad(volume, journal, 8)
                for _ in range(2):
                    load.run(Stop(40, None))
                    # The next programs start into a line that is dead, and wait for its healing.
                    cable.cut()
                    healing = threading.Timer(1.0, cable.heal)
                    healing.start()
                    load.run(Stop(8, None))
                    healing.join()
                assert load.result.wrong == []
                assert verify_tracks(volume, journal.oracle).wrong == 0
                journal.close()
                repeated = volume.device.channel.counters()
            assert cable.dropped
            assert cable.spoilt
            assert repeated["programs"] >= 96
        finally:
            site.close()
