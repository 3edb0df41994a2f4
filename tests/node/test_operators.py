"""The operator socket: requests and answers, and people who send rubbish, stop or never read."""

import json
import socket
from pathlib import Path

import pytest

from emulator.copy.audit import AuditFeed
from emulator.errors import UnavailableError
from emulator.node import operators
from emulator.node.console import LINE_BYTES_MAX
from emulator.node.loop import Loop
from emulator.node.operators import ANSWERS_BYTES_MAX, OPERATORS_MAX, OperatorServer

pytestmark = pytest.mark.sources


class Answers:
    """A console that answers at once, or when told to."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.late: list = []
        self.wait = False
        self.size = 0

    def request(self, line: bytes, answer, listen) -> None:
        self.lines.append(line)
        if line == b"audit":
            listen()
        if self.wait:
            self.late.append(answer)
        else:
            answer({"ok": True, "result": line.decode("latin1"), "fill": "x" * self.size})


class Bench:
    def __init__(self, tmp_path) -> None:
        self.path = str(tmp_path / "console")
        self.loop = Loop()
        self.console = Answers()
        self.opened: list[socket.socket] = []
        self.feed = AuditFeed()
        self.server = OperatorServer(self.loop, f"unix://{self.path}", self.console, self.feed, ())

    def connect(self) -> socket.socket:
        operator = socket.socket(socket.AF_UNIX)
        self.opened.append(operator)
        operator.connect(self.path)
        operator.setblocking(False)
        self.turn()
        return operator

    def turn(self, count: int = 4) -> None:
        for _ in range(count):
            self.loop.run_once(0)

    def answers(self, operator: socket.socket) -> list[dict]:
        data = b""
        while True:
            self.turn(1)
            try:
                piece = operator.recv(1 << 20)
            except BlockingIOError:
                break
            if not piece:
                break
            data += piece
        assert data == b"" or data.endswith(b"\n")
        return [json.loads(line) for line in data.splitlines()]


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path)
    yield made
    for operator in made.opened:
        operator.close()
    made.server.close()
    made.loop.close()


def gone(operator: socket.socket) -> bool:
    try:
        return operator.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def test_requests_are_answered_in_order(bench):
    operator = bench.connect()
    operator.send(b"one\ntwo\nthr")
    assert [answer["result"] for answer in bench.answers(operator)] == ["one", "two"]
    operator.send(b"ee\n")
    assert [answer["result"] for answer in bench.answers(operator)] == ["three"]


def test_a_request_may_come_byte_by_byte(bench):
    operator = bench.connect()
    for byte in b"status\n":
        operator.send(bytes([byte]))
        bench.turn(1)
    assert [answer["result"] for answer in bench.answers(operator)] == ["status"]


def test_nobody_but_the_owner_may_connect(bench):
    assert Path(bench.path).stat().st_mode & 0o077 == 0


def test_many_operators_do_not_mix(bench):
    operators = [bench.connect() for _ in range(OPERATORS_MAX)]
    for number, operator in enumerate(operators):
        operator.send(b"%d\n" % number)
    for number, operator in enumerate(operators):
        assert [answer["result"] for answer in bench.answers(operator)] == [str(number)]
    one_too_many = bench.connect()
    assert gone(one_too_many)
    operators[3].close()
    bench.turn()
    late = bench.connect()
    late.send(b"again\n")
    assert [answer["result"] for answer in bench.answers(late)] == ["again"]


def test_a_line_that_never_ends_is_refused_and_dropped(bench):
    operator = bench.connect()
    for _ in range(40):
        try:
            operator.send(b"x" * 4096)
        except BlockingIOError:
            bench.turn(1)
    bench.turn(8)
    answers = bench.answers(operator)
    assert answers
    assert all(f"over {LINE_BYTES_MAX} bytes" in answer["error"] for answer in answers)
    assert bench.console.lines == []
    operator.send(b"\nstatus\n")
    assert bench.answers(operator)[-1]["result"] == "status"


def test_an_operator_that_stops_asking_still_gets_its_answers(bench):
    """As a shell's pipe does: send a request, close that half, and read."""
    operator = bench.connect()
    bench.console.wait = True
    operator.send(b"role\nrole\nunfinished")
    operator.shutdown(socket.SHUT_WR)
    bench.turn()
    assert not gone(operator)
    for answer in bench.console.late:
        answer({"ok": True})
    assert bench.answers(operator) == [{"ok": True}, {"ok": True}]
    assert gone(operator)
    assert bench.console.lines == [b"role", b"role"]


