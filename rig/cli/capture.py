"""`dualcopy capture`: look into, count and check what the lines of a run carried.

Only words and options live here; the work is done in `rig.capture`, imported when it is needed.
"""

import itertools
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from emulator.errors import BenchError, CheckFailed

if TYPE_CHECKING:
    from rig.capture.reader import CapturedPacket, CaptureReader

app = typer.Typer(
    name="capture",
    help="Look into, count and check what the lines of a run carried.",
    no_args_is_help=True,
)

File = Annotated[str, typer.Argument(metavar="FILE", help="A pcapng or pcap file.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@app.command()
def show(
    file: File,
    csn: Annotated[
        int | None,
        typer.Option(min=1, help="Only the life of this csn: its record, and what confirmed it."),
    ] = None,
    interface: Annotated[str | None, typer.Option(help="Only this interface.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after this many packets.")] = None,
    as_json: Json = False,
) -> None:
    """List packets, or the CCWs of a channel, in order of time; with --json one object a line."""
    from rig.capture import channel
    from rig.capture import show as words
    from rig.capture.follow import follow
    from rig.capture.reader import CaptureReader, in_time_order

    with CaptureReader(file) as reader:
        packets: Iterable[CapturedPacket] = in_time_order(
            reader if csn is None else follow(reader, csn)
        )
        if interface is not None:
            packets = (packet for packet in packets if packet.interface == interface)
        start_ns: int | None = None
        for packet in itertools.islice(packets, limit):
            frame = channel.channel_frame(packet)
            if as_json:
                found = channel.as_channel_object(packet, frame) if frame else None
                print(json.dumps(found or words.as_object(packet)))
                continue
            if start_ns is None:
                start_ns = packet.time_ns
                print(words.start_line(start_ns))
                print(channel.HEADING if frame else words.HEADING)
            row = channel.as_channel_row(packet, frame, start_ns) if frame else None
            print(row or words.as_row(packet, start_ns))
        if start_ns is None and not as_json:
            typer.echo("no such packet", err=True)
        _warn(reader)


@app.command()
def dump(
    file: File,
    index: Annotated[
        int, typer.Option(min=1, help="The frame's number, as `show` and Wireshark print it.")
    ],
) -> None:
    """Print one packet: every field, and its bytes."""
    from rig.capture import show as words
    from rig.capture.reader import CaptureReader

    with CaptureReader(file) as reader:
        packet = next(itertools.islice(reader, index - 1, None), None)
        if packet is None:
            msg = f"{file}: there is no frame {index}"
            raise BenchError(msg)
        for line in words.as_dump(packet):
            print(line)


@app.command()
def count(file: File, as_json: Json = False) -> None:
    """Add up packets and bytes by interface, direction, type and kind."""
    from rig.capture import count as sums
    from rig.capture.reader import CaptureReader

    with CaptureReader(file) as reader:
        found = sums.count(reader)
        if as_json:
            print(json.dumps({"file": file, "torn": reader.torn, **sums.as_object(found)}))
            return
        for line in sums.as_table(found):
            print(line)
        _warn(reader)


@app.command()
def verify(file: File, as_json: Json = False) -> None:
    """Check that packets decode, numbers are never reused and records follow one another."""
    from rig.capture.reader import CaptureReader
    from rig.capture.verify import verify as check

    with CaptureReader(file) as reader:
        verdict = check(reader)
        if as_json:
            print(json.dumps({"file": file, "torn": reader.torn, **verdict.as_object()}))
        else:
            for problem in verdict.problems:
                print(problem)
            print(
                f"{verdict.packets} packets in {verdict.sessions} sessions, "
                f"{verdict.records} records; rejected on arrival {verdict.rejected}, "
                f"repeated by the line {verdict.repeated}, of other protocols {verdict.other}"
            )
            _warn(reader)
    if not verdict.held:
        msg = f"{file}: {verdict.problem_count} problems"
        raise CheckFailed(msg)


@app.command()
def dissector(
    install: Annotated[
        bool, typer.Option("--install", help="Copy it to where your Wireshark loads it from.")
    ] = False,
    text: Annotated[bool, typer.Option("--print", help="Print the Lua script.")] = False,
    path: Annotated[bool, typer.Option("--path", help="Print where the script lies.")] = False,
) -> None:
    """Give Wireshark the dissector, so that it can read the packets."""
    from rig.capture import dissector as script

    if install + text + path != 1:
        msg = "choose one of --install, --print and --path"
        raise BenchError(msg)
    if text:
        print(script.script_text(), end="")
    elif path:
        print(script.SCRIPT)
    else:
        print(script.install(script.plugin_folder()))
        typer.echo("Wireshark and tshark load it when they start next.", err=True)


def _warn(reader: "CaptureReader") -> None:
    if reader.torn:
        typer.echo(f"{reader.path}: {reader.torn}", err=True)
