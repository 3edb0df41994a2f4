"""Rows of the commands that search, read and write the track: when each may come."""

from typing import Final

from emulator.channel.ckd import locate, reads, searches, writes
from emulator.channel.commands import Command, Handler, Kind, Proof, Writes
from emulator.channel.control_units import Feature

_READ, _WRITE, _SEARCH = Kind.READ, Kind.WRITE, Kind.SEARCH
_EXTENDED: Final = Feature.EXTENDED
_OF_ID, _OF_DATA = (Proof.ID,), (Proof.ID, Proof.KEY)
_BEFORE_FORMAT: Final = (Proof.ID, Proof.KEY, Proof.FORMATTED)
# No proof fits: outside a domain the command is never in sequence.
_ONLY_IN_DOMAIN: Final = (Proof.DOMAIN,)
_WITH_OVERFLOW: Final = (0x3330, 0x3340, 0x3350)


def _search(code: int, name: str, handler: Handler, keeps: tuple[Proof, ...]) -> Command:
    """Return the row of a search by id or key; searching lets the index be passed only once."""
    return Command(
        code,
        name,
        _SEARCH,
        handler,
        waits=True,
        multitrack=True,
        positioned=True,
        keeps_index=True,
        keeps=keeps,
    )


_OF_KEY: Final = (Proof.KEY,)
_SEARCHES: Final = (
    _search(0x31, "Search ID Equal", searches.search_id, _OF_ID),
    _search(0x51, "Search ID High", searches.search_id, _OF_ID),
    _search(0x71, "Search ID Equal or High", searches.search_id, _OF_ID),
    _search(0x29, "Search Key Equal", searches.search_key, _OF_KEY),
    _search(0x49, "Search Key High", searches.search_key, _OF_KEY),
    _search(0x69, "Search Key Equal or High", searches.search_key, _OF_KEY),
    Command(
        0x39,
        "Search Home Address Equal",
        _SEARCH,
        searches.search_home_address,
        waits=True,
        multitrack=True,
        positioned=True,
        keeps=(Proof.HOME,),
    ),
)

_READS: Final = (
    Command(0x02, "Read IPL", _READ, reads.read_ipl, waits=True),
    Command(
        0x06,
        "Read Data",
        _READ,
        reads.read_data,
        waits=True,
        multitrack=True,
        positioned=True,
        domain=locate.IN_ANY_READS,
        keeps=_OF_DATA,
    ),
    Command(
        0x0E,
        "Read Key and Data",
        _READ,
        reads.read_key_and_data,
        waits=True,
        multitrack=True,
        positioned=True,
        domain=locate.IN_READS,
        keeps=_OF_ID,
    ),
    Command(
        0x12,
        "Read Count",
        _READ,
        reads.read_count,
        waits=True,
        positioned=True,
        domain=locate.IN_READ_COUNTS,
        keeps_index=True,
    ),
    Command(
        0x92,
        "Read Count",
        _READ,
        reads.read_count,
        waits=True,
        positioned=True,
        domain=locate.IN_READ_COUNTS,
    ),
    Command(
        0x16,
        "Read R0",
        _READ,
        reads.read_r0,
        waits=True,
        multitrack=True,
        positioned=True,
        domain=locate.IN_HOME_READS,
    ),
    Command(
        0x1A,
        "Read Home Address",
        _READ,
        reads.read_home_address,
        waits=True,
        multitrack=True,
        positioned=True,
        domain=locate.IN_HOME_READS,
    ),
    Command(
        0x1E,
        "Read Count Key and Data",
        _READ,
        reads.read_count_key_and_data,
        waits=True,
        multitrack=True,
        positioned=True,
        domain=locate.IN_ANY_READS,
    ),
    Command(0x22, "Read Sector", _READ, reads.read_sector, keeps_index=True),
    Command(
        0x5E,
        "Read Multiple Count Key and Data",
        _READ,
        reads.read_multiple,
        waits=True,
        positioned=True,
        control_units=_EXTENDED,
    ),
    Command(
        0xDE,
        "Read Track",
        _READ,
        reads.read_track,
        waits=True,
        positioned=True,
        domain=locate.IN_READ_TRACKS,
        proofs=_ONLY_IN_DOMAIN,
        control_units=_EXTENDED,
    ),
)

_WRITES: Final = (
    Command(
        0x05,
        "Write Data",
        _WRITE,
        writes.write_data,
        waits=True,
        domain=locate.IN_LAST_WRITES,
        writes=Writes.DATA,
        proofs=_OF_DATA,
        keeps=_OF_DATA,
    ),
    Command(
        0x0D,
        "Write Key and Data",
        _WRITE,
        writes.write_key_and_data,
        waits=True,
        domain=locate.IN_DATA_WRITES,
        writes=Writes.DATA,
        proofs=_OF_ID,
        keeps=_OF_ID,
    ),
    Command(
        0x85,
        "Write Update Data",
        _WRITE,
        writes.write_update_data,
        waits=True,
        domain=locate.IN_ANY_WRITES,
        writes=Writes.DATA,
        proofs=_ONLY_IN_DOMAIN,
        control_units=_EXTENDED,
    ),
    Command(
        0x8D,
        "Write Update Key and Data",
        _WRITE,
        writes.write_update_key_and_data,
        waits=True,
        domain=locate.IN_DATA_WRITES,
        writes=Writes.DATA,
        proofs=_ONLY_IN_DOMAIN,
        control_units=_EXTENDED,
    ),
    Command(
        0x1D,
        "Write Count Key and Data",
        _WRITE,
        writes.write_count_key_and_data,
        domain=locate.IN_RECORD_WRITES,
        writes=Writes.RECORDS,
        proofs=_BEFORE_FORMAT,
        keeps=(Proof.FORMATTED,),
    ),
    Command(
        0x01,
        "Write Special Count Key and Data",
        _WRITE,
        writes.write_count_key_and_data,
        writes=Writes.RECORDS,
        proofs=_BEFORE_FORMAT,
        devices=_WITH_OVERFLOW,
    ),
    Command(
        0x9D,
        "Write Count Key and Data Next Track",
        _WRITE,
        writes.write_next_track,
        waits=True,
        domain=locate.IN_FORMATS,
        writes=Writes.RECORDS,
        proofs=_ONLY_IN_DOMAIN,
        control_units=_EXTENDED,
    ),
    Command(
        0x15,
        "Write R0",
        _WRITE,
        writes.write_r0,
        domain=locate.IN_HOME_FORMATS,
        writes=Writes.HOME,
        proofs=(Proof.HOME,),
        keeps=(Proof.FORMATTED,),
    ),
    Command(
        0x19,
        "Write Home Address",
        _WRITE,
        writes.write_home_address,
        positioned=True,
        domain=locate.IN_HOME_WRITE,
        writes=Writes.HOME,
        keeps=(Proof.HOME,),
    ),
    Command(
        0x11,
        "Erase",
        _WRITE,
        writes.erase,
        domain=locate.IN_WRITE_TRACK,
        writes=Writes.RECORDS,
        proofs=_BEFORE_FORMAT,
    ),
)


TRACK_ROWS: Final = (*_SEARCHES, *_READS, *_WRITES)