def test_an_operator_that_goes_away_before_its_answer_is_forgotten(bench):
    operator = bench.connect()
    bench.console.wait = True
    operator.send(b"role\n")
    bench.turn()
    operator.close()
    bench.turn()
    other = bench.connect()
    other.send(b"status\n")
    bench.turn()
    for answer in bench.console.late:
        answer({"ok": True})
    assert bench.answers(other) == [{"ok": True}]


def test_what_was_asked_before_hanging_up_is_done(bench):
    operator = bench.connect()
    operator.send(b"suspend\n")
    operator.close()
    bench.turn()
    assert bench.console.lines == [b"suspend"]
    assert bench.server._operators == {}


def test_an_operator_that_never_reads_is_answered_only_so_far(bench):
    operator = bench.connect()
    bench.console.size = 50_000
    asked = 0
    for _ in range(2000):
        try:
            asked += operator.send(b"s\n") // 2
        except BlockingIOError:
            break
        bench.turn(1)
    (held,) = bench.server._operators.values()
    assert len(held.to_send) <= ANSWERS_BYTES_MAX + 60_000
    assert len(bench.console.lines) < asked
    # It reads after all: everything is answered.
    got = b""
    for _ in range(20_000):
        bench.turn(1)
        try:
            got += operator.recv(1 << 20)
        except BlockingIOError:
            break
    assert got.count(b"\n") == asked == len(bench.console.lines)


def test_rubbish_is_the_consoles_to_judge(bench):
    operator = bench.connect()
    operator.send(bytes(range(256)).replace(b"\n", b"") + b"\n\n\n")
    assert len(bench.answers(operator)) == 3


def test_a_running_sites_console_is_not_taken_over(bench):
    with pytest.raises(UnavailableError, match="console"):
        OperatorServer(bench.loop, f"unix://{bench.path}", bench.console, AuditFeed(), ())
    operator = bench.connect()
    operator.send(b"status\n")
    assert len(bench.answers(operator)) == 1


def test_a_killed_sites_console_is_taken_over(tmp_path):
    path = tmp_path / "console"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()
    loop = Loop()
    server = OperatorServer(loop, f"unix://{path}", Answers(), AuditFeed(), ())
    server.close()
    assert not path.exists()
    loop.close()


def test_a_file_in_the_way_is_not_removed(tmp_path):
    path = tmp_path / "console"
    path.write_text("precious")
    loop = Loop()
    with pytest.raises(UnavailableError, match="no socket"):
        OperatorServer(loop, f"unix://{path}", Answers(), AuditFeed(), ())
    assert path.read_text() == "precious"
    loop.close()


# Auditors.


def test_an_auditor_is_told_everything_in_order(bench):
    assert not bench.feed.on
    auditor, operator = bench.connect(), bench.connect()
    auditor.send(b"audit\n")
    bench.turn()
    assert bench.feed.on
    bench.feed.items.append(["one"])
    bench.feed.items.append(["two"])
    bench.server.publish()
    bench.feed.items.append(["three"])
    auditor.send(b"status\n")
    operator.send(b"status\n")
    answers = bench.answers(auditor)
    # What was said before a question comes before its answer, whoever asks.
    assert answers[1:3] == [[["one"], ["two"]], [["three"]]]
    assert answers[3]["result"] == "status"
    assert [answer["result"] for answer in bench.answers(operator)] == ["status"]


def test_the_feed_ends_with_the_last_auditor(bench):
    auditors = [bench.connect(), bench.connect()]
    for auditor in auditors:
        auditor.send(b"audit\n")
    bench.turn()
    for auditor, still in zip(auditors, (True, False), strict=True):
        auditor.close()
        bench.turn()
        assert bench.feed.on is still
    bench.feed.items.append(["nobody"])
    bench.server.publish()


def test_an_auditor_that_takes_nothing_does_not_hold_up_the_site(bench, monkeypatch):
    monkeypatch.setattr(operators, "AUDITOR_PATIENCE_MS", 10)
    lazy, good = bench.connect(), bench.connect()
    lazy.send(b"audit\n")
    good.send(b"audit\n")
    bench.turn()
    bench.answers(good)
    size = 64 * 1024
    for _ in range(100):
        bench.feed.items.append(["x" * size])
        bench.server.publish()
        assert len(bench.answers(good)) == 1
    assert bench.feed.on
    lazy.setblocking(True)
    taken = sum(map(len, iter(lambda: lazy.recv(1 << 20), b"")))
    assert taken < 50 * size


def test_what_an_auditor_was_told_survives_the_sites_death(bench):
    auditor = bench.connect()
    auditor.send(b"audit\n")
    bench.turn()
    bench.feed.items.append(["the last words"])
    bench.server.publish()
    bench.server.close()
    assert b"the last words" in auditor.recv(1 << 20)
