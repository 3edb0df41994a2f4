"""`dualcopy host` over the native channel: channel programs, tracks and records.

`program` runs a program file; `format` writes tracks anew; `read` and `write` of `host.py` come
here for count-key-data devices.
"""

from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emulator.errors import BenchError, CheckFailed
from emulator.units import duration_ns
from rig.cli.options import JsonOption, read_option
from rig.cli.output import print_json, print_table

if TYPE_CHECKING:
    from rig.host.channel_device import ChannelResult
    from rig.host.channel_volume import TrackChannel, TrackRecord
    from rig.host.program_file import Expectation, ProgramFile

app = typer.Typer(name="host")

SHOWN_BYTES_MAX = 256  # of what one CCW read, as text
RECORDS_MAX = 255
Uris = Annotated[
    list[str],
    typer.Argument(help="native+LINE, such as native+serial:///tmp/a0.tty; several are paths."),
]


@app.command()
def program(
    file: Annotated[Path, typer.Argument(help="A program file (see the manual).")],
    uris: Uris,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where all that was read goes.")
    ] = None,
    time_limit: Annotated[
        str, typer.Option("--timeout", metavar="TIME", help="Give up after so long.")
    ] = "30s",
    as_json: JsonOption = False,
) -> None:
    """Run the channel program in a file; exit 1 if it does not end as the file expects, or well."""
    from rig.host.channel import connect_channel
    from rig.host.program_file import load_program

    found = load_program(file)
    limit_s = read_option("--timeout", time_limit, duration_ns) / 1e9
    with connect_channel(uris) as channel:
        device = channel.device(found.device)
        result = device.run(found.ccws, limit_s=limit_s)
    if out is not None:
        _write_file(out, result.data)
    if as_json:
        print_json(_as_object(device.address, result))
    else:
        _print_result(found, device.address, result)
    wrong = _differences(found.expect, result)
    if wrong:
        raise CheckFailed(f"{file}: {'; '.join(wrong)}")


@app.command(name="format")
def format_tracks(
    uris: Uris,
    tracks: Annotated[
        str, typer.Option(metavar="C/H-C/H", help="Tracks, such as 0/0-9/14, or one: 3/2.")
    ],
    records: Annotated[
        int, typer.Option(min=0, max=RECORDS_MAX, help="Records on each track; 0 empties it.")
    ] = 1,
    length: Annotated[int, typer.Option(min=0, max=65535, help="Bytes of data of each.")] = 4096,
    key: Annotated[int, typer.Option(min=0, max=255, help="Bytes of key of each.")] = 0,
    *,
    whole: Annotated[
        bool,
        typer.Option("--whole", help="From the home address on, which a damaged track needs."),
    ] = False,
) -> None:
    """Write tracks of a count-key-data device anew; what they held is gone."""
    from emulator.channel.track_image import NewRecord

    with open_tracks(uris) as volume:
        heads = volume.geometry.heads
        first, last = _track_range(tracks)
        volume.check_track(first)
        volume.check_track(last)
        numbers = range(first[0] * heads + first[1], last[0] * heads + last[1] + 1)
        if not numbers:
            raise BenchError(f"--tracks {tracks}: the last track lies before the first")
        contents = [NewRecord(n + 1, bytes(length), bytes(key)) for n in range(records)]
        begun = [
            (track, volume.start_format(track, contents, whole=whole))
            for track in (divmod(number, heads) for number in numbers)
        ]
        for (cylinder, head), future in begun:
            volume.settle(future, f"format of track {cylinder}/{head}")
    print(f"{len(numbers)} tracks formatted, {records} records of {length} bytes on each")


