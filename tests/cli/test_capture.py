"""`dualcopy capture`: what people and programs get to read, and how it ends."""

import json
import subprocess

import pytest
from typer.testing import CliRunner

from emulator.errors import BenchError, CheckFailed
from emulator.transport.pcapng import FLAG_OUTBOUND
from rig.capture import dissector
from rig.cli.capture import app
from tests.capture import golden

GOLDEN = str(golden.PATH)
ROWS = list(golden.conversation())


def run(*arguments):
    return CliRunner().invoke(app, list(arguments))


def lines(*arguments):
    done = run(*arguments)
    assert done.exit_code == 0, done.output
    return done.stdout.splitlines()


@pytest.fixture
def disordered(tmp_path):
    """A capture of two processes: the second batch holds what passed before."""
    path = tmp_path / "run.pcapng"
    head = len(golden.capture_bytes([]))
    one, both = (golden.capture_bytes(ROWS[:count]) for count in (1, 2))
    path.write_bytes(both[:head] + both[len(one) :] + one[head:])
    return str(path)


def test_show_lists_every_packet_under_a_heading():
    start, heading, *rows = lines("show", GOLDEN)
    assert start == "times count from 2023-11-14 22:13:20.123456789 UTC"
    assert heading.split()[:4] == ["frame", "time", "(s)", "interface"]
    assert len(rows) == len(ROWS)
    assert rows[4].split() == [
        "5", "0.004000004", "A-B/A", "out", "data", "changes", "1", "1", "3", "0/271", "174",
        "first,unsealed", "csn", "1-3",
    ]  # fmt: skip
    assert rows[7].split()[3:] == ["in", "damaged", "crc", "189", "damaged:", "crc"]
    assert "site A, link A-B" in rows[0]
    assert "kept 1, largest 3" in rows[12]
    assert rows[14].endswith('{"csn":3}')
    assert rows[17].endswith("; padded")


def test_show_as_json_is_one_object_a_line():
    found = [json.loads(line) for line in lines("show", GOLDEN, "--json")]
    assert len(found) == len(ROWS)
    assert found[0]["time_ns"] == golden.START_NS
    assert found[0]["body"] == {
        "nonce": 0xAAAA, "echo": 0, "mtu": 1472, "window": 1 << 20, "plaintext": 1,
        "link": "A-B", "site": "A",
    }  # fmt: skip
    assert found[4]["marks"] == ["first", "unsealed"]
    assert (found[4]["csn"], found[4]["body"]["csn_first"]) == (3, 1)
    assert (found[7]["type"], found[7]["damage"]) == ("damaged", "crc")


def test_show_follows_one_csn():
    assert [row.split()[0] for row in lines("show", GOLDEN, "--csn", "2")[2:]] == [
        "5", "6", "7", "11", "12", "13", "14", "15", "16"
    ]  # fmt: skip


def test_show_keeps_to_one_interface_and_to_the_limit():
    rows = lines("show", GOLDEN, "--interface", "A-B/B", "--limit", "3")[2:]
    assert [row.split()[0] for row in rows] == ["2", "3", "7"]


def test_show_is_in_order_of_time(disordered):
    assert [row.split()[0] for row in lines("show", disordered)[2:]] == ["2", "1"]


def test_show_of_nothing_says_so_beside_the_data():
    done = run("show", GOLDEN, "--interface", "A-B/C")
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == "no such packet\n"


@pytest.mark.parametrize("command", ["show", "count", "verify"])
def test_a_torn_capture_is_read_with_a_word_beside_the_data(tmp_path, command):
    path = tmp_path / "torn.pcapng"
    path.write_bytes(golden.PATH.read_bytes()[:-3])
    done = run(command, str(path))
    assert done.exit_code == 0
    assert "ends inside a block" in done.stderr
    assert "ends inside a block" not in done.stdout


