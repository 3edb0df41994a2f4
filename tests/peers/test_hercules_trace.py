"""The same channel programs direct and through us: what Hercules' own trace says is the same.

One control unit, two volumes that are equal; one host uses the first through a site, another the
second directly. Each runs the same memory image, so that its addresses are the same too. Held
against each other: each CCW with its status, residual count and first data, each sense, and all
of the memory afterwards.
"""

import contextlib
import re
import shutil
from pathlib import Path

import pytest

from emulator.channel.ccw import CHAIN_COMMAND, TRANSFER_IN_CHANNEL, Program
from rig.measure.channel_work import format_row, records_row
from rig.measure.guest import Ccw, Guest, Row
from rig.measure.hercules import Hercules
from rig.measure.namespace import Namespace
from tests.channel import test_chains, test_refusals
from tests.peers.hercules_stage import CYLINDERS, HEADS, SITE, tool, used
from tests.system.sites import Site

pytestmark = [
    pytest.mark.peers,
    pytest.mark.timeout(300),
    pytest.mark.needs("hercules", "dasdinit", "netns"),
]

CHAINS: dict[str, Program] = {
    **{f"good {name}": row[0] for name, row in test_chains.GOOD.items()},
    **{f"write {name}": row[0] for name, row in test_chains.WRITES.items()},
    **{f"refused {name}": row[1] for name, row in test_refusals.REFUSED.items()},
}
# A count of zero is the channel's to refuse: no device hears of it.
CHAINS = {
    name: program
    for name, program in CHAINS.items()
    if all(ccw.byte_count for ccw in program if ccw.command != TRANSFER_IN_CHANNEL)
}
# Of the trace, what a channel program is: its CCWs, their status, and sense.
_PROGRAM = re.compile(r"^HHCCP0(4[89]|5\d|6\d|7\d)I ")


def row_of(guest: Guest, program: Program) -> Row:
    """Put a chain into the guest's memory as it is, chained where the next CCW is."""
    commands = []
    for place, ccw in enumerate(program):
        if ccw.command == TRANSFER_IN_CHANNEL:
            commands.append(Ccw(TRANSFER_IN_CHANNEL, -8 * (ccw.target + 1), 1))
            continue
        chain = CHAIN_COMMAND if place + 1 < len(program) else 0
        area = guest.area(ccw.data.ljust(max(ccw.byte_count, 1), b"\0"))
        commands.append(Ccw(ccw.command, area, ccw.byte_count, ccw.flags | chain))
    return Row(guest.program(*commands))


def guest_of_the_chains() -> Guest:
    """Return the guest that makes the two tracks anew before each chain."""
    guest = Guest(0x0A00)
    for program in CHAINS.values():
        guest.rows.append(records_row(guest, (1, 2), test_chains.ORIGINAL))
        guest.rows.append(format_row(guest, (1, 3), [b"seventh"]))
        guest.rows.append(row_of(guest, program))
    return guest


def traced(host: Hercules, guest: Guest) -> tuple[list[str], bytes]:
    """Run the guest; return what the trace says of its programs, and the memory afterwards."""
    memory = guest.image(1, stop_at_bad=False)
    host.load(memory)
    host.command("t+0A00")
    begin = len(host.messages())
    host.run_loaded(120)
    said = [line for line in host.messages()[begin:] if _PROGRAM.match(line)]
    host.command("t-0A00")
    return said, host.memory(len(memory))


def tracks(image: Path) -> list[bytes]:
    """Return every track of an image; what lies behind an end marker means nothing."""
    data = image.read_bytes()[512:]
    size = len(data) // (HEADS * CYLINDERS)
    return [used(data[at : at + size]) for at in range(0, len(data), size)]


def test_a_hosts_trace_is_the_same_direct_and_through_us(tmp_path):
    images = [tmp_path / f"{name}.ckd" for name in "ab"]
    tool("dasdinit", images[0], "3390", "TRACE1", CYLINDERS)
    shutil.copy(*images)
    bench = tmp_path / "bench.toml"
    text = SITE.format(name="A", low="a", folder=tmp_path, unit=3990, serve=3991, patience="20s")
    bench.write_text(f'name = "trace"\n{text}')
    with contextlib.ExitStack() as stack:
        space = stack.enter_context(Namespace())
        unit, host, direct = (
            Hercules(tmp_path / name, space.prefix, *lines)
            for name, lines in (
                (
                    "unit",
                    ["SHRDPORT 3990", *(f"0A0{at} 3390 {images[at]} cu=3990-6" for at in (0, 1))],
                ),
                ("host", ["0A00 3390 127.0.0.1:3991:0A00 cu=3990-6"]),
                ("direct", ["0A00 3390 127.0.0.1:3990:0A01 cu=3990-6"]),
            )
        )
        site = Site("A", tmp_path, bench)
        site.prefix = space.prefix
        stack.callback(lambda: site.kill() if site.process else None)
        unit.start()
        stack.callback(unit.stop)
        site.launch()
        site.await_ready()
        for one in (host, direct):
            one.start()
            stack.callback(one.stop)
        guest = guest_of_the_chains()
        through, memory = traced(host, guest)
        expected, wanted = traced(direct, guest)
        assert len(expected) > 5 * len(CHAINS)
        assert sum("Sense=" in line for line in expected) > len(test_refusals.REFUSED) // 2
        assert through == expected
        assert memory == wanted
        host.stop()
        assert site.terminate() == 0
        direct.stop()
        unit.stop()
        assert tracks(images[0]) == tracks(images[1])
