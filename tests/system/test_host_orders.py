"""What hosts order by channel programs at two running sites: query, freeze, run, switch of role."""

import json
import time
from pathlib import Path

import pytest

from emulator.channel.geometry import geometry
from emulator.channel.orders import Order
from emulator.channel.track_image import NewRecord
from rig.cli.main import main
from rig.host.channel import connect_channel
from rig.host.programs import (
    PERFORM_FUNCTION,
    READ_SUBSYSTEM_DATA,
    Chain,
    format_track,
    order_program,
    read_record,
    update_records,
)
from rig.host.programs import Volume as Shape
from tests.system.sites import TwoSites, free_ports, until

CYLINDERS = 2
MODEL = geometry("3390-1", CYLINDERS)
SHAPE = Shape((CYLINDERS - 1, 14), extended=True)
REFUSED = (0x0E, 0x80, 0x0F)
"""Unit check; command reject, format 0, message F: status not as required."""


class OrderSites(TwoSites):
    """A bench with one group: a volume of blocks, and a CKD one that native hosts reach."""

    def __init__(self, folder: Path) -> None:
        ports = iter(free_ports(4))
        self.lines = {site: (next(ports), next(ports)) for site in "AB"}
        super().__init__(folder, size_bytes=1 << 20)
        for site in "AB":
            with (folder / f"{site}.ckd.img").open("wb") as image:
                image.truncate(MODEL.tracks * MODEL.slot_bytes)

    def _text(self) -> str:
        text = super()._text().replace('volumes = ["vol0"]', 'volumes = ["vol0", "ckd"]')
        for site, (ours, theirs) in self.lines.items():
            line = f"native+udp://127.0.0.1:{ours}?peer=127.0.0.1:{theirs}&device=0A00"
            device = (
                f'[site.{site}.device.ckd]\nkind = "3390-1"\n'
                f'disk = "raw://{self.folder}/{site}.ckd.img"\nserve = ["{line}"]\n'
            )
            text = text.replace(f"[site.{site}.device.vol0]", f"{device}[site.{site}.device.vol0]")
        return text

    def channel(self, site: str) -> str:
        ours, theirs = self.lines[site]
        return f"native+udp://127.0.0.1:{theirs}?peer=127.0.0.1:{ours}&device=0A00"


@pytest.fixture
def sites(tmp_path):
    made = OrderSites(tmp_path)
    made.start()
    made.wait("duplex")
    yield made
    made.close()


def order(device, what, argument=""):
    return device.run(order_program(what, argument))


def refusal(result):
    return result.unit_status, result.sense[0], result.sense[7]


def state(device):
    found = order(device, Order.QUERY_COPY_STATE)
    assert found.ended_well, found
    return dict(word.split("=", 1) for word in found.data.decode().split(" ") if "=" in word)


def messages(device):
    """Return the oldest message of the device to this host; empty if there is none."""
    chain = Chain()
    chain.add(PERFORM_FUNCTION, b"\x18" + bytes(5) + b"\x03" + bytes(5))
    chain.read(READ_SUBSYSTEM_DATA, 256, suppress=True)
    found = device.must(chain.program(), "a message").data
    return found[9:].decode() if found[2] == 0xC1 else ""


def ordered(site):
    return [
        (event["order"], event["accepted"], event["reason"])
        for event in site.events("host-ordered")
    ]