def test_dump_shows_every_field_and_byte():
    found = lines("dump", GOLDEN, "--index", "5")
    fields = dict(line.split(maxsplit=1) for line in found if not line.startswith("0"))
    assert fields["record_length"] == "271"
    assert fields["csn_first"] == "1"
    assert fields["marks"] == "first, unsealed"
    dumped = "".join(
        line[8:56].replace(" ", "") for line in found if line[6:8] == "  " and line[0] == "0"
    )
    assert bytes.fromhex(dumped) == ROWS[4][3]


def test_dump_shows_the_text_of_a_confirmation_and_damaged_bytes():
    assert any(
        line.split() == ["text", '{"csn":3}'] for line in lines("dump", GOLDEN, "--index", "15")
    )
    assert any(line.split() == ["damage", "crc"] for line in lines("dump", GOLDEN, "--index", "8"))


def test_dump_of_a_frame_that_is_not_there_is_refused():
    assert isinstance(run("dump", GOLDEN, "--index", "99").exception, BenchError)


def test_count_adds_up():
    found = json.loads(lines("count", GOLDEN, "--json")[0])
    assert found["torn"] is None
    assert found["total"]["packets"] == len(ROWS)
    assert found["total"]["bytes"] == sum(len(frame) for *_, frame in ROWS)
    rows = {
        tuple(row[key] for key in ("interface", "direction", "type", "kind")): row
        for row in found["rows"]
    }
    sent = rows["A-B/A", "out", "data", "changes"]
    assert (sent["packets"], sent["payload_bytes"]) == (3, 271 + 143)
    assert (sent["again_packets"], sent["again_bytes"]) == (1, 189)
    padded = rows["A-C/A", "out", "hello", ""]
    assert (padded["bytes"], padded["packet_bytes"]) == (128, 77)
    assert rows["A-B/B", "in", "damaged", "crc"]["bytes"] == 189


def test_count_as_a_table_has_the_same_sums():
    last = lines("count", GOLDEN)[-1].split()
    assert last[:4] == ["all", "all", str(len(ROWS)), str(sum(len(frame) for *_, frame in ROWS))]


@pytest.mark.peers
@pytest.mark.needs("tshark")
def test_count_agrees_with_tshark():
    done = subprocess.run(
        ["tshark", "-r", GOLDEN, "-X", f"lua_script:{dissector.SCRIPT}", "-T", "fields",
         "-Y", 'dualcopy.kind == 1 && frame.interface_name == "A-B/A"', "-e", "frame.len"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    found = json.loads(lines("count", GOLDEN, "--json")[0])
    [row] = [
        row for row in found["rows"] if (row["interface"], row["kind"]) == ("A-B/A", "changes")
    ]
    assert sum(map(int, done.stdout.split())) == row["bytes"]


def test_verify_says_what_it_saw():
    [said] = lines("verify", GOLDEN)
    assert said.startswith("18 packets in 1 sessions, 4 records; rejected on arrival 1")
    assert json.loads(lines("verify", GOLDEN, "--json")[0])["held"] is True


def test_verify_of_a_bad_capture_lists_what_is_wrong_and_fails(tmp_path):
    path = tmp_path / "bad.pcapng"
    path.write_bytes(golden.capture_bytes([(golden.A, FLAG_OUTBOUND, None, b"noise")]))
    done = run("verify", str(path))
    assert isinstance(done.exception, CheckFailed)
    assert done.exit_code == 1
    assert done.stdout.splitlines()[0] == "frame 1 (A-B/A out): does not decode: short"
    assert json.loads(run("verify", str(path), "--json").stdout)["problem_count"] == 1


def test_the_dissector_is_printed_located_and_installed(tmp_path, monkeypatch):
    assert "\n".join(lines("dissector", "--print")) == dissector.script_text().rstrip("\n")
    assert lines("dissector", "--path") == [str(dissector.SCRIPT)]
    monkeypatch.setattr(dissector, "plugin_folder", lambda: tmp_path)
    assert lines("dissector", "--install") == [str(tmp_path / "dualcopy.lua")]
    assert (tmp_path / "dualcopy.lua").read_text() == dissector.script_text()


@pytest.mark.parametrize("options", [[], ["--print", "--path"]])
def test_the_dissector_does_one_thing_at_a_time(options):
    assert isinstance(run("dissector", *options).exception, BenchError)