@app.command()
def work(
    uris: Uris,
    journal: Annotated[Path, typer.Option(metavar="FILE", help="The journal of programs.")],
    *,
    seed: Annotated[int, typer.Option(help="From which all contents and places follow.")] = 1,
    pattern: Annotated[
        str, typer.Option(help="Which tracks: sequential, random, zipf or hot.")
    ] = "random",
    first: Annotated[str, typer.Option(metavar="C/H", help="The first track used.")] = "0/1",
    tracks: Annotated[int, typer.Option(min=1, help="How many tracks are used.")] = 15,
    records: Annotated[int, typer.Option(min=1, max=RECORDS_MAX, help="Records a track.")] = 12,
    length: Annotated[int, typer.Option(min=1, max=65535, help="Bytes of each.")] = 4096,
    key: Annotated[int, typer.Option(min=0, max=255, help="Bytes of key of each.")] = 0,
    formats: Annotated[int, typer.Option(min=0, max=100, help="Percent format writes.")] = 5,
    reads: Annotated[int, typer.Option(min=0, max=100, help="Percent reads, checked.")] = 20,
    programs: Annotated[int | None, typer.Option(min=1, help="Stop after so many.")] = None,
    time: Annotated[
        str | None, typer.Option(metavar="TIME", help="Stop after so long, such as 10s.")
    ] = None,
    depth: Annotated[int, typer.Option(min=1, max=1024, help="Programs under way.")] = 16,
    append: Annotated[bool, typer.Option("--append", help="Go on with a journal.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Format, update and read tracks in a pattern, and keep a journal for `verify`."""
    from rig.host.patterns import PATTERNS
    from rig.host.program_words import track_address
    from rig.host.track_journal import TrackJournal, TrackPlan
    from rig.host.track_load import TrackLoad, check_plan, seconds_text
    from rig.host.workload import Stop

    if pattern not in PATTERNS:
        raise BenchError(f"--pattern {pattern}: choose one of {', '.join(PATTERNS)}")
    if formats + reads > 100:
        raise BenchError(f"--formats {formats} and --reads {reads} are more than all programs")
    if programs is None and time is None:
        raise BenchError("say when to stop: --programs 1000 or --time 10s")
    stop = Stop(programs, None if time is None else read_option("--time", time, duration_ns))
    cylinder, head = read_option("--first", first, track_address)
    with open_tracks(uris, depth=depth) as volume:
        volume.check_track((cylinder, head))
        start = cylinder * volume.geometry.heads + head
        plan = TrackPlan(seed, start, tracks, records, length, key, pattern, formats, reads)
        check_plan(volume, plan)
        with closing(TrackJournal(journal, plan, append=append)) as kept:
            result = TrackLoad(volume, kept, depth).run(stop)
    if as_json:
        print_json(asdict(result))
    else:
        print(
            f"{result.formats} format writes, {result.updates} updates, {result.reads} reads, "
            f"all ended well, {seconds_text(result)}"
        )
    if result.wrong:
        raise CheckFailed("; ".join(result.wrong[:3]))


def verify_work(uri: str, journal: Path, *, as_json: bool) -> None:
    """Hold the tracks of a volume against a journal; exit 1 if one is wrong."""
    from rig.host.track_journal import read_tracks_journal
    from rig.host.track_load import verify_tracks

    oracle = read_tracks_journal(journal)
    with open_tracks([uri]) as volume:
        verdict = verify_tracks(volume, oracle)
    if as_json:
        print_json(asdict(verdict))
    else:
        for place in verdict.places:
            print(place)
        print(
            f"{verdict.tracks} tracks read; {verdict.acknowledged} programs acknowledged, "
            f"{verdict.unsettled} not"
        )
    if verdict.wrong:
        raise CheckFailed(f"{uri}: {verdict.wrong} tracks are wrong")


def open_tracks(uris: list[str], *, depth: int = 16) -> "TrackChannel":
    """Open a count-key-data device; one of blocks is refused."""
    from rig.host.channel_volume import TrackChannel, open_volume

    volume = open_volume(uris, depth=depth)
    if not isinstance(volume, TrackChannel):
        volume.close()
        raise BenchError(f"{uris[0]}: the device has blocks and no tracks; use --offset")
    return volume


def show_track(uri: str, track: str, record: int | None, *, as_json: bool) -> bytes | None:
    """Print the records of a track, or return the data of one record."""
    from rig.host.program_words import track_address

    address = read_option("--track", track, track_address)
    with open_tracks([uri]) as volume:
        if record is not None:
            return volume.read_record(address, record)
        found = volume.read_track(address)
    if as_json:
        print_json([_record_object(row) for row in found])
        return None
    rows = [
        (f"{row.cylinder}/{row.head}/{row.number}", len(row.key), len(row.data), _shown(row.data))
        for row in found
    ]
    print_table(("record", "key", "data", "begins with"), rows)
    return None


def write_record(uri: str, track: str, record: int, data: bytes) -> None:
    """Write the data of one record in place."""
    from rig.host.program_words import track_address

    address = read_option("--track", track, track_address)
    with open_tracks([uri]) as volume:
        volume.check_track(address)
        what = f"write of record {track}/{record}"
        volume.settle(volume.start_update(address, [(record, data)]), what)


def _track_range(text: str) -> tuple[tuple[int, int], tuple[int, int]]:
    from rig.host.program_words import track_address

    first, dash, last = text.partition("-")
    begin = read_option("--tracks", first, track_address)
    return begin, read_option("--tracks", last, track_address) if dash else begin


def _write_file(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise BenchError(f"{path}: {error.strerror or error}") from error


def _record_object(row: "TrackRecord") -> dict[str, Any]:
    return {
        "id": f"{row.cylinder}/{row.head}/{row.number}",
        "key": row.key.hex(),
        "data": row.data.hex(),
    }


def _as_object(address: int, result: "ChannelResult") -> dict[str, Any]:
    return {
        "device": f"{address:04X}",
        "unit_status": f"{result.unit_status:02X}",
        "channel_status": f"{result.channel_status:02X}",
        "sense": result.sense.hex(),
        "ccw": result.ccw,
        "residual": result.residual,
        "executed": result.executed,
        "transfers": [{"ccw": row.ccw, "data": row.data.hex()} for row in result.transfers],
    }


def _print_result(found: "ProgramFile", address: int, result: "ChannelResult") -> None:
    print(f"device {address:04X}, {result.executed} CCWs carried out")
    rows = [
        (row.ccw, found.names[row.ccw], len(row.data), _shown(bytes(row.data)))
        for row in result.transfers
    ]
    if rows:
        print_table(("CCW", "command", "bytes", "read"), rows)
    print(result)
    if result.residual:
        print(f"residual count {result.residual}")


def _shown(data: bytes) -> str:
    more = "..." if len(data) > SHOWN_BYTES_MAX // 8 else ""
    return data[: SHOWN_BYTES_MAX // 8].hex(" ", -4) + more


def _differences(expect: "Expectation", result: "ChannelResult") -> list[str]:
    """Return what did not come out as expected; without expectations it has to end well."""
    if not expect.says_something:
        return [] if result.ended_well else [str(result)]
    wrong = []
    for name, wanted, found in (
        ("status", expect.unit_status, result.unit_status),
        ("channel status", expect.channel_status, result.channel_status),
    ):
        if wanted is not None and wanted != found:
            wrong.append(f"{name} {found:02X}, expected {wanted:02X}")
    if expect.sense is not None and not result.sense.startswith(expect.sense):
        wrong.append(f"sense {result.sense.hex()}, expected {expect.sense.hex()}...")
    if expect.data is not None and expect.data != result.data:
        wrong.append(f"{len(result.data)} bytes read are not the {len(expect.data)} expected")
    return wrong
