"""Program files become channel programs, and what is wrong in them is told by line."""

import pytest

from emulator.channel import parameters
from emulator.channel.ccw import CHAIN_COMMAND as CC
from emulator.channel.ccw import CHAIN_DATA as CD
from emulator.channel.ccw import SUPPRESS_LENGTH as SLI
from emulator.channel.ccw import Ccw
from emulator.channel.track_image import count_field
from emulator.errors import BenchError
from rig.host.program_file import load_program

GOOD = """
device = "0A00"
[[ccw]]
command = "seek"
to = "3/2"
[[ccw]]
label = "again"
command = "search-id-equal"
id = "3/2/5"
[[ccw]]
command = "transfer-in-channel"
to = "again"
[[ccw]]
command = "read-data"
count = 4096
flags = ["sli"]
[expect]
status = "0C"
data = { ebcdic = "VOL1", size = 6, fill = "40" }
"""


def load(tmp_path, text):
    path = tmp_path / "program.toml"
    path.write_text(text)
    return load_program(path)


def ccws(tmp_path, rows):
    return load(tmp_path, "".join(f"[[ccw]]\n{row}\n" for row in rows)).ccws


def test_a_search_and_a_read(tmp_path):
    found = load(tmp_path, GOOD)
    assert found.device == 0x0A00
    assert found.ccws == (
        Ccw(0x07, 6, parameters.seek(3, 2), CC),
        Ccw(0x31, 5, parameters.search_id(3, 2, 5), CC),
        Ccw(0x08, target=1),
        Ccw(0x06, 4096, b"", SLI),
    )
    assert found.expect.unit_status == 0x0C
    assert found.expect.data == bytes.fromhex("e5d6d3f14040")


def test_extents_records_and_raw_bytes(tmp_path):
    found = ccws(
        tmp_path,
        [
            'command = "define-extent"\nfirst = "0/0"\nlast = "9/14"\nmask = "C0"\nblock = 88',
            'command = "locate-record"\noperation = "03"\nrecords = 2\nseek = "1/0"\nlength = 88',
            'command = "write-count-key-and-data"\nid = "1/0/1"\nkey = "C1C2"\ndata = {size = 80}',
            'command = "1D"\ndata = "00 01"\ncount = 9',
            'command = "set-file-mask"\nmask = "40"\nflags = ["end"]',
            'command = "search-home-address-equal"\nto = "1/0"',
        ],
    )
    extent = parameters.define_extent((0, 0), (9, 14), mask=0xC0, block_size=88)
    located = parameters.locate_record(0x03, 2, (1, 0), transfer_length=88)
    written = count_field(1, 0, 1, 2, 80) + b"\xc1\xc2" + bytes(80)
    assert found == (
        Ccw(0x63, 16, extent, CC),
        Ccw(0x47, 16, located, CC),
        Ccw(0x1D, 90, written, CC),
        Ccw(0x1D, 9, b"\0\1", CC),
        Ccw(0x1F, 1, b"\x40", 0),
        Ccw(0x39, 4, b"\0\1\0\0", 0),
    )


def test_blocks_and_data_chaining(tmp_path):
    found = ccws(
        tmp_path,
        [
            'command = "define-extent"\nfirst = 8\nlast = 15',
            'command = "locate"\noperation = "01"\nblock = 8\nblocks = 2',
            'command = "write"\ndata = {text = "ab", size = 512}\nflags = ["cd"]',
            'command = "write"\ndata = {size = 512, fill = "FF"}',
        ],
    )
    assert [ccw.flags for ccw in found] == [CC, CC, CD, 0]
    assert found[0].data.hex() == "00000000000000080000000800" + "00000f"
    assert found[1].data.hex() == "0100000200000008"
    assert found[2].data[:3] == b"ab\0"


BAD = {
    "unknown table": ('dev = "0A00"\n', '1: dev: unknown key; did you mean "device"?'),
    "nothing": ("", "ccw: write 1 to 8192 tables"),
    "command": ('[[ccw]]\ncommand = "seeek"\n', '2: ccw.0.command = "seeek": is no command; did'),
    "no command": ('[[ccw]]\nto = "1/1"\n', "ccw.0.command: is no command"),
    "address": ('[[ccw]]\ncommand = "seek"\nto = "3"\n', '3: ccw.0.to = "3": write cylinder and'),
    "large address": ('[[ccw]]\ncommand = "seek"\nto = "70000/0"\n', "write cylinder and head"),
    "missing operand": ('[[ccw]]\ncommand = "seek"\n', "ccw.0.to: is missing"),
    "missing count": ('[[ccw]]\ncommand = "read-data"\n', "ccw.0.count: is missing"),
    "count": ('[[ccw]]\ncommand = "06"\ncount = 65536\n', "write a whole number from 0 to 65535"),
    "label": ('[[ccw]]\ncommand = "08"\nto = "x"\n', '3: ccw.0.to = "x": is the label of no CCW'),
    "label twice": (
        '[[ccw]]\ncommand = "03"\nlabel = "a"\n[[ccw]]\ncommand = "03"\nlabel = "a"\n',
        '6: ccw.1.label = "a": is the label of another CCW',
    ),
    "flag": ('[[ccw]]\ncommand = "03"\nflags = ["sly"]\n', 'flags = ["sly"]: did you mean "sli"?'),
    "foreign key": ('[[ccw]]\ncommand = "seek"\nid = "1/1/1"\n', 'ccw.0.id = "1/1/1": means noth'),
    "hex": ('[[ccw]]\ncommand = "write-data"\ndata = "0"\n', "write pairs of hexadecimal digits"),
    "data table": (
        '[[ccw]]\ncommand = "write-data"\ndata = {txt = "a"}\n',
        "txt means nothing here",
    ),
    "two sources": (
        '[[ccw]]\ncommand = "write-data"\ndata = {text = "a", hex = "00"}\n',
        "are both given; keep one",
    ),
    "small size": (
        '[[ccw]]\ncommand = "write-data"\ndata = {text = "abc", size = 2}\n',
        "size = 2, but the data has 3 bytes",
    ),
    "file": ('[[ccw]]\ncommand = "write-data"\ndata = {file = "none"}\n', "none: No such file"),
    "ebcdic": ('[[ccw]]\ncommand = "write-data"\ndata = {ebcdic = "☃"}\n', "no place in EBCDIC"),
    "expectation": ('[[ccw]]\ncommand = "03"\n[expect]\nstatus = 12\n', "4: expect.status = 12: "),
    "toml": ("[[ccw]\n", "is not valid TOML"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_told_by_line_key_value_and_fix(tmp_path, name):
    text, told = BAD[name]
    with pytest.raises(BenchError) as error:
        load(tmp_path, text)
    assert told in str(error.value)
    assert "program.toml" in str(error.value)


def test_all_problems_are_told_at_once(tmp_path):
    with pytest.raises(BenchError) as error:
        load(tmp_path, "".join(text for text, _ in (BAD["command"], BAD["address"], BAD["flag"])))
    assert len(str(error.value).splitlines()) == 3


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    with pytest.raises(BenchError, match="No such file"):
        load_program(tmp_path / "none")
    (tmp_path / "bytes").write_bytes(b"\xff")
    with pytest.raises(BenchError, match="is not UTF-8 at byte 0"):
        load_program(tmp_path / "bytes")