def test_a_host_freezes_asks_and_runs_a_group(sites):
    with connect_channel([sites.channel("A")]) as channel:
        device = channel.device()
        records = [NewRecord(1, bytes(80)), NewRecord(2, bytes(80))]
        assert device.run(format_track(SHAPE, (1, 3), records)).ended_well
        assert order(device, Order.FREEZE).ended_well
        held = device.start(update_records(SHAPE, (1, 3), [(1, b"h" * 80)]))
        found = state(device)
        assert (found["group"], found["site"], found["peer"]) == ("g0", "A", "B")
        assert (found["role"], found["state"], found["frozen"]) == ("primary", "duplex", "yes")
        sites.wait("identical")
        assert sites.b.group()["csn"] == int(found["csn"]) == sites.a.group()["csn"]
        begin_s = time.monotonic()
        assert not held.done()
        assert refusal(order(device, Order.SWITCH_ROLE)) == REFUSED
        assert order(device, Order.RUN).ended_well
        # Device end brings the host back at once; without it, it would come again after a second.
        assert held.result(timeout=10).ended_well
        assert time.monotonic() - begin_s < 10
        assert device.run(read_record(SHAPE, (1, 3), 1, 80)).data == b"h" * 80
        assert state(device)["frozen"] == "no"
    assert ordered(sites.a) == [
        ("freeze", True, ""),
        ("switch-role", False, "g0 is frozen; `site run g0` first"),
        ("run", True, ""),
    ]
    sites.finish()


def test_a_host_switches_roles_and_back(sites):
    with connect_channel([sites.channel("A")]) as a, connect_channel([sites.channel("B")]) as b:
        at_a, at_b = a.device(), b.device()
        assert at_a.run(format_track(SHAPE, (0, 5), [NewRecord(1, b"a" * 80)])).ended_well
        assert state(at_b)["role"] == "secondary"
        assert refusal(order(at_b, Order.SWITCH_ROLE)) == REFUSED
        assert refusal(order(at_a, Order.SWITCH_ROLE, "Z")) == REFUSED
        assert order(at_a, Order.SWITCH_ROLE, "A").ended_well  # it is that already
        assert order(at_a, Order.SWITCH_ROLE).ended_well
        until(lambda: state(at_b)["role"] == "primary", "the other site becomes primary")
        assert state(at_a)["role"] == "secondary"
        assert at_b.run(read_record(SHAPE, (0, 5), 1, 80)).data == b"a" * 80
        assert at_b.run(update_records(SHAPE, (0, 5), [(1, b"b" * 80)])).ended_well
        update = at_a.run(update_records(SHAPE, (0, 5), [(1, b"x" * 80)]))
        assert (update.unit_status, update.sense[0]) == (0x0E, 0x40)  # intervention required
        sites.wait("duplex")
        assert order(at_b, Order.SWITCH_ROLE, "A").ended_well
        until(lambda: state(at_a)["role"] == "primary", "the role comes back")
        assert at_a.run(read_record(SHAPE, (0, 5), 1, 80)).data == b"b" * 80
    reasons = [reason for _order, accepted, reason in ordered(sites.a) if not accepted]
    assert reasons == ["primary 'Z' is neither A nor B"]
    assert [reason for *_, reason in ordered(sites.b) if reason] == [
        "this site is secondary of g0, not its primary"
    ]
    sites.wait("duplex")
    sites.finish()


def test_a_host_suspends_and_resumes_the_copy(sites, capsys):
    def command(what: str, *more: str) -> tuple[int, str]:
        code = main(["host", "order", what, sites.channel("A"), *more])
        return code, capsys.readouterr().out

    with connect_channel([sites.channel("A")]) as channel:
        device = channel.device()
        assert order(device, Order.SUSPEND).ended_well
        message = until(lambda: messages(device), "hosts are told of the suspension")
    assert message.startswith("copy g0 is suspended: ")
    until(lambda: sites.a.group()["state"] == "suspended", "the copy is suspended")
    code, out = command("query-copy-state", "--json")
    assert code == 0
    said = json.loads(out)["state"]
    assert (said["suspended"], said["state"]) == ("yes", "suspended")
    assert said["reason"] == sites.a.group()["reason"]
    assert command("resume")[0] == 0
    sites.wait("duplex")
    assert command("start-migration", "--argument", "0B00")[0] == 1
    assert command("thaw")[0] == 2
    assert command("switch-role", "--argument", "a-name-that-is-long")[0] == 2
    sites.finish()
