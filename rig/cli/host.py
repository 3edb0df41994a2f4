"""`dualcopy host`: our own host, which reads and writes a volume over its front end.

`load` writes known contents and keeps a journal of what was acknowledged; `verify` holds a
volume, or an image when no site has it open, against such a journal.
"""

import sys
from contextlib import closing, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, Literal

import typer

from emulator.clock import SECOND_NS
from emulator.errors import BenchError, CheckFailed
from emulator.frontend.native_uri import PREFIX, is_native
from emulator.units import duration_ns, duration_text, size_bytes, size_text
from rig.cli.host_channel import app as channel_app
from rig.cli.host_channel import show_track, verify_work, write_record
from rig.cli.host_orders import app as orders_app
from rig.cli.options import JsonOption, read_option
from rig.cli.output import print_json

if TYPE_CHECKING:
    from emulator.disk import Disk
    from rig.host.channel_volume import BlockChannel
    from rig.host.nbd_client import NbdClient

app = typer.Typer()
app.registered_commands += channel_app.registered_commands
app.registered_commands += orders_app.registered_commands

PIECE_BYTES = 2**20  # carried in one request; servers take 32 MiB
HEX_BYTES_MAX = 4096  # more than that as text helps nobody

Uri = Annotated[str, typer.Argument(help="Such as nbd+unix:///vol0?socket=/var/tmp/a0.sock")]
Journal = Annotated[Path, typer.Option(metavar="FILE", help="The journal of writes.")]
Track = Annotated[
    str | None, typer.Option(metavar="C/H", help="A track of a count-key-data device, as 3/2.")
]
Record = Annotated[int | None, typer.Option(min=0, max=255, help="A record of the track.")]
Offset = Annotated[str, typer.Option(metavar="SIZE", help="Where to begin, such as 4KiB.")]


@app.command()
def read(
    uri: Uri,
    offset: Offset = "0",
    length: Annotated[
        str | None, typer.Option(metavar="SIZE", help="How much; else up to the end.")
    ] = None,
    out: Annotated[str, typer.Option(metavar="FILE", help="- is standard output.")] = "-",
    track: Track = None,
    record: Record = None,
    as_json: JsonOption = False,
) -> None:
    """Read from a volume: plain bytes, or with --json (and on a terminal) hex digits.

    With --track the records of a count-key-data device's track, or with --record the data of one.
    """
    if track is not None:
        data = show_track(uri, track, record, as_json=as_json)
        if data is not None:
            with nullcontext(sys.stdout.buffer) if out == "-" else _opened(out, "wb") as file:
                file.write(data)
        return
    with _connected(uri) as volume:
        start = read_option("--offset", offset, size_bytes)
        end = volume.size_bytes
        if length is not None:
            end = start + read_option("--length", length, size_bytes)
        _check_range(volume, start, end)
        if as_json or (out == "-" and sys.stdout.isatty()):
            if end - start > HEX_BYTES_MAX:
                limit = size_text(HEX_BYTES_MAX)
                raise BenchError(f"--length: at most {limit} are shown as text; use --out FILE")
            _print_bytes(start, volume.read(start, end - start), as_json=as_json)
            return
        with nullcontext(sys.stdout.buffer) if out == "-" else _opened(out, "wb") as file:
            for at in range(start, end, PIECE_BYTES):
                file.write(volume.read(at, min(PIECE_BYTES, end - at)))


@app.command()
def write(
    uri: Uri,
    offset: Offset = "0",
    source: Annotated[str, typer.Option("--in", metavar="FILE", help="- is standard input.")] = "-",
    fua: Annotated[
        bool, typer.Option("--fua", help="Each request survives a loss of power by itself.")
    ] = False,
    track: Track = None,
    record: Record = None,
) -> None:
    """Write a file, or what comes in, to a volume, and have it survive a loss of power.

    With --track and --record it becomes the data of one record of a count-key-data device.
    """
    if track is not None:
        if record is None:
            raise BenchError("--track needs --record: which record of the track is written")
        with nullcontext(sys.stdin.buffer) if source == "-" else _opened(source, "rb") as file:
            data = file.read()
        write_record(uri, track, record, data)
        print(f"{len(data)} bytes written to record {track}/{record}")
        return
    with (
        _connected(uri) as volume,
        nullcontext(sys.stdin.buffer) if source == "-" else _opened(source, "rb") as file,
    ):
        start = at = read_option("--offset", offset, size_bytes)
        while piece := file.read(PIECE_BYTES):
            _check_range(volume, at, at + len(piece))
            volume.write(at, piece, fua=fua)
            at += len(piece)
        volume.flush()
    print(f"{at - start} bytes written at {start}")


