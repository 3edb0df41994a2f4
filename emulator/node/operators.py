"""The operator socket: a Unix socket that only its owner may open, one JSON object a line."""

import contextlib
import json
import os
import select
import socket
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

from emulator.copy.audit import AuditFeed
from emulator.copy.group import Group
from emulator.errors import UnavailableError
from emulator.node.console import LINE_BYTES_MAX, Console
from emulator.node.loop import READABLE, WRITABLE, Loop
from emulator.node.stale import remove_stale_socket
from emulator.uri import parse_uri

_BACKLOG: Final = 16
OPERATORS_MAX: Final = 32
# An operator that asks and does not read is answered no further until it does.
ANSWERS_BYTES_MAX: Final = 1 << 20
# How long one send to an auditor may wait. What a site is killed for must have been told before,
# so the site waits for its auditor, but not for ever.
AUDITOR_PATIENCE_MS: Final = 1000


class _Operator:
    """One operator's connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.received = bytearray()
        self.to_send = bytearray()
        self.asked = 0
        """Requests whose answer is still to come."""
        self.ended = False
        """It asks nothing more, but may still listen."""
        self.auditing = False
        """It is told all that the audit feed says."""


class OperatorServer:
    """Listens for operators."""

    def __init__(
        self, loop: Loop, uri: str, console: Console, feed: AuditFeed, groups: Iterable[Group]
    ) -> None:
        self._loop = loop
        self._console = console
        self._feed = feed
        self._groups = groups
        self._operators: dict[int, _Operator] = {}
        self._path = parse_uri(uri, {}).path
        remove_stale_socket(uri, self._path)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # Nobody else may connect, not even between bind and chmod.
            before = os.umask(0o177)
            try:
                self._listener.bind(self._path)
            finally:
                os.umask(before)
            self._listener.listen(_BACKLOG)
        except OSError as error:
            self._listener.close()
            raise UnavailableError(f"{uri}: {error.strerror}") from error
        self._listener.setblocking(False)  # noqa: FBT003
        loop.add(self._listener.fileno(), lambda _events: self._accept())

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            connection, _peer = self._listener.accept()
            if len(self._operators) >= OPERATORS_MAX:
                connection.close()
                return
            connection.setblocking(False)  # noqa: FBT003
            operator = _Operator(connection)
            file = connection.fileno()
            self._operators[file] = operator
            self._loop.add(file, lambda events: self._ready(file, operator, events))

    def _ready(self, file: int, operator: _Operator, events: int) -> None:
        try:
            if events & READABLE:
                piece = operator.socket.recv(LINE_BYTES_MAX)
                operator.ended = not piece
                operator.received += piece
            elif events & ~WRITABLE:
                self._end(file)
                return
            self._send(file, operator)
            self._take_lines(file, operator)
            self._send(file, operator)
        except BlockingIOError:
            return
        except OSError:
            self._end(file)

    def _take_lines(self, file: int, operator: _Operator) -> None:
        while (end := operator.received.find(b"\n")) >= 0:
            if len(operator.to_send) > ANSWERS_BYTES_MAX:
                return
            line = bytes(operator.received[:end])
            del operator.received[: end + 1]
            operator.asked += 1
            answer = self._answer(file, operator)
            self._console.request(line, answer, partial(self._listen, file, operator))
        if operator.ended:
            operator.received.clear()
        if len(operator.received) > LINE_BYTES_MAX:
            operator.asked += 1
            self._answer(file, operator)(
                {"ok": False, "error": f"a line over {LINE_BYTES_MAX} bytes", "exit_code": 2}
            )
            operator.received.clear()

    def _answer(self, file: int, operator: _Operator) -> Callable[[dict[str, Any]], None]:
        def answer(said: dict[str, Any]) -> None:
            if operator.auditing:
                # What was said before belongs before the answer.
                self.publish()
            if self._operators.get(file) is operator:
                operator.asked -= 1
                operator.to_send += json.dumps(said).encode() + b"\n"
                with contextlib.suppress(OSError):
                    self._send(file, operator)

        return answer

    def _send(self, file: int, operator: _Operator) -> None:
        with contextlib.suppress(BlockingIOError):
            while operator.to_send:
                sent = operator.socket.send(operator.to_send)
                del operator.to_send[:sent]
        if operator.ended and not (operator.to_send or operator.asked or operator.received):
            self._end(file)
            return
        more = not operator.ended and len(operator.to_send) <= ANSWERS_BYTES_MAX
        self._loop.change(file, (READABLE if more else 0) | (WRITABLE if operator.to_send else 0))

    def _end(self, file: int) -> None:
        operator = self._operators.pop(file, None)
        if operator is not None:
            self._loop.remove(file)
            operator.socket.close()
            if operator.auditing and not self._auditors():
                self._feed.end()

    # Auditors.

    def _auditors(self) -> list[tuple[int, _Operator]]:
        return [(file, one) for file, one in self._operators.items() if one.auditing]

    def _listen(self, file: int, operator: _Operator) -> None:
        if operator.auditing or self._operators.get(file) is not operator:
            return
        if self._auditors():
            self.publish()
        operator.auditing = True
        self._feed.begin(self._groups)

    def publish(self) -> None:
        """Hand auditors what there is to tell; on return the system has it, whatever happens to us.

        An auditor that takes nothing for a while is hung up on: it would hold up everybody else.
        """
        if not self._feed.items:
            return
        auditors = self._auditors()
        if not auditors:
            return
        data = json.dumps(self._feed.take(), separators=(",", ":")).encode() + b"\n"
        for file, operator in auditors:
            operator.to_send += data
            if not self._delivered(operator):
                self._end(file)

    def _delivered(self, operator: _Operator) -> bool:
        poll = select.poll()
        poll.register(operator.socket, select.POLLOUT)
        while operator.to_send:
            try:
                sent = operator.socket.send(operator.to_send)
                del operator.to_send[:sent]
            except BlockingIOError:
                if not poll.poll(AUDITOR_PATIENCE_MS):
                    return False
            except OSError:
                return False
        return True

    def close(self) -> None:
        """Stop listening."""
        for file in list(self._operators):
            self._end(file)
        self._loop.remove(self._listener.fileno())
        self._listener.close()
        with contextlib.suppress(OSError):
            os.unlink(self._path)  # noqa: PTH108