@app.command()
def load(
    uri: Uri,
    journal: Journal,
    *,
    seed: Annotated[int, typer.Option(help="From which all contents and places follow.")] = 1,
    block: Annotated[str, typer.Option(metavar="SIZE", help="Bytes of each write.")] = "4KiB",
    change: Annotated[
        str, typer.Option(metavar="SIZE", help="Bytes new in each write; 0 is all of them.")
    ] = "0",
    sequential: Annotated[
        bool, typer.Option("--sequential", help="One block after another, not at random.")
    ] = False,
    writes: Annotated[int | None, typer.Option(min=1, help="Stop after so many.")] = None,
    time: Annotated[
        str | None, typer.Option(metavar="TIME", help="Stop after so long, such as 10s.")
    ] = None,
    rate: Annotated[float | None, typer.Option(min=0.001, help="Writes a second at most.")] = None,
    depth: Annotated[int, typer.Option(min=1, max=1024, help="Writes under way at once.")] = 16,
    append: Annotated[
        bool, typer.Option("--append", help="Go on with a journal that exists.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write known contents, and keep a journal of what was begun and acknowledged."""
    from rig.host.workload import Stop
    from rig.host.workload import load as write_all
    from rig.host.write_journal import LoadPlan, WriteJournal

    if writes is None and time is None:
        raise BenchError("say when to stop: --writes 1000 or --time 10s")
    stop = Stop(writes, None if time is None else read_option("--time", time, duration_ns))
    with _connected(uri, depth=depth) as volume:
        plan = LoadPlan(
            seed=seed,
            size_bytes=volume.size_bytes,
            block_bytes=read_option("--block", block, size_bytes),
            change_bytes=read_option("--change", change, size_bytes),
            sequential=sequential,
        )
        with closing(WriteJournal(journal, plan, append=append)) as kept:
            done = write_all(volume, plan, kept, stop, rate=rate)
    if as_json:
        print_json(asdict(done))
        return
    each_second = done.writes * SECOND_NS / max(done.elapsed_ns, 1)
    print(
        f"{done.writes} writes, {size_text(done.bytes)}, in {duration_text(done.elapsed_ns)}: "
        f"{each_second:.0f} a second, all acknowledged"
    )


@app.command()
def verify(uri: Uri, journal: Journal, as_json: JsonOption = False) -> None:
    """Hold a volume, or an image such as raw:///a0.img, against a journal; exit 1 if it fails."""
    from rig.host.track_journal import is_tracks_journal
    from rig.host.workload import verify as hold

    if is_tracks_journal(journal):
        verify_work(uri, journal, as_json=as_json)
        return
    with closing(_opened_volume(uri)) as volume:
        verdict = hold(volume, journal)
    if as_json:
        print_json(asdict(verdict))
    else:
        for place in verdict.places:
            print(place)
        print(
            f"{verdict.blocks} blocks read; {verdict.acknowledged} writes acknowledged, "
            f"{verdict.unsettled} not, {verdict.half_written} of them there in part"
        )
    if verdict.wrong:
        raise CheckFailed(f"{uri}: {verdict.wrong} blocks are wrong")


def _connected(uri: str, *, depth: int = 16) -> "NbdClient | BlockChannel":
    """Open a volume of blocks over whichever front end the URI names."""
    if is_native(uri):
        from rig.host.channel_volume import BlockChannel, open_volume

        volume = open_volume([uri], depth=depth)
        if not isinstance(volume, BlockChannel):
            volume.close()
            raise BenchError(f"{uri}: the device has tracks and no blocks; use --track 0/0")
        return volume
    from rig.host.nbd_client import connect_nbd

    return connect_nbd(uri, depth=depth)


def _opened_volume(uri: str) -> "NbdClient | BlockChannel | Disk":
    if uri.startswith(("nbd", PREFIX)):
        return _connected(uri)
    from emulator.disk import open_disk

    return open_disk(uri, writable=False)


def _opened(name: str, mode: Literal["rb", "wb"]) -> BinaryIO:
    try:
        return Path(name).open(mode)
    except OSError as error:
        raise BenchError(f"{name}: {error.strerror or error}") from error


def _check_range(volume: "NbdClient | BlockChannel", start: int, end: int) -> None:
    if not start <= end <= volume.size_bytes:
        raise BenchError(f"bytes {start} to {end} lie outside the volume's {volume.size_bytes}")


def _print_bytes(offset: int, data: bytes, *, as_json: bool) -> None:
    if as_json:
        print_json({"offset": offset, "length": len(data), "hex": data.hex()})
        return
    for at in range(0, len(data), 16):
        row = data[at : at + 16]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        print(f"{offset + at:08x}  {row.hex(' '):47}  {text}")
